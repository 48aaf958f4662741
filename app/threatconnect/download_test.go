package threatconnect

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// withTotal has every page say the total of the first one.
func withTotal(t *testing.T, l *ledger, total int64) func(Page) error {
	return func(p Page) error {
		if p.Total != total {
			t.Errorf("page %d says %d in all, not %d", l.pages, p.Total, total)
		}
		return l.handle(p)
	}
}

func TestDownloadInOrder(t *testing.T) {
	for _, c := range []struct {
		field, direction string
		sorting          string
	}{
		{"", "", "id ASC"},
		{"id", "ASC", "id ASC"},
		{"id", "desc", "id DESC"},
		{"rating", "DESC", "rating DESC id ASC"},
		{"rating", "", "rating ASC id ASC"},
	} {
		t.Run(c.sorting, func(t *testing.T) {
			f, l := newFake(2600), newLedger()
			want := f.selected(url.Values{"sorting": {c.sorting}})
			if err := client(f).Download(t.Context(), Selection{Query: sorted(c.field, c.direction)}, withTotal(t, l, 2600), l.unseen); err != nil {
				t.Fatal(err)
			}
			for n, r := range want {
				if n >= len(l.order) || l.order[n] != r.id {
					t.Fatalf("row %d is not %d", n, r.id)
				}
			}
			if len(l.order) != len(want) {
				t.Errorf("%d rows handed over", len(l.order))
			}
			if f.asked[0].Get("sorting") != c.sorting || f.asked[0].Get("count") != "true" || f.asked[1].Get("count") != "" {
				t.Errorf("asked %v, then %v", f.asked[0], f.asked[1])
			}
		})
	}
}

// The sweep asks for no more than it needs.
func TestSweepIsBare(t *testing.T) {
	f, l := newFake(30), newLedger()
	if err := l.download(client(f), Selection{Query: sorted("rating", "ASC")}); err != nil {
		t.Fatal(err)
	}
	if len(f.asked) != 2 || len(f.asked[0]["fields"]) != len(exportFields) || len(f.asked[1]["fields"]) != 0 || f.asked[1].Get("sorting") != "id ASC" {
		t.Errorf("asked %v", f.asked)
	}
}

// Rows move, come and go between any two answers. Whatever was there from beginning to end is handed over.
func TestNothingIsMissed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := newFake(rapid.IntRange(0, 60).Draw(t, "rows"))
		f.most = rapid.IntRange(2, 12).Draw(t, "rows in an answer")
		lasting := maps.Clone(f.rows)
		ids := rapid.Int64Range(1, 700)
		f.before = func(n int, _ url.Values) *http.Response {
			for range rapid.IntRange(0, 6).Draw(t, "changes") {
				id := ids.Draw(t, "id")
				switch _, found := f.rows[id]; {
				case found && rapid.Bool().Draw(t, "delete"):
					delete(f.rows, id)
					delete(lasting, id)
				case n < 100: // the rows must not multiply for ever
					f.put(id, rapid.IntRange(-3, 9).Draw(t, "rating"))
				}
			}
			return nil
		}
		field := rapid.SampledFrom([]string{"rating", "", "id"}).Draw(t, "field")
		l := newLedger()
		if err := l.download(client(f), Selection{Query: sorted(field, rapid.SampledFrom([]string{"ASC", "DESC"}).Draw(t, "direction"))}); err != nil {
			t.Fatal(err)
		}
		for id := range lasting {
			if l.seen[id] == 0 {
				t.Errorf("%d was missed", id)
			}
		}
	})
}

// The same without chance: at each answer the row that would come next moves to the front, so that paging by offset
// misses it; the sweep brings it.
func TestSweepBringsWhatShifted(t *testing.T) {
	f, l := newFake(50), newLedger()
	f.most = 10
	before := 0
	f.before = func(n int, asked url.Values) *http.Response {
		if start, _ := strconv.Atoi(asked.Get("resultStart")); start > 0 {
			r := f.selected(url.Values{"sorting": {"rating DESC id ASC"}})[start]
			f.put(r.id, 100+n)
		} else if asked.Get("sorting") == "id ASC" && before == 0 {
			before = len(l.seen)
		}
		return nil
	}
	if err := l.download(client(f), Selection{Query: sorted("rating", "DESC")}); err != nil {
		t.Fatal(err)
	}
	if before >= 50 || len(l.seen) != 50 {
		t.Errorf("%d rows by offset, %d in all", before, len(l.seen))
	}
}

