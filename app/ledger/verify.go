package ledger

import (
	"bytes"
	"time"

	"github.com/google/uuid"

	"mssentinel/app/stix"
)

// IngestionBound is how long it may take until Sentinel's table shows what Sentinel accepted: minutes
// (app/docs/sentinel.md#tables). Within the bound a row that is not there says nothing.
const IngestionBound = 15 * time.Minute

// endTolerance is by how much two ends, in milliseconds, may differ and still be one: the table need not keep every digit.
const endTolerance = 1000

// maxTableText is how many characters of a text the table keeps for certain (app/docs/sentinel.md#cut-texts).
const maxTableText = 1000

// Verdict is what comes of comparing what the ledger says of an object with what stands in the workspace.
type Verdict string

// The verdicts. Those from Missing on are differences.
const (
	// Absent: neither says that the object is live.
	Absent Verdict = ""
	// Agrees: both say the same.
	Agrees Verdict = "agrees"
	// TooNew: a row is in the outbox, or one was answered within [IngestionBound], or the next update decides about the object.
	TooNew Verdict = "too_new"
	// Missing: the ledger says that it is live, and the workspace has no active row of it.
	Missing Verdict = "missing"
	// Expired: it is live, and in the workspace it ends earlier than it was sent, or has ended.
	Expired Verdict = "expired"
	// OtherContent: it stands otherwise than it was sent, or stands though what was sent of it has ended.
	OtherContent Verdict = "other_content"
	// Unexpected: the workspace has an active row, and nobody gives the object.
	Unexpected Verdict = "unexpected"
)

// Differences are the verdicts that say that ledger and workspace differ, in the order in which they are shown.
var Differences = []Verdict{Missing, Expired, OtherContent, Unexpected}

// SentAgain are the differences that an update removes by sending the object again.
var SentAgain = []Verdict{Missing, Expired, OtherContent}

// Recorded is an object of the ledger that is to be compared.
type Recorded struct {
	*Object
	// ID is that of the pattern; a row of the workspace has the same.
	ID uuid.UUID
	// Sent is when Sentinel last accepted a row of it, milliseconds since 1970, 0 for never.
	Sent int64
}

// Standing is an object as the workspace has it: its newest row of the last days, app/docs/sentinel.md#what-stands. Instants are milliseconds since 1970.
type Standing struct {
	ID            uuid.UUID
	Pattern, Name string
	// Created and Modified are 0 where the row has none, ValidUntil where it never ends.
	Created, Modified, ValidUntil int64
	// Active: but for its end, rules match it; it is neither revoked nor deleted.
	Active bool
}

// IsActive says that the object is active at an instant.
func (s *Standing) IsActive(now int64) bool {
	return s != nil && s.Active && (s.ValidUntil == 0 || s.ValidUntil > now)
}

// IsOurs says that the id is the one that this App makes of the pattern. Another object it can neither send nor retire.
func (s *Standing) IsOurs() bool { return stix.ID(s.Pattern) == s.ID }

// Difference is one object of which ledger and workspace say different things. Recorded or Standing is nil where that side has
// nothing.
type Difference struct {
	ID       uuid.UUID
	Verdict  Verdict
	Recorded *Recorded
	Standing *Standing
}

// Compare compares the objects of the ledger with those of the workspace, which both are in the order of their ids and complete
// for the same range of ids, and tells found each one of which one of them says that it is live. The ledger has to be read after
// the workspace: so whatever was accepted in between is too new. now is when the workspace was read.
func Compare(recorded []Recorded, standing []Standing, now time.Time, found func(Difference)) {
	at := now.UnixMilli()
	for len(recorded) > 0 || len(standing) > 0 {
		var d Difference
		order := compareHeads(recorded, standing)
		if order <= 0 {
			d.ID, d.Recorded = recorded[0].ID, &recorded[0]
			recorded = recorded[1:]
		}
		if order >= 0 {
			d.ID, d.Standing = standing[0].ID, &standing[0]
			standing = standing[1:]
		}
		if d.Verdict = decideDifference(d.Recorded, d.Standing, at); d.Verdict != Absent {
			found(d)
		}
	}
}

