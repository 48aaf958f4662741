package stories

import (
	"mssentinel/templates"
)

func tellHistory() []Story {
	return []Story{
		{"history-empty", Empty, "no list was saved yet", templates.HistoryPage(templates.History{Frame: newFrame("History", "configure"), Kept: 20})},
		{"history", Full, "who saved the list when", templates.HistoryPage(templates.History{Frame: newFrame("History", "configure"), Kept: 20, Versions: []templates.ListVersion{
			{Number: 2, SavedAt: noon, SavedBy: "J. Doe <jdoe>", Mode: "Delta", Queries: 2, Changes: "1 added, 1 moved", Current: true},
			{Number: 1, SavedAt: noon, Mode: "Full", Queries: 1}}})},
		{"history-version", Full, "what changed since a version", templates.VersionOfList(templates.VersionPage{Frame: newFrame("History", "configure"),
			Version: templates.ListVersion{Number: 1, SavedAt: noon, SavedBy: "J. Doe <jdoe>", Mode: "Full", Queries: 2},
			Summary: "1 added, 1 changed, 1 deleted, 1 moved", Queries: addSettings(newQueries()), Differences: []templates.QueryDifference{
				{Now: 1, TQL: "rating > 4", Kinds: []string{"Added"}},
				{Then: 1, Now: 2, TQL: `summary like "%<b>%"`, Kinds: []string{"Changed", "Moved"}, Fields: []templates.FieldChange{{Name: "Owners", Gone: "Demo Organization", Came: "O'Brien & <Sons>"},
					{Name: "TQL", Gone: "rating > 2", Came: `summary like "%<b>%"`}, {Name: "Sort Field", Came: "dateAdded"}, {Name: "Confidence Floor", Came: "60"}, {Name: "TTL Hours", Gone: "72", Came: "48"},
					{Name: "Labels to Add", Gone: "vip", Came: "SOC <tier 1>, vip"}, {Name: "TLP at Least", Gone: "GREEN"}}},
				{Then: 2, TQL: "confidence > 50", Kinds: []string{"Deleted"}}}})},
		{"history-version-long", Long, "500 queries that changed since a version", templates.VersionOfList(templates.VersionPage{Frame: newFrame("History", "configure"),
			Version: templates.ListVersion{Number: 1, SavedAt: noon, SavedBy: longName, Mode: "Full", Queries: 500}, Summary: "500 changed", Queries: newManyQueries(500), Differences: newManyDifferences(500)})},
		{"history-rtl", RightToLeft, "saved by a name of a right-to-left script", templates.HistoryPage(templates.History{Frame: newFrame("History", "configure"), Kept: 20,
			Versions: []templates.ListVersion{{Number: 1, SavedAt: noon, SavedBy: hebrew, Mode: "Full", Queries: 2, Changes: "2 added"}}})},
		{"history-current", Full, "the version that stands", templates.VersionOfList(templates.VersionPage{Frame: newFrame("History", "configure"),
			Version: templates.ListVersion{Number: 2, SavedAt: noon, Mode: "Delta", Current: true}})},
	}
}

// newManyDifferences are of queries with long texts.
func newManyDifferences(n int) []templates.QueryDifference {
	differences := make([]templates.QueryDifference, n)
	for i := range differences {
		differences[i] = templates.QueryDifference{Then: i + 1, Now: i + 1, TQL: longWord, Kinds: []string{"Changed"},
			Fields: []templates.FieldChange{{Name: "Owners", Gone: longName, Came: arabic}, {Name: "TQL", Gone: longWord, Came: longText}}}
	}
	return differences
}
