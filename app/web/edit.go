package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"mssentinel/app/job"
	"mssentinel/app/store"
	"mssentinel/app/threatconnect"
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

func (s *server) newEditor(c echo.Context) (*editor, error) {
	saved, version, err := s.Store.Queries(c.Request().Context())
	if err != nil {
		return nil, err
	}
	return &editor{s: s, c: c, saved: saved, version: version, status: http.StatusOK,
		view: templates.Editor{Frame: s.frame(c, "CONFIGURE", "configure")}}, nil
}

// editPage opens Edit mode on the saved list.
func (s *server) editPage(c echo.Context) error {
	e, err := s.newEditor(c)
	if err != nil {
		return err
	}
	e.draft = newDraft(e.saved, e.version)
	e.view.Focus = "add"
	switch c.QueryParam("window") {
	case "add":
		e.openForm("", store.Query{})
	case "import":
		e.view.Import = &templates.ImportWindow{}
	}
	return e.show()
}

// edit takes a button of Edit mode. Whatever happens, the page that comes back carries the draft.
func (s *server) edit(c echo.Context) error {
	e, err := s.newEditor(c)
	if err != nil {
		return err
	}
	form, err := c.FormParams()
	if err != nil {
		return badForm(err)
	}
	e.draft, err = parseDraft(form.Get("draft"), form.Get("version"), form.Get("base"))
	if err != nil {
		return fault(http.StatusBadRequest, "The unsaved list did not arrive whole. Open CONFIGURE again.")
	}
	if !s.validToken(c) {
		if c.Request().Header.Get("Sec-Fetch-Site") == "cross-site" {
			return fault(http.StatusForbidden, "This list came from another site, and was dropped. Open CONFIGURE and edit there.")
		}
		e.status = http.StatusForbidden
		e.notice("error", "This page was open for too long, or the Service was restarted. Nothing was changed, and your edits are still here: try again.")
		return e.show()
	}
	return e.act(form.Get("action"))
}

// badForm keeps the sentence on a body that is too long.
func badForm(err error) error {
	var tooLong *http.MaxBytesError
	if errors.As(err, &tooLong) {
		return err
	}
	return fault(http.StatusBadRequest, "The form did not arrive whole. Go back and try again.")
}

// act does what a button says.
func (e *editor) act(action string) error {
	name, key, _ := strings.Cut(action, ":")
	switch name {
	case "up", "down":
		e.draft.move(key, map[string]int{"up": -1, "down": 1}[name])
		e.view.Focus = name + "-" + key
	case "add":
		e.openForm("", store.Query{})
	case "edit":
		if i := e.draft.index(key); i >= 0 {
			e.openForm(key, e.draft.Queries[i].Query)
		}
	case "validate", "preview", "submit":
		e.takeForm(name)
	case "delete":
		if i := e.draft.index(key); i >= 0 {
			row := queryRow(key, i, e.draft.Queries[i].Query)
			e.view.Delete = &row
		}
	case "remove":
		e.draft.remove(key)
		e.view.Focus = "add"
	case "import":
		e.view.Import = &templates.ImportWindow{}
	case "do-import":
		e.importDraft()
	case "save":
		return e.openSave()
	case "save-delta", "save-full":
		return e.save(name)
	case "rebase":
		e.draft.rebase(e.saved, e.version)
		e.view.Focus = "save"
	case "cancel":
		if !e.draft.dirty() {
			return seeOther(e.c, "./")
		}
		e.view.Discard = true
	case "discard":
		return seeOther(e.c, "./")
	case "close":
		e.view.Focus = key
	default:
		return fault(http.StatusBadRequest, "This page has no such button. Open CONFIGURE again.")
	}
	return e.show()
}

func (e *editor) ctx() context.Context { return e.c.Request().Context() }

func (e *editor) notice(kind, text string, points ...string) {
	e.view.Notices = append(e.view.Notices, templates.Notice{Kind: kind, Text: text, Points: points})
}

