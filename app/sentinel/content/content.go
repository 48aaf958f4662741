// Package content holds what Microsoft Sentinel can do with the indicators: analytic rules, hunting queries, a function and a
// workbook, each as a file, and all of them as one template of Azure Resource Manager. They are data: the App offers them for
// download and runs none of them.
//
// app/tools/content makes template.json and content.json of the other files.
package content

import (
	"embed"
	"encoding/json"
	"io/fs"
)

//go:generate go run ../../tools/content -folder .

//go:embed rules functions hunting workbook template.json content.json
var files embed.FS

// Template is the name of the file that deploys everything.
const Template = "template.json"

// Item is one thing that can be deployed.
type Item struct {
	File        string   `json:"file"` // its name for [Read]
	Kind        string   `json:"kind"` // rule, hunting, function or workbook
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Severity    string   `json:"severity,omitempty"` // of a rule
	Tables      []string `json:"tables"`             // that it reads, beside ThreatIntelIndicators
	Cost        string   `json:"cost"`               // what it reads and how often, in a sentence
	Queries     []Query  `json:"queries"`
}

// Query is one query of an item.
type Query struct {
	Name string `json:"name"`
	KQL  string `json:"kql"`
}

// Items are all of them: the rules, the hunting queries, the function and the workbook, each kind by file name.
func Items() []Item {
	var items []Item
	text, err := files.ReadFile("content.json")
	if err == nil {
		err = json.Unmarshal(text, &items)
	}
	if err != nil {
		panic("content.json is compiled in and cannot be read: " + err.Error())
	}
	return items
}

// Read gives a file by its name, [Template] or [Item.File]; an error that is [fs.ErrNotExist] for any other name.
func Read(name string) ([]byte, error) {
	if name != Template && !isItem(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return files.ReadFile(name)
}

func isItem(name string) bool {
	for _, item := range Items() {
		if item.File == name {
			return true
		}
	}
	return false
}
