package doctor

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mssentinel/app/platform"
)

// recordedAt is a moment of the tests.
var recordedAt = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// ordinary is an instance on which every answer is the one that the App relies on.
func ordinary() platform.Facts {
	now := platform.ProcessRun{Version: "1.0.2", Host: "job1", Began: recordedAt}
	return platform.Facts{
		Given: platform.Given{
			Parameters: []platform.Parameter{{Name: "client_id", Type: "text", Form: "set"}, {Name: "tc_svc_id", Type: "number", Form: "set"},
				{Name: "tc_proxy_host", Type: "null", Form: "empty"}, {Name: "tc_token", Form: "missing"}},
			TokenKind: "none",
			Start: platform.StartFacts{UID: 1000, GID: 1000, Umask: "0022", Machine: "x86_64", Kernel: "5.15",
				Launch: platform.Launch{Known: true, Python: "3.11.2", Way: "in place", Arguments: "0", Folder: "the App's", RunBits: "lost and set"},
				Output: "a pipe", Errors: "a pipe", Variables: []string{"HOME", "PATH"}},
			Runs: func() platform.History { return platform.History{ID: "x", First: now, Count: 1, Now: now} },
		},
		Attached: true, HeartbeatTimeout: 20 * time.Second, ReadyAfter: 300 * time.Millisecond,
		Broker: platform.BrokerFacts{Sessions: 1, TLS: &platform.TLSFacts{Version: "TLS 1.3", CommonName: "broker", Names: []string{"broker"}, Issuer: "CA",
			Expires: recordedAt, Authority: platform.AuthorityFile, Name: platform.NamedAlternatively}},
		Heartbeats: platform.HeartbeatFacts{Count: 9, Shortest: 4 * time.Second, Median: 5 * time.Second, Longest: 6 * time.Second, Fields: platform.Tally{"command: text": 9}},
		Requests: platform.RequestFacts{Count: 3, Fields: platform.Tally{"path: text": 3}, Methods: platform.Tally{"GET": 3},
			Paths: platform.Tally{"begins without a slash": 2, `root as ""`: 1, "holds percent escapes": 1}, URLs: platform.Tally{"ends in the path": 3},
			Parameters: platform.Tally{"encoded": 1}, Headers: platform.Tally{"host": 3}, Tokens: platform.Tally{"SVC": 3}, Addresses: platform.Tally{"IPv4": 3},
			Bodies: platform.Tally{"with as many bytes as Content-Length says": 1}, Forms: platform.Tally{"as a body": 1}},
	}
}

func ordinaryStore() platform.StoreFacts {
	return platform.StoreFacts{Kind: "Redis", Login: "none was given, and none is needed", Version: "7.2.4", User: "default", Length: "allowed",
		Lifetimes: []time.Duration{time.Minute}, Answered: []platform.AnsweredFacts{{Ago: time.Second, Gone: true}}}
}

// examineFacts runs the probes about the platform.
func examineFacts(t *testing.T, f platform.Facts, s platform.StoreFacts, storeErr error) Report {
	t.Helper()
	facts := func() platform.Facts { return f }
	d := New(Options{Clean: func(s string) string { return s }, Keep: func(Report) error { return nil }, Logger: slog.New(slog.DiscardHandler),
		Probes: []Probe{PlatformProbe(facts), BrokerProbe(facts), StoreProbe(func(context.Context) (platform.StoreFacts, error) { return s, storeErr })}})
	if err := d.Run(t.Context(), func(string) {}); err != nil {
		t.Fatal(err)
	}
	report, _ := d.Last()
	return report
}

func findLine(r Report, id string) Line {
	i := slices.IndexFunc(r.Lines, func(l Line) bool { return l.ID == id })
	if i < 0 {
		return Line{Evidence: "there is no line " + id}
	}
	return r.Lines[i]
}

