package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"mssentinel/app/job"
)

// ProblemGroup counts the lines of a kind.
type ProblemGroup struct {
	Step  job.Step
	Code  job.Code
	Type  string
	Note  bool
	Count int64
	// Retriable is how many of them can be retried.
	Retriable int64
	// Newest is when the last one was added.
	Newest time.Time
}

// maxGroups bounds how many groups are told; there are as many as steps, codes and types come together, some dozens.
const maxGroups = 2000

// countGroups is the statement that counts the lines which a filter selects. It first counts them by what a retry takes as well, as they
// stand in the index: to ask of each line whether it can be retried takes half as long again.
func countGroups(w where) string {
	return `SELECT kind.step, kind.code, kind.type, kind.note, lines, again, last, problem.at AS newest FROM (
			SELECT step, code, type, note, sum(lines) AS lines, coalesce(sum(lines) FILTER (WHERE ` + retriable + `), 0) AS again, max(last) AS last FROM (
				SELECT step, code, type, note, retry, count(*) AS lines, max(id) AS last FROM problem` + w.String() + `
				GROUP BY note, step, code, type, retry) AS problem
			GROUP BY note, step, code, type) AS kind JOIN problem ON problem.id = last
		ORDER BY kind.note, lines DESC, kind.step, kind.code, kind.type LIMIT ` + strconv.Itoa(maxGroups)
}

// ProblemGroups counts the lines of REPORT that f selects by step, code and type: errors before notes, the largest first. At most
// 2,000 groups are told. newest is the number of the newest line, 0 for none. Each page of REPORT asks for them, with the filters of
// the one before, and to count 100,000 lines takes three times as long as the rest of it: what was counted is kept, and as long as lines
// are added alone, these alone are counted. The groups must not be changed.
func (s *Store) ProblemGroups(ctx context.Context, f ProblemFilter) (groups []ProblemGroup, newest int64, err error) {
	w := f.conditions()
	filter := fmt.Sprintf("%s %#v", w.String(), w.args)
	known, of, err := s.findGroups(ctx, filter)
	if err != nil {
		return nil, 0, fmt.Errorf("counting the errors: %w", err)
	}
	if known.of != of {
		if known, err = s.recountGroups(ctx, filter, w); err != nil {
			return nil, 0, fmt.Errorf("counting the errors: %w", err)
		}
	}
	return known.groups, known.newest, nil
}

// findGroups gives the groups of a filter as they were counted last, and what they depend on as it is now.
func (s *Store) findGroups(ctx context.Context, filter string) (known countedGroups, of reportState, err error) {
	err = s.read.GetContext(ctx, &of, selectReportState)
	return s.groups.find(filter), of, err
}

// recountGroups counts the lines of a filter. Of several pages at once one counts, and the others take what it found.
func (s *Store) recountGroups(ctx context.Context, filter string, w where) (counted countedGroups, err error) {
	select {
	case s.groups.turn <- struct{}{}:
		defer func() { <-s.groups.turn }()
	case <-ctx.Done():
		return countedGroups{}, ctx.Err()
	}
	known, of, err := s.findGroups(ctx, filter)
	if err != nil {
		return countedGroups{}, err
	}
	grown, err := s.hasGrown(ctx, known.of, of)
	if err != nil {
		return countedGroups{}, err
	}
	if !grown || len(known.groups) == maxGroups {
		known = countedGroups{}
	}
	w.addAdded(known.of, of)
	groups, newest, err := s.countProblems(ctx, w)
	if err != nil {
		return countedGroups{}, err
	}
	counted = countedGroups{filter: filter, of: of, groups: mergeGroups(known.groups, groups), newest: max(known.newest, newest)}
	s.groups.keep(counted)
	return counted, nil
}

// hasGrown says that since a state of REPORT which had lines others were added, and nothing else changed.
func (s *Store) hasGrown(ctx context.Context, before, now reportState) (bool, error) {
	if before.List != now.List || before.Newest == 0 {
		return false, nil
	}
	var added int64
	err := s.read.GetContext(ctx, &added, `SELECT count(*) FROM problem WHERE id > ? AND id <= ?`, before.Newest, now.Newest)
	return added == now.Lines-before.Lines, err
}

