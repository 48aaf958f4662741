package tcplatform_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"mssentinel/app/doctor"
	"mssentinel/app/standin/tcplatform"
)

// askDoctor sends requests of every form, and has the App's doctor answer by them.
func askDoctor(t *testing.T, s *tcplatform.Service) doctor.Report {
	t.Helper()
	form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Cookie": {"session=hunter2"}}
	do(t, "POST", s.URL()+"/form", strings.NewReader("token=hunter2&tql=typeName+in+%28%22File%22%29"), form)
	do(t, "GET", s.URL()+"/echo?value="+"typeName%20in%20%28%22File%22%29", nil, http.Header{"Cookie": {"session=hunter2"}})
	do(t, "GET", s.URL()+"/", nil, nil)
	do(t, "PUT", s.URL()+"/echo", strings.NewReader(`{"a":"hunter2"}`), http.Header{"Content-Type": {"application/json"}})
	_, data := do(t, "GET", s.URL()+"/doctor", nil, nil)
	var report doctor.Report
	if err := json.Unmarshal(data, &report); err != nil {
		t.Fatalf("%v: %.300s", err, data)
	}
	if strings.Contains(string(data), "hunter2") {
		t.Errorf("the report tells what was sent: %s", data)
	}
	return report
}

// finds fails unless a line of the report is as wanted.
func finds(t *testing.T, report doctor.Report, id string, verdict doctor.Verdict, evidence string) {
	t.Helper()
	i := slices.IndexFunc(report.Lines, func(l doctor.Line) bool { return l.ID == id })
	if i < 0 {
		t.Fatalf("there is no line %s", id)
	}
	if l := report.Lines[i]; l.Verdict != verdict || !strings.Contains(l.Evidence, evidence) {
		t.Errorf("%s is %s: %s; want %s: %s", id, l.Verdict, l.Evidence, verdict, evidence)
	}
}

