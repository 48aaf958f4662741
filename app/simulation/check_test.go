package simulation

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
	"mssentinel/app/pipeline"
	"mssentinel/app/standin/tcserver"
	"mssentinel/app/store"
)

// heal ends all that is wrong outside.
func (w *world) heal() {
	w.trap.set(nil, "", 0)
	w.tc.ClearFaults()
	w.far.ClearFaults()
	w.mappers.setFaults()
	w.disk.set("", 0, 0)
	for _, name := range ownerNames {
		w.setOwner(name, true)
	}
}

// check brings everything to rest, runs an update, and holds what stands against the rules. With an event, the process dies at one
// in the middle of the update. With N the same update follows once more, and sends nothing.
func (w *world) check(s Step) {
	mode := job.Mode(s.Mode)
	w.heal()
	w.revive()
	if w.process.store == nil {
		w.restart(Step{})
	}
	w.sleep(31 * time.Second) // who waited for the disk has looked at it, and what was paused before a restart is paused again
	for _, t := range w.process.pipeline.Tasks() {
		if t.Paused {
			w.expectNone(w.process.pipeline.PauseTask(context.Background(), t.Slug, false), "resuming a task")
		}
	}
	w.mendQueries()
	if !w.settle() {
		return
	}
	w.checkReported()
	w.watch.setResent()
	_, _, err := w.process.pipeline.RetryProblems(context.Background(), store.ProblemFilter{})
	w.expect(err, "retrying all lines of REPORT")
	if !w.settle() {
		return
	}
	w.dieAt = s.At
	if !w.update(mode, false) || !w.settle() {
		return
	}
	w.checkJobs()
	w.watch.settled(readsAll(mode))
	if s.N > 0 && !w.failed() {
		w.update(mode, true)
		w.watch.settled(readsAll(mode))
	}
}

// expectNone fails for any error.
func (w *world) expectNone(err error, doing string) {
	if err != nil {
		w.fail("command", "%s: %v", doing, err)
	}
}

// mendQueries saves the queries without what cannot be read.
func (w *world) mendQueries() {
	broken := false
	list := slices.Clone(w.saved)
	for i := range list {
		broken = broken || list[i].Broken != ""
		list[i].Broken = ""
	}
	if broken {
		w.save(list, job.Delta)
	}
}

// settle waits until nothing runs and nothing waits, and confirms what is asked.
func (w *world) settle() bool {
	open := append([]job.Status{job.Pending, job.ConfirmationRequired}, job.ActiveStatuses...)
	pause := time.Second
	for began := time.Now(); time.Since(began) < 72*time.Hour; pause = min(2*pause, 10*time.Minute) {
		w.sleep(pause)
		j := w.findJob(open...)
		rows, err := w.process.store.OutboxSize(context.Background())
		w.expectNone(err, "counting what waits")
		schedule, err := w.process.store.Schedule(context.Background())
		w.expectNone(err, "reading the schedule")
		switch {
		case j == nil && rows == 0 && schedule.NextMode == "":
			return true
		case j != nil && j.Status == job.ConfirmationRequired:
			w.answer(context.Background(), true)
		case j != nil && j.RetryAfter != nil:
			w.expectNone(w.process.pipeline.RunTask(context.Background(), "download"), "running Download")
		}
	}
	j := w.findJob(open...)
	w.fail("rest", "nothing comes to its end: %+v", j)
	return false
}

