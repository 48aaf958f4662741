package simulation

import (
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mssentinel/app/job"
)

// outcome is what came of a history.
type outcome struct {
	failures                  []failure
	log                       string
	jobs, requests, processes int
	objects, steps            int
	notable                   string
}

// check is the promise that was broken first, "" for none.
func (o outcome) check() string {
	if len(o.failures) == 0 {
		return ""
	}
	return o.failures[0].check
}

// firstDay is on which every history begins.
var firstDay = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

// hangLimit is the time on the clock of this machine after which a history hangs: simulated time has stopped, which is a goroutine
// that waits for what cannot come.
const hangLimit = 2 * time.Minute

// carryOut carries out a history, in a bubble of its own. What is left in the bubble at its end is a failure, too.
func carryOut(t *testing.T, h History) (result outcome) {
	t.Helper()
	dir, err := os.MkdirTemp(fastFolder(), "simulation-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	hang := time.AfterFunc(hangLimit, func() {
		debug.SetTraceback("all")
		panic("simulated time has stopped in this history:\n" + h.String())
	})
	defer hang.Stop()
	defer func() {
		if fault := recover(); fault != nil {
			result.failures = append(result.failures, failure{"end", fmt.Sprint(fault)})
		}
	}()
	var w *world
	var was time.Duration
	for at, rest := firstDay, h.Steps; ; {
		part, back, more := cutAtClock(rest)
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(time.Until(at))
			if w == nil {
				w = newWorld(h, dir)
			} else {
				w.openOutside(was)
			}
			defer func() { result = w.outcome() }()
			w.carryOutPart(part, more == nil)
			at, was = time.Now().Add(-back), back
		})
		if rest = more; rest == nil || w.failed() {
			return result
		}
	}
}

// cutAtClock cuts steps at the first one that puts the clock back: simulated time only goes forward within a bubble. more is nil
// where there is none.
func cutAtClock(steps []Step) (part []Step, back time.Duration, more []Step) {
	i := slices.IndexFunc(steps, func(s Step) bool { return s.Do == PutBack })
	if i < 0 {
		return steps, 0, nil
	}
	more = append([]Step{}, steps[i+1:]...)
	return steps[:i], time.Duration(steps[i].Seconds * float64(time.Second)), more
}

// fastFolder is where databases cost no disk, where there is such a place.
func fastFolder() string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		return "/dev/shm"
	}
	return ""
}

// carryOutPart does steps until one fails. At the end a full update is checked in any case.
func (w *world) carryOutPart(steps []Step, last bool) {
	defer w.close()
	defer func() {
		if fault := recover(); fault != nil {
			w.fail("panic", "%v\n%s", fault, debug.Stack())
		}
	}()
	w.start(w.left)
	time.Sleep(time.Second)
	if w.left == "" {
		w.save(w.history.Queries, job.Delta)
	}
	for _, s := range steps {
		if w.carryOut(s); w.failed() {
			return
		}
	}
	w.carryOut(Step{Do: Check, Mode: string(job.Full)})
	if !w.failed() {
		w.verify()
	}
	if w.findSecrets(); !last {
		w.leave()
	}
}

func (w *world) outcome() outcome {
	w.failedMu.Lock()
	defer w.failedMu.Unlock()
	return outcome{failures: w.failures, log: w.log.String(), requests: w.far.RequestCount(), processes: w.processes, steps: len(w.history.Steps),
		notable: w.notable(),
		jobs:    strings.Count(w.log.String(), `msg="job ended"`), objects: w.far.Stats().Accepted}
}

// notable counts what is not in every history.
func (w *world) notable() string {
	log := w.log.String()
	var parts []string
	for _, of := range []struct{ what, text string }{{"deaths", "dies: "}, {"questions", `status="Confirmation Required"`}, {"failed", "status=Failed"}, {"tried again", "retry_after="},
		{"cancelled", "job cancelled"}, {"killed", "killed on TASKS"}, {"disk faults", "the database cannot be"}, {"unread queries", "query not read"}, {"unread lists", "list not read"},
		{"refusals", "rejected=1"}} {
		if n := strings.Count(log, of.text); n > 0 {
			parts = append(parts, fmt.Sprint(n, " ", of.what))
		}
	}
	return strings.Join(parts, ", ")
}
