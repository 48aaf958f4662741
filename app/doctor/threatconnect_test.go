package doctor

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"mssentinel/app/platform"
	"mssentinel/app/standin/tcserver"
	"mssentinel/app/threatconnect"
)

const (
	tcToken    = "APIV2:1:a-token-for-the-doctor="
	tcVarValue = "the value of the variable"
)

// tcRun is a doctor that asks a stand-in of ThreatConnect alone.
type tcRun struct {
	standin *tcserver.Server
	doctor  *Doctor
}

func newTCRun(t *testing.T, o tcserver.Options) tcRun {
	t.Helper()
	if o.Population == nil {
		o.Population = tcserver.Generate(1000, 3, time.Now())
	}
	o.Tokens = []string{tcToken}
	o.Unknowns.Variables = map[string]string{"shared secret": tcVarValue}
	s := tcserver.New(o)
	server := httptest.NewServer(s)
	t.Cleanup(func() {
		s.Close()
		server.Close()
	})
	client := threatconnect.New(threatconnect.Options{BaseURL: server.URL, AccessID: tcserver.DefaultAccessID,
		SecretKey: func() string { return tcserver.DefaultSecretKey }})
	credentials := []platform.Credential{
		{Name: "the Service's token", Authorize: func(r *http.Request) error {
			r.Header.Set("Authorization", "TC-Token "+tcToken)
			return nil
		}},
		{Name: "the API user's key", Authorize: func(r *http.Request) error {
			threatconnect.SignRequest(r, tcserver.DefaultAccessID, tcserver.DefaultSecretKey)
			return nil
		}},
	}
	d := New(Options{Probes: []Probe{NewThreatConnectProbe(client, credentials)}, Version: "1.0", Logger: slog.New(slog.DiscardHandler),
		Clean: func(s string) string { return s }, Keep: func(Report) error { return nil }})
	return tcRun{s, d}
}

// ask runs the doctor once, and checks what holds for every report: the bound, that nothing but GET was sent, and that no
// value of an indicator, no secret and no name of an owner is in it.
func (r tcRun) ask(t *testing.T, q Request) Report {
	t.Helper()
	before := r.standin.RequestCount()
	if err := r.doctor.Ask(q); err != nil {
		t.Fatal(err)
	}
	if err := r.doctor.Run(t.Context(), func(string) {}); err != nil {
		t.Fatal(err)
	}
	report, _ := r.doctor.Last()
	if n := r.standin.RequestCount() - before; n > MostThreatConnectRequests {
		t.Errorf("the doctor sent %d requests", n)
	}
	for _, request := range r.standin.Requests() {
		if request.Method != http.MethodGet {
			t.Errorf("the doctor sent %s %s", request.Method, request.Target)
		}
	}
	text := report.Text()
	secrets := []string{tcToken, tcVarValue, tcserver.DefaultSecretKey, tcserver.DefaultAccessID, q.Indicator}
	for _, o := range r.standin.Owners() {
		secrets = append(secrets, o.Name)
	}
	for _, row := range r.standin.Rows()[:20] {
		secrets = append(secrets, row.Summary())
	}
	for _, secret := range secrets {
		if len(secret) > 3 && strings.Contains(text, secret) {
			t.Errorf("the report holds %q:\n%s", secret, text)
		}
	}
	return report
}

func lineOf(t *testing.T, r Report, id string) Line {
	t.Helper()
	at := slices.IndexFunc(r.Lines, func(l Line) bool { return l.ID == id })
	if at < 0 {
		t.Fatalf("no line %s", id)
	}
	return r.Lines[at]
}