// update runs an update and checks all of it. It begins when nothing runs, a scheduled update neither: what that sends would count as
// its own. again says that nothing changed since the one before: a full update sends all then, and others nothing.
func (w *world) update(mode job.Mode, again bool) (ok bool) {
	if w.sleep(pipeline.DefaultLag); !w.settle() {
		return false
	}
	began, sent := time.Now(), w.far.RequestCount()
	_, before, err := w.process.store.Jobs(context.Background(), store.JobFilter{})
	w.expectNone(err, "counting the jobs")
	j, err := w.process.pipeline.Submit(context.Background(), job.Request{Mode: mode})
	if err != nil {
		w.expectNone(err, "asking for an update")
		return false
	}
	died := w.armTrap()
	if !w.settle() {
		return false
	}
	if j, err = w.process.store.Job(context.Background(), j.RequestID); err != nil {
		w.expectNone(err, "reading a job")
		return false
	}
	if j.Status != job.UploadComplete || j.Message != "" && !strings.Contains(j.Message, "etire") {
		w.fail("job", "the %s update is %s: %s", mode, j.Status, j.Message)
		return false
	}
	_, after, err := w.process.store.Jobs(context.Background(), store.JobFilter{})
	w.expectNone(err, "counting the jobs")
	alone := after == before+1
	v := w.compare(j)
	w.checkCounts(j, v, began, alone, died())
	w.checkReport(j, v)
	w.checkTotals(j, v, alone)
	if n := w.far.RequestCount() - sent; again && alone && mode != job.Full && n > 0 {
		w.fail("twice", "a %s update without a change sent %d requests", mode, n)
	}
	return true
}

// live are the objects that stand under the present workspace and source name, by id.
func (w *world) live() map[string]held {
	return w.liveIn(workspaces[w.setting.Workspace], w.setting.Source, time.Now())
}

func (w *world) liveIn(workspace, source string, at time.Time) map[string]held {
	all := map[string]held{}
	for id, raw := range w.far.ObjectsIn(workspace, source) {
		var o held
		w.must(json.Unmarshal(raw, &o))
		if o.ValidUntil.After(at) && !o.retired() {
			all[id] = o
		}
	}
	return all
}

// ordered is what a query returns, in its order.
func (w *world) ordered(q Query) []tcserver.Row {
	rows, err := w.tc.Select(compose(q))
	w.must(err)
	return rows
}

// compare holds what stands against what the rules say.
func (w *world) compare(j job.Job) verdict {
	h := w.watch
	all, live := w.far.ObjectsIn(workspaces[w.setting.Workspace], w.setting.Source), w.live()
	h.mu.Lock()
	defer h.mu.Unlock()
	complete := readsAll(j.Mode)
	v := h.oracle.decide(h.queries, w.ordered)
	for id, candidates := range v.candidates {
		if !complete && (h.allBlurred || h.blurred[id]) {
			continue
		}
		if r, was := h.refused[key{workspaces[w.setting.Workspace], w.setting.Source, id}]; was && r.mayBeOffReport() && j.Mode != job.Full {
			continue // it stands as it did before
		}
		raw, sent := all[id]
		if !sent {
			w.fail("missing", "%s does not stand in Sentinel", candidates[0].object.Pattern)
			continue
		}
		var o held
		w.must(json.Unmarshal(raw, &o))
		w.compareObject(j, &o, right(candidates, complete))
	}
	for id, o := range live {
		if v.candidates[id] == nil && !h.kept[id] && (complete || !h.allBlurred && !h.blurred[id]) {
			w.fail("left", "%s stands until %v though nothing gives it", o.Pattern, o.ValidUntil)
		}
	}
	for k := range h.left {
		if !complete {
			break // what was refused there waits for an update that reads everything
		}
		for _, o := range w.liveIn(k.workspace, k.source, time.Now()) {
			w.fail("left", "%s stands under the old source name %s", o.Pattern, k.source)
		}
	}
	return v
}

