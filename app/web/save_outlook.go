package web

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"mssentinel/app/job"
	"mssentinel/app/store"
	"mssentinel/app/threatconnect"
	"mssentinel/templates"
)

const (
	// outlookLimit bounds how long the window Save Changes waits for its numbers.
	outlookLimit = 6 * time.Second
	// maxDeltaCounts bounds how many queries ThreatConnect counts for a delta update.
	maxDeltaCounts = 40
)

// saveOutlook is what a save would bring about, as far as it can be told in outlookLimit.
type saveOutlook struct {
	changed []store.Query // that are new or select something else than what is saved, and are not among those that follow
	reread  []store.Query // that have other settings than what is saved: a delta update reads them whole
	same    []store.Query // all others
	// everything is how many indicators a full update reads, delta how many a delta update, late those of the changed
	// queries that a delta update leaves out, whole those of the queries that it reads whole; less than 0 where it is not known.
	everything, delta, late, whole int64
	// deleted is how many queries are deleted. Of what they leave, leaving is how many live objects no other query gives;
	// less than 0 where that is not known, and at most leavingAtMost.
	deleted                int
	leaving, leavingAtMost int64
}

// findChanges tells apart the queries of the draft.
func (o *saveOutlook) findChanges(e *editor) {
	known := e.knownQueries()
	for _, q := range e.draft.Queries {
		before, found := known[q.ID]
		switch {
		case found && !sameSettings(q.Query, *before):
			o.reread = append(o.reread, q.Query)
		case !found || !sameSelection(q.Query, *before):
			o.changed = append(o.changed, q.Query)
		default:
			o.same = append(o.same, q.Query)
		}
	}
}

// deletedIDs are the saved queries that the draft does not have any more.
func (e *editor) deletedIDs() (ids []string) {
	kept := queriesByID(e.draft.queryList())
	for _, q := range e.saved {
		if _, found := kept[q.ID]; !found {
			ids = append(ids, q.ID)
		}
	}
	return ids
}

// foreseeSave finds out what a save of the draft would bring about. last is the last update that was complete.
func (e *editor) foreseeSave(last *job.Job) (saveOutlook, error) {
	ctx, cancel := context.WithTimeout(e.requestContext(), outlookLimit)
	defer cancel()
	totals, err := e.s.Store.QueryTotals(ctx)
	if err != nil {
		return saveOutlook{}, err
	}
	deleted := e.deletedIDs()
	o := saveOutlook{deleted: len(deleted)}
	o.findChanges(e)
	var waits errgroup.Group
	waits.Go(func() error { o.leaving, o.leavingAtMost = e.foreseeLeaving(ctx, deleted, totals); return nil })
	waits.Go(func() error {
		e.foreseeReading(ctx, &o, totals, last)
		return nil
	})
	return o, waits.Wait()
}

// foreseeLeaving counts what the deleted queries leave; less than 0 where that took too long.
func (e *editor) foreseeLeaving(ctx context.Context, deleted []string, totals store.QueryTotals) (leaving, atMost int64) {
	for _, id := range deleted {
		atMost += totals.Queries[id].Live
	}
	if len(deleted) == 0 {
		return 0, 0
	}
	leaving, err := e.s.Store.CountLeaving(ctx, deleted, time.Now())
	if err != nil {
		return -1, atMost
	}
	return leaving, atMost
}

// foreseeReading asks ThreatConnect how much the changed queries and those of other settings match, and how much of the others was
// modified since the last update; in all these match what they last did.
func (e *editor) foreseeReading(ctx context.Context, o *saveOutlook, totals store.QueryTotals, last *job.Job) {
	o.everything, o.delta, o.late, o.whole = -1, -1, -1, -1
	matched, ok := e.s.sumCounts(ctx, o.changed)
	if !ok {
		return
	}
	whole, ok := e.s.sumCounts(ctx, o.reread)
	if !ok {
		return
	}
	o.whole = whole
	if others, known := sumMatched(o.same, totals); known {
		o.everything = matched + whole + others
	}
	if last == nil || last.WindowEnd == nil {
		o.late, o.delta = 0, o.everything
		return
	}
	recent, ok := e.s.sumCounts(ctx, changedSince(o.changed, *last.WindowEnd))
	if !ok {
		return
	}
	o.late = matched - recent
	if others, ok := e.s.sumCounts(ctx, changedSince(o.same, *last.WindowEnd)); ok {
		o.delta = recent + whole + others
	}
}

