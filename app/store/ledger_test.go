package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
)

// Where one statement stands for a rule of the ledger, it does to any object what the function of that name does.

var drawOrigin = rapid.Custom(func(t *rapid.T) ledger.Origin {
	query := rapid.Int64Range(-1, 3).Draw(t, "query")
	if query <= 0 {
		return ledger.Origin{Query: query, Indicator: rapid.Int64Range(int64(ledger.Unselected), int64(ledger.Disputed)).Draw(t, "loss")}
	}
	return ledger.Origin{Query: query, Indicator: rapid.Int64Range(1, 2).Draw(t, "indicator")}
})

var drawObject = rapid.Custom(func(t *rapid.T) ledger.Object {
	small := rapid.Int64Range(0, 6)
	o := ledger.Object{Number: 1, Winner: drawOrigin.Draw(t, "winner"), Left: small.Draw(t, "left"), Resend: true,
		Queued: small.Draw(t, "queued"), Settled: small.Draw(t, "settled"), State: ledger.State(rapid.IntRange(0, 2).Draw(t, "state"))}
	if o.State != ledger.Nothing {
		o.Name, o.Created, o.ValidUntil = rapid.SampledFrom([]string{"a", "b"}).Draw(t, "name"), small.Draw(t, "created"), small.Draw(t, "valid until")
	}
	return o
})

