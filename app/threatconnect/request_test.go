package threatconnect

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const page = `<!DOCTYPE html><html><body>Sign in to corp-proxy-7</body></html>`

func refusal(code, message string) string {
	return fmt.Sprintf(`{"errCode":%q,"message":%q,"status":"Error"}`, code, message)
}

// Each refusal says what it is, what to do, and whether asking again makes sense.
func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name           string
		resp           func() *http.Response
		tql, permanent bool
		tries          int
		says           []string
	}{
		{"bad TQL", func() *http.Response {
			return reply(400, refusal("0x2001", "Syntax error(s) found with your TQL query. Check your query and try again."))
		}, true, true, 1, []string{"answered 400: Syntax error(s) found with your TQL query. Check your query and try again"}},
		{"bad TQL with 200", func() *http.Response { return reply(200, refusal("0x2001", "Syntax error(s)")) }, true, true, 1, []string{"Syntax error(s)"}},
		{"bad request without code", func() *http.Response { return reply(400, `{"message":"no such sort"}`) }, true, true, 1, []string{"no such sort"}},
		{"timeout as 400", func() *http.Response { return reply(400, refusal("0x1001", "The query timed out")) }, false, false, 4,
			[]string{"The query timed out. The query takes ThreatConnect too long", "Custom TQL Timeout"}},
		{"wrong key", func() *http.Response { return reply(401, `{"message":"Access Denied","status":"Error"}`) }, false, true, 2,
			[]string{"401: Access Denied. Check ThreatConnect Access ID and ThreatConnect Secret Key"}},
		{"clock", func() *http.Response {
			return reply(401, `{"message":"Timestamp out of acceptable time range"}`, "Date", time.Now().Add(7*time.Minute).UTC().Format(http.TimeFormat))
		}, false, true, 2, []string{"The clock of this machine differs from ThreatConnect's by 7m", "set it right"}},
		{"not allowed", func() *http.Response { return reply(403, refusal("0x1003", "The requested owner was not found")) }, false, true, 1,
			[]string{"403: The requested owner was not found. Give the API user access"}},
		{"wrong path", func() *http.Response { return reply(404, `nothing here`) }, false, true, 1, []string{"404: Not Found. Check the API path (tc_api_path)"}},
		{"redirect", func() *http.Response { return reply(302, page, "Location", "https://login.example/a?token=x") }, false, true, 1,
			[]string{`It sends us to "login.example"`}},
		{"proxy page with 200", func() *http.Response { return reply(200, page) }, false, false, 4, []string{"200: a web page instead of data. A proxy"}},
		{"proxy page with 403", func() *http.Response { return reply(403, " \n"+page) }, false, true, 1, []string{"403: a web page instead of data. A proxy"}},
		{"proxy page with 400", func() *http.Response { return reply(400, page, "Content-Type", "text/html") }, false, true, 1, []string{"a web page"}},
		{"proxy wants a password", func() *http.Response { return reply(407, page) }, false, true, 1, []string{"The proxy wants a user name and a password"}},
		{"HTML in a message", func() *http.Response { return reply(500, `{"message":"<html><b>corp-proxy-7</b></html>"}`) }, false, false, 4, []string{"500: Internal Server Error"}},
		{"markup in a message", func() *http.Response { return reply(500, `{"message":"<b>corp-proxy-7</b>"}`) }, false, false, 4, []string{"500: Internal Server Error"}},
		{"error with 200", func() *http.Response { return reply(200, `{"status":"Error","message":"An internal error occurred"}`) }, false, false, 4, []string{"An internal error occurred"}},
		{"failure with 200 and code", func() *http.Response { return reply(200, refusal("0x1003", "No permission")) }, false, true, 1, []string{"No permission. Give the API user access"}},
		{"unlicensed", func() *http.Response {
			return reply(503, `{"message":"API access has not been licensed for this system, please contact sales"}`)
		}, false, true, 1, []string{"has not been licensed"}},
		{"unavailable", func() *http.Response { return reply(503, ``) }, false, false, 4, []string{"503: Service Unavailable"}},
		{"request timeout", func() *http.Response { return reply(408, `{"message":"busy"}`) }, false, false, 4, []string{"408: busy"}},
		{"gateway timeout", func() *http.Response { return reply(504, ``) }, false, false, 4, []string{"504: Gateway Timeout"}},
		{"too many", func() *http.Response { return reply(429, `{"message":"slow down"}`) }, false, false, 4, []string{"429: slow down. ThreatConnect takes no more requests"}},
		{"long message", func() *http.Response { return reply(400, `{"message":"`+strings.Repeat("é", 600)+`\n\u0000x"}`) }, true, true, 1, []string{"éé…"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tries := 0
				_, err := client(roundTrip(func(*http.Request) (*http.Response, error) {
					tries++
					return c.resp(), nil
				})).Count(t.Context(), hosts)
				var refused *Error
				if !errors.As(err, &refused) {
					t.Fatalf("got %v", err)
				}
				if refused.IsTQL() != c.tql || refused.Permanent() != c.permanent || tries != c.tries {
					t.Errorf("IsTQL %t, Permanent %t, %d tries", refused.IsTQL(), refused.Permanent(), tries)
				}
				for _, part := range c.says {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("%q does not say %q", err, part)
					}
				}
				if text := err.Error(); strings.Contains(text, "corp-proxy-7") || strings.Contains(text, "<") || strings.ContainsAny(text, "\n\x00") || len(text) > 1000 {
					t.Errorf("says too much: %q", text)
				}
			})
		})
	}
}

