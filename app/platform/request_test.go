package platform

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func parse(t *testing.T, message string) runService {
	t.Helper()
	var m runService
	if err := json.Unmarshal([]byte(message), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestHTTPRequest(t *testing.T) {
	m := parse(t, `{"command":"RunService","appId":"95","appXid":"x","requestKey":"k","method":"post","path":"items/42",
		"queryParams":[{"name":"max","value":1000},{"name":"tag","value":"a b"},{"name":"tag","value":"&"},{"name":"none","value":null}],
		"headers":[{"name":"Host","value":"tc.example.com"},{"name":"content-type","value":"application/json"},{"name":"X-A","value":"1"},
			{"name":"x-a","value":"2"},{"name":"Content-Length","value":"999"},{"name":"Transfer-Encoding","value":"chunked"}],
		"bodyVariable":"request.body","apiToken":"SVC:1","expireSeconds":"1596670377","userConfig":[{"name":"a","value":"b"}],
		"requestUrl":"https://tc.example.com/api/services/x/v1/items/42?max=1000","remoteAddress":"10.0.0.9","triggerId":null}`)
	r := m.httpRequest(t.Context(), []byte{0, 0xff})
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	want := http.Header{"Content-Type": {"application/json"}, "X-A": {"1", "2"}, "Content-Length": {"2"}}
	if diff := cmp.Diff(want, r.Header); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string][]string{"max": {"1000"}, "tag": {"a b", "&"}, "none": {""}}, map[string][]string(r.URL.Query())); diff != "" {
		t.Error(diff)
	}
	got := []string{r.Method, r.URL.Path, r.Host, r.RemoteAddr, r.RequestURI, r.Proto, string(body)}
	if diff := cmp.Diff([]string{"POST", "/items/42", "tc.example.com", "10.0.0.9:0", "/api/services/x/v1/items/42", "HTTP/1.1", "\x00\xff"}, got); diff != "" {
		t.Error(diff)
	}
	if r.ContentLength != 2 {
		t.Errorf("the content length is %d", r.ContentLength)
	}
	sent, ok := SentRequest(r.Context())
	told := Sent{Method: "post", Path: "items/42", Query: []string{"max=1000", "tag=a b", "tag=&", "none="},
		Headers: []string{"Host", "content-type", "X-A", "x-a", "Content-Length", "Transfer-Encoding"}, HasBody: true,
		RequestURL: "https://tc.example.com/api/services/x/v1/items/42?max=1000"}
	if diff := cmp.Diff(told, sent); diff != "" || !ok {
		t.Errorf("%v %s", ok, diff)
	}
	if _, ok := SentRequest(t.Context()); ok {
		t.Error("the platform sent something where it did not")
	}
}

// A form that a server in between took apart is a form all the same: its fields stand in the body, where a handler looks for
// them, and not in the address.
func TestFormsAmongTheParameters(t *testing.T) {
	const fields = `[{"name":"token","value":"a-token_1"},{"name":"tql","value":"rating > 3 & x"}]`
	for name, test := range map[string]struct {
		method, kind, body string
		form, query        string
	}{
		"taken apart":   {"post", "application/x-www-form-urlencoded; charset=UTF-8", "", "a-token_1", ""},
		"whole":         {"POST", "application/x-www-form-urlencoded", "token=b", "b", "token=a-token_1&tql=rating+%3E+3+%26+x"},
		"no form":       {"POST", "application/json", "", "", "token=a-token_1&tql=rating+%3E+3+%26+x"},
		"no type":       {"POST", "", "", "", "token=a-token_1&tql=rating+%3E+3+%26+x"},
		"not by POST":   {"GET", "application/x-www-form-urlencoded", "", "", "token=a-token_1&tql=rating+%3E+3+%26+x"},
		"broken a type": {"POST", ";;", "", "", "token=a-token_1&tql=rating+%3E+3+%26+x"},
	} {
		var m runService
		message := fmt.Sprintf(`{"method":%q,"path":"/ui/edit","queryParams":%s,"headers":[{"name":"Content-Type","value":%q}]}`, test.method, fields, test.kind)
		if err := json.Unmarshal([]byte(message), &m); err != nil {
			t.Fatal(err)
		}
		r := m.httpRequest(t.Context(), []byte(test.body))
		if got := r.URL.RawQuery; got != test.query {
			t.Errorf("%s: the query is %q", name, got)
		}
		if got := r.PostFormValue("token"); got != test.form {
			t.Errorf("%s: the form has the token %q", name, got)
		}
		if test.form == "a-token_1" && r.PostFormValue("tql") != "rating > 3 & x" {
			t.Errorf("%s: the form has %q", name, r.PostForm)
		}
	}
}

