package web

import (
	"bytes"
	"context"
	"net/http"

	"github.com/labstack/echo/v4"

	"mssentinel/app/store"
	"mssentinel/templates"
)

// editor is one request of the CONFIGURE screen in Edit mode: the draft that came with it and the view that goes back.
type editor struct {
	s     *server
	c     echo.Context
	draft *draft
	// saved is the list as it stands in the store, under version.
	saved   []store.Query
	version string
	// known are the saved queries, tidied, by their identity: see knownQueries.
	known map[string]*store.Query
	// arrived is the draft as it came to the script of a page, as JSON, in the order that the page shows. What is not changed need not be
	// drawn again.
	arrived []byte
	view    templates.Editor
	status  int
}

// newEditor has no draft yet.
func (s *server) newEditor(c echo.Context) (*editor, error) {
	saved, version, err := s.Store.Queries(c.Request().Context())
	if err != nil {
		return nil, err
	}
	return &editor{s: s, c: c, saved: saved, version: version, status: http.StatusOK,
		view: templates.Editor{Frame: s.newFrame(c, "CONFIGURE", "configure")}}, nil
}

func (e *editor) requestContext() context.Context { return e.c.Request().Context() }

// addNotice puts a sentence above the list.
func (e *editor) addNotice(kind, message string, points ...string) {
	e.view.Notices = append(e.view.Notices, templates.Notice{Kind: kind, Text: message, Points: points})
}

// reloadSaved takes over what someone else saved, so that the draft is shown against it.
func (e *editor) reloadSaved() (err error) {
	e.known = nil
	e.saved, e.version, err = e.s.Store.Queries(e.requestContext())
	return err
}

// knownQueries are the saved queries as a draft has them.
func (e *editor) knownQueries() map[string]*store.Query {
	if e.known == nil {
		tidied := make([]store.Query, len(e.saved))
		for i, q := range e.saved {
			tidied[i] = tidyQuery(q)
		}
		e.known = queriesByID(tidied)
	}
	return e.known
}

// isScript says that the script of a page asked, which can go on with a part of it.
func (e *editor) isScript() bool { return e.c.Request().Header.Get("HX-Request") == "true" }

// renderDraft answers with the page as it stands now, or with the part of it that the page needs. The page carries the
// draft.
func (e *editor) renderDraft() error {
	encoded, err := e.draft.encodeQueries()
	if err != nil {
		return err
	}
	e.view.Dirty = e.draft.isDirty()
	e.view.Outdated = e.draft.Version != e.version
	if e.needsWindow(encoded) {
		return renderPage(e.c, e.status, templates.EditorWindow(e.view))
	}
	if e.view.Draft, err = packText(encoded); err != nil {
		return err
	}
	e.view.Version, e.view.Base = e.draft.Version, e.draft.Base
	e.view.Seal = e.s.sealDraft(e.view.Draft, e.draft.Version, e.draft.Base)
	e.view.Queries = e.queryRows()
	return renderPage(e.c, e.status, templates.EditorPage(e.view))
}

// needsWindow says that the page can go on with the window alone: its script asked, and nothing else on it changes.
func (e *editor) needsWindow(encoded []byte) bool {
	return e.isScript() && bytes.Equal(encoded, e.arrived) && len(e.view.Notices) == 0 && !e.view.Outdated
}

// queryRows shows the draft, with a mark on what differs from the saved list.
func (e *editor) queryRows() []templates.Query {
	known := e.knownQueries()
	rows := make([]templates.Query, 0, len(e.draft.Queries))
	for i, q := range e.draft.Queries {
		row := e.s.queryRow(q.Key, i, q.Query)
		if before, found := known[q.ID]; !found {
			row.Mark = "New"
		} else if !sameQuery(q.Query, *before) {
			row.Mark = "Changed"
		}
		rows = append(rows, row)
	}
	return rows
}
