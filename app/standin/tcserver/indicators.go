package tcserver

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// getIndicators answers GET /v3/indicators, app/docs/threatconnect.md#selecting-indicators.
func (s *Server) getIndicators(r *http.Request, p parameters, entry *Request) (answer, error) {
	defer s.countPage()
	s.callBetweenPages()
	want, err := s.parseFields(p)
	if err != nil {
		return answer{}, err
	}
	owner, err := s.table.readableOwner(p.firstValue("owner"))
	if err != nil {
		return answer{}, err
	}
	rows, err := s.selectRows(Query{TQL: p.firstValue("tql"), Owner: owner, Sorting: p.firstValue("sorting")})
	if err != nil {
		return answer{}, err
	}
	w, err := s.cutPage(r, p, len(rows))
	if err != nil {
		return answer{}, err
	}
	shown := rows[w.start:w.end]
	reading, begins := readingOf(p, w)
	before := s.pageBefore(reading, begins)
	kinds := pageKinds
	if before == nil {
		kinds = slices.DeleteFunc(slices.Clone(kinds), func(k Kind) bool { return k == RepeatedPage })
	}
	fault, _ := s.takeFault(kinds, r, p)
	if fault.Kind != "" {
		entry.Fault = fault.Kind
	}
	switch fault.Kind {
	case RepeatedPage:
		shown = before
	case EmptyPage:
		shown = nil
	default:
		s.keepPage(reading, shown)
	}
	entry.Rows = len(shown)
	count := -1
	if p.isTrue("count") && w.first {
		count = len(rows)
	}
	return answer{status: http.StatusOK, body: s.listBody(shown, want, w, count, fault.Kind == DamagedRow), pooled: true}, nil
}

func (s *Server) callBetweenPages() {
	s.mu.Lock()
	f, pages := s.betweenPages, s.pages
	s.mu.Unlock()
	if f != nil {
		f(pages)
	}
}

func (s *Server) countPage() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pages++
}

// idPosition is how a client that reads by the ids asks for what follows a page.
var idPosition = regexp.MustCompile(` and id [<>] -?\d+$`)

// readingOf names what a page is a part of, whichever page it is, and says whether it begins there.
func readingOf(p parameters, w window) (reading string, begins bool) {
	tql := p.firstValue("tql")
	selected := idPosition.ReplaceAllString(tql, "")
	return strings.Join([]string{selected, p.firstValue("owner"), p.firstValue("sorting")}, "\n"), w.first && selected == tql
}

// pageBefore are the rows of the page before in the same reading, nil where there is none: what another reading got, or the same
// one at another time, is no page before.
func (s *Server) pageBefore(reading string, begins bool) []*row {
	s.mu.Lock()
	defer s.mu.Unlock()
	if begins || s.lastReading != reading {
		return nil
	}
	return s.lastPage
}

func (s *Server) keepPage(reading string, rows []*row) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastReading, s.lastPage = reading, slices.Clone(rows)
}

func (s *Server) parseFields(p parameters) (fields, error) {
	names, status := p.values["fields"], s.options.LinkLimitStatus
	for _, name := range s.options.Unknowns.Withheld {
		if slices.Contains(names, name) {
			return 0, newRefusal(status, statusCodes[status], fmt.Sprintf("The field %q is not available.", name))
		}
	}
	if s.options.Unknowns.Lenient {
		names = slices.DeleteFunc(slices.Clone(names), func(name string) bool {
			first, _, _ := strings.Cut(name, ".")
			_, known := fieldNamed(first)
			return !known
		})
	}
	return parseFieldNames(names, s.options.LinkLimit, status)
}

// rowSize is about what a row takes with the usual fields.
const rowSize = 2600

// listBody writes the envelope in the order in which the documentation shows it.
func (s *Server) listBody(rows []*row, want fields, w window, count int, damaged bool) []byte {
	b := append(newBody(512+len(rows)*rowSize), '{')
	if w.next != "" {
		b = append(appendText(append(b, `"next":`...), w.next), ',')
	}
	b = append(b, `"data":[`...)
	for i, r := range rows {
		if i > 0 {
			b = append(b, ',')
		}
		if damaged && i == len(rows)/2 {
			b = append(b, `{"id":"none","type":7}`...)
			continue
		}
		b = s.appendRow(b, r, want)
	}
	b = append(b, ']')
	if w.prev != "" {
		b = appendText(append(b, `,"prev":`...), w.prev)
	}
	if count >= 0 {
		b = strconv.AppendInt(append(b, `,"count":`...), int64(count), 10)
	}
	return append(b, `,"status":"Success"}`...)
}