func TestOrdinaryPlatform(t *testing.T) {
	report := examineFacts(t, ordinary(), ordinaryStore(), nil)
	if want := "PLATFORM ok (3 requests seen) · BROKER ok (CA: tc_svc_broker_cacert_file) · KEY-VALUE STORE ok (Redis 7.2.4) · " +
		"no answer differs from what the App relies on"; report.Headline() != want {
		t.Errorf("the verdict is %s", report.Headline())
	}
	open := []string{"platform.last-end", "platform.kill-delay", "platform.restart", "store.name"} // the first run, over plain text
	for _, l := range report.Lines {
		if slices.Contains(open, l.ID) != (l.Verdict == NotTried) || l.Verdict == Failed || l.Evidence == "" {
			t.Errorf("%+v", l)
		}
	}
}

// Each answer that may come out otherwise, with what the operator is told.
func TestPlatformAnswers(t *testing.T) {
	runs := func(now platform.ProcessRun, before ...platform.ProcessRun) func() platform.History {
		first := now
		if len(before) > 0 {
			first = before[len(before)-1]
		}
		return func() platform.History {
			return platform.History{ID: "x", First: first, Count: 1 + len(before), Now: now, Before: before}
		}
	}
	now := platform.ProcessRun{Version: "1.1.0", Host: "job2", Began: recordedAt}
	ago := func(d time.Duration) time.Time { return recordedAt.Add(-d) }
	readable := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(readable, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		change   func(*platform.Facts)
		id       string
		verdict  Verdict
		evidence string
		effect   string
		differs  bool
	}{
		"a list":         {func(f *platform.Facts) { f.Parameters[0].Type = "list" }, "platform.parameter-types", Value, "list: client_id; number: tc_svc_id; null: tc_proxy_host; text: 0", "single values", true},
		"parameters":     {nil, "platform.parameters", Value, "missing: tc_token; empty: tc_proxy_host; set: client_id, tc_svc_id", "", false},
		"a reference":    {func(f *platform.Facts) { f.Parameters[0].Form = "a reference" }, "platform.variables", Yes, "client_id", "by itself", false},
		"a token":        {func(f *platform.Facts) { f.TokenKind, f.TokenExpires = "SVC", recordedAt }, "platform.start-token", Yes, "kind SVC, good until 2026-11-28 12:00:00 UTC", "", false},
		"no token":       {nil, "platform.start-token", No, "missing or empty", "API user's key", false},
		"files":          {func(f *platform.Facts) { f.CAFile, f.CertFile = readable, "/nowhere" }, "platform.certificate-files", Value, "cacert_file can be read; tc_svc_broker_cert_file cannot be read: open /nowhere", "", false},
		"log by the API": {func(f *platform.Facts) { f.Parameters[0].Name = "tc_log_to_api" }, "platform.log-to-api", Value, "is sent, set as text", "", false},

		"root":           {func(f *platform.Facts) { f.Start.UID = 0 }, "platform.user", Value, "uid 0, gid 1000, umask 0022", "rights of root", false},
		"a copy":         {func(f *platform.Facts) { f.Start.Launch.Way = "from memory" }, "platform.launch", Value, "from memory", "makes a copy", false},
		"no run bits":    {func(f *platform.Facts) { f.Start.Launch.RunBits = "lost" }, "platform.run-bits", No, "lost", "copies are used", false},
		"run bits":       {func(f *platform.Facts) { f.Start.Launch.RunBits = "kept" }, "platform.run-bits", Yes, "kept", "", false},
		"arguments":      {func(f *platform.Facts) { f.Start.Launch.Arguments = "2" }, "platform.arguments", Value, "2 arguments", "passes none on", true},
		"not by run.py":  {func(f *platform.Facts) { f.Start.Launch = platform.Launch{} }, "platform.python", NotTried, "not started by run.py", "", false},
		"noexec":         {func(f *platform.Facts) { f.Start.App.Flags = []string{"noexec", "nodev"} }, "platform.app-folder", Value, "not writable; mounted noexec, nodev", "copied elsewhere", false},
		"unknown folder": {func(f *platform.Facts) { f.Start.Temp.Error = "no such file" }, "platform.temp-folder", Failed, "no such file", "", false},

		"ended in order": {func(f *platform.Facts) {
			f.Runs = runs(now, platform.ProcessRun{Version: "1.1.0", Began: ago(time.Hour), ToldBy: "Shutdown", ToldText: "off", Told: ago(2 * time.Minute), Ended: ago(time.Minute)})
		}, "platform.last-end", Value, `ended with code 0, 1m0s after Shutdown ("off"); the next one began 1m0s later`, "", false},
		"killed": {func(f *platform.Facts) {
			f.Runs = runs(now, platform.ProcessRun{Version: "1.1.0", Began: ago(time.Hour), ToldBy: "Shutdown", Told: ago(2 * time.Minute), Alive: ago(2*time.Minute - 3500*time.Millisecond)})
		}, "platform.kill-delay", Value, "3.5s, on 2026-11-28 11:58:00 UTC", "at most 5 s", true},
		"never killed": {func(f *platform.Facts) {
			f.Runs = runs(now, platform.ProcessRun{ToldBy: "Shutdown", Told: ago(2 * time.Minute), Ended: ago(2*time.Minute - 400*time.Millisecond)})
		}, "platform.kill-delay", Value, "later than 400ms", "", false},
		"started again": {func(f *platform.Facts) {
			f.Runs = runs(now, platform.ProcessRun{ToldBy: "Shutdown", Began: ago(time.Hour), Told: ago(time.Minute), Ended: ago(time.Minute)},
				platform.ProcessRun{Began: ago(9 * time.Hour), Ended: ago(time.Hour + 5*time.Second), Failed: true})
		}, "platform.restart", Value, "a run that ended with code 1 was followed by another after 5s", "", false},
		"crashed": {func(f *platform.Facts) {
			f.Runs = runs(now, platform.ProcessRun{Began: ago(time.Hour), Alive: ago(time.Minute)})
		},
			"platform.last-end", Value, "was killed or crashed; the next one began 1m0s later", "nothing is lost", false},
		"upgraded and moved": {func(f *platform.Facts) {
			f.Runs = runs(now, platform.ProcessRun{Version: "1.0.2", Host: "job1", Ended: recordedAt})
		},
			"platform.state", Yes, "both: made by version 1.0.2", "", false},
		"upgraded": {func(f *platform.Facts) {
			f.Runs = runs(now, platform.ProcessRun{Version: "1.0.2", Host: "job2", Ended: recordedAt})
		},
			"platform.state", Yes, "an upgrade: made by version 1.0.2", "", false},
		"moved": {func(f *platform.Facts) {
			f.Runs = runs(now, platform.ProcessRun{Version: "1.1.0", Host: "job1", Ended: recordedAt})
		},
			"platform.state", Yes, "a move: made by", "", false},
		"fresh": {nil, "platform.state", Value, "1 starts since", "its state is lost", false},

		"a slash":           {func(f *platform.Facts) { f.Requests.Paths = platform.Tally{"begins with a slash": 1} }, "platform.path", Yes, "begins with a slash (1)", "", false},
		"decoded path":      {func(f *platform.Facts) { f.Requests.Paths = platform.Tally{"holds what an address has to escape": 1} }, "platform.path-escapes", No, "escape (1)", "decoded", false},
		"the root":          {nil, "platform.root", Value, `root as "" (1)`, "", false},
		"host alone":        {func(f *platform.Facts) { f.Requests.URLs = platform.Tally{"host alone": 3} }, "platform.request-url", No, "host alone (3)", "v1/ui/", true},
		"sometimes":         {func(f *platform.Facts) { f.Requests.URLs["missing"] = 1 }, "platform.request-url", Yes, "missing (1)", "v1/ui/", false},
		"another path":      {func(f *platform.Facts) { f.Requests.URLs["ends in something else"] = 1 }, "platform.request-url", Yes, "something else (1)", "some requests", true},
		"decoded values":    {func(f *platform.Facts) { f.Requests.Parameters = platform.Tally{"decoded": 1} }, "platform.query", No, "decoded (1)", "C++", false},
		"either way":        {func(f *platform.Facts) { f.Requests.Parameters = platform.Tally{"the same in either form": 1} }, "platform.query", NotTried, "no parameter so far", "", false},
		"both ways":         {func(f *platform.Facts) { f.Requests.Parameters["decoded"] = 1 }, "platform.query", No, "decoded (1), encoded (1)", "once too often", false},
		"cookies":           {func(f *platform.Facts) { f.Requests.Headers["cookie"] = 1 }, "platform.caller-headers", Value, "seen: Cookie; not seen: Authorization, X-Forwarded-For", "neither uses nor keeps", false},
		"forms apart":       {func(f *platform.Facts) { f.Requests.Forms = platform.Tally{"among the parameters": 1} }, "platform.forms", No, "among the parameters (1)", "from there", false},
		"changed bodies":    {func(f *platform.Facts) { f.Requests.Bodies["with other bytes than Content-Length says"] = 1 }, "platform.bodies", Value, "other bytes", "bytes in the store", true},
		"no request so far": {func(f *platform.Facts) { f.Requests = platform.RequestFacts{} }, "platform.methods", NotTried, "0 requests arrived", "", false},

		"plain text":         {func(f *platform.Facts) { f.Broker.TLS = nil }, "broker.tls", No, "cacert_file is not set", "plain text", false},
		"no certificate":     {func(f *platform.Facts) { f.Broker.TLS = nil }, "broker.name", NotTried, "plain text", "", false},
		"the machine's CA":   {func(f *platform.Facts) { f.Broker.TLS.Authority = platform.AuthorityMachine }, "broker.authority", Value, "the machine's authorities", "may fail", false},
		"common name":        {func(f *platform.Facts) { f.Broker.TLS.Name = platform.NamedCommonly }, "broker.name", Yes, "common name alone", "as Python does", false},
		"another name":       {func(f *platform.Facts) { f.Broker.TLS.Name = "x509: not valid for broker" }, "broker.name", No, "x509", "MS_SENTINEL_BROKER_NAME_CHECK", true},
		"certificate":        {nil, "broker.certificate", Value, `common name "broker", alternative names broker, issued by "CA", good until 2026-11-28`, "", false},
		"lost connections":   {func(f *platform.Facts) { f.Broker.Sessions = 3 }, "broker.connections", No, "3 connections", "made again", false},
		"rare heartbeats":    {func(f *platform.Facts) { f.Heartbeats.Longest = 11 * time.Second }, "broker.heartbeats", Value, "9; pauses of 4s to 11s, most often about 5s; after 20s", "single one is lost", true},
		"heartbeats to come": {func(f *platform.Facts) { f.Heartbeats.Count = 1 }, "broker.heartbeats", NotTried, "1 heartbeats", "", false},
		"unknown commands":   {func(f *platform.Facts) { f.UnknownCommands = platform.Tally{"dance": 2} }, "broker.commands", Yes, "dance (2)", "ignores", true},
	} {
		t.Run(name, func(t *testing.T) {
			f := ordinary()
			if test.change != nil {
				test.change(&f)
			}
			report := examineFacts(t, f, ordinaryStore(), nil)
			l := findLine(report, test.id)
			if l.Verdict != test.verdict || !strings.Contains(l.Evidence, test.evidence) || l.Differs != test.differs ||
				!strings.Contains(l.Effect, test.effect) || (l.Effect == "") != (test.effect == "") {
				t.Errorf("%+v", l)
			}
		})
	}
}

