package content_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"mssentinel/app/sentinel/content"
)

// Microsoft's language service finds nothing wrong with any query, and each gives the columns that its file names for entities,
// details and alerts. It finds the faults that are planted.
func TestContentBinds(t *testing.T) {
	t.Parallel()
	queries := allQueries()
	planted := map[string]string{
		"a column":   strings.Replace(queryOf(t, "rules/Address.yaml"), "RemoteIP", "RemoteAddress", 1),
		"a function": strings.Replace(queryOf(t, "rules/CIDR.yaml"), "ipv4_is_in_range", "ipv4_is_within", 1),
		"a type":     strings.Replace(queryOf(t, "rules/CIDR.yaml"), "Bits >= 48", "Bits >= '48'", 1),
	}
	all := map[string]string{}
	for name, text := range queries {
		all[name] = text
	}
	for name, text := range planted {
		all["planted: "+name] = text
	}
	for name, said := range bindQueries(t, all) {
		if isPlanted := strings.HasPrefix(name, "planted: "); isPlanted != (len(said.Faults) > 0) {
			t.Errorf("%s: %q in\n%s", name, said.Faults, all[name])
		}
		file, _, _ := strings.Cut(name, ": ")
		if !strings.HasSuffix(file, ".yaml") || strings.HasPrefix(file, "functions/") {
			continue
		}
		text, err := content.Read(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, column := range namedColumns(string(text)) {
			if !slices.ContainsFunc(said.Columns, func(c map[string]string) bool { return c["name"] == column }) {
				t.Errorf("%s names the column %s, which its query does not give", file, column)
			}
		}
	}
}

// namedColumns are the columns that the file of a rule or hunting query names.
func namedColumns(text string) (columns []string) {
	for _, m := range regexp.MustCompile(`columnName: (\w+)|\{\{(\w+)\}\}`).FindAllStringSubmatch(text, -1) {
		columns = append(columns, m[1]+m[2])
	}
	_, details, _ := strings.Cut(text, "customDetails:\n")
	details, _, _ = strings.Cut(details, "alertDetailsOverride")
	for _, m := range regexp.MustCompile(`(?m)^  \w+: (\w+)$`).FindAllStringSubmatch(details, -1) {
		columns = append(columns, m[1])
	}
	return columns
}

// readsTable finds where a query reads a table. What follows has to be a bound of time.
var readsTable = regexp.MustCompile(`(?m)^\s*\(?(?:let \w+ = )?(\w+)\n\s*\| where (.*)$`)

// Each table that is read is bounded by time first, each join is one of equality, and nothing is read that is not named.
func TestContentIsCheap(t *testing.T) {
	t.Parallel()
	known := schemas(t)
	bounded := regexp.MustCompile(`^TimeGenerated > ago\((indicatorLookBack|eventLookBack|1d|2d|7d|14d|90d)\)`)
	joins := regexp.MustCompile(`\| (?:join|lookup)\b.*`)
	equal := regexp.MustCompile(`^\| join kind=inner \w+ on \w+$`)
	for name, text := range allQueries() {
		if len(text) > 10_000 {
			t.Errorf("%s has %d characters: Sentinel takes 10,000", name, len(text))
		}
		reads := 0
		for _, m := range readsTable.FindAllStringSubmatch(text, -1) {
			if known[m[1]] == nil {
				continue
			}
			reads++
			if !bounded.MatchString(m[2]) {
				t.Errorf("%s reads %s without a bound of time first: %s", name, m[1], m[2])
			}
		}
		all := 0
		for table := range known {
			all += len(regexp.MustCompile(`(?m)^\s*\(?(?:let \w+ = )?`+table+`\b`).FindAllString(text, -1))
		}
		if reads == 0 || reads != all {
			t.Errorf("%s: %d of %d tables are followed by their bound", name, reads, all)
		}
		for _, join := range joins.FindAllString(text, -1) {
			if !equal.MatchString(join) {
				t.Errorf("%s joins by more than equality: %s", name, join)
			}
		}
		if regexp.MustCompile(`\bsearch\b|\bunion\s+\*|\bcross`).MatchString(text) {
			t.Errorf("%s reads everything", name)
		}
	}
}

// What makes an indicator count is the same text in each rule, so that no rule differs by mistake.
func TestRulesAgree(t *testing.T) {
	t.Parallel()
	const shared = `| summarize arg_max(TimeGenerated, Pattern, ObservableValue, Confidence, ValidFrom, ValidUntil, IsActive, IsDeleted, Data) by Id
| where IsActive == true and IsDeleted != true and ValidUntil > now()
`
	rules := 0
	for _, item := range content.Items() {
		if item.Kind != "rule" {
			continue
		}
		rules++
		text := item.Queries[0].KQL
		for _, want := range []string{"let indicatorLookBack = 14d;\nlet eventLookBack = 1h;\n", shared, "| where TimeGenerated >= ValidFrom and TimeGenerated < ValidUntil\n",
			`SourceSystem startswith "ThreatConnect-"`} {
			if !strings.Contains(text, want) {
				t.Errorf("%s lacks %q", item.File, want)
			}
		}
	}
	if rules != 8 {
		t.Errorf("%d rules", rules)
	}
}
