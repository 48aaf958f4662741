package sentinel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"mssentinel/app/standin/sentinelserver"
)

// What was uploaded is counted, listed in pages, found by its id, and shown row by row.
func TestReadBack(t *testing.T) {
	w := fillWorkspace(t)
	counts, err := w.client.CountStanding(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	var short []string
	for _, c := range counts {
		short = append(short, fmt.Sprintf("%s %d %d", c.Type, c.Active, c.Expired))
		if age := time.Since(c.Newest); age < 0 || age > 14*24*time.Hour {
			t.Errorf("%s: the newest row came %v ago", c.Type, age)
		}
	}
	want := []string{" 1 0", "domain-name 0 1", "file 1 0", "ipv4-addr 1 1", "ipv6-addr 0 1", "url 1 0", "windows-registry-key 1 0"}
	if diff := cmp.Diff(want, short); diff != "" {
		t.Error(diff)
	}
	all, err := w.client.ListStanding(t.Context(), source, "", 0)
	if err != nil || len(all) != 9 {
		t.Fatalf("%d objects, %v; want 9", len(all), err)
	}
	two := all[1]
	if two.ID != stixID(2) || two.Name != "after ö 😀" || !cmp.Equal(two.Labels, []string{"a", "b'c", "ü"}) || two.Confidence != 80 || !two.Active ||
		two.Pattern != "[ipv4-addr:value = '192.0.2.2']" || two.Created.IsZero() || two.Modified.IsZero() || two.ValidFrom.IsZero() ||
		two.ValidUntil.Year() != 2099 || time.Since(two.Ingested) > time.Minute {
		t.Errorf("%+v", two)
	}
	if one, last := all[0], all[8]; one.Active || one.Confidence != -1 || one.Labels != nil || last.ID != stixID(10) || last.Active || !last.Deleted {
		t.Errorf("%+v\n%+v", one, last)
	}
	if nine := all[7]; !nine.Revoked || nine.Active {
		t.Errorf("%+v", nine)
	}
	rows, err := w.client.RawRows(t.Context(), source, []string{stixID(5), stixID(7)})
	if err != nil || len(rows) != 3 {
		t.Fatalf("%d rows, %v; want 3", len(rows), err)
	}
	for _, r := range rows {
		if r.ID == stixID(5) && (r.ObservableKey != "url:value" || r.DescriptionLength != 1000 || !r.IsActive || r.Method != "UploadApi") {
			t.Errorf("%+v", r)
		}
	}
	found, err := w.client.RawRows(t.Context(), quotedSource, []string{stixID(1), stixID(2), "' or true"})
	if err != nil || len(found) != 1 || found[0].ID != stixID(2) {
		t.Errorf("%+v %v", found, err)
	}
}

// The pages together hold each object once, whatever their size, and end in an empty one.
func TestPagesAreComplete(t *testing.T) {
	w := fillWorkspace(t)
	for _, limit := range []int{1, 2, 4, 9, 100} {
		var got []string
		for after := ""; ; {
			page, err := w.client.ListStanding(t.Context(), source, after, limit)
			if err != nil || len(page) > limit {
				t.Fatal(len(page), err)
			}
			if len(page) == 0 {
				break
			}
			for _, s := range page {
				got = append(got, s.ID)
			}
			after = page[len(page)-1].ID
		}
		if want := append(append([]string{}, w.ids[:2]...), w.ids[3:]...); !cmp.Equal(got, want) {
			t.Errorf("pages of %d: %v, want %v", limit, got, want)
		}
	}
}

// inLab runs a test in simulated time, on a workspace with three objects. Simulated time begins before they are valid.
func inLab(t *testing.T, s setup, test func(t *testing.T, l *lab)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, s)
		if _, err := l.deliver(t.Context(), objects(0, 3)); err != nil {
			t.Fatal(err)
		}
		test(t, l)
		l.quiet()
	})
}

