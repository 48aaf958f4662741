package web

import (
	"crypto/hmac"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"mssentinel/app/job"
	"mssentinel/app/store"
	"mssentinel/templates"
)

// openEditor opens Edit mode on the saved list.
func (s *server) openEditor(c echo.Context) error {
	e, err := s.newEditor(c)
	if err != nil {
		return err
	}
	e.draft = newDraft(e.saved, e.version)
	e.view.Focus = "add"
	if named := c.QueryParam("restore"); named != "" {
		if err := e.restoreVersion(named); err != nil {
			return err
		}
	}
	switch c.QueryParam("window") {
	case "add":
		e.openForm("", store.Query{})
	case "import":
		e.view.Import = &templates.ImportWindow{}
	}
	return e.renderDraft()
}

// editQueries takes a button of Edit mode. The page that comes back carries the draft. Without a valid token nothing is
// read but a draft that carries our seal or comes from a page of ours, so that a foreign page can neither keep the
// Service busy nor show a list of its own as the operator's.
func (s *server) editQueries(c echo.Context) error {
	if _, err := c.FormParams(); err != nil {
		return explainForm(err)
	}
	token := s.checkToken(c)
	if err := s.checkSender(c, token); err != nil {
		return err
	}
	e, err := s.readEditor(c)
	if err != nil {
		return err
	}
	if token != tokenValid {
		return e.renewToken()
	}
	name, key, _ := strings.Cut(c.Request().PostForm.Get("action"), ":")
	act, known := editActions[name]
	if !known {
		return httpErrorf(http.StatusBadRequest, "This page has no such button. Open CONFIGURE again.")
	}
	return act(e, key)
}

// checkSender refuses a list that no page of ours has sent. What a browser says of the sender no page can change; where
// it says nothing, the seal tells, which a page has from before its token ran out.
func (s *server) checkSender(c echo.Context, token tokenState) error {
	form, site := c.Request().PostForm, c.Request().Header.Get("Sec-Fetch-Site")
	sealed := hmac.Equal([]byte(form.Get("seal")), []byte(s.sealDraft(form.Get("draft"), form.Get("version"), form.Get("base"))))
	switch {
	case token == tokenValid || site == "same-origin" || token == tokenExpired && sealed:
		return nil
	case site == "cross-site":
		return httpErrorf(http.StatusForbidden,
			"This list came from another site, and was dropped. Open CONFIGURE and edit there.")
	}
	return errToken
}

// readEditor reads the draft that a request carries, in the order that its page shows.
func (s *server) readEditor(c echo.Context) (*editor, error) {
	form := c.Request().PostForm
	d, err := parseDraft(form.Get("draft"), form.Get("version"), form.Get("base"))
	if err != nil {
		return nil, err
	}
	if order := form.Get("order"); order != "" && len(order) <= maxQueries*(maxWord+1) {
		d.orderBy(strings.Split(order, ","))
	}
	e, err := s.newEditor(c)
	if err != nil {
		return nil, err
	}
	e.draft = d
	if e.isScript() {
		e.arrived, err = d.encodeQueries()
	}
	return e, err
}

// renewToken answers a page whose token does not count any more with the same page, what was typed included, and a token
// that does. The button has to be pressed again.
func (e *editor) renewToken() error {
	const message = "This page was open for too long, or the Service was restarted. " +
		"Nothing was changed, and your edits are still here: try again."
	e.status = http.StatusForbidden
	form := e.c.Request().PostForm
	switch {
	case form.Has("tql"):
		key, q, _ := e.readForm()
		e.showForm(key, q, answer{faults: []string{message}})
	case form.Has("pasted"):
		e.view.Import = &templates.ImportWindow{Pasted: cutPaste(form.Get("pasted")), Fault: message}
	default:
		e.addNotice("error", message)
	}
	return e.renderDraft()
}

// explainForm keeps the sentence on a body that is too long.
func explainForm(err error) error {
	var tooLong *http.MaxBytesError
	if errors.As(err, &tooLong) {
		return err
	}
	return httpErrorf(http.StatusBadRequest, "The form did not arrive whole. Go back and try again.")
}

// editActions are what the buttons of Edit mode do, each with the answer to the request. A button is named by the part
// of its value before a colon; key is the part behind it: the query concerned or, for close, the button that gets the
// focus.
var editActions = map[string]func(e *editor, key string) error{
	"up":         func(e *editor, key string) error { return e.shiftQuery("up", key, -1) },
	"down":       func(e *editor, key string) error { return e.shiftQuery("down", key, +1) },
	"move":       func(e *editor, _ string) error { return e.moveQuery() },
	"add":        func(e *editor, _ string) error { e.openForm("", store.Query{}); return e.renderDraft() },
	"edit":       (*editor).editQuery,
	"validate":   func(e *editor, _ string) error { e.handleForm("validate"); return e.renderDraft() },
	"preview":    func(e *editor, _ string) error { e.handleForm("preview"); return e.renderDraft() },
	"submit":     func(e *editor, _ string) error { e.handleForm("submit"); return e.renderDraft() },
	"delete":     (*editor).askDelete,
	"remove":     func(e *editor, key string) error { e.draft.removeQuery(key); return e.renderFocused("add") },
	"import":     func(e *editor, _ string) error { e.view.Import = &templates.ImportWindow{}; return e.renderDraft() },
	"do-import":  func(e *editor, _ string) error { e.importDraft(); return e.renderDraft() },
	"save":       func(e *editor, _ string) error { return e.askSave() },
	"save-delta": func(e *editor, _ string) error { return e.saveDraft(job.Delta) },
	"save-full":  func(e *editor, _ string) error { return e.saveDraft(job.Full) },
	"rebase":     func(e *editor, _ string) error { return e.rebaseDraft() },
	"cancel":     func(e *editor, _ string) error { return e.askDiscard() },
	"discard":    func(e *editor, _ string) error { return seeOther(e.c, "./") },
	"close":      (*editor).renderFocused,
}