func TestStoreAnswers(t *testing.T) {
	gone := errors.New("connection refused")
	for name, test := range map[string]struct {
		change   func(*platform.StoreFacts)
		err      error
		id       string
		verdict  Verdict
		evidence string
		effect   string
		differs  bool
	}{
		"gone":               {nil, gone, "store.kind", Failed, "Redis: connection refused", "No request with a body", true},
		"gone, the rest":     {nil, gone, "store.version", Failed, "connection refused", "", false},
		"by the API":         {func(f *platform.StoreFacts) { f.Kind = "TCKeyValueAPI" }, platform.ErrNoStore, "store.kind", Value, "TCKeyValueAPI", "", false},
		"by the API, rest":   {func(f *platform.StoreFacts) { f.Kind = "TCKeyValueAPI" }, platform.ErrNoStore, "store.cleanup", NotTried, "no Redis", "", false},
		"login refused":      {func(f *platform.StoreFacts) { f.Login = "refused, and not needed" }, nil, "store.login", Value, "refused", "without a login", false},
		"version refused":    {func(f *platform.StoreFacts) { f.Version = "refused: NOPERM" }, nil, "store.version", Failed, "refused: NOPERM", "", false},
		"user":               {nil, nil, "store.user", Value, "default", "", false},
		"database":           {func(f *platform.StoreFacts) { f.Database = 3 }, nil, "store.database", Value, "database 3", "", false},
		"no length":          {func(f *platform.StoreFacts) { f.Length = "refused: NOPERM" }, nil, "store.length", No, "NOPERM", "8 MiB", false},
		"short lives":        {func(f *platform.StoreFacts) { f.Lifetimes = []time.Duration{-1, 20 * time.Second} }, nil, "store.lifetime", Value, "for ever, 20s", "slow pages", true},
		"no request":         {func(f *platform.StoreFacts) { f.Lifetimes = nil }, nil, "store.lifetime", NotTried, "no request with a body", "", false},
		"kept":               {func(f *platform.StoreFacts) { f.Answered = []platform.AnsweredFacts{{Ago: time.Second, Left: -1}} }, nil, "store.cleanup", No, "1s after its answer: still there, for ever", "stay in the store", false},
		"plain text":         {nil, nil, "store.tls", No, "tc_kvstore_tls_enabled", "", false},
		"another name":       {func(f *platform.StoreFacts) { f.TLS = &platform.TLSFacts{Name: "x509: no"} }, nil, "store.name", No, "x509: no", "takes it all the same", true},
		"without TLS a name": {nil, nil, "store.name", NotTried, "plain text", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			f := ordinaryStore()
			if test.change != nil {
				test.change(&f)
			}
			l := findLine(examineFacts(t, ordinary(), f, test.err), test.id)
			if l.Verdict != test.verdict || !strings.Contains(l.Evidence, test.evidence) || l.Differs != test.differs ||
				!strings.Contains(l.Effect, test.effect) || (l.Effect == "") != (test.effect == "") {
				t.Errorf("%+v", l)
			}
		})
	}
	if said := examineFacts(t, ordinary(), ordinaryStore(), gone).Headline(); !strings.Contains(said, "KEY-VALUE STORE not usable: connection refused") {
		t.Error(said)
	}
}

// By itself the App knows nothing of a platform.
func TestWithoutPlatform(t *testing.T) {
	f := ordinary()
	f.Attached = false
	report := examineFacts(t, f, platform.StoreFacts{}, platform.ErrNoStore)
	if want := "PLATFORM not tried (the App runs by itself) · BROKER not tried (the App runs by itself) · KEY-VALUE STORE not tried (the App runs by itself) · " +
		"no answer differs from what the App relies on"; report.Headline() != want {
		t.Error(report.Headline())
	}
	for _, l := range report.Lines {
		if l.Area != Platform && l.Verdict != NotTried {
			t.Errorf("%+v", l)
		}
	}
}