// show draws the draft.
func (e *editor) show() error {
	text, err := e.draft.text()
	if err != nil {
		return fmt.Errorf("write the unsaved list: %w", err)
	}
	e.view.Draft, e.view.Version, e.view.Base = text, e.draft.Version, e.draft.Base
	e.view.Queries = e.draft.rows(e.saved)
	e.view.Dirty = e.draft.dirty()
	e.view.Outdated = e.draft.Version != e.version
	return render(e.c, e.status, templates.EditorPage(e.view))
}

// openForm opens the window of one query, with the owners that there are now or, when they cannot be listed, that there were.
func (e *editor) openForm(key string, q store.Query) {
	owners, err := e.s.listOwners(e.ctx())
	if last := e.s.owners.Load(); err != nil && last != nil {
		owners = *last
	}
	e.drawForm(key, q, owners, err)
}

// drawForm shows the window of one query; ownersErr says why the owners could not be listed.
func (e *editor) drawForm(key string, q store.Query, owners []string, ownersErr error) {
	w := &templates.QueryForm{Key: key, TQL: q.TQL, Types: choices(e.s.Types, q.Types)}
	if ownersErr != nil {
		_, w.OwnersFault = e.s.explain(e.c, ownersFault(e.ctx(), ownersErr))
	}
	w.Owners = choices(owners, q.Owners)
	w.SortFields = append([]templates.Choice{{Value: "", Label: "None", Chosen: q.SortField == ""}}, choices(threatconnect.SortFields, one(q.SortField))...)
	w.SortDirections = []templates.Choice{
		{Value: "ASC", Label: "Ascending", Chosen: q.SortDirection == "ASC"},
		{Value: "DESC", Label: "Descending", Chosen: q.SortDirection == "DESC"},
	}
	e.view.Form = w
}

func one(name string) []string {
	if name == "" {
		return nil
	}
	return []string{name}
}