func TestDownloadOfIDs(t *testing.T) {
	f, l := newFake(2000), newLedger()
	f.put(9007199254740993, 1)
	var ids []int64
	for n := range int64(1200) {
		ids = append(ids, (1200-n)*15)
	}
	ids = append(ids, 9007199254740993, 9007199254740992)
	if err := l.download(client(f), Selection{Query: sorted("rating", "DESC"), IDs: ids}); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if _, there := f.rows[id]; there != (l.seen[id] == 1) {
			t.Errorf("%d: there %t, handed over %d times", id, there, l.seen[id])
		}
	}
	if len(l.seen) != 601 || len(f.asked) != 3 {
		t.Errorf("%d handed over in %d requests", len(l.seen), len(f.asked))
	}
	f.asked = nil
	if err := l.download(client(f), Selection{Query: hosts, IDs: []int64{}}); err != nil || len(f.asked) != 0 {
		t.Errorf("no ids: asked %v, %v", f.asked, err)
	}
}

// What a ThreatConnect must not get away with: each of these would lose rows, or never end.
func TestUntrustworthyPages(t *testing.T) {
	unsorted := `{"data":[{"id":5},{"id":3}],"status":"Success"}`
	repeated := `{"data":[{"id":5},{"id":6}],"next":"https://x/api/v3/indicators?a","status":"Success"}`
	empty := `{"data":[],"next":"https://x/api/v3/indicators?a","status":"Success"}`
	counted := `{"data":[],"count":50,"status":"Success"}`
	uncounted := `{"data":[{"id":5}],"count":0,"status":"Success"}`
	nameless := `{"data":[{"type":"Host"}],"next":"https://x/api/v3/indicators?a","status":"Success"}`
	for name, c := range map[string]struct{ body, says string }{
		"not sorted":              {unsorted, "order of the ids"},
		"the same page for ever":  {repeated, "order of the ids"},
		"empty though more comes": {empty, "says that more follow"},
		"empty though it counts":  {counted, "counts indicators and sends none"},
		"rows of nothing":         {uncounted, "counts no indicators and sends some"},
		"without a single id":     {nameless, "without ids"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c0 := client(roundTrip(status(200, c.body)))
				for _, q := range []Query{hosts, sorted("rating", "ASC")} {
					err := newLedger().download(c0, Selection{Query: q})
					if err == nil || !strings.Contains(err.Error(), c.says) {
						t.Errorf("sorted by %q: %v", q.SortField, err)
					}
				}
			})
		})
	}
}

// Who asks for some ids and gets others does not know whether the first are there.
func TestOtherIDsThanAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, count := range map[string]int{"once": 1, "for ever": 1 << 20} {
			f, l := newFake(5), newLedger()
			f.before = func(n int, _ url.Values) *http.Response {
				if n <= count {
					return reply(200, `{"data":[{"id":10},{"id":11}],"count":2,"status":"Success"}`)
				}
				return nil
			}
			err := l.download(client(f), Selection{Query: hosts, IDs: []int64{10, 20}})
			if count == 1 && (err != nil || len(l.seen) != 2 || l.seen[20] != 1) || count > 1 && (err == nil || !strings.Contains(err.Error(), "other indicators")) {
				t.Errorf("%s: %v, %v", name, l.seen, err)
			}
		}
	})
}

// Paging by offset ends when it is led in a circle, and the sweep completes it.
func TestOffsetInACircle(t *testing.T) {
	for name, page := range map[string]func(start int) string{
		"the same page": func(int) string { return `{"id":10},{"id":20}` },
		"two pages in turn": func(start int) string {
			return []string{`{"id":10},{"id":20}`, `{"id":20},{"id":30}`}[start/2%2]
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, l := newFake(5), newLedger()
			f.before = func(n int, asked url.Values) *http.Response {
				if asked.Get("sorting") == "id ASC" {
					return nil
				}
				start, _ := strconv.Atoi(asked.Get("resultStart"))
				return reply(200, `{"data":[`+page(start)+`],"count":5,"next":"https://x/?a","status":"Success"}`)
			}
			if err := l.download(client(f), Selection{Query: sorted("rating", "ASC")}); err != nil || len(l.seen) != 5 {
				t.Errorf("%v, %v", l.seen, err)
			}
		})
	}
}

