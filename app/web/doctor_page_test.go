package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/html"

	"mssentinel/app/doctor"
	"mssentinel/app/job"
)

// An operator without a script runs the doctor, sees that it is at work, and reads and downloads the report.
func TestDoctorPage(t *testing.T) {
	w := threeTasks().withDoctor()
	v := w.visit(t, "ui/tasks")
	v.follow("Show the doctor's report")
	v.sees("There is no report yet")
	v.fill("variable", " sentinel_secret ")
	v.fill("indicator", "bad.example")
	v.press("Run")
	v.sees("The doctor asks its questions. This page shows the answers as they come.")
	w.mustHaveDone(t, "run doctor")

	w.task("doctor").Status, w.task("doctor").Detail = "Running", "asking about AZURE"
	v.open("ui/doctor")
	v.sees("At work · asking about AZURE")
	v.press("Run")
	v.status(http.StatusConflict)
	v.sees("The doctor is at work already. Wait for its end, or kill it on TASKS.")
	v.follow("Go to TASKS")
	w.mustHaveDone(t, "run doctor")

	if err := w.doctor.Run(t.Context(), func(string) {}); err != nil {
		t.Fatal(err)
	}
	if want := []doctor.Request{{Variable: "sentinel_secret", Indicator: "bad.example"}}; !slices.Equal(w.asked, want) {
		t.Errorf("it was asked for %+v", w.asked)
	}
	w.task("doctor").Status = "Idle"
	v.open("ui/doctor")
	v.sees("AZURE role missing · PAGES not tried · 1 answer differs from what the App relies on: azure.role",
		"azure.role Is the role <assigned>? no differs status 403 <b> Nothing arrives: assign it.", "pages.methods Which methods reach the App? not tried")
	if got := v.heads(); !slices.Equal(got, []string{"ID", "Question", "Verdict", "Evidence", "What it changes"}) {
		t.Errorf("the columns are %q", got)
	}
	link := attr(v.called("a", "Download as text"), "href")
	v.follow("Download as text")
	v.status(http.StatusOK)
	rec := call(t, w.handler(), http.MethodGet, "/api/doctor.txt", "")
	if link != "../api/doctor.txt" || rec.Header().Get("Content-Disposition") != "attachment; filename=ms-sentinel-doctor.txt" ||
		rec.Header().Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("%s %v", link, rec.Header())
	}
}

// What could do harm is asked for twice, and what was typed is not lost over it.
func TestLargeBodiesAskTwice(t *testing.T) {
	w := newWorld().withDoctor()
	v := w.visit(t, "ui/doctor")
	v.fill("indicator", "bad.example")
	v.fill("large", "asked")
	v.press("Run")
	v.sees("Send large bodies", "They count towards its limit")
	w.mustHaveDone(t)
	if got := attr(v.find("the indicator", func(n *html.Node) bool { return attr(n, "id") == "indicator" }), "value"); got != "bad.example" {
		t.Errorf("the indicator is %q", got)
	}
	v.press("Run with large bodies")
	v.sees("The doctor asks its questions.")
	w.mustHaveDone(t, "run doctor")
	if err := w.doctor.Run(t.Context(), func(string) {}); err != nil {
		t.Fatal(err)
	}
	if want := []doctor.Request{{LargeBodies: true, Indicator: "bad.example"}}; !slices.Equal(w.asked, want) {
		t.Errorf("it was asked for %+v", w.asked)
	}
	v.open("ui/doctor")
	v.fill("large", "asked")
	v.press("Run")
	v.leaveWindow()
	w.mustHaveDone(t, "run doctor")
	v.fill("large", "maybe")
	w.refuse = job.ErrState
	v.press("Run")
	v.status(http.StatusConflict)
	v.open("ui/doctor")
	v.fill("large", "confirmed")
	v.press("Run")
	v.status(http.StatusConflict)
	if err := w.doctor.Run(t.Context(), func(string) {}); err != nil || w.asked[1] != (doctor.Request{}) {
		t.Errorf("what was refused is allowed in the next run: %+v, %v", w.asked, err)
	}
}

// tokenOf is the token that a page gives its script.
func (v *visitor) tokenOf() string {
	return attr(v.find("card", func(n *html.Node) bool { return attr(n, "id") == "front" }), "data-token")
}