// addAdded selects the lines that one state of REPORT has, and another before it has not. Where that has none, the unary plus leaves
// it to the index by kind to find them: the few that were added are found by their numbers.
func (w *where) addAdded(before, now reportState) {
	if before.Newest == 0 {
		w.addCondition("+problem.id <= ?", now.Newest)
		return
	}
	w.addCondition("problem.id > ? AND problem.id <= ?", before.Newest, now.Newest)
}

// mergeGroups adds groups of newer lines to groups, in the order of countGroups.
func mergeGroups(groups, newer []ProblemGroup) []ProblemGroup {
	merged := slices.Clone(groups)
	for _, g := range newer {
		i := slices.IndexFunc(merged, g.isOfKind)
		if i < 0 {
			merged = append(merged, g)
			continue
		}
		g.Count, g.Retriable = g.Count+merged[i].Count, g.Retriable+merged[i].Retriable
		merged[i] = g
	}
	slices.SortFunc(merged, ProblemGroup.compare)
	return merged[:min(len(merged), maxGroups)]
}

func (g ProblemGroup) isOfKind(other ProblemGroup) bool {
	return g.Note == other.Note && g.compareKind(other) == 0
}

// compare is the order of countGroups.
func (g ProblemGroup) compare(other ProblemGroup) int {
	return cmp.Or(cmp.Compare(strconv.FormatBool(g.Note), strconv.FormatBool(other.Note)), cmp.Compare(other.Count, g.Count), g.compareKind(other))
}

func (g ProblemGroup) compareKind(other ProblemGroup) int {
	return cmp.Or(cmp.Compare(g.Step, other.Step), cmp.Compare(lowerASCII(string(g.Code)), lowerASCII(string(other.Code))),
		cmp.Compare(lowerASCII(g.Type), lowerASCII(other.Type)))
}

func (s *Store) countProblems(ctx context.Context, w where) (groups []ProblemGroup, newest int64, err error) {
	var rows []struct {
		Step   job.Step `db:"step"`
		Code   job.Code `db:"code"`
		Type   string   `db:"type"`
		Note   bool     `db:"note"`
		Count  int64    `db:"lines"`
		Again  int64    `db:"again"`
		Newest int64    `db:"newest"`
		Last   int64    `db:"last"`
	}
	if err := s.read.SelectContext(ctx, &rows, countGroups(w), w.args...); err != nil {
		return nil, 0, err
	}
	for _, r := range rows {
		groups = append(groups, ProblemGroup{Step: r.Step, Code: r.Code, Type: r.Type, Note: r.Note, Count: r.Count, Retriable: r.Again, Newest: fromMillis(r.Newest)})
		newest = max(newest, r.Last)
	}
	return groups, newest, nil
}

// reportState is what the groups of a filter depend on. Lines are added under new numbers and dropped, and never change: as long as the
// newest number that was given and the number of lines are the same, so are the lines, and where there are more by as many as have
// newer numbers, none was dropped. Whether one can be retried depends on the queries that are saved.
type reportState struct {
	Newest int64 `db:"newest"`
	Lines  int64 `db:"lines"`
	List   int64 `db:"list"`
}

const selectReportState = `SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'problem'), 0) AS newest,
	(SELECT count(*) FROM problem) AS lines, coalesce((SELECT max(number) FROM list_version), 0) AS list`

// keptCounts is for how many filters the groups are kept.
const keptCounts = 8

// groupCache has the groups that were counted last, the newest first. It may be used from several goroutines.
type groupCache struct {
	mutex   sync.Mutex
	counted []countedGroups
	// turn is held by who counts.
	turn chan struct{}
}

// countedGroups are the groups of a filter, in a state of REPORT. They are not changed any more.
type countedGroups struct {
	filter string
	of     reportState
	groups []ProblemGroup
	newest int64
}

// find gives the groups of a filter as they were counted last; the zero value where they are not kept.
func (g *groupCache) find(filter string) countedGroups {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	for _, c := range g.counted {
		if c.filter == filter {
			return c
		}
	}
	return countedGroups{}
}

func (g *groupCache) keep(c countedGroups) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.counted = slices.DeleteFunc(g.counted, func(old countedGroups) bool { return old.filter == c.filter })
	g.counted = slices.Insert(g.counted, 0, c)
	g.counted = g.counted[:min(len(g.counted), keptCounts)]
}

func (g *groupCache) forget() {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.counted = nil
}
