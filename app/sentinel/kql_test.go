package sentinel

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mssentinel/app/standin/sentinelserver"
)

// quotedSource is a name that has to be quoted with care.
const quotedSource = `ThreatConnect-O'Brien \ "Söhne" 😀`

// tableColumns are those of ThreatIntelIndicators, app/docs/sentinel.md#what-stands.
func tableColumns(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "columns.json"))
	if err != nil {
		t.Fatal(err)
	}
	var columns map[string]string
	if err := json.Unmarshal(text, &columns); err != nil {
		t.Fatal(err)
	}
	return columns
}

// runJudge gives a program JSON on its standard input, and reads JSON from its standard output.
func runJudge(t *testing.T, given, said any, program string, arguments ...string) {
	t.Helper()
	input, err := json.Marshal(given)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, arguments...)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(input), os.Stderr
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v", program, arguments, err)
	}
	if err := json.Unmarshal(output, said); err != nil {
		t.Fatalf("%s says %s: %v", program, output, err)
	}
}

// bound is what Microsoft's language service says of a query.
type bound struct {
	Faults   []string            `json:"faults"`
	Columns  []map[string]string `json:"columns"`
	Literals []string            `json:"literals"`
}

// bindQueries has Microsoft's language service bind queries to the columns of the table.
func bindQueries(t *testing.T, queries map[string]string) map[string]bound {
	t.Helper()
	folder := os.Getenv("MS_SENTINEL_KUSTO")
	if folder == "" {
		folder = filepath.Join("..", "..", ".tools", "node", "node_modules", "@kusto", "language-service-next")
	}
	folder, err := filepath.Abs(folder)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(folder, "bridge.min.js")); err != nil {
		t.Fatalf("%s has no @kusto/language-service-next (%v): run ./package.sh test once, which installs it, or name its folder in MS_SENTINEL_KUSTO", folder, err)
	}
	if _, err := exec.LookPath("node"); err != nil {
		t.Fatalf("node is missing (%v): install Node.js (Debian: apt-get install nodejs)", err)
	}
	tables := maps.Clone(eventTables)
	tables[indicatorTable] = tableColumns(t)
	said := map[string]bound{}
	runJudge(t, map[string]any{"tables": tables, "queries": queries}, &said, "node", filepath.Join("testdata", "bind.js"), folder)
	return said
}

// eventTables are the columns that the README's queries read of other tables. This one is a function of Sentinel.
var eventTables = map[string]map[string]string{
	"_Im_NetworkSession": {"TimeGenerated": "datetime", "SrcIpAddr": "string", "DstIpAddr": "string"},
}

// result is what a query gives.
type result struct {
	Columns []string `json:"columns"`
	Rows    [][]any  `json:"rows"`
}

// runQueries has duckdb-kql run queries over rows of the table.
func runQueries(t *testing.T, rows any, queries map[string]string) map[string]result {
	t.Helper()
	python := os.Getenv("MS_SENTINEL_PYTHON")
	if python == "" {
		python = filepath.Join("..", "..", ".tools", "venv", "bin", "python")
	}
	if err := exec.Command(python, "-c", "import duckdb_kql, duckdb").Run(); err != nil {
		t.Fatalf("%s has no duckdb-kql (%v): run ./package.sh test once, which installs it, or name a Python that has it in MS_SENTINEL_PYTHON", python, err)
	}
	said := map[string]result{}
	given := map[string]any{"columns": tableColumns(t), "rows": rows, "queries": queries}
	runJudge(t, given, &said, python, filepath.Join("testdata", "kql.py"))
	return said
}