// compareHeads says which list has the next id: the first below 0, the second above, both for 0.
func compareHeads(recorded []Recorded, standing []Standing) int {
	switch {
	case len(recorded) == 0:
		return 1
	case len(standing) == 0:
		return -1
	}
	return bytes.Compare(recorded[0].ID[:], standing[0].ID[:])
}

// decideDifference compares one object; either may be nil.
func decideDifference(r *Recorded, s *Standing, now int64) Verdict {
	live, active := r != nil && r.State == Live && r.ValidUntil > now, s.IsActive(now)
	switch {
	case !live && !active:
		return Absent
	case r != nil && r.isTooNew(now):
		return TooNew
	case live && active:
		return compareContent(r, s)
	case live && s != nil && s.Active: // it has ended
		return Expired
	case live:
		return Missing
	case r == nil || r.Holder() == Nobody:
		return Unexpected
	case r.Holder() == Vacant:
		return TooNew
	}
	return OtherContent
}

// isTooNew says that the table need not show yet what the ledger says.
func (r *Recorded) isTooNew(now int64) bool {
	return r.Queued != 0 || r.Sent > now-IngestionBound.Milliseconds()
}

// compareContent compares an object that both say is live by what the ledger keeps: its end, the pattern, the name. It does not
// keep lastModified as it was sent. Where the table has no name, which a rule of the workspace may drop, that is not compared.
func compareContent(r *Recorded, s *Standing) Verdict {
	switch {
	case s.ValidUntil != 0 && s.ValidUntil < r.ValidUntil-endTolerance:
		return Expired
	case s.ValidUntil == 0 || s.ValidUntil > r.ValidUntil+endTolerance:
		return OtherContent
	case s.Pattern != "" && s.Pattern != r.Pattern && !isCut(s.Pattern, r.Pattern):
		return OtherContent
	case s.Name != "" && s.Name != r.Name && !isCut(s.Name, r.Name):
		return OtherContent
	}
	return Agrees
}

// isCut says that a text of the table may be a longer one that was cut.
func isCut(cut, whole string) bool {
	return len(cut) >= maxTableText && len(cut) < len(whole) && whole[:len(cut)] == cut
}

// SendAgain says that the workspace does not hold what the ledger says: the winner is asked for by the next job, and sent whatever
// it is. An object that nobody gives, or of which a row is on its way, stays as it is.
func (o *Object) SendAgain(generation int64) (changed bool) {
	if o.Holder() != Won || o.Queued != 0 {
		return false
	}
	o.makeVacant(generation, Uncertain)
	o.Resend = true
	return true
}

// RetireAgain says that the operator wants a rejected retirement to be tried again: by the next update in which every query is read,
// as if no query had returned the object.
func (o *Object) RetireAgain() (changed bool) {
	if o.Holder() != Vacant || o.Loss() != Disputed {
		return false
	}
	o.Winner.Indicator, o.changed = int64(Uncertain), true
	return true
}

// Adopt says that an object stands of which the ledger did not know: it stands as the workspace has it, and has departed, so that
// the next job retires it, by the rules for all that departed, unless a query gives it. One that a query gives, that has a row on its
// way, or that is known to stand stays as it is.
func (o *Object) Adopt(s *Standing, generation, now int64) (changed bool) {
	if o.Holder() == Won || o.Queued != 0 || o.State == Live && o.ValidUntil > now {
		return false
	}
	o.State, o.Name, o.Created, o.ValidUntil = Live, s.Name, s.Created, s.ValidUntil
	if o.Name == "" {
		o.Name = s.Pattern // the retirement repeats a name
	}
	if o.Created == 0 {
		o.Created = now
	}
	if o.ValidUntil == 0 {
		o.ValidUntil = farAhead
	}
	o.makeVacant(generation, Uncertain)
	o.Resend = true
	return true
}

// farAhead is the end of what never ends: the last day of the year 9999.
const farAhead = 253402214400000
