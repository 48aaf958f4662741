package web

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"mssentinel/app/store"
	"mssentinel/app/text"
	"mssentinel/app/threatconnect"
	"mssentinel/templates"
)

// openForm opens the window of one query, with the owners that there are now or, when they cannot be listed, that there
// were.
func (e *editor) openForm(key string, q store.Query) {
	owners, err := e.s.listOwners(e.requestContext())
	if last := e.s.owners.Load(); err != nil && last != nil {
		owners = *last
	}
	e.fillForm(key, q, owners, err)
}

// fillForm shows the window of one query; ownersErr says why the owners could not be listed.
func (e *editor) fillForm(key string, q store.Query, owners []string, ownersErr error) {
	form := &templates.QueryForm{
		Key: key, TQL: q.TQL, Owners: newChoices(owners, q.Owners...), Types: newChoices(e.s.Types, q.Types...),
		SortFields: optionalChoices("None", threatconnect.SortFields, q.SortField),
		SortDirections: []templates.Choice{
			{Value: "ASC", Label: "Ascending", Chosen: q.SortDirection == "ASC"},
			{Value: "DESC", Label: "Descending", Chosen: q.SortDirection == "DESC"},
		},
	}
	if ownersErr != nil {
		_, form.OwnersFault = e.s.explainError(e.c, explainOwners(e.requestContext(), ownersErr))
	}
	e.view.Form = form
}

// readForm is the query that the window holds. A direction without a field means nothing there.
func (e *editor) readForm() (key string, q store.Query) {
	form := e.c.Request().PostForm
	q = store.Query{Owners: form["owner"], Types: form["type"], TQL: form.Get("tql"),
		SortField: form.Get("sort_field"), SortDirection: form.Get("sort_direction")}
	if q.SortField == "" {
		q.SortDirection = ""
	}
	q.TQL = strings.ReplaceAll(q.TQL, "\r\n", "\n")
	if key = form.Get("key"); e.draft.findQuery(key) < 0 {
		key = "" // it was deleted meanwhile: what is submitted is a new query
	}
	return key, tidyQuery(q)
}

// maxShownTQL bounds in bytes what is shown again of a TQL that is longer than maxTQL.
const maxShownTQL = 2 * maxTQL

// handleForm validates, previews or submits the window's query.
func (e *editor) handleForm(action string) {
	key, q := e.readForm()
	faults := e.s.checkQueryAndOwners(e.requestContext(), q)
	var valid string
	var preview *templates.Preview
	if len(faults) > 0 {
		e.status = http.StatusUnprocessableEntity
	} else {
		var err error
		if valid, preview, err = e.askAbout(action, q); err != nil {
			faults = []string{e.explainRejection(err)}
		}
	}
	if action == "submit" && len(faults) == 0 {
		added := *e.draft
		added.Queries = slices.Clone(e.draft.Queries)
		focus := "edit-" + added.putQuery(key, q)
		err := checkSize(added.queryList())
		if err == nil {
			*e.draft, e.view.Focus = added, focus
			return
		}
		e.status, faults = http.StatusUnprocessableEntity, []string{text.Sentence(err.Error())}
	}
	if len(q.TQL) > maxShownTQL {
		q.TQL = strings.ToValidUTF8(q.TQL[:maxShownTQL], "")
	}
	owners, err := e.s.lastOwners(e.requestContext())
	e.fillForm(key, q, owners, err)
	e.view.Form.Faults, e.view.Form.Valid, e.view.Form.Preview, e.view.Focus = faults, valid, preview, action
}

// askAbout asks ThreatConnect about a query. A submit goes through when ThreatConnect cannot be asked: saving checks
// again.
func (e *editor) askAbout(action string, q store.Query) (valid string, preview *templates.Preview, err error) {
	if action == "preview" {
		preview, err = e.s.makePreview(e.requestContext(), q)
		return "", preview, err
	}
	count, err := e.s.ThreatConnect.Count(e.requestContext(), selectionOf(q))
	_, rejected := tqlError(err)
	switch {
	case err == nil:
		return fmt.Sprintf("TQL is valid — %s.", templates.Amount(count, "matching result", "matching results")), nil, nil
	case action == "submit" && !rejected:
		e.addNotice("warning", "ThreatConnect could not be asked about this query. It is checked again when you save.")
		return "", nil, nil
	}
	return "", nil, explainQuery(e.requestContext(), cannotCheck, err)
}

// explainRejection sets the status for a query that did not pass, and gives the reason. What ThreatConnect says about
// the query is a mistake in the form like any other.
func (e *editor) explainRejection(err error) (reason string) {
	e.status, reason = e.s.explainError(e.c, err)
	if e.status == http.StatusBadRequest {
		e.status = http.StatusUnprocessableEntity
	}
	return reason
}
