package templates

import (
	"strings"
	"time"

	"github.com/a-h/templ"
)

// Query is a line of CONFIGURE.
type Query struct {
	// Key tells the lines of a page apart: the query's id, or a name of its own for a new one.
	Key                      string
	Position                 int
	Owners, Types            []string
	TQL                      string
	SortField, SortDirection string
	Settings                 QuerySettings
	// AllTypes is how many indicator types can be sent.
	AllTypes int
	// Gave is what it gave; nil where that is not shown.
	Gave *QueryGave
	// Mark is New or Changed while that is not saved.
	Mark string
}

// QuerySettings are what a query says of the objects that it gives. A member that is zero says nothing.
type QuerySettings struct {
	MinConfidence, TTLHours int
	Labels                  []string
	// TLP is the name of a level, such as AMBER.
	TLP string
}

// settingColumns are the settings that queries of a list have: a table has no column of another.
type settingColumns struct{ minConfidence, ttlHours, labels, tlp bool }

func columnsOf(queries []Query) (c settingColumns) {
	for i := range queries {
		s := &queries[i].Settings
		c.minConfidence, c.ttlHours = c.minConfidence || s.MinConfidence > 0, c.ttlHours || s.TTLHours > 0
		c.labels, c.tlp = c.labels || len(s.Labels) > 0, c.tlp || s.TLP != ""
	}
	return c
}

// QueryGave is what a query gave when it was last read whole: indicators that matched, that its confidence floor kept out and that
// cannot be sent, objects that it won, and lost to other copies. Live is how many of its objects stood when they were last counted.
type QueryGave struct {
	// Read says that all but the last are known.
	Read                                          bool
	Matched, BelowFloor, Invalid, Won, Lost, Live int64
}

// Configure is the CONFIGURE screen as it opens.
type Configure struct {
	Frame
	Queries []Query
	// ReadAt is when the last update of everything was complete, CountedAt when live objects were counted; zero: never.
	ReadAt, CountedAt time.Time
	// Saved is the version of the list as it stands; nil before the first save.
	Saved *ListVersion
	// FirstRun leads to the first update; nil once one was complete.
	FirstRun *FirstRun
}

// Editor is the CONFIGURE screen in Edit mode. The draft travels in hidden fields; no state stays on the server.
type Editor struct {
	Frame
	Queries []Query
	// Draft is the unsaved list as the page carries it, Version the saved list it started from, and Base a fingerprint of that. Seal
	// signs the three.
	Draft, Version, Base, Seal string
	Dirty                      bool
	// Outdated: someone else saved since, and Version is no longer the saved one.
	Outdated bool
	// Focus is the value of the button that the keyboard goes on from.
	Focus string

	// At most one window is open.
	Form    *QueryForm
	Delete  *Query
	Save    *SaveWindow
	Discard bool
	Import  *ImportWindow
}

// QueryForm is the window "Add TQL Configuration", or the same window for a query that is edited.
type QueryForm struct {
	// Key is the line that is edited; empty to add one.
	Key            string
	Owners, Types  []Choice
	TQL            string
	SortFields     []Choice
	SortDirections []Choice
	SettingTexts
	TLPs   []Choice
	Faults []string
	// SettingFaults say of each setting that is at fault, by the name of its field, what is wrong.
	SettingFaults []FieldFault
	// TQLFault is where the TQL is at fault; nil where it is not.
	TQLFault *TQLFault
	Help     []TQLHelp
	// OwnersFault says why the owners cannot be listed.
	OwnersFault string
	// Valid is the sentence after a validation that succeeded.
	Valid   string
	Preview *Preview
}

// SettingTexts are settings of a query as they are typed; in a window Labels are one a line.
type SettingTexts struct{ MinConfidence, TTLHours, Labels string }

// FieldFault is what is wrong with a field of a form.
type FieldFault struct{ Field, Text string }

// faultOf is what is wrong with a setting, "" for nothing.
func (q *QueryForm) faultOf(field string) string {
	var all []string
	for _, f := range q.SettingFaults {
		if f.Field == field {
			all = append(all, f.Text)
		}
	}
	return strings.Join(all, " ")
}

// hasAnswer says that something came of the query, which may be too long for its place.
func (q *QueryForm) hasAnswer() bool { return len(q.Faults) > 0 || q.Valid != "" || q.Preview != nil }

// TQLFault is a place in a TQL and what is wrong there. Start and End count as browsers do, in UTF-16; Line and Column are in
// characters, from 1.
type TQLFault struct {
	Text                     string
	Start, End, Line, Column int
}

// TQLHelp is TQL keywords that take the same operators.
type TQLHelp struct {
	Kind      string
	Operators []string
	Example   string
	Keywords  []string
}

// Choice is an entry of a list to choose from.
type Choice struct {
	Value, Label string
	Chosen       bool
}

// SaveWindow is the window "Save Changes", with what comes of each choice in sentences.
type SaveWindow struct {
	// First: no update ever completed, so the next one is a full one in any case.
	First bool
	// Recommended: a full update, since queries are new or changed.
	Recommended bool
	// Delta and Full say what they read; Late what the delta update leaves out, Reread what it reads whole, "" where that is
	// nothing; Deleted what is not selected any more, "" where no query was deleted.
	Delta, Full, Late, Reread, Deleted string
}

// ImportWindow is the window "Import queries", with what was pasted into it and why that cannot be imported.
type ImportWindow struct{ Pasted, Fault string }

// Preview is what a query would send.
type Preview struct {
	Total, Cap int
	Truncated  bool
	Rows       []PreviewRow
	Problems   []string
}

// PreviewRow is an indicator and an object that it would be sent as: its pattern for the eye, and all of it as indented JSON;
// both are empty where it gives none. State says what would become of it, Kind is invalid, below, loses, new, unchanged or changed.
type PreviewRow struct {
	Indicator                         Link
	Value, Type, Owner, Pattern, JSON string
	State, Kind                       string
}

// PreviewPage shows the preview of a saved query.
type PreviewPage struct {
	Frame
	Query   Query
	Preview *Preview
	Fault   string
}

// fieldID is the id of a field of a form by its name.
func fieldID(name string) string { return strings.ReplaceAll(name, "_", "-") }

// settingAttributes join the field of a setting to its label, its hint and what is wrong with it.
func settingAttributes(w *QueryForm, name string) templ.Attributes {
	id := fieldID(name)
	all := templ.Attributes{"id": id, "aria-describedby": id + "-fault " + id + "-hint"}
	if w.faultOf(name) != "" {
		all["aria-invalid"] = "true"
	}
	return all
}
