package pipeline

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"mssentinel/app/job"
)

// Work gives way as long as pages are being made, though never for long, and not at all when there are none.
func TestGiveWay(t *testing.T) {
	for _, tt := range []struct {
		name  string
		pages []time.Duration // how long each takes
		ended bool            // the work's context
		want  time.Duration
	}{
		{"no page", nil, false, 0},
		{"a short page", []time.Duration{5 * time.Millisecond}, false, 6 * time.Millisecond},
		{"two pages", []time.Duration{time.Millisecond, 9 * time.Millisecond}, false, 10 * time.Millisecond},
		{"a page that takes long", []time.Duration{time.Minute}, false, longestPause},
		{"work that is over", []time.Duration{time.Minute}, true, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &Pipeline{pages: new(pagesUnderWay)}
				for _, takes := range tt.pages {
					done := p.BeginPage()
					time.AfterFunc(takes, done)
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if tt.ended {
					cancel()
				}
				began := time.Now()
				p.pages.giveWay(ctx)
				if got := time.Since(began); got != tt.want {
					t.Errorf("gave way for %v, want %v", got, tt.want)
				}
				time.Sleep(time.Minute) // the pages end
			})
		})
	}
}

// Each task of an update gives way once to a page that takes long, where there is one piece of work: Convert before the mapper and
// before the ledger, Upload before the request.
func TestUpdatesGiveWayToPages(t *testing.T) {
	takes := func(t *testing.T, page bool) (took time.Duration) {
		in(t, func(t *testing.T) {
			w := newWorld(t)
			w.put("Alpha", "a.example")
			if page {
				defer w.p.BeginPage()()
			}
			j := w.done(w.save(job.Full, query("", "Alpha")))
			took = j.DateCompleted.Sub(*j.DateStarted)
		})
		return took
	}
	if later := takes(t, true) - takes(t, false); later != 3*longestPause {
		t.Errorf("the update took %v longer beside a page, want %v", later, 3*longestPause)
	}
}