// A byte order mark before an answer is no part of it, whatever the answer is.
func TestByteOrderMark(t *testing.T) {
	const mark = "\xEF\xBB\xBF"
	answering := func(resp *http.Response) *Client {
		return client(roundTrip(func(*http.Request) (*http.Response, error) { return resp, nil }))
	}
	if n, err := answering(reply(200, mark+`{"data":[],"count":5,"status":"Success"}`)).Count(t.Context(), hosts); n != 5 || err != nil {
		t.Errorf("counted %d, %v", n, err)
	}
	owners := answering(reply(200, mark+"\r\n"+`{"data":[{"id":1,"name":"Acme"}],"count":1,"status":"Success"}`))
	if list, err := owners.Owners(t.Context()); len(list) != 1 || err != nil {
		t.Errorf("owners %v, %v", list, err)
	}
	var refused *Error
	_, err := answering(reply(400, mark+refusal("0x2001", "Syntax error"))).Count(t.Context(), hosts)
	if !errors.As(err, &refused) || !refused.IsTQL() {
		t.Errorf("a refusal: %v", err)
	}
	_, err = answering(reply(403, mark+page)).Count(t.Context(), hosts)
	if !errors.As(err, &refused) || !refused.foreign {
		t.Errorf("a page: %v", err)
	}
}