// The doctor finds each position of the switches that stand for what is not known of the platform.
func TestDoctorFindsTheSwitches(t *testing.T) {
	type line struct {
		id       string
		verdict  doctor.Verdict
		evidence string
	}
	for name, test := range map[string]struct {
		o     tcplatform.Options
		lines []line
	}{
		"plain": {tcplatform.Options{RequestURLs: "whole", Paths: "bare"}, []line{
			{"platform.start-token", doctor.No, "missing or empty"}, {"platform.log-to-api", doctor.Value, "is sent"},
			{"platform.variables", doctor.No, "no parameter"}, {"platform.certificate-files", doctor.Value, "tc_svc_broker_cacert_file not set"},
			{"platform.launch", doctor.Value, "in place"}, {"platform.arguments", doctor.Value, "0 arguments, in the folder: the App's"},
			{"platform.output", doctor.Value, "output: a pipe; error: a pipe"}, {"platform.environment", doctor.Value, "TMPDIR"},
			{"platform.request-url", doctor.Yes, "ends in the path"}, {"platform.path", doctor.No, "begins without a slash"},
			{"platform.query", doctor.No, "decoded"}, {"platform.forms", doctor.Yes, "as a body"}, {"platform.root", doctor.Value, "root as"},
			{"platform.caller-headers", doctor.Value, "seen: Cookie, X-Forwarded-For; not seen: Authorization"}, {"platform.request-token", doctor.Value, "SVC"},
			{"platform.bodies", doctor.Value, "with as many bytes as Content-Length says (2)"},
			{"broker.tls", doctor.No, "not set"}, {"broker.login", doctor.Yes, "code 0"}, {"broker.qos", doctor.Value, "QoS 0"},
			{"store.kind", doctor.Value, "Redis"}, {"store.tls", doctor.No, ""}, {"store.login", doctor.Value, "none is needed"}, {"store.database", doctor.Value, "database 0"},
			{"store.version", doctor.Value, "7.2.4"}, {"store.user", doctor.Value, "default"}, {"store.length", doctor.Yes, "allowed"},
			{"store.lifetime", doctor.Value, "for ever"}, {"store.cleanup", doctor.Yes, "gone"},
		}},
		"secure": {tcplatform.Options{Secure: true, StartToken: true, RawQuery: true, Paths: "slash", RequestURLs: "host", StoreVersion: "5.0.3"}, []line{
			{"platform.start-token", doctor.Yes, "kind API, good until"}, {"platform.certificate-files", doctor.Value, "tc_svc_broker_key_file can be read"},
			{"platform.request-url", doctor.No, "host alone"}, {"platform.path", doctor.Yes, "begins with a slash"}, {"platform.query", doctor.Yes, "encoded"},
			{"broker.tls", doctor.Yes, "TLS 1.3"}, {"broker.authority", doctor.Value, "tc_svc_broker_cacert_file"}, {"broker.name", doctor.Yes, "alternative name"},
			{"broker.certificate", doctor.Value, "127.0.0.1"}, {"store.tls", doctor.Yes, "TLS 1.3"}, {"store.name", doctor.Yes, "alternative name"},
			{"store.login", doctor.Value, "user name and password were taken"}, {"store.database", doctor.Value, "database 3"}, {"store.user", doctor.Value, "service"},
			{"store.version", doctor.Value, "5.0.3"},
		}},
		"common name":         {tcplatform.Options{Secure: true, CommonNameOnly: true}, []line{{"broker.name", doctor.Yes, "common name alone"}, {"store.name", doctor.Yes, "common name alone"}}},
		"machine's authority": {tcplatform.Options{Secure: true, MachineCA: true}, []line{{"broker.authority", doctor.Value, "the machine's authorities"}}},
		"key-value API":       {tcplatform.Options{KeyValueAPI: true}, []line{{"store.kind", doctor.Value, "TCKeyValueAPI"}, {"store.version", doctor.NotTried, "no Redis"}}},
		"few rights in the store": {tcplatform.Options{StoreRefuses: []string{"INFO", "ACL", "HSTRLEN", "TTL"}}, []line{
			{"store.version", doctor.Failed, "NOPERM"}, {"store.user", doctor.Failed, "NOPERM"}, {"store.length", doctor.No, "NOPERM"},
			{"store.lifetime", doctor.NotTried, "no request"}, {"store.cleanup", doctor.NotTried, "TTL may not be asked"},
		}},
		"bodies stay":         {tcplatform.Options{KeepBodies: true, BodyLife: time.Minute}, []line{{"store.lifetime", doctor.Value, "1m0s"}, {"store.cleanup", doctor.No, "still there, for"}}},
		"dropped headers":     {tcplatform.Options{DroppedHeaders: []string{"cookie", "X-Forwarded-For"}, RequestURLs: "none", FormsAsQuery: true}, []line{{"platform.caller-headers", doctor.Value, "seen: none"}, {"platform.request-url", doctor.No, "missing"}, {"platform.forms", doctor.No, "among the parameters"}}},
		"who asks":            {tcplatform.Options{CallerMember: "userName", CallerName: "A. User"}, []line{{"platform.request-members", doctor.Value, "userName"}}},
		"arguments and types": {tcplatform.Options{Inputs: map[string]string{"tc_svc_id": "&{TC:TEXT:name}"}}, []line{{"platform.variables", doctor.Yes, "tc_svc_id"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, s := running(t, test.o)
			report := askDoctor(t, s)
			for _, l := range test.lines {
				finds(t, report, l.id, l.verdict, l.evidence)
			}
		})
	}
}

// The doctor finds what only time shows: heartbeats, lost connections, unknown commands, and how runs ended.
func TestDoctorFindsWhatHappened(t *testing.T) {
	t.Parallel()
	p, s := running(t, tcplatform.Options{StopTimeout: 300 * time.Millisecond})
	if err := s.Send([]byte(`{"command":"Dance"}`)); err != nil {
		t.Fatal(err)
	}
	beats := func() {
		t.Helper()
		seen := s.Status().Received["Heartbeat"]
		if _, err := s.Wait(within(t), func(status tcplatform.Status) bool { return status.Received["Heartbeat"] > seen+3 }); err != nil {
			t.Fatal(err)
		}
	}
	beats()
	p.DropConnections()
	beats()
	report := askDoctor(t, s)
	finds(t, report, "broker.commands", doctor.Yes, "dance (1)")
	finds(t, report, "broker.connections", doctor.No, "2 connections")
	finds(t, report, "broker.heartbeats", doctor.Value, "after 3s without one the App ends")
	finds(t, report, "platform.last-end", doctor.NotTried, "first run")
	finds(t, report, "platform.state", doctor.Value, "1 starts since")

	if err := syscall.Kill(s.Status().PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Wait(within(t), func(status tcplatform.Status) bool { return status.State == tcplatform.Running && status.Restarts == 1 }); err != nil {
		t.Fatal(err)
	}
	report = askDoctor(t, s)
	finds(t, report, "platform.last-end", doctor.Value, "was killed or crashed")
	finds(t, report, "platform.restart", doctor.Value, "a run that was killed or crashed was followed by another after")
	finds(t, report, "platform.kill-delay", doctor.NotTried, "no run")

	s.TurnOff()
	turnOn(t, s)
	report = askDoctor(t, s)
	finds(t, report, "platform.last-end", doctor.Value, `after Shutdown ("Service disabled by user.")`)
	finds(t, report, "platform.kill-delay", doctor.Value, "later than")

	// A request that does not end keeps the App for longer than the platform waits, and then it is killed.
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		if response, err := http.Get(s.URL() + "/slow?for=25s"); err == nil {
			response.Body.Close()
		}
	}()
	if _, err := s.Wait(within(t), func(status tcplatform.Status) bool {
		return status.Metrics["Requests"] == 6 && status.Metrics["Responses"] == 5
	}); err != nil {
		t.Fatal(err)
	}
	s.TurnOff()
	<-answered
	turnOn(t, s)
	report = askDoctor(t, s)
	finds(t, report, "platform.last-end", doctor.Value, "was killed or crashed, 2.")
	finds(t, report, "platform.kill-delay", doctor.Value, "2.")
}
