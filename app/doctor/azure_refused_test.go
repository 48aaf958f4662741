package doctor

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mssentinel/app/sentinel"
	"mssentinel/app/standin/sentinelserver"
	"mssentinel/app/stix"
)

// Where the first object is refused, nothing else is tried, and the report says what to do.
func TestAzureRefused(t *testing.T) {
	noRole := func(s *sentinelserver.Server) { s.SetRole(azureClient, false) }
	const role = "Microsoft Sentinel Contributor"
	tests := map[string]struct {
		setup    azureSetup
		requests int
		line     string // that says so
		want     found
		effect   string // part of it
		summary  string
	}{
		"403": {azureSetup{change: noRole}, 1, "azure.role", found{No, "HTTP status 403, code Forbidden", true}, role, "role missing (403 Forbidden)"},
		"401": {azureSetup{change: noRole, standin: sentinelserver.Options{NoRoleStatus: 401}}, 1, "azure.role",
			found{No, "HTTP status 401: ", true}, role, "role missing (401)"},
		"401, as it was seen": {azureSetup{change: noRole, standin: sentinelserver.Options{NoRoleStatus: 401, NoRoleSeen: true}}, 1, "azure.role",
			found{No, "HTTP status 401, code UnauthorizedAccess", true}, "Unified RBAC", "role missing (401 UnauthorizedAccess)"},
		"400, as it was seen": {azureSetup{change: noRole, standin: sentinelserver.Options{NoRoleStatus: 400, NoRoleSeen: true}}, 1, "azure.role",
			found{No, "does not have required permission", true}, "Unified RBAC", "role missing (400 UnauthorizedAccess)"},
		"404, as it was seen": {azureSetup{change: noRole, standin: sentinelserver.Options{NoRoleStatus: 404, NoRoleSeen: true}}, 1, "azure.role",
			found{No, "code UnauthorizedAccess", true}, role, "role missing (404 UnauthorizedAccess)"},
		"another cloud": {azureSetup{cloud: "US Government"}, 1, "azure.role",
			found{No, "HTTP status 401, without a body", true}, "Check Azure Cloud", "token not taken (401 without a body), rows not read"},
		"unknown workspace": {azureSetup{faults: []sentinelserver.Fault{{Kind: sentinelserver.Status, Status: 404}}}, 1, "azure.role",
			found{Failed, "HTTP status 404", true}, "Compare Sentinel Workspace ID", "upload refused (404)"},
		"a page": {azureSetup{faults: []sentinelserver.Fault{{Kind: sentinelserver.Status, Status: 403, Form: "html"}}}, 1, "azure.role",
			found{Failed, "A proxy, a firewall or a page to log in answers", true}, "proxy settings", "upload refused (403)"},
		"throttled": {azureSetup{faults: []sentinelserver.Fault{{Kind: sentinelserver.Throttle, Seconds: 30}}}, 1, "azure.role",
			found{Failed, "limit of requests is reached", true}, "share its limit", "upload refused (429)"},
		"no connection": {azureSetup{faults: []sentinelserver.Fault{{Kind: sentinelserver.CutBefore}}}, 1, "azure.role",
			found{Failed, "broke off", false}, "", "no answer"},
		"a good object": {azureSetup{faults: []sentinelserver.Fault{{Kind: sentinelserver.RefuseRecord}}}, 1, "azure.success",
			found{Failed, "Value is not accepted", true}, "see REPORT", "a good object is rejected"},
		"expired secret": {azureSetup{faults: []sentinelserver.Fault{{Kind: sentinelserver.TokenError, Code: 7000222}}}, 0, "azure.token",
			found{No, "The client secret has expired", true}, "Create a new one", "login refused"},
		"no login": {azureSetup{faults: []sentinelserver.Fault{{Kind: sentinelserver.TokenStatus}}}, 0, "azure.token",
			found{Failed, "out of order", false}, "", "no token"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, lines, summary := examineAzure(t, tt.setup)
				l := lines[tt.line]
				if l.Verdict != tt.want.verdict || !strings.Contains(l.Evidence, tt.want.part) || l.Differs != tt.want.differs || !strings.Contains(l.Effect, tt.effect) {
					t.Errorf("%+v, want %+v and %q", l, tt.want, tt.effect)
				}
				if summary != tt.summary || w.far.RequestCount() != tt.requests {
					t.Errorf("%q after %d requests", summary, w.far.RequestCount())
				}
				for _, id := range []string{"azure.all-invalid", "azure.labels", "azure.revoked", "azure.or"} {
					if lines[id].Verdict != NotTried || lines[id].Evidence == "" {
						t.Errorf("%+v", lines[id])
					}
				}
			})
		})
	}
}

