package threatconnect

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// More owners than fit in an answer, and some whose indicators the user may not read.
func TestOwners(t *testing.T) {
	for _, most := range []int{100, 500, 10000} {
		var starts []string
		c := client(roundTrip(func(r *http.Request) (*http.Response, error) {
			q := r.URL.Query()
			start, _ := strconv.Atoi(q.Get("resultStart"))
			limit, _ := strconv.Atoi(q.Get("resultLimit"))
			limit = min(limit, most)
			starts = append(starts, q.Get("resultStart"))
			var rows []string
			for i := start; i < min(start+limit, 1234); i++ {
				rows = append(rows, fmt.Sprintf(`{"id":"%d","name":"Owner %04d","type":"Source","permIndicator":%q}`, i+1, 1234-i, []string{"FULL", "READ", "NONE"}[i%3]))
			}
			next := ""
			if start+limit < 1234 {
				next = `"next":"https://elsewhere/api/v3/security/owners?resultStart=1",`
			}
			return reply(200, `{`+next+`"data":[`+strings.Join(rows, ",")+`],"status":"Success"}`), nil
		}))
		owners, err := c.Owners(t.Context())
		if err != nil || len(owners) != 823 || owners[0] != (Owner{1234, "Owner 0001", "Source"}) {
			t.Fatalf("%d owners, %v", len(owners), err)
		}
		if !slices.IsSortedFunc(owners, func(a, b Owner) int { return strings.Compare(a.Name, b.Name) }) {
			t.Error("not sorted by name")
		}
		if len(starts) > 13 {
			t.Errorf("asked from %v", starts)
		}
	}
}

func TestOwnersOddities(t *testing.T) {
	same := `{"next":"https://x/?a","data":[{"id":1,"name":"zeta"},{"id":2,"name":"Älpha","type":"Organization"},{"id":3,"name":""},{"id":4,"name":"Beta"}],"status":"Success"}`
	owners, err := client(roundTrip(status(200, same))).Owners(t.Context())
	if want := []Owner{{4, "Beta", ""}, {1, "zeta", ""}, {2, "Älpha", "Organization"}}; err != nil || !reflect.DeepEqual(owners, want) {
		t.Errorf("%+v, %v", owners, err)
	}
	owners, err = client(roundTrip(status(200, `{"data":[],"status":"Success"}`))).Owners(t.Context())
	if err != nil || len(owners) != 0 {
		t.Error(owners, err)
	}
	synctest.Test(t, func(t *testing.T) {
		if _, err := client(roundTrip(status(200, `{"data":{},"status":"Success"}`))).Owners(t.Context()); err == nil {
			t.Error("no list passes for an empty one")
		}
	})
}

func TestDeleted(t *testing.T) {
	since := time.Date(2023, 11, 14, 1, 0, 0, 5, time.FixedZone("", 3600))
	pages := map[string]string{
		"deletedSince=2023-11-14T00%3A00%3A00Z&owner=Demo+%26+Co&resultLimit=1000": `{"data":[
			{"ownerName":"Demo & Co","dateAdded":"2021-11-02T15:17:28Z ","type":"URL","summary":"http:\/\/bad.example"},{"type":"File"}],
			"next":"http://inner-host:8080/api/v3/indicators/deleted?owner=Demo%20%26 Co&resultStart=2","count":3,"status":"Success"}`,
		"owner=Demo%20%26%20Co&resultStart=2": `{"data":[{"ownerName":"Demo & Co","type":"Host","summary":"c"}],"count":3,"status":"Success"}`,
	}
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, known := pages[r.URL.RawQuery]
		if !known || r.URL.Path != "/api/v3/indicators/deleted" {
			t.Errorf("asked %s", r.RequestURI)
		}
		w.Write([]byte(body))
	})
	var got []Deleted
	err := c.Deleted(t.Context(), "Demo & Co", since, func(page []Deleted) error {
		got = append(got, page...)
		return nil
	})
	want := []Deleted{{"Demo & Co", "URL", "http://bad.example", time.Date(2021, 11, 2, 15, 17, 28, 0, time.UTC)}, {Type: "File"}, {"Demo & Co", "Host", "c", time.Time{}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestDeletedEnds(t *testing.T) {
	for name, body := range map[string]string{
		"the same page for ever":  `{"data":[{"type":"URL","summary":"a"}],"next":"https://x/?a=b","count":1,"status":"Success"}`,
		"empty though more comes": `{"data":[],"next":"https://x/?a=b","count":1,"status":"Success"}`,
	} {
		tries := 0
		c := client(roundTrip(func(r *http.Request) (*http.Response, error) {
			tries++
			return reply(200, body), nil
		}))
		if err := c.Deleted(t.Context(), "O", time.Time{}, func([]Deleted) error { return nil }); err != nil || tries > 2 {
			t.Errorf("%s: %v after %d tries", name, err, tries)
		}
	}
	mine := errors.New("disk full")
	err := client(roundTrip(status(200, `{"data":[{}],"status":"Success"}`))).Deleted(t.Context(), "O", time.Time{}, func([]Deleted) error { return mine })
	if err != mine { //nolint:errorlint // it comes back as it is
		t.Error(err)
	}
	var refused *Error
	err = client(roundTrip(status(403, `{"message":"The requested owner was not found"}`))).Deleted(t.Context(), "Gone", time.Time{}, nil)
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), `list deleted indicators of "Gone"`) {
		t.Error(err)
	}
}
