package main

import (
	"strings"
)

// indicatorTable is read by everything, and so not named among the tables.
const indicatorTable = "ThreatIntelIndicators"

// item is what is shown of one file.
type item struct {
	File        string   `json:"file"`
	Kind        string   `json:"kind"`
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Severity    string   `json:"severity,omitempty"`
	Tables      []string `json:"tables"`
	Cost        string   `json:"cost"`
	Queries     []query  `json:"queries"`
}

func (s sources) makeIndex() []item {
	var items []item
	for _, r := range s.rules {
		items = append(items, item{
			File: r.file, Kind: "rule", Name: r.Name, Description: flow(r.Description), Severity: r.Severity, Tables: r.tables(),
			Cost:    "Runs every " + words(r.QueryFrequency) + ", over " + words(r.QueryPeriod) + " of indicators and one hour of events. At most 150 alerts a run.",
			Queries: []query{{r.Name, r.Query}},
		})
	}
	for _, h := range s.hunting {
		items = append(items, item{
			File: h.file, Kind: "hunting", Name: h.Name, Description: flow(h.Description), Tables: h.tables(),
			Cost:    "Runs when somebody runs it, over 14 days of indicators and the days of events that it names.",
			Queries: []query{{h.Name, h.Query}},
		})
	}
	for _, f := range s.functions {
		items = append(items, item{
			File: f.file, Kind: "function", Name: f.Alias, Description: flow(f.Description), Tables: []string{},
			Cost:    "Reads 14 days of indicators each time that a query calls it. The hunting queries and the workbook need it.",
			Queries: []query{{f.Alias, f.Query}},
		})
	}
	for _, w := range s.workbooks {
		items = append(items, item{
			File: w.file, Kind: "workbook", Name: "ThreatConnect indicators",
			Description: "Shows what stands by type, owner, source, age and confidence, the alerts of the rules over time, how fresh the rows are, and what they cost.",
			Tables:      []string{"SecurityAlert"},
			Cost:        "Reads when it is opened: 14 days of indicators for each chart of what stands, and the time range, 90 days at most, for the others.",
			Queries:     w.queries,
		})
	}
	return items
}

func (r rule) tables() []string {
	tables := []string{}
	for _, c := range r.Connectors {
		for _, table := range c.DataTypes {
			if table != indicatorTable {
				tables = append(tables, table)
			}
		}
	}
	return tables
}

// words writes 1h as hour and 14d as 14 days.
func words(s string) string {
	number, unit := s[:len(s)-1], map[byte]string{'h': "hour", 'd': "day", 'm': "minute"}[s[len(s)-1]]
	if strings.TrimLeft(number, "0") == "1" {
		return unit
	}
	return number + " " + unit + "s"
}
