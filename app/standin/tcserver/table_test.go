package tcserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const demoOwner, demoOwnerID = "Demo Organization", 1201

func TestChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(testNow))
		s := New(Options{Population: small})
		id := s.Rows()[100].ID
		row := func() Row {
			r, err := s.Row(id)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		before := row()
		must := func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		}
		must(s.SetTags(id, "One", "Two"))
		must(s.Amend(id, map[string]any{"threatAssessScore": 7}))
		if r := row(); !r.LastModified.Equal(before.LastModified) {
			t.Error("a change of tags or score moved lastModified")
		}
		if got := listOfIDs(t, s, Query{TQL: `hasAllTags(name in ("One","Two")) and threatAssessScore = 7 and indicatorActive in (true,false)`}); !slices.Equal(got, []string{fmt.Sprint(id)}) {
			t.Errorf("tagged: %v", got)
		}
		must(s.SetTags(id))
		if valueOf(row().JSON(), "tags") == nil || string(valueOf(row().JSON(), "tags")) != "{}" {
			t.Errorf("without tags: %s", row().JSON())
		}
		must(s.Modify(id, map[string]any{"rating": 5, "confidence": nil, "description": `it's "<new>"`}))
		if r := row(); !r.LastModified.Equal(testNow) || !r.DateAdded.Equal(before.DateAdded) {
			t.Errorf("lastModified %v, dateAdded %v", r.LastModified, r.DateAdded)
		}
		if got := listOfIDs(t, s, Query{TQL: `rating = 5 and confidence is null and description = "it's \"<new>\"" and id = ` + fmt.Sprint(id) + ` and indicatorActive in (true,false)`}); len(got) != 1 {
			t.Errorf("modified: %v in %s", got, row().JSON())
		}
		must(s.Modify(id, map[string]any{"lastModified": "2025-01-01T00:00:00Z"}))
		if r := row(); r.LastModified.Year() != 2025 {
			t.Errorf("given lastModified: %v", r.LastModified)
		}
		must(s.SetActive(id, false))
		if r := row(); r.Active || !r.LastModified.Equal(testNow) {
			t.Errorf("inactive: %v %v", r.Active, r.LastModified)
		}
		if old := small.rows[100]; old.id != id || old.modified != before.LastModified.Unix() {
			t.Error("the population changed")
		}
		if !errors.Is(s.Delete(1), ErrNoIndicator) || !errors.Is(s.Modify(1, nil), ErrNoIndicator) {
			t.Error("a change to nothing has no error")
		}
	})
}

func TestStatusMayKeepLastModified(t *testing.T) {
	s := newTest(t, Options{StatusKeepsLastModified: true})
	before := s.Rows()[5]
	if err := s.SetActive(before.ID, false); err != nil {
		t.Fatal(err)
	}
	if after, _ := s.Row(before.ID); after.Active || !after.LastModified.Equal(before.LastModified) {
		t.Errorf("%v %v", after.Active, after.LastModified)
	}
}

