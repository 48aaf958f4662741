package web

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"mssentinel/app/ledger"
	"mssentinel/app/mask"
	"mssentinel/app/store"
	"mssentinel/app/text"
	"mssentinel/app/threatconnect"
	"mssentinel/templates"
)

// openForm opens the window of one query, with the owners that there are or, when they cannot be listed, that there were.
func (e *editor) openForm(key string, q store.Query) {
	owners, err := e.s.freshOwners(e.requestContext())
	if last := e.s.owners.Load(); err != nil && last != nil {
		owners = last.names
	}
	e.fillForm(key, q, owners, err)
}

// fillForm shows the window of one query; ownersErr says why the owners could not be listed.
func (e *editor) fillForm(key string, q store.Query, owners []string, ownersErr error) {
	form := &templates.QueryForm{
		Help: helpWithTQL(),
		Key:  key, TQL: q.TQL, Owners: newChoices(owners, q.Owners...), Types: newChoices(e.s.Types, q.Types...),
		SortFields: optionalChoices("None", threatconnect.SortFields, q.SortField),
		SortDirections: []templates.Choice{
			{Value: "ASC", Label: "Ascending", Chosen: q.SortDirection == "ASC"},
			{Value: "DESC", Label: "Descending", Chosen: q.SortDirection == "DESC"},
		},
		SettingTexts: settingTexts(q, "\n"), TLPs: optionalChoices("None", ledger.TLPLevels, q.TLP),
	}
	if ownersErr != nil {
		_, form.OwnersFault = e.s.explainError(e.c, explainOwners(e.requestContext(), ownersErr))
	}
	e.view.Form = form
}

// helpWithTQL is what the window tells of TQL.
func helpWithTQL() (help []templates.TQLHelp) {
	for _, g := range threatconnect.KeywordGroups() {
		help = append(help, templates.TQLHelp(g))
	}
	return help
}

// readForm is the query that the window holds, and which of its settings cannot be read. A direction without a field means nothing
// there.
func (e *editor) readForm() (key string, q store.Query, unread []settingFault) {
	form := e.c.Request().PostForm
	q = store.Query{Owners: form["owner"], Types: form["type"], TQL: e.typedTQL(),
		SortField: form.Get("sort_field"), SortDirection: form.Get("sort_direction")}
	if q.SortField == "" {
		q.SortDirection = ""
	}
	if key = form.Get("key"); e.draft.findQuery(key) < 0 {
		key = "" // it was deleted meanwhile: what is submitted is a new query
	}
	unread = readSettings(form, &q)
	return key, tidyQuery(q), unread
}

// showForm shows the window as it was sent, with what came of its query.
func (e *editor) showForm(key string, q store.Query, a answer) {
	q.TQL = e.typedTQL()
	if len(q.TQL) > maxShownTQL {
		q.TQL = strings.ToValidUTF8(q.TQL[:maxShownTQL], "")
	}
	owners, err := e.s.lastOwners(e.requestContext())
	e.fillForm(key, q, owners, err)
	e.showTypedSettings(a.settings)
	e.view.Form.Faults, e.view.Form.TQLFault, e.view.Form.Valid, e.view.Form.Preview = a.faults, a.place, a.valid, a.preview
}

// typedTQL is the TQL as the operator sees it in the window.
func (e *editor) typedTQL() string {
	return strings.ReplaceAll(e.c.Request().PostForm.Get("tql"), "\r\n", "\n")
}

// maxShownTQL bounds in bytes what is shown again of a TQL that is longer than maxTQL.
const maxShownTQL = 2 * maxTQL

// answer is what came of a query that was validated, previewed or submitted.
type answer struct {
	faults   []string
	settings []settingFault      // those of faults that are about one
	place    *templates.TQLFault // of the first fault; nil where that is none in the TQL
	valid    string
	preview  *templates.Preview
}