// Where ThreatConnect is as the documentation says, every question has its answer, and none differs.
func TestThreatConnectAsDocumented(t *testing.T) {
	run := newTCRun(t, tcserver.Options{})
	row := run.standin.Rows()[1]
	if err := run.standin.Delete(row.ID); err != nil {
		t.Fatal(err)
	}
	report := run.ask(t, Request{Variable: "shared secret", Indicator: ""})
	for _, l := range report.Lines {
		if l.Differs || l.Verdict == Failed {
			t.Errorf("%s: %+v", l.ID, l)
		}
		open := []string{tcLastModified, tcPastEnd, tcDeletedDate}
		if l.Verdict == NotTried && !slices.Contains(open, l.ID) {
			t.Errorf("%s was not tried: %s", l.ID, l.Evidence)
		}
	}
	if h := report.Headline(); !strings.HasPrefix(h, "THREATCONNECT ok (clock ") || !strings.Contains(h, " s, 5 owners, fields all)") {
		t.Error(report.Headline())
	}
}

// tcSwitch is one position of a switch of the stand-in, and what the doctor finds.
type tcSwitch struct {
	name     string
	options  tcserver.Options
	id       string
	usual    Verdict // without the switch
	verdict  Verdict
	differs  bool
	evidence string
}

var tcSwitches = []tcSwitch{
	{"errCode", withUnknowns(tcserver.Unknowns{AuthFailure: tcserver.AuthCode}), tcAuthFailure, Yes, Yes, false, "errCode 0x1002"},
	{"version 2", withUnknowns(tcserver.Unknowns{AuthFailure: tcserver.AuthVersion}), tcAuthFailure, Yes, Yes, false, `status "Failure", no errCode`},
	{"a page", withUnknowns(tcserver.Unknowns{AuthFailure: tcserver.AuthPage}), tcAuthFailure, Yes, No, true, "text/html"},
	{"clamped", tcserver.Options{ClampLimit: true}, tcLimit, Yes, No, false, "200"},
	{"unknown field", withUnknowns(tcserver.Unknowns{Lenient: true}), tcUnknownField, Yes, No, true, "200"},
	{"unknown sorting", withUnknowns(tcserver.Unknowns{Lenient: true}), tcBadSorting, Yes, No, true, "200"},
	{"behind the end", withUnknowns(tcserver.Unknowns{RefusePastEnd: true}), tcPastEnd, Yes, No, false, "resultStart"},
	{"behind the end", withUnknowns(tcserver.Unknowns{RefusePastEnd: true}), tcLimit, Yes, Yes, false, "resultLimit"},
	{"no body", tcserver.Options{NoBody: true}, tcBody, Yes, No, true, "200"},
	{"no body", tcserver.Options{NoBody: true}, tcNowUnits, Yes, Yes, false, "SECOND"},
	{"units", withUnknowns(tcserver.Unknowns{NowUnits: []string{"HOUR", "DAY"}}), tcBody, Yes, Yes, false, "0x2001"},
	{"units", withUnknowns(tcserver.Unknowns{NowUnits: []string{"HOUR", "DAY"}}), tcNowUnits, Yes, No, false, "known by itself: HOUR"},
	{"zone", withUnknowns(tcserver.Unknowns{Zone: time.FixedZone("CET", 3600)}), tcNaiveDates, Yes, No, false, "with Z and not without"},
	{"inactive", withUnknowns(tcserver.Unknowns{HideInactive: true}), tcInactive, Yes, No, false, "0 rows"},
	{"deleted", tcserver.Options{DeletedShowsAdded: true}, tcDeletedDate, Yes, No, false, "of 5 rows"},
	{"withheld", withUnknowns(tcserver.Unknowns{Withheld: []string{"tags"}}), tcFields, Yes, No, true, "tags refused with 400"},
	{"withheld", tcserver.Options{LinkLimitStatus: 403, Unknowns: tcserver.Unknowns{Withheld: []string{"securityLabels"}}}, tcFields, Yes, No, true, "403"},
	{"withheld as by the login", tcserver.Options{LinkLimitStatus: 401, Unknowns: tcserver.Unknowns{Withheld: []string{"attributes"}}}, tcFields, Yes, No, true, "401"},
	{"blank", tcserver.Options{TrailingBlank: true}, tcDates, Yes, No, true, `"9999-99-99T99:99:99Z "`},
	{"links", tcserver.Options{LinkBase: "https://inner.example"}, tcLinks, Yes, Yes, false, "another host"},
	{"clock", withUnknowns(tcserver.Unknowns{ClockAhead: 3 * time.Minute}), tcClock, Value, Value, true, "clock shows +1"},
	{"variables", withUnknowns(tcserver.Unknowns{VariablesByKey: true}), tcVariable, Yes, Yes, false, "token: 403; with the API user's key: 200"},
	{"owners", tcserver.Options{MoreOwners: tcserver.ManyOwners(180)}, tcOwners, Value, Value, false, "185 owners"},
}

