package web

import (
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
	"mssentinel/app/store"
	"mssentinel/app/text"
	"mssentinel/templates"
)

// Bounds of what is shown of the objects that a job asks about.
const (
	heldPage   = 100  // objects on a page
	maxHeld    = 1000 // objects that can be paged through
	heldCounts = 12   // lines of each table that counts
	// heldLines is how many objects one file of the export has: the platform carries 8 MiB in an answer
	// (app/docs/platform.md#time-limits).
	heldLines = 4000
)

// heldLife is for how long a summary is taken for the present one. It changes only as queries give objects again.
const heldLife = 30 * time.Second

// heldCache keeps the summary of the question that was looked at last: to count a hundred thousand objects takes a while.
type heldCache struct {
	mu        sync.Mutex
	requestID string
	counted   time.Time
	summary   store.HeldSummary
}

// summarizeHeld counts what the question of a job is about, or did so a moment ago.
func (s *server) summarizeHeld(ctx context.Context, requestID string) (store.HeldSummary, error) {
	s.held.mu.Lock()
	defer s.held.mu.Unlock()
	now := time.Now().UTC()
	if s.held.requestID == requestID && now.Sub(s.held.counted) < heldLife {
		return s.held.summary, nil
	}
	summary, err := s.Store.SummarizeHeld(ctx, requestID, heldLines, now)
	if err != nil {
		return summary, fmt.Errorf("counting what would be retired: %w", err)
	}
	s.held.requestID, s.held.counted, s.held.summary = requestID, now, summary
	return summary, nil
}

// askedAbout is what a job asks about at a glance; nil where it asks nothing any more.
func (s *server) askedAbout(ctx context.Context, j job.Job) (*store.HeldSummary, error) {
	if j.Status != job.ConfirmationRequired {
		return nil, nil
	}
	summary, err := s.summarizeHeld(ctx, j.RequestID)
	if errors.Is(err, job.ErrState) { // answered a moment ago
		return nil, nil
	}
	return &summary, err
}

// readHeldFilter reads which objects of a question are asked for.
func readHeldFilter(c echo.Context) (f store.HeldFilter, err error) {
	f = store.HeldFilter{Text: readParam(c, "text"), Type: readParam(c, "type"), Owner: readParam(c, "owner"), Query: readParam(c, "query")}
	f.Cause, err = readName(c, "cause", ledger.Causes)
	return f, err
}

// heldParams are the parameters that make the page of a job show what f selects.
func heldParams(id string, f store.HeldFilter) url.Values {
	params := url.Values{"id": {id}}
	for name, value := range map[string]string{"text": f.Text, "type": f.Type, "owner": f.Owner, "query": f.Query, "cause": string(f.Cause)} {
		if value != "" {
			params.Set(name, value)
		}
	}
	return params
}

// heldView is what a job asks about, as its page shows it.
func (s *server) heldView(c echo.Context, j job.Job, summary *store.HeldSummary) (*templates.Held, error) {
	filter, err := readHeldFilter(c)
	if err != nil {
		return nil, err
	}
	offset, err := readNumber(c, "offset", 0, 0, maxHeld-1)
	if err != nil {
		return nil, err
	}
	params := heldParams(j.RequestID, filter)
	view := &templates.Held{RequestID: j.RequestID, Text: filter.Text, Objects: summary.Objects, Back: j.Question() - summary.Objects,
		Filtered: len(params) > 1, Clear: pageURL("jobs", url.Values{"id": {j.RequestID}}) + "#held", Self: pageURL("jobs", withOffset(params, offset)),
		Fields: hiddenFields(params, "text"), CSV: heldLinks(j.RequestID, summary.Starts)}
	view.Tallies = tallyHeld(j.RequestID, filter, summary)
	lines, found, err := s.readHeldPage(c.Request().Context(), j.RequestID, filter, offset)
	if err != nil {
		return nil, err
	}
	view.Lines, view.All = lines, found <= maxHeld
	view.Pager = templates.Pager{First: int64(offset + 1), Last: int64(offset + len(lines)), Total: int64(min(found, maxHeld))}
	if offset > 0 {
		view.Pager.Newer = pageURL("jobs", withOffset(params, max(0, offset-heldPage))) + "#held"
	}
	if view.Pager.Last < view.Pager.Total {
		view.Pager.Older = pageURL("jobs", withOffset(params, offset+heldPage)) + "#held"
	}
	return view, nil
}

