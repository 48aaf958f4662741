package sentinelserver

import (
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// knownQuery is one query that the stand-in can answer. What a query means is written here a second time, in Go. Tests
// hold it to what other engines make of the App's own texts.
type knownQuery struct {
	name string
	// text is the query, with ‹source›, ‹after›, ‹limit› and ‹ids› for what differs.
	text string
	// layout lists the columns of the answer, name:type.
	layout string
	answer func(versions []version, v queryValues, now time.Time) [][]any

	pattern *regexp.Regexp
	slots   []string // what the groups of pattern stand for
}

// queryValues are the literals of a query.
type queryValues struct {
	source, after string
	limit         int
	ids           []string
}

// lookBack is how old a row may be to count.
const lookBack = 14 * 24 * time.Hour

const (
	ofSource = "ThreatIntelIndicators\n" +
		"| where TimeGenerated > ago(14d) and SourceSystem == ‹source›\n" +
		"| extend StixId = tostring(split(Id, '---')[1])\n"
	standing = "| extend Standing = IsActive == true and (isnull(ValidUntil) or ValidUntil > now())\n"
	newest   = "| project TimeGenerated, StixId, Pattern, Name = tostring(Data.name), Labels = tostring(Data.labels), Confidence, " +
		"Created, Modified, ValidFrom, ValidUntil, Revoked, IsActive, IsDeleted, LastUpdateMethod\n" +
		"| summarize arg_max(TimeGenerated, *) by StixId\n" + standing +
		"| top ‹limit› by StixId asc"

	newestColumns = "StixId:string TimeGenerated:datetime Pattern:string Name:string Labels:string Confidence:int Created:datetime " +
		"Modified:datetime ValidFrom:datetime ValidUntil:datetime Revoked:bool IsActive:bool IsDeleted:bool LastUpdateMethod:string Standing:bool"
)

var knownQueries = compileQueries([]knownQuery{
	{
		name: "counts",
		text: ofSource + "| extend PatternType = extract(@'^[\\[(\\s]*([a-z0-9-]+):', 1, Pattern)\n" +
			"| summarize arg_max(TimeGenerated, PatternType, ValidUntil, IsActive, IsDeleted) by StixId\n" +
			"| where IsDeleted != true\n" + standing +
			"| summarize Active = countif(Standing), Expired = countif(not(Standing)), Newest = max(TimeGenerated) by PatternType\n" +
			"| sort by PatternType asc",
		layout: "PatternType:string Active:long Expired:long Newest:datetime", answer: countRows,
	},
	{
		name: "page",
		text: "let Page = " + ofSource + "| where strcmp(StixId, ‹after›) > 0\n| distinct StixId\n| top ‹limit› by StixId asc;\n" +
			ofSource + "| where StixId in (Page)\n" + newest,
		layout: newestColumns, answer: pageRows,
	},
	{
		name: "rows",
		text: ofSource + "| where StixId in (‹ids›)\n" +
			"| project TimeGenerated, StixId, LastUpdateMethod, Pattern, ObservableKey, ObservableValue, Tags, Confidence, " +
			"Created, Modified, ValidFrom, ValidUntil, Revoked, IsActive, IsDeleted, Name = tostring(Data.name), " +
			"Labels = tostring(Data.labels), DescriptionLength = strlen(tostring(Data.description))\n" +
			"| top ‹limit› by TimeGenerated desc",
		layout: "TimeGenerated:datetime StixId:string LastUpdateMethod:string Pattern:string ObservableKey:string ObservableValue:string " +
			"Tags:string Confidence:int Created:datetime Modified:datetime ValidFrom:datetime ValidUntil:datetime Revoked:bool " +
			"IsActive:bool IsDeleted:bool Name:string Labels:string DescriptionLength:long",
		answer: rawRows,
	},
})

// A literal of KQL, and what stands for each value of a query.
const literal = `'(?:[^'\\\n]|\\.)*'`

var slotPatterns = map[string]string{
	"source": `(` + literal + `)`, "after": `(` + literal + `)`, "limit": `(\d{1,6})`, "ids": `(` + literal + `(?:, ` + literal + `)*)`,
}

var slot = regexp.MustCompile(`‹(\w+)›`)

func compileQueries(all []knownQuery) []knownQuery {
	for i, q := range all {
		var pattern strings.Builder
		rest := q.text
		for at := slot.FindStringSubmatchIndex(rest); at != nil; at = slot.FindStringSubmatchIndex(rest) {
			name := rest[at[2]:at[3]]
			pattern.WriteString(regexp.QuoteMeta(rest[:at[0]]) + slotPatterns[name])
			all[i].slots = append(all[i].slots, name)
			rest = rest[at[1]:]
		}
		all[i].pattern = regexp.MustCompile(`\A` + pattern.String() + regexp.QuoteMeta(rest) + `\z`)
	}
	return all
}

// match reads the literals of a query. One that stands in it twice has to be the same.
func (q knownQuery) match(text string) (v queryValues, ok bool) {
	groups := q.pattern.FindStringSubmatch(text)
	if groups == nil {
		return v, false
	}
	seen := map[string]string{}
	for i, name := range q.slots {
		if before, twice := seen[name]; twice && before != groups[i+1] {
			return v, false
		}
		seen[name] = groups[i+1]
	}
	v.limit, _ = strconv.Atoi(seen["limit"])
	for into, name := range map[*string]string{&v.source: "source", &v.after: "after"} {
		if seen[name] == "" {
			continue
		}
		if *into, ok = readLiteral(seen[name]); !ok {
			return v, false
		}
	}
	for _, one := range regexp.MustCompile(literal).FindAllString(seen["ids"], -1) {
		id, ok := readLiteral(one)
		if !ok {
			return v, false
		}
		v.ids = append(v.ids, id)
	}
	return v, true
}

var plainEscapes = map[byte]rune{'\\': '\\', '\'': '\'', '"': '"', 'n': '\n', 'r': '\r', 't': '\t'}

// readLiteral undoes the escapes of a literal of KQL.
func readLiteral(quoted string) (string, bool) {
	s := quoted[1 : len(quoted)-1]
	var units []uint16
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if r == '\\' {
			switch plain, ok := plainEscapes[s[1]]; {
			case ok:
				r, size = plain, 2
			case s[1] == 'u' && len(s) >= 6:
				n, err := strconv.ParseUint(s[2:6], 16, 16)
				if err != nil {
					return "", false
				}
				units, s = append(units, uint16(n)), s[6:]
				continue
			default:
				return "", false
			}
		}
		units, s = utf16.AppendRune(units, r), s[size:]
	}
	return string(utf16.Decode(units)), true
}