func TestPut(t *testing.T) {
	s := newTest(t, Options{Population: Generate(0, 1, testNow)})
	first, err := s.Put(indicator(demoOwner, demoOwnerID))
	if err != nil || first != 1 {
		t.Fatal(first, err)
	}
	big := int64(1<<53 + 7)
	if _, err := s.Put(indicator(demoOwner, demoOwnerID, "id", big, "summary", "other.example", "lastModified", "2025-01-02T03:04:05Z ")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(indicator(demoOwner, demoOwnerID, "id", 500, "tags", map[string]any{"data": []any{map[string]any{"id": 1, "name": "x"}}})); err != nil {
		t.Fatal(err)
	}
	next, err := s.Put(indicator(demoOwner, demoOwnerID))
	if err != nil || next != big+1 {
		t.Errorf("next id %d, %v", next, err)
	}
	want := []string{"1", "500", fmt.Sprint(big), fmt.Sprint(big + 1)}
	if got := get(t, s, listPath).ids(); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if l := get(t, s, listPath+"?tql=tag+%3D+%22x%22"); len(l.Data) != 1 || l.Data[0]["tags"] != nil {
		t.Errorf("%v", l.Data)
	}
	if _, err := s.Put(indicator(demoOwner, demoOwnerID, "id", 500, "summary", "replaced.example")); err != nil || len(s.Rows()) != 4 {
		t.Errorf("replacing: %d rows, %v", len(s.Rows()), err)
	}
	for name, body := range map[string][]byte{
		"no JSON": []byte("{"), "a list": []byte("[]"), "no owner": []byte(`{"type":"Host"}`), "unknown owner": indicator("Nobody", 9),
		"bad date": indicator(demoOwner, demoOwnerID, "dateAdded", "yesterday"), "negative": indicator(demoOwner, demoOwnerID, "id", -4),
	} {
		if id, err := s.Put(body); err == nil {
			t.Errorf("%s: put as %d", name, id)
		}
	}
}

func TestDeletedLists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(testNow))
		for _, showsAdded := range []bool{false, true} {
			s := New(Options{Population: small, DeletedShowsAdded: showsAdded, Tokens: []string{testToken}})
			start := time.Now().UTC().Truncate(time.Second)
			own, _ := s.Select(Query{Owner: demoOwner, TQL: `typeName in ("Host","File")`})
			foreign, _ := s.Select(Query{Owner: "Published Reports"})
			for _, r := range slices.Concat(own[:5], foreign[:3]) {
				if err := s.Delete(r.ID); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
			}
			ask := func(query string) list { return get(t, s, listPath+"/deleted?"+query) }
			l := ask("")
			if len(l.Data) != 5 || *l.Count != 5 || l.Data[0]["summary"] != own[0].Summary() || l.Data[0]["id"] != nil || l.Data[0]["ownerName"] != demoOwner {
				t.Errorf("own Organization: %v", l.Data)
			}
			at := start
			if showsAdded {
				at = own[0].DateAdded
			}
			if l.Data[0]["dateAdded"] != at.Format(timeLayout) {
				t.Errorf("dateAdded %v, want %v", l.Data[0]["dateAdded"], at)
			}
			if l = ask("owner=Published+Reports&deletedSince=" + url.QueryEscape(start.Add(6*time.Minute).Format(timeLayout))); len(l.Data) != 2 {
				t.Errorf("since the second: %v", l.Data)
			}
			if l = ask("type=" + own[0].Type); len(l.Data) == 0 || l.Data[0]["type"] != own[0].Type {
				t.Errorf("by type: %v", l.Data)
			}
			if l = ask("resultLimit=2"); len(l.Data) != 2 || *l.Count != 5 || len(get(t, s, l.Next).Data) != 2 {
				t.Errorf("paged: %v", l)
			}
			for query, want := range map[string]int{"owner=Nobody": 403, "deletedSince=2026-01-01": 400, "deletedSince=2026-01-01T00:00:00.5Z": 400} {
				if w := call(s, "GET", listPath+"/deleted?"+query, ""); w.Code != want {
					t.Errorf("%s: %d", query, w.Code)
				}
			}
			id, err := s.Recreate(own[0])
			if err != nil || id <= own[0].ID {
				t.Fatal(id, err)
			}
			if r, _ := s.Row(id); r.Summary() != own[0].Summary() || r.DateAdded.Before(start) || len(ask("").Data) != 5 {
				t.Errorf("created again: %s", r.JSON())
			}
			if s.ForgetDeletions(start.Add(90 * time.Second)); len(s.Deletions()) != 6 {
				t.Errorf("%d deletions after those of the first 90 s were forgotten", len(s.Deletions()))
			}
		}
	})
}

func TestOwnersComeAndGo(t *testing.T) {
	s := newTest(t, Options{})
	owner := s.Owners()[2]
	all := len(listOfIDs(t, s, Query{}))
	own := len(listOfIDs(t, s, Query{Owner: owner.Name}))
	status := func() int { return call(s, "GET", listPath+"?owner="+url.QueryEscape(owner.Name), "").Code }
	if err := s.SetPermission(owner.Name, "NONE"); err != nil {
		t.Fatal(err)
	}
	if got := len(listOfIDs(t, s, Query{})); got != all-own || status() != 403 || len(s.Owners()) != 5 {
		t.Errorf("no permission: %d rows, status %d", got, status())
	}
	if l := get(t, s, "/api/v3/security/owners?tql=permIndicator+!%3D+%22NONE%22"); len(l.Data) != 4 {
		t.Errorf("%d owners with permission", len(l.Data))
	}
	if err := s.SetPermission(owner.Name, "READ"); err != nil {
		t.Fatal(err)
	}
	if got := len(listOfIDs(t, s, Query{})); got != all || status() != 200 {
		t.Errorf("read permission: %d rows, status %d", got, status())
	}
	if err := s.RemoveOwner(owner.Name); err != nil {
		t.Fatal(err)
	}
	if got := len(listOfIDs(t, s, Query{})); got != all-own || status() != 403 || len(s.Owners()) != 4 {
		t.Errorf("removed: %d rows, status %d", got, status())
	}
	if err := s.AddOwner(owner); err != nil || len(listOfIDs(t, s, Query{})) != all {
		t.Errorf("back: %v", err)
	}
	if s.AddOwner(owner) == nil || s.RemoveOwner("Nobody") == nil || s.SetPermission("Nobody", "READ") == nil {
		t.Error("a change to owners that cannot be has no error")
	}
}

