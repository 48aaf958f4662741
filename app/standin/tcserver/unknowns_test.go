package tcserver

import (
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Each unknown is one thing without its switch and another with it.
func TestUnknowns(t *testing.T) {
	query := func(pairs ...string) string {
		v := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			v.Set(pairs[i], pairs[i+1])
		}
		return "/api/v3/indicators?resultLimit=1&" + v.Encode()
	}
	inactive := query("tql", "indicatorActive = false", "count", "true")
	for _, c := range []struct {
		name         string
		unknowns     Unknowns
		target       string
		usual, other string // what begins the answer's status and body
	}{
		{"field", Unknowns{Lenient: true}, query("fields", "nothing.more"), "400", "200"},
		{"sorting", Unknowns{Lenient: true}, query("sorting", "nothing asc"), "400", "200"},
		{"offset", Unknowns{RefusePastEnd: true}, query("resultStart", "999999"), `200 {"data":[]`, "400"},
		{"offset of nothing", Unknowns{RefusePastEnd: true}, query("tql", "id = 0"), `200 {"data":[]`, `200 {"data":[]`},
		{"inactive", Unknowns{HideInactive: true}, inactive, `200 {"next"`, `200 {"data":[],"count":0`},
		{"unit", Unknowns{NowUnits: []string{"DAY"}}, query("tql", "dateAdded < 'NOW() - 2 Hours'"), "200", "400"},
		{"unit that is known", Unknowns{NowUnits: []string{"DAY"}}, query("tql", "dateAdded < `TODAY() - 1 day`"), "200", "200"},
		{"withheld", Unknowns{Withheld: []string{"tags"}}, query("fields", "tags"), "200", "400"},
		{"variable", Unknowns{Variables: map[string]string{"a b": "c"}}, "/api/internal/variable/runtime/TC/a%20b", "404", `200 {"data":"c"}`},
		{"variable by key", Unknowns{Variables: map[string]string{"a": "c"}, VariablesByKey: true}, "/api/internal/variable/runtime/TC/a", "404", "403"},
	} {
		for _, set := range []bool{false, true} {
			o, want := Options{}, c.usual
			if set {
				o.Unknowns, want = c.unknowns, c.other
			}
			w := call(newTest(t, o), "GET", c.target, "")
			if got := w.Result().Status[:4] + w.Body.String(); !strings.HasPrefix(got, want) {
				t.Errorf("%s, set %v: %.200s, want %s", c.name, set, got, want)
			}
		}
	}
}

func TestZoneOfDates(t *testing.T) {
	row := newTest(t, Options{}).Rows()[7]
	for hours, want := range map[int]int{0: 1, 2: 0} {
		s := newTest(t, Options{Unknowns: Unknowns{Zone: time.FixedZone("zone", hours*3600)}})
		for layout, want := range map[string]int{time.DateTime: want, "2006-01-02T15:04:05": want, timeLayout: 1} {
			moment := row.DateAdded.Format(layout)
			rows, err := s.Select(Query{TQL: `indicatorActive in (true, false) and id = ` + strconv.FormatInt(row.ID, 10) + ` and dateAdded = "` + moment + `"`})
			if err != nil || len(rows) != want {
				t.Errorf("%d hours from UTC, %s: %d rows, want %d, %v", hours, moment, len(rows), want, err)
			}
		}
	}
}

func TestAuthFailures(t *testing.T) {
	for form, want := range map[string]string{
		AuthPlain: `{"message":"Unauthorized","status":"Error"}`, AuthCode: `{"errCode":"0x1002","message":"Unauthorized","status":"Error"}`,
		AuthVersion: `{"message":"Unauthorized","status":"Failure"}`, AuthPage: "<html>",
	} {
		w := call(newTest(t, Options{Unknowns: Unknowns{AuthFailure: form}}), "GET", "/api/v3/security/owners", "", "Authorization", "TC-Token none")
		if w.Code != 401 || !strings.HasPrefix(w.Body.String(), want) {
			t.Errorf("%q: %d %s", form, w.Code, w.Body)
		}
	}
}

func TestClockAhead(t *testing.T) {
	for _, ahead := range []time.Duration{0, 10 * time.Minute, -10 * time.Minute} {
		s := newTest(t, Options{Unknowns: Unknowns{ClockAhead: ahead}})
		now := time.Now()
		for _, signed := range []time.Time{now, now.Add(ahead)} {
			const target = "/api/v3/security/owners"
			w := call(s, "GET", target, "", "Authorization", "TC "+DefaultAccessID+":"+Signature(DefaultSecretKey, target, "GET", signed.Unix()),
				"Timestamp", strconv.FormatInt(signed.Unix(), 10))
			date, err := time.Parse(time.RFC1123, w.Header().Get("Date"))
			right := signed.Sub(now) == ahead
			if (w.Code == 200) != right || err != nil || date.Sub(now.Add(ahead)).Abs() > time.Minute {
				t.Errorf("ahead by %v, signed at %v: %d at %v, %v", ahead, signed, w.Code, date, err)
			}
		}
	}
}