// Sources about ThreatConnect do not agree on whether parameters arrive decoded: both are understood.
func TestQueryParams(t *testing.T) {
	for name, test := range map[string]struct{ params, want string }{
		"none":                  {`[]`, ""},
		"decoded":               {`[{"name":"status","value":"Upload Complete"},{"name":"q","value":"100% a+b"}]`, "q=100%25+a%2Bb&status=Upload+Complete"},
		"raw, blank as plus":    {`[{"name":"status","value":"Upload+Complete"},{"name":"x","value":"1"}]`, "status=Upload+Complete&x=1"},
		"raw, blank as escape":  {`[{"name":"status","value":"Upload%20Complete"}]`, "status=Upload+Complete"},
		"raw name":              {`[{"name":"a%5Bb%5D","value":"%C3%A4"}]`, "a%5Bb%5D=%C3%A4"},
		"a decoded address":     {`[{"name":"text","value":"a+b@example.com"},{"name":"step","value":""}]`, "step=&text=a%2Bb%40example.com"},
		"a decoded URL":         {`[{"name":"text","value":"http://bad.example/%7Euser"}]`, "text=http%3A%2F%2Fbad.example%2F%257Euser"},
		"a raw URL":             {`[{"name":"text","value":"http%3A%2F%2Fbad.example%2Fa+b"}]`, "text=http%3A%2F%2Fbad.example%2Fa+b"},
		"a percent sign":        {`[{"name":"q","value":"100%"}]`, "q=100%25"},
		"one of them decoded":   {`[{"name":"q","value":"50%20"},{"name":"r","value":"ä"}]`, "q=50%2520&r=%C3%A4"},
		"the same in both ways": {`[{"name":"tag","value":"a"},{"name":"tag","value":"b-c_d.e~f:g@h/i?j"}]`, "tag=a&tag=b-c_d.e~f%3Ag%40h%2Fi%3Fj"},
	} {
		r := parse(t, `{"queryParams":`+test.params+`}`).httpRequest(t.Context(), nil)
		if r.URL.RawQuery != test.want {
			t.Errorf("%s: got %s, not %s", name, r.URL.RawQuery, test.want)
		}
	}
}

func TestPaths(t *testing.T) {
	for message, want := range map[string]string{
		`{}`: "/", `{"path":null}`: "/", `{"path":""}`: "/", `{"path":"/"}`: "/", `{"path":"//a"}`: "/a", `{"path":"a/"}`: "/a/", `{"path":"/a/b c"}`: "/a/b c",
	} {
		r := parse(t, message).httpRequest(t.Context(), nil)
		if r.URL.Path != want || r.Method != http.MethodGet || r.Body != http.NoBody || r.Header.Get("Content-Length") != "" {
			t.Errorf("%s became %s %s", message, r.Method, r.URL.Path)
		}
	}
}

// The handler knows no HEAD, and the bytes in the store decide about the length.
func TestHead(t *testing.T) {
	r := parse(t, `{"method":"head","headers":[{"name":"content-length","value":"5"}]}`).httpRequest(t.Context(), nil)
	if r.Method != http.MethodGet || r.ContentLength != 0 || len(r.Header) > 0 {
		t.Errorf("got %s, length %d, %v", r.Method, r.ContentLength, r.Header)
	}
}

// Where the request stands is known only from an address that ends in the path: some senders give no more than the
// host.
func TestRequestURI(t *testing.T) {
	for _, test := range []struct{ path, url, want string }{
		{"", "https://tc/api/services/x/v1", "/api/services/x/v1"},
		{"", "https://tc/api/services/x/v1/", "/api/services/x/v1/"},
		{"/", "https://tc/api/services/x/v1/?a=b", "/api/services/x/v1/"},
		{"", "https://tc", ""},
		{"", "https://tc/", ""},
		{"ui/jobs", "https://tc/api/services/x/v1/ui/jobs", "/api/services/x/v1/ui/jobs"},
		{"/ui/jobs", "https://tc/api/services/x/v1/ui/jobs", "/api/services/x/v1/ui/jobs"},
		{"ui/jobs", "https://tc/", ""},
		{"ui/jobs", "https://tc/api/other", ""},
		{"a b", "https://tc/v1/a%20b", "/v1/a%20b"},
		{"a", "://", ""},
		{"a", "", ""},
	} {
		m := runService{Path: text(test.path), RequestURL: text(test.url)}
		if got := m.httpRequest(t.Context(), nil).RequestURI; got != test.want {
			t.Errorf("%q at %q gave %q, not %q", test.path, test.url, got, test.want)
		}
	}
}

func TestHostOfTheRequestURL(t *testing.T) {
	if got := (runService{RequestURL: "https://tc.example.com"}).httpRequest(t.Context(), nil).Host; got != "tc.example.com" {
		t.Errorf("the host is %q", got)
	}
}