// A token of another cloud is told by its audience, too.
func TestAzureToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, lines, _ := examineAzure(t, azureSetup{cloud: "US Government", standin: sentinelserver.Options{Audiences: []string{"https://management.usgovcloudapi.net"}}})
		if l := lines["azure.token"]; l.Verdict != Yes || !strings.Contains(l.Evidence, "audience https://management.usgovcloudapi.net, application "+azureClient+", object ") ||
			!strings.Contains(l.Evidence, "expires in 1h0m0s, roles: none") {
			t.Errorf("%+v", l)
		}
	})
	for name, tt := range map[string]struct {
		claims sentinel.Claims
		want   string
	}{
		"audience":    {sentinel.Claims{Audience: "https://graph.microsoft.com", IsOurs: true}, "check Azure Cloud"},
		"application": {sentinel.Claims{AppID: "other", Fits: true}, "compare Client ID"},
	} {
		a := judgeClaims(tt.claims)
		if a.Verdict != No || !a.Differs || !strings.Contains(a.Effect, tt.want) || !strings.Contains(a.Evidence, "expires unknown") {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

// What may not be read is said with the role and with KQL to paste, and so is what does not come.
func TestAzureWithoutRows(t *testing.T) {
	rowLines := []string{"azure.latency", "azure.update-method", "azure.observable", "azure.revoked", "azure.labels"}
	tests := map[string]struct {
		setup   azureSetup
		right   found
		effect  string
		lines   Verdict // of those that need rows
		expired found
		summary string
	}{
		"no right": {azureSetup{change: func(s *sentinelserver.Server) { s.SetReadRight(azureClient, false) }},
			found{No, "KQL to paste under Logs of the workspace: ThreatIntelIndicators | where TimeGenerated > ago(1d) and SourceSystem == 'ThreatConnect-Test-doctor' |", false},
			"Log Analytics Reader", NotTried, found{NotTried, "azure.read-right", false}, "ok, rows not readable (no right)"},
		"no right, with its inner error": {azureSetup{standin: sentinelserver.Options{NoReadInner: true}, change: func(s *sentinelserver.Server) { s.SetReadRight(azureClient, false) }},
			found{No, "KQL to paste under Logs of the workspace", false}, "Log Analytics Reader", NotTried, found{NotTried, "azure.read-right", false},
			"ok, rows not readable (no right)"},
		"out of order": {azureSetup{faults: []sentinelserver.Fault{{Kind: sentinelserver.QueryStatus, Status: 503, Count: -1}}},
			found{Failed, "out of order", false}, "", NotTried, found{NotTried, "azure.read-right", false}, "ok, rows not read"},
		"no row of what has expired": {azureSetup{standin: sentinelserver.Options{Unknowns: sentinelserver.Unknowns{ExpiredNoRow: true}}},
			found{Yes, "answers", false}, "", Failed, found{No, "no row within 10 minutes", true}, "ok, no rows"},
		"later than anybody waits": {azureSetup{standin: sentinelserver.Options{Lag: time.Hour}},
			found{Yes, "answers", false}, "", Failed, found{No, "no row within 10 minutes", true}, "ok, no rows"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, lines, summary := examineAzure(t, tt.setup)
				if l := lines["azure.read-right"]; l.Verdict != tt.right.verdict || !strings.Contains(l.Evidence, tt.right.part) || !strings.Contains(l.Effect, tt.effect) {
					t.Errorf("%+v", l)
				}
				if l := lines["azure.expired"]; l.Verdict != tt.expired.verdict || !strings.Contains(l.Evidence, tt.expired.part) || l.Differs != tt.expired.differs {
					t.Errorf("%+v", l)
				}
				for _, id := range rowLines {
					if l := lines[id]; l.Verdict != tt.lines && !(id == "azure.labels" && l.Verdict == NotTried) || l.Evidence == "" {
						t.Errorf("%+v", l)
					}
				}
				if summary != tt.summary || lines["azure.role"].Verdict != Yes {
					t.Errorf("%q, %+v", summary, lines["azure.role"])
				}
			})
		})
	}
}

// The right to read may arrive while a run waits.
func TestAzureReadsLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newAzureWorld(t, azureSetup{change: func(s *sentinelserver.Server) { s.SetReadRight(azureClient, false) }})
		time.AfterFunc(3*time.Minute, func() { w.far.SetReadRight(azureClient, true) })
		if err := w.doctor.Run(t.Context(), func(string) {}); err != nil {
			t.Fatal(err)
		}
		report, _ := w.doctor.Last()
		if report.Summaries[0].Text != "ok" || strings.Contains(report.Text(), "awaited") {
			t.Error(report.Text())
		}
	})
}