func TestRowsChangeBetweenPages(t *testing.T) {
	s := newTest(t, Options{})
	var calls []int
	s.BetweenPages(func(pages int) {
		calls = append(calls, pages)
		if pages == 1 { // the first rows of the order move behind what was read
			rows, err := s.Select(Query{})
			if err != nil {
				t.Error(err)
			}
			for _, r := range rows[:10] {
				if err := s.Delete(r.ID); err != nil {
					t.Error(err)
				}
			}
		}
	})
	before := listOfIDs(t, s, Query{})
	got := append(get(t, s, listPath+"?resultLimit=50").ids(), get(t, s, listPath+"?resultLimit=50&resultStart=50").ids()...)
	want := slices.Concat(before[:50], before[60:110])
	if !slices.Equal(got, want) || !slices.Equal(calls, []int{0, 1}) {
		t.Errorf("rows by offset do not shift, calls %v", calls)
	}
	s.BetweenPages(nil)
	get(t, s, listPath)
	if len(calls) != 2 {
		t.Error("called after its end")
	}
}

func TestReadersAndWriters(t *testing.T) {
	s := newTest(t, Options{})
	ids := s.Rows()
	var wait sync.WaitGroup
	for n := range 4 {
		wait.Go(func() {
			for i := range 30 {
				id := ids[100*n+i].ID
				if err := errors.Join(s.Modify(id, map[string]any{"rating": i % 6}), s.SetActive(id, i%2 == 0)); err != nil {
					t.Error(err)
				}
				w := call(s, "GET", listPath+"?resultLimit=200&fields=tags&sorting=lastModified+desc+id+desc", "")
				if !json.Valid(w.Body.Bytes()) {
					t.Error("not JSON")
				}
			}
		})
	}
	wait.Wait()
}

func TestControlRoutes(t *testing.T) {
	s := newTest(t, Options{})
	id := s.Rows()[7].ID
	steps := []struct {
		method, target, body string
		status               int
	}{
		{"PUT", "indicator", string(indicator(demoOwner, demoOwnerID, "id", 5)), 200},
		{"GET", "indicator?id=5", "", 200},
		{"PATCH", "indicator?id=5&touch=false", `{"rating":4}`, 204},
		{"PATCH", "indicator?id=5", `{"confidence":80}`, 204},
		{"PATCH", "indicator?id=5", `7`, 400},
		{"POST", "active?id=5&active=false", "", 204},
		{"DELETE", "indicator?id=5", "", 204},
		{"DELETE", "indicator?id=5", "", 404},
		{"GET", "indicator?id=x", "", 400},
		{"GET", fmt.Sprintf("indicator?id=%d", id), "", 200},
		{"GET", "select?tql=foo+%3D+1", "", 400},
		{"POST", "permission?owner=Published+Reports&permission=NONE", "", 204},
		{"POST", "permission?owner=Nobody&permission=NONE", "", 400},
		{"POST", "fault", `{"kind":"status","status":500}`, 204},
		{"POST", "fault", `[{"kind":"slow"}]`, 400},
		{"POST", "fault", `x`, 400},
		{"DELETE", "fault", "", 204},
		{"POST", "token?seconds=60", "", 200},
		{"POST", "token", "", 400},
		{"GET", "requests?limit=1", "", 200},
		{"GET", "nothing", "", 404},
		{"POST", "revoke-tokens", "", 204},
	}
	for _, step := range steps {
		w := call(s, step.method, "/_standin/"+step.target, step.body)
		if w.Code != step.status {
			t.Errorf("%s %s: %d %s", step.method, step.target, w.Code, w.Body)
		}
	}
	if d := s.Deletions(); len(d) != 1 || d[0].Summary != "put.example" {
		t.Errorf("deleted: %v", d)
	}
}
