package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"mssentinel/app/config"
	"mssentinel/app/platform"
	"mssentinel/app/secret"
)

var errBroken = errors.New("broken")

var quiet = slog.New(slog.DiscardHandler)

func nothing() error { return nil }

// A pipeline that cannot begin ends the Service, instead of leaving screens behind which nothing happens.
func TestServiceEndsWithItsPipeline(t *testing.T) {
	err := runTogether(t.Context(), quiet, func(context.Context) error { return errBroken },
		func(ctx context.Context, start func(), _ func(context.Context)) error {
			start()
			<-ctx.Done()
			return nil
		}, nothing)
	if !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
}

// What serves may tell the pipeline to end and see it end; otherwise the pipeline ends after it.
func TestPipelineOutlivesTheSignal(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	work := func(life context.Context) error {
		cancel() // the signal
		<-life.Done()
		close(ended)
		return nil
	}
	err := runTogether(ctx, quiet, work, func(ctx context.Context, start func(), stop func(context.Context)) error {
		start()
		<-ctx.Done()
		select {
		case <-ended:
			t.Error("the signal ended the pipeline")
		default:
		}
		stop(t.Context())
		<-ended
		return errBroken
	}, nothing)
	if !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
}

// A Service that does not get as far as Ready sends nothing.
func TestPipelineWaitsForReady(t *testing.T) {
	work := func(context.Context) error { t.Error("the pipeline runs"); return nil }
	err := runTogether(t.Context(), quiet, work, func(context.Context, func(), func(context.Context)) error { return errBroken }, nothing)
	if !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
}

// Whatever hangs at the end, a disk or a mapper, the process ends all the same.
func TestNothingKeepsTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		defer close(hang)
		serve := func(_ context.Context, start func(), _ func(context.Context)) error {
			start()
			synctest.Wait() // the work has begun
			return errBroken
		}
		hangs := func() error { <-hang; return nil }
		for name, end := range map[string]func() error{
			"work": func() error {
				return runTogether(t.Context(), quiet, func(context.Context) error { return hangs() }, serve, nothing)
			},
			"close": func() error {
				return runTogether(t.Context(), quiet, func(context.Context) error { return nil }, serve, hangs)
			},
		} {
			began := time.Now()
			if err := end(); !errors.Is(err, errBroken) || time.Since(began) != endLimit {
				t.Errorf("%s: %v after %v", name, err, time.Since(began))
			}
		}
	})
}

// Standalone as well, the work is told to end while it has time for that.
func TestStandaloneEndsTheWork(t *testing.T) {
	log, err := platform.OpenLog(t.TempDir(), "", "info")
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var limited bool
	err = serveHTTP(ctx, "127.0.0.1:0", http.NotFoundHandler(), log, cancel, func(limit context.Context) { _, limited = limit.Deadline() })
	if err != nil || !limited {
		t.Errorf("%v, told to end with a limit: %v", err, limited)
	}
}

func TestSignals(t *testing.T) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP) // the tests themselves may run under nohup
	defer signal.Stop(hangup)
	for _, told := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		ctx, stop := signalContext()
		if err := syscall.Kill(os.Getpid(), told); err != nil {
			t.Fatal(err)
		}
		<-ctx.Done()
		stop()
		if cause := context.Cause(ctx); !errors.Is(cause, interrupted{told}) {
			t.Errorf("%v: the cause is %v", told, cause)
		}
	}
}

// A signal is a failure where ThreatConnect should have said Shutdown, but not at a terminal, and not when that hangs up.
func TestInterruption(t *testing.T) {
	standalone := config.Config{HTTPAddr: "127.0.0.1:0"}
	for name, test := range map[string]struct {
		cause error
		c     config.Config
		fails bool
	}{
		"terminated":             {interrupted{syscall.SIGTERM}, config.Config{}, true},
		"interrupted":            {interrupted{os.Interrupt}, config.Config{}, true},
		"hung up":                {interrupted{syscall.SIGHUP}, config.Config{}, false},
		"by itself":              {context.Canceled, config.Config{}, false},
		"terminated, standalone": {interrupted{syscall.SIGTERM}, standalone, false},
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(test.cause)
		if err := interruption(ctx, test.c); (err != nil) != test.fails {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := interruption(t.Context(), config.Config{}); err != nil {
		t.Errorf("without a signal: %v", err)
	}
}

// Under nohup the end of a terminal ends nothing.
func TestNohup(t *testing.T) {
	signal.Ignore(syscall.SIGHUP)
	defer signal.Reset(syscall.SIGHUP)
	_, stop := signalContext()
	defer stop()
	if !signal.Ignored(syscall.SIGHUP) {
		t.Error("the signal is not ignored any more")
	}
}

// A Service that is turned off while it starts ends in order, whatever it was waiting for.
func TestToldToEndWhileResolvingVariables(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		<-r.Context().Done()
	}))
	defer server.Close()
	dir := t.TempDir()
	for name, value := range map[string]string{"HTTP_ADDR": "127.0.0.1:0", "TC_API_PATH": server.URL, "TC_TOKEN": "API:token",
		"TC_OUT_PATH": dir, "TC_LOG_PATH": dir, "CLIENT_SECRET": "&{TC:KEYCHAIN:secret}"} {
		t.Setenv("MS_SENTINEL_"+name, value)
	}
	if code := runService(); code != platform.ExitSuccess {
		message, _ := os.ReadFile(filepath.Join(dir, "message.tc"))
		t.Errorf("exit code %d: %s", code, message)
	}
}

func TestToldToEndWhileOpening(t *testing.T) {
	log, err := platform.OpenLog(t.TempDir(), "", "info")
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	c := config.Config{OutPath: t.TempDir()}
	if err := serveUntilEnd(t.Context(), c, log); err == nil {
		t.Error("without mappers the Service ran")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := serveUntilEnd(ctx, c, log); err != nil {
		t.Error(err)
	}
}

// Folders that others can write to are told, and no more: the platform makes them.
func TestSharedFolders(t *testing.T) {
	dir := t.TempDir()
	for mode, told := range map[os.FileMode]bool{0o700: false, 0o750: false, 0o755: false, 0o770: true, 0o775: true, 0o777: true, 0o702: true} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		if got := sharedFolder(dir); (got != "") != told {
			t.Errorf("%o: %q", mode, got)
		}
	}
	for _, none := range []string{"", filepath.Join(dir, "none")} {
		if got := sharedFolder(none); got != "" {
			t.Errorf("%q: %q", none, got)
		}
	}
}

// The key of the forms is the same after a restart, and another with other secrets.
func TestFormKey(t *testing.T) {
	key := func(client, threatConnect string) string {
		k, err := deriveFormKey(config.Config{ClientSecret: secret.New(client), TCSecretKey: secret.New(threatConnect)})
		if err != nil || len(k) != 32 {
			t.Fatal(len(k), err)
		}
		return string(k)
	}
	first := key("a", "b")
	if again := key("a", "b"); again != first || first == key("a", "c") || first == key("ab", "") {
		t.Error("the key does not follow the secrets")
	}
}