// Each fault that passes is survived, and no try is made earlier than it may be.
func TestPassingFaults(t *testing.T) {
	good := `{"data":[],"count":5,"status":"Success"}`
	for _, c := range []struct {
		name   string
		faults []func(*http.Request) (*http.Response, error)
		least  time.Duration
		most   time.Duration
	}{
		{"500, 502, 504", []func(*http.Request) (*http.Response, error){status(500, ""), status(502, page), status(504, "")}, time.Second, 4 * time.Second},
		{"401 once", []func(*http.Request) (*http.Response, error){status(401, `{"message":"Unauthorized"}`)}, 0, time.Second},
		{"401 in between", []func(*http.Request) (*http.Response, error){status(503, ""), status(401, ""), status(503, "")}, time.Second, 4 * time.Second},
		{"Retry-After in seconds", []func(*http.Request) (*http.Response, error){status(429, "", "Retry-After", "17")}, 17 * time.Second, 17 * time.Second},
		{"Retry-After as a date", []func(*http.Request) (*http.Response, error){func(r *http.Request) (*http.Response, error) {
			return reply(503, "", "Retry-After", time.Now().Add(20*time.Second).UTC().Format(http.TimeFormat)), nil
		}}, 20 * time.Second, 20 * time.Second},
		{"Retry-After that makes no sense", []func(*http.Request) (*http.Response, error){status(429, "", "Retry-After", "-3")}, 0, time.Second},
		{"broken connection", []func(*http.Request) (*http.Response, error){broken(io.ErrUnexpectedEOF), broken(&net.DNSError{Err: "no such host"})}, 0, 3 * time.Second},
		{"JSON that breaks off", []func(*http.Request) (*http.Response, error){status(200, `{"data":[{"id":1},{"i`)}, 0, time.Second},
		{"empty answer", []func(*http.Request) (*http.Response, error){status(200, ``)}, 0, time.Second},
		{"no list", []func(*http.Request) (*http.Response, error){status(200, `{"count":5,"status":"Success"}`)}, 0, time.Second},
		{"login page", []func(*http.Request) (*http.Response, error){status(200, page)}, 0, time.Second},
		{"body that breaks off", []func(*http.Request) (*http.Response, error){func(*http.Request) (*http.Response, error) {
			resp := reply(200, good)
			resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(good[:10]), failing{}))
			return resp, nil
		}}, 0, time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				n, err := client(roundTrip(func(r *http.Request) (*http.Response, error) {
					if len(c.faults) > 0 {
						fault := c.faults[0]
						c.faults = c.faults[1:]
						return fault(r)
					}
					if r.Header.Get("Timestamp") != fmt.Sprint(time.Now().Unix()) {
						t.Errorf("not signed afresh: %s", r.Header.Get("Timestamp"))
					}
					return reply(200, good), nil
				})).Count(t.Context(), hosts)
				if n != 5 || err != nil {
					t.Fatal(n, err)
				}
				if took := time.Since(began); took < c.least || took > c.most {
					t.Errorf("took %s, not %s to %s", took, c.least, c.most)
				}
			})
		})
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func status(code int, body string, headers ...string) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) { return reply(code, body, headers...), nil }
}

func broken(err error) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) { return nil, err }
}

// Someone who waits hears the reason at once when the wait would outlast him.
func TestWaitLongerThanTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 25*time.Second)
		defer cancel()
		began := time.Now()
		_, err := client(roundTrip(status(429, "", "Retry-After", "60"))).Count(ctx, hosts)
		var refused *Error
		if !errors.As(err, &refused) || refused.Status != 429 || time.Since(began) > 0 {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}

func TestCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			time.Sleep(time.Second)
			cancel()
		}()
		tries := 0
		_, err := client(roundTrip(func(r *http.Request) (*http.Response, error) {
			tries++
			<-r.Context().Done()
			return nil, r.Context().Err()
		})).Count(ctx, hosts)
		if !errors.Is(err, context.Canceled) || tries != 1 {
			t.Errorf("%v after %d tries", err, tries)
		}
	})
}

// A ThreatConnect that hangs is given up at last, try by try, and asked for less each time.
func TestHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var limits []string
		c := client(roundTrip(func(r *http.Request) (*http.Response, error) {
			limits = append(limits, r.URL.Query().Get("resultLimit"))
			<-r.Context().Done()
			return nil, r.Context().Err()
		}))
		err := newLedger().download(c, Selection{Query: hosts})
		if err == nil || errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "did not answer within 4m0s") {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took > 20*time.Minute {
			t.Errorf("took %s", took)
		}
		if got := strings.Join(limits, " "); got != "1000 500 250 125" {
			t.Errorf("asked for %s", got)
		}
	})
}

// A real server over connections in memory: it accepts, and then says nothing.
func TestHangsOverAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go func() {
				defer theirs.Close()
				io.Copy(io.Discard, theirs)
			}()
			return ours, nil
		}}
		defer transport.CloseIdleConnections()
		c := client(transport)
		c.base = "http://tc.example/api"
		ctx, cancel := context.WithTimeout(t.Context(), 25*time.Second)
		defer cancel()
		began := time.Now()
		if _, err := c.Count(ctx, hosts); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 25*time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}

