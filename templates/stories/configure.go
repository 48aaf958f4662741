package stories

import (
	"mssentinel/templates"
)

func tellConfigure() []Story {
	return []Story{
		{"configure-empty", Empty, "no query is saved", templates.ConfigurePage(templates.Configure{Frame: newFrame("CONFIGURE", "configure")})},
		{"configure", Full, "two queries with what each gave", templates.ConfigurePage(templates.Configure{Frame: newFrame("CONFIGURE", "configure"), Queries: countGiven(newQueries()), ReadAt: noon, CountedAt: noon, Saved: &templates.ListVersion{SavedAt: noon, SavedBy: "J. Doe <jdoe>"}})},
		{"configure-trouble", Broken, "the disk is full", templates.ConfigurePage(templates.Configure{Frame: addTrouble(newFrame("CONFIGURE", "configure")), Queries: countGiven(newQueries())})},
		{"configure-saved", Full, "just saved", templates.ConfigurePage(templates.Configure{Frame: addNotice(newFrame("CONFIGURE", "configure"), success), Queries: countGiven(newQueries()), Saved: &templates.ListVersion{SavedAt: noon}})},
		{"configure-workday", Full, "six queries, and what each gave", templates.ConfigurePage(templates.Configure{Frame: newWorkFrame("CONFIGURE", "configure"), Queries: newWorkQueries(), ReadAt: noon, CountedAt: noon})},
		{"configure-settings", Full, "six queries, some of which have settings", templates.ConfigurePage(templates.Configure{Frame: newWorkFrame("CONFIGURE", "configure"), Queries: addSettings(newWorkQueries()), ReadAt: noon, CountedAt: noon})},
		{"editor-settings", Full, "Edit with queries that have settings", templates.EditorPage(newEditor(func(e *templates.Editor) { e.Queries = addSettings(newRealQueries()) }))},
		{"editor", Full, "Edit", templates.EditorPage(newEditor(func(e *templates.Editor) { e.Focus = "add" }))},
		{"editor-empty", Empty, "Edit without a query", templates.EditorPage(newEditor(func(e *templates.Editor) { e.Queries, e.Draft = nil, "[]" }))},
		{"editor-changed", Full, "Edit with unsaved changes", templates.EditorPage(newEditor(func(e *templates.Editor) {
			e.Dirty, e.Focus, e.Queries[0].Mark, e.Queries[1].Mark = true, "up-new-1", "New", "Changed"
		}))},
		{"editor-outdated", Broken, "Edit when somebody else has saved since", templates.EditorPage(newEditor(func(e *templates.Editor) { e.Outdated = true }))},
		{"editor-faults", Broken, "Edit when the list cannot be saved", templates.EditorPage(newEditor(func(e *templates.Editor) { e.Frame = addNotice(e.Frame, faults) }))},
	}
}