// columns are those of the answer, as the API lists them.
func (q knownQuery) columns() []map[string]string {
	var list []map[string]string
	for _, column := range strings.Fields(q.layout) {
		name, kind, _ := strings.Cut(column, ":")
		list = append(list, map[string]string{"name": name, "type": kind})
	}
	return list
}

// newestOf finds the newest version of each object, in the order of the ids.
func newestOf(versions []version, wanted func(id string) bool) []version {
	found := map[string]version{}
	for _, v := range versions {
		if before, ok := found[v.id]; wanted(v.id) && (!ok || !v.at.Before(before.at)) {
			found[v.id] = v
		}
	}
	list := make([]version, 0, len(found))
	for _, v := range found {
		list = append(list, v)
	}
	slices.SortFunc(list, func(a, b version) int { return strings.Compare(a.id, b.id) })
	return list
}

func isStanding(r Row, now time.Time) bool {
	return r.IsActive && (r.ValidUntil == nil || r.ValidUntil.After(now))
}

var patternType = regexp.MustCompile(`^[\[( \t\n]*([a-z0-9-]+):`)

func countRows(versions []version, _ queryValues, now time.Time) [][]any {
	type count struct {
		active, expired int
		newest          time.Time
	}
	counts := map[string]*count{}
	for _, v := range newestOf(versions, func(string) bool { return true }) {
		if v.deleted {
			continue
		}
		row, kind := v.makeRows()[0], ""
		if m := patternType.FindStringSubmatch(row.Pattern); m != nil {
			kind = m[1]
		}
		c := counts[kind]
		if c == nil {
			c = &count{}
			counts[kind] = c
		}
		if isStanding(row, now) {
			c.active++
		} else {
			c.expired++
		}
		if row.TimeGenerated.After(c.newest) {
			c.newest = row.TimeGenerated
		}
	}
	rows := [][]any{}
	for kind, c := range counts {
		rows = append(rows, []any{kind, c.active, c.expired, columnTime(&c.newest)})
	}
	slices.SortFunc(rows, func(a, b []any) int { return strings.Compare(a[0].(string), b[0].(string)) })
	return rows
}

func pageRows(versions []version, v queryValues, now time.Time) [][]any {
	return objectRows(newestOf(versions, func(id string) bool { return id > v.after }), v.limit, now)
}

func objectRows(list []version, limit int, now time.Time) [][]any {
	rows := [][]any{}
	for _, v := range list[:min(limit, len(list))] {
		r := v.makeRows()[0]
		rows = append(rows, []any{
			v.id, columnTime(&r.TimeGenerated), r.Pattern, dataText(r, "name"), dataText(r, "labels"), columnInt(r.Confidence),
			columnTime(r.Created), columnTime(r.Modified), columnTime(r.ValidFrom), columnTime(r.ValidUntil),
			r.Revoked, r.IsActive, r.IsDeleted, r.LastUpdateMethod, isStanding(r, now),
		})
	}
	return rows
}

func rawRows(versions []version, v queryValues, _ time.Time) [][]any {
	rows := [][]any{}
	for _, one := range versions {
		if !slices.Contains(v.ids, one.id) {
			continue
		}
		for _, r := range one.makeRows() {
			rows = append(rows, []any{
				columnTime(&r.TimeGenerated), one.id, r.LastUpdateMethod, r.Pattern, r.ObservableKey, r.ObservableValue, r.Tags,
				columnInt(r.Confidence), columnTime(r.Created), columnTime(r.Modified), columnTime(r.ValidFrom), columnTime(r.ValidUntil),
				r.Revoked, r.IsActive, r.IsDeleted, dataText(r, "name"), dataText(r, "labels"), len([]rune(dataText(r, "description"))),
			})
		}
	}
	slices.SortStableFunc(rows, func(a, b []any) int { return strings.Compare(b[0].(string), a[0].(string)) })
	return rows[:min(v.limit, len(rows))]
}

// columnTime is a time as the API writes it, with the same number of digits each, or null.
func columnTime(t *time.Time) any {
	if t == nil || t.IsZero() {
		return nil
	}
	return t.UTC().Format("2006-01-02T15:04:05.0000000Z")
}

func columnInt(n *int) any {
	if n == nil {
		return nil
	}
	return *n
}

// dataText is a member of Data as KQL turns it into a text.
func dataText(r Row, name string) string {
	switch v := r.Data[name].(type) {
	case nil:
		return ""
	case string:
		return v
	default:
		text, _ := json.Marshal(v) // it came from JSON
		return string(text)
	}
}
