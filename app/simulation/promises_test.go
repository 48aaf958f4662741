package simulation

import (
	"context"
	"maps"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/store"
)

// readsAll says that an update of a mode reads everything, without asking the product.
func readsAll(m job.Mode) bool { return m == job.Full || m == job.Reconcile }

// promises are those that answers of others make: what an operator dismissed stays, and what Sentinel throttles waits.
type promises struct {
	// dismissed are the objects that an operator wanted to stay, until they are given again or another answer is about them.
	dismissed map[string]bool
	// throttled is when Sentinel asked that an object wait.
	throttled map[throttledKey]time.Time
}

type throttledKey struct {
	process *process
	key
}

func newPromises() promises {
	return promises{dismissed: map[string]bool{}, throttled: map[throttledKey]time.Time{}}
}

// askedAbout are the objects that the question of a job is about, by their ids.
func (w *world) askedAbout(ctx context.Context, j *job.Job) map[string]bool {
	ids := map[string]bool{}
	err := w.process.store.EachHeld(ctx, j.RequestID, store.HeldFilter{}, 0, time.Now(), func(h store.Held) (bool, error) {
		ids[h.ID] = true
		return true, nil
	})
	w.expect(err, "reading what a job asks about")
	return ids
}

// armTrap has the process die in the middle of what comes, where the step says so, and gives what says whether it did.
func (w *world) armTrap() (died func() bool) {
	processes := w.processes
	if w.dieAt != "" {
		w.trap.set(w.process, w.dieAt, 1+w.far.RequestCount()%13)
	}
	w.dieAt = ""
	return func() bool {
		w.trap.set(nil, "", 0)
		return w.processes > processes
	}
}

// checkNews holds a question to what is new: nobody is asked twice about the same.
func (h *watch) checkNews(asked map[string]bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id := range asked {
		if !h.dismissed[id] {
			return
		}
	}
	if len(asked) > 0 {
		h.world.fail("dismissed", "an update asks again about %d objects that the operator wanted to stay, and about no other", len(asked))
	}
}

// noteAnswer notes how an operator answered. What is given again by then is not kept by the answer.
func (h *watch) noteAnswer(ids map[string]bool, confirm bool) {
	h.mu.Lock()
	clear(h.dismissed) // a question is about all that was kept before, too
	if !confirm {
		maps.Copy(h.dismissed, ids)
	}
	h.mu.Unlock()
	h.look()
}

// shortestThrottle is less than what Sentinel ever asks to wait in a history.
const shortestThrottle = 5 * time.Second

// noteThrottle notes that Sentinel asked to wait.
func (e *exchange) noteThrottle(status int) {
	for i := range e.objects {
		k := throttledKey{e.process, key{e.workspace, e.source, e.objects[i].ID}}
		if delete(e.watch.throttled, k); status == 429 {
			e.watch.throttled[k] = time.Now()
		}
	}
}

// checkPromises holds an object that is about to be sent to what others asked for.
func (h *watch) checkPromises(e *exchange, k key, o *held) {
	if at, throttled := h.throttled[throttledKey{e.process, k}]; throttled && time.Since(at) < shortestThrottle {
		h.world.fail("throttle", "%s is sent again %v after Sentinel asked to wait", o.Pattern, time.Since(at))
	}
	if o.retired() && h.dismissed[o.ID] && !e.process.isDead() && k.source == h.world.setting.Source && k.workspace == workspaces[h.world.setting.Workspace] {
		h.world.fail("dismissed", "%s is retired though the operator wanted it to stay", o.Pattern)
	}
}