func withUnknowns(u tcserver.Unknowns) tcserver.Options { return tcserver.Options{Unknowns: u} }

// The doctor finds each position of each switch for what is not known.
func TestThreatConnectSwitches(t *testing.T) {
	for _, c := range tcSwitches {
		t.Run(c.id+" "+c.name, func(t *testing.T) {
			t.Parallel()
			for _, set := range []bool{false, true} {
				o := c.options
				if !set {
					o = tcserver.Options{}
				}
				run := newTCRun(t, o)
				for _, r := range oldRows(run.standin) {
					if err := run.standin.Delete(r.ID); err != nil {
						t.Fatal(err)
					}
				}
				q := Request{}
				if c.id == tcVariable {
					q.Variable = "shared secret"
				}
				l := lineOf(t, run.ask(t, q), c.id)
				switch {
				case !set && (l.Verdict != c.usual || l.Differs):
					t.Errorf("without the switch: %+v", l)
				case set && (l.Verdict != c.verdict || l.Differs != c.differs || !strings.Contains(l.Evidence, c.evidence)):
					t.Errorf("with the switch: %+v, want %s (differs %v) by %q", l, c.verdict, c.differs, c.evidence)
				}
			}
		})
	}
}

// oldRows are five active rows of the owner of the first one, added long ago, and not the first.
func oldRows(s *tcserver.Server) (rows []tcserver.Row) {
	all := s.Rows()
	first := slices.IndexFunc(all, func(r tcserver.Row) bool { return r.Active })
	for _, r := range all[first+1:] {
		if r.Owner == all[first].Owner && r.Active && time.Since(r.DateAdded) > 30*24*time.Hour && len(rows) < 5 {
			rows = append(rows, r)
		}
	}
	return rows
}

// Two runs show whether what was done between them moves lastModified.
func TestThreatConnectLastModified(t *testing.T) {
	inactive := func(s *tcserver.Server, id int64) error { return s.SetActive(id, false) }
	for name, c := range map[string]struct {
		options tcserver.Options
		change  func(s *tcserver.Server, id int64) error
		verdict Verdict
		says    string
	}{
		"nothing":           {tcserver.Options{}, func(*tcserver.Server, int64) error { return nil }, Value, "nothing has changed"},
		"a tag alone":       {tcserver.Options{}, func(s *tcserver.Server, id int64) error { return s.SetTags(id, "by the operator") }, No, "changed are: tags"},
		"a rating":          {tcserver.Options{}, func(s *tcserver.Server, id int64) error { return s.Modify(id, map[string]any{"rating": 1.0}) }, Yes, "changed are: rating"},
		"the time":          {tcserver.Options{}, func(s *tcserver.Server, id int64) error { return s.Modify(id, nil) }, Yes, "none of what the App reads"},
		"the status":        {tcserver.Options{}, inactive, Yes, "changed are: active"},
		"the status, alone": {tcserver.Options{StatusKeepsLastModified: true}, inactive, No, "changed are: active"},
	} {
		t.Run(name, func(t *testing.T) {
			run := newTCRun(t, c.options)
			rows := run.standin.Rows()
			row := rows[slices.IndexFunc(rows, func(r tcserver.Row) bool {
				return r.Active && r.Type == "Host" && strings.Contains(string(r.JSON()), `"rating":3`) && time.Since(r.LastModified) > time.Hour
			})]
			q := Request{Indicator: row.Summary()}
			if l := lineOf(t, run.ask(t, q), tcLastModified); l.Verdict != Value || !strings.Contains(l.Evidence, row.LastModified.Format(time.RFC3339)) {
				t.Fatalf("the first run: %+v", l)
			}
			if err := c.change(run.standin, row.ID); err != nil {
				t.Fatal(err)
			}
			if l := lineOf(t, run.ask(t, q), tcLastModified); l.Verdict != c.verdict || !strings.Contains(l.Evidence, c.says) {
				t.Errorf("the second run: %+v", l)
			}
			q.Indicator = "no such summary"
			if l := lineOf(t, run.ask(t, q), tcLastModified); l.Verdict != NotTried {
				t.Errorf("another indicator: %+v", l)
			}
		})
	}
}

