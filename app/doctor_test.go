package main

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"mssentinel/app/config"
	"mssentinel/app/doctor"
	"mssentinel/app/platform"
)

// The last report outlives a restart, for its owner alone.
func TestReportIsKept(t *testing.T) {
	dir := t.TempDir()
	c := config.Config{OutPath: dir}
	log, err := platform.OpenLog(t.TempDir(), "", "info")
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if _, ok := newDoctor(c, log, nil).Last(); ok {
		t.Error("there is a report before the first run")
	}
	want := doctor.Report{Version: "1.0.2", Began: time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC), Ended: time.Date(2026, 11, 28, 12, 2, 0, 0, time.UTC),
		Summaries: []doctor.Summary{{Area: doctor.Azure, Text: "ok"}},
		Lines:     []doctor.Line{{ID: "azure.role", Area: doctor.Azure, Question: "Role?", Verdict: doctor.Yes, Evidence: "200"}}}
	path := filepath.Join(dir, reportFile)
	if err := keepReport(path, want); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the report stands there as %v (%v)", info, err)
	}
	if got, ok := newDoctor(c, log, nil).Last(); !ok || !reflect.DeepEqual(got, want) {
		t.Errorf("after a restart: %+v", got)
	}
}

// Whatever stands in the place of the report, the Service starts.
func TestBrokenReport(t *testing.T) {
	for name, put := range map[string]func(path string) error{
		"no JSON":   func(path string) error { return os.WriteFile(path, []byte(`{"version":`), 0o600) },
		"too large": func(path string) error { return os.WriteFile(path, bytes.Repeat([]byte(" "), maxReport+1), 0o600) },
		"a folder":  func(path string) error { return os.Mkdir(path, 0o700) },
		"a pipe":    func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"a link":    func(path string) error { return os.Symlink("/etc/passwd", path) },
	} {
		t.Run(name, func(t *testing.T) {
			c, logs := config.Config{OutPath: t.TempDir()}, t.TempDir()
			if err := put(filepath.Join(c.OutPath, reportFile)); err != nil {
				t.Fatal(err)
			}
			log, err := platform.OpenLog(logs, "", "info")
			if err != nil {
				t.Fatal(err)
			}
			if report, ok := newDoctor(c, log, nil).Last(); ok {
				t.Errorf("a report was made of it: %+v", report)
			}
			if err := log.Close(); err != nil {
				t.Fatal(err)
			}
			if said, err := os.ReadFile(filepath.Join(logs, "app.log")); err != nil || !strings.Contains(string(said), "level=WARN") {
				t.Errorf("the log says %q (%v)", said, err)
			}
		})
	}
}
