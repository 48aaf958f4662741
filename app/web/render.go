package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"mssentinel/app/text"
	"mssentinel/templates"
)

// pageSize is how many lines a screen shows at a time.
const pageSize = 20

// renderPage renders a page whole before it answers, so that a fault on the way can still become an error. A page with a
// part that asks for itself again holds a fingerprint; where that part has seen this page already it gets 204.
func renderPage(c echo.Context, status int, page templ.Component) error {
	buf := templ.GetBuffer()
	defer templ.ReleaseBuffer(buf)
	// The page that says that the time is over has to be rendered as well.
	if err := page.Render(context.WithoutCancel(c.Request().Context()), buf); err != nil {
		return fmt.Errorf("rendering the page: %w", err)
	}
	if !bytes.Contains(buf.Bytes(), []byte(templates.SeenMark)) {
		return c.HTMLBlob(status, buf.Bytes())
	}
	seen := fingerprintPage(buf.Bytes())
	if status == http.StatusOK && c.QueryParam("seen") == seen {
		return c.NoContent(http.StatusNoContent)
	}
	return c.HTMLBlob(status, bytes.ReplaceAll(buf.Bytes(), []byte(templates.SeenMark), []byte(seen)))
}

// tokenValues find what is another in each rendering of the same page. Each begins with a literal text, which a large page is searched
// for ten times as fast as for one of two.
var tokenValues = []*regexp.Regexp{regexp.MustCompile(`name="token" value="[^"]*"`), regexp.MustCompile(`data-token="[^"]*"`)}

// fingerprintPage is the same for pages that show the same.
func fingerprintPage(page []byte) string {
	for _, value := range tokenValues {
		page = value.ReplaceAll(page, nil)
	}
	sum := sha256.Sum256(page)
	return hex.EncodeToString(sum[:8])
}

// newFrame is what a page under ui/ stands in, with the notice that the last command left in the address.
func (s *server) newFrame(c echo.Context, title, section string) templates.Frame {
	f := templates.Frame{
		Title: title, Section: section, Root: "../", Version: s.Version, Source: s.Source,
		Trouble: s.Pipeline.Trouble(), Token: s.newToken(), Overview: s.readOverview(c.Request().Context()),
	}
	f.OverviewSeen = fingerprintOverview(f)
	if message, found := doneTexts[c.QueryParam("done")]; found {
		f.Notices = append(f.Notices, templates.Notice{Kind: "success", Text: message})
	}
	return f
}

// doneTexts are what a page says after a command. The address names one of them and nothing else, so that no link can
// put words into a page.
var doneTexts = map[string]string{
	"delta": "Saved. A delta update starts now; JOBS shows it.",
	"full":  "Saved. A full update starts now; JOBS shows it.",
	"unchecked": "Saved, and the update starts now. ThreatConnect could not be asked, " +
		"so owners and TQL are unchecked: look at JOBS.",
	"submitted": "The job is queued.",
	"cancel":    "The job is cancelled.",
	"retry":     "The job is queued again.",
	"retried":   "The lines are retried by this update. What fails again is on REPORT again.",
	"confirm":   "Confirmed: the objects are being retired.",
	"dismiss":   "Dismissed: the objects stay.",
	"run":       "The task runs.",
	"pause":     "The task is paused.",
	"resume":    "The task goes on.",
	"kill":      "The task was killed.",
	"sample":    "The verification was started.",
	"all":       "The verification was started.",
	"stop":      "The verification is cancelled.",
	"again":     "This update sends again what Microsoft Sentinel should hold and does not.",
	"retire":    "This update retires what Microsoft Sentinel holds and nobody gives.",
	"nothing":   "Nothing had to be done: the objects are on their way, or no query gives them any more.",
	"doctor":    "The doctor asks its questions. This page shows the answers as they come.",
	"pages":     "What this browser found is in the report.",
}

// seeOther leads a browser on after a command. The target is relative.
func seeOther(c echo.Context, target string) error { return c.Redirect(http.StatusSeeOther, target) }

// pageURL is a relative URL with parameters.
func pageURL(page string, params url.Values) string {
	if len(params) == 0 {
		return page
	}
	return page + "?" + params.Encode()
}

// newPager leads from the part of a list that filter parameters and offset show to its neighbours. shown is how many
// lines the part has, total how many the list has.
func newPager(page string, params url.Values, offset, shown int, total int64) templates.Pager {
	link := func(offset int) string { return pageURL(page, withOffset(params, offset)) }
	p := templates.Pager{First: int64(offset + 1), Last: int64(offset + shown), Total: total}
	if offset > 0 {
		p.Newer = link(max(0, offset-pageSize))
	}
	if p.Last < total && shown > 0 {
		p.Older = link(offset + pageSize)
	}
	return p
}

// withOffset is a copy of params that names the offset, which is 0 where it is left out.
func withOffset(params url.Values, offset int) url.Values {
	if offset <= 0 {
		return maps.Clone(params)
	}
	return withNumber(params, "offset", int64(offset))
}

// withNumber is a copy of params with one more.
func withNumber(params url.Values, name string, n int64) url.Values {
	params = maps.Clone(params)
	params.Set(name, strconv.FormatInt(n, 10))
	return params
}

// newChoices lists what there is, and what is chosen but not there any more. A chosen "" chooses nothing.
func newChoices[T ~string](names []T, chosen ...T) []templates.Choice {
	all := slices.Clone(names)
	for _, name := range chosen {
		if name != "" && !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	choices := make([]templates.Choice, 0, len(all))
	for _, name := range all {
		label := string(name)
		choices = append(choices,
			templates.Choice{Value: label, Label: text.Visible(label), Chosen: slices.Contains(chosen, name)})
	}
	return choices
}

// optionalChoices is newChoices with an entry in front that stands for no choice.
func optionalChoices[T ~string](none string, names []T, chosen T) []templates.Choice {
	first := templates.Choice{Value: "", Label: none, Chosen: chosen == ""}
	return append([]templates.Choice{first}, newChoices(names, chosen)...)
}

// indentJSON spreads JSON over lines and escapes what a reader could not see; what is not JSON stays on its lines.
func indentJSON(raw []byte) string {
	var buf bytes.Buffer
	if err := json.Indent(&buf, raw, "", "  "); err != nil {
		return text.Visible(string(raw))
	}
	return text.JSON(buf.String())
}