// tellWindows are the windows of CONFIGURE.
func tellWindows() []Story {
	return []Story{
		{"editor-add", Asking, "the window that adds a query", templates.EditorPage(newEditor(func(e *templates.Editor) { e.Form = newForm() }))},
		{"editor-edit", Broken, "the window of a query with faults", templates.EditorPage(newEditor(func(e *templates.Editor) {
			e.Form = newForm()
			e.Form.Key, e.Form.Faults, e.Focus = "a", faults.Points, "validate"
		}))},
		{"editor-fault-place", Broken, "the window of a query with the place of the fault in its TQL", templates.EditorPage(newEditor(func(e *templates.Editor) {
			e.Form = newForm()
			e.Form.TQL, e.Form.Faults = "rating >= 3 and\nkonfidence > 50", []string{"TQL: konfidence is no keyword."}
			e.Form.TQLFault = &templates.TQLFault{Text: "konfidence is no keyword.", Start: 16, End: 26, Line: 2, Column: 1}
			e.Form.Help = []templates.TQLHelp{{Kind: "Numbers", Operators: []string{"=", ">", ">="}, Example: "rating >= 3", Keywords: []string{"confidence", "rating", "threatAssessScore"}}}
		}))},
		{"editor-setting-faults", Broken, "the window of a query with settings that cannot be", templates.EditorPage(newEditor(func(e *templates.Editor) {
			e.Form = newForm()
			e.Form.SettingTexts = templates.SettingTexts{MinConfidence: "high", TTLHours: "0", Labels: "SOC <tier 1>\nvip"}
			e.Form.SettingFaults = []templates.FieldFault{{Field: "min_confidence", Text: `Confidence Floor is "high": enter a whole number from 0 to 100, or leave it out.`},
				{Field: "ttl_hours", Text: "TTL Hours is 0: enter a whole number from 1 to 87,600, or leave it out for that of each type."}}
			for _, f := range e.Form.SettingFaults {
				e.Form.Faults = append(e.Form.Faults, f.Text)
			}
		}))},
		{"editor-valid", Full, "the window of a query that is valid", templates.EditorPage(newEditor(func(e *templates.Editor) {
			e.Form = newForm()
			e.Form.Valid = "TQL is valid — 1,234 matching results."
		}))},
		{"editor-preview", Full, "the window of a query with its preview", templates.EditorPage(newEditor(func(e *templates.Editor) { e.Form = newForm(); e.Form.Preview = newPreview() }))},
		{"editor-no-owners", Broken, "the window of a query when the owners cannot be listed", templates.EditorPage(newEditor(func(e *templates.Editor) {
			e.Form = newForm()
			e.Form.Owners, e.Form.OwnersFault = nil, "The owners cannot be listed. ThreatConnect at tc.example gives no usable answer."
		}))},
		{"editor-delete", Asking, "whether to delete a query", templates.EditorPage(newEditor(func(e *templates.Editor) { e.Delete = &e.Queries[1] }))},
		{"editor-save", Asking, "how to save", templates.EditorPage(newEditor(func(e *templates.Editor) {
			e.Save = &templates.SaveWindow{Recommended: true, Delta: "Reads what was modified since the last update: about 12 indicators.",
				Full:    "Reads everything that the queries select: about 24,871 indicators, at least 2 min 30 s by the limit of Microsoft Sentinel.",
				Late:    "2 queries are new or changed: a delta update reads them from the last update on. What else they select, about 991 indicators, comes with the next full update or reconcile.",
				Reread:  "1 query has other settings: a delta update reads them whole, about 8,450 indicators, and sends what differs.",
				Deleted: "1 query is deleted: 591 live objects are no longer selected. A full update or reconcile retires them; a delta update does not."}
		}))},
		{"editor-save-first", Asking, "how to save for the first time", templates.EditorPage(newEditor(func(e *templates.Editor) {
			e.Save = &templates.SaveWindow{First: true, Delta: "Reads everything that the queries select; how much that is, is not known yet.", Full: "Reads everything that the queries select; how much that is, is not known yet."}
		}))},
		{"editor-discard", Asking, "whether to discard the changes", templates.EditorPage(newEditor(func(e *templates.Editor) { e.Discard = true }))},
		{"editor-import", Asking, "the window that imports queries", templates.EditorPage(newEditor(func(e *templates.Editor) { e.Import = &templates.ImportWindow{} }))},
		{"editor-no-import", Broken, "the window that imports queries, with what is no list", templates.EditorPage(newEditor(func(e *templates.Editor) {
			e.Import = &templates.ImportWindow{Pasted: `{"a":"</textarea>"}`, Fault: "Not imported: this is not a list of queries."}
		}))},
		{"preview", Full, "the preview of a saved query", templates.PreviewQuery(templates.PreviewPage{Frame: newFrame("Preview", "configure"), Query: addSettings(newQueries())[0], Preview: newPreview()})},
		{"preview-failed", Broken, "a preview that ThreatConnect did not answer", templates.PreviewQuery(templates.PreviewPage{Frame: newFrame("Preview", "configure"), Query: newQueries()[0], Fault: "ThreatConnect did not answer within 25 seconds."})},
	}
}

