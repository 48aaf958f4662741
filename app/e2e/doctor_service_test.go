package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mssentinel/app/standin/sentinelserver"
	"mssentinel/app/standin/tcplatform"
)

// doctorReport is the report as the App keeps it.
type doctorReport struct {
	Began, Ended time.Time
	Stopped      string
	Lines        []struct {
		ID, Verdict, Evidence, Effect string
		Differs                       bool
	}
}

// runDoctor has the task Doctor ask, and returns what it kept.
func (w *world) runDoctor(a *app, s *tcplatform.Service) doctorReport {
	w.t.Helper()
	began := time.Now()
	a.do(http.MethodPut, "api/task/doctor?run=true", nil, nil)
	var report doctorReport
	a.eventually("a report of the doctor", func() bool {
		data, err := os.ReadFile(filepath.Join(s.Folder(), "out", "doctor.json"))
		if err != nil {
			return false
		}
		report = doctorReport{}
		if err := json.Unmarshal(data, &report); err != nil {
			w.t.Fatal(err)
		}
		return report.Began.After(began) && !report.Ended.IsZero()
	})
	return report
}

// finds fails unless a line of the report has a verdict and a piece of evidence.
func (r doctorReport) finds(t *testing.T, id, verdict, evidence string) {
	t.Helper()
	for _, l := range r.Lines {
		if l.ID == id {
			if l.Verdict != verdict || !strings.Contains(l.Evidence, evidence) {
				t.Errorf("%s is %s: %s; want %s: %s", id, l.Verdict, l.Evidence, verdict, evidence)
			}
			return
		}
	}
	t.Errorf("there is no line %s", id)
}

// The doctor of the packaged App finds what the platform's switches are set to, and how its last process ended.
func TestDoctorOfTheService(t *testing.T) {
	population := population(t)
	w := newWorld(t, population, sentinelserver.Options{Limit: sentinelserver.Unlimited, Keep: sentinelserver.KeepHashes})
	_, s := w.onPlatform(tcplatform.Options{Secure: true, CommonNameOnly: true, StartToken: true, StoreRefuses: []string{"INFO"},
		BodyLife: 20 * time.Second, KeepBodies: true, RequestURLs: "host", Paths: "slash"}, tcplatform.ServiceOptions{})
	a := w.turnOn(s)
	a.save(overlapping(population)[:1])
	if err := s.Send([]byte(`{"command":"Dance"}`)); err != nil {
		t.Fatal(err)
	}
	wait(t, s, func(status tcplatform.Status) bool { return status.Received["Heartbeat"] >= 3 })
	report := w.runDoctor(a, s)
	for id, want := range map[string][2]string{
		"platform.start-token": {"yes", "kind API"}, "platform.launch": {"value", "in place"}, "platform.run-bits": {"no", "lost and set"},
		"platform.python": {"value", "3."}, "platform.arguments": {"value", "0 arguments, in the folder: the App's"}, "platform.user": {"value", "umask 0"},
		"platform.output": {"value", "a pipe"}, "platform.request-url": {"no", "host alone"}, "platform.path": {"yes", "begins with a slash"},
		"platform.last-end": {"not tried", "first run"}, "platform.certificate-files": {"value", "tc_svc_broker_cacert_file can be read"},
		"broker.name": {"yes", "common name alone"}, "broker.commands": {"yes", "dance (1)"}, "broker.heartbeats": {"value", "after 10s"},
		"store.version": {"failed", "NOPERM"}, "store.user": {"value", "service"}, "store.database": {"value", "database 3"},
		"azure.token": {"yes", "audience https://management.azure.com"}, "azure.role": {"yes", "200"}, "azure.body-limit": {"not tried", "asked for"},
		"azure.reserved-source": {"yes", "refused"}, "azure.read-right": {"yes", "answers"}, "azure.latency": {"not tried", "looked for"},
		"store.lifetime": {"value", "20s"}, "store.cleanup": {"no", "still there"},
	} {
		report.finds(t, id, want[0], want[1])
	}
	if said, err := a.call(http.MethodPut, "api/task/doctor?pause=true", nil); err != nil || said.status != http.StatusConflict {
		t.Errorf("pausing the doctor: %d, %v", said.status, err)
	}

	if err := syscall.Kill(s.Status().PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	wait(t, s, func(status tcplatform.Status) bool { return status.State == tcplatform.Running && status.Restarts == 1 })
	report = w.runDoctor(a, s)
	report.finds(t, "platform.last-end", "value", "was killed or crashed")
	report.finds(t, "platform.restart", "value", "was killed or crashed was followed by another after")
	report.finds(t, "platform.state", "value", "2 starts since")
	s.TurnOff()
	a = w.turnOn(s)
	w.runDoctor(a, s).finds(t, "platform.last-end", "value", `ended with code 0, `)
}

// Without the platform the doctor asks ThreatConnect and Microsoft alone, prints what it found, and its exit code says whether
// something is broken. It leaves nothing behind.
func TestDoctorAlone(t *testing.T) {
	population := population(t)
	w := newWorld(t, population, sentinelserver.Options{Limit: sentinelserver.Unlimited, Keep: sentinelserver.KeepHashes})
	delete(w.env, "http_addr")
	code, report, said := w.runDoctorAlone("-quick")
	if code != 0 || !strings.HasPrefix(report, "THREATCONNECT ok") || !strings.Contains(report, "\nthreatconnect.clock · ") ||
		!strings.Contains(said, "asking about THREATCONNECT") {
		t.Errorf("exit code %d\n%s\n%s", code, report, said)
	}
	if left, err := os.ReadDir(w.state); err == nil {
		t.Errorf("the folder of the state holds %v", left)
	}

	w.env["tc_api_access_id"] = "9" + w.env["tc_api_access_id"]
	if code, report, _ = w.runDoctorAlone("-quick"); code != 1 || strings.Contains(report, "THREATCONNECT ok") {
		t.Errorf("as an API user that does not exist: exit code %d\n%s", code, report)
	}
	delete(w.env, "tenant_id")
	if code, report, said = w.runDoctorAlone("-quick"); code != 1 || report != "" || !strings.Contains(said, "MS_SENTINEL_TENANT_ID is not set") && !strings.Contains(said, "Tenant ID is not set") {
		t.Errorf("without a tenant: exit code %d\n%s\n%s", code, report, said)
	}
	if code, _, said = w.runDoctorAlone("-fast"); code != 2 || !strings.Contains(said, "usage: app run") {
		t.Errorf("with an unknown argument: exit code %d\n%s", code, said)
	}
}

// runDoctorAlone runs the command doctor to its end.
func (w *world) runDoctorAlone(arguments ...string) (code int, out, said string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(w.dir, "app"), append([]string{"doctor"}, arguments...)...)
	cmd.Dir = w.t.TempDir()
	for name, value := range w.env {
		cmd.Env = append(cmd.Env, "MS_SENTINEL_"+strings.ToUpper(name)+"="+value)
	}
	var output, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &output, &errs
	cmd.Run() //nolint:errcheck // ProcessState says it
	w.holdsNoSecret("the report", []byte(output.String()))
	w.holdsNoSecret("what the doctor said", []byte(errs.String()))
	return cmd.ProcessState.ExitCode(), output.String(), errs.String()
}
