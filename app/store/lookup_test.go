package store

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
	"mssentinel/app/stix"
)

func TestLookup(t *testing.T) {
	f := newFixture(t)
	one := stix.ID("[domain-name:value = '1.example']")
	lookup := func() []Known {
		t.Helper()
		known, err := f.Lookup(ctx(), []uuid.UUID{stix.ID("[domain-name:value = 'nobody.example']"), one}, f.now)
		f.do(err)
		return known
	}
	if known := lookup(); known != nil {
		t.Errorf("an empty ledger knows %+v", known)
	}
	first := f.fill(3)
	want := Known{ID: "indicator--" + one.String(), Pattern: "[domain-name:value = '1.example']", Type: "Host", Name: "1.example v0", Created: noon,
		ValidUntil: noon.Add(30 * day24), ContentHash: int64(f.found(1, 0).Objects[0].Hash), Decided: true, State: ledger.Live, Outlook: ledger.SentWhenChanged,
		Candidates: []KnownCandidate{{Query: 1, Indicator: 2, Owner: "o", Decision: ledger.Wins}},
		Sends:      []Send{{At: noon, RequestID: first.RequestID, Indicator: 2}}}
	if diff := cmp.Diff([]Known{want}, lookup()); diff != "" {
		t.Errorf("known (-want +got):\n%s", diff)
	}
	byIndicator, err := f.LookupIndicator(ctx(), 2, f.now)
	f.do(err)
	if diff := cmp.Diff([]Known{want}, byIndicator); diff != "" {
		t.Errorf("by its indicator (-want +got):\n%s", diff)
	}

	// Several at a time come in the order in which they are asked for, each with what is its own.
	two := stix.ID("[domain-name:value = '2.example']")
	several, err := f.Lookup(ctx(), []uuid.UUID{two, one}, f.now)
	f.do(err)
	other := want
	other.ID, other.Pattern, other.Name = "indicator--"+two.String(), "[domain-name:value = '2.example']", "2.example v0"
	other.ContentHash = int64(f.found(2, 0).Objects[0].Hash)
	other.Candidates = []KnownCandidate{{Query: 1, Indicator: 3, Owner: "o", Decision: ledger.Wins}}
	other.Sends = []Send{{At: noon, RequestID: first.RequestID, Indicator: 3}}
	if diff := cmp.Diff([]Known{other, want}, several); diff != "" {
		t.Errorf("several (-want +got):\n%s", diff)
	}

	// A higher query gives it as well; then the lower one is deleted.
	old, err := f.RunQueries(ctx())
	f.do(err)
	queries := f.save(Query{Owners: []string{"p"}, Types: []string{"Host"}, TQL: "higher"}, old[0].Query)
	f.now = f.now.Add(time.Hour)
	f.query = queries[0].Number
	update := f.begin(job.Full)
	higher := f.found(1, 3)
	higher.Indicator, higher.Owner = 77, "p"
	_, err = f.Apply(ctx(), ledger.Batch{Job: update.Number, Mode: update.Mode, Query: f.query, Now: f.now, Found: []ledger.Found{higher}})
	f.do(err)
	known := lookup()[0]
	if known.Outlook != ledger.OnItsWay {
		t.Errorf("what waits in the outbox: %+v", known)
	}
	f.upload()
	f.complete(update)
	want.Name, want.ValidUntil, want.ContentHash = "1.example v3", f.now.Add(30*day24), int64(higher.Objects[0].Hash)
	want.Candidates = []KnownCandidate{{Query: 1, Indicator: 77, Owner: "p", Decision: ledger.Wins}, {Query: 2, Indicator: 2, Owner: "o", Decision: ledger.LosesToQuery}}
	want.Sends = []Send{{At: f.now, RequestID: update.RequestID, Indicator: 77}, want.Sends[0]}
	if diff := cmp.Diff(want, lookup()[0]); diff != "" {
		t.Errorf("with two candidates (-want +got):\n%s", diff)
	}
	f.save(queries[0].Query)
	if got := lookup()[0].Candidates[1]; got.Decision != ledger.QueryDeleted || got.Query != 0 {
		t.Errorf("a deleted query's candidate: %+v", got)
	}

	// Nobody gives it any more.
	f.now = f.now.Add(time.Hour)
	gone := f.begin(job.Reconcile)
	f.do(f.SweepDeparted(ctx(), gone.Number, []int64{f.query}))
	if got := lookup()[0]; got.Outlook != ledger.RetiredWhenAllRead || got.Candidates != nil {
		t.Errorf("departed: %+v", got)
	}
	f.retire(gone)
	f.upload()
	if got := lookup()[0]; got.Outlook != ledger.Settled || got.State != ledger.Retired || !got.Sends[0].Retire || !got.ValidUntil.Equal(f.now) {
		t.Errorf("retired: %+v", got)
	}
	over, cancel := context.WithCancel(ctx())
	cancel()
	if _, err := f.Lookup(over, []uuid.UUID{one}, f.now); err == nil || !strings.Contains(err.Error(), "looking an indicator up") {
		t.Errorf("a look-up that is given up: %v", err)
	}
	if known, err := f.LookupIndicator(ctx(), 77, f.now); err != nil || known != nil {
		t.Errorf("an indicator that gives nothing: %+v, %v", known, err)
	}
}
