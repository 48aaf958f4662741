package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf16"

	"golang.org/x/net/html"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
	"mssentinel/app/pipeline"
	"mssentinel/app/store"
	"mssentinel/app/threatconnect"
)

// postAsScript presses a button of a form as the script of the page does.
func postAsScript(h http.Handler, form url.Values, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/ui/edit", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("HX-Request", "true")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec
}

// The script gets the window alone where nothing else on the page changes, and the page where something does.
func TestWindowIsRedrawnAlone(t *testing.T) {
	w := twoSaved()
	for action, alone := range map[string]bool{"add": true, "edit:2": true, "delete:1": true, "import": true, "save": true,
		"validate": true, "preview": true, "submit": true, "close:add": true, "up:2": false, "remove:1": false} {
		form := w.editFields(t)
		form.Set("action", action)
		body := postAsScript(w.handler(), form).Body.String()
		if !strings.Contains(body, `id="window"`) || strings.Contains(body, `id="main"`) == alone {
			t.Errorf("%s: alone %v is not what came: %.300s", action, alone, body)
		}
	}
}

// The page may have put the list in order by itself: whatever button follows, the Service goes on with that order.
func TestOrderOfThePage(t *testing.T) {
	w := twoSaved()
	form := w.editFields(t)
	for order, want := range map[string][]string{"2,1": {"b", "a"}, "2": {"b", "a"}, "9,1,x": {"a", "b"}, ",,": {"a", "b"},
		strings.Repeat("2,", 40_000): {"a", "b"}} {
		form.Set("order", order)
		form.Set("action", "save-delta")
		if order == "2,1" { // and a window over it needs nothing but itself
			form.Set("action", "add")
			if body := postAsScript(w.handler(), form).Body.String(); strings.Contains(body, `id="main"`) {
				t.Error("the whole page was drawn again")
			}
			form.Set("action", "save-delta")
		}
		rec := postForm(t, w.handler(), "/ui/edit", form)
		var got []string
		for _, q := range w.queries {
			got = append(got, q.ID)
		}
		if rec.Code != http.StatusSeeOther || !slices.Equal(got, want) {
			t.Errorf("order %.20q: %d, saved %q, want %q", order, rec.Code, got, want)
		}
		w.queries = twoSaved().queries
		form.Set("version", w.current())
	}
}

func TestMoveToPosition(t *testing.T) {
	w := newWorld()
	for i := range 5 {
		w.queries = append(w.queries, oneSaved(fmt.Sprint("q", i+1), fmt.Sprint("rating = ", i+1)))
	}
	v := w.visit(t, "ui/edit")
	for _, m := range []struct{ from, to, want string }{{"5", "1", "51234"}, {"1", "5", "12345"}, {" 2 ", "4", "13425"}, {"3", "3", "13425"}} {
		v.fill("from", m.from)
		v.fill("to", m.to)
		v.press("Move")
		v.status(http.StatusOK)
		if got := strings.ReplaceAll(strings.Join(v.column(4), ""), "rating = ", ""); got != m.want {
			t.Errorf("%s to %s: the list is %s, want %s", m.from, m.to, got, m.want)
		}
	}
	for _, m := range [][2]string{{"", ""}, {"0", "1"}, {"1", "6"}, {"1", "99999999999999999999"}, {"a", "2"}} {
		v.fill("from", m[0])
		v.fill("to", m[1])
		v.press("Move")
		v.status(http.StatusUnprocessableEntity)
		v.sees("Nothing was moved: give the query's position and the new one, each from 1 to 5.")
	}
}

// A page that was open for too long is drawn again with all that was typed into its window, and works from then on.
func TestExpiredPageKeepsWhatWasTyped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := twoSaved()
		v := w.visit(t, "ui/edit")
		v.press("Edit query 2")
		v.fillIn("rating = 5")
		time.Sleep(tokenLife)
		v.press("Submit")
		v.status(http.StatusForbidden)
		v.sees("Nothing was changed, and your edits are still here: try again.", "Edit TQL Configuration", "rating = 5")
		v.press("Submit")
		v.status(http.StatusOK)
		v.sees("rating = 5", "O'Brien & <Sons>, Common Community", "Changed")

		v.press("Import")
		v.fill("pasted", "[half a list")
		time.Sleep(tokenLife)
		v.press("Import")
		v.status(http.StatusForbidden)
		v.sees("Nothing was changed", "Import queries")
		if got := textOf(v.find("pasted text", func(n *html.Node) bool { return attr(n, "name") == "pasted" })); got != "[half a list" {
			t.Errorf("of the pasted text %q is left", got)
		}
	})
}

