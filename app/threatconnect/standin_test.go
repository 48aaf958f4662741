package threatconnect

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mssentinel/app/standin/tcserver"
)

var population = sync.OnceValue(func() *tcserver.Population { return tcserver.Generate(3000, 7, time.Now()) })

// against starts the stand-in with a generated population, and gives a client of it and a query of all that it has.
func against(t *testing.T, o tcserver.Options) (*tcserver.Server, *Client, Query) {
	t.Helper()
	o.Population = population()
	o.MoreOwners = append(o.MoreOwners, tcserver.ManyOwners(180)...)
	s := tcserver.New(o)
	server := httptest.NewServer(s)
	t.Cleanup(func() {
		s.Close()
		server.Close()
	})
	c := New(Options{BaseURL: server.URL + "/api", AccessID: tcserver.DefaultAccessID, SecretKey: func() string { return tcserver.DefaultSecretKey }})
	q := Query{SortField: "dateAdded", SortDirection: "DESC"}
	for _, r := range s.Rows() {
		if !slices.Contains(q.Types, r.Type) {
			q.Types = append(q.Types, r.Type)
		}
		if !slices.Contains(q.Owners, r.Owner) {
			q.Owners = append(q.Owners, r.Owner)
		}
	}
	return s, c, q
}

func active(s *tcserver.Server) map[int64]tcserver.Row {
	rows := map[int64]tcserver.Row{}
	for _, r := range s.Rows() {
		if r.Active {
			rows[r.ID] = r
		}
	}
	return rows
}

func TestDownloadFromStandin(t *testing.T) {
	s, c, q := against(t, tcserver.Options{LinkBase: "https://inner.example"})
	want := active(s)
	for _, field := range SortFields {
		q.SortField = field
		if n, err := c.Count(t.Context(), q); err != nil || int(n) != len(want) {
			t.Errorf("sorted by %s: %d of %d, %v", field, n, len(want), err)
		}
	}
	for _, field := range []string{"", "id", "summary", "rating", "threatAssessScore", "lastSeen", "externalDateExpires"} {
		q.SortField = field
		l := newLedger()
		err := c.Download(t.Context(), Selection{Query: q}, func(p Page) error {
			for _, i := range p.Indicators {
				if r := want[i.ID]; r.Type != i.Type || r.Owner != i.Owner || !r.LastModified.Equal(i.LastModified) {
					t.Fatalf("%d is %q of %q, not %+v", i.ID, i.Type, i.Owner, r)
				}
			}
			return l.handle(p)
		}, l.unseen)
		if err != nil || len(l.seen) != len(want) {
			t.Errorf("sorted by %s: %d of %d, %v", field, len(l.seen), len(want), err)
		}
	}
	for _, r := range s.Requests() {
		if !strings.Contains(r.Target, "createActivityLog=false") && strings.Contains(r.Target, "?") {
			t.Fatalf("leaves a trace in the activity log: %s", r.Target)
		}
	}
}

// A date is read with a blank behind it and without.
func TestTrailingBlankOfStandin(t *testing.T) {
	for _, written := range []bool{false, true} {
		s, c, q := against(t, tcserver.Options{TrailingBlank: written})
		q.SortField, q.SortDirection = "", ""
		want, blanks := active(s), 0
		l := newLedger()
		err := c.Download(t.Context(), Selection{Query: q}, func(p Page) error {
			for _, i := range p.Indicators {
				if strings.Contains(string(i.Raw), `Z "`) {
					blanks++
				}
				if !want[i.ID].LastModified.Equal(i.LastModified) {
					t.Fatalf("%d was modified at %v, not at %v", i.ID, i.LastModified, want[i.ID].LastModified)
				}
			}
			return l.handle(p)
		}, l.unseen)
		if err != nil || len(l.seen) != len(want) || written != (blanks > 0) {
			t.Errorf("blanks %v: %d of %d, %d with a blank, %v", written, len(l.seen), len(want), blanks, err)
		}
	}
}

