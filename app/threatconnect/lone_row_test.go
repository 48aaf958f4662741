package threatconnect

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

// A row that is too large, that is no JSON, or that ThreatConnect fails on costs itself alone, in whatever order the rows come:
// it is read without what spoils it, or else named, or at least noticed.
func TestARowThatSpoilsItsPage(t *testing.T) {
	for _, how := range []string{"large", "json", "fails"} {
		for _, field := range []string{"attributes", "associatedGroups", ""} {
			for _, order := range []string{"", "rating"} {
				for _, id := range []int64{10, 160, 300} {
					if how == "large" && (id != 160 || field == "associatedGroups") {
						continue // they take their time
					}
					t.Run(fmt.Sprint(how, " by ", field, " order ", order, " id ", id), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							f := newFake(30)
							f.spoilt = map[int64]spoilt{id: {how, field}}
							l := newLedger()
							var spoilt Indicator
							nameless := false
							handle := func(p Page) error {
								for _, i := range p.Indicators {
									nameless = nameless || i.ID == 0
									if i.ID == id {
										spoilt = i
									}
								}
								p.Indicators = slices.DeleteFunc(slices.Clone(p.Indicators), func(i Indicator) bool { return i.Unreadable != "" })
								return l.handle(p)
							}
							q := hosts
							q.SortField = order
							err := client(f).Download(t.Context(), Selection{Query: q}, handle, l.unseen)
							for n := range int64(30) {
								if other := (n + 1) * 10; l.seen[other] == 0 && other != id {
									t.Errorf("%d was not read", other)
								}
							}
							switch {
							case err != nil:
								t.Fatal(err)
							case field != "":
								if !slices.Equal(spoilt.LeftOut, []string{field}) || spoilt.Unreadable != "" || spoilt.Raw == nil {
									t.Errorf("read %+v", spoilt)
								}
							case how == "fails":
								if !nameless || spoilt.ID != 0 {
									t.Errorf("nothing tells that a row is missing: %+v", spoilt)
								}
							default:
								if spoilt.Unreadable == "" || spoilt.Owner != "Demo Organization" || spoilt.Type != "Host" {
									t.Errorf("read %+v", spoilt)
								}
								if how == "large" && !strings.Contains(spoilt.Unreadable, "too large") {
									t.Errorf("it says %q", spoilt.Unreadable)
								}
							}
						})
					})
				}
			}
		}
	}
}

// What strikes all rows is no fault of one: the download fails, and nothing is passed over.
func TestAnOutageIsNoFaultOfARow(t *testing.T) {
	for name, answer := range map[string]func() *http.Response{
		"500":     func() *http.Response { return reply(500, refusal("0x1007", "Internal error")) },
		"no JSON": func() *http.Response { return reply(200, `{"data":[{"owner`) },
		"cut":     func() *http.Response { return reply(200, `{"data":[{"id":110,"type":"Host","ownerName":"x","lastM`) },
	} {
		synctest.Test(t, func(t *testing.T) {
			f, l := newFake(30), newLedger()
			f.before = func(n int, _ url.Values) *http.Response {
				if n == 1 {
					return nil
				}
				return answer()
			}
			f.most = 10
			var refused *Error
			err := l.download(client(f), Selection{Query: hosts})
			if err == nil || name == "500" && !errors.As(err, &refused) || len(l.seen) != 10 || l.seen[0] != 0 {
				t.Errorf("%s: %v, read %v", name, err, l.seen)
			}
		})
	}
}

// An outage passes over no row, wherever it ends: what it broke off fails, or comes complete.
func TestAnOutageThatEnds(t *testing.T) {
	for failures := range 45 {
		synctest.Test(t, func(t *testing.T) {
			f, l := newFake(30), newLedger()
			f.before = func(n int, _ url.Values) *http.Response {
				if n == 1 || n > 1+failures {
					return nil
				}
				return reply(500, refusal("0x1007", "Internal error"))
			}
			f.most = 10
			var spoilt []Indicator
			err := client(f).Download(t.Context(), Selection{Query: hosts}, func(p Page) error {
				for _, i := range p.Indicators {
					if i.ID == 0 || i.Unreadable != "" || len(i.LeftOut) > 0 {
						spoilt = append(spoilt, i)
					}
				}
				return l.handle(p)
			}, l.unseen)
			if len(spoilt) > 0 || err == nil && len(l.seen) != 30 {
				t.Errorf("after %d failures: %v, read %d rows, and %+v as if they were to blame", failures, err, len(l.seen), spoilt)
			}
		})
	}
}

// While someone waits, a failure is told and not looked into, but for the size.
func TestALargeRowInAPreview(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(30)
		f.spoilt = map[int64]spoilt{10: {"large", "attributes"}}
		p, err := client(f).First(t.Context(), hosts, 5)
		if err != nil || len(p.Indicators) != 1 || !slices.Equal(p.Indicators[0].LeftOut, []string{"attributes"}) {
			t.Errorf("%+v, %v", p, err)
		}
	})
}
