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

// SortFields are the TQL parameters by which a selection can be sorted (app/docs/threatconnect.md#sorting).
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
	if err := checkQuotes(code); err != nil {
		return err
	}
	if err := checkParentheses(code); err != nil {
		return err
	}
	isBoundary := func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }
	for word := range strings.FieldsFuncSeq(code, isBoundary) {
		if strings.EqualFold(word, "ownerName") {
			return errors.New("the TQL names ownerName: leave it out, the owners are those chosen in Owners to Query")
		}
		if strings.EqualFold(word, "typeName") {
			return errors.New("the TQL names typeName: leave it out, the types are those chosen in Indicator Types to Retrieve")
		}
	}
	return nil
}

// typographicQuotes are what word processors and chats make of the quotes of a string. TQL knows none of them.
const typographicQuotes = "“”„‟‘’‚‛«»‹›″′‶‵´＂＇「」『』〝〞〟❝❞❛❜"

// checkQuotes refuses typographic quotes in what is no string: within one they are text.
func checkQuotes(code string) error {
	for _, r := range code {
		if strings.ContainsRune(typographicQuotes, r) {
			return fmt.Errorf("the TQL has %c: use straight quotes", r)
		}
	}
	return nil
}

// withoutLiterals puts a blank in the place of each string of a TQL query (app/docs/threatconnect.md#tql).
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
			// Perhaps it begins within typographic quotes, or its end is one.
			if err := checkQuotes(code.String() + tql[start:]); err != nil {
				return "", err
			}
			return "", fmt.Errorf("the TQL has a string that does not end: close the %c at character %d",
				quote, characterPosition(tql, start))
		}
		code.WriteByte(' ')
	}
	return code.String(), nil
}

// characterPosition counts characters from 1, as a person does.
func characterPosition(tql string, offset int) int { return len([]rune(tql[:offset])) + 1 }

// checkParentheses refuses what could end the parentheses that are put around the TQL, or hide them.
func checkParentheses(code string) error {
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
	// From and To bound lastModified to a half-open window, From included, in whole seconds; zero is open.
	From, To time.Time
	// IDs, if not nil, narrows the selection to these. They come in the order of their ids.
	IDs []int64
}

// composeTQL joins the conditions of the selection and those in more, as ThreatConnect's own Apps do: a single owner
// goes into a parameter of its own (app/docs/threatconnect.md#composing-a-query).
func (s Selection) composeTQL(more ...string) string {
	var all []string
	if strings.TrimSpace(s.TQL) != "" {
		all = append(all, "("+s.TQL+")")
	}
	if len(s.Owners) > 1 {
		all = append(all, "ownerName in ("+quoteNames(s.Owners)+")")
	}
	all = append(all, "typeName in ("+quoteNames(s.Types)+")")
	if !s.From.IsZero() {
		all = append(all, "lastModified >= "+formatTime(s.From))
	}
	if !s.To.IsZero() {
		all = append(all, "lastModified < "+formatTime(s.To))
	}
	return strings.Join(append(all, more...), " and ")
}

// sortOrder is the order of the user, made complete by the id.
func (s Selection) sortOrder() string {
	if s.sortsByID() {
		return "id " + s.sortDirection()
	}
	return s.SortField + " " + s.sortDirection() + " id ASC"
}

// sortsByID reports whether the user's order is that of the ids.
func (s Selection) sortsByID() bool { return s.SortField == "" || s.SortField == "id" }

func (s Selection) sortDirection() string {
	if strings.EqualFold(s.SortDirection, "DESC") {
		return "DESC"
	}
	return "ASC"
}

// quoteNames writes names as a list of TQL strings.
func quoteNames(names []string) string {
	literals := make([]string, len(names))
	for i, name := range names {
		literals[i] = `"` + tqlEscapes.Replace(name) + `"`
	}
	return strings.Join(literals, ", ")
}

var tqlEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// dateLayout is how a time in UTC is sent: without fractions, which TQL does not take
// (app/docs/threatconnect.md#dates).
const dateLayout = "2006-01-02T15:04:05Z"

func formatTime(t time.Time) string { return `"` + t.UTC().Format(dateLayout) + `"` }

// idCondition selects these ids, and nothing where there are none.
func idCondition(ids []int64) string {
	list := make([]byte, 0, 20*len(ids))
	for i, id := range ids {
		if i > 0 {
			list = append(list, ',')
		}
		list = strconv.AppendInt(list, id, 10)
	}
	return "id in (" + string(list) + ")"
}