func TestNetworkRemedies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for says, fault := range map[string]error{
			"Check the host name of the API path":    &net.DNSError{Err: "no such host", Name: "tc.example", IsNotFound: true},
			"Check the network, the firewall":        &net.OpError{Op: "dial", Err: errors.New("connection refused")},
			"Its certificate is not trusted":         &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}},
			"tc.example gives no usable answer: EOF": io.EOF,
		} {
			_, err := client(roundTrip(broken(fault))).Count(t.Context(), hosts)
			if err == nil || !strings.Contains(err.Error(), says) || !errors.Is(err, fault) {
				t.Errorf("%v does not say %q", err, says)
			}
			if strings.Contains(err.Error(), "tql=") {
				t.Errorf("repeats the query: %v", err)
			}
		}
	})
}

// Trying again does not make a certificate better.
func TestCertificateIsNotTriedAgain(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	server.StartTLS()
	defer server.Close()
	var log bytes.Buffer
	c := New(Options{BaseURL: server.URL, SecretKey: func() string { return testSecret }, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if _, err := c.Count(t.Context(), hosts); err == nil || !strings.Contains(err.Error(), "not trusted") {
		t.Error(err)
	}
	if log.Len() > 0 {
		t.Errorf("asked again: %s", &log)
	}
}

// The connection is cut in the middle of a page, for real.
func TestConnectionCut(t *testing.T) {
	tries := 0
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body := `{"data":[{"id":1,"type":"Host"}],"count":1,"status":"Success"}`
		if tries++; tries == 1 {
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
			io.WriteString(w, body[:20])
			panic(http.ErrAbortHandler)
		}
		io.WriteString(w, body)
	})
	if n, err := c.Count(t.Context(), hosts); n != 1 || err != nil || tries != 2 {
		t.Error(n, err, tries)
	}
}

// From 2,000 encoded characters on the parameters travel in the body, and the path alone is signed; serve checks that.
func TestLongQueries(t *testing.T) {
	var got *http.Request
	var asked url.Values
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Clone(context.Background())
		var err error
		if asked, err = parameters(r); err != nil {
			t.Error(err)
		}
		io.WriteString(w, `{"data":[{"id":1,"type":"Host","ownerName":"demo organization"}],"count":1,"status":"Success"}`)
	})
	q := hosts
	for q.TQL = `summary != "é & <b>"`; ; q.TQL += ` and summary != "+x"` {
		r := c.newReader(Selection{Query: q}, exportFields)
		want := r.buildParams(pageRequest{sorting: "id ASC", count: true})
		want["resultLimit"] = []string{"10"}
		if _, err := c.First(t.Context(), q, 10); err != nil {
			t.Fatal(err)
		}
		if asked.Encode() != want.Encode() {
			t.Fatalf("got %v, want %v", asked, want)
		}
		long := len(want.Encode()) >= 2000
		if long != (got.URL.RawQuery == "") || long != (got.Header.Get("Content-Type") == "application/json") || got.Method != http.MethodGet {
			t.Fatalf("%d characters: %s %s", len(want.Encode()), got.Method, got.RequestURI)
		}
		if long {
			break
		}
	}
}

// In the body the parameters have the types that they have in ThreatConnect's own clients.
func TestParametersInTheBody(t *testing.T) {
	if q := newRequest("/x", url.Values{"tql": {strings.Repeat("x", 1999-len("tql="))}}); q.body != nil || len(q.query) != 1999 {
		t.Errorf("1,999 characters travel as %d in the query, %d in the body", len(q.query), len(q.body))
	}
	long := strings.Repeat("x", 2000-len("tql="))
	if q := newRequest("/x", url.Values{"tql": {long}}); q.query != "" || string(q.body) != `{"data":{"tql":"`+long+`"}}` {
		t.Errorf("2,000 characters travel as %d in the query, %d in the body", len(q.query), len(q.body))
	}
	q := newRequest("/x", url.Values{"tql": {long}, "fields": {"tags"}, "resultStart": {"0"}, "resultLimit": {"10"}, "count": {"true"}, "createActivityLog": {"false"}})
	if want := `{"data":{"count":true,"createActivityLog":false,"fields":["tags"],"resultLimit":10,"resultStart":0,"tql":"` + long + `"}}`; string(q.body) != want {
		t.Errorf("got %s", q.body)
	}
}

