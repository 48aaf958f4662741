package tcplatform_test

import (
	"bytes"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"
	"time"

	"mssentinel/app/standin/tcplatform"
)

// Each switch of the front, as it comes and turned.
func TestFront(t *testing.T) {
	_, plain := running(t, tcplatform.Options{})
	_, turned := running(t, tcplatform.Options{AnswerTimeout: 500 * time.Millisecond, Front: tcplatform.Front{
		RawPath: true, TrimSlash: true, Methods: []string{"GET", "POST"}, MaxRequest: 1000, TimeoutStatus: http.StatusServiceUnavailable, MaxAnswer: 10_000, DropAnswerHeaders: []string{"x-twice"}, FollowRedirects: true,
	}})
	for _, test := range []struct {
		what string
		see  func(s *tcplatform.Service) string
		want [2]string // as it comes, turned
	}{
		{"an escape in the path", func(s *tcplatform.Service) string {
			return strings.TrimPrefix(echo(t, "GET", s.URL()+"/a%2Fb", nil, nil).Sent.Path, "/")
		}, [2]string{"a/b", "a%2Fb"}},
		{"the slash at its end", func(s *tcplatform.Service) string {
			return strings.TrimPrefix(echo(t, "GET", s.URL()+"/last/", nil, nil).Sent.Path, "/")
		}, [2]string{"last/", "last"}},
		{"a method", func(s *tcplatform.Service) string {
			response, _ := do(t, "DELETE", s.URL()+"/x", nil, nil)
			return response.Status
		}, [2]string{"200 OK", "405 Method Not Allowed"}},
		{"a large request", func(s *tcplatform.Service) string {
			response, _ := do(t, "POST", s.URL()+"/form", bytes.NewReader(make([]byte, 1001)), nil)
			return response.Status
		}, [2]string{"200 OK", "413 Request Entity Too Large"}},
		{"a large answer", func(s *tcplatform.Service) string {
			response, _ := do(t, "GET", s.URL()+"/bytes?n=10004", nil, nil)
			return response.Status
		}, [2]string{"200 OK", "502 Bad Gateway"}},
		{"headers of an answer", func(s *tcplatform.Service) string {
			response, _ := do(t, "GET", s.URL()+"/x", nil, nil)
			return strings.Join(response.Header["X-Twice"], " ") + " " + response.Header.Get("Content-Type")
		}, [2]string{"one two application/json", " application/json"}},
		{"a redirection", func(s *tcplatform.Service) string {
			response, _ := do(t, "GET", s.URL()+"/away", nil, nil)
			return response.Status
		}, [2]string{"302 Found", "200 OK"}},
		{"a slow answer", func(s *tcplatform.Service) string {
			response, _ := do(t, "GET", s.URL()+"/slow?for=1s", nil, nil)
			return response.Status
		}, [2]string{"200 OK", "503 Service Unavailable"}},
	} {
		for i, s := range []*tcplatform.Service{plain, turned} {
			if got := test.see(s); got != test.want[i] {
				t.Errorf("%s: %q, want %q", test.what, got, test.want[i])
			}
		}
	}
}

// With sessions, nobody reaches a Service who was not on the Services page.
func TestSessions(t *testing.T) {
	p, s := running(t, tcplatform.Options{Front: tcplatform.Front{RequireSession: true}})
	for name, header := range map[string]http.Header{"without": nil, "made up": {"Cookie": {"JSESSIONID=x"}}} {
		if response, _ := do(t, "GET", s.URL()+"/x", nil, header); response.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, response.StatusCode)
		}
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	visitor := &http.Client{Jar: jar}
	for _, address := range []string{p.URL() + "/services", s.URL() + "/x"} {
		response, err := visitor.Get(address)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", address, response.StatusCode)
		}
	}
}

// Whether a message names who called is not known. Where it does the App takes it up, and else what the caller sent says.
func TestCallers(t *testing.T) {
	t.Parallel()
	_, silent := running(t, tcplatform.Options{})
	_, named := running(t, tcplatform.Options{CallerMember: "userName", CallerName: "jdoe"})
	_, dropped := running(t, tcplatform.Options{DroppedHeaders: []string{"authorization"}})
	signed := http.Header{"Authorization": {"TC 123456789012:c2lnbmVk"}}
	for name, test := range map[string]struct {
		service *tcplatform.Service
		header  http.Header
		want    string
	}{
		"a browser": {silent, nil, ""}, "a script": {silent, signed, "API user …9012"}, "a script without headers": {dropped, signed, ""},
		"a browser that is named": {named, nil, "jdoe"}, "a script that is named": {named, signed, "jdoe"},
	} {
		if got := echo(t, "GET", test.service.URL()+"/x", nil, test.header).Caller; got != test.want {
			t.Errorf("%s is %q, want %q", name, got, test.want)
		}
	}
}