// After the secrets were changed no token and no seal of a page is known any more. What the browser says of the page is
// enough to draw it again, and for nothing else.
func TestPageOfAnotherKey(t *testing.T) {
	w := twoSaved()
	form := w.editFields(t)
	w.key = "another"
	form.Set("tql", "rating = 5")
	form.Set("action", "save-full")
	for site, keeps := range map[string]bool{"same-origin": true, "same-site": false, "cross-site": false, "none": false} {
		rec := postAsScript(w.handler(), form, "Sec-Fetch-Site", site)
		kept := strings.Contains(rec.Body.String(), "your edits are still here") && strings.Contains(rec.Body.String(), "rating = 5")
		if rec.Code != http.StatusForbidden || kept != keeps {
			t.Errorf("%s: %d, kept %v: %.300s", site, rec.Code, kept, rec.Body)
		}
	}
	w.mustHaveDone(t)
}

// largeList is a world with as many queries as there may be.
func largeList() *world {
	w := newWorld()
	for i := range maxQueries {
		w.queries = append(w.queries, store.Query{ID: fmt.Sprintf("%08x-4c1b-4d3e-9f63-%012x", i*2654435761%(1<<32), i*40503), Rank: i + 1, SortField: "threatAssessScore",
			SortDirection: "DESC", Owners: []string{"Demo Organization"}, Types: []string{"Address", "File", "Host"}, Version: "x",
			TQL: fmt.Sprintf(`rating >= 3 and confidence > %d and hasTag(name = "x%d")`, i%100, i)})
	}
	return w
}

func TestEditPageOfManyQueriesIsSmall(t *testing.T) {
	w := largeList()
	page := call(t, w.handler(), http.MethodGet, "/ui/edit", "").Body.Len()
	if page > 300_000 {
		t.Errorf("Edit mode with %d queries has %d bytes", maxQueries, page)
	}
	form := w.editFields(t)
	sent := len(form.Encode())
	form.Set("action", "add")
	window := postAsScript(w.handler(), form).Body.Len()
	t.Logf("the page has %d bytes, a button sends %d and gets %d", page, sent, window)
	if sent > 60_000 || window > 20_000 {
		t.Errorf("a button sends %d bytes and gets %d", sent, window)
	}
}

// A draft that is short as it is sent and long as it is read is refused before it takes memory.
func TestPackedDraftIsBounded(t *testing.T) {
	w := twoSaved()
	packed, err := packText([]byte(`[{"tql":"` + strings.Repeat("x", 100<<20) + `"}]`))
	if err != nil {
		t.Fatal(err)
	}
	form := w.editFields(t)
	form.Set("draft", packed)
	form.Set("action", "save")
	h := w.handler()
	var rec *httptest.ResponseRecorder
	bytes := allocated(func() { rec = postForm(t, h, "/ui/edit", form) })
	if rec.Code != http.StatusRequestEntityTooLarge || bytes > 60<<20 {
		t.Errorf("%d, %d MiB: %.300s", rec.Code, bytes>>20, rec.Body)
	}
}

// A draft whose list has no end, goes on behind it or is not what our pages write did not arrive whole: what it lacks must not count as
// deleted.
func TestDamagedDraftIsRefused(t *testing.T) {
	for _, list := range []string{
		`[{"key":"1","tql":"x"}`, `[{"key":"1","tql":"x"}]{}`, `[`, ``, `null`, `{}`, `{"key":"1"}`, `["key"]`, `[null]`, `[{"key":"1"},1]`,
		`[{"key":1}]`, `[{"key":"1","TQL":"x"}]`, `[{"key":"1","more":"x"}]`, `[{"tql":["x"]}]`, `[{"owners":"x"}]`, `[{"types":["x",1]}]`,
		`[{"labels":{}}]`, `[{"min_confidence":"1"}]`, `[{"min_confidence":1.5}]`, `[{"ttl_hours":null}]`, `[{"ttl_hours":1e3}]`,
		"[{\"tql\":\"\xff\"}]", `[{"key":"` + strings.Repeat("k", maxWord+1) + `"}]`,
	} {
		packed, err := packText([]byte(list))
		if err != nil {
			t.Fatal(err)
		}
		if d, err := parseDraft(packed, "v", "b"); err == nil {
			t.Errorf("%s is read as %d queries", list, len(d.Queries))
		}
	}
}

