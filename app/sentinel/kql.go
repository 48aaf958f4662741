package sentinel

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
)

// The queries that are sent to the workspace, and that screens show to be pasted where the application may not read.
// They mean what is said here: a test has Microsoft's language service bind them to the columns of the table, and runs
// them over rows of the stand-in.

// lookBack is how old a row may be to count. Microsoft's rules look at the rows of the last 14 days, and an object that
// has not expired gets a new one every 7 to 10 days: what has no row in that time matches nothing, whatever an older
// row says. app/docs/sentinel.md#what-stands
const lookBack = "14d"

// sourceRows begins each query: the rows of a source, with the STIX id of their object. It stands in Id behind the source
// system, app/docs/sentinel.md#identity-and-updates.
func sourceRows(source string) string {
	return "ThreatIntelIndicators\n" +
		"| where TimeGenerated > ago(" + lookBack + ") and SourceSystem == " + quoteKQL(source) + "\n" +
		"| extend StixId = tostring(split(Id, '---')[1])\n"
}

// isStanding is what rules ask of an object, app/docs/sentinel.md#rules. IsActive alone would not do: it was right when the row
// was written.
const isStanding = "IsActive == true and (isnull(ValidUntil) or ValidUntil > now())"

// CountsQuery is KQL that counts the objects of a source by the type of their pattern: those that stand, those that do not,
// and the time of their newest row. Deleted objects are left out.
func CountsQuery(source string) string {
	return sourceRows(source) +
		"| extend PatternType = extract(@'^[\\[(\\s]*([a-z0-9-]+):', 1, Pattern)\n" +
		"| summarize arg_max(TimeGenerated, PatternType, ValidUntil, IsActive, IsDeleted) by StixId\n" +
		"| where IsDeleted != true\n" +
		"| extend Standing = " + isStanding + "\n" +
		"| summarize Active = countif(Standing), Expired = countif(not(Standing)), Newest = max(TimeGenerated) by PatternType\n" +
		"| sort by PatternType asc"
}

// PageQuery is KQL that lists the objects of a source whose STIX id comes after another one, "" for the first page. What
// makes it cheap is that it looks for the ids of the page first, and reads the rest of these rows alone.
func PageQuery(source, afterID string, limit int) string {
	return "let Page = " + sourceRows(source) +
		"| where strcmp(StixId, " + quoteKQL(afterID) + ") > 0\n" +
		"| distinct StixId\n" +
		"| top " + strconv.Itoa(limit) + " by StixId asc;\n" +
		sourceRows(source) +
		"| where StixId in (Page)\n" +
		"| project TimeGenerated, StixId, Pattern, Name = tostring(Data.name), Labels = tostring(Data.labels), Confidence, " +
		"Created, Modified, ValidFrom, ValidUntil, Revoked, IsActive, IsDeleted, LastUpdateMethod\n" +
		"| summarize arg_max(TimeGenerated, *) by StixId\n" +
		"| extend Standing = " + isStanding + "\n" +
		"| top " + strconv.Itoa(limit) + " by StixId asc"
}

// RowsQuery is KQL that gives all rows of a source that have one of these STIX ids, the newest first, at most [MaxRows].
func RowsQuery(source string, ids []string) string {
	return sourceRows(source) + "| where StixId in (" + quoteList(ids) + ")\n" +
		"| project TimeGenerated, StixId, LastUpdateMethod, Pattern, ObservableKey, ObservableValue, Tags, Confidence, " +
		"Created, Modified, ValidFrom, ValidUntil, Revoked, IsActive, IsDeleted, Name = tostring(Data.name), " +
		"Labels = tostring(Data.labels), DescriptionLength = strlen(tostring(Data.description))\n" +
		"| top " + strconv.Itoa(MaxRows) + " by TimeGenerated desc"
}

// quoteKQL writes a text as a literal of KQL, so that it cannot end before its end.
func quoteKQL(s string) string {
	var b strings.Builder
	b.WriteByte('\'')
	for _, r := range s {
		switch {
		case r == '\'' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == ' ' || unicode.IsGraphic(r) && !unicode.IsSpace(r):
			b.WriteRune(r)
		default:
			for _, unit := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(&b, `\u%04x`, unit)
			}
		}
	}
	b.WriteByte('\'')
	return b.String()
}

func quoteList(texts []string) string {
	quoted := make([]string, len(texts))
	for i, s := range texts {
		quoted[i] = quoteKQL(s)
	}
	return strings.Join(quoted, ", ")
}