// queries hold what has to be escaped.
func newQueries() []templates.Query {
	return []templates.Query{
		{Key: "new-1", Position: 1, Owners: []string{"Demo Organization", "O'Brien & <Sons>"}, Types: []string{"Address", "File"}, TQL: `rating >= 3 and summary like "%<b>%"`, SortField: "threatAssessScore", SortDirection: "DESC"},
		{Key: "a", Position: 2, Owners: []string{"Common Community"}, Types: []string{"Email Subject"}, TQL: "confidence > 50"},
	}
}

// addSettings gives some of the queries settings.
func addSettings(queries []templates.Query) []templates.Query {
	for i, s := range []templates.QuerySettings{{MinConfidence: 60, TTLHours: 2160, Labels: []string{"SOC <tier 1>", "vip"}, TLP: "AMBER"},
		{MinConfidence: 80, TTLHours: 72}, {}, {Labels: []string{"campaign", "partner", "industry", "shared"}, TLP: "RED"}} {
		if i >= len(queries) {
			break
		}
		queries[i].Settings = s
		if gave := queries[i].Gave; gave != nil && s.MinConfidence > 0 {
			below := *gave
			below.BelowFloor = gave.Matched / 10
			queries[i].Gave = &below
		}
	}
	return queries
}

// gave gives queries what they gave, the first one more than the second.
func countGiven(queries []templates.Query) []templates.Query {
	for i := range queries {
		queries[i].Gave = &templates.QueryGave{Live: 40}
	}
	if len(queries) == 0 {
		return nil
	}
	queries[0].Gave = &templates.QueryGave{Read: true, Matched: 24_871, Invalid: 20, Won: 24_001, Lost: 850, Live: 23_990}
	return queries
}

func newEditor(change func(*templates.Editor)) templates.Editor {
	e := templates.Editor{Frame: newFrame("CONFIGURE", "configure"), Queries: newQueries(), Draft: `[{"key":"a","tql":"x < \"y\""}]`, Version: "v1", Base: "0123456789abcdef", Seal: "the-seal"}
	change(&e)
	return e
}

func newForm() *templates.QueryForm {
	return &templates.QueryForm{
		Owners: []templates.Choice{{Value: "Demo Organization", Label: "Demo Organization", Chosen: true}, {Value: "O'Brien & <Sons>", Label: "O'Brien & <Sons>", Chosen: false}},
		Types:  []templates.Choice{{Value: "Address", Label: "Address", Chosen: true}, {Value: "Host", Label: "Host", Chosen: false}}, TQL: `summary like "%<b>%"`,
		SortFields:     []templates.Choice{{Value: "", Label: "None", Chosen: false}, {Value: "rating", Label: "rating", Chosen: true}},
		SortDirections: []templates.Choice{{Value: "ASC", Label: "Ascending", Chosen: false}, {Value: "DESC", Label: "Descending", Chosen: true}},
		SettingTexts:   templates.SettingTexts{MinConfidence: "60", Labels: "SOC <tier 1>\nvip"},
		TLPs:           []templates.Choice{{Value: "", Label: "None"}, {Value: "AMBER", Label: "AMBER", Chosen: true}},
	}
}

func newPreview() *templates.Preview {
	return &templates.Preview{Total: 1234, Cap: 100, Truncated: true, Problems: []string{"Indicator 2 (Host 7 in Demo Organization): *.example is a wildcard"},
		Rows: []templates.PreviewRow{{Indicator: templates.Link{Text: "7", URL: "https://tc.example/#/details/indicators/7/overview"}, Value: "bad.example", Type: "Host", Owner: "O'Brien & <Sons>",
			Pattern: "[domain-name:value = 'bad.example']", JSON: "{\n  \"type\": \"indicator\"\n}", State: "Loses to query 1", Kind: "loses"},
			{Indicator: templates.Link{Text: "8"}, Value: "*.example", Type: "Host", Owner: "Demo", State: "Invalid: *.example is a wildcard", Kind: "invalid"},
			{Indicator: templates.Link{Text: "9"}, Value: "low.example", Type: "Host", Owner: "Demo", State: "Below the floor: its confidence is 20, and the floor of the query is 60.", Kind: "below"}}}
}
