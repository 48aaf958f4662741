package doctor

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// askEcho sends a request to an Echo.
func askEcho(e *Echo, method, address, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/"+EchoPath+"/"+address, strings.NewReader(body))
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	rec.Header().Set("Cache-Control", "no-store")
	e.ServeHTTP(rec, r)
	return rec
}

func readSeen(t *testing.T, rec *httptest.ResponseRecorder) Seen {
	t.Helper()
	var seen Seen
	if err := json.Unmarshal(rec.Body.Bytes(), &seen); err != nil {
		t.Fatalf("%v: %s", err, rec.Body)
	}
	return seen
}

// What an Echo tells: what stands in the address, names of headers, and no value of one.
func TestEchoTellsWhatItSaw(t *testing.T) {
	rec := askEcho(&Echo{}, "PUT", "a%2Fb?v=a+b&v=%26&w=1", "123456789", "X-Requested-With", "hunter2", "Authorization", "hunter2", "Cookie", dummyCookie+"=hunter2")
	want := Seen{Method: "PUT", Path: "/api/doctor/echo/a%2Fb", Query: []string{"v=a+b", "v=%26", "w=1"}, Params: []string{"v=a b", "v=&", "w=1"},
		Fields: []string{}, Headers: []string{"authorization", "cookie", "host", "x-requested-with"}, Body: true, Length: 9, Checksum: "cbf43926",
		Address: "whole", Cookie: true, Given: map[string]string{"cache-control": "no-store"}}
	got := readSeen(t, rec)
	if diff := cmp.Diff(want, got); diff != "" || rec.Code != http.StatusOK {
		t.Errorf("%d (-want +got):\n%s", rec.Code, diff)
	}
	if strings.Contains(rec.Body.String(), "hunter2") {
		t.Errorf("a header's value is in the answer: %s", rec.Body)
	}
}

// What a page of another site could send gets no answer of its own, but says what arrived.
func TestEchoRefusesForeignPages(t *testing.T) {
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	for _, tt := range []struct {
		method  string
		headers []string
		status  int
	}{
		{"GET", nil, 200}, {"HEAD", nil, 200}, {"POST", form, 200}, {"POST", nil, 403}, {"PUT", form, 403}, {"DELETE", nil, 403},
		{"POST", []string{"X-Requested-With", "x"}, 200}, {"DELETE", []string{"X-Requested-With", "x"}, 200},
	} {
		rec := askEcho(&Echo{}, tt.method, "x?bytes=9", "a=1&b=x+y", tt.headers...)
		if rec.Code != tt.status {
			t.Errorf("%s %q: %d", tt.method, tt.headers, rec.Code)
		}
		if tt.status == 403 && readSeen(t, rec).Method != tt.method {
			t.Errorf("%s %q: %s", tt.method, tt.headers, rec.Body)
		}
	}
	if got := readSeen(t, askEcho(&Echo{}, "POST", "x", "a=1&b=x+y", form...)).Fields; !cmp.Equal(got, []string{"a=1", "b=x y"}) {
		t.Errorf("the form has %q", got)
	}
}