// choices lists what there is, and what is chosen but not there any more.
func choices(names, chosen []string) []templates.Choice {
	all := slices.Clone(names)
	for _, name := range chosen {
		if !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	result := make([]templates.Choice, 0, len(all))
	for _, name := range all {
		result = append(result, templates.Choice{Value: name, Label: name, Chosen: slices.Contains(chosen, name)})
	}
	return result
}

// formQuery is the query that the window holds. A direction without a field means nothing there.
func (e *editor) formQuery() (key string, q store.Query) {
	form := e.c.Request().Form
	q = store.Query{Owners: form["owner"], Types: form["type"], TQL: form.Get("tql"),
		SortField: form.Get("sort_field"), SortDirection: form.Get("sort_direction")}
	if q.SortField == "" {
		q.SortDirection = ""
	}
	q.TQL = strings.ReplaceAll(q.TQL, "\r\n", "\n")
	return form.Get("key"), tidy(q)
}

// takeForm validates, previews or submits the window's query.
func (e *editor) takeForm(action string) {
	key, q := e.formQuery()
	faults := e.s.allFaults(e.ctx(), q)
	var valid string
	var preview *templates.Preview
	if len(faults) > 0 {
		e.status = http.StatusUnprocessableEntity
	} else {
		var err error
		if valid, preview, err = e.judge(action, q); err != nil {
			faults = []string{e.refuse(err)}
		}
	}
	if action == "submit" && len(faults) == 0 {
		e.view.Focus = "edit-" + e.draft.put(key, q)
		return
	}
	owners, err := e.s.lastOwners(e.ctx())
	e.drawForm(key, q, owners, err)
	e.view.Form.Faults, e.view.Form.Valid, e.view.Form.Preview, e.view.Focus = faults, valid, preview, action
}

// refuse sets the status for a query that did not pass, and gives the reason. What ThreatConnect says about the query is a
// mistake in the form like any other.
func (e *editor) refuse(err error) (text string) {
	e.status, text = e.s.explain(e.c, err)
	if e.status == http.StatusBadRequest {
		e.status = http.StatusUnprocessableEntity
	}
	return text
}

// judge asks ThreatConnect about a query. A submit goes through when ThreatConnect cannot be asked: saving checks again.
func (e *editor) judge(action string, q store.Query) (valid string, preview *templates.Preview, err error) {
	if action == "preview" {
		preview, err = e.s.preview(e.ctx(), q)
		return "", preview, err
	}
	count, err := e.s.ThreatConnect.Count(e.ctx(), toThreatConnect(q))
	_, refused := refusal(err)
	switch {
	case err == nil:
		return fmt.Sprintf("TQL is valid — %s.", templates.Amount(count, "matching result", "matching results")), nil, nil
	case action == "submit" && !refused:
		e.notice("warning", "ThreatConnect could not be asked about this query. It is checked again when you save.")
		return "", nil, nil
	}
	return "", nil, queryFault(e.ctx(), cannotCheck, err)
}

// importDraft replaces the draft by a file or by pasted text.
func (e *editor) importDraft() {
	pasted := e.c.FormValue("pasted")
	content := []byte(pasted)
	if file, err := e.c.FormFile("file"); err == nil && file.Size > 0 {
		if f, err := file.Open(); err == nil {
			defer f.Close()
			if content, err = io.ReadAll(f); err != nil {
				content = nil
			}
		}
	}
	queries, err := importQueries(content)
	if err != nil {
		e.status, e.view.Import = http.StatusUnprocessableEntity, &templates.ImportWindow{Pasted: pasted, Fault: "Not imported: " + err.Error() + "."}
		return
	}
	e.draft.replace(queries, e.saved)
	e.view.Focus = "save"
	e.notice("info", fmt.Sprintf("Imported %s. This replaces the saved list once you save.", templates.Amount(int64(len(queries)), "query", "queries")))
}

// openSave shows the window Save Changes, or what is wrong with the list.
func (e *editor) openSave() error {
	if e.draft.Version != e.version {
		e.status = http.StatusConflict
		return e.show()
	}
	if faults := e.s.listFaults(e.draft.list(), e.saved); len(faults) > 0 {
		e.status = http.StatusUnprocessableEntity
		e.notice("error", "The list cannot be saved yet:", faults...)
		return e.show()
	}
	_, completed, err := e.s.Store.Jobs(e.ctx(), store.JobFilter{Statuses: []job.Status{job.UploadComplete}, Limit: 1})
	if err != nil {
		return err
	}
	late := slices.ContainsFunc(e.draft.rows(e.saved), func(q templates.Query) bool { return q.Mark != "" })
	e.view.Save = &templates.SaveWindow{First: completed == 0, Late: late && completed > 0}
	return e.show()
}

// save keeps the draft and has the update run, or explains and changes nothing.
func (e *editor) save(action string) error {
	kind := strings.TrimPrefix(action, "save-")
	result, err := e.s.save(e.ctx(), e.draft.list(), e.draft.Version, job.Mode(kind))
	switch {
	case errors.Is(err, store.ErrOutdated):
		e.status = http.StatusConflict
		return e.refresh()
	case err != nil:
		var text string
		e.status, text = e.s.explain(e.c, err)
		e.notice("error", "Not saved, and your edits are still here. "+text)
		return e.show()
	case len(result.Faults) > 0:
		e.status = http.StatusUnprocessableEntity
		e.notice("error", "Nothing was saved:", result.Faults...)
		return e.show()
	case result.Unchecked != "":
		kind = "unchecked"
	}
	return seeOther(e.c, "./?done="+kind)
}

// refresh loads what someone else saved, so that the draft is shown against it.
func (e *editor) refresh() (err error) {
	if e.saved, e.version, err = e.s.Store.Queries(e.ctx()); err != nil {
		return err
	}
	return e.show()
}