// What a page's script found is recorded with the token of the page, whatever headers crossed.
func TestPageResults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		v := w.visit(t, "ui/doctor")
		token := v.tokenOf()
		post := func(body string) *httptest.ResponseRecorder {
			rec := httptest.NewRecorder()
			w.handler().ServeHTTP(rec, httptest.NewRequest("POST", "/api/doctor/pages", strings.NewReader(body)))
			return rec
		}
		results := `[{"name":"no-content","status":204,"redirected":false,"milliseconds":1,"length":0,"checksum":"","packed":false,"cookie":false,"seen":null,"got":{}}]`
		body := func(token, waits, results string) string {
			return fmt.Sprintf(`{"token":%q,"waits":%q,"results":%s}`, token, waits, results)
		}
		for bad, status := range map[string]int{
			body("", "", results):                  http.StatusForbidden,
			body(strings.ToUpper(token), "", "[]"): http.StatusForbidden,
			body(token, "100", results):            http.StatusBadRequest,
			body(token, "", `[{"name":"wait-1"}]`): http.StatusBadRequest,
			body(token, "", `[{"colour":1}]`):      http.StatusBadRequest,
		} {
			if rec := post(bad); rec.Code != status || message(t, rec) == "" {
				t.Errorf("%s: %d %s", bad, rec.Code, rec.Body)
			}
		}
		if _, ok := w.doctor.Last(); ok {
			t.Fatal("bad results were recorded")
		}
		if rec := post(body(token, "", results)); rec.Code != http.StatusNoContent {
			t.Fatalf("%d %s", rec.Code, rec.Body)
		}
		v.open("ui/doctor?done=pages")
		v.sees("What this browser found is in the report.", "pages.no-content Does an answer without a body keep its status 204? yes")
		time.Sleep(tokenLife)
		if rec := post(body(token, "", results)); rec.Code != http.StatusForbidden {
			t.Errorf("with an old token: %d", rec.Code)
		}
	})
}

// The page's script is told what to ask, with the waits that the operator chose, all of it below the echo.
func TestPageRequests(t *testing.T) {
	var list []doctor.PageRequest
	rec := call(t, newWorld().handler(), http.MethodGet, "/api/doctor/pages?waits=0.5,%2020", "")
	if err := json.Unmarshal(rec.Body.Bytes(), &list); err != nil || rec.Code != http.StatusOK {
		t.Fatalf("%d %v", rec.Code, err)
	}
	names := map[string]bool{}
	for _, r := range list {
		if names[r.Name] || !isEcho("/"+strings.SplitN(r.URL, "?", 2)[0]) {
			t.Errorf("%s %s", r.Name, r.URL)
		}
		names[r.Name] = true
	}
	if last := list[len(list)-1]; last.URL != "api/doctor/echo/wait?wait=20" || last.Series != "wait" {
		t.Errorf("the last one is %+v", last)
	}
}

// The echo takes what the platform takes, and may take longer than a screen; nothing else does.
func TestLimitsOfTheEcho(t *testing.T) {
	h := newWorld().handler()
	for size, status := range map[int]int{doctor.MaxEchoBody: http.StatusOK, doctor.MaxEchoBody + 1: http.StatusRequestEntityTooLarge} {
		r := httptest.NewRequest("POST", "/api/doctor/echo/x", bytes.NewReader(make([]byte, size)))
		r.Header.Set("X-Requested-With", "x")
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		if rec.Code != status {
			t.Errorf("%d bytes: %d", size, rec.Code)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if rec := call(t, h, http.MethodGet, "/api/doctor/echo/x?wait=45", ""); rec.Code != http.StatusOK || time.Since(began) != 45*time.Second {
			t.Errorf("%d after %v", rec.Code, time.Since(began))
		}
	})
	for path, long := range map[string]bool{"api/doctor/echo": true, "/api/doctor/echo/wait": true, "api/doctor/echoes": false, "api/doctor": false, "": false, "ui/doctor": false} {
		if MayTakeLong(path) != long {
			t.Errorf("%q may take long: %v", path, !long)
		}
	}
	for _, method := range []string{"TRACE", "PROPFIND"} {
		if rec := call(t, h, method, "/api/doctor/echo/x", ""); rec.Code != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d", method, rec.Code)
		}
	}
}
