package templates

import (
	"time"
)

// History is the page of the last versions of the list of queries, the newest first.
type History struct {
	Frame
	Versions []ListVersion
	// Kept is how many are kept.
	Kept int
}

// ListVersion is the list of queries as it was saved once.
type ListVersion struct {
	Number  int64
	SavedAt time.Time
	// SavedBy is "" where it is not known.
	SavedBy string
	// Mode is that of the update which was asked for with it.
	Mode    string
	Queries int
	// Changes say what was another in the version before; "" for nothing.
	Changes string
	// Current: the list stands so now.
	Current bool
}

// VersionPage is the page of one version: what is another in the list as it stands, and the version's queries.
type VersionPage struct {
	Frame
	Version     ListVersion
	Summary     string
	Differences []QueryDifference
	Queries     []Query
}

// QueryDifference is what happened to a query since a version. Then and Now are its positions, 0 where it was not in the list.
type QueryDifference struct {
	Then, Now int
	TQL       string
	// Kinds are of Added, Changed, Deleted and Moved.
	Kinds  []string
	Fields []FieldChange
}

// FieldChange is a field of a query with what it held and holds; of owners and types what went and came.
type FieldChange struct{ Name, Gone, Came string }

// saverName names who saved a version, in a sentence.
func saverName(v ListVersion) string {
	if v.SavedBy == "" {
		return "somebody whose name is not known"
	}
	return v.SavedBy
}