func TestNoReadRight(t *testing.T) {
	for _, inner := range []bool{false, true} {
		inLab(t, setup{standin: sentinelserver.Options{NoReadInner: inner}}, func(t *testing.T, l *lab) {
			l.far.SetReadRight(clientID, false)
			started := time.Now()
			_, err := l.client.CountStanding(t.Context(), source)
			var missing *NoReadRight
			if !errors.As(err, &missing) || !strings.Contains(missing.Remedy, "Log Analytics Reader") || !strings.Contains(missing.Message, "insufficient access") {
				t.Fatalf("got %v", err)
			}
			if text := l.log.String(); strings.Count(text, `level=DEBUG msg="asked Log Analytics" status=403 rows=0`) != 1 {
				t.Errorf("the log says %s", text)
			}
			if time.Since(started) > 0 || len(l.far.Queries()) != 1 {
				t.Errorf("asked %d times in %v", len(l.far.Queries()), time.Since(started))
			}
			l.far.SetReadRight(clientID, true)
			if counts, err := l.client.CountStanding(t.Context(), source); err != nil || len(counts) != 1 || counts[0].Expired != 3 {
				t.Errorf("got %v %v", counts, err)
			}
		})
	}
}

// What passes by itself is asked again, a few times, with pauses.
func TestQueriesAreTriedAgain(t *testing.T) {
	for name, tt := range map[string]struct {
		fault  sentinelserver.Fault
		tries  int
		atMost time.Duration
		want   string // of the error, "" for none
	}{
		"throttled as told":   {sentinelserver.Fault{Kind: sentinelserver.QueryStatus, Status: 429, Seconds: 17}, 2, 17 * time.Second, ""},
		"throttled, untold":   {sentinelserver.Fault{Kind: sentinelserver.QueryStatus, Status: 429}, 2, time.Minute, ""},
		"throttled for ever":  {sentinelserver.Fault{Kind: sentinelserver.QueryStatus, Status: 429, Seconds: 1e6, Count: -1}, 4, 3 * time.Minute, "too many queries"},
		"out of order":        {sentinelserver.Fault{Kind: sentinelserver.QueryStatus, Status: 503, Count: 3}, 4, time.Minute, ""},
		"for too long":        {sentinelserver.Fault{Kind: sentinelserver.QueryStatus, Status: 504, Count: -1}, 4, time.Minute, "out of order"},
		"cut":                 {sentinelserver.Fault{Kind: sentinelserver.QueryCut, Count: 2}, 3, time.Minute, ""},
		"slow":                {sentinelserver.Fault{Kind: sentinelserver.QuerySlow, Seconds: 170}, 1, 170 * time.Second, ""},
		"hangs":               {sentinelserver.Fault{Kind: sentinelserver.QueryHang, Count: -1}, 4, 15 * time.Minute, "does not answer in time"},
		"a page":              {sentinelserver.Fault{Kind: sentinelserver.QueryStatus, Status: 200, Form: "html", Count: -1}, 4, time.Minute, "in place of Log Analytics"},
		"a page that refuses": {sentinelserver.Fault{Kind: sentinelserver.QueryStatus, Status: 403, Form: "html", Count: -1}, 4, time.Minute, "in place of Log Analytics"},
		"foreign":             {sentinelserver.Fault{Kind: sentinelserver.QueryStatus, Status: 403, Form: "foreign", Count: -1}, 4, time.Minute, "in place of Log Analytics"},
		"nothing":             {sentinelserver.Fault{Kind: sentinelserver.QueryStatus, Status: 200, Form: "empty", Count: -1}, 4, time.Minute, "in place of Log Analytics"},
		"another 401":         {sentinelserver.Fault{Kind: sentinelserver.QueryStatus, Status: 401, Form: "empty", Count: -1}, 2, 0, "in place of Log Analytics"},
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, setup{}, func(t *testing.T, l *lab) {
				l.inject(tt.fault)
				started := time.Now()
				counts, err := l.client.CountStanding(t.Context(), source)
				synctest.Wait() // a query that hangs ends after its client
				if took := time.Since(started); len(l.far.Queries()) != tt.tries || took > tt.atMost {
					t.Errorf("asked %d times in %v, want %d in %v", len(l.far.Queries()), took, tt.tries, tt.atMost)
				}
				switch {
				case tt.want == "" && (err != nil || len(counts) != 1 || counts[0].Expired != 3):
					t.Errorf("got %v %v", counts, err)
				case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
					t.Errorf("got %v, want %s", err, tt.want)
				}
			})
		})
	}
}

