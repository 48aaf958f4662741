package web

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"mssentinel/templates"
)

// render draws a page whole before it answers, so that a fault on the way can still become an error.
func render(c echo.Context, status int, page templ.Component) error {
	var buf bytes.Buffer
	if err := page.Render(context.WithoutCancel(c.Request().Context()), &buf); err != nil { // also when the time is over
		return fmt.Errorf("draw the page: %w", err)
	}
	return c.HTMLBlob(status, buf.Bytes())
}

// frame is what a page under ui/ stands in, with the notice that the last command left in the address.
func (s *server) frame(c echo.Context, title, section string) templates.Frame {
	f := templates.Frame{
		Title: title, Section: section, Root: "../", Version: s.Version, Source: s.Source,
		Trouble: s.Pipeline.Trouble(), Token: s.token(),
	}
	if text, found := doneTexts[c.QueryParam("done")]; found {
		f.Notices = append(f.Notices, templates.Notice{Kind: "success", Text: text})
	}
	return f
}

// doneTexts are what a page says after a command. The address names one of them and nothing else, so that no link can
// put words into a page.
var doneTexts = map[string]string{
	"delta":     "Saved. A delta update starts now; JOBS shows it.",
	"full":      "Saved. A full update starts now; JOBS shows it.",
	"unchecked": "Saved, and the update starts now. ThreatConnect could not be asked, so owners and TQL are unchecked: look at JOBS.",
	"submitted": "The job is queued.",
	"cancel":    "The job is cancelled.",
	"retry":     "The job is queued again.",
	"confirm":   "Confirmed: the objects are being retired.",
	"dismiss":   "Dismissed: the objects stay.",
	"run":       "The task runs.",
	"pause":     "The task is paused.",
	"resume":    "The task goes on.",
	"kill":      "The task was killed.",
}

// seeOther leads a browser on after a command. The target is relative.
func seeOther(c echo.Context, target string) error { return c.Redirect(http.StatusSeeOther, target) }

// address is a relative URL with parameters.
func address(page string, params url.Values) string {
	if len(params) == 0 {
		return page
	}
	return page + "?" + params.Encode()
}

// pager leads from the part of a list that filter parameters and offset show to its neighbours.
func pager(page string, params url.Values, offset, limit, shown int, total int64) templates.Pager {
	link := func(offset int) string {
		next := url.Values{}
		for name, values := range params {
			next[name] = values
		}
		if offset > 0 {
			next.Set("offset", strconv.Itoa(offset))
		}
		return address(page, next)
	}
	p := templates.Pager{First: int64(offset + 1), Last: int64(offset + shown), Total: total}
	if offset > 0 {
		p.Newer = link(max(0, offset-limit))
	}
	if p.Last < total && shown > 0 {
		p.Older = link(offset + limit)
	}
	return p
}