// Queries that were out of order for a while are made up for.
func TestAzureReadsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newAzureWorld(t, azureSetup{standin: sentinelserver.Options{Lag: 4 * time.Minute},
			faults: []sentinelserver.Fault{{Kind: sentinelserver.QueryStatus, Status: 503, After: 1, Count: 4}}})
		answers := openAnswers(w.probe)
		w.probe.Examine(t.Context(), Request{}, answers)
		for _, want := range []string{"ok, rows not read", "ok, rows awaited", "ok"} {
			if got := w.probe.Recheck(t.Context(), answers); got != want {
				t.Errorf("%q, want %q", got, want)
			}
			time.Sleep(2 * time.Minute)
		}
		for _, l := range answers.lines {
			if l.ID == "azure.read-right" && l.Verdict != Yes || strings.Contains(l.Evidence, "awaited") {
				t.Errorf("%+v", l)
			}
		}
	})
}

// While an update is sent the probes take their turn, and the limit holds.
func TestAzureDuringAnUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newAzureWorld(t, azureSetup{pacer: sentinel.NewPacer(nil, 20, time.Minute)})
		var update sync.WaitGroup
		update.Go(func() {
			for n := range 60 {
				object := fmt.Appendf(nil, `{"type":"indicator","spec_version":"2.1","id":"indicator--00000000-0000-5000-8000-%012d","created":"2026-01-02T03:04:05.000Z",`+
					`"modified":"2026-01-02T03:04:05.000Z","pattern":"[domain-name:value = 'a']","pattern_type":"stix","valid_from":"2026-01-02T03:04:05.000Z"}`, n)
				if err := w.client.Deliver(t.Context(), realSource, [][]byte{object}, sentinel.Report{Settle: func(sentinel.Outcome) error { return nil }}); err != nil {
					t.Error(err)
				}
			}
		})
		if err := w.doctor.Ask(Request{LargeBodies: true}); err != nil {
			t.Fatal(err)
		}
		if err := w.doctor.Run(t.Context(), func(string) {}); err != nil {
			t.Fatal(err)
		}
		update.Wait()
		probes, uploads := 0, 0
		for _, r := range w.far.Requests() {
			switch r.Source {
			case realSource:
				uploads++
			default:
				probes++
			}
		}
		if probes != maxProbes || uploads != 60 || w.far.MaxInWindow(true) > 20 || len(w.far.Objects(realSource)) != 60 {
			t.Errorf("%d probes, %d uploads, %d requests in a minute", probes, uploads, w.far.MaxInWindow(true))
		}
		if report, _ := w.doctor.Last(); report.Summaries[0].Text != "ok" {
			t.Error(report.Text())
		}
	})
}

// Where there is no turn for the probes, the run ends all the same and says why.
func TestAzureWithoutATurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newAzureWorld(t, azureSetup{faults: []sentinelserver.Fault{{Kind: sentinelserver.Throttle, Seconds: 3000, After: 3}}})
		began := time.Now()
		if summary := w.probe.Examine(t.Context(), Request{}, openAnswers(w.probe)); summary != "broken off, rows awaited" || time.Since(began) > uploadBudget+time.Minute {
			t.Errorf("%q after %v", summary, time.Since(began))
		}
		if n := w.far.RequestCount(); n != 4 {
			t.Errorf("%d requests", n)
		}
	})
}

func openAnswers(p Probe) *Answers {
	_, lines := p.openLines()
	return &Answers{clean: func(s string) string { return s }, lines: lines}
}

// A second run finds the same, and leaves no more objects behind than one.
func TestAzureTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newAzureWorld(t, azureSetup{standin: sentinelserver.Options{Unknowns: sentinelserver.Unknowns{Unrevoked: sentinelserver.Ignored, OlderModified: sentinelserver.Ignored}}})
		var texts []string
		var objects []int
		for range 2 {
			if err := w.doctor.Run(t.Context(), func(string) {}); err != nil {
				t.Fatal(err)
			}
			report, _ := w.doctor.Last()
			text := report.Text()
			texts = append(texts, text[strings.Index(text, "\n\nazure."):])
			objects = append(objects, len(w.far.Objects(ProbeSource(realSource))))
		}
		if texts[0] != texts[1] || objects[1] != objects[0]+1 {
			t.Errorf("%d objects, then %d\n%s\n%s", objects[0], objects[1], texts[0], texts[1])
		}
	})
}