// Somebody who waits is not kept waiting for a pause that does not fit, and the service is told how long there is.
func TestQueryKeepsToItsDeadline(t *testing.T) {
	inLab(t, setup{}, func(t *testing.T, l *lab) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), 25*time.Second, errors.New("the page waits no longer"))
		defer cancel()
		l.inject(sentinelserver.Fault{Kind: sentinelserver.QueryStatus, Status: 429, Seconds: 40})
		started := time.Now()
		if _, err := l.client.CountStanding(ctx, source); err == nil || !strings.Contains(err.Error(), "too many queries") || time.Since(started) > 0 {
			t.Errorf("after %v: %v", time.Since(started), err)
		}
		l.inject(sentinelserver.Fault{Kind: sentinelserver.QueryHang})
		if _, err := l.client.CountStanding(ctx, source); err == nil || !strings.Contains(err.Error(), "does not answer in time") || time.Since(started) > 25*time.Second {
			t.Errorf("after %v: %v", time.Since(started), err)
		}
		if _, err := l.client.CountStanding(t.Context(), source); err != nil {
			t.Error(err)
		}
		hurried, cancelHurried := context.WithTimeout(t.Context(), queryMargin+time.Second/2)
		defer cancelHurried()
		if _, err := l.client.CountStanding(hurried, source); err != nil {
			t.Error(err)
		}
		queries := l.far.Queries()
		if last := queries[len(queries)-1].Prefer; last != "wait=1" {
			t.Errorf("Prefer: %q in a hurry", last)
		}
		queries = queries[:len(queries)-1]
		if queries[0].Prefer != "wait=23" || queries[len(queries)-1].Prefer != "wait=180" {
			t.Errorf("Prefer: %q, then %q", queries[0].Prefer, queries[len(queries)-1].Prefer)
		}
	})
}

func TestCancelledQueryEnds(t *testing.T) {
	inLab(t, setup{}, func(t *testing.T, l *lab) {
		ctx, cancel := context.WithCancelCause(t.Context())
		l.inject(sentinelserver.Fault{Kind: sentinelserver.QueryHang})
		stop := errors.New("the operator left")
		time.AfterFunc(5*time.Second, func() { cancel(stop) })
		if _, err := l.client.CountStanding(ctx, source); !errors.Is(err, stop) {
			t.Errorf("got %v", err)
		}
	})
}

// A part of an answer is none. A page that does not fit is asked for in a smaller one.
func TestPartialResultIsNone(t *testing.T) {
	inLab(t, setup{}, func(t *testing.T, l *lab) {
		l.inject(sentinelserver.Fault{Kind: sentinelserver.QueryPartial, Count: 2})
		var partial *PartialResult
		if counts, err := l.client.CountStanding(t.Context(), source); !errors.As(err, &partial) || counts != nil || !strings.Contains(err.Error(), "64000000 bytes") {
			t.Fatalf("got %v %v", counts, err)
		}
		page, err := l.client.ListStanding(t.Context(), source, "", 0)
		if err != nil || len(page) != 3 {
			t.Fatalf("%d objects, %v", len(page), err)
		}
		queries := l.far.Queries()
		if smaller := queries[len(queries)-1].Text; len(queries) != 3 || !strings.Contains(smaller, "top 2500 by") {
			t.Errorf("%d queries, the last is %s", len(queries), smaller)
		}
		l.inject(sentinelserver.Fault{Kind: sentinelserver.QueryPartial, Count: -1})
		if _, err := l.client.ListStanding(t.Context(), source, "", 0); !errors.As(err, &partial) {
			t.Fatalf("got %v", err)
		}
		if n := len(l.far.Queries()) - 3; n != 5 {
			t.Errorf("asked %d times before giving up, want 5", n)
		}
	})
}