// hiddenFields are the parameters of an address as the fields of a form that has an input for one of them.
func hiddenFields(params url.Values, but string) []templates.Field {
	var fields []templates.Field
	for name, values := range params {
		if name != but {
			fields = append(fields, templates.Field{Name: name, Value: values[0]})
		}
	}
	slices.SortFunc(fields, func(a, b templates.Field) int { return slices.Compare([]string{a.Name}, []string{b.Name}) })
	return fields
}

// readHeldPage reads the objects of one page. found is how many there are, at most one more than can be paged through.
func (s *server) readHeldPage(ctx context.Context, id string, f store.HeldFilter, offset int) (lines []templates.HeldLine, found int, err error) {
	err = s.Store.EachHeld(ctx, id, f, 0, time.Now().UTC(), func(h store.Held) (bool, error) {
		if found++; found > offset && len(lines) < heldPage {
			lines = append(lines, templates.HeldLine{Value: text.Line(h.Value, csvValue), Owner: text.Line(h.Owner, csvValue), Type: h.Type,
				Query: queryLabel(h.Position, h.TQL, h.Query), Cause: describeCause(h.Cause), Sent: h.Sent, ValidUntil: h.ValidUntil,
				LookUp: pageURL("indicator", url.Values{"value": {h.ID}})})
		}
		return found <= maxHeld, nil
	})
	if errors.Is(err, job.ErrState) {
		err = nil
	}
	return lines, found, err
}

// heldBy is one thing that objects are counted by: what it is of a group, and how a filter selects it.
type heldBy struct {
	id, label string
	describe  func(store.HeldGroup) (value, note string)
	set       func(f *store.HeldFilter, g store.HeldGroup)
	clear     func(f *store.HeldFilter)
}

var heldTallies = []heldBy{
	{"held-causes", "cause and query",
		func(g store.HeldGroup) (string, string) {
			return describeCause(g.Cause), queryLabel(g.Position, g.TQL, g.Query)
		},
		func(f *store.HeldFilter, g store.HeldGroup) { f.Cause, f.Query = g.Cause, g.Query },
		func(f *store.HeldFilter) { f.Cause, f.Query = "", "" }},
	{"held-owners", "owner",
		func(g store.HeldGroup) (string, string) { return orNotKnown(text.Line(g.Owner, csvValue)), "" },
		func(f *store.HeldFilter, g store.HeldGroup) { f.Owner = g.Owner },
		func(f *store.HeldFilter) { f.Owner = "" }},
	{"held-types", "type",
		func(g store.HeldGroup) (string, string) { return g.Type, "" },
		func(f *store.HeldFilter, g store.HeldGroup) { f.Type = g.Type },
		func(f *store.HeldFilter) { f.Type = "" }},
}

func orNotKnown(s string) string {
	if s == "" {
		return "not known"
	}
	return s
}

// tallyHeld counts what a question is about by each of these things. Each count leads to its objects beside what the other filters
// leave, and a chosen one back.
func tallyHeld(id string, f store.HeldFilter, summary *store.HeldSummary) []templates.HeldTally {
	var tallies []templates.HeldTally
	for _, by := range heldTallies {
		tally := templates.HeldTally{ID: by.id, Label: by.label, Rest: summary.Rest}
		at := map[store.HeldFilter]int{}
		for _, g := range summary.Groups {
			only := store.HeldFilter{}
			by.set(&only, g)
			i, counted := at[only]
			if !counted {
				i = len(tally.Rows)
				at[only] = i
				tally.Rows = append(tally.Rows, newHeldCount(id, f, by, g))
			}
			tally.Rows[i].Objects += g.Objects
		}
		slices.SortStableFunc(tally.Rows, func(a, b templates.HeldCount) int { return cmp.Compare(b.Objects, a.Objects) })
		for _, c := range tally.Rows[min(len(tally.Rows), heldCounts):] {
			tally.Rest += c.Objects
		}
		tally.Rows = tally.Rows[:min(len(tally.Rows), heldCounts)]
		tallies = append(tallies, tally)
	}
	return tallies
}

