package e2e

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"mssentinel/app/standin/sentinelserver"
	"mssentinel/app/standin/tcplatform"
	"mssentinel/app/standin/tcserver"
)

// frontLine is a line of the doctor's report.
type frontLine struct {
	ID       string `json:"id"`
	Verdict  string `json:"verdict"`
	Evidence string `json:"evidence"`
	Differs  bool   `json:"differs"`
}

// An operator's browser asks the platform's front, and the doctor finds how each of its switches stands.
func TestDoctorAsksTheFront(t *testing.T) {
	for name, test := range map[string]struct {
		o     tcplatform.Options
		waits string
		want  map[string]frontLine
	}{
		"as it comes": {waits: "0.1", want: map[string]frontLine{
			"pages.methods":        {Verdict: "value", Evidence: "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"},
			"pages.path-start":     {Verdict: "value", Evidence: "with "},
			"pages.path-escapes":   {Verdict: "no", Evidence: "a%2Fb decoded, a+b as sent, a%20b decoded, %C3%A9 decoded, a%26b decoded"},
			"pages.path-end":       {Verdict: "yes"},
			"pages.query":          {Verdict: "value", Evidence: `decoded; the App misreads a%2Bb as "a b", %2541 as "A"`, Differs: true},
			"pages.query-repeated": {Verdict: "yes"},
			"pages.address":        {Verdict: "value", Evidence: "requestUrl "},
			"pages.headers":        {Verdict: "value", Evidence: "accept, "},
			"pages.form":           {Verdict: "yes"},
			"pages.request-size":   {Verdict: "value", Evidence: "1 KB unchanged, 1 MB unchanged, 8 MB unchanged"},
			"pages.answer-size":    {Verdict: "value", Evidence: "1 KB unchanged, 1 MB unchanged, 8 MB unchanged"},
			"pages.timeout":        {Verdict: "value", Evidence: "100ms answered"},
			"pages.policy":         {Verdict: "yes"},
			"pages.answer-headers": {Verdict: "yes", Evidence: "7 arrive unchanged"},
			"pages.cookie":         {Verdict: "yes"},
			"pages.not-modified":   {Verdict: "yes"},
			"pages.gzip":           {Verdict: "yes", Evidence: "packed"},
			"pages.no-content":     {Verdict: "yes"},
			"pages.redirect":       {Verdict: "yes"},
			"pages.session":        {Verdict: "no", Evidence: "it reaches the App", Differs: true},
		}},
		"every switch turned": {waits: "1, 7, 8",
			o: tcplatform.Options{RawQuery: true, FormsAsQuery: true, AnswerTimeout: 5 * time.Second,
				Paths: "slash", DroppedHeaders: []string{"X-Requested-With", "If-None-Match"}, Front: tcplatform.Front{
					RawPath: true, TrimSlash: true, Methods: []string{"GET", "HEAD", "POST"}, RequireSession: true,
					MaxRequest: 2_000_000, TimeoutStatus: http.StatusServiceUnavailable,
					MaxAnswer: 500_000, DropAnswerHeaders: []string{"Set-Cookie", "Content-Security-Policy", "Content-Encoding", "X-Frame-Options"},
					FollowRedirects: true,
				}},
			want: map[string]frontLine{
				"pages.methods":        {Verdict: "value", Evidence: "GET, HEAD, POST; not: PUT (status 405), PATCH (status 405), DELETE (status 405), OPTIONS (status 405)", Differs: true},
				"pages.path-start":     {Verdict: "yes"},
				"pages.path-escapes":   {Verdict: "yes", Evidence: "a%2Fb as sent, a+b as sent, a%20b as sent, %C3%A9 as sent, a%26b as sent"},
				"pages.path-end":       {Verdict: "no"},
				"pages.query":          {Verdict: "value", Evidence: "as they were sent"},
				"pages.query-repeated": {Verdict: "yes"},
				"pages.headers":        {Verdict: "value", Evidence: "missing: x-requested-with; there: accept, ", Differs: true},
				"pages.form":           {Verdict: "no", Evidence: "its fields are among the parameters of the address"},
				"pages.request-size":   {Verdict: "value", Evidence: "1 KB unchanged, 1 MB unchanged, 8 MB status 413", Differs: true},
				"pages.answer-size":    {Verdict: "value", Evidence: "1 KB unchanged, 1 MB status 502, 8 MB status 502", Differs: true},
				"pages.timeout":        {Verdict: "value", Evidence: "1s answered, 7s: status 503 after 5", Differs: true},
				"pages.policy":         {Verdict: "no", Differs: true},
				"pages.answer-headers": {Verdict: "no", Evidence: "missing: x-frame-options", Differs: true},
				"pages.cookie":         {Verdict: "no", Evidence: "it does not reach the browser"},
				"pages.not-modified":   {Verdict: "no", Evidence: "the request's If-None-Match does not arrive"},
				"pages.gzip":           {Verdict: "no"},
				"pages.no-content":     {Verdict: "yes"},
				"pages.redirect":       {Verdict: "no", Evidence: "301 followed by the platform, 302 followed by the platform, 307 followed by the platform", Differs: true},
				"pages.session":        {Verdict: "yes", Evidence: "status 401"},
			}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, tcserver.Generate(10, 1, time.Now()), sentinelserver.Options{Limit: sentinelserver.Unlimited})
			p, s := w.onPlatform(test.o, tcplatform.ServiceOptions{})
			w.turnOn(s)
			b := openBrowser(t, s.URL(), p.URL()+"/services")
			b.mayFail = s.URL() + "/api/doctor/echo"
			b.visit(p.URL() + "/services") // what a log-in is here
			b.visit(s.URL() + "/ui/doctor")
			b.see(".empty", "There is no report yet")
			b.write("#waits", test.waits)
			b.click("#ask-front")
			b.see("#front-state", "Asking")
			b.see(".notice.success", "What this browser found is in the report.")
			b.see("#verdict", "PAGES ")
			compareLines(b, test.want)
			until(b, "no cookie", "!document.cookie.includes('ms_sentinel')", isTrue)
			runFromThePage(b, test.o.Front.FollowRedirects)
		})
	}
}

