package web

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mssentinel/app/job"
)

// The platform shows the Service under a path that the Service does not know, and the browser's address may end in a
// slash or not. Wherever it stands, the way leads to the pages.
func TestWaysToThePages(t *testing.T) {
	h := newWorld().handler()
	for _, tt := range []struct {
		path, uri, target string
	}{
		{"", "", "v1/ui/"},
		{"/", "", "v1/ui/"},
		{"/", "/api/services/ms_sentinel/v1", "v1/ui/"},
		{"/", "/api/services/ms_sentinel/v12?x=1", "v12/ui/"},
		{"/", "/api/services/ms_sentinel/v1/", "ui/"},
		{"/", "/", "ui/"},
		{"/v1", "", "ui/"},
		{"/v1/", "", "../ui/"},
		{"/v1/ui/", "", "../../ui/"},
		{"/v1/v1/ui/", "", "../../../ui/"},
		{"/ui", "", "ui/"},
		{"/ui", "/api/services/ms_sentinel/v1/ui", "ui/"},
		{"/ui", "/api/services/ms_sentinel/v1/ui/?done=full", ""},
		{"ui/", "", ""},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.URL, r.RequestURI = &url.URL{Path: tt.path}, tt.uri
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		want := http.StatusFound
		if tt.target == "" {
			want = http.StatusOK
		}
		if got := rec.Header().Get("Location"); rec.Code != want || got != tt.target {
			t.Errorf("path %q of %q: %d to %q, want %d to %q", tt.path, tt.uri, rec.Code, got, want, tt.target)
		}
	}
}

func TestHeaders(t *testing.T) {
	w := twoSaved()
	h := w.handler()
	style := regexp.MustCompile(`\.\./(static/[^"]+\.css)`).FindStringSubmatch(call(t, h, http.MethodGet, "/ui/", "").Body.String())
	if style == nil {
		t.Fatal("the page has no style sheet")
	}
	for target, want := range map[string]struct {
		status      int
		kind, cache string
	}{
		"/":                       {http.StatusFound, "", "no-store"},
		"/ui/":                    {http.StatusOK, "text/html; charset=UTF-8", "no-store"},
		"/ui/edit":                {http.StatusOK, "text/html; charset=UTF-8", "no-store"},
		"/ui/jobs":                {http.StatusOK, "text/html; charset=UTF-8", "no-store"},
		"/ui/tasks":               {http.StatusOK, "text/html; charset=UTF-8", "no-store"},
		"/ui/help":                {http.StatusOK, "text/html; charset=UTF-8", "no-store"},
		"/ui/doctor":              {http.StatusOK, "text/html; charset=UTF-8", "no-store"},
		"/api/doctor/echo/x":      {http.StatusOK, "application/json", "no-store"},
		"/ui/report":              {http.StatusOK, "text/html; charset=UTF-8", "no-store"},
		"/ui/nothing":             {http.StatusNotFound, "text/html; charset=UTF-8", "no-store"},
		"/api/health":             {http.StatusOK, "application/json", "no-store"},
		"/api/nothing":            {http.StatusNotFound, "application/json", "no-store"},
		"/" + style[1]:            {http.StatusOK, "text/css; charset=utf-8", "public, max-age=31536000, immutable"},
		"/static/another/app.css": {http.StatusNotFound, "text/plain; charset=utf-8", "no-store"},
	} {
		rec := call(t, h, http.MethodGet, target, "")
		header := rec.Header()
		if rec.Code != want.status || header.Get("Content-Type") != want.kind || header.Get("Cache-Control") != want.cache {
			t.Errorf("%s: %d %q %q", target, rec.Code, header.Get("Content-Type"), header.Get("Cache-Control"))
		}
		policy := header.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none'; script-src 'self'; style-src 'self';") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: the policy is %q", target, policy)
		}
		if header.Get("Set-Cookie") != "" || header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", target, header)
		}
	}
}

// Whatever troubles the Service stands on every screen.
func TestTroubleOnEveryScreen(t *testing.T) {
	w := twoSaved()
	w.problems = []job.Problem{{ID: 1, RequestID: jobID}}
	v := w.visit(t, "ui/")
	pages := []string{"ui/", "ui/edit", "ui/preview?id=a", "ui/jobs", "ui/jobs?id=" + jobID, "ui/tasks", "ui/report", "ui/report?id=1", "ui/doctor", "ui/nothing"}
	for _, page := range pages {
		v.open(page)
		v.misses("trouble")
	}
	w.trouble = "The database cannot be written: the disk is full. Free some space; it is tried again every 30 s."
	for _, page := range pages {
		v.open(page)
		v.sees("The Service is in trouble. " + w.trouble)
	}
}

