package ledger

import (
	"slices"
	"strings"
)

// Cause says why no query gives an object any more, as far as that is known.
type Cause string

// The causes.
const (
	// SourceGone: ThreatConnect lists the indicator as deleted or inactive.
	SourceGone Cause = "deleted-in-threatconnect"
	// QueryRemoved: the query that gave it was deleted on CONFIGURE.
	QueryRemoved Cause = "query-deleted"
	// OwnerLeftOut: the query that gave it does not ask its owner any more.
	OwnerLeftOut Cause = "owner-left-out"
	// QueryEdited: what the query that gave it selects was changed after the object was last sent.
	QueryEdited Cause = "query-edited"
	// NotSelected: the query that gave it was not changed, and does not return it any more.
	NotSelected Cause = "not-selected"
	// NeverGiven: it is not known that a query ever gave it: it was found in the workspace, for example.
	NeverGiven Cause = "never-given"
)

// Causes lists all of them.
var Causes = []Cause{SourceGone, QueryRemoved, OwnerLeftOut, QueryEdited, NotSelected, NeverGiven}

// Giver is the query that last gave an object, as it is now.
type Giver struct {
	// Saved: it is on CONFIGURE. Owners are those it asks, and Changed is when what it selects last changed, in milliseconds
	// since 1970 UTC.
	Saved   bool
	Owners  []string
	Changed int64
}

// ExplainLoss says why nobody gives an object any more: lost how, last sent when in milliseconds since 1970 UTC (0 for never),
// of which owner, and given by whom. giver is nil for a query that is not kept any more.
func ExplainLoss(loss Loss, sent int64, owner string, giver *Giver) Cause {
	switch {
	case sent == 0:
		return NeverGiven
	case loss == Certain:
		return SourceGone
	case giver == nil || !giver.Saved:
		return QueryRemoved
	case giver.Changed <= sent:
		return NotSelected
	case owner != "" && !slices.ContainsFunc(giver.Owners, func(o string) bool { return strings.EqualFold(o, owner) }):
		return OwnerLeftOut
	}
	return QueryEdited
}
