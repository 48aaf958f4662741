package web

import (
	"crypto/hmac"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
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
	switch c.QueryParam("window") {
	case "add":
		e.openForm("", store.Query{})
	case "import":
		e.view.Import = &templates.ImportWindow{}
	}
	return e.renderDraft()
}

// editQueries takes a button of Edit mode. The page that comes back carries the draft. Without a valid token nothing is
// read but a draft that carries our seal, so that a foreign page can neither keep the Service busy nor show a list of its
// own as the operator's.
func (s *server) editQueries(c echo.Context) error {
	if _, err := c.FormParams(); err != nil {
		return explainForm(err)
	}
	form := c.Request().PostForm
	token := s.checkToken(c)
	if token == tokenForeign && c.Request().Header.Get("Sec-Fetch-Site") == "cross-site" {
		return httpErrorf(http.StatusForbidden,
			"This list came from another site, and was dropped. Open CONFIGURE and edit there.")
	}
	encoded, version, base := form.Get("draft"), form.Get("version"), form.Get("base")
	sealed := hmac.Equal([]byte(form.Get("seal")), []byte(s.sealDraft(encoded, version, base)))
	if token == tokenForeign || token == tokenExpired && !sealed {
		return errToken
	}
	d, err := parseDraft(encoded, version, base)
	if err != nil {
		return err
	}
	e, err := s.newEditor(c)
	if err != nil {
		return err
	}
	e.draft = d
	if token == tokenExpired {
		e.status = http.StatusForbidden
		e.addNotice("error", "This page was open for too long, or the Service was restarted. "+
			"Nothing was changed, and your edits are still here: try again.")
		return e.renderDraft()
	}
	name, key, _ := strings.Cut(form.Get("action"), ":")
	act, known := editActions[name]
	if !known {
		return httpErrorf(http.StatusBadRequest, "This page has no such button. Open CONFIGURE again.")
	}
	return act(e, key)
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
// of its value before a colon; key is the part behind it: the query concerned or, for close, the id of what gets the
// focus.
var editActions = map[string]func(e *editor, key string) error{
	"up":         func(e *editor, key string) error { return e.moveQuery("up", key, -1) },
	"down":       func(e *editor, key string) error { return e.moveQuery("down", key, +1) },
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

// renderFocused answers with the draft. id names the button from which the keyboard goes on.
func (e *editor) renderFocused(id string) error {
	e.view.Focus = id
	return e.renderDraft()
}

func (e *editor) moveQuery(button, key string, by int) error {
	e.draft.moveQuery(key, by)
	return e.renderFocused(button + "-" + key)
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
		e.view.Delete = &e.draft.queryRows(e.saved)[i]
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
		if len(pasted) > maxShownPaste {
			pasted = ""
		}
		e.view.Import = &templates.ImportWindow{Pasted: pasted, Fault: "Not imported: " + err.Error() + "."}
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
	completed := store.JobFilter{Statuses: []job.Status{job.UploadComplete}, Limit: 1}
	_, updates, err := e.s.Store.Jobs(e.requestContext(), completed)
	if err != nil {
		return err
	}
	changed := slices.ContainsFunc(e.draft.queryRows(e.saved), func(q templates.Query) bool { return q.Mark != "" })
	e.view.Save = &templates.SaveWindow{First: updates == 0, Late: changed && updates > 0}
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