func TestWindowFromStandin(t *testing.T) {
	s, c, q := against(t, tcserver.Options{})
	var times []time.Time
	for _, r := range active(s) {
		times = append(times, r.LastModified)
	}
	slices.SortFunc(times, time.Time.Compare)
	from, to := times[len(times)/3], times[2*len(times)/3]
	seen := 0
	for _, window := range [][2]time.Time{{{}, from}, {from, to}, {to, {}}} {
		l := newLedger()
		if err := l.download(c, Selection{Query: q, From: window[0], To: window[1]}); err != nil {
			t.Fatal(err)
		}
		seen += len(l.seen)
	}
	if seen != len(times) {
		t.Errorf("the windows share out %d indicators, not %d", seen, len(times))
	}
}

// The population changes before each answer: nothing that stays is missed.
func TestChangingStandin(t *testing.T) {
	s, c, q := against(t, tcserver.Options{})
	q.SortField = "lastModified"
	lasting := active(s)
	rows := s.Rows()
	s.BetweenPages(func(page int) {
		for n := range 40 {
			r := rows[(page*997+n*31)%len(rows)]
			var err error
			if n%8 == 0 {
				delete(lasting, r.ID)
				err = s.SetActive(r.ID, false)
			} else {
				err = s.Modify(r.ID, map[string]any{"confidence": n})
			}
			if err != nil {
				t.Error(err)
			}
		}
	})
	l := newLedger()
	if err := l.download(c, Selection{Query: q}); err != nil {
		t.Fatal(err)
	}
	for id := range lasting {
		if l.seen[id] == 0 {
			t.Errorf("%d was missed", id)
		}
	}
}

func TestFaultsOfStandin(t *testing.T) {
	for _, fault := range []tcserver.Fault{
		{Kind: tcserver.Status, Status: 500}, {Kind: tcserver.Status, Status: 502, Form: "html"}, {Kind: tcserver.Status, Status: 503, Form: "empty"},
		{Kind: tcserver.Status, Status: 401, Message: "Unauthorized"}, {Kind: tcserver.Throttle, Seconds: 1}, {Kind: tcserver.CutBefore},
		{Kind: tcserver.Truncated}, {Kind: tcserver.Malformed}, {Kind: tcserver.SoftError}, {Kind: tcserver.HTMLPage},
		{Kind: tcserver.RepeatedPage}, {Kind: tcserver.EmptyPage}, {Kind: tcserver.DamagedRow},
	} {
		fault.After = 1
		for _, field := range []string{"dateAdded", "id"} {
			t.Run(fmt.Sprint(fault.Kind, fault.Status, " by ", field), func(t *testing.T) {
				t.Parallel()
				s, c, q := against(t, tcserver.Options{})
				q.SortField = field
				if err := s.Inject(fault); err != nil {
					t.Fatal(err)
				}
				l := newLedger()
				if err := l.download(c, Selection{Query: q}); err != nil {
					t.Fatal(err)
				}
				for id := range active(s) {
					if l.seen[id] == 0 {
						t.Errorf("%d was missed", id)
					}
				}
			})
		}
	}
}

func TestOwnersOfStandin(t *testing.T) {
	s, c, _ := against(t, tcserver.Options{})
	hidden := s.Owners()[1].Name
	if err := s.SetPermission(hidden, "NONE"); err != nil {
		t.Fatal(err)
	}
	owners, err := c.Owners(t.Context())
	if err != nil || len(owners) != len(s.Owners())-1 || slices.ContainsFunc(owners, func(o Owner) bool { return o.Name == hidden }) {
		t.Errorf("%d owners, %v", len(owners), err)
	}
}

