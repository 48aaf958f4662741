package stories

import (
	"mssentinel/templates"
)

func tellSettings() []Story {
	return []Story{
		{"settings", Full, "what the Service was given", templates.SettingsPage(newSettings())},
		{"settings-tested", Broken, "a test that passed, and one that failed", templates.SettingsPage(func() templates.Settings {
			v := newSettings()
			v.Tests[0].Works, v.Tests[0].Fresh, v.Tests[0].Found, v.Tests[1].Found = true, true, []string{"12 owners <b>."}, []string{"The role is missing."}
			v.Tests[0].Tested, v.Tests[1].Tested = noon, noon
			return v
		}())},
	}
}

func newSettings() templates.Settings {
	return templates.Settings{Frame: newFrame("Settings", "settings"), Tests: []templates.ConnectionTest{{Slug: "threatconnect", Name: "ThreatConnect"}, {Slug: "sentinel", Name: "Microsoft Sentinel"}},
		Groups: []templates.SettingGroup{{Title: "Schedule", Note: "In hours.", Settings: []templates.Setting{{Label: "Schedule Interval", Value: "6 <h>"}}},
			{Title: "Mappers", Heads: []string{"Type", "SHA-256"}, Rows: [][]string{{"Host", "c0ffee"}}},
			{Title: "Refused mappers", Heads: []string{"File", "Why, and what to do"}, Rows: [][]string{{"my-mapper <b>", "It is on no list: if you trust it, go to its folder and run sha256sum my-mapper >> checksums.txt."}}}}}
}
