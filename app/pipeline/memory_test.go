package pipeline

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mssentinel/app/job"
)

// Memory is given back when the last update that waited has ended, and again when the mappers have, and an update goes on after that even
// where it failed, which the log tells.
func TestMemoryIsGivenBackBetweenUpdates(t *testing.T) {
	in(t, func(t *testing.T) {
		var given atomic.Int64
		w := newWorld(t, func(w *world) {
			w.options.ReleaseMemory = func(context.Context) error {
				if w.p.current.Load() != nil {
					t.Error("memory is given back while an update runs")
				}
				if given.Add(1) > 1 {
					return nil
				}
				return errors.New("not now")
			}
		})
		if n := given.Load(); n != 0 {
			t.Errorf("given back %d times before the first update", n)
		}
		w.put("Alpha", "a.example")
		w.done(w.save(job.Full, query("", "Alpha")))
		for range 3 { // it is too early for the next
			w.p.downloader.wake()
			time.Sleep(time.Second)
		}
		if n := given.Load(); n != 1 {
			t.Errorf("given back %d times right after an update", n)
		}
		time.Sleep(releases * releaseEvery)
		if n := given.Load(); n != releases {
			t.Errorf("given back %d times within %v of an update", n, releases*releaseEvery)
		}
		time.Sleep(time.Hour)
		if n := given.Load(); n != releases {
			t.Errorf("given back %d times after an update", n)
		}
		if n := strings.Count(w.log.String(), "memory could not be given back"); n != 1 {
			t.Errorf("the log tells %d times that it failed", n)
		}
		first, second := w.submit(job.Full), w.submit(job.Reconcile)
		w.done(w.await(first.RequestID))
		w.done(w.await(second.RequestID))
		time.Sleep(time.Hour)
		if n := given.Load(); n != 2*releases {
			t.Errorf("given back %d times after two updates in a row", n-releases)
		}
	})
}