// A restart of ThreatConnect does not cost a download, nor does one that takes minutes.
func TestDownloadOutlastsARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, f := time.Now(), newFake(10)
		f.before = func(n int, _ url.Values) *http.Response {
			if n < 10 {
				return reply(503, "")
			}
			return nil
		}
		l := newLedger()
		if err := l.download(client(f), Selection{Query: hosts}); err != nil || len(l.seen) != 10 || time.Since(began) < 90*time.Second {
			t.Errorf("%v after %v, %d indicators", err, time.Since(began), len(l.seen))
		}
	})
}

// ThreatConnect cannot make us wait for longer than minutes at a time.
func TestRetryAfterIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, f := time.Now(), newFake(1)
		f.before = func(n int, _ url.Values) *http.Response {
			if n == 1 {
				return reply(429, "", "Retry-After", "86400")
			}
			return nil
		}
		if err := newLedger().download(client(f), Selection{Query: hosts}); err != nil || time.Since(began) != 5*time.Minute {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// A ThreatConnect that ignores the body answers with everything it has: that must not reach Sentinel, nor may it pass for
// what was set inactive. Where its rows look right, the missing count gives it away.
func TestBodyIgnored(t *testing.T) {
	long := hosts
	long.TQL = "summary in (" + strings.Repeat(`"x",`, 600) + `"y")`
	many := make([]string, 200)
	for i := range many {
		many[i] = fmt.Sprintf("Owner number %d", i)
	}
	for _, stranger := range []string{`{"id":1,"type":"Mutex","ownerName":"Demo Organization"}`, `{"id":1,"type":"Host","ownerName":"Another"}`,
		`{"id":1,"type":"Host","ownerName":"Demo Organization"}`} {
		c := client(roundTrip(status(200, `{"data":[`+stranger+`],"status":"Success"}`)))
		handedOver := errors.New("handed over")
		for name, err := range map[string]error{
			"keyset":   c.Download(t.Context(), Selection{Query: long}, func(Page) error { return handedOver }, nil),
			"ids":      c.Download(t.Context(), Selection{Query: long, IDs: []int64{1}}, func(Page) error { return handedOver }, nil),
			"inactive": c.Inactive(t.Context(), append(many, "Demo Organization"), hosts.Types, time.Time{}, func([]int64) error { return handedOver }),
		} {
			var refused *Error
			if !errors.As(err, &refused) || !refused.IsTQL() || !strings.Contains(err.Error(), "shorten the TQL") {
				t.Errorf("%s of %s: got %v", name, stranger, err)
			}
		}
	}
}

// An answer without end is cut off, and less is asked for.
func TestAnswerTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(10)
		f.before = func(n int, asked url.Values) *http.Response {
			if n == 1 {
				resp := reply(200, "")
				resp.ContentLength = -1
				resp.Body = io.NopCloser(endless{})
				return resp
			}
			return nil
		}
		l := newLedger()
		if err := l.download(client(f), Selection{Query: hosts}); err != nil || len(l.seen) != 10 {
			t.Error(err, l.seen)
		}
		if f.asked[1].Get("resultLimit") != "250" {
			t.Errorf("asked for %s", f.asked[1].Get("resultLimit"))
		}
	})
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// Secrets stay out of errors and logs, and the whole of a client can be printed.
func TestSecretsStaySecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		c := New(Options{BaseURL: "https://tc.example", AccessID: testID, SecretKey: func() string { return testSecret },
			Transport: roundTrip(status(500, "")), Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
		_, err := c.Count(t.Context(), hosts)
		text := fmt.Sprintf("%v %+v %s", err, c.options, &log)
		if strings.Contains(text, testSecret) || strings.Contains(text, "Authorization") {
			t.Error("the secret shows")
		}
		if log.Len() == 0 {
			t.Error("repeated tries are not logged")
		}
	})
}