// A fault in the TQL is told at its place in what the operator typed, not in the query that was made of it.
func TestFaultsOfTQLHaveAPlace(t *testing.T) {
	w := twoSaved()
	for _, tt := range []struct {
		typed, message string // of ThreatConnect; "" where it is not asked
		says, marked   string
	}{
		{`rating >= 3 and foo = "x"`, "Syntax error(s) found. unknown keyword foo at position 18.", "unknown keyword foo, at line 1, column 17.", "foo"},
		{"rating >= 3 and", "found ) at position 17", "The TQL is not complete: something is missing at its end, at line 1, column 16.", ""},
		{"  \r\n rating = 3\r\n and 😀 foo", "what is foo? at position 20", "What is foo?, at line 3, column 8.", "foo"},
		{"rating = 1) or (rating = 2", "", "The TQL closes a parenthesis that it did not open: remove it, or add the missing one, at line 1, column 11.", ")"},
	} {
		w.count = func(context.Context, threatconnect.Query) (int64, error) {
			return 0, &threatconnect.Error{Status: http.StatusBadRequest, Message: tt.message}
		}
		v := w.visit(t, "ui/edit?window=add")
		v.fillIn(tt.typed)
		v.press("Validate TQL")
		v.status(http.StatusUnprocessableEntity)
		v.sees(tt.says)
		field := v.find("TQL", func(n *html.Node) bool { return attr(n, "id") == "tql" })
		answer := v.find("answer", func(n *html.Node) bool { return attr(n, "id") == "answer" })
		start, _ := strconv.Atoi(attr(answer, "data-start"))
		end, _ := strconv.Atoi(attr(answer, "data-end"))
		units := utf16.Encode([]rune(strings.ReplaceAll(tt.typed, "\r\n", "\n")))
		if got := string(utf16.Decode(units[start:end])); got != tt.marked || attr(field, "aria-invalid") != "true" ||
			!strings.Contains(attr(field, "aria-describedby"), "tql-fault") {
			t.Errorf("%q: marked %q (%d to %d), invalid %q", tt.typed, got, start, end, attr(field, "aria-invalid"))
		}
	}
}

// Without a script too, the window says which words TQL has.
func TestHelpWithTQL(t *testing.T) {
	v := twoSaved().visit(t, "ui/edit?window=add")
	v.sees("Keywords and operators", `hasTag(name = "APT")`, "threatAssessScore", "startswith")
	if attr(v.find("TQL", func(n *html.Node) bool { return attr(n, "id") == "tql" }), "aria-required") != "true" {
		t.Error("TQL is not told to be required")
	}
	v.sees("Owners to Query (required)", "Indicator Types to Retrieve (required)", "TQL (required)", "None chosen")
}

// What is chosen of a long list stands beside it.
func TestWhatIsChosen(t *testing.T) {
	w := twoSaved()
	w.queries[0].Owners = []string{"Common Community", "Demo Organization"}
	v := w.visit(t, "ui/edit")
	v.press("Edit query 1")
	v.sees("2 chosen: Demo Organization, Common Community", "1 chosen: Address")
}

// A preview tells of each indicator what would become of it, from where its query stands in the list as it was edited.
func TestPreviewIsATable(t *testing.T) {
	w := newWorld()
	for i := range 3 {
		w.queries = append(w.queries, oneSaved(fmt.Sprint("q", i+1), fmt.Sprint("rating = ", i+1)))
	}
	object, pattern := json.RawMessage(`{"pattern":"[domain-name:value = 'x']"}`), "[domain-name:value = 'x']"
	row := func(id int64, value string, known *store.Known, same bool) pipeline.PreviewRow {
		return pipeline.PreviewRow{Subject: job.Subject{Indicator: id, Value: value, Type: "Host", Owner: "Common Community"}, Object: object, Pattern: pattern, Known: known, Same: same}
	}
	live := func(candidates ...store.KnownCandidate) *store.Known {
		return &store.Known{State: ledger.Live, Candidates: candidates}
	}
	mine, above, below := store.KnownCandidate{Query: 2, Indicator: 1, Decision: ledger.Wins}, store.KnownCandidate{Query: 1, Indicator: 9}, store.KnownCandidate{Query: 3, Indicator: 8}
	above.Decision, below.Decision = ledger.Wins, ledger.Wins
	invalid := row(1, "*.example", nil, false)
	invalid.Object, invalid.Reason = nil, "it is a wildcard"
	w.preview = func(context.Context, threatconnect.Query) (pipeline.Preview, error) {
		return pipeline.Preview{TotalCount: 7, ReturnedCount: 7, Cap: 100, Rows: []pipeline.PreviewRow{
			row(1, "new.example", nil, false), row(1, "back.example", &store.Known{State: ledger.Retired}, true), row(1, "same.example", live(mine), true),
			row(1, "other.example", live(mine), false), row(1, "above.example", live(above), false), row(1, "below.example", live(below), false), invalid}}, nil
	}
	outcomes := func(v *visitor) string { return strings.Join(v.column(2, "answer"), ", ") }
	v := w.visit(t, "ui/edit")
	v.press("Edit query 2")
	v.press("Preview")
	want := "New, New, Unchanged, Changed, Loses to query 1, Wins over query 3, Invalid: it is a wildcard"
	if got := outcomes(v); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	v.sees("above.example", "Host 1", "Common Community", "[domain-name:value = 'x']")
	v.press("Cancel")
	v.press("Move query 2 up")
	v.press("Edit query 1")
	v.press("Preview")
	if got := outcomes(v); got != strings.Replace(want, "Loses to query 1", "Wins over query 2", 1) {
		t.Errorf("from the top: %s", got)
	}
}