// compareObject holds an object against the copies that may stand.
func (w *world) compareObject(j job.Job, o *held, right []candidate) {
	now := time.Now()
	if o.Revoked != nil && *o.Revoked {
		w.fail("content", "%s is revoked", o.Pattern)
	}
	got := content(o.Members)
	i := slices.IndexFunc(right, func(c candidate) bool { return content(c.object.Members) == got })
	if i < 0 {
		w.fail("content", "%s is\n%s, not\n%s", o.Pattern, got, content(right[0].object.Members))
		return
	}
	c := right[i]
	switch {
	case o.retired():
		w.fail("missing", "%s is retired though it is given", o.Pattern)
	case o.ValidUntil.After(now):
	case j.Mode == job.Full || w.watch.changedSince(c.row, o.Modified):
		w.fail("missing", "%s has expired: sent %v, valid until %v, changed %v", o.Pattern, o.Modified, o.ValidUntil, c.row.LastModified)
	}
	want := ttl(c.row.Type, w.setting.TTLHours)
	if c.hours > 0 {
		want = time.Duration(c.hours) * time.Hour
	}
	if (j.Mode == job.Full || c.hours > 0) && o.ValidUntil.Sub(o.Modified) != want {
		w.fail("times", "%s is valid for %v instead of %v", o.Pattern, o.ValidUntil.Sub(o.Modified), want)
	}
}