// An empty page where rows were promised, or where nothing was said about their number, takes a second look, wherever it
// comes; one is enough. What is believed to be gone is retired.
func TestEmptyPageByMistake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ids := []int64{10, 20, 30}
		for mistake := range 5 {
			for _, body := range []string{`{"data":[],"status":"Success"}`, `{"data":[],"count":50,"status":"Success"}`, `{"data":[],"next":"https://x/?a","status":"Success"}`} {
				for _, s := range []Selection{{Query: hosts}, {Query: sorted("rating", "ASC")}, {Query: hosts, IDs: ids}} {
					f, l := newFake(50), newLedger()
					f.most = 20
					f.before = func(n int, _ url.Values) *http.Response {
						if n == mistake+1 {
							return reply(200, body)
						}
						return nil
					}
					want := 50
					if s.IDs != nil {
						want = len(ids)
					}
					if err := l.download(client(f), s); err != nil || len(l.seen) != want {
						t.Errorf("answer %d of %+v is %s: %d rows, %v", mistake+1, s, body, len(l.seen), err)
					}
				}
			}
		}
		// A promise that is not kept any more is no error.
		f, l := newFake(30), newLedger()
		f.most = 20
		f.before = func(n int, _ url.Values) *http.Response {
			if n == 2 {
				clear(f.rows)
			}
			return nil
		}
		if err := l.download(client(f), Selection{Query: hosts}); err != nil || len(l.seen) != 20 || len(f.asked) != 3 {
			t.Errorf("%d rows in %d requests, %v", len(l.seen), len(f.asked), err)
		}
	})
}

// An indicator that cannot be read is handed over beside its neighbours, and the rest of the list is still read.
func TestUnreadableIndicator(t *testing.T) { synctest.Test(t, testUnreadableIndicator) }

func testUnreadableIndicator(t *testing.T) {
	f := newFake(4)
	f.most = 2
	f.before = func(n int, asked url.Values) *http.Response {
		if n <= 2 {
			return reply(200, `{"data":[{"id":10,"type":"Host"},{"summary":"no id"}],"next":"https://x/?a","status":"Success"}`)
		}
		return nil
	}
	l := newLedger()
	var unreadable []string
	err := client(f).Download(t.Context(), Selection{Query: hosts}, func(p Page) error {
		for _, i := range p.Indicators {
			if i.ID == 0 {
				unreadable = append(unreadable, string(i.Raw))
			}
			l.seen[i.ID]++
		}
		return nil
	}, nil)
	if err != nil || !slices.Equal(unreadable, []string{`{"summary":"no id"}`}) || len(l.seen) != 5 {
		t.Error(err, unreadable, l.seen)
	}
}