// put writes an object, apart from what does not matter here.
func (f *fixture) put(ctx context.Context, tx *transaction, o *ledger.Object) error {
	_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO object (number, key, destination, type, pattern, query, indicator, elected, left_in,
		modified, job, queued, settled) VALUES (?, 0, 1, 0, 'p', 0, 0, 0, 0, 0, 0, 0, ?)`, o.Number, o.Settled)
	if err != nil {
		return err
	}
	return writeObjects(ctx, tx, []*ledger.Object{o})
}

func TestSettlementsFollowTheLedger(t *testing.T) {
	f := newFixture(t)
	rapid.Check(t, func(t *rapid.T) {
		o := drawObject.Draw(t, "object")
		r := ledger.Row{Seq: rapid.Int64Range(1, 6).Draw(t, "seq"), Name: "new", Created: 8, ValidUntil: rapid.Int64Range(0, 9).Draw(t, "until")}
		name := rapid.SampledFrom([]string{"accept", "acceptRetirement", "reject", "rejectMayStand", "rejectRetirement"}).Draw(t, "transition")
		generation := rapid.Int64Range(1, 9).Draw(t, "generation")
		want := o
		var statement bulk
		var values []any
		switch name {
		case "accept":
			statement, values = accept, []any{o.Number, r.Seq, r.Name, nil, r.Created, r.ValidUntil}
			want.Accept(r)
		case "acceptRetirement":
			statement, values = acceptRetirement, []any{o.Number, r.Seq, r.ValidUntil}
			want.AcceptRetirement(r)
		case "reject":
			statement, values = reject, []any{o.Number, r.Seq}
			want.Reject(r, false)
		case "rejectMayStand":
			statement, values = rejectMayStand, []any{o.Number, r.Seq, r.Name, nil, r.Created, r.ValidUntil}
			want.Reject(r, true)
		case "rejectRetirement":
			statement, values = rejectRetirement, []any{o.Number, r.Seq}
			want.RejectRetirement(r, generation)
		}
		var got map[int64]*ledger.Object
		err := f.inTransaction(ctx(), func(ctx context.Context, tx *transaction) (err error) {
			if err := f.put(ctx, tx, &o); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `UPDATE destination SET generation = ?`, generation); err != nil {
				return err
			}
			if err := statement.execRows(ctx, tx, values); err != nil {
				return err
			}
			got, err = readObjects(ctx, tx, []int64{o.Number})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&want, got[1], cmpopts.IgnoreUnexported(ledger.Object{})); diff != "" {
			t.Fatalf("%s by %+v (-ledger +store):\n%s", name, r, diff)
		}
	})
}

func TestDeparturesFollowTheLedger(t *testing.T) {
	f := newFixture(t)
	rapid.Check(t, func(t *rapid.T) {
		o := drawObject.Draw(t, "object")
		var newest ledger.Row
		if o.Queued != 0 {
			newest = ledger.Row{Seq: o.Queued, Retire: rapid.Bool().Draw(t, "retire")}
		}
		candidates := rapid.IntRange(0, 1).Draw(t, "candidates")
		most := ledger.Loss(rapid.Int64Range(int64(ledger.Unselected), int64(ledger.Disputed)).Draw(t, "most"))
		after, upTo := rapid.Int64Range(0, 6).Draw(t, "after"), rapid.Int64Range(0, 6).Draw(t, "up to")
		now, handed := rapid.Int64Range(0, 6).Draw(t, "now"), rapid.Int64Range(0, 6).Draw(t, "handed")
		var hasDeparted, stands int64
		err := f.inTransaction(ctx(), func(ctx context.Context, tx *transaction) error {
			for _, text := range []string{`DELETE FROM outbox`, `DELETE FROM candidate`} {
				if _, err := tx.ExecContext(ctx, text); err != nil {
					return err
				}
			}
			if err := f.put(ctx, tx, &o); err != nil {
				return err
			}
			if candidates > 0 {
				if err := upsertCandidates.execRows(ctx, tx, []any{int64(9), int64(9), o.Number, int64(0), int64(0), int64(0), int64(0)}); err != nil {
					return err
				}
			}
			if newest.Seq != 0 {
				row := []any{newest.Seq, o.Number, int64(0), int64(1), newest.Retire, int64(0), int64(0), int64(0), "", nil, int64(0), int64(0)}
				if err := insertRows.execRows(ctx, tx, row); err != nil {
					return err
				}
			}
			if err := tx.GetContext(ctx, &hasDeparted, `SELECT count(*)`+departed, 1, after, upTo, most); err != nil {
				return err
			}
			return tx.GetContext(ctx, &stands, `SELECT count(*)`+departed+mayStand, 1, after, upTo, most, now, handed)
		})
		if err != nil {
			t.Fatal(err)
		}
		want := o.HasDeparted(after, upTo, most) && candidates == 0
		if (hasDeparted == 1) != want {
			t.Fatalf("departed: %d, want %v", hasDeparted, want)
		}
		if want = want && o.MayStand(now, newest, handed); (stands == 1) != want {
			t.Fatalf("may stand: %d, want %v", stands, want)
		}
	})
}

// A question leaves to the next generation what it is not about, and makes certain what it is.
func TestQuestionsFollowTheLedger(t *testing.T) {
	f := newFixture(t)
	rapid.Check(t, func(t *rapid.T) {
		o := drawObject.Draw(t, "object")
		kept, generation := rapid.Int64Range(0, 3).Draw(t, "kept"), rapid.Int64Range(1, 6).Draw(t, "generation")
		most := ledger.Loss(rapid.Int64Range(int64(ledger.Unselected), int64(ledger.Disputed)).Draw(t, "most"))
		want := o
		if want.HasDeparted(kept, generation, most) && most > ledger.Certain {
			want.MakeCertain()
		}
		want.Postpone(kept, generation)
		var got map[int64]*ledger.Object
		err := f.inTransaction(ctx(), func(ctx context.Context, tx *transaction) (err error) {
			if err := f.put(ctx, tx, &o); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, setCertain, ledger.Unselected, 1, kept, generation, most, ledger.Certain, 10); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, postpone, generation+1, 1, kept, generation); err != nil {
				return err
			}
			got, err = readObjects(ctx, tx, []int64{o.Number})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&want, got[1], cmpopts.IgnoreUnexported(ledger.Object{})); diff != "" {
			t.Fatalf("(-ledger +store):\n%s", diff)
		}
	})
}

// Vacant names who is next as the ledger has it.
func TestVacantFollowsTheLedger(t *testing.T) {
	f := newFixture(t)
	queries := f.save(Query{Owners: []string{"o"}, Types: []string{"Host"}, TQL: "two"}, f.mark("one").Query, Query{Owners: []string{"o"}, Types: []string{"Host"}, TQL: "three"})
	rapid.Check(t, func(t *rapid.T) {
		ranks, err := queryRanks(ctx(), f.read)
		if err != nil {
			t.Fatal(err)
		}
		var candidates []*ledger.Candidate
		var rows []any
		for _, origin := range rapid.SliceOfDistinct(rapid.Custom(func(t *rapid.T) ledger.Origin {
			number := rapid.SampledFrom(append(slices.Clone(queries), RunQuery{Number: 99})).Draw(t, "query").Number
			return ledger.Origin{Query: number, Indicator: rapid.Int64Range(1, 4).Draw(t, "indicator")}
		}), func(o ledger.Origin) ledger.Origin { return o }).Draw(t, "origins") {
			c := &ledger.Candidate{Origin: origin, Object: 1, Place: rapid.Int64Range(0, 2).Draw(t, "place")}
			candidates = append(candidates, c)
			rows = append(rows, c.Query, c.Indicator, c.Object, int64(0), int64(0), c.Place, int64(0))
		}
		err = f.inTransaction(ctx(), func(ctx context.Context, tx *transaction) error {
			if _, err := tx.ExecContext(ctx, `DELETE FROM candidate`); err != nil {
				return err
			}
			if err := f.put(ctx, tx, &ledger.Object{Number: 1, Winner: ledger.Origin{Query: ledger.QueryVacant}, Resend: true}); err != nil {
				return err
			}
			return upsertCandidates.execRows(ctx, tx, rows)
		})
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := f.Vacant(ctx(), 0, 10)
		if err != nil {
			t.Fatal(err)
		}
		var want []ledger.Origin
		if best := ledger.Best(candidates, ranks, ledger.Origin{Query: ledger.QueryVacant}, func(*ledger.Candidate) bool { return true }); best != nil {
			want = append(want, best.Origin)
		}
		if diff := cmp.Diff(want, got); diff != "" && len(want)+len(got) > 0 {
			t.Fatalf("(-ledger +store):\n%s", diff)
		}
	})
}

// The indexes are partial, for values that have a name in app/ledger.
func TestIndexesAreUsed(t *testing.T) {
	f := newFixture(t)
	filtered := ProblemFilter{Type: "Host", Owner: "Demo", Severity: Errors, Since: time.Unix(1, 0), Before: time.Unix(2, 0)}
	before, now := reportState{Newest: 5}, reportState{Newest: 9}
	byOwner := filtered.conditions()
	byOwner.addAdded(reportState{}, now)
	group := ProblemFilter{Step: job.StepConvert, Code: "Invalid-Value", Type: "host", Severity: Errors}
	byGroup := group.conditions()
	var all, added where
	all.addAdded(reportState{}, now)
	added.addAdded(before, now)
	filtered.Text = "e"
	byText := filtered.conditions()
	byText.addAdded(reportState{}, now)
	for _, c := range []struct {
		index, statement string
		args             []any
	}{
		{"object_vacant", `SELECT count(*)` + departed + mayStand, []any{1, 0, 1, 0, 0, 0}},
		{"object_vacant", selectHeld, []any{1, 0, 1, 0, 0, 0, 0}},
		{"object_vacant", setCertain, []any{ledger.Unselected, 1, 0, 1, 0, ledger.Certain, 1}},
		{"object_vacant", postpone, []any{2, 1, 0, 1}},
		{"problem_by_indicator", selectProblem + ` WHERE problem.indicator IN (SELECT value FROM json_each(?))`, []any{"[1]"}},
		{"COVERING INDEX problem_by_time", countErrors, []any{1, MaxCounted}},
		{"problem_by_kind (note=? AND step=? AND code=? AND type=?)", listProblems(byGroup, 0, 50, 0), byGroup.args},
		{"COVERING INDEX problem_by_kind", countGroups(all), all.args},
		{"SEARCH problem USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)", countGroups(added), added.args},
		{"COVERING INDEX problem_by_kind", countGroups(byOwner), byOwner.args},
		{"COVERING INDEX problem_by_text", countGroups(byText), byText.args},
		{"SEARCH object_key USING PRIMARY KEY (key=?)", selectPattern, []any{"[1]", 1}},
		{"SEARCH object USING INTEGER PRIMARY KEY (rowid>?)", selectPattern, []any{"[1]", 1}},
		{"SEARCH object_key USING PRIMARY KEY (key=?)", selectDecidedByKey, []any{"[1]", 1}},
		{"candidate_by_object", selectKnownCandidates, []any{"[1]", maxCandidates}},
		{"SEARCH c USING PRIMARY KEY", selectGiven, []any{1, 1, maxKnown}},
		{"candidate_by_object", countLeaving, []any{0, 1, 1, 0, "[1]", "[1]"}},
		{"SEARCH object_key USING PRIMARY KEY (key>? AND key<?)", selectRecorded, []any{0, 1, 1, 1}},
		{"SEARCH object USING INTEGER PRIMARY KEY (rowid>?)", selectRecorded, []any{0, 1, 1, 1}},
		{"SEARCH send USING INTEGER PRIMARY KEY", selectRecorded, []any{0, 1, 1, 1}},
		{"SEARCH send USING INTEGER PRIMARY KEY", selectHeld, []any{1, 0, 1, 0, 0, 0, 0}},
		{"SEARCH delivery USING INTEGER PRIMARY KEY", selectHeld, []any{1, 0, 1, 0, 0, 0, 0}},
		{"object_without_winner", selectGone, []any{ledger.QueryVacant, 0, 0, 1}},
	} {
		var plan []struct {
			ID      int    `db:"id"`
			Parent  int    `db:"parent"`
			NotUsed int    `db:"notused"`
			Detail  string `db:"detail"`
		}
		f.do(f.read.Select(&plan, `EXPLAIN QUERY PLAN `+c.statement, c.args...))
		if !strings.Contains(fmt.Sprint(plan), c.index) {
			t.Errorf("%s is not used: %v", c.index, plan)
		}
	}
}