// allQueries is each query that the client sends, with literals of several kinds.
func allQueries(ids []string) map[string]string {
	return map[string]string{
		"counts":            CountsQuery(source),
		"counts, quoted":    CountsQuery(quotedSource),
		"counts of nobody":  CountsQuery("ThreatConnect-Nobody"),
		"first page":        PageQuery(source, "", 3),
		"second page":       PageQuery(source, ids[2], 3),
		"page behind all":   PageQuery(source, "z", 3),
		"whole page":        PageQuery(source, "", MaxPage),
		"whole page quoted": PageQuery(quotedSource, "", MaxPage),
		"rows":              RowsQuery(source, ids),
		"rows of one":       RowsQuery(source, ids[1:2]),
		"rows of some":      RowsQuery(source, append([]string{"indicator--'", `\`}, ids[3:]...)),
		"rows of none":      RowsQuery(source, []string{"indicator--none"}),
	}
}

// A literal can be read where it is shown, and what does not show is written out.
func TestLiteralsAreReadable(t *testing.T) {
	for s, want := range map[string]string{
		`O'Brien\ö 😀`: `'O\'Brien\\ö 😀'`, "": "''", " ": "' '",
		"\x00\n\u00a0\u200b\U000e0001": `'\u0000\u000a\u00a0\u200b\udb40\udc01'`,
	} {
		if got := quoteKQL(s); got != want {
			t.Errorf("%q is written as %s, want %s", s, got, want)
		}
	}
}

// Microsoft's language service finds nothing wrong with what is sent, and says that it gives what the stand-in answers.
func TestQueriesBind(t *testing.T) {
	l := fillWorkspace(t)
	queries := allQueries(l.ids)
	for name, said := range bindQueries(t, queries) {
		if len(said.Faults) > 0 {
			t.Errorf("%s: %q in\n%s", name, said.Faults, queries[name])
		}
		if diff := cmp.Diff(l.ask(queries[name]).Tables[0].Columns, said.Columns); diff != "" {
			t.Errorf("%s: the columns of the stand-in and those of Microsoft: %s", name, diff)
		}
	}
}

// The queries that the README gives to be pasted bind.
func TestQueriesOfReadmeBind(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	queries := map[string]string{}
	for i, block := range strings.Split(string(readme), "```kusto\n")[1:] {
		block, _, _ = strings.Cut(block, "\n```")
		queries[fmt.Sprint("block ", i)] = block
	}
	if len(queries) < 2 {
		t.Errorf("the README has %d queries, want at least 2", len(queries))
	}
	for name, said := range bindQueries(t, queries) {
		if len(said.Faults) > 0 {
			t.Errorf("%s: %q in\n%s", name, said.Faults, queries[name])
		}
	}
}

// A fault that is planted is found: the judge can fail.
func TestBindingFindsFaults(t *testing.T) {
	planted := map[string]struct{ query, want string }{
		"column":   {strings.Replace(CountsQuery(source), "ValidUntil", "ValidTill", 1), "ValidTill"},
		"syntax":   {strings.Replace(PageQuery(source, "", 1), "| distinct", "| distinctly", 1), "KS"},
		"type":     {strings.Replace(PageQuery(source, "", 1), "strcmp(StixId, '') > 0", "StixId > ''", 1), "'>' is not defined"},
		"function": {strings.Replace(CountsQuery(source), "isnull(", "isnil(", 1), "isnil"},
	}
	queries := map[string]string{}
	for name, p := range planted {
		queries[name] = p.query
	}
	for name, said := range bindQueries(t, queries) {
		if !strings.Contains(strings.Join(said.Faults, "\n"), planted[name].want) {
			t.Errorf("%s: %q, want %q", name, said.Faults, planted[name].want)
		}
	}
}

// Whatever a text is, the literal that is written stands for it, and ends where it ends.
func TestLiteralsStandForTheirText(t *testing.T) {
	texts := []string{
		"", "ThreatConnect-Test", quotedSource, `\`, `\'`, "' or true //", "a\nb\r\tc", "\x00\x1b", "\u2028\u00a0\ufeff", "日本語", "\U0001F600",
		"'; drop table x", `@"`, "```", "𐀀\u200d",
	}
	queries := map[string]string{}
	for i, text := range texts {
		queries[fmt.Sprint(i)] = "print x = " + quoteKQL(text)
	}
	for name, said := range bindQueries(t, queries) {
		var i int
		fmt.Sscan(name, &i) //nolint:errcheck // it is ours
		if len(said.Faults) > 0 || !slices.Equal(said.Literals, []string{texts[i]}) {
			t.Errorf("%q: %q %q", texts[i], said.Literals, said.Faults)
		}
	}
}

// An engine that nobody here wrote gives the same as the stand-in, over the stand-in's rows.
func TestQueriesMeanWhatTheStandinAnswers(t *testing.T) {
	l := fillWorkspace(t)
	queries := allQueries(l.ids)
	said := runQueries(t, l.far.Rows(), queries)
	filled := 0
	for _, name := range slices.Sorted(maps.Keys(queries)) {
		here := l.ask(queries[name]).Tables[0]
		if diff := cmp.Diff(here.comparable(), said[name].comparable()); diff != "" {
			t.Errorf("%s: the stand-in, and duckdb-kql: %s", name, diff)
		}
		if len(here.Rows) > 0 {
			filled++
		}
	}
	if filled < len(queries)-3 {
		t.Errorf("only %d of %d queries gave rows", filled, len(queries))
	}
}

// A query that means something else gives something else: the judge can fail.
func TestEngineFindsOtherMeaning(t *testing.T) {
	l := fillWorkspace(t)
	query, planted := CountsQuery(source), map[string]string{}
	for name, change := range map[string][2]string{
		"other time":        {"ago(14d)", "ago(30d)"},
		"oldest row":        {"arg_max", "arg_min"},
		"deleted ones, too": {"IsDeleted != true", "IsDeleted != false"},
		"row's own word":    {"IsActive == true and (isnull(ValidUntil) or ValidUntil > now())", "IsActive == true"},
		"by row":            {"by StixId", "by StixId, ObservableValue"},
	} {
		planted[name] = strings.Replace(query, change[0], change[1], 1)
	}
	for name, said := range runQueries(t, l.far.Rows(), planted) {
		if planted[name] == query || cmp.Equal(l.ask(query).Tables[0].comparable(), said.comparable()) {
			t.Errorf("%s: nothing differs in\n%s", name, planted[name])
		}
	}
}

// A column without value is not what it might be taken for: what was never said to be deleted stands, what was never said to be
// active does not, and what has no end does not end.
func TestQueriesWithoutValues(t *testing.T) {
	now := time.Now().UTC().Format(time.RFC3339)
	row := func(n int, active any, until any) map[string]any {
		return map[string]any{"TimeGenerated": now, "Id": fmt.Sprintf("eA==---indicator--%d", n), "SourceSystem": source,
			"Pattern": "[url:value = 'x']", "IsActive": active, "ValidUntil": until}
	}
	rows := []any{row(1, true, nil), row(2, nil, nil), row(3, false, nil), row(4, true, "2020-01-01T00:00:00"), row(5, true, "2099-01-01T00:00:00")}
	said := runQueries(t, rows, map[string]string{"counts": CountsQuery(source), "page": PageQuery(source, "", 10)})
	want := [][]any{{"url", 2.0, 3.0}}
	if got := said["counts"].Rows; len(got) != 1 || !cmp.Equal(got[0][:3], want[0]) {
		t.Errorf("counts: %v, want %v", got, want)
	}
	var standing []any
	for _, r := range said["page"].Rows {
		standing = append(standing, r[len(r)-1])
	}
	if !cmp.Equal(standing, []any{true, false, false, false, true}) && !cmp.Equal(standing, []any{true, nil, false, false, true}) {
		t.Errorf("standing: %v", standing)
	}
}

// filledWorkspace is a lab in real time, whose stand-in holds objects of many kinds.
type filledWorkspace struct {
	*lab
	ids []string // of source, in order
}

// fillWorkspace uploads what a query has to tell apart.
func fillWorkspace(t *testing.T) *filledWorkspace {
	t.Helper()
	w := &filledWorkspace{lab: newLab(t, setup{})}
	upload := func(source string, objects ...map[string]any) {
		t.Helper()
		batch := make([][]byte, len(objects))
		for i, o := range objects {
			batch[i], _ = json.Marshal(o)
		}
		g := &ledger{slots: w.slots, rejected: map[int]Rejection{}}
		if err := w.client.Deliver(t.Context(), source, batch, Report{Settle: g.settle}); err != nil || len(g.rejected) > 0 {
			t.Fatal(err, g.rejected)
		}
	}
	soon, gone := time.Now().Add(48*time.Hour).UTC().Format(time.RFC3339), time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	upload(source, stixObject(1, "[ipv4-addr:value = '192.0.2.1']", nil), stixObject(2, "[ipv4-addr:value = '192.0.2.2']", nil),
		stixObject(3, "[url:value = 'https://old.example']", map[string]any{"valid_until": gone}))
	w.far.Age(15 * 24 * time.Hour) // object 3 gets no row after that
	upload(source, stixObject(2, "[ipv4-addr:value = '192.0.2.2']", map[string]any{"name": "before"}),
		stixObject(4, "[domain-name:value = 'short.example']", map[string]any{"valid_until": gone}))
	w.far.Age(9 * 24 * time.Hour) // object 4 was active then, and has expired since
	w.far.Republish()
	w.far.Age(2 * 24 * time.Hour)
	upload(source,
		stixObject(1, "[ipv4-addr:value = '192.0.2.1']", map[string]any{"valid_until": gone}),
		stixObject(2, "[ipv4-addr:value = '192.0.2.2']", map[string]any{"name": "after ö 😀", "labels": []string{"a", "b'c", "ü"}, "confidence": 80}),
		stixObject(5, "[url:value = 'https://quote.example/O\\'Brien?q=\\\\x']", map[string]any{"valid_until": soon, "description": strings.Repeat("é", 1100)}),
		stixObject(6, "[windows-registry-key:key = 'HKEY_LOCAL_MACHINE\\\\X' AND windows-registry-key:values[*].name = 'n']", nil),
		stixObject(7, "([file:hashes.MD5 = 'd41d8cd98f00b204e9800998ecf8427e' OR file:hashes.'SHA-256' = 'x'])", map[string]any{"confidence": 0}),
		stixObject(8, "not a pattern at all", map[string]any{"name": nil}),
		stixObject(9, "[ipv6-addr:value = '2001:db8::9']", map[string]any{"revoked": true}),
		stixObject(10, "[email-addr:value = 'a@b.example']", nil),
	)
	upload(quotedSource, stixObject(2, "[ipv4-addr:value = '192.0.2.2']", nil))
	upload("ThreatConnect-Other", stixObject(11, "[ipv4-addr:value = '192.0.2.11']", nil))
	w.far.Delete(source, stixID(10))
	for n := range 10 {
		w.ids = append(w.ids, stixID(n+1))
	}
	return w
}

func stixID(n int) string { return fmt.Sprintf("indicator--00000000-0000-5000-8000-%012d", n) }

// stixObject is an object with these changes; nil takes a member away.
func stixObject(n int, pattern string, changes map[string]any) map[string]any {
	var o map[string]any
	json.Unmarshal(object(n), &o) //nolint:errcheck // it is JSON
	o["pattern"] = pattern
	for name, value := range changes {
		o[name] = value
		if value == nil {
			delete(o, name)
		}
	}
	return o
}

// answered is an answer of the query API.
type answered struct {
	Tables []answeredTable `json:"tables"`
}

type answeredTable struct {
	Columns []map[string]string `json:"columns"`
	Rows    [][]any             `json:"rows"`
}

// ask sends a query as it is, and gives the answer as it is.
func (w *filledWorkspace) ask(query string) (a answered) {
	w.t.Helper()
	body, _ := json.Marshal(map[string]string{"query": query})
	token := w.far.IssueToken(clientID, "https://api.loganalytics.io", time.Hour)
	status, _, answer, err := w.client.postQuery(w.t.Context(), body, token)
	if err != nil || status != 200 {
		w.t.Fatalf("%v %d %s", err, status, answer)
	}
	if err := json.Unmarshal(answer, &a); err != nil || len(a.Tables) != 1 {
		w.t.Fatalf("%v %s", err, answer)
	}
	return a
}

func (a answeredTable) comparable() result {
	var r result
	for _, column := range a.Columns {
		r.Columns = append(r.Columns, column["name"])
	}
	r.Rows = a.Rows
	return r.comparable()
}

// comparable orders rows of one time, and cuts times to what DuckDB keeps: a millionth of a second.
func (r result) comparable() result {
	same := result{Columns: r.Columns}
	for _, row := range r.Rows {
		row = slices.Clone(row)
		for i, value := range row {
			if s, ok := value.(string); ok {
				if at, err := time.Parse(time.RFC3339Nano, s); err == nil {
					row[i] = at.Truncate(time.Microsecond).Format(time.RFC3339Nano)
				}
			}
		}
		same.Rows = append(same.Rows, row)
	}
	if len(r.Columns) > 0 && r.Columns[0] == "TimeGenerated" {
		slices.SortFunc(same.Rows, func(a, b []any) int { return strings.Compare(fmt.Sprint(a...), fmt.Sprint(b...)) })
	}
	return same
}

// The rows of the stand-in have columns that the table has.
func TestStandinRowsHaveTheColumns(t *testing.T) {
	columns := tableColumns(t)
	text, _ := json.Marshal(sentinelserver.Row{})
	var row map[string]any
	json.Unmarshal(text, &row) //nolint:errcheck // it is JSON
	for name := range row {
		if columns[name] == "" {
			t.Errorf("the table has no column %s", name)
		}
	}
}
