package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mssentinel/app/sentinel"
	"mssentinel/app/standin/sentinelserver"
)

const (
	azureTenant    = "11111111-2222-4333-8444-555555555555"
	azureClient    = "66666666-7777-4888-9999-aaaaaaaaaaaa"
	azureSecret    = "Very/Secret+Value"
	azureWorkspace = "bbbbbbbb-cccc-4ddd-8eee-ffffffffffff"
	realSource     = "ThreatConnect-Test"
)

// azureSetup is one position of the stand-in's switches, and what is allowed.
type azureSetup struct {
	standin sentinelserver.Options
	cloud   string
	faults  []sentinelserver.Fault
	change  func(*sentinelserver.Server)
	request Request
	live    func(context.Context) (int64, error)
	pacer   *sentinel.Pacer
}

// azureWorld is a doctor that asks a stand-in in memory, in simulated time.
type azureWorld struct {
	far    *sentinelserver.Server
	client *sentinel.Client
	log    bytes.Buffer
	doctor *Doctor
	probe  Probe
}

func newAzureWorld(t *testing.T, s azureSetup) *azureWorld {
	t.Helper()
	time.Sleep(time.Until(time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)))
	w := &azureWorld{}
	s.standin.Apps = []sentinelserver.App{{TenantID: azureTenant, ClientID: azureClient, ClientSecret: azureSecret}}
	s.standin.Workspaces = []string{azureWorkspace}
	w.far = sentinelserver.New(s.standin)
	if s.change != nil {
		s.change(w.far)
	}
	for _, f := range s.faults {
		if err := w.far.Inject(f); err != nil {
			t.Fatal(err)
		}
	}
	far := w.far.ListenInMemory()
	t.Cleanup(func() { far.Close() })
	var err error
	w.client, err = sentinel.New(sentinel.Options{Cloud: s.cloud, AuthorityURL: far.URL, UploadURL: far.URL, LogAnalyticsURL: far.URL, Transport: far.Transport,
		TenantID: azureTenant, ClientID: azureClient, Secret: func() string { return azureSecret }, WorkspaceID: azureWorkspace, Pacer: s.pacer,
		Logger: slog.New(slog.NewTextHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	w.probe = AzureProbe(AzureOptions{Client: w.client, Source: realSource, Live: s.live})
	w.doctor = New(Options{Version: "1.0", Logger: slog.New(slog.DiscardHandler), Rechecks: AzureRechecks, Probes: []Probe{w.probe},
		Clean: func(s string) string { return s }, Keep: func(Report) error { return nil }})
	return w
}

// examineAzure runs the doctor to its end, and returns the lines by their id.
func examineAzure(t *testing.T, s azureSetup) (*azureWorld, map[string]Line, string) {
	t.Helper()
	w := newAzureWorld(t, s)
	if err := w.doctor.Ask(s.request); err != nil {
		t.Fatal(err)
	}
	if err := w.doctor.Run(t.Context(), func(string) {}); err != nil {
		t.Fatal(err)
	}
	report, _ := w.doctor.Last()
	lines := map[string]Line{}
	for _, l := range report.Lines {
		lines[l.ID] = l
		if len(l.Evidence) == maxEvidence || len(l.Effect) == maxEffect {
			t.Errorf("%s is cut: %+v", l.ID, l)
		}
	}
	if n := w.far.RequestCount(); n > maxProbes {
		t.Errorf("%d requests to Sentinel", n)
	}
	text := report.Text() + w.log.String()
	for _, hidden := range []string{azureSecret, "eyJ", "Bearer"} {
		if strings.Contains(text, hidden) {
			t.Errorf("%q is shown", hidden)
		}
	}
	return w, lines, report.Summaries[0].Text
}

// asDefault are the answers of the stand-in as it is.
var asDefault = map[string]Verdict{
	"azure.token": Yes, "azure.role": Yes, "azure.success": Value, "azure.record-errors": Value, "azure.all-invalid": Value,
	"azure.empty-list": Value, "azure.objects-limit": No, "azure.reserved-source": Yes, "azure.body-limit": NotTried,
	"azure.read-right": Yes, "azure.real-source": Value, "azure.latency": Value, "azure.expired": Yes, "azure.rows-per-upload": Yes,
	"azure.throttling": NotTried, "azure.update-method": Value, "azure.tags": No, "azure.observable": Yes, "azure.escapes": No, "azure.and": Value, "azure.or": Value,
	"azure.subset": No, "azure.long-pattern": No, "azure.description-cut": Value, "azure.labels": Yes, "azure.spec-version": Value,
	"azure.older-modified": Yes, "azure.two-versions": Value, "azure.revoked": Yes,
}

func TestAzure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, lines, summary := examineAzure(t, azureSetup{})
		if summary != "ok" || len(lines) != len(asDefault) || w.far.RequestCount() != 10 {
			t.Errorf("%q after %d requests, %d lines", summary, w.far.RequestCount(), len(lines))
		}
		for id, want := range asDefault {
			if l := lines[id]; l.Verdict != want || l.Differs || l.Evidence == "" {
				t.Errorf("%s: %+v, want %s", id, l, want)
			}
		}
		if sources := w.far.Sources(); len(sources) != 1 || sources[0] != realSource+"-doctor" {
			t.Errorf("objects stand under %q", sources)
		}
		for _, r := range w.far.Rows() {
			if r.IsActive || r.ValidUntil == nil || !r.ValidUntil.Before(r.TimeGenerated) || fmt.Sprint(r.Data["labels"]) == "" ||
				!strings.Contains(fmt.Sprint(r.Data["labels"]), "doctor") {
				t.Errorf("a rule may match %+v", r)
			}
		}
	})
}

