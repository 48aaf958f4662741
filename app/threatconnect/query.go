package threatconnect

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Query selects indicators as an analyst does on CONFIGURE.
type Query struct {
	// Owners and Types are names as ThreatConnect spells them, at least one of each.
	Owners, Types []string
	// TQL narrows the selection; "" selects all of the owners and types.
	TQL string
	// SortField is one of SortFields, or "" for the order of the ids; SortDirection is ASC or DESC, "" meaning ASC.
	SortField, SortDirection string
}

// SortFields are the TQL parameters by which a selection can be sorted (spec §6).
var SortFields = []string{"id", "dateAdded", "lastModified", "summary", "typeName", "ownerName", "rating", "confidence",
	"threatAssessScore", "calScore", "firstSeen", "lastSeen", "lastObserved", "observationCount", "falsePositiveCount",
	"externalDateAdded", "externalLastModified", "externalDateExpires"}

// Check says what is wrong with the query in itself, before ThreatConnect is asked. TQL that passes cannot reach beyond
// the parentheses that are put around it.
func (q Query) Check() error {
	switch {
	case len(q.Owners) == 0:
		return errors.New("the query has no owner: choose at least one")
	case len(q.Types) == 0:
		return errors.New("the query has no indicator type: choose at least one")
	case q.SortField != "" && !slices.Contains(SortFields, q.SortField):
		return fmt.Errorf("%q is not a sort field: choose among %s", q.SortField, strings.Join(SortFields, ", "))
	case q.SortDirection != "" && !strings.EqualFold(q.SortDirection, "ASC") && !strings.EqualFold(q.SortDirection, "DESC"):
		return fmt.Errorf("%q is not a sort direction: choose ASC or DESC", q.SortDirection)
	}
	code, err := withoutLiterals(q.TQL)
	if err != nil {
		return err
	}
	if err := balanced(code); err != nil {
		return err
	}
	for _, word := range strings.FieldsFunc(code, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		if strings.EqualFold(word, "ownerName") {
			return errors.New("the TQL names ownerName: leave it out, the owners are those chosen in Owners to Query")
		}
		if strings.EqualFold(word, "typeName") {
			return errors.New("the TQL names typeName: leave it out, the types are those chosen in Indicator Types to Retrieve")
		}
	}
	return nil
}

// withoutLiterals puts a blank in the place of each string of a TQL query (spec §5.1).
func withoutLiterals(tql string) (string, error) {
	var code strings.Builder
	for i := 0; i < len(tql); i++ {
		quote := tql[i]
		if quote != '"' && quote != '\'' && quote != '`' {
			code.WriteByte(quote)
			continue
		}
		start := i
		for i++; i < len(tql) && tql[i] != quote; i++ {
			if tql[i] == '\\' {
				i++
			}
		}
		if i >= len(tql) {
			return "", fmt.Errorf("the TQL has a string that does not end: close the %c at character %d", quote, position(tql, start))
		}
		code.WriteByte(' ')
	}
	return code.String(), nil
}

// position counts characters from 1, as a person does.
func position(tql string, offset int) int { return len([]rune(tql[:offset])) + 1 }

// balanced refuses what could end the parentheses around the TQL, or hide them.
func balanced(code string) error {
	for _, mark := range []string{"--", "//", "/*", "#"} {
		if strings.Contains(code, mark) {
			return fmt.Errorf("the TQL has %s outside of a string: TQL knows no comments, leave it out", mark)
		}
	}
	depth := 0
	for _, r := range code {
		switch r {
		case '(':
			depth++
		case ')':
			depth--
		}
		if depth < 0 {
			return errors.New("the TQL closes a parenthesis that it did not open: remove it, or add the missing one")
		}
	}
	if depth > 0 {
		return errors.New("the TQL opens a parenthesis that it does not close: close it, or remove it")
	}
	return nil
}

// Selection is what a download reads.
type Selection struct {
	Query
	// From and To bound lastModified to a half-open window, in whole seconds; zero is open.
	From, To time.Time
	// IDs, if not nil, narrows the selection to these. They come in the order of their ids.
	IDs []int64
}

// tql composes the query as ThreatConnect's own Apps do (spec §5.2): a single owner goes into a parameter of its own.
func (s Selection) tql(more ...string) string {
	var all []string
	if strings.TrimSpace(s.TQL) != "" {
		all = append(all, "("+s.TQL+")")
	}
	if len(s.Owners) > 1 {
		all = append(all, "ownerName in ("+quoted(s.Owners)+")")
	}
	all = append(all, "typeName in ("+quoted(s.Types)+")")
	if !s.From.IsZero() {
		all = append(all, "lastModified >= "+moment(s.From))
	}
	if !s.To.IsZero() {
		all = append(all, "lastModified < "+moment(s.To))
	}
	return strings.Join(append(all, more...), " and ")
}

// order is the order of the user, made complete by the id.
func (s Selection) order() string {
	if s.byID() {
		return "id " + s.direction()
	}
	return s.SortField + " " + s.direction() + " id ASC"
}

// byID reports whether the user's order is that of the ids.
func (s Selection) byID() bool { return s.SortField == "" || s.SortField == "id" }

func (s Selection) direction() string {
	if strings.EqualFold(s.SortDirection, "DESC") {
		return "DESC"
	}
	return "ASC"
}

// quoted writes names as a list of TQL strings.
func quoted(names []string) string {
	literals := make([]string, len(names))
	for i, name := range names {
		literals[i] = `"` + literal.Replace(name) + `"`
	}
	return strings.Join(literals, ", ")
}

var literal = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// moment writes a time as TQL takes it: in UTC, without fractions (spec §2.5).
func moment(t time.Time) string { return `"` + t.UTC().Format("2006-01-02T15:04:05Z") + `"` }

func among(ids []int64) string {
	list := make([]byte, 0, 20*len(ids))
	for i, id := range ids {
		if i > 0 {
			list = append(list, ',')
		}
		list = strconv.AppendInt(list, id, 10)
	}
	return "id in (" + string(list) + ")"
}
