package web

import (
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
	e.saved, e.version, err = e.s.Store.Queries(e.requestContext())
	return err
}

// renderDraft answers with the page as it stands now. The page carries the draft.
func (e *editor) renderDraft() error {
	encoded, err := e.draft.encodeQueries()
	if err != nil {
		return err
	}
	e.view.Draft, e.view.Version, e.view.Base = encoded, e.draft.Version, e.draft.Base
	e.view.Seal = e.s.sealDraft(encoded, e.draft.Version, e.draft.Base)
	e.view.Queries = e.draft.queryRows(e.saved)
	e.view.Dirty = e.draft.isDirty()
	e.view.Outdated = e.draft.Version != e.version
	return renderPage(e.c, e.status, templates.EditorPage(e.view))
}
