package templates

import (
	"time"
)

// Settings is the page of what the Service was given and what it is made of.
type Settings struct {
	Frame
	Groups []SettingGroup
	Tests  []ConnectionTest
}

// SettingGroup is a part of the settings: values by their label, or a table.
type SettingGroup struct {
	Title string
	// Note says what belongs to all of it; "" for nothing.
	Note     string
	Settings []Setting
	// Heads and Rows are a table; nil where there is none.
	Heads []string
	Rows  [][]string
}

// Setting is a value, as a person calls it.
type Setting struct{ Label, Value string }

// ConnectionTest is a service outside that can be tested, and what its last test found.
type ConnectionTest struct {
	Slug, Name string
	// Tested is when that was; zero: not since the Service was started.
	Tested time.Time
	Works  bool
	Found  []string
	// Fresh: it was tested just now.
	Fresh bool
}