// A token of the upload is not used for queries; each is renewed by itself.
func TestQueryTokens(t *testing.T) {
	inLab(t, setup{}, func(t *testing.T, l *lab) {
		for range 2 {
			if _, err := l.client.CountStanding(t.Context(), source); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			l.far.ExpireTokens()
		}
		if queries := l.far.Queries(); len(queries) != 3 || queries[1].Status != 401 {
			t.Errorf("%d queries", len(queries))
		}
		l.client.queryTokens.scope = clouds["China"].queryScope()
		_, err := l.client.CountStanding(t.Context(), source)
		var config *ConfigError
		if !errors.As(err, &config) || !strings.Contains(config.Remedy, "Azure Cloud") {
			t.Errorf("got %v", err)
		}
	})
}

// While the login is out of order, a query ends with the reason, within its few tries.
func TestQueryWithoutLogin(t *testing.T) {
	inLab(t, setup{}, func(t *testing.T, l *lab) {
		l.inject(sentinelserver.Fault{Kind: sentinelserver.TokenStatus, Status: 503, Count: -1})
		started := time.Now()
		_, err := l.client.CountStanding(t.Context(), source)
		if err == nil || !strings.Contains(err.Error(), "Microsoft Entra") || time.Since(started) > time.Minute {
			t.Errorf("after %v: %v", time.Since(started), err)
		}
	})
}

// Rows that come late are not there before.
func TestRowsComeLate(t *testing.T) {
	inLab(t, setup{standin: sentinelserver.Options{Lag: 3 * time.Minute}}, func(t *testing.T, l *lab) {
		for want := range 2 {
			if counts, err := l.client.CountStanding(t.Context(), source); err != nil || len(counts) != want {
				t.Errorf("got %v %v, want %d", counts, err, want)
			}
			time.Sleep(3 * time.Minute)
		}
	})
}

func TestRefusedQueries(t *testing.T) {
	for name, tt := range map[string]struct {
		fault sentinelserver.Fault
		want  string
	}{
		"no table":      {sentinelserver.Fault{Status: 400, Form: "no-table"}, "no table ThreatIntelIndicators"},
		"wrong query":   {sentinelserver.Fault{Status: 400}, "refuses the query (status 400)"},
		"no workspace":  {sentinelserver.Fault{Status: 404}, "Sentinel Workspace ID"},
		"no data":       {sentinelserver.Fault{Status: 204, Form: "empty"}, "no data at all"},
		"another error": {sentinelserver.Fault{Status: 412}, "refuses the query (status 412)"},
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, setup{}, func(t *testing.T, l *lab) {
				tt.fault.Kind = sentinelserver.QueryStatus
				l.inject(tt.fault)
				_, err := l.client.CountStanding(t.Context(), source)
				var config *ConfigError
				if !errors.As(err, &config) || !strings.Contains(err.Error(), tt.want) || config.Remedy == "" || len(l.far.Queries()) != 1 {
					t.Errorf("got %v after %d queries, want %s", err, len(l.far.Queries()), tt.want)
				}
			})
		})
	}
}

// Nothing is taken for an answer that has not the form of one, nor for one in another order.
func TestOtherAnswersAreNone(t *testing.T) {
	columns := make([]map[string]string, 0, 15)
	for _, name := range strings.Fields("StixId TimeGenerated Pattern Name Labels Confidence Created Modified ValidFrom ValidUntil Revoked IsActive IsDeleted LastUpdateMethod Standing") {
		columns = append(columns, map[string]string{"name": name, "type": "string"})
	}
	head, _ := json.Marshal(columns)
	row := func(id, confidence, active string) string {
		return `["` + id + `","2026-01-02T03:04:05.1234567Z","p","n","",` + confidence + `,null,null,null,null,false,true,0,"m",` + active + `]`
	}
	tables := func(rows string) string {
		return `{"tables":[{"name":"PrimaryResult","columns":` + string(head) + `,"rows":[` + rows + `]}]}`
	}
	for name, tt := range map[string]struct{ body, want string }{
		"good":                {tables(row("a", "7", "true") + "," + row("b", `"8"`, "1")), ""},
		"good with a mark":    {"\uFEFF" + tables(row("a", "null", "false")), ""},
		"no objects":          {tables(""), ""},
		"error that is empty": {strings.TrimSuffix(tables(""), "}") + `,"error":null}`, ""},
		"twice the same":      {tables(row("a", "7", "true") + "," + row("a", "7", "true")), "not the order"},
		"other order":         {tables(row("b", "7", "true") + "," + row("a", "7", "true")), "not the order"},
		"short row":           {tables(`["a"]`), "in place of Log Analytics"},
		"no tables":           {`{"tables":[]}`, "in place of Log Analytics"},
		"empty object":        {`{}`, "in place of Log Analytics"},
		"list":                {`[]`, "in place of Log Analytics"},
		"other JSON":          {`{"status":"ok","rows":[]}`, "in place of Log Analytics"},
		"cut":                 {tables(row("a", "7", "true"))[:200], "in place of Log Analytics"},
		"other column":        {strings.Replace(tables(row("a", "7", "true")), `"Pattern"`, `"Patern"`, 1), "no column Pattern"},
		"other kind":          {tables(row("a", `"x"`, "true")), "Confidence"},
		"fraction":            {tables(row("a", "7.5", "true")), "Confidence"},
		"neither":             {tables(row("a", "7", `"yes"`)), "Standing"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, setup{})
				l.client.http = &http.Client{Transport: answerQueries{l.client.http.Transport, tt.body}}
				page, err := l.client.ListStanding(t.Context(), source, "", 10)
				if tt.want == "" && err != nil || tt.want != "" && (err == nil || page != nil || !strings.Contains(err.Error(), tt.want)) {
					t.Errorf("got %v %v, want %q", page, err, tt.want)
				}
			})
		})
	}
}

