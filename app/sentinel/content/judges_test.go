package content_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mssentinel/app/sentinel/content"
)

// schemas are the columns of the tables: those of events that the queries read, as Microsoft documents them, and all of
// ThreatIntelIndicators.
func schemas(t *testing.T) map[string]map[string]string {
	t.Helper()
	tables := map[string]map[string]string{}
	readJSON(t, filepath.Join("testdata", "tables.json"), &tables)
	columns := map[string]string{}
	readJSON(t, filepath.Join("..", "testdata", "columns.json"), &columns)
	tables["ThreatIntelIndicators"] = columns
	return tables
}

func readJSON(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// allQueries are the queries of all items by file and name, with the function's own text in place of its calls: neither judge
// knows functions that are stored.
func allQueries() map[string]string {
	const call = "ThreatConnectIndicators()"
	body := ""
	for _, item := range content.Items() {
		if item.Kind == "function" {
			body = item.Queries[0].KQL
		}
	}
	queries := map[string]string{}
	for _, item := range content.Items() {
		for _, q := range item.Queries {
			if strings.Contains(q.KQL, call) {
				q.KQL = "let TheFunction = " + body + ";\n" + strings.ReplaceAll(q.KQL, call, "TheFunction")
			}
			queries[item.File+": "+q.Name] = q.KQL
		}
	}
	return queries
}

// queryOf gives the one query of a file.
func queryOf(t *testing.T, file string) string {
	t.Helper()
	for name, text := range allQueries() {
		if strings.HasPrefix(name, file) {
			return text
		}
	}
	t.Fatal("no query of " + file)
	return ""
}

// bound is what Microsoft's language service says of a query.
type bound struct {
	Faults  []string            `json:"faults"`
	Columns []map[string]string `json:"columns"`
}

func bindQueries(t *testing.T, queries map[string]string) (said map[string]bound) {
	t.Helper()
	folder := toolAt(t, "MS_SENTINEL_KUSTO", filepath.Join("node", "node_modules", "@kusto", "language-service-next"))
	askJudge(t, map[string]any{"tables": schemas(t), "queries": queries}, &said, "node", filepath.Join("..", "testdata", "bind.js"), folder)
	return said
}

// runQueries has duckdb-kql run each world's queries over its tables: {world: {query: rows}}.
func runQueries(t *testing.T, worlds map[string]map[string]table, queries map[string]map[string]string) (said map[string]map[string]table) {
	t.Helper()
	python := toolAt(t, "MS_SENTINEL_PYTHON", filepath.Join("venv", "bin", "python"))
	askJudge(t, map[string]any{"schemas": schemas(t), "worlds": worlds, "queries": queries}, &said, python, filepath.Join("testdata", "run.py"))
	return said
}

// toolAt is what a variable of the environment names, or its place among the tools.
func toolAt(t *testing.T, variable, place string) string {
	t.Helper()
	path := os.Getenv(variable)
	if path == "" {
		path = filepath.Join("..", "..", "..", ".tools", place)
	}
	if path, err := filepath.Abs(path); err == nil {
		if _, err = os.Stat(path); err == nil {
			return path
		}
	}
	t.Fatalf("%s is missing: run ./package.sh test once, which installs it, or name its place in %s", path, variable)
	return ""
}

// askJudge gives a program JSON on its standard input, and reads JSON from its standard output.
func askJudge(t *testing.T, given, said any, program string, arguments ...string) {
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