// appendRow writes a row as the stand-in is set to show it.
func (s *Server) appendRow(dst []byte, r *row, want fields) []byte {
	start := len(dst)
	dst = r.appendDocument(dst, want)
	if s.options.TrailingBlank && r.id%7 == 0 {
		eachMember(dst[start:], func(m member) bool { //nolint:errcheck // rows are objects
			if string(m.name) != "lastModified" {
				return true
			}
			dst = slices.Insert(dst, start+m.end-1, ' ')
			return false
		})
	}
	return dst
}

// getIndicator answers GET /v3/indicators/{id or summary}. A summary is looked for in one owner alone: the user's
// Organization unless another is named.
func (s *Server) getIndicator(_ *http.Request, p parameters, entry *Request) (answer, error) {
	want, err := s.parseFields(p)
	if err != nil {
		return answer{}, err
	}
	owner, err := s.table.readableOwner(p.firstValue("owner"))
	if err != nil {
		return answer{}, err
	}
	r := s.table.findOne(p.id, owner)
	if r == nil {
		return answer{}, newRefusal(http.StatusNotFound, codeNotFound, "The requested item(s) were not found.")
	}
	entry.Rows = 1
	body := append(s.appendRow([]byte(`{"data":`), r, want), `,"status":"Success"}`...)
	return answer{status: http.StatusOK, body: body}, nil
}

func (t *table) findOne(idOrSummary, owner string) *row {
	t.mu.Lock()
	defer t.mu.Unlock()
	if id, err := strconv.ParseInt(idOrSummary, 10, 64); err == nil {
		if at, err := t.findRow(id); err == nil && !t.hidden[t.rows[at].owner.id] && (owner == "" || owner == t.rows[at].owner.name) {
			return t.rows[at]
		}
	}
	if owner == "" {
		owner = t.ownOrganization().Name
	}
	for _, r := range t.rows {
		if r.owner.name == owner && strings.EqualFold(exportRow(r).Summary(), idOrSummary) {
			return r
		}
	}
	return nil
}

// deletedRow is a row of /v3/indicators/deleted: without an id (app/docs/threatconnect.md#deleted-indicators).
type deletedRow struct {
	Owner     string `json:"ownerName"`
	DateAdded string `json:"dateAdded"`
	Type      string `json:"type"`
	Summary   string `json:"summary"`
}

// getDeleted answers GET /v3/indicators/deleted, of one owner: the user's Organization unless another is named.
func (s *Server) getDeleted(r *http.Request, p parameters, entry *Request) (answer, error) {
	owner, err := s.table.readableOwner(p.firstValue("owner"))
	if err != nil {
		return answer{}, err
	}
	since := time.Time{}
	if text := p.firstValue("deletedSince"); text != "" {
		if since, err = time.Parse(timeLayout, text); err != nil || strings.Contains(text, ".") {
			return answer{}, newRefusal(http.StatusBadRequest, codeBadRequest, "The parameter deletedSince is not a date such as 2024-05-01T00:00:00Z.")
		}
	}
	rows := s.deletedRows(owner, p.firstValue("type"), since)
	w, err := s.cutPage(r, p, len(rows))
	if err != nil {
		return answer{}, err
	}
	entry.Rows = w.end - w.start
	return listAnswer(rows[w.start:w.end], w, len(rows)), nil
}

func (s *Server) deletedRows(owner, typ string, since time.Time) []deletedRow {
	s.table.mu.Lock()
	defer s.table.mu.Unlock()
	if owner == "" {
		owner = s.table.ownOrganization().Name
	}
	rows := []deletedRow{}
	for _, d := range s.table.deleted {
		if d.Owner != owner || typ != "" && !strings.EqualFold(typ, d.Type) || d.Deleted.Before(since) {
			continue
		}
		at := d.Deleted
		if s.options.DeletedShowsAdded {
			at = d.Added
		}
		rows = append(rows, deletedRow{d.Owner, at.UTC().Format(timeLayout), d.Type, d.Summary})
	}
	return rows
}

// listAnswer wraps a page of a list that always tells its count; a negative one is left out.
func listAnswer(data any, w window, count int) answer {
	body := struct {
		Next   string `json:"next,omitempty"`
		Data   any    `json:"data"`
		Prev   string `json:"prev,omitempty"`
		Count  *int   `json:"count,omitempty"`
		Status string `json:"status"`
	}{w.next, data, w.prev, &count, "Success"}
	if count < 0 {
		body.Count = nil
	}
	return jsonAnswer(http.StatusOK, body)
}