// renderFocused answers with the draft. value names the button from which the keyboard goes on.
func (e *editor) renderFocused(value string) error {
	e.view.Focus = value
	return e.renderDraft()
}

// shiftQuery moves a query by one place, and stops at the ends.
func (e *editor) shiftQuery(button, key string, by int) error {
	if i := e.draft.findQuery(key); i >= 0 {
		e.draft.moveQuery(key, i+by)
	}
	return e.renderFocused(button + ":" + key)
}

// moveQuery moves the query at one position to another, both counted from 1.
func (e *editor) moveQuery() error {
	form := e.c.Request().PostForm
	from, errFrom := strconv.Atoi(strings.TrimSpace(form.Get("from")))
	to, errTo := strconv.Atoi(strings.TrimSpace(form.Get("to")))
	last := len(e.draft.Queries)
	if errFrom != nil || errTo != nil || min(from, to) < 1 || max(from, to) > last {
		e.status = http.StatusUnprocessableEntity
		e.addNotice("error", fmt.Sprintf("Nothing was moved: give the query's position and the new one, each from 1 to %d.", last))
		return e.renderFocused("move")
	}
	e.draft.moveQuery(e.draft.Queries[from-1].Key, to-1)
	return e.renderFocused("move")
}

func (e *editor) editQuery(key string) error {
	if i := e.draft.findQuery(key); i >= 0 {
		e.openForm(key, e.draft.Queries[i].Query)
	}
	return e.renderDraft()
}

// rebaseDraft puts the draft on top of the list that someone else saved.
func (e *editor) rebaseDraft() error {
	e.draft.rebaseOn(e.saved, e.version)
	return e.renderFocused("save")
}

// askDelete shows the window Delete Configuration.
func (e *editor) askDelete(key string) error {
	if i := e.draft.findQuery(key); i >= 0 {
		e.view.Delete = &e.queryRows()[i]
	}
	return e.renderDraft()
}

// askDiscard shows the window Cancel changes where there are some, and leaves Edit mode where there are none.
func (e *editor) askDiscard() error {
	if !e.draft.isDirty() {
		return seeOther(e.c, "./")
	}
	e.view.Discard = true
	return e.renderDraft()
}

// maxShownPaste bounds in bytes what is shown again of a text that could not be imported, so that the page stays within
// what the platform carries.
const maxShownPaste = 256 << 10

// cutPaste is what is shown again of a pasted text. Half of one would be of no use.
func cutPaste(pasted string) string {
	if len(pasted) > maxShownPaste {
		return ""
	}
	return pasted
}

// importDraft replaces the draft by a file or by pasted text.
func (e *editor) importDraft() {
	pasted := formValue(e.c, "pasted")
	content := []byte(pasted)
	if file, err := e.c.FormFile("file"); err == nil && file.Size > 0 {
		if f, err := file.Open(); err == nil {
			defer f.Close()
			if content, err = io.ReadAll(f); err != nil {
				content = nil
			}
		}
	}
	queries, err := parseImport(content)
	if err == nil {
		err = checkSize(queries)
	}
	if err != nil {
		e.status = http.StatusUnprocessableEntity
		e.view.Import = &templates.ImportWindow{Pasted: cutPaste(pasted), Fault: "Not imported: " + err.Error() + "."}
		return
	}
	e.draft.replaceQueries(queries, e.saved)
	e.view.Focus = "save"
	e.addNotice("info", fmt.Sprintf("Imported %s. This replaces the saved list once you save.",
		templates.Amount(int64(len(queries)), "query", "queries")))
}

// askSave shows the window Save Changes, or what is wrong with the list.
func (e *editor) askSave() error {
	if e.draft.Version != e.version {
		e.status = http.StatusConflict
		return e.renderDraft()
	}
	if faults := checkList(e.draft.queryList(), e.saved, e.s.Types); len(faults) > 0 {
		e.status = http.StatusUnprocessableEntity
		e.addNotice("error", "The list cannot be saved yet:", faults...)
		return e.renderDraft()
	}
	completed := store.JobFilter{Statuses: []job.Status{job.UploadComplete, job.ConfirmationRequired}, Limit: 1}
	updates, _, err := e.s.Store.Jobs(e.requestContext(), completed)
	if err != nil {
		return err
	}
	var last *job.Job
	if len(updates) > 0 {
		last = &updates[0]
	}
	outlook, err := e.foreseeSave(last)
	if err != nil {
		return err
	}
	e.view.Save = e.s.newSaveWindow(outlook, last == nil)
	return e.renderDraft()
}

// saveDraft keeps the draft and has the update run, or explains and changes nothing.
func (e *editor) saveDraft(next job.Mode) error {
	result, err := e.s.saveList(e.requestContext(), e.draft.queryList(), e.draft.Version, next)
	switch {
	case errors.Is(err, store.ErrOutdated):
		e.status = http.StatusConflict
		if err := e.reloadSaved(); err != nil {
			return err
		}
		return e.renderDraft()
	case err != nil:
		var reason string
		e.status, reason = e.s.explainError(e.c, err)
		e.addNotice("error", "Not saved, and your edits are still here. "+reason)
		return e.renderDraft()
	case len(result.Faults) > 0:
		e.status = http.StatusUnprocessableEntity
		e.addNotice("error", "Nothing was saved:", result.Faults...)
		return e.renderDraft()
	case result.Unchecked != "":
		return seeOther(e.c, "./?done=unchecked")
	}
	return seeOther(e.c, "./?done="+string(next))
}