func TestDepartedFromStandin(t *testing.T) {
	s, c, q := against(t, tcserver.Options{LinkBase: "https://inner.example"})
	since := time.Now().UTC().Truncate(time.Second)
	want, inactive := map[Deleted]bool{}, map[int64]bool{}
	for n, r := range s.Rows() {
		switch {
		case n%2 == 0:
			if err := s.Delete(r.ID); err != nil {
				t.Fatal(err)
			}
		case n%5 == 0:
			if err := s.SetActive(r.ID, false); err != nil {
				t.Fatal(err)
			}
			inactive[r.ID] = true
		}
	}
	for _, d := range s.Deletions() {
		want[Deleted{Owner: d.Owner, Type: d.Type, Summary: d.Summary, DateAdded: d.Deleted.UTC().Truncate(time.Second)}] = true
	}
	got := 0
	for _, owner := range q.Owners {
		err := c.Deleted(t.Context(), owner, since, func(page []Deleted) error {
			for _, d := range page {
				got++
				if !want[d] {
					t.Fatalf("%+v was not deleted", d)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if got != len(s.Deletions()) {
		t.Errorf("%d deletions of %d", got, len(s.Deletions()))
	}
	err := c.Inactive(t.Context(), q.Owners, q.Types, since, func(ids []int64) error {
		for _, id := range ids {
			delete(inactive, id)
		}
		return nil
	})
	if err != nil || len(inactive) > 0 {
		t.Errorf("%d inactive indicators were not seen, %v", len(inactive), err)
	}
}

// A query that needs a body, and a ThreatConnect from before that was possible.
func TestLongQueryOfStandin(t *testing.T) {
	long := "(" + strings.Repeat(`summary != "no such value at all" and `, 60) + "confidence >= 0 or confidence is null)"
	for _, old := range []bool{false, true} {
		_, c, q := against(t, tcserver.Options{NoBody: old})
		q.TQL, q.Types = long, q.Types[:2]
		l := newLedger()
		err := l.download(c, Selection{Query: q})
		switch {
		case old && (err == nil || !strings.Contains(err.Error(), "shorten the TQL") || len(l.seen) > 0):
			t.Errorf("a ThreatConnect that ignores the body: %d rows, %v", len(l.seen), err)
		case !old && (err != nil || len(l.seen) == 0):
			t.Errorf("%d rows, %v", len(l.seen), err)
		}
	}
}

// A ThreatConnect from before queries could travel in a body is asked for fewer ids at a time.
func TestManyIDsOfStandin(t *testing.T) {
	s, c, q := against(t, tcserver.Options{NoBody: true})
	q.Owners, q.Types = q.Owners[:1], q.Types[:2]
	l := newLedger()
	if err := l.download(c, Selection{Query: q}); err != nil || len(l.seen) == 0 {
		t.Fatal(len(l.seen), err)
	}
	var ids []int64
	for _, r := range s.Rows() {
		ids = append(ids, r.ID)
	}
	again := newLedger()
	if err := again.download(c, Selection{Query: q, IDs: ids}); err != nil || len(again.seen) != len(l.seen) {
		t.Errorf("%d of %d, %v", len(again.seen), len(l.seen), err)
	}
}

// ThreatConnect's own words reach whoever wrote the query.
func TestRefusalsOfStandin(t *testing.T) {
	_, c, q := against(t, tcserver.Options{})
	q.TQL = "nonsense >= 4"
	var refused *Error
	if _, err := c.Count(t.Context(), q); !errors.As(err, &refused) || !refused.IsTQL() || refused.Code != "0x2001" {
		t.Error(err)
	}
	q.TQL, q.Owners = "", []string{"No such owner"}
	if _, err := c.Count(t.Context(), q); !errors.As(err, &refused) || refused.Status != 403 || refused.IsTQL() {
		t.Error(err)
	}
	c.options.SecretKey = func() string { return "wrong" }
	if _, err := c.Owners(t.Context()); !errors.As(err, &refused) || refused.Status != 401 || !strings.Contains(err.Error(), "Secret Key") {
		t.Error(err)
	}
}

// What is not known about the API costs no indicator, whichever way it is.
func TestUnknownsOfStandin(t *testing.T) {
	for name, u := range map[string]tcserver.Unknowns{
		"lenient":        {Lenient: true},
		"withheld":       {Withheld: []string{"tags", "associatedGroups"}},
		"zone":           {Zone: time.FixedZone("far", 7*3600)},
		"units":          {NowUnits: []string{"HOUR"}},
		"clock":          {ClockAhead: 4 * time.Minute},
		"offsets":        {RefusePastEnd: true},
		"inactive":       {HideInactive: true},
		"authentication": {AuthFailure: tcserver.AuthPage},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c, q := against(t, tcserver.Options{Unknowns: u})
			want := active(s)
			for _, field := range []string{"", "lastModified"} {
				q.SortField = field
				l := newLedger()
				if err := l.download(c, Selection{Query: q, From: time.Unix(0, 0)}); err != nil || len(l.seen) != len(want) {
					t.Errorf("sorted by %q: %d of %d, %v", field, len(l.seen), len(want), err)
				}
			}
		})
	}
}

// Rows that disappear during a download lead behind the last one, where an offset may be refused.
func TestOffsetsBehindTheEnd(t *testing.T) {
	for _, refused := range []bool{false, true} {
		s, c, q := against(t, tcserver.Options{Unknowns: tcserver.Unknowns{RefusePastEnd: refused}})
		q.SortField = "lastModified"
		rows := s.Rows()
		s.BetweenPages(func(page int) {
			if page != 2 {
				return
			}
			for _, r := range rows[:len(rows)-100] {
				s.Delete(r.ID) //nolint:errcheck // it is there
			}
		})
		l := newLedger()
		if err := l.download(c, Selection{Query: q}); err != nil {
			t.Errorf("refused %v: %v", refused, err)
		}
		for id := range active(s) {
			if l.seen[id] == 0 {
				t.Fatalf("refused %v: %d was missed", refused, id)
			}
		}
	}
}

// A list of owners that fills its last page is asked for once more.
func TestOwnersFillTheirPage(t *testing.T) {
	for _, refused := range []bool{false, true} {
		_, c, _ := against(t, tcserver.Options{Unknowns: tcserver.Unknowns{RefusePastEnd: refused}, MoreOwners: tcserver.ManyOwners(495)[180:]})
		if owners, err := c.Owners(t.Context()); err != nil || len(owners) != ownersPerPage {
			t.Errorf("refused %v: %d owners, %v", refused, len(owners), err)
		}
	}
}

// Whatever a failed authentication looks like, it is one.
func TestAuthFailuresOfStandin(t *testing.T) {
	for _, form := range []string{tcserver.AuthPlain, tcserver.AuthCode, tcserver.AuthVersion, tcserver.AuthPage} {
		_, c, _ := against(t, tcserver.Options{Unknowns: tcserver.Unknowns{AuthFailure: form}})
		c.options.SecretKey = func() string { return "wrong" }
		var refused *Error
		if _, err := c.Owners(t.Context()); !errors.As(err, &refused) || refused.Status != 401 || !refused.Permanent() {
			t.Errorf("%q: %v", form, err)
		}
	}
	_, c, _ := against(t, tcserver.Options{Unknowns: tcserver.Unknowns{ClockAhead: 10 * time.Minute}})
	if _, err := c.Owners(t.Context()); err == nil || !strings.Contains(err.Error(), "clock") {
		t.Error(err)
	}
}

// What the help of CONFIGURE offers is what ThreatConnect takes, each example as it stands.
func TestKeywordsAreKnown(t *testing.T) {
	_, c, q := against(t, tcserver.Options{})
	seen := map[string]bool{}
	for _, group := range KeywordGroups() {
		conditions := []string{group.Example}
		for _, keyword := range group.Keywords {
			condition := keyword + " is not null"
			if strings.HasPrefix(keyword, "has") {
				condition = keyword + "(id > 0)"
			}
			conditions = append(conditions, condition)
			if seen[keyword] {
				t.Errorf("%s is there twice", keyword)
			}
			seen[keyword] = true
		}
		for _, q.TQL = range conditions {
			if _, err := c.Count(t.Context(), q); err != nil {
				t.Errorf("%s: %v", q.TQL, err)
			}
		}
	}
}
