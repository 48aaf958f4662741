package sentinelserver

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// try makes a request whose connection may be cut.
func (c call) try(s *Server) (status int, header http.Header, body string) {
	defer func() {
		if err, ok := recover().(error); ok && errors.Is(err, http.ErrAbortHandler) {
			status = 0
		}
	}()
	w := c.do(s)
	return w.Code, w.Header(), w.Body.String()
}

func TestFaults(t *testing.T) {
	tests := map[string]struct {
		fault  Fault
		status int // 0 means cut
		header string
		want   string
		took   time.Duration
		stored int
	}{
		"status":            {Fault{Kind: Status}, 503, "", `"statusCode":503`, 0, 0},
		"internal":          {Fault{Kind: Status, Status: 500}, 500, "", `"activityId":"`, 0, 0},
		"page":              {Fault{Kind: Status, Status: 502, Form: "html"}, 502, "", "<html>", 0, 0},
		"empty":             {Fault{Kind: Status, Status: 400, Form: "empty"}, 400, "", "", 0, 0},
		"envelope":          {Fault{Kind: Status, Status: 400}, 400, "", `"code":"BadRequest"`, 0, 0},
		"200 of a stranger": {Fault{Kind: Status, Status: 200, Form: "foreign"}, 200, "", `"blocked"`, 0, 0},
		"body":              {Fault{Kind: Status, Status: 200, Body: "[]"}, 200, "", "[]", 0, 0},
		"text":              {Fault{Kind: Status, Status: 403, Form: "text"}, 403, "", "error code", 0, 0},
		"xml":               {Fault{Kind: Status, Status: 400, Form: "xml"}, 400, "", "<Code>InvalidInput</Code>", 0, 0},
		"role":              {Fault{Kind: Status, Status: 404, Form: "role"}, 404, "", "UnauthorizedAccess", 0, 0},
		"batch, a page":     {Fault{Kind: RefuseBatch, Status: 403, Form: "html"}, 403, "", "<html>", 0, 0},
		"batch, a problem":  {Fault{Kind: RefuseBatch, Form: "problem"}, 400, "", `"stixobjects[0].pattern"`, 0, 0},
		"other audience":    {Fault{Kind: Unauthorized, Form: "empty"}, 401, "", "", 0, 0},
		"429":               {Fault{Kind: Throttle, Seconds: 37}, 429, "37", "Try again in 37 seconds.", 0, 0},
		"429 date":          {Fault{Kind: Throttle, Seconds: 37, Form: "date"}, 429, "Sat, 01 Jan 2000 00:00:37 GMT", "Try again", 0, 0},
		"429 message":       {Fault{Kind: Throttle, Seconds: 37, Form: "message"}, 429, "", "Try again in 37 seconds.", 0, 0},
		"429 page":          {Fault{Kind: Throttle, Form: "html"}, 429, "", "<html>", 0, 0},
		"429 empty":         {Fault{Kind: Throttle, Form: "empty"}, 429, "", "", 0, 0},
		"slow":              {Fault{Kind: Slow, Seconds: 3}, 200, "", "", 3 * time.Second, 1},
		"hangs for a while": {Fault{Kind: Hang, Seconds: 3}, 200, "", "", 3 * time.Second, 1},
		"cut before":        {Fault{Kind: CutBefore}, 0, "", "", 0, 0},
		"cut after":         {Fault{Kind: CutAfter}, 0, "", "", 0, 1},
		"reply":             {Fault{Kind: Reply, Status: 202, Body: "odd"}, 202, "", "odd", 0, 1},
		"unauthorized":      {Fault{Kind: Unauthorized}, 401, "", "Unauthorized", 0, 0},
		"forbidden":         {Fault{Kind: Forbidden}, 403, "", "Forbidden", 0, 0},
		"batch":             {Fault{Kind: RefuseBatch, Match: "198.51.100.1'"}, 400, "", "BadRequest", 0, 0},
		"batch by id":       {Fault{Kind: RefuseBatch, Status: 413, Match: indicator(1)["id"].(string)}, 413, "", "", 0, 0},
		"another batch":     {Fault{Kind: RefuseBatch, Match: "198.51.100.2'"}, 200, "", "", 0, 1},
		"another source":    {Fault{Kind: RefuseBatch, Source: "other"}, 200, "", "", 0, 1},
		"record":            {Fault{Kind: RefuseRecord, Match: "198.51.100.1'"}, 400, "", `"recordIndex":0`, 0, 0},
		"later":             {Fault{Kind: Status, After: 1}, 200, "", "", 0, 1},
		"of the login":      {Fault{Kind: TokenCut}, 200, "", "", 0, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, start := New(testOptions()), time.Now()
				if err := s.Inject(tt.fault); err != nil {
					t.Fatal(err)
				}
				status, header, body := call{}.try(s)
				if status != tt.status || status != 0 && (header.Get("Retry-After") != tt.header || !strings.Contains(body, tt.want)) || time.Since(start) != tt.took {
					t.Errorf("%d %v %s after %v", status, header, body, time.Since(start))
				}
				if n := len(s.Objects(source)); n != tt.stored {
					t.Errorf("%d stored", n)
				}
				s.ClearFaults()
				if status, _, body := (call{}).try(s); status != 200 {
					t.Errorf("afterwards: %d %s", status, body)
				}
			})
		})
	}
}

