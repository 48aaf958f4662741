package web

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"mssentinel/app/store"
)

// keysAndIDs are the keys of a draft's queries with their ids.
func keysAndIDs(d *draft) (all []string) {
	for _, q := range d.Queries {
		all = append(all, q.Key+"="+q.ID)
	}
	return all
}

func wantKeys(t *testing.T, d *draft, want ...string) {
	t.Helper()
	if got := keysAndIDs(d); !slices.Equal(got, want) {
		t.Errorf("the keys and ids are %q, want %q", got, want)
	}
}

// A query that is put back keeps what it is, and a new one is told from all others.
func TestPutQuery(t *testing.T) {
	d := newDraft([]store.Query{{ID: "a", Version: "of a"}, {ID: "b"}}, "v")
	if key := d.putQuery("1", store.Query{ID: "x", Version: "of x", TQL: "t"}); key != "1" || d.Queries[0].TQL != "t" || d.Queries[0].Version != "of a" {
		t.Errorf("under %s: %+v", key, d.Queries[0])
	}
	wantKeys(t, d, "1=a", "2=b")
	for _, want := range []string{"new-1", "new-2"} {
		if key := d.putQuery("", store.Query{ID: "x"}); key != want {
			t.Errorf("the key is %s, want %s", key, want)
		}
	}
	d.Queries = append(d.Queries, draftQuery{Key: "new-7"}, draftQuery{Key: "new-x"}, draftQuery{Key: "9"})
	d.putQuery("elsewhere", store.Query{ID: "x"})
	wantKeys(t, d, "1=a", "2=b", "new-1=", "new-2=", "new-7=", "new-x=", "9=", "new-8=")
}

// What is imported keeps the identity of a query that is saved here, once.
func TestReplaceQueries(t *testing.T) {
	d := newDraft([]store.Query{{ID: "a"}}, "v")
	d.replaceQueries([]store.Query{{ID: "b"}, {ID: "a"}, {ID: "a"}, {}}, []store.Query{{ID: "a"}, {ID: "c"}})
	wantKeys(t, d, "new-1=", "new-2=a", "new-3=", "new-4=")
}

// A page carries no more of a draft than its queries say.
func TestEncodedDraftIsShort(t *testing.T) {
	d := newDraft([]store.Query{{ID: "a", Rank: 3, Version: "of a"}}, "v")
	encoded, err := d.encodeQueries()
	if err != nil || strings.Contains(string(encoded), "of a") || !strings.Contains(string(encoded), `"rank":0`) {
		t.Errorf("%s, %v", encoded, err)
	}
	if len(d.Base) != 16 {
		t.Errorf("the fingerprint is %q", d.Base)
	}
}

// errorStatus is the status of an answer that httpErrorf made, 0 of any other error.
func errorStatus(err error) int {
	var answer *echo.HTTPError
	if !errors.As(err, &answer) {
		return 0
	}
	return answer.Code
}

// What our pages carry at most is read, tidied, and one byte more is refused with what to do.
func TestDraftWithinItsBounds(t *testing.T) {
	word := strings.Repeat("k", maxWord)
	list := func(size int) string {
		const around = `[{"key":"1","tql":" "}]`
		return strings.Replace(around, " ", " "+strings.Repeat("x", size-len(around)), 1)
	}
	for _, tt := range []struct {
		name, list, version, base string
		status                    int
	}{
		{"longest list", list(maxList), "v", "b", 0},
		{"longer list", list(maxList + 1), "v", "b", http.StatusRequestEntityTooLarge},
		{"longest words", `[{"key":"` + word + `"}]`, word, word, 0},
		{"longer version", `[]`, word + "k", "b", http.StatusBadRequest},
		{"longer base", `[]`, "v", word + "k", http.StatusBadRequest},
	} {
		packed, err := packText([]byte(tt.list))
		if err != nil {
			t.Fatal(err)
		}
		d, err := parseDraft(packed, tt.version, tt.base)
		if tt.status == 0 {
			if err != nil || strings.HasPrefix(d.Queries[0].TQL, " ") {
				t.Errorf("%s: %v", tt.name, err)
			}
			continue
		}
		if says := fmt.Sprint(err); errorStatus(err) != tt.status || tt.status == http.StatusRequestEntityTooLarge && !strings.Contains(says, "longer than 1 MiB") {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if _, err := parseDraft(strings.Repeat("A", maxPacked), "v", "b"); errorStatus(err) != http.StatusBadRequest {
		t.Errorf("the longest text: %v", err)
	}
	if _, err := parseDraft(strings.Repeat("A", maxPacked+1), "v", "b"); errorStatus(err) != http.StatusRequestEntityTooLarge {
		t.Errorf("a longer text: %v", err)
	}
}
