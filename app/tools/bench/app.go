package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"mssentinel/app/standin/tcserver"
)

// What the operator of a standalone App sets.
const (
	tenantID     = "11111111-2222-4333-8444-555555555555"
	clientID     = "66666666-7777-4888-9999-aaaaaaaaaaaa"
	clientSecret = "stand-in-secret"
	workspaceID  = "bbbbbbbb-cccc-4ddd-8eee-ffffffffffff"
)

const (
	// readyLimit bounds a start, stopLimit an end.
	readyLimit = time.Minute
	stopLimit  = 10 * time.Second
	lookEvery  = 100 * time.Millisecond
)

// app is the process of the App.
type app struct {
	url   string
	cmd   *exec.Cmd
	ready time.Duration // from its start until it answered
}

// startApp returns when the App answers.
func startApp(ctx context.Context, o options, threatConnect, sentinel string) (*app, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		return nil, err
	}
	executable, err := filepath.Abs(filepath.Join(o.app, "app"))
	if err != nil {
		return nil, err
	}
	a := &app{url: "http://" + addr + "/", cmd: exec.Command(executable, append([]string{"run"}, profileArguments(o)...)...)}
	a.cmd.Stderr = os.Stderr
	a.cmd.Env = []string{
		"MS_SENTINEL_HTTP_ADDR=" + addr, "MS_SENTINEL_TC_API_PATH=" + threatConnect,
		"MS_SENTINEL_AUTHORITY_URL=" + sentinel, "MS_SENTINEL_UPLOAD_URL=" + sentinel,
		"MS_SENTINEL_LOG_ANALYTICS_URL=" + sentinel,
		"MS_SENTINEL_UPLOAD_REQUESTS_PER_MINUTE=" + strconv.Itoa(o.limit),
		"MS_SENTINEL_CLIENT_ID=" + clientID, "MS_SENTINEL_CLIENT_SECRET=" + clientSecret, "MS_SENTINEL_TENANT_ID=" + tenantID,
		"MS_SENTINEL_SENTINEL_WORKSPACE_ID=" + workspaceID, "MS_SENTINEL_SENTINEL_SOURCE_NAME=Bench",
		"MS_SENTINEL_TC_API_ACCESS_ID=" + tcserver.DefaultAccessID, "MS_SENTINEL_TC_API_SECRET_KEY=" + tcserver.DefaultSecretKey,
		"MS_SENTINEL_SCHEDULE_INTERVAL_HOURS=8760", "MS_SENTINEL_FULL_UPDATE_INTERVAL_DAYS=0",
	}
	for _, kind := range []string{"ADDRESS", "ASN", "CIDR", "EMAIL_ADDRESS", "EMAIL_SUBJECT", "FILE", "HOST", "REGISTRY_KEY", "URL"} {
		a.cmd.Env = append(a.cmd.Env, "MS_SENTINEL_TTL_HOURS_"+kind+"=720")
	}
	for name, folder := range map[string]string{"OUT": "state", "LOG": "log", "TEMP": "temp"} {
		path := filepath.Join(o.state, folder)
		if err := os.MkdirAll(path, 0o700); err != nil {
			return nil, err
		}
		a.cmd.Env = append(a.cmd.Env, "MS_SENTINEL_TC_"+name+"_PATH="+path)
	}
	began := time.Now()
	if err := a.cmd.Start(); err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	err = pollUntil(limited, 10*time.Millisecond, func() (bool, error) {
		return a.callRoute(limited, http.MethodGet, "api/health", nil, nil) == nil, nil
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the App does not answer: %w", err), a.stopApp())
	}
	a.ready = time.Since(began)
	return a, nil
}

// profileArguments are those of app run; profiles are written when the App ends.
func profileArguments(o options) (args []string) {
	if o.cpu != "" {
		args = append(args, "-cpuprofile", o.cpu)
	}
	if o.mem != "" {
		args = append(args, "-memprofile", o.mem)
	}
	return args
}

// stopApp asks the App to end.
func (a *app) stopApp() error {
	if err := a.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return errors.Join(err, a.cmd.Wait())
	}
	kill := time.AfterFunc(stopLimit, func() { a.cmd.Process.Kill() }) //nolint:errcheck // it may be gone
	defer kill.Stop()
	return a.cmd.Wait()
}

// pollUntil asks done again and again, until it says yes or fails.
func pollUntil(ctx context.Context, every time.Duration, done func() (bool, error)) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// callRoute makes a call of the JSON routes; answer may be nil.
func (a *app) callRoute(ctx context.Context, method, path string, body, answer any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, method, a.url+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Requested-With", "bench")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode >= 300:
		return fmt.Errorf("%s %s: %s %s", method, path, resp.Status, said)
	case answer == nil:
		return nil
	}
	return json.Unmarshal(said, answer)
}
