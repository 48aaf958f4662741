package sentinelserver

import (
	"net/http"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/tidwall/gjson"
)

// Treatment is what the service does with an upload that its documentation says nothing about.
type Treatment string

// What a Treatment may be.
const (
	Taken   Treatment = ""        // like any other
	Ignored Treatment = "ignored" // answered like a success, and dropped
	Refused Treatment = "refused" // a record error
)

// CutUnit is what the service counts where it cuts a text.
type CutUnit string

// What a CutUnit may be.
const (
	CutCharacters CutUnit = ""      // code points
	CutUTF16      CutUnit = "utf16" // UTF-16 units
	CutBytes      CutUnit = "bytes" // of UTF-8
)

// Conjunction is which of the comparisons that AND joins becomes the observable of the row.
type Conjunction string

// What a Conjunction may be.
const (
	NoComparison    Conjunction = ""
	FirstComparison Conjunction = "first"
	LastComparison  Conjunction = "last"
)

// Unknowns are the answers to what is known for sure to nobody outside of Microsoft, one switch for each question that
// app/docs/sentinel.md marks as unknown. The zero value is the answer that the rest of the repository is tested with.
type Unknowns struct {
	AllInvalidStatus int // of a request whose records are all rejected: 400
	EmptyListStatus  int // of a request without records: 400; 200 takes it
	OverLimitStatus  int // of a request with more than 100 records: 400; 200 takes it

	OlderModified Treatment // a version whose modified lies before that of the object that stands
	SecondVersion Treatment // the second version of an object in one request
	Unrevoked     Treatment // a version that is not revoked of an object that is

	MaxLabels   int       // labels of an object; 0 means no limit
	MaxLabel    int       // characters of a label; 0 means no limit
	ExtraLabels Treatment // what is above one of them, Refused unless said otherwise; Ignored leaves out these labels alone

	ReservedAsWritten bool // the names that a source must not have are compared with regard to case
	MissingVersionIs2 bool // an object without spec_version is one of STIX 2.0, which has no confidence and no indicator_types

	Cut             CutUnit     // of description and pattern in the column Data
	CutPatterns     bool        // the columns of pattern and observable are cut there, too
	AndComparison   Conjunction // which one is extracted
	OneOfOr         bool        // only the first comparison joined by OR is extracted
	EveryOperator   bool        // comparisons of other operators than = are extracted, too
	EscapesUndone   bool        // \' and \\ are undone in ObservableValue
	UpdateMethod    string      // LastUpdateMethod of an upload: UploadApi
	TagsFromLabels  bool        // the column Tags holds the labels
	ExpiredActive   bool        // IsActive says nothing of an object's times
	ExpiredNoRow    bool        // an object that has expired when it arrives gives no row
	DataDropped     bool        // the owner of the workspace has the column Data dropped
	RowsOfLastAlone bool        // the table has no row of a version that a later one replaced
}

func (u *Unknowns) setDefaults() {
	for _, status := range []*int{&u.AllInvalidStatus, &u.EmptyListStatus, &u.OverLimitStatus} {
		if *status == 0 {
			*status = http.StatusBadRequest
		}
	}
	if u.ExtraLabels == Taken {
		u.ExtraLabels = Refused
	}
	if u.UpdateMethod == "" {
		u.UpdateMethod = "UploadApi"
	}
}

// countStatus is the status for a request with so many records, 0 where it is taken.
func (u *Unknowns) countStatus(records int) int {
	status := 0
	switch {
	case records == 0:
		status = u.EmptyListStatus
	case records > maxObjects:
		status = u.OverLimitStatus
	}
	if status == http.StatusOK {
		return 0
	}
	return status
}

// isReserved says that no upload may have this source system, app/docs/sentinel.md#source-system.
func (u *Unknowns) isReserved(source string) bool {
	names := []string{"Microsoft Sentinel", "Azure Sentinel", "SecurityGraph"}
	return slices.ContainsFunc(names, func(name string) bool {
		return source == name || !u.ReservedAsWritten && strings.EqualFold(strings.TrimSpace(source), name)
	})
}

// treatLabels checks the labels of a record against the limits, and leaves those above out where they are ignored.
func (u *Unknowns) treatLabels(r *record) (messages []string) {
	labels := gjson.Get(r.raw, "labels").Array()
	var kept []string
	for i, l := range labels {
		fits := (u.MaxLabels == 0 || i < u.MaxLabels) && (u.MaxLabel == 0 || len([]rune(l.Str)) <= u.MaxLabel)
		if fits {
			kept = append(kept, l.Raw)
		} else if u.ExtraLabels == Refused {
			return []string{"Error for Property=labels: Too many labels, or one that is too long. Actual value: " + shortenValue(l.Raw) + "."}
		}
	}
	if len(kept) < len(labels) {
		list := gjson.Get(r.raw, "labels")
		r.raw = r.raw[:list.Index] + "[" + strings.Join(kept, ",") + "]" + r.raw[list.Index+len(list.Raw):]
	}
	return nil
}

// treatVersion says what becomes of a record in view of the version that stands ("" for none), and whether an earlier
// record of the same request has its id. property is the member that it is about.
func (u *Unknowns) treatVersion(r *record, standing string, isSecond bool) (t Treatment, property string) {
	modified, _ := parseTime(gjson.Get(r.raw, "modified").Str)
	before, known := parseTime(gjson.Get(standing, "modified").Str)
	switch {
	case isSecond && u.SecondVersion != Taken:
		return u.SecondVersion, "id"
	case known && modified.Before(before) && u.OlderModified != Taken:
		return u.OlderModified, "modified"
	case gjson.Get(standing, "revoked").Bool() && !gjson.Get(r.raw, "revoked").Bool() && u.Unrevoked != Taken:
		return u.Unrevoked, "revoked"
	}
	return Taken, ""
}

// observables are the comparisons of a pattern that become columns, app/docs/sentinel.md#observables.
func (u *Unknowns) observables(pattern string) []comparison {
	found := readObservables(pattern, u.EveryOperator)
	p, err := parsePattern(pattern)
	if err == nil && p.and && !p.or && !p.qualified && u.AndComparison != NoComparison {
		found = p.comparisons[:1]
		if u.AndComparison == LastComparison {
			found = p.comparisons[len(p.comparisons)-1:]
		}
	}
	if u.OneOfOr && len(found) > 1 {
		found = found[:1]
	}
	for i := range found {
		if u.EscapesUndone {
			found[i].Value = unescaped.Replace(found[i].Value)
		}
		if u.CutPatterns {
			found[i].Value = u.cutText(found[i].Value)
		}
	}
	return found
}

var unescaped = strings.NewReplacer(`\\`, `\`, `\'`, `'`)

// cutText cuts a text where the table does, app/docs/sentinel.md#cut-texts.
func (u *Unknowns) cutText(s string) string {
	switch u.Cut {
	case CutBytes:
		if len(s) > maxData {
			return strings.ToValidUTF8(s[:maxData], "")
		}
	case CutUTF16:
		if units := utf16.Encode([]rune(s)); len(units) > maxData {
			return strings.TrimSuffix(string(utf16.Decode(units[:maxData])), "\uFFFD")
		}
	default:
		if runes := []rune(s); len(runes) > maxData {
			return string(runes[:maxData])
		}
	}
	return s
}
