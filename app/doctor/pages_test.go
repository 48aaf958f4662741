package doctor

import (
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// recorded are the results that a browser brought from under the platform's stand-in: with its front as it comes, or with
// every switch of it turned (TestDoctorAsksTheFront in app/e2e makes the same requests).
func recorded(t *testing.T, name string) map[string]PageResult {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	var list []PageResult
	if err := json.Unmarshal(data, &list); err != nil {
		t.Fatal(err)
	}
	results := map[string]PageResult{}
	for _, r := range list {
		results[r.Name] = r
	}
	return results
}

// examinePages is the report on results.
func examinePages(t *testing.T, results map[string]PageResult, waits ...time.Duration) Report {
	t.Helper()
	d := New(Options{Version: "1.0", Probes: []Probe{{Area: Azure, Questions: []Question{{"azure.role", "Role?"}}}, PagesProbe()},
		Clean: func(s string) string { return s }, Keep: func(Report) error { return nil }, Logger: slog.New(slog.DiscardHandler)})
	var list []PageResult
	for _, r := range results {
		list = append(list, r)
	}
	if err := d.RecordPages(waits, list); err != nil {
		t.Fatal(err)
	}
	report, ok := d.Last()
	if !ok || report.Ended.IsZero() || len(report.Lines) != 1+len(pageQuestions) || report.Lines[0].Verdict != NotTried {
		t.Fatalf("the report is %+v", report)
	}
	return report
}

// What is recorded before any run makes a report, with a verdict line.
func TestPagesRecorded(t *testing.T) {
	waits := []time.Duration{time.Second, 7 * time.Second, 8 * time.Second}
	for name, want := range map[string]string{
		"pages-default.json": "AZURE not tried · PAGES 2 warnings (query, session) · 2 answers differ from what the App relies on: pages.query, pages.session",
		"pages-turned.json": "AZURE not tried · PAGES 8 warnings (methods, headers, request-size, answer-size, timeout, policy, answer-headers, redirect) · " +
			"8 answers differ from what the App relies on: pages.methods, pages.headers, pages.request-size, pages.answer-size, pages.timeout, " +
			"pages.policy, pages.answer-headers, pages.redirect",
	} {
		if got := examinePages(t, recorded(t, name), waits...).Headline(); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// alter changes what the App saw of a request.
func alter(name string, change func(*Seen)) func(map[string]PageResult) {
	return func(results map[string]PageResult) { change(results[name].Seen) }
}

// replace puts another result in the place of some.
func replace(r PageResult, names ...string) func(map[string]PageResult) {
	return func(results map[string]PageResult) {
		for _, name := range names {
			r.Name = name
			results[name] = r
		}
	}
}

// forget is a page that did not ask.
func forget(names ...string) func(map[string]PageResult) {
	return func(results map[string]PageResult) {
		for _, name := range names {
			delete(results, name)
		}
	}
}

// everySeen changes what the App saw of all requests.
func everySeen(change func(*Seen)) func(map[string]PageResult) {
	return func(results map[string]PageResult) {
		for _, r := range results {
			if r.Seen != nil {
				change(r.Seen)
			}
		}
	}
}

// Each verdict, from what a browser brought and one thing that came otherwise.
func TestPageVerdicts(t *testing.T) {
	noAnswer, webPage := PageResult{}, PageResult{Status: 200, Length: 500, Checksum: "12345678"}
	loginPage := PageResult{Status: 200, Redirected: true, Length: 500}
	for _, tt := range []struct {
		id     string
		change func(map[string]PageResult)
		want   Line // of its effect the beginning
	}{
		{"pages.methods", alter("method-put", func(s *Seen) { s.Method = "POST" }), Line{Verdict: Value, Evidence: "GET, HEAD, POST, PATCH, DELETE, OPTIONS; not: PUT (as POST)", Differs: true, Effect: "The screens work."}},
		{"pages.methods", replace(webPage, "method-options", "method-patch"), Line{Verdict: Value, Evidence: "GET, HEAD, POST, PUT, DELETE; not: PATCH (answered by another), OPTIONS (answered by another)"}},
		{"pages.methods", replace(noAnswer, "method-post", "method-head"), Line{Verdict: Value, Evidence: "GET, PUT, PATCH, DELETE, OPTIONS; not: HEAD (no answer), POST (no answer)", Differs: true, Effect: "Nothing can be changed"}},
		{"pages.methods", forget("method-get", "method-head", "method-post", "method-put", "method-patch", "method-delete", "method-options"), Line{Verdict: NotTried, Evidence: "method-get: not asked"}},
		{"pages.path-start", everySeen(func(s *Seen) { s.Path = "/" + strings.TrimLeft(s.Path, "/") }), Line{Verdict: Yes, Evidence: "with 26 times"}},
		{"pages.path-start", everySeen(func(s *Seen) { s.Path = strings.TrimLeft(s.Path, "/") }), Line{Verdict: No, Evidence: "without 26 times"}},
		{"pages.path-start", everySeen(func(s *Seen) { s.Platform = false }), Line{Verdict: NotTried, Evidence: "no platform stands between the browser and the App"}},
		{"pages.path-escapes", replace(PageResult{Status: 400}, "path-slash"), Line{Verdict: No, Evidence: "a%2Fb status 400, a+b as sent, a%20b decoded, %C3%A9 decoded, a%26b decoded", Effect: "None"}},
		{"pages.path-escapes", alter("path-plus", func(s *Seen) { s.Path = "api/doctor/echo/a b" }), Line{Verdict: No, Evidence: "a%2Fb decoded, a+b changed, a%20b decoded, %C3%A9 decoded, a%26b decoded", Effect: "None"}},
		{"pages.path-end", alter("path-end", func(s *Seen) { s.Path = "api/doctor/echo/end" }), Line{Verdict: No, Evidence: "end/ arrives as end"}},
		{"pages.path-end", everySeen(func(s *Seen) { s.Path, s.Address = strings.TrimRight(s.Path, "/"), "host" }), Line{Verdict: No, Evidence: "end/ arrives as end", Differs: true, Effect: "CONFIGURE cannot tell"}},
		{"pages.path-end", replace(noAnswer, "path-end"), Line{Verdict: Failed, Evidence: "path-end: no answer"}},
		{"pages.query", alter("query-many", func(s *Seen) { s.Query, s.Params = []string{"v=1"}, []string{"v=1"} }), Line{Verdict: Value, Evidence: `changed: v=1; the App misreads the list, a%2Bb as "a b", %2541 as "A"`, Differs: true, Effect: "A search on JOBS"}},
		{"pages.query", replace(noAnswer, "query-many"), Line{Verdict: Failed, Evidence: "query-many: no answer"}},
		{"pages.query-repeated", alter("query-many", func(s *Seen) { s.Params = s.Params[:1] }), Line{Verdict: No, Evidence: "1 of 5", Differs: true, Effect: "A filter with several choices"}},
		{"pages.address", everySeen(func(s *Seen) { s.Address = "whole" }), Line{Verdict: Yes, Evidence: "requestUrl whole 26 times"}},
		{"pages.address", everySeen(func(s *Seen) { s.Address = "none" }), Line{Verdict: No, Evidence: "requestUrl none 26 times", Effect: "An address of the Service"}},
		{"pages.headers", alter("method-post", func(s *Seen) { s.Headers = []string{"cookie", "host"} }), Line{Verdict: Value, Evidence: "missing: content-type, x-requested-with, x-form-token; there: cookie, host", Differs: true, Effect: "Scripts that change"}},
		{"pages.form", alter("form", func(s *Seen) { s.Body = false }), Line{Verdict: No, Evidence: "its fields are among the parameters of the address"}},
		{"pages.form", alter("form", func(s *Seen) { s.Fields = []string{"a=1"} }), Line{Verdict: Yes, Evidence: "the App understands a=1", Differs: true, Effect: "The forms of the screens"}},
		{"pages.request-size", replace(PageResult{Status: 413}, "request-8m"), Line{Verdict: Value, Evidence: "1 KB unchanged, 1 MB unchanged, 8 MB status 413", Differs: true, Effect: "A list of queries"}},
		{"pages.request-size", alter("request-1m", func(s *Seen) { s.Checksum = "00000000" }), Line{Verdict: Value, Evidence: "1 KB unchanged, 1 MB changed, as 1000000 bytes, 8 MB unchanged", Differs: true, Effect: "A list of queries"}},
		{"pages.answer-size", replace(PageResult{Status: 200, Length: 65536, Checksum: "1"}, "answer-8m"), Line{Verdict: Value, Evidence: "1 KB unchanged, 1 MB unchanged, 8 MB changed, as 65536 bytes", Differs: true, Effect: "Long lists"}},
		{"pages.answer-size", forget("answer-1k", "answer-1m", "answer-8m"), Line{Verdict: NotTried}},
		{"pages.timeout", replace(PageResult{Status: 504, Milliseconds: 20004}, "wait-1"), Line{Verdict: Value, Evidence: "28s: status 504 after 20s", Differs: true, Effect: "What takes longer than 20s does not arrive"}},
		{"pages.timeout", replace(PageResult{Status: 504, Milliseconds: 27000}, "wait-1"), Line{Verdict: Value, Evidence: "28s: status 504 after 27s"}},
		{"pages.timeout", forget("wait-1"), Line{Verdict: NotTried}},
		{"pages.policy", func(results map[string]PageResult) { delete(results["method-get"].Got, "content-security-policy") }, Line{Verdict: No, Differs: true, Effect: "The screens work, and lack"}},
		{"pages.policy", func(results map[string]PageResult) {
			results["method-get"].Got["content-security-policy"] = "default-src *"
		}, Line{Verdict: Value, Evidence: "changed, 13 bytes instead of 158", Differs: true, Effect: "If a screen"}},
		{"pages.answer-headers", func(results map[string]PageResult) {
			delete(results["method-get"].Got, "cache-control")
			results["method-get"].Got["x-frame-options"] = "DENY"
		}, Line{Verdict: No, Evidence: "missing: cache-control; changed: x-frame-options", Differs: true, Effect: "The browser may keep screens"}},
		{"pages.cookie", alter("cookie-back", func(s *Seen) { s.Cookie = false }), Line{Verdict: No, Evidence: "it reaches the browser and does not come back", Effect: "None"}},
		{"pages.cookie", replace(PageResult{Status: 200}, "cookie-set"), Line{Verdict: No, Evidence: "it does not reach the browser", Effect: "None"}},
		{"pages.cookie", forget("cookie-set"), Line{Verdict: NotTried, Evidence: "cookie-set: not asked"}},
		{"pages.not-modified", replace(PageResult{Status: 200, Seen: &Seen{Headers: []string{"if-none-match"}}}, "not-modified"), Line{Verdict: No, Evidence: "the status 304 does not arrive", Effect: "None"}},
		{"pages.not-modified", replace(noAnswer, "not-modified"), Line{Verdict: Failed, Evidence: "not-modified: no answer"}},
		{"pages.gzip", func(results map[string]PageResult) {
			r := results["gzip"]
			r.Packed = false
			results["gzip"] = r
		}, Line{Verdict: Yes, Evidence: "unpacked on its way"}},
		{"pages.gzip", replace(PageResult{Status: 200, Length: 71, Checksum: "1"}, "gzip"), Line{Verdict: No, Evidence: "71 bytes arrive that are not the text", Effect: "None"}},
		{"pages.gzip", replace(noAnswer, "gzip"), Line{Verdict: Failed, Evidence: "gzip: no answer"}},
		{"pages.no-content", replace(PageResult{Status: 200}, "no-content"), Line{Verdict: No, Evidence: "status 200", Differs: true, Effect: "Scripts that look for 204"}},
		{"pages.no-content", replace(noAnswer, "no-content"), Line{Verdict: Failed, Evidence: "no-content: no answer"}},
		{"pages.redirect", replace(noAnswer, "redirect-307"), Line{Verdict: No, Evidence: "307 no answer", Differs: true, Effect: "After a button is pressed"}},
		{"pages.redirect", forget("redirect-301", "redirect-302", "redirect-307"), Line{Verdict: NotTried}},
		{"pages.session", replace(PageResult{Status: 401}, "no-session"), Line{Verdict: Yes, Evidence: "status 401"}},
		{"pages.session", replace(loginPage, "no-session"), Line{Verdict: Yes, Evidence: "led to another page"}},
		{"pages.session", forget("no-session"), Line{Verdict: NotTried, Evidence: "no-session: not asked"}},
		{"pages.session", everySeen(func(s *Seen) { s.Platform = false }), Line{Verdict: NotTried, Evidence: "no platform stands between the browser and the App"}},
	} {
		t.Run(tt.id+" "+tt.want.Evidence, func(t *testing.T) {
			results := recorded(t, "pages-default.json")
			tt.change(results)
			report := examinePages(t, results, 28*time.Second)
			i := slices.IndexFunc(report.Lines, func(l Line) bool { return l.ID == tt.id })
			got := report.Lines[i]
			if got.Verdict != tt.want.Verdict || got.Evidence != tt.want.Evidence || got.Differs != tt.want.Differs ||
				!strings.HasPrefix(got.Effect, tt.want.Effect) || tt.want.Effect == "" && got.Effect != "" {
				t.Errorf("got %+v", got)
			}
			if got.Differs && got.Effect == "" {
				t.Error("what differs has no effect")
			}
		})
	}
}

// A page that could ask nothing says so everywhere, and no results at all are results.
func TestPagesWithoutResults(t *testing.T) {
	for _, l := range examinePages(t, nil).Lines {
		if l.Verdict != NotTried || l.Differs {
			t.Errorf("%+v", l)
		}
	}
}

// What the page did not ask is not recorded, nor anything twice.
func TestForeignResults(t *testing.T) {
	d := New(Options{Probes: []Probe{PagesProbe()}})
	for _, results := range [][]PageResult{{{Name: "nothing"}}, {{Name: "gzip"}, {Name: "gzip"}}, {{Name: "wait-1"}}} {
		if err := d.RecordPages(nil, results); !errors.Is(err, ErrForeign) {
			t.Errorf("%+v: %v", results, err)
		}
	}
}

func TestParseWaits(t *testing.T) {
	if waits, err := ParseWaits(" 0.5, 20,45 "); err != nil || !slices.Equal(waits, []time.Duration{500 * time.Millisecond, 20 * time.Second, 45 * time.Second}) {
		t.Errorf("%v, %v", waits, err)
	}
	for _, list := range []string{"", "5,", "x", "-1", "46", "NaN", "1e9", "1,1,1,1,1,1,1,1,1,1,1"} {
		if waits, err := ParseWaits(list); err == nil {
			t.Errorf("%q gives %v", list, waits)
		}
	}
}

// Each question of the page stands beside what is not known, and nothing else is said to be asked.
func TestPageQuestionsStandInTheDocs(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "docs", "platform.md"))
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]bool{}
	for _, id := range regexp.MustCompile("`pages\\.[a-z-]+`").FindAllString(string(text), -1) {
		told[strings.Trim(id, "`")] = true
	}
	for _, q := range pageQuestions {
		if !told[q.ID] {
			t.Errorf("app/docs/platform.md does not name %s", q.ID)
		}
		delete(told, q.ID)
	}
	for id := range told {
		t.Errorf("app/docs/platform.md names %s, which is no question", id)
	}
}