// newHeldCount is a line of a table that counts, with nothing counted yet.
func newHeldCount(id string, f store.HeldFilter, by heldBy, g store.HeldGroup) templates.HeldCount {
	to := f
	by.set(&to, g)
	chosen := to == f
	if chosen {
		by.clear(&to)
	}
	value, note := by.describe(g)
	return templates.HeldCount{Value: value, Note: note, Chosen: chosen, Link: pageURL("jobs", heldParams(id, to)) + "#held"}
}

// queryLabel names a query by its place on CONFIGURE and what it asks.
func queryLabel(position int, tql, id string) string {
	switch tql = text.Line(tql, maxLabel); {
	case position > 0:
		return fmt.Sprintf("%d: %s", position, tql)
	case id != "":
		return "deleted: " + tql
	}
	return "not known"
}

// describeCause says why nobody gives an object any more.
func describeCause(cause ledger.Cause) string {
	switch cause {
	case ledger.SourceGone:
		return "Deleted or inactive in ThreatConnect"
	case ledger.QueryRemoved:
		return "The query was deleted"
	case ledger.OwnerLeftOut:
		return "The query does not ask this owner any more"
	case ledger.QueryEdited:
		return "The query was edited since it was last sent"
	case ledger.NotSelected:
		return "The query does not return it any more"
	}
	return "No query is known to have given it"
}

// describeHeld says in a sentence for each cause how many objects would leave for it, "" where there are none.
func describeHeld(groups []store.HeldGroup) string {
	counts := map[ledger.Cause]int64{}
	for _, g := range groups {
		counts[g.Cause] += g.Objects
	}
	var lines []string
	for _, cause := range ledger.Causes {
		if counts[cause] > 0 {
			lines = append(lines, fmt.Sprintf("%s: %s.", describeCause(cause), templates.Amount(counts[cause], "object", "objects")))
		}
	}
	return strings.Join(lines, " ")
}

// heldLinks are the addresses of the files of the export.
func heldLinks(id string, starts []int64) []string {
	links := make([]string, len(starts))
	for i, after := range starts {
		params := withNumber(withNumber(url.Values{}, "part", int64(i+1)), "after", after)
		links[i] = pageURL("../api/job/request/"+url.PathEscape(id)+"/retirement.csv", params)
	}
	return links
}

// exportHeld is GET api/job/request/<id>/retirement.csv: what a job asks about, as one of several numbered files. after is the
// number of the last object of the part before, so that the parts fit together though some objects are given again meanwhile.
func (s *server) exportHeld(c echo.Context) error {
	part, err := readNumber(c, "part", 1, 1, maxParts)
	if err != nil {
		return err
	}
	after, err := readNumber(c, "after", -1, 0, 1<<62)
	if err != nil {
		return err
	}
	ctx, id := c.Request().Context(), c.Param("id")
	if after < 0 {
		summary, err := s.summarizeHeld(ctx, id)
		if err != nil {
			return err
		}
		if part > max(1, len(summary.Starts)) {
			return httpErrorf(http.StatusNotFound, "There is no part %d: there are %d.", part, len(summary.Starts))
		}
		if after = 0; len(summary.Starts) > 0 {
			after = int(summary.Starts[part-1])
		}
	}
	setAttachment(c, "text/csv; charset=utf-8", fmt.Sprintf("ms-sentinel-retirement-%d.csv", part))
	rows := csv.NewWriter(c.Response())
	rows.UseCRLF = true
	heads := rows.Write([]string{"value", "type", "owner", "query", "query_id", "tql", "cause", "last_sent", "valid_until", "id"})
	lines := 0
	err = s.Store.EachHeld(ctx, id, store.HeldFilter{}, int64(after), time.Now().UTC(), func(h store.Held) (bool, error) {
		lines++
		return lines < heldLines, rows.Write(safeCells(text.Line(h.Value, csvMessage), h.Type, text.Line(h.Owner, csvValue), formatPosition(h.Position), h.Query,
			text.Line(h.TQL, csvValue), string(h.Cause), formatInstant(h.Sent), formatInstant(h.ValidUntil), h.ID))
	})
	if err != nil {
		return abortAttachment(c, fmt.Errorf("exporting what would be retired: %w", err))
	}
	rows.Flush()
	return errors.Join(heads, rows.Error())
}