func TestRemoteAddr(t *testing.T) {
	for address, want := range map[string]string{"": "", "10.0.0.9": "10.0.0.9:0", "::1": "[::1]:0", "[::1]": "[::1]:0", "10.0.0.9:80": "10.0.0.9:80"} {
		if got := remoteAddr(address); got != want {
			t.Errorf("%q became %q", address, got)
		}
	}
}

func TestText(t *testing.T) {
	for raw, want := range map[string]text{`"a\u0000"`: "a\x00", `5`: "5", `1.5e3`: "1.5e3", `true`: "true", `null`: ""} {
		var got text
		if err := json.Unmarshal([]byte(raw), &got); err != nil || got != want {
			t.Errorf("%s became %q, %v", raw, got, err)
		}
	}
	for _, raw := range []string{`{}`, `[1]`, `{"a":"a secret that is long"}`} {
		var got text
		if err := json.Unmarshal([]byte(raw), &got); err == nil {
			t.Errorf("%s became %q", raw, got)
		}
	}
}

// The answer has what net/http gives it, the length of the body among it: the vendor's frameworks send that, too.
func TestRecorder(t *testing.T) {
	large := strings.Repeat("x", maxBody)
	write := func(body, length string) func(w http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "a/b")
			if length != "" {
				w.Header().Set("Content-Length", length)
			}
			io.WriteString(w, body)
		}
	}
	header := func(contentType, length string) http.Header {
		return http.Header{"Content-Type": {contentType}, "Content-Length": {length}}
	}
	empty := http.Header{"Content-Length": {"0"}}
	for name, test := range map[string]struct {
		handle func(w http.ResponseWriter)
		method string
		status int
		header http.Header
		body   string
	}{
		"nothing":         {func(http.ResponseWriter) {}, "GET", 200, empty, ""},
		"detected":        {func(w http.ResponseWriter) { io.WriteString(w, "<p>") }, "GET", 200, header("text/html; charset=utf-8", "3"), "<p>"},
		"first wins":      {func(w http.ResponseWriter) { w.WriteHeader(103); w.WriteHeader(404); w.WriteHeader(500) }, "GET", 404, empty, ""},
		"late header":     {func(w http.ResponseWriter) { w.WriteHeader(201); w.Header().Set("X-Late", "1") }, "GET", 201, empty, ""},
		"redirect":        {func(w http.ResponseWriter) { w.Header().Set("Location", "x"); w.WriteHeader(302) }, "GET", 302, http.Header{"Location": {"x"}, "Content-Length": {"0"}}, ""},
		"head":            {write("four", ""), "HEAD", 200, header("a/b", "4"), ""},
		"length in bytes": {write("ä\x00", ""), "POST", 200, header("a/b", "3"), "ä\x00"},
		"own length":      {write("four", "4"), "GET", 200, header("a/b", "4"), "four"},
		"wrong length":    {write("four", "5"), "GET", 200, header("a/b", "4"), "four"},
		"no content":      {func(w http.ResponseWriter) { w.WriteHeader(204); io.WriteString(w, "x") }, "GET", 204, http.Header{}, ""},
		"not modified":    {func(w http.ResponseWriter) { w.Header().Set("Content-Length", "9"); w.WriteHeader(304) }, "HEAD", 304, http.Header{}, ""},
		"most":            {write(large, ""), "GET", 200, header("a/b", strconv.Itoa(maxBody)), large},
	} {
		t.Run(name, func(t *testing.T) {
			rec := newRecorder()
			test.handle(rec)
			got, err := rec.finishResponse()
			if err != nil {
				t.Fatal(err)
			}
			got = got.withLength(test.method)
			if got.status != test.status || string(got.body) != test.body {
				t.Errorf("got %d with %d bytes", got.status, len(got.body))
			}
			if diff := cmp.Diff(test.header, got.header); diff != "" {
				t.Error(diff)
			}
		})
	}
	rec := newRecorder()
	io.WriteString(rec, large)
	if _, err := io.WriteString(rec, "x"); err == nil {
		t.Error("more than the most was taken")
	}
	if _, err := rec.finishResponse(); !errors.Is(err, errAnswerTooLarge) {
		t.Errorf("got %v", err)
	}
}

func TestPairs(t *testing.T) {
	r := response{header: http.Header{"Set-Cookie": {"b", "a"}, "Content-Type": {"c"}}}
	want := []pair{{"Content-Type", "c"}, {"Set-Cookie", "b"}, {"Set-Cookie", "a"}}
	if diff := cmp.Diff(want, r.headerPairs()); diff != "" {
		t.Error(diff)
	}
}
