package tcserver

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func inject(t *testing.T, s *Server, f Fault) {
	t.Helper()
	if err := s.Inject(f); err != nil {
		t.Fatal(err)
	}
}

func TestFaultsOfCalls(t *testing.T) {
	tests := map[string]struct {
		fault  Fault
		status int
		kind   string
		body   string // part of it
	}{
		"401 once":       {Fault{Kind: Status, Status: 401}, 401, "application/json", `"errCode":"0x1002"`},
		"500":            {Fault{Kind: Status, Status: 500}, 500, "application/json", `"status":"Error"`},
		"502 as a page":  {Fault{Kind: Status, Status: 502, Form: "html"}, 502, "text/html", "<html>"},
		"503":            {Fault{Kind: Status}, 503, "application/json", `"message":"Service Unavailable"`},
		"504 as text":    {Fault{Kind: Status, Status: 504, Form: "text", Message: "timed out"}, 504, "text/plain", "timed out"},
		"empty":          {Fault{Kind: Status, Status: 500, Form: "empty"}, 500, "", ""},
		"429":            {Fault{Kind: Throttle, Seconds: 7}, 429, "application/json", "Too many requests"},
		"invalid TQL":    {Fault{Kind: TQLRefuse}, 400, "application/json", `"errCode":"0x2001"`},
		"soft":           {Fault{Kind: SoftError}, 200, "application/json", `"status":"Error"`},
		"page of people": {Fault{Kind: HTMLPage}, 200, "text/html", "<html>"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newTest(t, Options{})
			inject(t, s, test.fault)
			w := call(s, "GET", listPath, "")
			if w.Code != test.status || !strings.Contains(w.Header().Get("Content-Type"), test.kind) || !strings.Contains(w.Body.String(), test.body) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if r := s.Requests()[0]; r.Fault != test.fault.Kind || r.Status != test.status {
				t.Errorf("remembered as %+v", r)
			}
			if w := call(s, "GET", listPath, ""); w.Code != 200 {
				t.Errorf("the second time: %d", w.Code)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	s := newTest(t, Options{})
	for form, want := range map[string]func(string) bool{
		"": func(v string) bool { return v == "30" }, "none": func(v string) bool { return v == "" },
		"date": func(v string) bool {
			at, err := http.ParseTime(v)
			return err == nil && time.Until(at) > 20*time.Second
		},
	} {
		inject(t, s, Fault{Kind: Throttle, Seconds: 30, Form: form})
		if got := call(s, "GET", listPath, "").Header().Get("Retry-After"); !want(got) {
			t.Errorf("%q: %q", form, got)
		}
	}
}

func TestFaultsOfPages(t *testing.T) {
	s := newTest(t, Options{})
	first := get(t, s, listPath+"?resultLimit=10")
	inject(t, s, Fault{Kind: RepeatedPage})
	if l := get(t, s, first.Next); !slices.Equal(l.ids(), first.ids()) || l.Next == "" {
		t.Error("the page is not repeated")
	}
	// By the ids as well, but never what another reading got.
	byIDs := func(where string) list {
		return get(t, s, listPath+"?resultLimit=10&sorting=id+ASC&tql="+url.QueryEscape(`typeName = "Host"`+where))
	}
	hosts := byIDs("")
	inject(t, s, Fault{Kind: RepeatedPage})
	if l := get(t, s, first.Next); slices.Equal(l.ids(), hosts.ids()) {
		t.Error("a page of another selection is repeated")
	}
	if l := byIDs(""); !slices.Equal(l.ids(), hosts.ids()) {
		t.Error("the first page is not the first one")
	}
	if l := byIDs(fmt.Sprint(" and id > ", hosts.ids()[9])); !slices.Equal(l.ids(), hosts.ids()) {
		t.Error("the page is not repeated by the ids")
	}
	inject(t, s, Fault{Kind: EmptyPage})
	if l := get(t, s, first.Next); len(l.Data) != 0 || l.Next == "" {
		t.Error("the page is not empty")
	}
	inject(t, s, Fault{Kind: DamagedRow})
	l := get(t, s, first.Next+"&x=y")
	if len(l.Data) != 10 || l.Data[5]["id"] != "none" || l.Data[4]["summary"] == nil || l.Data[6]["summary"] == nil {
		t.Errorf("no damaged row: %v", l.Data)
	}
	inject(t, s, Fault{Kind: Malformed})
	if w := call(s, "GET", listPath, ""); w.Code != 200 || json.Valid(w.Body.Bytes()) {
		t.Error("the body is whole")
	}
}

func TestWhichRequestsAFaultStrikes(t *testing.T) {
	s := newTest(t, Options{Seed: 3})
	inject(t, s, Fault{Kind: Status, After: 1, Count: 2, Path: listPath, Match: "Published"})
	codes := ""
	for _, target := range []string{"?owner=Published+Reports", "?tql=ownerName+%3D+%22Published+Reports%22", "?owner=Demo+Organization", "", "?owner=Published+Reports", "?owner=Published+Reports"} {
		codes += string(call(s, "GET", listPath+target, "").Result().Status[0])
	}
	if codes != "252252" {
		t.Errorf("codes %s", codes)
	}
	s.ClearFaults()
	inject(t, s, Fault{Kind: Status, Count: -1, Rate: 0.5})
	failed := 0
	for range 200 {
		failed += int(toInt(call(s, "GET", "/api/v2/owners/mine", "").Code == 503))
	}
	if failed < 60 || failed > 140 {
		t.Errorf("half of 200 is not %d", failed)
	}
	for _, f := range []Fault{{Kind: "x"}, {Kind: Slow}, {Kind: Status, Status: 42}, {Kind: Status, Rate: 2}} {
		if s.Inject(f) == nil {
			t.Errorf("%+v is taken", f)
		}
	}
}

// pipeListener accepts connections that its dial makes.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
}

func newPipeListener() *pipeListener { return &pipeListener{make(chan net.Conn), make(chan struct{})} }

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { close(l.done); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.IPAddr{} }

func (l *pipeListener) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	l.conns <- server
	return client, nil
}

// ask makes a request over a connection.
func ask(client *http.Client, url string) (string, error) {
	r, err := http.NewRequest("GET", url, nil)
	if err != nil {
		return "", err
	}
	r.Header.Set("Authorization", "TC-Token "+testToken)
	response, err := client.Do(r)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	return string(b), err
}

func TestBrokenConnections(t *testing.T) {
	s := newTest(t, Options{})
	server := httptest.NewServer(s)
	defer server.Close()
	inject(t, s, Fault{Kind: CutBefore})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	if body, err := ask(client, server.URL+listPath); err == nil {
		t.Errorf("cut: %.100s", body)
	}
	inject(t, s, Fault{Kind: Truncated})
	if body, err := ask(client, server.URL+listPath); err == nil || !strings.HasPrefix(body, `{"next":`) {
		t.Errorf("truncated: %v %.100s", err, body)
	}
	if body, err := ask(client, server.URL+listPath); err != nil || !json.Valid([]byte(body)) {
		t.Errorf("afterwards: %v %.100s", err, body)
	}
}

func TestDelaysInSimulatedTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{Population: small, Tokens: []string{testToken}})
		l := newPipeListener()
		server := &http.Server{Handler: s}
		go server.Serve(l) //nolint:errcheck // ends with the listener
		defer server.Close()
		client := &http.Client{Transport: &http.Transport{DialContext: l.dial, DisableKeepAlives: true}, Timeout: 10 * time.Minute}
		inject(t, s, Fault{Kind: Slow, Seconds: 125})
		start := time.Now()
		if _, err := ask(client, "http://standin"+listPath); err != nil || time.Since(start) != 125*time.Second {
			t.Errorf("slow: %v after %v", err, time.Since(start))
		}
		inject(t, s, Fault{Kind: Hang})
		start = time.Now()
		if _, err := ask(client, "http://standin"+listPath); err == nil || time.Since(start) != 10*time.Minute {
			t.Errorf("hang: %v after %v", err, time.Since(start))
		}
		synctest.Wait()
	})
}
