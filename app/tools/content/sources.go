package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// rule is an analytic rule or, without the members of its schedule, a hunting query, in the format of the repository
// Azure-Sentinel.
type rule struct {
	file string

	ID               string            `yaml:"id"`
	Name             string            `yaml:"name"`
	Description      string            `yaml:"description"`
	Severity         string            `yaml:"severity"`
	Status           string            `yaml:"status"`
	Connectors       []connector       `yaml:"requiredDataConnectors"`
	QueryFrequency   string            `yaml:"queryFrequency"`
	QueryPeriod      string            `yaml:"queryPeriod"`
	TriggerOperator  string            `yaml:"triggerOperator"`
	TriggerThreshold int               `yaml:"triggerThreshold"`
	Tactics          []string          `yaml:"tactics"`
	Techniques       []string          `yaml:"relevantTechniques"`
	Query            string            `yaml:"query"`
	EntityMappings   []entityMapping   `yaml:"entityMappings"`
	CustomDetails    map[string]string `yaml:"customDetails"`
	AlertDetails     *alertDetails     `yaml:"alertDetailsOverride"`
	EventGrouping    *eventGrouping    `yaml:"eventGroupingSettings"`
	Version          string            `yaml:"version"`
	Kind             string            `yaml:"kind"`
}

type connector struct {
	ID        string   `yaml:"connectorId"`
	DataTypes []string `yaml:"dataTypes"`
}

type entityMapping struct {
	EntityType    string         `yaml:"entityType" json:"entityType"`
	FieldMappings []fieldMapping `yaml:"fieldMappings" json:"fieldMappings"`
}

type fieldMapping struct {
	Identifier string `yaml:"identifier" json:"identifier"`
	ColumnName string `yaml:"columnName" json:"columnName"`
}

type alertDetails struct {
	NameFormat        string `yaml:"alertDisplayNameFormat" json:"alertDisplayNameFormat"`
	DescriptionFormat string `yaml:"alertDescriptionFormat" json:"alertDescriptionFormat"`
}

type eventGrouping struct {
	AggregationKind string `yaml:"aggregationKind" json:"aggregationKind"`
}

// function is a saved function, in the format of the repository's parsers.
type function struct {
	file string

	ID       string `yaml:"id"`
	Function struct {
		Title       string `yaml:"Title"`
		Version     string `yaml:"Version"`
		LastUpdated string `yaml:"LastUpdated"`
	} `yaml:"Function"`
	Category    string `yaml:"Category"`
	Name        string `yaml:"FunctionName"`
	Alias       string `yaml:"FunctionAlias"`
	Description string `yaml:"Description"`
	Query       string `yaml:"FunctionQuery"`
}

// workbook is the text of a workbook and its queries.
type workbook struct {
	file    string
	text    string
	queries []query
}

type query struct {
	Name string `json:"name"`
	KQL  string `json:"kql"`
}

// sources are the files that people write.
type sources struct {
	rules, hunting []rule
	functions      []function
	workbooks      []workbook
}

func readSources(folder string) (s sources, err error) {
	err = eachFile(folder, "rules/*.yaml", func(name string, text []byte) error {
		s.rules = append(s.rules, rule{file: name})
		return readYAML(name, text, &s.rules[len(s.rules)-1])
	})
	if err == nil {
		err = eachFile(folder, "hunting/*.yaml", func(name string, text []byte) error {
			s.hunting = append(s.hunting, rule{file: name})
			return readYAML(name, text, &s.hunting[len(s.hunting)-1])
		})
	}
	if err == nil {
		err = eachFile(folder, "functions/*.yaml", func(name string, text []byte) error {
			s.functions = append(s.functions, function{file: name})
			return readYAML(name, text, &s.functions[len(s.functions)-1])
		})
	}
	if err == nil {
		err = eachFile(folder, "workbook/*.json", s.readWorkbook)
	}
	return s, err
}

// eachFile reads the files of a pattern in the order of their names, each by its name below folder.
func eachFile(folder, pattern string, read func(name string, text []byte) error) error {
	names, err := filepath.Glob(filepath.Join(folder, filepath.FromSlash(pattern)))
	if err == nil && len(names) == 0 {
		err = fmt.Errorf("%s has no %s", folder, pattern)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		short, err := filepath.Rel(folder, name)
		if err != nil {
			return err
		}
		if err := read(filepath.ToSlash(short), text); err != nil {
			return err
		}
	}
	return err
}

// readYAML refuses a member that it does not know: it would be lost on the way.
func readYAML(name string, text []byte, into any) error {
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	return nil
}

func (s *sources) readWorkbook(name string, text []byte) error {
	var book struct {
		Items []struct {
			Name    string `json:"name"`
			Content struct {
				Query string `json:"query"`
			} `json:"content"`
		} `json:"items"`
	}
	if err := json.Unmarshal(text, &book); err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	var packed bytes.Buffer
	if err := json.Compact(&packed, text); err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	w := workbook{file: name, text: packed.String()}
	for _, item := range book.Items {
		if item.Content.Query != "" {
			w.queries = append(w.queries, query{item.Name, item.Content.Query})
		}
	}
	s.workbooks = append(s.workbooks, w)
	return nil
}

// flow is a text in one line.
func flow(s string) string { return strings.Join(strings.Fields(s), " ") }
