package ledger

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExplain(t *testing.T) {
	c := func(query, indicator, place int64) *Candidate {
		return &Candidate{Origin: Origin{query, indicator}, Object: 1, Place: place}
	}
	ranks := map[int64]int64{10: 1, 20: 2}
	for name, x := range map[string]struct {
		candidates []*Candidate
		winner     Origin
		want       []Decision
	}{
		"one":                        {[]*Candidate{c(20, 1, 0)}, Origin{20, 1}, []Decision{Wins}},
		"a higher query":             {[]*Candidate{c(20, 1, 0), c(10, 2, 9)}, Origin{10, 2}, []Decision{LosesToQuery, Wins}},
		"one that came before":       {[]*Candidate{c(10, 1, 0), c(10, 2, 9)}, Origin{10, 2}, []Decision{LosesInQuery, Wins}},
		"a deleted query":            {[]*Candidate{c(30, 1, 0), c(20, 2, 0)}, Origin{20, 2}, []Decision{QueryDeleted, Wins}},
		"a deleted query still wins": {[]*Candidate{c(30, 1, 0)}, Origin{30, 1}, []Decision{Wins}},
		"vacant":                     {[]*Candidate{c(20, 1, 0), c(10, 2, 9), c(10, 3, 4)}, Origin{QueryVacant, 0}, []Decision{LosesToQuery, LosesInQuery, IsNext}},
		"only deleted queries":       {[]*Candidate{c(30, 1, 0)}, Origin{QueryVacant, 0}, []Decision{QueryDeleted}},
		"nobody":                     {nil, Origin{QueryNobody, 0}, []Decision{}},
	} {
		if diff := cmp.Diff(x.want, Explain(x.candidates, ranks, x.winner)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestOutlook(t *testing.T) {
	const now = 1000
	q := Question{Generation: 5, Asked: 4, Kept: 2}
	won := Object{Winner: Origin{10, 1}, State: Live, ValidUntil: now + 1}
	vacant := func(left int64, loss Loss, until int64) Object {
		return Object{Winner: Origin{QueryVacant, int64(loss)}, Left: left, State: Live, ValidUntil: until}
	}
	queued, resend, lapsed := won, won, won
	queued.Queued, resend.Resend, lapsed.ValidUntil = 7, true, now
	for name, x := range map[string]struct {
		o          Object
		candidates []Decision
		want       Outlook
	}{
		"won":                         {won, []Decision{Wins}, SentWhenChanged},
		"won and lapsed":              {lapsed, []Decision{Wins}, SentWhenChanged},
		"won and cancelled":           {resend, []Decision{Wins}, SentAnyway},
		"queued":                      {queued, []Decision{Wins}, OnItsWay},
		"the winner went away":        {vacant(5, Uncertain, now+1), []Decision{LosesToQuery, IsNext}, AskedFor},
		"asked for though kept":       {vacant(1, Uncertain, now+1), []Decision{LosesToQuery, IsNext}, AskedFor},
		"certainly gone":              {vacant(5, Certain, now+1), nil, RetiredNext},
		"not returned":                {vacant(5, Uncertain, now+1), nil, RetiredWhenAllRead},
		"its retirement was rejected": {vacant(5, Disputed, now+1), nil, RetiredByReading},
		"asked about":                 {vacant(4, Certain, now+1), nil, HeldForAnswer},
		"kept":                        {vacant(2, Certain, now+1), nil, KeptByAnswer},
		"gone and lapsed":             {vacant(5, Certain, now), nil, Settled},
		"a deleted query gives it":    {vacant(5, Uncertain, now+1), []Decision{QueryDeleted}, RetiredByReading},
		"retired":                     {Object{Winner: Origin{QueryNobody, 0}, State: Retired}, nil, Settled},
		"never sent and gone":         {Object{Winner: Origin{QueryVacant, 0}, Left: 5}, nil, Settled},
	} {
		if got := x.o.Outlook(q, x.candidates, now); got != x.want {
			t.Errorf("%s: %d, want %d", name, got, x.want)
		}
	}
}

// What is said of the future agrees with what the rules then do.
func TestOutlookAgreesWithRetirement(t *testing.T) {
	for _, loss := range []Loss{Certain, Uncertain, Disputed} {
		for left := int64(1); left <= 5; left++ {
			q := Question{Generation: 5, Asked: 4, Kept: 2}
			o := Object{Winner: Origin{QueryVacant, int64(loss)}, Left: left, State: Live, ValidUntil: 1}
			outlook := o.Outlook(q, nil, 0)
			delta := o.HasDeparted(q.RetireAfter(true), q.Generation, RetirableLoss(true, false))
			partial := o.HasDeparted(q.RetireAfter(true), q.Generation, RetirableLoss(false, false))
			all := o.HasDeparted(q.RetireAfter(false), q.Generation, RetirableLoss(true, true))
			if partial != (outlook == RetiredNext) || delta != (outlook == RetiredNext || outlook == RetiredWhenAllRead) ||
				all == (outlook == KeptByAnswer) {
				t.Errorf("loss %d, generation %d: %d, but it is retired by a partial read %t, by a delta %t, by a complete read %t",
					loss, left, outlook, partial, delta, all)
			}
		}
	}
}