// formatPosition is "" for a query that is not on CONFIGURE.
func formatPosition(position int) string {
	if position == 0 {
		return ""
	}
	return strconv.Itoa(position)
}

// heldObjectsView is the answer of GET api/job/request/<id>/retirement.
type heldObjectsView struct {
	// Held is how many objects the question is about by now: what a query gives again is not among them.
	Held int64 `json:"count_held"`
	// Groups are the largest first; OtherGroups is how many objects are in those that are left out.
	Groups      []heldGroupView `json:"groups"`
	OtherGroups int64           `json:"count_other_groups"`
	// Data are those that the filters select, from the offset on; Count is how many they are.
	Count int              `json:"count"`
	Data  []heldObjectView `json:"data"`
}

// giverView names the query that last gave an object. Position is null where it is not on CONFIGURE, QueryID "" where it is not
// known.
type giverView struct {
	QueryID  string `json:"query_id"`
	Position *int   `json:"query_position"`
	TQL      string `json:"query_tql"`
	Owner    string `json:"owner"`
	Type     string `json:"type"`
	// Cause is deleted-in-threatconnect, query-deleted, owner-left-out, query-edited, not-selected or never-given.
	Cause ledger.Cause `json:"cause"`
}

type heldGroupView struct {
	giverView
	Objects int64 `json:"count_objects"`
}

type heldObjectView struct {
	ID    string `json:"id"`
	Value string `json:"value"`
	giverView
	LastSent   *time.Time `json:"date_last_sent"`
	ValidUntil *time.Time `json:"valid_until"`
}

func newGiverView(query, tql string, position int, owner, typ string, cause ledger.Cause) giverView {
	view := giverView{QueryID: query, TQL: text.Line(tql, csvValue), Owner: text.Line(owner, csvValue), Type: typ, Cause: cause}
	if position > 0 {
		view.Position = &position
	}
	return view
}

// listHeld is GET api/job/request/<id>/retirement.
func (s *server) listHeld(c echo.Context) error {
	filter, err := readHeldFilter(c)
	if err != nil {
		return err
	}
	offset, limit, err := readRange(c)
	if err != nil {
		return err
	}
	ctx, id := c.Request().Context(), c.Param("id")
	summary, err := s.summarizeHeld(ctx, id)
	if err != nil {
		return err
	}
	view := heldObjectsView{Held: summary.Objects, Groups: []heldGroupView{}, OtherGroups: summary.Rest, Data: []heldObjectView{}}
	for _, g := range summary.Groups {
		view.Groups = append(view.Groups, heldGroupView{newGiverView(g.Query, g.TQL, g.Position, g.Owner, g.Type, g.Cause), g.Objects})
	}
	passed := 0
	err = s.Store.EachHeld(ctx, id, filter, 0, time.Now().UTC(), func(h store.Held) (bool, error) {
		if passed++; passed > offset {
			view.Data = append(view.Data, heldObjectView{ID: h.ID, Value: text.Line(h.Value, csvMessage), LastSent: optionalTime(h.Sent),
				ValidUntil: optionalTime(h.ValidUntil), giverView: newGiverView(h.Query, h.TQL, h.Position, h.Owner, h.Type, h.Cause)})
		}
		return len(view.Data) < limit, nil
	})
	view.Count = len(view.Data)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, view)
}