func TestErrorsOfTheCallerComeBackAsTheyAre(t *testing.T) {
	mine := errors.New("disk full")
	broken := func(Page) error { return mine }
	fine := func(Page) error { return nil }
	blind := func([]int64) ([]int64, error) { return nil, mine }
	all := func(ids []int64) ([]int64, error) { return ids, nil }
	calls := 0
	second := func(Page) error {
		if calls++; calls > 1 {
			return mine
		}
		return nil
	}
	for name, err := range map[string]error{
		"handle, keyset":  client(newFake(3)).Download(t.Context(), Selection{Query: hosts}, broken, all),
		"handle, ordered": client(newFake(3)).Download(t.Context(), Selection{Query: sorted("rating", "ASC")}, broken, all),
		"handle, sweep":   client(newFake(3)).Download(t.Context(), Selection{Query: sorted("rating", "ASC")}, second, all),
		"handle, ids":     client(newFake(3)).Download(t.Context(), Selection{Query: hosts, IDs: []int64{10}}, broken, all),
		"unseen":          client(newFake(3)).Download(t.Context(), Selection{Query: sorted("rating", "ASC")}, fine, blind),
		"inactive":        client(newFake(3)).Inactive(t.Context(), hosts.Owners, hosts.Types, time.Time{}, func([]int64) error { return mine }),
	} {
		if err != mine { //nolint:errorlint // it comes back as it is
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBadQueryIsNotAsked(t *testing.T) {
	f := newFake(3)
	q := hosts
	q.TQL = "a=1) or (b=2"
	_, counted := client(f).Count(t.Context(), q)
	_, first := client(f).First(t.Context(), q, 3)
	downloaded := newLedger().download(client(f), Selection{Query: q})
	if counted == nil || first == nil || downloaded == nil || len(f.asked) > 0 {
		t.Error(counted, first, downloaded, f.asked)
	}
}

func TestFirstAndCount(t *testing.T) {
	f := newFake(250)
	page, err := client(f).First(t.Context(), sorted("rating", "DESC"), 100)
	if err != nil || len(page.Indicators) != 100 || page.Total != 250 || page.Indicators[0].ID != f.selected(url.Values{"sorting": {"rating DESC id ASC"}})[0].id {
		t.Errorf("%d of %d, %v", len(page.Indicators), page.Total, err)
	}
	n, err := client(f).Count(t.Context(), sorted("rating", "DESC"))
	if err != nil || n != 250 {
		t.Error(n, err)
	}
	asked := f.asked[1]
	if asked.Get("resultLimit") != "1" || asked.Get("sorting") != "rating DESC id ASC" || len(asked["fields"]) > 0 {
		t.Errorf("counted by %v", asked)
	}
	if _, err := client(roundTrip(status(200, `{"data":[],"status":"Success"}`))).Count(t.Context(), hosts); err == nil {
		t.Error("a missing count passes for one")
	}
}

func TestInactive(t *testing.T) {
	f := newFake(2300)
	var got []int64
	since := time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC)
	err := client(f).Inactive(t.Context(), []string{"A", "B"}, []string{"Host"}, since, func(ids []int64) error {
		got = append(got, ids...)
		return nil
	})
	if err != nil || len(got) != 2300 || !slices.IsSorted(got) {
		t.Error(len(got), err)
	}
	want := `(indicatorActive = false) and ownerName in ("A", "B") and typeName in ("Host") and lastModified >= "2024-05-01T00:00:00Z"`
	if f.asked[0].Get("tql") != want || len(f.asked[0]["fields"]) > 0 {
		t.Errorf("asked %v", f.asked[0])
	}
}

// A field that ThreatConnect withholds costs that field and nothing else.
func TestRefusedFields(t *testing.T) {
	for name, refuse := range map[string]*http.Response{
		"400": reply(400, refusal("0x1001", "The field is not valid")), "401": reply(401, ""), "403": reply(403, ""),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, l := newFake(1500), newLedger()
				f.before = func(_ int, asked url.Values) *http.Response {
					if slices.Contains(asked["fields"], "associatedGroups") || slices.Contains(asked["fields"], "attributes") {
						again := *refuse
						again.Body = io.NopCloser(strings.NewReader(""))
						return &again
					}
					return nil
				}
				if err := l.download(client(f), Selection{Query: hosts}); err != nil || len(l.seen) != 1500 {
					t.Fatal(len(l.seen), err)
				}
				if last := f.asked[len(f.asked)-1]["fields"]; !slices.Equal(last, []string{"tags", "securityLabels", "threatAssess"}) {
					t.Errorf("asked for %v", last)
				}
			})
		})
	}
}

// When the fields are not the trouble, the first refusal stands.
func TestRefusalThatIsNotAboutFields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		err := newLedger().download(client(roundTrip(status(403, refusal("0x1003", "The requested owner was not found")))), Selection{Query: hosts})
		var refused *Error
		if !errors.As(err, &refused) || refused.Status != 403 || refused.Message != "The requested owner was not found" {
			t.Error(err)
		}
		tries := 0
		newLedger().download(client(roundTrip(func(*http.Request) (*http.Response, error) { //nolint:errcheck // only how often
			tries++
			return reply(400, refusal("0x2001", "Syntax")), nil
		})), Selection{Query: hosts})
		if tries != 1 {
			t.Errorf("bad TQL was tried %d times", tries)
		}
	})
}