// found is what a line has to say.
type found struct {
	verdict Verdict
	part    string // of the evidence
	differs bool
}

// Each switch of the stand-in is found by its lines, and no other line changes because of it.
func TestAzureFindsEachSwitch(t *testing.T) {
	unknowns := func(u sentinelserver.Unknowns) azureSetup {
		return azureSetup{standin: sentinelserver.Options{Unknowns: u}}
	}
	tests := map[string]struct {
		setup   azureSetup
		want    map[string]found
		summary string
	}{
		"other spelling": {azureSetup{standin: sentinelserver.Options{MessageKey: sentinelserver.ValidationErrorMessages}},
			map[string]found{"azure.record-errors": {Value, "recordIndex, validationErrorMessages; recordIndex of the second object: 1", false}}, "ok"},
		"both spellings": {azureSetup{standin: sentinelserver.Options{MessageKey: sentinelserver.BothMessages}},
			map[string]found{"azure.record-errors": {Value, "errorMessages, recordIndex, validationErrorMessages", false}}, "ok"},
		"byte order mark": {azureSetup{standin: sentinelserver.Options{ByteOrderMark: true}},
			map[string]found{"azure.record-errors": {Value, "byte order mark", false}}, "ok"},
		"all invalid 200": {unknowns(sentinelserver.Unknowns{AllInvalidStatus: 200}), map[string]found{"azure.all-invalid": {Value, "HTTP status 200", false}}, "ok"},
		"empty list 200":  {unknowns(sentinelserver.Unknowns{EmptyListStatus: 200}), map[string]found{"azure.empty-list": {Value, "HTTP status 200", false}}, "ok"},
		"empty list 404":  {unknowns(sentinelserver.Unknowns{EmptyListStatus: 404}), map[string]found{"azure.empty-list": {Value, "HTTP status 404", true}}, "ok"},
		"101 objects 413": {unknowns(sentinelserver.Unknowns{OverLimitStatus: 413}), map[string]found{"azure.objects-limit": {No, "HTTP status 413", false}}, "ok"},
		"101 objects 200": {unknowns(sentinelserver.Unknowns{OverLimitStatus: 200}), map[string]found{"azure.objects-limit": {Yes, "HTTP status 200", false}}, "ok"},
		"older ignored": {unknowns(sentinelserver.Unknowns{OlderModified: sentinelserver.Ignored}),
			map[string]found{"azure.older-modified": {No, "has no row", false}}, "ok"},
		"older refused": {unknowns(sentinelserver.Unknowns{OlderModified: sentinelserver.Refused}),
			map[string]found{"azure.older-modified": {No, "rejects it", false}}, "ok"},
		"second version ignored": {unknowns(sentinelserver.Unknowns{SecondVersion: sentinelserver.Ignored}),
			map[string]found{"azure.two-versions": {Value, "only the first", false}}, "ok"},
		"second version refused": {unknowns(sentinelserver.Unknowns{SecondVersion: sentinelserver.Refused}),
			map[string]found{"azure.two-versions": {Value, "rejects it", false}}, "ok"},
		"last row alone": {unknowns(sentinelserver.Unknowns{RowsOfLastAlone: true}), map[string]found{
			"azure.rows-per-upload": {No, "1 rows", false}, "azure.two-versions": {Value, "only the second", false}}, "ok"},
		"unrevoked ignored": {unknowns(sentinelserver.Unknowns{Unrevoked: sentinelserver.Ignored}), map[string]found{"azure.revoked": {No, "no row", false}}, "ok"},
		"unrevoked refused": {unknowns(sentinelserver.Unknowns{Unrevoked: sentinelserver.Refused}), map[string]found{"azure.revoked": {No, "rejects it", false}}, "ok"},
		"50 labels": {unknowns(sentinelserver.Unknowns{MaxLabels: 50}),
			map[string]found{"azure.labels": {No, "labels-20: 20 of 20, the longest of 9 characters; labels-100 is rejected: Error for Property=labels", true}}, "ok"},
		"50 labels kept": {unknowns(sentinelserver.Unknowns{MaxLabels: 50, ExtraLabels: sentinelserver.Ignored}),
			map[string]found{"azure.labels": {No, "labels-500: 50 of 500", true}}, "ok"},
		"short labels": {unknowns(sentinelserver.Unknowns{MaxLabel: 256, ExtraLabels: sentinelserver.Ignored}),
			map[string]found{"azure.labels": {No, "long-label: 1 of 2", true}}, "ok"},
		"short labels or none": {unknowns(sentinelserver.Unknowns{MaxLabel: 256}),
			map[string]found{"azure.labels": {No, "long-label is rejected", true}}, "ok"},
		"reserved as written":    {unknowns(sentinelserver.Unknowns{ReservedAsWritten: true}), map[string]found{"azure.reserved-source": {No, "let through", false}}, "ok"},
		"missing version is 2.0": {unknowns(sentinelserver.Unknowns{MissingVersionIs2: true}), map[string]found{"azure.spec-version": {Value, "2.0", false}}, "ok"},
		"version needed":         {azureSetup{standin: sentinelserver.Options{StrictVersion: true}}, map[string]found{"azure.spec-version": {Value, "rejects it", false}}, "ok"},
		"cut by UTF-16":          {unknowns(sentinelserver.Unknowns{Cut: sentinelserver.CutUTF16}), map[string]found{"azure.description-cut": {Value, "UTF-16", false}}, "ok"},
		"cut by bytes":           {unknowns(sentinelserver.Unknowns{Cut: sentinelserver.CutBytes}), map[string]found{"azure.description-cut": {Value, "counted: bytes", false}}, "ok"},
		"patterns cut":           {unknowns(sentinelserver.Unknowns{CutPatterns: true}), map[string]found{"azure.long-pattern": {Yes, "ObservableValue 1000", false}}, "ok"},
		"AND first": {unknowns(sentinelserver.Unknowns{AndComparison: sentinelserver.FirstComparison}),
			map[string]found{"azure.and": {Value, "windows-registry-key:key = HKEY_CURRENT_USER", false}}, "ok"},
		"AND last":       {unknowns(sentinelserver.Unknowns{AndComparison: sentinelserver.LastComparison}), map[string]found{"azure.and": {Value, "data_type = REG_SZ", false}}, "ok"},
		"OR once":        {unknowns(sentinelserver.Unknowns{OneOfOr: true}), map[string]found{"azure.or": {Value, "1 for 2", false}}, "ok"},
		"every operator": {unknowns(sentinelserver.Unknowns{EveryOperator: true}), map[string]found{"azure.subset": {Yes, "203.0.113.0/24", false}}, "ok"},
		"escapes undone": {unknowns(sentinelserver.Unknowns{EscapesUndone: true}), map[string]found{"azure.escapes": {Yes, `it's; a backslash: HKEY_CURRENT_USER\Doctor`, false}}, "ok"},
		"other method":   {unknowns(sentinelserver.Unknowns{UpdateMethod: "ThreatIntelUploadAPI"}), map[string]found{"azure.update-method": {Value, "ThreatIntelUploadAPI", false}}, "ok"},
		"tags":           {unknowns(sentinelserver.Unknowns{TagsFromLabels: true}), map[string]found{"azure.tags": {Yes, "doctor", false}}, "ok"},
		"expired active": {unknowns(sentinelserver.Unknowns{ExpiredActive: true}), map[string]found{"azure.expired": {No, "says IsActive", true}}, "ok"},
		"data dropped": {unknowns(sentinelserver.Unknowns{DataDropped: true}), map[string]found{"azure.tags": {Failed, "no Data", false},
			"azure.labels": {Failed, "no Data", false}, "azure.description-cut": {Failed, "no Data", false}}, "ok"},
		"rows late": {azureSetup{standin: sentinelserver.Options{Lag: 4 * time.Minute}}, map[string]found{"azure.latency": {Value, "seen 5m0s after", false}}, "ok"},
		"large bodies": {azureSetup{request: Request{LargeBodies: true}},
			map[string]found{"azure.body-limit": {Value, "1.5 MiB are taken, after 0 ms; 4.0 MiB are taken", false}}, "ok"},
		"2 MiB": {azureSetup{request: Request{LargeBodies: true}, standin: sentinelserver.Options{MaxBody: 2 << 20}},
			map[string]found{"azure.body-limit": {Value, "1.5 MiB are taken, after 0 ms; 4.0 MiB are refused: HTTP status 413", false}}, "ok"},
		"1 MiB": {azureSetup{request: Request{LargeBodies: true}, standin: sentinelserver.Options{MaxBody: 1 << 20}},
			map[string]found{"azure.body-limit": {Value, "1.5 MiB are refused: HTTP status 413", false}}, "ok"},
		"live": {azureSetup{live: func(context.Context) (int64, error) { return 0, nil }},
			map[string]found{"azure.real-source": {Yes, "0 active objects and 0 expired ones in the rows of 14 days; the App takes 0 for live", false}}, "ok"},
		"more live than there": {azureSetup{live: func(context.Context) (int64, error) { return 5000, nil }},
			map[string]found{"azure.real-source": {No, "the App takes 5000 for live", true}}, "ok"},
		"no ledger": {azureSetup{live: func(context.Context) (int64, error) { return 0, errors.New("broken") }},
			map[string]found{"azure.real-source": {Value, "broken", false}}, "ok"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, lines, summary := examineAzure(t, tt.setup)
				if summary != tt.summary {
					t.Errorf("the verdict line says %q", summary)
				}
				for id, l := range lines {
					want, named := tt.want[id]
					if !named {
						want = found{asDefault[id], "", false}
					}
					if l.Verdict != want.verdict || !strings.Contains(l.Evidence, want.part) || l.Differs != want.differs {
						t.Errorf("%s: %+v, want %+v", id, l, want)
					}
				}
			})
		})
	}
}

// The page of facts names the line of each open question, and no other.
func TestAzureQuestionsAreNamed(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "docs", "sentinel.md"))
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, id := range regexp.MustCompile("`(azure\\.[a-z0-9-]+)`").FindAllStringSubmatch(string(page), -1) {
		named[id[1]] = true
	}
	for _, q := range azureQuestions {
		if !named[q.ID] {
			t.Errorf("app/docs/sentinel.md does not name %s", q.ID)
		}
		delete(named, q.ID)
	}
	for id := range named {
		t.Errorf("app/docs/sentinel.md names %s, which the doctor does not answer", id)
	}
}