// answerQueries answers every query with a body.
type answerQueries struct {
	http.RoundTripper
	body string
}

func (a answerQueries) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.HasSuffix(r.URL.Path, "/query") {
		return a.RoundTripper.RoundTrip(r)
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(a.body)), Request: r}, nil
}

// What each answer to a query means.
func TestDecideQuery(t *testing.T) {
	const table = `{"tables":[{"columns":[{"name":"A"}],"rows":[["1"]]},{"columns":[{"name":"B"}],"rows":[[1],[2,3]]}]}`
	refusal := func(code, message string) string {
		return `{"error":{"code":"` + code + `","message":"` + message + `"}}`
	}
	for name, tt := range map[string]struct {
		status int
		header string
		body   string
		next   queryStep
		wait   time.Duration
		want   string // part of the error
	}{
		"answer":            {200, "", table, queryAnswered, 0, ""},
		"no columns":        {200, "", `{"tables":[{"columns":[],"rows":[]}]}`, queryRetry, 0, "in place of Log Analytics"},
		"part":              {200, "", strings.TrimSuffix(table, "}") + `,"error":{"code":"PartialError","message":"too large"}}`, queryFail, 0, "only a part of what was asked for: too large."},
		"answer, not 200":   {203, "", table, queryRetry, 0, "in place of Log Analytics"},
		"nothing":           {200, "", "", queryRetry, 0, "in place of Log Analytics"},
		"no data":           {204, "", "", queryFail, 0, "no data at all"},
		"no data, yet some": {204, "", "odd", queryRetry, 0, "in place of Log Analytics"},
		"throttled":         {429, "Retry-After: 17", refusal("ThrottledError", "slow down"), queryRetry, 17 * time.Second, "too many queries of this application to answer: slow down."},
		"throttled by":      {429, "", "<html>", queryRetry, time.Minute, "too many queries"},
		"refused":           {400, "", refusal("BadArgumentError", "odd"), queryFail, 0, "refuses the query (status 400): odd."},
		"refused by 499":    {499, "", refusal("BadArgumentError", "odd"), queryFail, 0, "refuses the query (status 499): odd."},
		"refused by 399":    {399, "", refusal("BadArgumentError", "odd"), queryRetry, 0, "in place of Log Analytics"},
		"refused by 500":    {500, "Retry-After: 7", refusal("BadArgumentError", "odd"), queryRetry, 7 * time.Second, "out of order: odd."},
		"no table":          {400, "", refusal("BadArgumentError", "no 'ThreatIntelIndicators' here"), queryFail, 0, "no table ThreatIntelIndicators"},
		"audience":          {403, "", refusal("invalidauthenticationtokenaudience", "odd"), queryRenew, 0, "Check Azure Cloud"},
		"token":             {403, "", refusal("InvalidAuthenticationToken", "odd"), queryRenew, 0, "Log Analytics Reader"},
		"token, by 401":     {401, "", refusal("Odd", "odd"), queryRenew, 0, "Log Analytics Reader"},
		"token, by nobody":  {401, "", "", queryRenew, 0, "in place of Log Analytics"},
		"right to read":     {403, "", refusal("Odd", "odd"), queryFail, 0, "Log Analytics Reader"},
		"workspace":         {404, "", refusal("Odd", "odd"), queryFail, 0, "does not find the workspace"},
		"too slow":          {408, "", refusal("Odd", "odd"), queryRetry, 0, "out of order: odd."},
		"at odds":           {409, "", refusal("Odd", "odd"), queryRetry, 0, "out of order: odd."},
		"stranger":          {404, "", "odd", queryRetry, 0, "in place of Log Analytics"},
		"stranger by 499":   {499, "", "odd", queryRetry, 0, "in place of Log Analytics"},
		"out of order":      {500, "Retry-After: 7", "odd", queryRetry, 7 * time.Second, "out of order: odd."},
		"page":              {503, "Retry-After: 7", "<html>", queryRetry, 0, "in place of Log Analytics"},
	} {
		header := http.Header{}
		if key, value, ok := strings.Cut(tt.header, ": "); ok {
			header.Set(key, value)
		}
		v := decideQuery(tt.status, header, []byte(tt.body), time.Now())
		if v.next != tt.next || v.wait != tt.wait || (v.err == nil) != (tt.want == "") || v.err != nil && !strings.Contains(v.err.Error(), tt.want) {
			t.Errorf("%s: got %d, wait %v, %v", name, v.next, v.wait, v.err)
		}
		if tt.next == queryAnswered && (len(v.table.columns) != 1 || v.table.columns["A"] != 0 || len(v.table.rows) != 1) {
			t.Errorf("%s: got %+v", name, v.table)
		}
	}
}