// The size of a page follows the time that an answer takes, and the size of its rows.
func TestPageSize(t *testing.T) {
	rowsOf := func(n, bytes int) []Indicator {
		list := make([]Indicator, n)
		for i := range list {
			list[i].Raw = make([]byte, bytes)
		}
		return list
	}
	for _, c := range []struct {
		name       string
		limit      int
		took       time.Duration
		rows, size int
		want       int
	}{
		{"fast", 1000, time.Second, 1000, 500, 1500},
		{"fast, but the page was not full", 1000, time.Second, 999, 500, 1000},
		{"fast enough", 1000, 30*time.Second - 1, 1000, 500, 1500},
		{"neither", 1000, 30 * time.Second, 1000, 500, 1000},
		{"nor slow", 1000, 2 * time.Minute, 1000, 500, 1000},
		{"slow", 1000, 2*time.Minute + 1, 1000, 500, 500},
		{"slow with one row", 1, 3 * time.Minute, 1, 500, 1},
		{"from one on", 1, time.Second, 1, 500, 2},
		{"at the most", 9000, time.Second, 9000, 200, 10000},
		{"bounded by bytes", 9000, time.Second, 9000, 2300, 2 << 20 / 2300},
		{"huge rows", 1000, time.Second, 1000, 100 << 10, 20},
		{"rows larger than a page", 10, time.Second, 10, 9 << 20, 1},
		{"empty", 1000, time.Second, 0, 0, 1000},
	} {
		s := pageSize{limit: c.limit}
		s.adaptTo(c.took, rowsOf(c.rows, c.size))
		if s.limit != c.want {
			t.Errorf("%s: %d", c.name, s.limit)
		}
	}
}

func TestPageSizeAfterFailures(t *testing.T) {
	for want, err := range map[int]error{
		500: errTooSlow,
		250: errDamaged,
	} {
		s := pageSize{limit: 1000}
		s.shrinkAfter(fmt.Errorf("wrapped: %w", err))
		if s.limit != want {
			t.Errorf("%v: %d", err, s.limit)
		}
	}
	for code, want := range map[int]int{400: 1000, 401: 1000, 429: 1000, 500: 250, 502: 1000, 503: 500, 504: 500} {
		s := pageSize{limit: 1000}
		if s.shrinkAfter(&Error{Status: code}); s.limit != want {
			t.Errorf("%d: %d", code, s.limit)
		}
	}
	s := pageSize{limit: 1000}
	if s.shrinkAfter(&Error{Status: 400, Message: "Query Timeout"}); s.limit != 500 {
		t.Errorf("timeout as 400: %d", s.limit)
	}
}

// Pages grow from 1,000 rows while ThreatConnect is fast, shrink when it is slow, and nothing is lost by it.
func TestPageSizeFollowsThreatConnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, l := newFake(12000), newLedger()
		f.before = func(n int, _ url.Values) *http.Response {
			if n > 3 && n < 8 {
				time.Sleep(150 * time.Second)
			}
			return nil
		}
		if err := l.download(client(f), Selection{Query: hosts}); err != nil || len(l.seen) != 12000 {
			t.Fatal(len(l.seen), err)
		}
		var limits []string
		for _, asked := range f.asked[:9] {
			limits = append(limits, asked.Get("resultLimit"))
		}
		if got := strings.Join(limits, " "); got != "1000 1500 2250 3375 1687 843 421 210 315" {
			t.Errorf("asked for %s", got)
		}
	})
}

// A page that is kept stays as it was read, whatever is freed beside it and however often; the memory of one that is freed is taken.
func TestPagesAreGoodUntilFreed(t *testing.T) {
	f := newFake(50)
	f.most = 10
	var pages []Page
	err := client(f).Download(t.Context(), Selection{Query: sorted("id", "ASC")}, func(p Page) error {
		if pages = append(pages, p); len(pages) > 1 {
			pages[0].Free()
		}
		return nil
	}, nil)
	if err != nil || len(pages) != 5 {
		t.Fatalf("%v, %d pages", err, len(pages))
	}
	for n, p := range pages {
		for _, i := range p.Indicators {
			if intact := strings.Contains(string(i.Raw), fmt.Sprintf(`"id":%d,`, i.ID)); intact != (n > 0) {
				t.Errorf("page %d has %s in place of %d", n, i.Raw, i.ID)
			}
		}
	}
}