// Everything at once that takes more requests stays within the bound, and says what it left.
func TestThreatConnectBound(t *testing.T) {
	run := newTCRun(t, tcserver.Options{NoBody: true, Unknowns: tcserver.Unknowns{RefusePastEnd: true, NowUnits: []string{"DAY"},
		Withheld: []string{"tags", "attributes"}, Zone: time.FixedZone("far", 5*3600)}})
	report := run.ask(t, Request{Variable: "shared secret", Indicator: run.standin.Rows()[4].Summary()})
	if n := run.standin.RequestCount(); n != MostThreatConnectRequests {
		t.Errorf("%d requests, want all %d", n, MostThreatConnectRequests)
	}
	if l := lineOf(t, report, tcNowUnits); l.Verdict != NotTried || !strings.Contains(l.Evidence, "bound of 15") {
		t.Errorf("%+v", l)
	}
}

// A ThreatConnect that refuses the API user, or cannot be reached, is asked nothing else.
func TestThreatConnectOutOfReach(t *testing.T) {
	refusing := newTCRun(t, tcserver.Options{})
	refusing.standin.SetSecretKey(tcserver.DefaultAccessID, "another key")
	report := refusing.ask(t, Request{})
	if l := lineOf(t, report, tcAnswers); l.Verdict != No || !l.Differs || refusing.standin.RequestCount() != 1 || !strings.Contains(report.Headline(), "refused (401)") {
		t.Errorf("%d requests, %s, %+v", refusing.standin.RequestCount(), report.Headline(), l)
	}
	client := threatconnect.New(threatconnect.Options{BaseURL: "https://tc.invalid", AccessID: "1", SecretKey: func() string { return "key" },
		Transport: failingTransport{}})
	d := New(Options{Probes: []Probe{NewThreatConnectProbe(client, nil)}, Logger: slog.New(slog.DiscardHandler),
		Clean: func(s string) string { return s }, Keep: func(Report) error { return nil }})
	if err := d.Run(t.Context(), func(string) {}); err != nil {
		t.Fatal(err)
	}
	report, _ = d.Last()
	if l := lineOf(t, report, tcAnswers); l.Verdict != Failed || !strings.Contains(l.Evidence, "tc.invalid") || !strings.Contains(report.Headline(), "not reached") {
		t.Errorf("%s, %+v", report.Headline(), l)
	}
}

type failingTransport struct{}

func (failingTransport) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("no way there")
}

// The facts and the questions name each other.
func TestThreatConnectLinesStandInTheDocs(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "docs", "threatconnect.md"))
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, m := range regexp.MustCompile("`(threatconnect\\.[a-z-]+)`").FindAllStringSubmatch(string(text), -1) {
		named[m[1]] = true
	}
	for _, q := range threatConnectQuestions {
		if !named[q.ID] {
			t.Errorf("%s stands at no fact", q.ID)
		}
		delete(named, q.ID)
		if !strings.HasSuffix(q.Text, "?") {
			t.Errorf("%s is no question: %s", q.ID, q.Text)
		}
	}
	for id := range named {
		t.Errorf("the docs name %s, which the doctor does not ask", id)
	}
}