// Where nothing can be sent to the App, what the browser found is on its page all the same.
func TestDoctorWithoutPost(t *testing.T) {
	w := newWorld(t, tcserver.Generate(10, 1, time.Now()), sentinelserver.Options{Limit: sentinelserver.Unlimited})
	_, s := w.onPlatform(tcplatform.Options{Front: tcplatform.Front{Methods: []string{"GET", "HEAD"}}}, tcplatform.ServiceOptions{})
	w.turnOn(s)
	b := openBrowser(t, s.URL())
	b.mayFail = s.URL() + "/api/doctor/"
	b.visit(s.URL() + "/ui/doctor")
	b.write("#waits", "no number")
	b.click("#ask-front")
	b.see("#front-state", "is no number of seconds from 0 to 45")
	b.write("#waits", "0")
	b.click("#ask-front")
	b.see("#front-state", "What was found could not be recorded, it stands below. The answer has the status 405.")
	b.see("#front-results", "method-post")
}

// runFromThePage runs the doctor while its page is open: its answers come by themselves, and those of the browser stay. Where
// the front follows the redirection behind the form, the page stands at the same address all the same.
func runFromThePage(b *browser, followed bool) {
	b.t.Helper()
	pages := regexp.MustCompile("PAGES [^·]*").FindString(b.text("#verdict"))
	b.click("#run-doctor")
	if !followed {
		b.see(".notice.success", "The doctor asks its questions.")
	}
	b.see("#verdict", "BROKER ok")
	b.see("#live tbody th", "PLATFORM")
	b.see("#verdict", pages)
}

// compareLines checks lines of the report; of their evidence the beginning.
func compareLines(b *browser, want map[string]frontLine) {
	b.t.Helper()
	report := until(b, "the report", "fetch('../api/doctor').then((answer) => answer.json())", func(r struct {
		Lines []frontLine `json:"lines"`
	}) bool {
		return len(r.Lines) > 0
	})
	found := 0
	for _, l := range report.Lines {
		expected, compared := want[l.ID]
		if !compared {
			continue
		}
		found++
		if l.Verdict != expected.Verdict || l.Differs != expected.Differs || !strings.HasPrefix(l.Evidence, expected.Evidence) {
			b.t.Errorf("%s: %+v, want %+v", l.ID, l, expected)
		}
	}
	if found != len(want) {
		b.t.Errorf("%d lines of %d: %v", found, len(want), fmt.Sprint(report.Lines))
	}
}