// A form without a token of ours that has not run out changes nothing, and says what to do.
func TestFormTokens(t *testing.T) {
	tokens := map[string]func(*world, *visitor){
		"missing": func(_ *world, v *visitor) { v.tamper("token", "") },
		"made up": func(_ *world, v *visitor) { v.tamper("token", strings.Repeat("A", 54)) },
		"expired": func(*world, *visitor) { time.Sleep(tokenLife) },
		"restarts": func(w *world, v *visitor) {
			w.key = "another"
			v.h = http.StripPrefix("/api/services/ms_sentinel/v1", w.handler())
		},
	}
	forms := map[string]struct{ page, button string }{
		"run":     {"ui/jobs?ask=run&mode=full", "Run Full"},
		"cancel":  {"ui/jobs?ask=cancel&id=running", "Cancel Job"},
		"retry":   {"ui/jobs?ask=retry&id=failed", "Retry Job"},
		"confirm": {"ui/jobs?ask=confirm&id=asking", "Retire"},
		"dismiss": {"ui/jobs?ask=dismiss&id=asking", "Keep the objects"},
		"pause":   {"ui/tasks?ask=pause&task=cleaner", "Pause Task"},
		"start":   {"ui/tasks?ask=run&task=cleaner", "Run Task"},
		"doctor":  {"ui/doctor", "Run"},
		"kill":    {"ui/tasks?ask=kill&task=download", "Kill Task"},
		"arrow":   {"ui/edit", "Move query 1 down"},
		"save":    {"ui/edit", "Save"},
	}
	for name, spoil := range tokens {
		for form, tt := range forms {
			t.Run(name+" "+form, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := twoSaved()
					w.jobs = everyJob()
					v := w.visit(t, tt.page)
					spoil(w, v)
					v.press(tt.button)
					v.status(http.StatusForbidden)
					v.sees("This page was open for too long, or the Service was restarted. Nothing was changed", "try again")
					w.mustHaveDone(t)
				})
			})
		}
	}
}

// What was edited while the token ran out is not lost.
func TestEditsOutliveTheToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := twoSaved()
		v := w.visit(t, "ui/edit")
		v.press("Move query 1 down")
		v.press("Save")
		time.Sleep(tokenLife)
		v.press("Save and Run Delta Update")
		v.status(http.StatusForbidden)
		v.sees("your edits are still here", "Unsaved changes.")
		w.mustHaveDone(t)
		v.press("Save")
		v.press("Save and Run Delta Update")
		w.mustHaveDone(t, "save 2 delta", "due")
	})
}

// A database that cannot be read is said in the words of the trouble, and its own words stay in the log.
func TestBrokenDatabase(t *testing.T) {
	w := twoSaved()
	w.problems = someProblems()
	v := w.visit(t, "ui/edit")
	w.broken, w.trouble = errors.New("unable to open /var/lib/secret.db"), "The database cannot be read. Look at the disk."
	v.press("Save")
	v.status(http.StatusServiceUnavailable)
	for _, page := range []string{"ui/", "ui/edit", "ui/export", "ui/preview?id=a", "ui/jobs", "ui/jobs?id=" + jobID, "ui/report", "ui/report?id=2"} {
		v.open(page)
		v.status(http.StatusServiceUnavailable)
		v.sees(w.trouble)
		v.misses("secret")
	}
	for _, target := range []string{"/api/tql-config", "/api/job/request", "/api/report/batch-error"} {
		rec := call(t, w.handler(), http.MethodGet, target, "")
		if got := message(t, rec); rec.Code != http.StatusServiceUnavailable || got != w.trouble {
			t.Errorf("%s: %d %q", target, rec.Code, got)
		}
	}
	if rec := call(t, w.handler(), http.MethodPost, "/api/tql-config", "[]"); rec.Code != http.StatusServiceUnavailable {
		t.Errorf("a save: %d %s", rec.Code, rec.Body)
	}
	w.mustHaveDone(t)
}

// A page that failed shows the way back to its screen.
func TestFailurePages(t *testing.T) {
	w := twoSaved()
	w.jobs = everyJob()
	v := w.visit(t, "ui/jobs?ask=cancel&id=running")
	w.refuse = job.ErrState
	v.press("Cancel Job")
	v.status(http.StatusConflict)
	v.sees("The job has moved on and does not allow this any more.")
	v.follow("Go to JOBS")
	v.status(http.StatusOK)
	for page, says := range map[string]string{
		"ui/nothing":              "There is no such page here.",
		"ui/deep/er":              "There is no such page here.",
		"ui/jobs/":                "There is no such page here.",
		"nothing":                 "There is no such page here.",
		"ui/jobs?id=gone":         "There is nothing under this name.",
		"ui/jobs?status=Sleeping": `There is no status "Sleeping"`,
		"ui/jobs?offset=x":        "send a whole number",
		"ui/report?id=x":          `There is no error "x"`,
		"ui/report?id=77":         "There is nothing under this name.",
		"ui/report?step=Dance":    `There is no step "Dance"`,
	} {
		v.open(page)
		v.sees(says)
		if v.code < 400 {
			t.Errorf("%s: %d", page, v.code)
		}
		v.follow("CONFIGURE")
		v.status(http.StatusOK)
	}
	rec := call(t, w.handler(), http.MethodDelete, "/ui/jobs", "")
	if rec.Code != http.StatusMethodNotAllowed || !strings.Contains(rec.Body.String(), "does not take this method") {
		t.Errorf("wrong method: %d %s", rec.Code, rec.Body)
	}
}
