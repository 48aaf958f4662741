package simulation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/pipeline"
	"mssentinel/app/standin/sentinelserver"
	"mssentinel/app/standin/tcserver"
	"mssentinel/app/store"
)

// carryOut does one step.
func (w *world) carryOut(s Step) {
	fmt.Fprintf(&w.log, "---- %v %s\n", time.Now().UTC().Format(time.DateTime), describe(s))
	w.revive()
	switch s.Do {
	case Modify, Amend, Delete, Recreate, Deactivate, Activate, Add, Move:
		w.edit(s)
	case Forget:
		w.tc.ForgetDeletions(time.Now().Add(time.Second))
		w.watch.forgot()
	case HideOwner, ShowOwner:
		w.watch.setTroubled()
		w.setOwner(s.Owner, s.Do == ShowOwner)
	case Save:
		w.save(s.Queries, job.Mode(s.Mode))
	case Inject:
		w.inject(*s.Fault)
	case Heal:
		w.heal()
	case Crash:
		w.crash(s.At, s.N)
	case Restart:
		w.restart(s)
	case Wait:
		w.sleep(time.Duration(s.Seconds * float64(time.Second)))
	case Check:
		w.check(s)
	default:
		w.command(s)
	}
	w.revive()
}

// describe is a step in one line.
func describe(s Step) string {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// edit changes ThreatConnect.
func (w *world) edit(s Step) {
	slots := s.Slots
	if s.Do == Add {
		slots = []int{s.Item.Slot}
	}
	for _, slot := range slots {
		before := w.row(slot)
		w.change(s, slot, before)
		after := w.row(slot)
		w.watch.changed(before, after, s)
	}
	w.watch.look()
}

// row is the indicator in a slot, nil for none.
func (w *world) row(slot int) *tcserver.Row {
	id, found := w.slots[slot]
	if !found {
		return nil
	}
	row, err := w.tc.Row(id)
	w.must(err)
	return &row
}

// change changes the indicator in one slot. A step that has nothing to do does nothing, since a history may be shortened.
func (w *world) change(s Step, slot int, row *tcserver.Row) {
	if s.Do == Recreate {
		if gone, was := w.gone[slot]; was && w.sees(gone.Owner) {
			id, err := w.tc.Recreate(gone)
			w.must(err)
			w.slots[slot] = id
			delete(w.gone, slot)
		}
		return
	}
	if s.Do == Add && row == nil && w.sees(s.Item.Owner) {
		item := *s.Item
		item.Age = 0
		w.add(item)
		return
	}
	if row == nil || !w.sees(row.Owner) {
		return
	}
	switch s.Do {
	case Modify:
		w.must(w.tc.Modify(row.ID, maps.Clone(s.Members)))
	case Amend:
		w.must(w.tc.Amend(row.ID, maps.Clone(s.Members)))
		if s.Tags != nil {
			w.must(w.tc.SetTags(row.ID, s.Tags...))
		}
	case Delete:
		w.must(w.tc.Delete(row.ID))
		delete(w.slots, slot)
		w.gone[slot] = *row
	case Move:
		if !w.sees(s.Owner) {
			return
		}
		w.must(w.tc.Delete(row.ID))
		w.slots[slot] = w.putIn(s.Owner, *row)
	case Deactivate, Activate:
		if row.Active == (s.Do == Deactivate) {
			w.must(w.tc.SetActive(row.ID, !row.Active))
		}
	}
}

// putIn adds what an indicator says in an owner.
func (w *world) putIn(owner string, row tcserver.Row) int64 {
	members := map[string]any{}
	w.must(json.Unmarshal(row.JSON(), &members))
	for _, name := range []string{"id", "dateAdded", "lastModified"} {
		delete(members, name)
	}
	members["ownerName"], members["ownerId"] = owner, 1+slices.Index(ownerNames, owner)
	raw, err := json.Marshal(members)
	w.must(err)
	id, err := w.tc.Put(raw)
	w.must(err)
	return id
}

// sees says that the API user sees an owner; the stand-in takes no indicator for one that is hidden.
func (w *world) sees(name string) bool {
	return slices.ContainsFunc(w.tc.Owners(), func(o tcserver.Owner) bool { return o.Name == name })
}

// setOwner hides an owner from the API user, or shows it again.
func (w *world) setOwner(name string, shown bool) {
	i := slices.Index(ownerNames, name)
	is := w.sees(name)
	switch {
	case i < 0 || is == shown:
	case shown:
		w.must(w.tc.AddOwner(tcserver.Owner{ID: int64(i + 1), Name: name, Type: "Source"}))
	default:
		w.must(w.tc.RemoveOwner(name))
	}
}

// save saves the queries as CONFIGURE does, again where the process dies over it. While the disk takes nothing, nothing is saved.
func (w *world) save(queries []Query, mode job.Mode) {
	for range 5 {
		w.revive()
		p := w.process
		if p.store == nil {
			continue
		}
		list := make([]store.Query, len(queries))
		for i, q := range queries {
			list[i] = store.Query{ID: w.ids[q.Number], Owners: q.Owners, Types: q.Types, TQL: q.TQL, SortField: q.SortField, SortDirection: q.Direction,
				MinConfidence: q.Settings.Floor, Labels: q.Settings.Labels, TLP: q.Settings.TLP}
			if hours := q.Settings.TTLHours; hours > 0 {
				list[i].TTLHours = &hours
			}
			if q.Broken != "" {
				list[i].TQL = q.Broken
			}
		}
		_, err := p.store.SaveQueries(context.Background(), list, "", mode, "analyst")
		if err == nil {
			var saved []store.Query
			if saved, _, err = p.store.Queries(context.Background()); err == nil {
				clear(w.ids)
				for i, q := range queries {
					w.ids[q.Number] = saved[i].ID
				}
				w.saved = queries
				w.watch.saved(queries)
				p.pipeline.QueriesSaved()
				return
			}
		}
		if !p.isDead() {
			w.expect(err, "saving the queries")
			return
		}
	}
	w.fail("command", "the queries cannot be saved")
}

// expect fails for an error that a command must not have.
func (w *world) expect(err error, doing string) {
	if err == nil || w.process.isDead() || store.Unavailable(err) || errors.Is(err, job.ErrState) || errors.Is(err, store.ErrNotFound) ||
		errors.Is(err, pipeline.ErrNothingToRetry) || errors.Is(err, pipeline.ErrAtWork) || errors.Is(err, pipeline.ErrNoDifference) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, pipeline.ErrNotReadYet) {
		return
	}
	w.fail("command", "%s: %v", doing, err)
}