// sumMatched is how many indicators queries matched when they were last read whole; false where one of them was not.
func sumMatched(queries []store.Query, totals store.QueryTotals) (sum int64, known bool) {
	for _, q := range queries {
		if !totals.Queries[q.ID].Read {
			return 0, false
		}
		sum += totals.Queries[q.ID].Matched
	}
	return sum, true
}

// changedSince narrows queries to what was modified from an instant on.
func changedSince(queries []store.Query, since time.Time) []store.Query {
	narrowed := slices.Clone(queries)
	for i, q := range narrowed {
		narrowed[i].TQL = threatconnect.ModifiedSince(q.TQL, since)
	}
	return narrowed
}

// sumCounts is how many indicators queries match together; false where ThreatConnect did not say, or would be asked too much.
func (s *server) sumCounts(ctx context.Context, queries []store.Query) (sum int64, ok bool) {
	if len(queries) > maxDeltaCounts {
		return 0, false
	}
	counts := make([]int64, len(queries))
	var group errgroup.Group
	group.SetLimit(maxCounts)
	for i, q := range queries {
		group.Go(func() (err error) {
			counts[i], err = s.ThreatConnect.Count(ctx, selectionOf(q))
			return err
		})
	}
	if group.Wait() != nil {
		return 0, false
	}
	for _, n := range counts {
		sum += n
	}
	return sum, true
}

// newSaveWindow tells an outlook.
func (s *server) newSaveWindow(o saveOutlook, first bool) *templates.SaveWindow {
	w := &templates.SaveWindow{First: first, Full: s.describeReading("Reads everything that the queries select", o.everything)}
	w.Recommended = !first && len(o.changed) > 0
	switch {
	case first:
		w.Delta = w.Full
	case o.delta >= 0:
		w.Delta = s.describeReading("Reads what was modified since the last update", o.delta)
	default:
		w.Delta = "Reads what was modified since the last update; how much that is, is not known yet."
	}
	if w.Recommended {
		w.Late = fmt.Sprintf("%s new or changed: a delta update reads them from the last update on. What else they select%s comes with the next full "+
			"update or reconcile.", templates.Amount(int64(len(o.changed)), "query is", "queries are"), describeLate(o.late))
	}
	if len(o.reread) > 0 {
		w.Reread = fmt.Sprintf("%s other settings: a delta update reads them whole%s and sends what differs.",
			templates.Amount(int64(len(o.reread)), "query has", "queries have"), describeLate(o.whole))
	}
	if o.deleted > 0 {
		w.Deleted = fmt.Sprintf("%s deleted: %s. A full update or reconcile retires them; a delta update does not.",
			templates.Amount(int64(o.deleted), "query is", "queries are"), describeLeaving(o))
	}
	return w
}

func describeLate(late int64) string {
	if late < 0 {
		return ""
	}
	return fmt.Sprintf(", about %s,", templates.Amount(late, "indicator", "indicators"))
}

func describeLeaving(o saveOutlook) string {
	if o.leaving < 0 {
		return fmt.Sprintf("up to %s are no longer selected", templates.Amount(o.leavingAtMost, "live object", "live objects"))
	}
	if o.leaving == 1 {
		return "1 live object is no longer selected"
	}
	return fmt.Sprintf("%s are no longer selected", templates.Amount(o.leaving, "live object", "live objects"))
}

// describeReading says how much an update reads, and how long Sentinel's limit makes that take at least. An indicator is one
// object, a file one for each of its hashes.
func (s *server) describeReading(what string, n int64) string {
	if n < 0 {
		return what + "; how much that is, is not known yet."
	}
	sentence := fmt.Sprintf("%s: about %s", what, templates.Amount(n, "indicator", "indicators"))
	if s.ObjectsPerSecond <= 0 || n == 0 {
		return sentence + "."
	}
	took := time.Duration(float64(n) / s.ObjectsPerSecond * float64(time.Second)).Round(time.Second)
	return fmt.Sprintf("%s, at least %s by the limit of Microsoft Sentinel.", sentence, templates.Duration(max(took, time.Second)))
}