// A reply may say anything about records that are refused, but that they were taken.
func TestRepliesAboutWhatIsRefused(t *testing.T) {
	for body, want := range map[string]string{"{}": `"recordIndex":0`, "null": `"recordIndex":0`, "": `"recordIndex":0`, "<html>": "<html>", `{"value":1}`: `{"value":1}`} {
		s := New(testOptions())
		inject(t, s, Fault{Kind: RefuseRecord})
		inject(t, s, Fault{Kind: Reply, Body: body})
		if _, _, got := (call{}).try(s); !strings.Contains(got, want) || len(s.Objects(source)) != 0 {
			t.Errorf("%q: %q", body, got)
		}
	}
}

func TestLoginFaults(t *testing.T) {
	tests := map[string]struct {
		fault  Fault
		status int
		code   float64
	}{
		"status":         {Fault{Kind: TokenStatus}, 503, 0},
		"429":            {Fault{Kind: TokenStatus, Status: 429, Seconds: 5}, 429, 0},
		"expired secret": {Fault{Kind: TokenError, Code: 7000222}, 401, 7000222},
		"unknown app":    {Fault{Kind: TokenError, Code: 700016}, 400, 700016},
		"unknown tenant": {Fault{Kind: TokenError, Code: 90002}, 400, 90002},
		"blocked":        {Fault{Kind: TokenError, Code: 53003}, 401, 53003},
		"loop":           {Fault{Kind: TokenError, Code: 50196}, 429, 50196},
		"wrong secret":   {Fault{Kind: TokenError}, 401, 7000215},
		"slow":           {Fault{Kind: TokenSlow, Seconds: 1}, 200, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := New(testOptions())
				inject(t, s, tt.fault)
				status, body := login(s, loginForm(), tenant)
				codes, _ := body["error_codes"].([]any)
				if status != tt.status || tt.code != 0 && (len(codes) == 0 || codes[0] != tt.code) {
					t.Fatalf("%d %v", status, body)
				}
			})
		})
	}
}

func TestShortToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(testOptions())
		inject(t, s, Fault{Kind: TokenShort, Seconds: 300})
		_, body := login(s, loginForm(), tenant)
		if body["expires_in"] != 300.0 {
			t.Fatalf("got %v", body)
		}
		token := "Bearer " + body["access_token"].(string)
		time.Sleep(299 * time.Second)
		if w := (call{token: token}).do(s); w.Code != 200 {
			t.Errorf("before its end: %d", w.Code)
		}
		time.Sleep(time.Second)
		if w := (call{token: token}).do(s); w.Code != 401 {
			t.Errorf("after its end: %d", w.Code)
		}
	})
}

func TestByteOrderMark(t *testing.T) {
	o := testOptions()
	o.ByteOrderMark = true
	s := New(o)
	if w := (call{token: "none"}).do(s); !strings.HasPrefix(w.Body.String(), "\uFEFF{") {
		t.Errorf("begins with %q", w.Body)
	}
	if w := (call{}).do(s); w.Code != 200 || w.Body.Len() > 0 {
		t.Errorf("an empty answer: %d %q", w.Code, w.Body)
	}
}

// inject makes a fault that the stand-in knows.
func inject(t *testing.T, s *Server, f Fault) {
	t.Helper()
	if err := s.Inject(f); err != nil {
		t.Fatal(err)
	}
}

func TestFaultsAtRandom(t *testing.T) {
	s := New(testOptions())
	inject(t, s, Fault{Kind: Status, Rate: 0.3, Count: -1})
	failed := 0
	for range 1000 {
		if (call{}).do(s).Code == 503 {
			failed++
		}
	}
	if failed < 200 || failed > 400 {
		t.Fatalf("%d of 1000 failed", failed)
	}
}

func TestThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := testOptions()
		o.Limit = 3
		o.Apps = append(o.Apps, App{TenantID: tenant, ClientID: "other", ClientSecret: secret})
		s := New(o)
		for i, tt := range []struct {
			sleep  time.Duration
			token  string
			status int
			header string
		}{
			{0, "", 200, ""},
			{10 * time.Second, "", 200, ""},
			{10 * time.Second, "", 200, ""},
			{10 * time.Second, "", 429, "30"},
			{0, s.IssueToken("other", audience, time.Hour), 200, ""},
			{30*time.Second - time.Nanosecond, "", 429, "1"},
			{time.Nanosecond, "", 200, ""},
			{0, "", 429, "10"},
		} {
			time.Sleep(tt.sleep)
			c := call{}
			if tt.token != "" {
				c.token = "Bearer " + tt.token
			}
			if w := c.do(s); w.Code != tt.status || w.Header().Get("Retry-After") != tt.header {
				t.Errorf("request %d: %d %v", i, w.Code, w.Header())
			}
		}
		if n := s.MaxInWindow(false); n != 6 { // the refused ones among them
			t.Errorf("%d requests in a window", n)
		}
	})
}

// A call counts at its worst instant: one that began long ago but was answered within the window is in it.
func TestMaxInWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(testOptions())
		inject(t, s, Fault{Kind: Slow, Seconds: 50})
		call{}.do(s)
		time.Sleep(30 * time.Second)
		call{}.do(s)
		if plain, worst := s.MaxInWindow(false), s.MaxInWindow(true); plain != 1 || worst != 2 {
			t.Errorf("%d, at worst %d", plain, worst)
		}
	})
}