// command gives a command of the operator.
func (w *world) command(s Step) {
	p := w.process.pipeline
	if p == nil {
		return
	}
	w.commands[s.Do] = append(w.commands[s.Do], time.Now())
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	var err error
	switch s.Do {
	case Submit:
		r := job.Request{Mode: job.Mode(s.Mode)}
		if s.From > 0 {
			now := time.Now().UTC()
			r.From, r.To = now.Add(-time.Duration(s.From*float64(time.Hour))), now.Add(-time.Duration(s.To*float64(time.Hour)))
		}
		_, err = p.Submit(ctx, r)
	case RunTask:
		err = p.RunTask(ctx, s.Task)
	case PauseTask, ResumeTask:
		err = p.PauseTask(ctx, s.Task, s.Do == PauseTask)
	case KillTask:
		err = p.KillTask(ctx, s.Task)
	case Cancel:
		if j := w.findJob(append([]job.Status{job.Pending}, job.ActiveStatuses...)...); j != nil {
			err = p.Cancel(ctx, j.RequestID)
		}
	case Retry:
		if j := w.findJob(job.Failed, job.Cancelled); j != nil {
			w.retries.Add(1)
			err = p.Retry(ctx, j.RequestID)
		}
	case Confirm, Dismiss:
		w.answer(ctx, s.Do == Confirm)
	case RetryRecords:
		w.watch.setResent()
		_, _, err = p.RetryProblems(ctx, store.ProblemFilter{})
	case Verify:
		err = p.Verify(ctx, true)
	default:
		panic("no step is called " + string(s.Do))
	}
	w.expect(err, string(s.Do))
}

