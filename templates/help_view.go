package templates

import _ "embed" // for the chapters

//go:generate go run ../app/tools/help -root .. -to help.html

// helpChapters are the chapters of Help in HTML, with the contents in front. app/tools/help makes them.
//
//go:embed help.html
var helpChapters string

// helpPlaces are where on Help a page is explained: by its title, or else by the screen that it belongs to.
var helpPlaces = map[string]string{
	"configure": "help-configure-the-queries",
	"jobs":      "help-jobs-the-updates",
	"tasks":     "help-tasks-the-workers",
	"report":    "help-report-what-was-not-sent",
	"settings":  "help-settings-and-tests",
	"Verify":    "help-verify",
	"Doctor":    "help-first-real-instance",
	"Content":   "help-content-for-sentinel",
}

// asidePath leads from the Service's root to a page beside the screens; to Help, at what it says of this page.
func (f Frame) asidePath(s screen) string {
	if s.section != "help" {
		return s.path
	}
	for _, name := range []string{f.Title, f.Section} {
		if place, found := helpPlaces[name]; found {
			return s.path + "#" + place
		}
	}
	return s.path
}