// A query is tried four times. A pause that the one who waits has no time for is not made.
func TestPausesOfAQuery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reason, start := errors.New("out of order"), time.Now()
		var tries queryTries
		for n := range maxTries {
			if err := tries.pause(t.Context(), 2*longestQueryPause, reason); (err != nil) != (n == maxTries-1) {
				t.Fatalf("failure %d: %v", n+1, err)
			}
		}
		if took := time.Since(start); took != (maxTries-1)*longestQueryPause {
			t.Errorf("paused for %v in all", took)
		}
		for _, left := range []time.Duration{longestQueryPause - 1, longestQueryPause} {
			ctx, cancel := context.WithTimeout(t.Context(), left)
			start := time.Now()
			err := new(queryTries).pause(ctx, longestQueryPause, reason)
			if took := time.Since(start); errors.Is(err, reason) != (left < longestQueryPause) || took != 0 && took != left {
				t.Errorf("with %v left: %v after %v", left, err, took)
			}
			cancel()
		}
	})
}

// An answer without an end is read as far as the API's own limit goes.
func TestAnswerWithoutEnd(t *testing.T) {
	for n, long := range map[int]bool{maxQueryAnswer: false, maxQueryAnswer + 1: true} {
		v := decideQuery(http.StatusOK, nil, make([]byte, n), time.Now())
		if (v.next == queryFail) != long || errors.Is(v.err, errLongAnswer) != long {
			t.Errorf("%d bytes: got %v", n, v.err)
		}
	}
}

func TestSampleIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, setup{})
		many := slices.Repeat([]string{"indicator--none"}, MaxSample+1)
		if _, err := l.client.RawRows(t.Context(), source, many); err == nil || !strings.Contains(err.Error(), "at most 500") {
			t.Errorf("got %v", err)
		}
		if found, err := l.client.RawRows(t.Context(), source, nil); err != nil || found != nil || len(l.far.Queries()) > 0 {
			t.Errorf("got %v %v", found, err)
		}
		if found, err := l.client.RawRows(t.Context(), source, many[:MaxSample]); err != nil || len(found) > 0 || len(l.far.Queries()) != 1 {
			t.Errorf("got %v %v", found, err)
		}
	})
}