// handleForm validates, previews or submits the window's query.
func (e *editor) handleForm(action string) {
	key, q, unread := e.readForm()
	a := e.askAbout(action, q, unread)
	if action == "submit" && len(a.faults) == 0 {
		added := *e.draft
		added.Queries = slices.Clone(e.draft.Queries)
		focus := "edit:" + added.putQuery(key, q)
		err := checkSize(added.queryList())
		if err == nil {
			*e.draft, e.view.Focus = added, focus
			return
		}
		e.status, a = http.StatusUnprocessableEntity, answer{faults: []string{text.Sentence(err.Error())}}
	}
	e.showForm(key, q, a)
	e.view.Focus = action
}

// askAbout checks a query and asks ThreatConnect about it. A submit goes through when ThreatConnect cannot be asked: saving
// checks again.
func (e *editor) askAbout(action string, q store.Query, unread []settingFault) (a answer) {
	ctx := e.requestContext()
	a.faults = e.s.checkQueryAndOwners(ctx, q)
	for _, fault := range unread {
		a.faults = append(a.faults, fault.text)
	}
	if len(a.faults) > 0 {
		a.settings = slices.Concat(unread, checkSettings(q))
		e.status = http.StatusUnprocessableEntity
		a.place = e.placeFault(q, selectionOf(q).Check())
		return a
	}
	if action == "preview" {
		preview, err := e.s.makePreview(ctx, q, e.draftOrder())
		if err != nil {
			return e.explainRejection(cannotPreview, q, err)
		}
		return answer{preview: preview}
	}
	count, err := e.s.ThreatConnect.Count(ctx, selectionOf(q))
	_, rejected := tqlError(err)
	switch {
	case err == nil:
		return answer{valid: fmt.Sprintf("TQL is valid — %s.", templates.Amount(count, "matching result", "matching results"))}
	case action == "submit" && !rejected:
		e.addNotice("warning", "ThreatConnect could not be asked about this query. It is checked again when you save.")
		return answer{}
	}
	return e.explainRejection(cannotCheck, q, err)
}

// draftOrder is where the saved queries stand in the draft, seen from the query in the window: a new one comes last.
func (e *editor) draftOrder() order {
	o := order{places: map[int]int{}, own: len(e.draft.Queries) + 1}
	if i := e.draft.findQuery(e.c.Request().PostForm.Get("key")); i >= 0 {
		o.own = i + 1
	}
	places := map[string]int{}
	for i, q := range e.draft.Queries {
		places[q.ID] = i + 1
	}
	for i, q := range e.saved {
		o.places[i+1] = places[q.ID]
	}
	return o
}

// explainRejection sets the status for a query that did not pass, and gives the reason. What ThreatConnect says about
// the query is a mistake in the form like any other.
func (e *editor) explainRejection(cannot string, q store.Query, err error) answer {
	var reason string
	e.status, reason = e.s.explainError(e.c, explainQuery(e.requestContext(), cannot, err))
	if e.status == http.StatusBadRequest {
		e.status = http.StatusUnprocessableEntity
	}
	place := e.placeFault(q, err)
	if place != nil {
		reason = "ThreatConnect does not accept this query: " + place.Text
	}
	return answer{faults: []string{reason}, place: place}
}

// placeFault finds the place of a fault in the TQL as it was typed; nil where it has none. A query is kept without the
// blanks around it.
func (e *editor) placeFault(q store.Query, err error) *templates.TQLFault {
	fault, found := selectionOf(q).LocateFault(err)
	if !found {
		return nil
	}
	typed := e.typedTQL()
	lead := len(typed) - len(strings.TrimLeftFunc(typed, unicode.IsSpace))
	if lead+fault.Offset+fault.Length > len(typed) {
		return nil
	}
	before, marked := typed[:lead+fault.Offset], typed[lead+fault.Offset:][:fault.Length]
	line := before[strings.LastIndexByte(before, '\n')+1:]
	place := &templates.TQLFault{Start: browserLength(before), Line: strings.Count(before, "\n") + 1, Column: utf8.RuneCountInString(line) + 1}
	place.End = place.Start + browserLength(marked)
	place.Text = fmt.Sprintf("%s, at line %d, column %d.", text.Capital(mask.Text(fault.Reason)), place.Line, place.Column)
	return place
}

// browserLength is how long a text is for a browser, which counts in UTF-16.
func browserLength(s string) int { return len(utf16.Encode([]rune(s))) }
