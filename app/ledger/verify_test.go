package ledger

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"mssentinel/app/stix"
)

var verifiedAt = time.UnixMilli(10_000_000_000)

const (
	hour  = int64(3_600_000)
	sent  = 10_000_000_000 - 100*hour
	until = 10_000_000_000 + 100*hour
)

const onePattern = "[domain-name:value = 'bad.example']"

func TestDecideDifference(t *testing.T) {
	for name, tt := range map[string]struct {
		recorded func(*Recorded) // nil: none
		standing func(*Standing) // nil: none
		want     Verdict
	}{
		"both the same":                    {func(*Recorded) {}, func(*Standing) {}, Agrees},
		"the end without its milliseconds": {func(*Recorded) {}, func(s *Standing) { s.ValidUntil -= 999 }, Agrees},
		"no row":                           {func(*Recorded) {}, nil, Missing},
		"revoked":                          {func(*Recorded) {}, func(s *Standing) { s.Active = false }, Missing},
		"ended":                            {func(*Recorded) {}, func(s *Standing) { s.ValidUntil = sent }, Expired},
		"ends early":                       {func(*Recorded) {}, func(s *Standing) { s.ValidUntil -= hour }, Expired},
		"ends late":                        {func(*Recorded) {}, func(s *Standing) { s.ValidUntil += hour }, OtherContent},
		"never ends":                       {func(*Recorded) {}, func(s *Standing) { s.ValidUntil = 0 }, OtherContent},
		"another pattern":                  {func(*Recorded) {}, func(s *Standing) { s.Pattern = "[domain-name:value = 'good.example']" }, OtherContent},
		"a table without patterns":         {func(*Recorded) {}, func(s *Standing) { s.Pattern = "" }, Agrees},
		"another name":                     {func(*Recorded) {}, func(s *Standing) { s.Name = "bad.example | Other" }, OtherContent},
		"a table without names":            {func(*Recorded) {}, func(s *Standing) { s.Name = "" }, Agrees},
		"a name that was cut":              {func(r *Recorded) { r.Name = strings.Repeat("x", 1200) }, func(s *Standing) { s.Name = strings.Repeat("x", 1000) }, Agrees},
		"a short name that looks cut":      {func(r *Recorded) { r.Name = "long name" }, func(s *Standing) { s.Name = "long" }, OtherContent},

		"nothing known of it":              {nil, func(*Standing) {}, Unexpected},
		"nothing known, and it ended":      {nil, func(s *Standing) { s.ValidUntil = sent }, Absent},
		"nothing known, and it is revoked": {nil, func(s *Standing) { s.Active = false }, Absent},
		"nothing known, and it never ends": {nil, func(s *Standing) { s.ValidUntil = 0 }, Unexpected},
		"retired, and it stands":           {retired, func(*Standing) {}, Unexpected},
		"retired, and it has no row":       {retired, nil, Absent},
		"ended, with a winner":             {func(r *Recorded) { r.ValidUntil = sent }, func(*Standing) {}, OtherContent},
		"ended on both sides":              {func(r *Recorded) { r.ValidUntil = sent }, func(s *Standing) { s.ValidUntil = sent }, Absent},
		"ended, and nobody gives it":       {func(r *Recorded) { r.ValidUntil, r.Winner = sent, nobody }, func(*Standing) {}, Unexpected},
		"rejected, with a winner":          {func(r *Recorded) { r.State = Nothing }, func(*Standing) {}, OtherContent},
		"to be decided by the next update": {func(r *Recorded) { r.State, r.Winner = Nothing, vacant }, func(*Standing) {}, TooNew},
		"held by the brake":                {func(r *Recorded) { r.Winner = vacant }, func(*Standing) {}, Agrees},
		"held by the brake, and missing":   {func(r *Recorded) { r.Winner = vacant }, nil, Missing},

		"sent just now":                              {func(r *Recorded) { r.Sent = verifiedAt.Add(-IngestionBound).UnixMilli() + 1 }, nil, TooNew},
		"sent just long enough ago":                  {func(r *Recorded) { r.Sent = verifiedAt.Add(-IngestionBound).UnixMilli() }, nil, Missing},
		"sent after the workspace was read":          {func(r *Recorded) { r.Sent = verifiedAt.UnixMilli() + 1 }, nil, TooNew},
		"in the outbox":                              {func(r *Recorded) { r.Queued = 7 }, nil, TooNew},
		"in the outbox for the first time":           {func(r *Recorded) { r.State, r.Queued = Nothing, 7 }, func(*Standing) {}, TooNew},
		"retired just now":                           {func(r *Recorded) { retired(r); r.Sent = verifiedAt.UnixMilli() }, func(*Standing) {}, TooNew},
		"sent just now, nobody says that it is live": {func(r *Recorded) { retired(r); r.Sent = verifiedAt.UnixMilli() }, nil, Absent},
	} {
		t.Run(name, func(t *testing.T) {
			r, s := oneRecorded(), oneStanding()
			var recorded *Recorded
			var standing *Standing
			if tt.recorded != nil {
				tt.recorded(&r)
				recorded = &r
			}
			if tt.standing != nil {
				tt.standing(&s)
				standing = &s
			}
			if got := decideDifference(recorded, standing, verifiedAt.UnixMilli()); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func retired(r *Recorded) { r.State, r.Winner, r.ValidUntil = Retired, nobody, sent }

func oneRecorded() Recorded {
	return Recorded{Object: &Object{Number: 1, Pattern: onePattern, Winner: first, State: Live, Name: "bad.example | One", Created: 1, ValidUntil: until},
		ID: stix.ID(onePattern), Sent: sent}
}

func oneStanding() Standing {
	return Standing{ID: stix.ID(onePattern), Pattern: onePattern, Name: "bad.example | One", Created: 1, Modified: sent, ValidUntil: until, Active: true}
}

// Whatever the pages are, each object is compared once with its own row, in the order of the ids.
func TestCompare(t *testing.T) {
	for seed := range uint64(200) {
		dice := rand.New(rand.NewPCG(seed, 1))
		var recorded []Recorded
		var standing []Standing
		want := map[uuid.UUID]Verdict{}
		for n := range dice.IntN(30) {
			r, s := oneRecorded(), oneStanding()
			r.Pattern = fmt.Sprintf("[domain-name:value = '%d.example']", n)
			s.Pattern, r.ID = r.Pattern, stix.ID(r.Pattern)
			s.ID = r.ID
			switch dice.IntN(3) {
			case 0:
				recorded, want[r.ID] = append(recorded, r), Missing
			case 1:
				standing, want[r.ID] = append(standing, s), Unexpected
			case 2:
				recorded, standing, want[r.ID] = append(recorded, r), append(standing, s), Agrees
			}
		}
		byID := func(a, b uuid.UUID) int { return cmp.Compare(a.String(), b.String()) }
		slices.SortFunc(recorded, func(a, b Recorded) int { return byID(a.ID, b.ID) })
		slices.SortFunc(standing, func(a, b Standing) int { return byID(a.ID, b.ID) })
		got := map[uuid.UUID]Verdict{}
		var last uuid.UUID
		Compare(recorded, standing, verifiedAt, func(d Difference) {
			if byID(last, d.ID) >= 0 {
				t.Errorf("seed %d: %s comes after %s", seed, d.ID, last)
			}
			if d.Recorded != nil && d.Recorded.ID != d.ID || d.Standing != nil && d.Standing.ID != d.ID {
				t.Errorf("seed %d: %s has %v and %v", seed, d.ID, d.Recorded, d.Standing)
			}
			last, got[d.ID] = d.ID, d.Verdict
		})
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("seed %d (-want +got):\n%s", seed, diff)
		}
	}
}

func TestSendAgain(t *testing.T) {
	before := Object{Number: 1, Winner: first, Left: 2, Hash: 9, State: Live, Name: "x", Created: 1, ValidUntil: until}
	for name, tt := range map[string]struct{ before, want func(*Object) }{
		"won":             {func(*Object) {}, func(o *Object) { o.Winner, o.Left, o.Resend = vacant, 5, true }},
		"on its way":      {func(o *Object) { o.Queued = 3 }, func(*Object) {}},
		"vacant already":  {func(o *Object) { o.Winner = vacant }, func(*Object) {}},
		"given by nobody": {func(o *Object) { o.Winner = nobody }, func(*Object) {}},
	} {
		t.Run(name, func(t *testing.T) {
			got := before
			tt.before(&got)
			want := got
			tt.want(&want)
			if changed := got.SendAgain(5); changed != (name == "won") {
				t.Errorf("changed: %v", changed)
			}
			if d := diff(want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestAdopt(t *testing.T) {
	s := oneStanding()
	now := verifiedAt.UnixMilli()
	for name, tt := range map[string]struct {
		before Object
		from   func(*Standing)
		want   func(*Object)
	}{
		"unknown": {Object{Number: 1, Winner: nobody}, func(*Standing) {}, adopted},
		"retired": {Object{Number: 1, Winner: nobody, State: Retired, Name: "old", Created: 9, ValidUntil: sent}, func(*Standing) {}, adopted},
		"with nothing but a pattern": {Object{Number: 1, Winner: nobody}, func(s *Standing) { s.Name, s.Created, s.ValidUntil = "", 0, 0 },
			func(o *Object) { adopted(o); o.Name, o.Created, o.ValidUntil = onePattern, now, farAhead }},
		"given by a query":    {Object{Number: 1, Winner: first}, func(*Standing) {}, func(*Object) {}},
		"on its way":          {Object{Number: 1, Winner: nobody, Queued: 3}, func(*Standing) {}, func(*Object) {}},
		"known to stand":      {Object{Number: 1, Winner: vacant, State: Live, ValidUntil: until}, func(*Standing) {}, func(*Object) {}},
		"known to have ended": {Object{Number: 1, Winner: nobody, State: Live, ValidUntil: sent}, func(*Standing) {}, adopted},
	} {
		t.Run(name, func(t *testing.T) {
			got, want, from := tt.before, tt.before, s
			tt.from(&from)
			tt.want(&want)
			if changed := got.Adopt(&from, 5, now); changed != (diff(tt.before, want) != "") {
				t.Errorf("changed: %v", changed)
			}
			if d := diff(want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
	// What was adopted departs as all that departed.
	o := Object{Number: 1, Winner: nobody}
	o.Adopt(&s, 5, now)
	if !o.HasDeparted(4, 5, RetirableLoss(true, false)) || o.HasDeparted(4, 5, RetirableLoss(false, false)) || !o.MayStand(now, Row{}, 0) {
		t.Errorf("%+v does not depart as what a query did not return", o)
	}
	w := o.Depart(Row{}, Row{}, 0, 8, 5, now)
	if want := (Row{Seq: 8, Retire: true, Name: s.Name, Created: s.Created, ValidUntil: now}); w.Retirement != want {
		t.Errorf("retired as %+v, want %+v", w.Retirement, want)
	}
}

func adopted(o *Object) {
	s := oneStanding()
	o.Winner, o.Left, o.Resend, o.State, o.Name, o.Created, o.ValidUntil = vacant, 5, true, Live, s.Name, s.Created, s.ValidUntil
}

func TestIsOurs(t *testing.T) {
	s := oneStanding()
	if !s.IsOurs() {
		t.Error("its own id")
	}
	if s.Pattern = "[domain-name:value = 'BAD.example']"; s.IsOurs() {
		t.Error("the id of another pattern")
	}
}