// A page is as large as it is asked for, within the bound; one that does not fit is asked for in a smaller one, down to a size.
func TestSizeOfAPage(t *testing.T) {
	for limit, want := range map[int]string{
		-1: "10000 2500 625 156 100", 0: "10000 2500 625 156 100", 1: "1", 100: "100", 101: "101 100", 400: "400 100", 404: "404 101 100",
		MaxPage: "10000 2500 625 156 100", MaxPage + 1: "10000 2500 625 156 100",
	} {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t, setup{})
			l.inject(sentinelserver.Fault{Kind: sentinelserver.QueryPartial, Count: -1})
			_, err := l.client.ListStanding(t.Context(), source, "", limit)
			var sizes []string
			for _, q := range l.far.Queries() {
				_, size, _ := strings.Cut(q.Text, "| top ")
				size, _, _ = strings.Cut(size, " by")
				sizes = append(sizes, size)
			}
			var partial *PartialResult
			if got := strings.Join(sizes, " "); got != want || !errors.As(err, &partial) {
				t.Errorf("a page of %d is asked for in pages of %s (%v), want %s", limit, got, err, want)
			}
		})
	}
}

// What a row does not have is zero, or -1 for a confidence, and an upload of somebody else may have any labels.
func TestRowsWithoutValues(t *testing.T) {
	const id = "indicator--1"
	answer := func(columns string, values map[string]string) string {
		var head, row []string
		for _, name := range strings.Fields(columns) {
			head = append(head, `{"name":"`+name+`","type":"string"}`)
			value := values[name]
			if value == "" {
				value = "null"
			}
			row = append(row, value)
		}
		return `{"tables":[{"name":"PrimaryResult","columns":[` + strings.Join(head, ",") + `],"rows":[[` + strings.Join(row, ",") + `]]}]}`
	}
	ask := func(t *testing.T, body string) *Client {
		l := newLab(t, setup{})
		l.client.http = &http.Client{Transport: answerQueries{l.client.http.Transport, body}}
		return l.client
	}
	synctest.Test(t, func(t *testing.T) {
		counts, err := ask(t, answer("PatternType Active Expired Newest", nil)).CountStanding(t.Context(), source)
		if err != nil || len(counts) != 1 || counts[0] != (TypeCount{}) {
			t.Errorf("got %+v %v", counts, err)
		}
		const columns = "StixId TimeGenerated LastUpdateMethod Pattern ObservableKey ObservableValue Tags Name Labels Confidence Created Modified ValidFrom ValidUntil Revoked IsActive IsDeleted DescriptionLength"
		rows, err := ask(t, answer(columns, map[string]string{"StixId": `"` + id + `"`})).RawRows(t.Context(), source, []string{id})
		if err != nil || len(rows) != 1 || !cmp.Equal(rows[0], RawRow{ID: id, Confidence: -1}) {
			t.Errorf("got %+v %v", rows, err)
		}
		rows, err = ask(t, answer(columns, map[string]string{"Labels": `"odd"`, "Confidence": `"0"`, "IsActive": "1", "IsDeleted": "0", "Revoked": "2", "DescriptionLength": `""`})).RawRows(t.Context(), source, []string{id})
		if err != nil || len(rows) != 1 || !cmp.Equal(rows[0], RawRow{Labels: []string{"odd"}, IsActive: true, Revoked: true}) {
			t.Errorf("got %+v %v", rows, err)
		}
		// What was deleted stands no more, whatever else its row says.
		deleted := map[string]string{"StixId": `"` + id + `"`, "IsActive": "true", "IsDeleted": "true", "Standing": "true"}
		page, err := ask(t, answer(columns+" Standing", deleted)).ListStanding(t.Context(), source, "", 0)
		if err != nil || len(page) != 1 || !cmp.Equal(page[0], Standing{ID: id, Confidence: -1, Deleted: true}) {
			t.Errorf("got %+v %v", page, err)
		}
	})
}

// Queries that begin at once share one token.
func TestQueriesShareOneToken(t *testing.T) {
	inLab(t, setup{}, func(t *testing.T, l *lab) {
		logins := l.countLogins()
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if _, err := l.client.CountStanding(t.Context(), source); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := logins.count(); n != 1 {
			t.Errorf("%d logins", n)
		}
	})
}