// checkCounts holds what JOBS shows against what happened. alone says that no other update ran, died that the
// process died meanwhile.
func (w *world) checkCounts(j job.Job, v verdict, began time.Time, alone, died bool) {
	h := w.watch
	live, err := w.process.store.CountLive(context.Background(), time.Now())
	w.expectNone(err, "counting what stands")
	if stand := w.live(); live < int64(len(stand)) || live > int64(len(stand)+h.countUncertain(stand)) {
		w.fail("counts", "%d objects stand, the ledger counts %d", len(stand), live)
	}
	if !alone {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	want := job.Counts{Downloaded: j.Downloaded, BelowFloor: j.BelowFloor, Invalid: j.Invalid, Duplicate: j.Duplicate}
	if readsAll(j.Mode) {
		want = job.Counts{Downloaded: v.downloaded, BelowFloor: v.below, Invalid: v.invalid, Duplicate: v.lost}
	}
	for _, e := range h.exchanges {
		for i := range e.objects {
			_, isRejected := e.rejected[i]
			switch {
			case e.began.Before(began) || !e.answered:
			case isRejected:
				want.Rejected++
			case e.objects[i].retired():
				want.Retired++
			default:
				want.Uploaded++
			}
		}
	}
	got := j.Counts
	got.Queued, got.Unchanged = 0, 0
	if died { // an answer may not have been kept
		got.Rejected, got.Retired, got.Uploaded = want.Rejected, want.Retired, want.Uploaded
	}
	if got != want {
		w.fail("counts", "JOBS says of the %s update %+v instead of %+v", j.Mode, got, want)
	}
}

// checkReport holds REPORT against what cannot be mapped, by name, and its all-clear against all of it.
func (w *world) checkReport(j job.Job, v verdict) {
	if !readsAll(j.Mode) {
		return
	}
	lines := w.lines(store.ProblemFilter{RequestID: j.RequestID})
	named := map[int64]bool{}
	for _, l := range lines {
		if l.Message == "" || l.Step == "" || l.Code == "" {
			w.fail("report", "a line says too little: %+v", l)
		}
		if !l.Note {
			named[l.Indicator] = true
		}
	}
	if !maps.Equal(named, v.problems) {
		w.fail("report", "REPORT names the indicators %v instead of %v: %+v", slices.Sorted(maps.Keys(named)), slices.Sorted(maps.Keys(v.problems)), lines[:min(len(lines), 3)])
	}
	if j.Message == "" && j.WasComplete() != (len(v.problems) == 0) {
		w.fail("all-clear", "REPORT says that all is well: %v; indicators with problems: %d", j.WasComplete(), len(v.problems))
	}
}

// checkTotals holds the totals that the screens show against what stands and what the queries give.
func (w *world) checkTotals(j job.Job, v verdict, alone bool) {
	ctx := context.Background()
	total, asOf, err := w.process.store.LiveObjects(ctx)
	for began := time.Now(); err == nil && (asOf.Before(*j.DateCompleted) || asOf.After(time.Now())) && time.Since(began) < time.Hour; total, asOf, err = w.process.store.LiveObjects(ctx) {
		w.sleep(time.Minute)
	}
	w.expectNone(err, "reading how many objects stand")
	stand := w.liveIn(workspaces[w.setting.Workspace], w.setting.Source, asOf)
	if alone && j.Message == "" && (asOf.Before(*j.DateCompleted) || total < int64(len(stand)) || total > int64(len(stand)+w.watch.countUncertain(stand))) {
		w.fail("counts", "the screens say that %d objects stood at %v; %d did", total, asOf, len(stand))
	}
	if !alone || !readsAll(j.Mode) || w.watch.stepped {
		return // queries that were saved in times to come count as changed
	}
	totals, err := w.process.store.QueryTotals(ctx)
	w.expectNone(err, "reading what the queries gave")
	for n, q := range w.saved {
		t, want := totals.Queries[w.ids[q.Number]], v.queries[n]
		if got := (tally{t.Matched, t.BelowFloor, t.Invalid, t.Won, t.Lost}); !t.Read || got != want {
			w.fail("counts", "the screens say of query %d that it matched, keeps below its floor, cannot send, won and lost %v instead of %v (read: %v)", n+1, got, want, t.Read)
		}
	}
}

// verify has the product compare what it knows with what stands, and expects no difference but of what nobody can know.
func (w *world) verify() {
	w.sleep(ledger.IngestionBound)
	ctx := context.Background()
	w.expectNone(w.process.pipeline.Verify(ctx, true), "verifying")
	var v store.Verification
	for began := time.Now(); v.State != store.VerificationComplete && time.Since(began) < time.Hour; {
		w.sleep(10 * time.Second)
		var err error
		v, err = w.process.pipeline.LastVerification(ctx)
		w.expectNone(err, "reading what came of verifying")
	}
	differences, live, agreed := v.CountDifferences(), w.live(), v.Agreed+v.TooNew
	var examples []store.Difference
	for _, kind := range ledger.Differences {
		found, err := w.process.store.Differences(ctx, kind, len(live)+100)
		w.expectNone(err, "reading differences")
		for _, d := range found {
			if kind == ledger.Unexpected || !w.watch.isUncertain(d.ID) {
				examples = append(examples, d)
				continue
			}
			differences--
			if _, stands := live[d.ID]; stands {
				agreed++
			}
		}
	}
	if v.State != store.VerificationComplete || differences != 0 || !w.watch.stepped && agreed != int64(len(live)) {
		w.fail("verify", "verifying is %s: %s; %d agree and %d are too new of %d, %v: %+v", v.State, v.Message, v.Agreed, v.TooNew, len(live), v.Differences,
			examples[:min(len(examples), 2)])
	}
}

// lines are all lines of REPORT that a filter selects.
func (w *world) lines(f store.ProblemFilter) (all []job.Problem) {
	f.Limit = 500
	for {
		page, total, err := w.process.store.Problems(context.Background(), f)
		w.expectNone(err, "reading REPORT")
		all = append(all, page...)
		if len(page) == 0 || int64(len(all)) >= total {
			return all
		}
		f.Offset += len(page)
	}
}

// checkReported looks for what Sentinel refused last on REPORT, which keeps it for 30 days.
func (w *world) checkReported() {
	lines := w.lines(store.ProblemFilter{Step: job.StepUpload})
	w.watch.mu.Lock()
	defer w.watch.mu.Unlock()
	for k, r := range w.watch.refused {
		if !r.mayBeOffReport() && !slices.ContainsFunc(lines, func(l job.Problem) bool { return strings.Contains(l.Raw, k.id) }) {
			w.fail("report", "%s was refused (%s), and REPORT has no line of it", k.id, r.reason)
		}
	}
}