func TestEchoAnswers(t *testing.T) {
	e := &Echo{}
	if rec := askEcho(e, "GET", "x?bytes=8388608", ""); rec.Body.Len() != MaxEchoBody || rec.Header().Get("Content-Type") != "application/octet-stream" {
		t.Errorf("bytes: %d", rec.Body.Len())
	}
	for _, tooMuch := range []string{"8388609", "-1", "x"} {
		if rec := askEcho(e, "GET", "x?bytes="+tooMuch, ""); rec.Body.Len() > 1000 {
			t.Errorf("%s bytes: %d", tooMuch, rec.Body.Len())
		}
	}
	if rec := askEcho(e, "GET", "x?answer=etag", ""); rec.Code != 200 || rec.Header().Get("ETag") != echoTag || readSeen(t, rec).Given["etag"] != echoTag {
		t.Errorf("etag: %d %v", rec.Code, rec.Header())
	}
	if rec := askEcho(e, "GET", "x?answer=etag", "", "If-None-Match", echoTag); rec.Code != 304 || rec.Body.Len() != 0 {
		t.Errorf("etag again: %d %s", rec.Code, rec.Body)
	}
	rec := askEcho(e, "GET", "x?answer=gzip", "")
	z, err := gzip.NewReader(rec.Body)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(z); err != nil || string(text) != gzipText || rec.Header().Get("Content-Encoding") != "gzip" {
		t.Errorf("gzip: %s, %v", text, err)
	}
	if rec := askEcho(e, "GET", "x?answer=204", ""); rec.Code != 204 || rec.Body.Len() != 0 {
		t.Errorf("204: %d", rec.Code)
	}
	for _, status := range pageRedirects {
		if rec := askEcho(e, "GET", "x?answer="+status, ""); rec.Code/100 != 3 || rec.Header().Get("Location") != "arrived?from="+status {
			t.Errorf("%s: %d %v", status, rec.Code, rec.Header())
		}
	}
	rec = askEcho(e, "GET", "x?answer=cookie&root=/api/services/x/v1/", "")
	if got := rec.Header().Get("Set-Cookie"); got != dummyCookie+"=1; Path=/api/services/x/v1/; Max-Age=60; SameSite=Strict" || readSeen(t, rec).Given["set-cookie"] != "" {
		t.Errorf("cookie: %s", got)
	}
	for _, root := range []string{"", "x", "/;%20Domain=example.com", "/%0d%0aX:y"} {
		if rec := askEcho(e, "GET", "x?answer=cookie&root="+root, ""); rec.Header().Get("Set-Cookie") != "" {
			t.Errorf("%q: %v", root, rec.Header())
		}
	}
}

// One request at a time waits, so that a page left open twice does not take the workers of the screens; and it waits no
// longer than somebody listens.
func TestEchoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &Echo{}
		began := time.Now()
		ended := make(chan int, 1)
		go func() { ended <- askEcho(e, "GET", "x?wait=40", "").Code }()
		synctest.Wait()
		if rec := askEcho(e, "GET", "x?wait=1", ""); rec.Code != http.StatusTooManyRequests || !strings.Contains(rec.Body.String(), "Try again when it has ended") {
			t.Errorf("a second one waits: %d %s", rec.Code, rec.Body)
		}
		if rec := askEcho(e, "GET", "x?bytes=1", ""); rec.Code != http.StatusTooManyRequests {
			t.Errorf("bytes beside it: %d %s", rec.Code, rec.Body)
		}
		if rec := askEcho(e, "GET", "x", ""); rec.Code != 200 || time.Since(began) != 0 {
			t.Errorf("without a wait: %d", rec.Code)
		}
		if code := <-ended; code != 200 || time.Since(began) != 40*time.Second {
			t.Errorf("%d after %v", code, time.Since(began))
		}
		for _, wait := range []string{"46", "-1", "x", "NaN"} {
			if rec := askEcho(e, "GET", "x?wait="+wait, ""); rec.Code != 200 || time.Since(began) != 40*time.Second {
				t.Errorf("wait=%s: %d after %v", wait, rec.Code, time.Since(began))
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r := httptest.NewRequest("GET", "/x?wait=40", nil).WithContext(ctx)
		e.ServeHTTP(httptest.NewRecorder(), r)
		if time.Since(began) != 41*time.Second {
			t.Errorf("it went on for %v", time.Since(began))
		}
	})
}

// A body that is longer than it may be is refused, whatever it holds.
func TestEchoBodyIsBounded(t *testing.T) {
	r := httptest.NewRequest("POST", "/x", strings.NewReader("12345"))
	r.Header.Set("X-Requested-With", "x")
	rec := httptest.NewRecorder()
	r.Body = http.MaxBytesReader(rec, r.Body, 4)
	(&Echo{}).ServeHTTP(rec, r)
	if rec.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}
