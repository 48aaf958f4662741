package e2e

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mssentinel/app/standin/sentinelserver"
	"mssentinel/app/standin/tcserver"
)

// inFlight is the most that a crash may have sent again: eight requests of a hundred objects.
const inFlight = 8 * 100

// answersLate has what it serves take effect at once and tells so later: a crash finds requests that were carried out and
// not answered.
func answersLate(h http.Handler, by time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kept := httptest.NewRecorder()
		h.ServeHTTP(kept, r)
		late := time.NewTimer(by)
		defer late.Stop()
		select {
		case <-late.C:
		case <-r.Context().Done():
			return
		}
		maps.Copy(w.Header(), kept.Header())
		w.WriteHeader(kept.Code)
		w.Write(kept.Body.Bytes())
	})
}

// children are the processes that the App started.
func (a *app) children() (all []int) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", a.cmd.Process.Pid))
	for _, path := range tasks {
		text, _ := os.ReadFile(path)
		for _, field := range strings.Fields(string(text)) {
			if pid, err := strconv.Atoi(field); err == nil {
				all = append(all, pid)
			}
		}
	}
	return all
}

// alive says whether a process still runs; one that only waits to be collected does not.
func alive(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return rest != "" && rest[0] != 'Z' && rest[0] != 'X'
}

// crash kills the App and sees that its mappers die with it. It returns how many there were.
func (a *app) crash() int {
	a.t.Helper()
	mappers := a.children()
	a.kill()
	a.eventually("the mappers to die with the App", func() bool { return !slices.ContainsFunc(mappers, alive) })
	return len(mappers)
}

// forgive takes what a crash had sent again for expected, and returns how much that was.
func (o *oracle) forgive(cloud *sentinelserver.Server) (again int) {
	for id, sent := range cloud.Sent(source) {
		if e := o.entries[id]; e != nil && sent > e.sends {
			again += sent - e.sends
			e.sends = sent
		}
	}
	return again
}

// recovered lets the oracle follow an update that crashes interrupted.
func (o *oracle) recovered(a *app, w *world, j job, began time.Time, crashes int) {
	o.t.Helper()
	o.recoveredWithin(a, w, j, began, crashes*inFlight)
}

// recoveredWithin lets the oracle follow an update that was interrupted, where at most so many objects may have been sent again.
func (o *oracle) recoveredWithin(a *app, w *world, j job, began time.Time, most int) {
	o.t.Helper()
	var n tally
	if j.Mode == "delta" {
		n = o.delta(j.WindowEnd)
	} else {
		n = o.complete(j.Mode == "full", j.WindowEnd)
	}
	again := o.forgive(w.cloud)
	o.t.Logf("%s update: %d of %d objects were sent again, at most %d may be", j.Mode, again, n.uploaded+n.retired, most)
	if again > most {
		o.t.Errorf("%d objects were sent again, and at most %d may be", again, most)
	}
	o.check(a, j, n)
	o.compare(w.cloud, began)
}

func TestCrashesInMidImport(t *testing.T) {
	p := tcserver.Generate(tcserver.DefaultCount, 11, time.Now().Add(-time.Hour))
	w := newWorld(t, p, sentinelserver.Options{Limit: sentinelserver.Unlimited, Keep: sentinelserver.KeepObjects})
	w.env["upload_url"] = serve(t, answersLate(w.cloud, 200*time.Millisecond))
	o := newOracle(t, w.tc, overlapping(p))
	began := time.Now()
	a := w.start()
	a.save(o.queries)
	var requestID string
	a.eventually("the first job", func() bool {
		requestID = a.newest().RequestID
		return requestID != ""
	})
	const crashes, most = 5, 9000
	points := make([]int, crashes)
	for i := range points {
		points[i] = rand.N(most)
	}
	slices.Sort(points)
	t.Logf("crashes after %d objects", points)
	mappers := 0
	for _, point := range points {
		a.eventually("objects in Sentinel", func() bool { return len(w.cloud.Objects(source)) >= point })
		mappers += a.crash()
		a = w.start()
		if j := a.newest(); j.RequestID != requestID || j.over() {
			t.Fatalf("after the crash the newest job is %s, %s, instead of %s", j.RequestID, j.Status, requestID)
		}
	}
	if mappers == 0 {
		t.Error("no crash found a mapper at work")
	}
	o.recovered(a, w, a.await(requestID).mustComplete(t), began, crashes)

	for _, mode := range []string{"delta", "reconcile", "full"} {
		a = o.crashIn(a, w, mode, began)
	}
	if n := o.holds(a, w, a.update("delta").mustComplete(t), began); n.uploaded+n.retired > 0 {
		t.Errorf("a delta update after all crashes sent %+v", n)
	}
}

// crashIn edits ThreatConnect, and kills the App twice in the update that follows: when it asks for a page, and when
// something has arrived in Sentinel.
func (o *oracle) crashIn(a *app, w *world, mode string, began time.Time) *app {
	o.t.Helper()
	o.edit().everything()
	asked := make(chan struct{})
	var left atomic.Int64
	left.Store(2 + rand.N[int64](6))
	w.tc.BetweenPages(func(int) {
		if left.Add(-1) == 0 {
			close(asked)
		}
	})
	requestID := a.submit(mode).RequestID
	select {
	case <-asked:
	case <-time.After(patience):
		o.t.Fatalf("the %s update does not read", mode)
	}
	w.tc.BetweenPages(nil)
	a.crash()
	before := w.cloud.Stats().Accepted
	a = w.start()
	a.eventually("objects in Sentinel", func() bool {
		return w.cloud.Stats().Accepted > before || a.job(requestID).over()
	})
	a.crash()
	a = w.start()
	o.recovered(a, w, a.await(requestID).mustComplete(o.t), began, 2)
	return a
}