// findJob is the newest job in one of the statuses, nil for none.
func (w *world) findJob(statuses ...job.Status) *job.Job {
	if w.process.store == nil {
		return nil
	}
	jobs, _, err := w.process.store.Jobs(context.Background(), store.JobFilter{Statuses: statuses, Limit: 1})
	w.expect(err, "looking for a job")
	if len(jobs) == 0 {
		return nil
	}
	return &jobs[0]
}

// answer answers the question of a job, if there is one. What is dismissed stays in Sentinel.
func (w *world) answer(ctx context.Context, confirm bool) {
	j := w.findJob(job.ConfirmationRequired)
	if j == nil {
		return
	}
	w.checkQuestion(j)
	if confirm {
		w.confirmed[j.RequestID] = true
	} else {
		w.watch.keep(w.asked(ctx, j.RequestID))
	}
	asked := w.askedAbout(ctx, j)
	w.watch.checkNews(asked)
	w.watch.noteAnswer(asked, true)
	if err := w.process.pipeline.AnswerRetirement(ctx, j.RequestID, confirm); err == nil {
		w.watch.noteAnswer(asked, confirm)
	} else {
		w.expect(err, "answering")
	}
}

// asked is what an operator is shown that a job asks about.
func (w *world) asked(ctx context.Context, requestID string) (ids []string) {
	err := w.process.store.EachHeld(ctx, requestID, store.HeldFilter{}, 0, time.Now(), func(h store.Held) (bool, error) {
		ids = append(ids, h.ID)
		return true, nil
	})
	w.expect(err, "reading what a job asks about")
	return ids
}

// inject has something fail.
func (w *world) inject(f Fault) {
	match := ""
	if row := w.row(f.Slot); row != nil {
		match = w.watch.patternOf(*row)
	}
	if f.Of == "threatconnect" || f.Of == "mapper" {
		w.watch.setTroubled()
	}
	switch f.Of {
	case "threatconnect":
		w.must(w.tc.Inject(tcserver.Fault{Kind: tcserver.Kind(f.Kind), After: f.After, Count: f.Count, Status: f.Status, Form: f.Form, Path: f.Path, Match: f.Match, Seconds: f.Seconds}))
	case "sentinel":
		fault := sentinelserver.Fault{Kind: sentinelserver.Kind(f.Kind), After: f.After, Count: f.Count, Status: f.Status, Form: f.Form, Body: f.Body, Seconds: f.Seconds, Code: f.Code, Match: match}
		if f.Slot != 0 && match == "" {
			return // the indicator is not there any more
		}
		w.must(w.far.Inject(fault))
	case "mapper":
		if row := w.row(f.Slot); row != nil {
			w.watch.setUnmapped(row.ID)
			w.mappers.addFault(mapperFault{f.Kind, fmt.Appendf(nil, `"id":%d,`, row.ID)})
		}
	case "disk":
		w.disk.set(f.Kind, f.After, f.Count)
	default:
		panic("nothing is called " + f.Of)
	}
}

// crash lets the process die, at once or at an event to come.
func (w *world) crash(event string, n int) {
	if event == "" {
		w.process.die("at once", false)
		return
	}
	w.trap.set(w.process, event, n)
}

// restart ends the product and brings it up again, after a while and as another setting says.
func (w *world) restart(s Step) {
	dir := w.stop()
	time.Sleep(time.Duration(s.Seconds * float64(time.Second)))
	if s.Seconds > 7*24*3600 {
		w.far.Republish()
	}
	if s.Setting != nil {
		w.watch.restarted(w.setting, *s.Setting)
		w.setting = *s.Setting
	}
	w.start(dir)
}
