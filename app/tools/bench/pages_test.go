package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"
)

// Every route of app/web that answers GET is measured, or there is a reason why not, so that a new page is not forgotten.
func TestPagesAreMeasured(t *testing.T) {
	source, err := os.ReadFile(filepath.Join("..", "..", "web", "web.go"))
	if err != nil {
		t.Fatal(err)
	}
	var routes []string
	group := ""
	for _, found := range regexp.MustCompile(`func \(s \*server\) route(\w+)|\b[eg]\.GET\("([^"]+)"`).FindAllStringSubmatch(string(source), -1) {
		switch found[1] {
		case "API":
			group = "/api"
		case "Pages":
			group = "/ui"
		default:
			routes = append(routes, group+found[2])
		}
	}
	if len(routes) < 30 {
		t.Fatalf("only %d routes were found: %v", len(routes), routes)
	}
	for _, route := range routes {
		measured := slices.ContainsFunc(pages, func(p page) bool { return p.route == route })
		if _, excused := notMeasured[route]; measured == excused {
			t.Errorf("%s: measured %v, excused %v; see pages.go", route, measured, excused)
		}
	}
	for _, p := range pages {
		if !slices.Contains(routes, p.route) {
			t.Errorf("%s: app/web has no route %s", p.name, p.route)
		}
	}
	for route := range notMeasured {
		if !slices.Contains(routes, route) {
			t.Errorf("app/web has no route %s", route)
		}
	}
}

// What is above a bar is marked, and the command fails.
func TestBars(t *testing.T) {
	took := make([]time.Duration, 200)
	for i := range took {
		took[i] = time.Duration(i+1) * time.Millisecond
	}
	for _, test := range []struct {
		bar   time.Duration
		size  int
		above string
	}{{200 * time.Millisecond, 100, ""}, {198 * time.Millisecond, 100, "p99"}, {198 * time.Millisecond, 101, "p99, 100 bytes"}} {
		v := newVisit(page{name: "JOBS", most: 100}, slices.Clone(took), test.size, test.bar)
		if v.Above != test.above || v.P50 != 101 || v.P99 != 199 || v.Max != 200 {
			t.Errorf("a bar of %v: %+v", test.bar, v)
		}
		if err := (screenReport{Pages: []visit{v}}).checkBars(); (err != nil) != (test.above != "") {
			t.Errorf("a bar of %v: %v", test.bar, err)
		}
	}
}

// The whole, at a size that costs seconds: what every owner has is live (half of so few is invalid, or stands twice), the statements
// that write the history know the schema, and every page answers.
func TestMeasureScreens(t *testing.T) {
	t.Parallel()
	r, err := measureScreens(t.Context(), options{app: folder(), state: t.TempDir(), count: 2000,
		screenOptions: screenOptions{queries: 3, jobs: 30, errors: 300, users: 2, visits: 2, bar: time.Minute}})
	if err != nil {
		t.Fatalf("%v; was ./package.sh build run?", err)
	}
	if r.State.Queries != 3 || r.State.Jobs < 30 || r.State.Errors < 300 || r.State.Live < 1400 || len(r.Pages) != len(pages) {
		t.Errorf("%+v, %d pages of %d", r.State, len(r.Pages), len(pages))
	}
	if err := r.checkBars(); err != nil {
		t.Error(err)
	}
}