// No object of the doctor can be taken for one of the App: neither by its source, nor by its id, which is made of what no
// mapper can send. Its values are of the ranges for documentation, and it has expired.
func TestAzureObjectsStandApart(t *testing.T) {
	r := newAzureRun(AzureOptions{Source: realSource}, nil)
	objects := append(r.trackedObjects(), copiedObject, invalidObject, r.largeObject(largeBody))
	ids := map[string]string{}
	for _, o := range objects {
		id := r.stixID(o)
		if ids[id] != "" || id == "indicator--"+stix.ID(o.pattern).String() {
			t.Errorf("%s has the id of another object", o.key)
		}
		ids[id] = o.key
		if err := stix.CheckPattern(r.identityOf(o)); err == nil {
			t.Errorf("%s: a mapper could send %q", o.key, r.identityOf(o))
		}
		if err := stix.CheckPattern(o.pattern); err != nil {
			t.Errorf("%s: %v", o.key, err)
		}
		if !strings.Contains(o.pattern, ".invalid") && !strings.Contains(o.pattern, "2001:db8::") && !strings.Contains(o.pattern, "ASN64496") && !strings.Contains(o.pattern, `\\Doctor`) &&
			!strings.Contains(o.pattern, "192.0.2.") && !strings.Contains(o.pattern, "198.51.100.") && !strings.Contains(o.pattern, "203.0.113.") {
			t.Errorf("%s is no value for documentation: %s", o.key, o.pattern)
		}
	}
	if n := len(r.encodeObject(r.largeObject(largeBody))); n > largeBody || n < largeBody-200 {
		t.Errorf("the large object has %d bytes", n)
	}
	for _, o := range []probeObject{r.olderVersion(firstObject), r.earlierVersion(againObject)} {
		if r.stixID(o) != r.stixID(probeObject{key: o.key, pattern: o.pattern}) {
			t.Errorf("a version of %s has another id", o.key)
		}
	}
}

func TestProbeSource(t *testing.T) {
	long := "ThreatConnect-" + strings.Repeat("x", 249-len("ThreatConnect-"))
	for _, source := range []string{"ThreatConnect-A", "ThreatConnect-A-doctor", long, long + "-doctor", long + "xxxxxxx"} {
		got := ProbeSource(source)
		if got == source || len(got) > maxSource || !strings.HasPrefix(got, "ThreatConnect-") || !strings.HasSuffix(got, "-doctor") {
			t.Errorf("%q becomes %q", source, got)
		}
	}
	if ProbeSource(long+"xxxxxxx") == ProbeSource(long+"yyyyyyy") {
		t.Error("two sources have the same one")
	}
}

// A broken request in the middle is told where it belongs, and what is left is not tried.
func TestAzureBrokenOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, lines, summary := examineAzure(t, azureSetup{faults: []sentinelserver.Fault{{Kind: sentinelserver.CutBefore, After: 2}}})
		if summary != "broken off" || w.far.RequestCount() != 3 {
			t.Errorf("%q after %d requests", summary, w.far.RequestCount())
		}
		for id, want := range map[string]Verdict{"azure.record-errors": Value, "azure.all-invalid": Failed, "azure.empty-list": NotTried, "azure.labels": NotTried, "azure.expired": Yes} {
			if lines[id].Verdict != want {
				t.Errorf("%+v, want %s", lines[id], want)
			}
		}
	})
	// What is rejected as a whole is no answer about any of its objects.
	synctest.Test(t, func(t *testing.T) {
		_, lines, _ := examineAzure(t, azureSetup{faults: []sentinelserver.Fault{{Kind: sentinelserver.RefuseBatch, Match: "ISSUBSET", Count: -1}}})
		for _, id := range []string{"azure.subset", "azure.and", "azure.description-cut", "azure.revoked"} {
			if l := lines[id]; l.Verdict != Failed || l.Differs || !strings.Contains(l.Evidence, "perhaps because of another object") {
				t.Errorf("%+v", l)
			}
		}
	})
	synctest.Test(t, func(t *testing.T) {
		_, lines, _ := examineAzure(t, azureSetup{faults: []sentinelserver.Fault{{Kind: sentinelserver.Status, Status: http.StatusServiceUnavailable, After: 5, Count: 3}}})
		for _, id := range []string{"azure.subset", "azure.two-versions", "azure.labels", "azure.revoked"} {
			if l := lines[id]; l.Verdict != Failed || l.Differs || !strings.Contains(l.Evidence, "out of order") {
				t.Errorf("%+v", l)
			}
		}
	})
	synctest.Test(t, func(t *testing.T) {
		_, lines, summary := examineAzure(t, azureSetup{faults: []sentinelserver.Fault{{Kind: sentinelserver.Status, Status: http.StatusServiceUnavailable, After: 1}}})
		if l := lines["azure.record-errors"]; summary != "ok" || l.Verdict != Failed || !strings.Contains(l.Evidence, "out of order") || lines["azure.all-invalid"].Verdict != Value {
			t.Errorf("%q, %+v", summary, l)
		}
	})
}
