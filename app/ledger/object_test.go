package ledger

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var (
	first  = Origin{Query: 1, Indicator: 10}
	second = Origin{Query: 2, Indicator: 20}
	nobody = Origin{Query: QueryNobody}
	vacant = Origin{Query: QueryVacant}
)

func diff(want, got Object) string {
	return cmp.Diff(want, got, cmpopts.IgnoreUnexported(Object{}))
}

func TestHolder(t *testing.T) {
	for winner, want := range map[Origin]Holder{first: Won, vacant: Vacant, nobody: Nobody} {
		if got := (&Object{Winner: winner}).Holder(); got != want {
			t.Errorf("%v is held by %v, want %v", winner, got, want)
		}
	}
}

func TestPassage(t *testing.T) {
	for queued, want := range map[int64]Passage{0: None, 4: UnderWay, 5: UnderWay, 6: Waiting} {
		if got := (&Object{Queued: queued}).Passage(5); got != want {
			t.Errorf("row %d of which 5 were handed over: %v, want %v", queued, got, want)
		}
	}
}

// Transitions of an object that was accepted once, by row 5, and has row 7 in the outbox.
func TestTransitions(t *testing.T) {
	before := Object{Number: 1, Winner: first, Left: 2, Hash: 9, Queued: 7, Settled: 5, State: Live, Name: "old", Created: 100, ValidUntil: 1000}
	row := func(seq int64) Row { return Row{Seq: seq, Name: "new", Created: 110, ValidUntil: 2000} }
	for name, tt := range map[string]struct {
		do   func(*Object)
		want func(*Object)
	}{
		"withdrawn by its winner": {func(o *Object) { o.Withdraw(first, 3, Uncertain) }, func(o *Object) { o.Winner, o.Left = vacant, 3 }},
		"withdrawn by another":    {func(o *Object) { o.Withdraw(second, 3, Uncertain) }, func(*Object) {}},
		"accepted": {func(o *Object) { o.Accept(row(7)) },
			func(o *Object) { o.Queued, o.Settled, o.Name, o.Created, o.ValidUntil = 0, 7, "new", 110, 2000 }},
		"an older row accepted late": {func(o *Object) { o.Accept(row(5)) }, func(*Object) {}},
		"an older row accepted": {func(o *Object) { o.Accept(row(6)) },
			func(o *Object) { o.Settled, o.Name, o.Created, o.ValidUntil = 6, "new", 110, 2000 }},
		"its retirement accepted": {func(o *Object) { o.AcceptRetirement(Row{Seq: 7, Retire: true, ValidUntil: 500}) },
			func(o *Object) { o.Queued, o.Settled, o.State, o.ValidUntil = 0, 7, Retired, 500 }},
		"rejected": {func(o *Object) { o.Reject(row(7), false) }, func(o *Object) { o.Queued, o.Settled = 0, 7 }},
		"rejected, an answer to it was lost": {func(o *Object) { o.Reject(row(7), true) },
			func(o *Object) { o.Queued, o.Settled, o.Name, o.Created, o.ValidUntil = 0, 7, "new", 110, 2000 }},
		"an older row rejected, an answer to it was lost": {func(o *Object) { o.Reject(row(5), true) }, func(*Object) {}},
		"its retirement rejected, but it is back": {func(o *Object) { o.RejectRetirement(row(7), 3) },
			func(o *Object) { o.Queued, o.Settled = 0, 7 }},
		"certainly withdrawn": {func(o *Object) { o.Withdraw(first, 3, Certain) },
			func(o *Object) { o.Winner, o.Left = Origin{QueryVacant, int64(Certain)}, 3 }},
		"certainly withdrawn, then not returned": {func(o *Object) { o.Withdraw(first, 3, Certain); o.Withdraw(second, 4, Uncertain) },
			func(o *Object) { o.Winner, o.Left = Origin{QueryVacant, int64(Certain)}, 4 }},
		"not returned, then certainly withdrawn": {func(o *Object) { o.Withdraw(first, 3, Uncertain); o.Withdraw(second, 4, Certain) },
			func(o *Object) { o.Winner, o.Left = Origin{QueryVacant, int64(Certain)}, 4 }},
		"certain, and its workspace abandoned": {func(o *Object) { o.Withdraw(first, 3, Certain); o.Abandon(4) },
			func(o *Object) { o.Winner, o.Left, o.Resend = vacant, 3, true }},
		"its row dropped": {func(o *Object) { o.DropRow(7, 0, 3) },
			func(o *Object) { o.Winner, o.Left, o.Resend, o.Queued = vacant, 3, true, 0 }},
		"its row dropped, an older one under way": {func(o *Object) { o.DropRow(7, 5, 3) },
			func(o *Object) {
				o.Winner, o.Left, o.Resend, o.Queued = Origin{QueryVacant, int64(Uncertain)}, 3, true, 5
			}},
		"an older row dropped": {func(o *Object) { o.DropRow(6, 0, 3) }, func(*Object) {}},
		"perhaps accepted":     {func(o *Object) { o.AssumeAccepted(row(7)) }, func(o *Object) { o.Name, o.Created, o.ValidUntil = "new", 110, 2000 }},
		"perhaps, for less long": {func(o *Object) { o.AssumeAccepted(Row{Seq: 7, Name: "new", ValidUntil: 900}) },
			func(o *Object) { o.Name, o.Created = "new", 0 }},
		"perhaps, but answered": {func(o *Object) { o.AssumeAccepted(row(5)) }, func(*Object) {}},
		"abandoned":             {func(o *Object) { o.Abandon(3) }, func(o *Object) { o.Winner, o.Left, o.Resend = vacant, 3, true }},
	} {
		t.Run(name, func(t *testing.T) {
			got, want := before, before
			tt.do(&got)
			tt.want(&want)
			if d := diff(want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// What loses another candidate while it is vacant departs later: a question that was asked before is not about it.
func TestWithdrawnWhileVacant(t *testing.T) {
	o := Object{Winner: vacant, Left: 2}
	if !o.Withdraw(second, 3, Uncertain) || o.Left != 3 {
		t.Errorf("left in %d", o.Left)
	}
}

// Left is the generation in which the last winner went away: an object without one keeps it.
func TestVacantObjectKeepsItsGeneration(t *testing.T) {
	for name, do := range map[string]func(*Object){
		"dropped": func(o *Object) { o.DropRow(7, 0, 9) }, "abandoned": func(o *Object) { o.Abandon(9) },
		"departed": func(o *Object) { o.Depart(Row{}, Row{}, 10, 8, 9, 0) },
	} {
		o := Object{Winner: vacant, Left: 2, Queued: 7}
		do(&o)
		if o.Left != 2 {
			t.Errorf("%s: left in %d", name, o.Left)
		}
	}
}

func TestAssumedAcceptanceOfWhatWasRetired(t *testing.T) {
	o := Object{State: Retired, ValidUntil: 5000, Settled: 3}
	o.AssumeAccepted(Row{Seq: 4, Name: "back", Created: 1, ValidUntil: 900})
	if o.State != Live || o.ValidUntil != 900 {
		t.Errorf("%+v", o)
	}
}

// A retirement that was rejected has the object depart once more, as long as it stands and nobody gives it; one that was dropped
// leaves it as certainly gone as it was.
func TestRejectedAndDroppedRetirement(t *testing.T) {
	departed := Object{Winner: Origin{QueryNobody, int64(Certain)}, Left: 2, Queued: 7, Settled: 5, State: Live, ValidUntil: 1000, Resend: true}
	o := departed
	o.RejectRetirement(Row{Seq: 7, Retire: true}, 4)
	if o.Holder() != Vacant || o.Loss() != Disputed || o.Left != 4 || o.Queued != 0 || o.State != Live {
		t.Errorf("rejected: %+v", o)
	}
	o = departed
	o.State = Retired
	o.RejectRetirement(Row{Seq: 7, Retire: true}, 4)
	if o.Holder() != Nobody || o.Left != 2 {
		t.Errorf("rejected though it does not stand: %+v", o)
	}
	o = departed
	o.DropRow(7, 0, 4)
	if o.Holder() != Vacant || o.Loss() != Certain || o.Left != 2 {
		t.Errorf("dropped: %+v", o)
	}
}
