package ledger

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBrake(t *testing.T) {
	for _, tt := range []struct {
		departed, live int64
		want           bool
	}{
		{0, 0, false}, {100, 150, false}, {101, 150, true}, {101, 1009, true}, {101, 1010, false}, {200, 2000, false}, {201, 2000, true},
	} {
		got, err := NeedsConfirmation(tt.departed, func() (int64, error) { return tt.live, nil })
		if got != tt.want || err != nil {
			t.Errorf("%d of %d: %v, %v", tt.departed, tt.live, got, err)
		}
	}
	broken := errors.New("no")
	if _, err := NeedsConfirmation(101, func() (int64, error) { return 0, broken }); !errors.Is(err, broken) {
		t.Errorf("an error is swallowed: %v", err)
	}
	if _, err := NeedsConfirmation(100, func() (int64, error) { return 0, broken }); err != nil {
		t.Errorf("what is live is counted for nothing: %v", err)
	}
}

// A question closes a generation; what departs later is another one.
func TestQuestion(t *testing.T) {
	q := Question{Generation: 1}
	q.Ask()
	if q != (Question{Generation: 2, Asked: 1}) || q.Departure(1) != Asked || q.Departure(2) != Free {
		t.Fatalf("asked: %+v", q)
	}
	if q.RetireAfter(true) != 1 || q.RetireAfter(false) != 0 {
		t.Errorf("retires after %d and %d", q.RetireAfter(true), q.RetireAfter(false))
	}
	confirmed, dismissed := q, q
	confirmed.Close()
	if confirmed != (Question{Generation: 2}) || confirmed.Departure(1) != Free {
		t.Errorf("confirmed: %+v", confirmed)
	}
	dismissed.Dismiss()
	if dismissed != (Question{Generation: 2, Asked: 1, Kept: 1}) || dismissed.Departure(1) != Kept || dismissed.Departure(2) != Free {
		t.Errorf("dismissed: %+v", dismissed)
	}
	dismissed.Ask() // together with something new
	if dismissed != (Question{Generation: 3, Asked: 2, Kept: 1}) || dismissed.Departure(1) != Kept || dismissed.Departure(2) != Asked {
		t.Errorf("asked again: %+v", dismissed)
	}
	dismissed.Close()
	if dismissed != (Question{Generation: 3, Asked: 1, Kept: 1}) {
		t.Errorf("closed by a newer update: %+v", dismissed)
	}
}

func TestDepart(t *testing.T) {
	const handed, seq, generation, now = 10, 20, 3, 500
	live := Object{Winner: vacant, Left: 2, State: Live, Name: "standing", Created: 1, ValidUntil: 1000}
	newer := Row{Seq: 12, Name: "newer", Created: 2, ValidUntil: 2000}
	away := Row{Seq: 8, Name: "away", Created: 3, ValidUntil: 1500}
	retire := func(r Row) *Row {
		return &Row{Seq: seq, Retire: true, Name: r.Name, Created: r.Created, ValidUntil: now}
	}
	standing := Row{Name: "standing", Created: 1}
	for name, tt := range map[string]struct {
		object           func(*Object)
		newest, underWay Row
		drop             int64
		retirement       *Row
		queued           int64
		until            int64
	}{
		"stands":                             {retirement: retire(standing), queued: seq, until: 1000},
		"its time has passed":                {object: func(o *Object) { o.ValidUntil = now }, until: now},
		"never sent":                         {object: func(o *Object) { o.State = Nothing }, until: 1000},
		"retired before":                     {object: func(o *Object) { o.State = Retired }, until: 1000},
		"a newer copy waits":                 {newest: newer, drop: 12, retirement: retire(standing), queued: seq, until: 1000},
		"a newer copy under way":             {newest: away, underWay: away, retirement: retire(away), queued: seq, until: 1500},
		"one waits, one is under way":        {newest: newer, underWay: away, drop: 12, retirement: retire(away), queued: seq, until: 1500},
		"only an older one under way":        {underWay: away, retirement: retire(away), queued: seq, until: 1500},
		"its retirement waits":               {newest: Row{Seq: 12, Retire: true}, queued: 12, until: 1000},
		"its retirement is under way":        {newest: Row{Seq: 9, Retire: true}, underWay: Row{Seq: 9, Retire: true}, queued: 9, until: 1000},
		"a copy waits behind its retirement": {newest: newer, underWay: Row{Seq: 9, Retire: true}, drop: 12, queued: 9, until: 1000},
		"never answered, under way": {object: func(o *Object) { o.State, o.ValidUntil = Nothing, 0 }, newest: away, underWay: away,
			retirement: retire(away), queued: seq, until: 1500},
	} {
		t.Run(name, func(t *testing.T) {
			o := live
			if tt.object != nil {
				tt.object(&o)
			}
			o.Queued = tt.newest.Seq
			got := o.Depart(tt.newest, tt.underWay, handed, seq, generation, now)
			want := Withdrawal{Drop: tt.drop}
			if tt.retirement != nil {
				want.Retirement = *tt.retirement
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if o.Holder() != Nobody || !o.Resend || o.Queued != tt.queued || o.ValidUntil != tt.until {
				t.Errorf("the object is %+v", o)
			}
		})
	}
}

func TestMayStand(t *testing.T) {
	for name, tt := range map[string]struct {
		object Object
		newest Row
		want   bool
	}{
		"live":                      {Object{State: Live, ValidUntil: 501}, Row{}, true},
		"its time has passed":       {Object{State: Live, ValidUntil: 500}, Row{}, false},
		"retired":                   {Object{State: Retired, ValidUntil: 900}, Row{}, false},
		"nothing":                   {Object{}, Row{}, false},
		"a row waits":               {Object{}, Row{Seq: 11}, false},
		"a row is under way":        {Object{}, Row{Seq: 10}, true},
		"a retirement is under way": {Object{}, Row{Seq: 10, Retire: true}, false},
	} {
		if got := tt.object.MayStand(500, tt.newest, 10); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestHasDeparted(t *testing.T) {
	for _, tt := range []struct {
		winner Origin
		left   int64
		want   bool
	}{{vacant, 2, false}, {vacant, 3, true}, {vacant, 4, true}, {vacant, 5, false}, {first, 3, false}, {nobody, 3, false}} {
		if got := (&Object{Winner: tt.winner, Left: tt.left}).HasDeparted(2, 4, Uncertain); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}

func TestRetirableLoss(t *testing.T) {
	for _, tt := range []struct {
		complete, readsAll bool
		want               Loss
	}{{false, false, Certain}, {false, true, Certain}, {true, false, Uncertain}, {true, true, Disputed}} {
		if got := RetirableLoss(tt.complete, tt.readsAll); got != tt.want {
			t.Errorf("%+v: %d", tt, got)
		}
	}
	o := Object{Winner: Origin{QueryVacant, int64(Uncertain)}, Left: 3}
	if o.HasDeparted(2, 4, Certain) || !o.HasDeparted(2, 4, Uncertain) {
		t.Error("what is uncertain is not told from what is certain")
	}
	if o.Postpone(0, 3); o.Left != 4 {
		t.Errorf("left in %d", o.Left)
	}
	if o.MakeCertain(); !o.HasDeparted(2, 4, Certain) {
		t.Errorf("%+v", o)
	}
}
