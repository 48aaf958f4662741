package config

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

// installJSON is the part of install.json that the platform acts on.
type installJSON struct {
	AppID            string   `json:"appId"`
	DisplayPath      string   `json:"displayPath"`
	Features         []string `json:"features"`
	Params           []param  `json:"params"`
	ProgramLanguage  string   `json:"programLanguage"`
	ProgramMain      string   `json:"programMain"`
	RuntimeLevel     string   `json:"runtimeLevel"`
	MinServerVersion string   `json:"minServerVersion"`
}

type param struct {
	Name          string   `json:"name"`
	Label         string   `json:"label"`
	Type          string   `json:"type"`
	Default       string   `json:"default"`
	Note          string   `json:"note"`
	Encrypt       bool     `json:"encrypt"`
	Required      bool     `json:"required"`
	ServiceConfig bool     `json:"serviceConfig"`
	Hidden        bool     `json:"hidden"`
	Sequence      int      `json:"sequence"`
	ValidValues   []string `json:"validValues"`
}

// readJSON decodes a file of the repository's top folder.
func readJSON(t *testing.T, name string, into any) {
	t.Helper()
	data, err := os.ReadFile("../../" + name)
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestInstallJSON(t *testing.T) {
	var install installJSON
	readJSON(t, "install.json", &install)
	if id, err := uuid.Parse(install.AppID); err != nil || id.Version() != 4 {
		t.Errorf("appId %q is no random UUID: %v", install.AppID, err)
	}
	install.AppID, install.Params = "", nil
	want := installJSON{
		DisplayPath: "ms_sentinel", Features: []string{"fileParams", "linkApiPath", "redisPasswordSupport"},
		ProgramLanguage: "PYTHON", ProgramMain: "run.py", RuntimeLevel: "ApiService", MinServerVersion: "7.2.0",
	}
	if diff := cmp.Diff(want, install); diff != "" {
		t.Error(diff)
	}
}

// The screen offers exactly what Load reads, in its order and under its labels.
func TestParamsAreTheInputs(t *testing.T) {
	var install installJSON
	readJSON(t, "install.json", &install)
	var want []input
	for _, f := range mustList(t) {
		if !f.environmentOnly && f.label != f.name {
			want = append(want, f)
		}
	}
	if len(install.Params) != len(want) {
		t.Fatalf("install.json has %d parameters, the App reads %d", len(install.Params), len(want))
	}
	secrets := []string{"client_secret", "tc_api_secret_key"}
	optional := map[string]string{"azure_cloud": "Public", "full_update_interval_days": "7", "notifications": "On"}
	for i, p := range install.Params {
		if p.Name != want[i].name || p.Label != want[i].label || p.Sequence != i+1 {
			t.Errorf("parameter %d is %s (%s), sequence %d; want %s (%s)", i+1, p.Name, p.Label, p.Sequence, want[i].name, want[i].label)
		}
		if p.Note == "" || !p.ServiceConfig || p.Hidden {
			t.Errorf("%s has no note, or would not be shown for a Service", p.Name)
		}
		if p.Encrypt != slices.Contains(secrets, p.Name) {
			t.Errorf("%s: encrypt is %v", p.Name, p.Encrypt)
		}
		// Variables that the administrator may choose from, as the vendor's tool offers them for a Service.
		offered := []string{"${USER:TEXT}", "${ORGANIZATION:TEXT}"}
		if p.Encrypt {
			offered = []string{"${USER:KEYCHAIN}", "${ORGANIZATION:KEYCHAIN}"}
		}
		if p.Type == "String" && !slices.Equal(p.ValidValues, offered) {
			t.Errorf("%s offers %q", p.Name, p.ValidValues)
		}
		initial, isOptional := optional[p.Name]
		if p.Required == isOptional || p.Default != initial {
			t.Errorf("%s: required is %v and the default %q", p.Name, p.Required, p.Default)
		}
	}
}

// What the screen leaves as it found it, and what an unset parameter means, are the same.
func TestDefaultsAgree(t *testing.T) {
	unset, err := load(t, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var install installJSON
	readJSON(t, "install.json", &install)
	change := map[string]string{}
	for _, p := range install.Params {
		if p.Default != "" {
			change[p.Name] = p.Default
		}
	}
	set, err := load(t, change, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(unset, set); diff != "" {
		t.Error(diff)
	}
}

func TestEveryOfferedChoiceIsTaken(t *testing.T) {
	var install installJSON
	readJSON(t, "install.json", &install)
	for _, p := range install.Params {
		if p.Type != "Choice" {
			continue
		}
		for _, value := range p.ValidValues {
			got, err := load(t, map[string]string{p.Name: value}, nil)
			taken := map[string]string{"azure_cloud": got.AzureCloud, "notifications": map[bool]string{true: "On", false: "Off"}[got.Notifications]}
			if err != nil || taken[p.Name] != value {
				t.Errorf("%s = %s: got %q, %v", p.Name, value, taken[p.Name], err)
			}
		}
	}
}

// layout.json shows every parameter once and no other; it is not packaged.
func TestLayoutAgreesWithInstall(t *testing.T) {
	var install installJSON
	var layout struct {
		Inputs []struct {
			Sequence   int    `json:"sequence"`
			Title      string `json:"title"`
			Parameters []struct {
				Name string `json:"name"`
			} `json:"parameters"`
		} `json:"inputs"`
	}
	var tcex struct {
		Package struct {
			AppName    string   `json:"app_name"`
			AppVersion string   `json:"app_version"`
			Excludes   []string `json:"excludes"`
		} `json:"package"`
	}
	readJSON(t, "install.json", &install)
	readJSON(t, "layout.json", &layout)
	readJSON(t, "tcex.json", &tcex)
	var declared, shown []string
	for _, p := range install.Params {
		declared = append(declared, p.Name)
	}
	for i, step := range layout.Inputs {
		if step.Sequence != i+1 || len(step.Title) < 3 || len(step.Title) > 100 {
			t.Errorf("step %d has the sequence %d and the title %q", i+1, step.Sequence, step.Title)
		}
		for _, p := range step.Parameters {
			shown = append(shown, p.Name)
		}
	}
	slices.Sort(declared)
	slices.Sort(shown)
	if diff := cmp.Diff(declared, shown); diff != "" {
		t.Error(diff)
	}
	if tcex.Package.AppName != "TCVA_-_Microsoft_Sentinel" || tcex.Package.AppVersion != "v1" || !slices.Contains(tcex.Package.Excludes, "layout.json") {
		t.Errorf("got %+v", tcex.Package)
	}
}

// The README's table has a row for each parameter, by the label under which ThreatConnect shows it.
func TestReadmeListsTheParameters(t *testing.T) {
	var install installJSON
	readJSON(t, "install.json", &install)
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "### Parameters\n")
	table, _, found := strings.Cut(table, "\n#")
	if !found {
		t.Fatal("the README has no section Parameters")
	}
	listed := map[string]bool{}
	for row := range strings.SplitSeq(table, "\n") {
		cells := strings.Split(row, "|")
		if len(cells) < 3 {
			continue
		}
		group := ""
		for i, label := range strings.Split(strings.TrimSpace(cells[1]), ", ") {
			if first, _, isGroup := strings.Cut(label, " - "); i == 0 && isGroup {
				group = first + " - "
			} else if i > 0 {
				label = group + label
			}
			listed[label] = true
		}
	}
	for _, p := range install.Params {
		if !listed[p.Label] {
			t.Errorf("the README does not list %q", p.Label)
		}
		delete(listed, p.Label)
	}
	for label := range listed {
		if label != "parameter" && strings.Trim(label, "-") != "" {
			t.Errorf("the README lists %q, which install.json does not have", label)
		}
	}
}
