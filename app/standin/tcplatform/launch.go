package tcplatform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// launch is one run of an App's process.
type launch struct {
	service        *Service
	server, client string // topics
	command        *exec.Cmd
	output         tail
	ready          chan struct{}
	ended          chan struct{}

	mu         sync.Mutex
	isReady    bool
	pending    map[string]chan answer // by requestKey
	late       map[string]bool        // requestKeys that nobody waits for any more
	unanswered time.Time              // of the first heartbeat without an answer; zero: none
}

// runOnce launches the App, waits for its end and brings that about when ctx ends.
func (s *Service) runOnce(ctx context.Context) Exit {
	l := &launch{service: s, ready: make(chan struct{}), ended: make(chan struct{}), pending: map[string]chan answer{}, late: map[string]bool{}}
	l.server, l.client = newTopics()
	stop := s.platform.bus.readTopic(l.client, l.receiveMessage)
	defer stop()
	if err := l.startProcess(); err != nil {
		return Exit{Code: -1, Message: err.Error()}
	}
	s.changeStatus(func() { s.current, s.status.PID = l, l.command.Process.Pid })
	s.platform.log.Info("service launched", "path", s.o.Path, "pid", l.command.Process.Pid)
	go func() {
		defer close(l.ended)
		l.command.Wait() //nolint:errcheck // ProcessState tells
	}()
	l.superviseProcess(ctx)
	return l.readExit()
}

// startProcess runs the script as the platform does: with Python, in the App's folder, with the two variables.
func (l *launch) startProcess() error {
	s := l.service
	file, key, err := s.writeParameters(l)
	if err != nil {
		return fmt.Errorf("writing the parameter file: %w", err)
	}
	if err := os.Remove(s.pathOf("out", "message.tc")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	l.command = exec.Command(s.platform.o.Python, s.App.Manifest.ProgramMain)
	l.command.Dir = s.App.Dir
	l.command.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "LANG=C.UTF-8", "TMPDIR=" + s.pathOf("tmp"),
		"TC_APP_PARAM_FILE=" + file, "TC_APP_PARAM_KEY=" + key,
	}, s.platform.o.Environ...)
	var output io.Writer = &l.output
	if more := s.platform.o.Output; more != nil {
		output = io.MultiWriter(output, more)
	}
	l.command.Stdout, l.command.Stderr = output, output
	l.command.WaitDelay = time.Second                           // for what the App's children still hold open
	l.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt at the terminal is for the platform alone
	return l.command.Start()
}

func (s *Service) pathOf(elements ...string) string {
	return filepath.Join(append([]string{s.dir}, elements...)...)
}

// superviseProcess sends heartbeats until the process ends. It returns after that.
func (l *launch) superviseProcess(ctx context.Context) {
	p := l.service.platform
	late := time.NewTimer(p.o.ReadyTimeout)
	defer late.Stop()
	beat := time.NewTicker(p.o.HeartbeatEvery)
	defer beat.Stop()
	ready := l.ready
	for {
		select {
		case <-l.ended:
			return
		case <-ctx.Done():
			l.stopProcess()
			return
		case <-late.C:
			p.log.Warn("service is not ready in time", "path", l.service.o.Path)
			l.killProcess()
			return
		case <-ready:
			ready = nil
			late.Stop()
			l.service.changeStatus(func() { l.service.status.State = Running })
		case <-beat.C:
			l.sendHeartbeat()
			if l.isDead() {
				l.recordStray("no heartbeat was answered for %v", p.o.HeartbeatTimeout)
				l.killProcess()
				return
			}
		}
	}
}

// setReady reports whether it is the first time.
func (l *launch) setReady() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isReady {
		return false
	}
	l.isReady = true
	close(l.ready)
	return true
}

func (l *launch) sendHeartbeat() {
	s := l.service
	s.mu.Lock()
	silent := s.silent
	s.mu.Unlock()
	if silent {
		return
	}
	if err := s.platform.bus.publishMessage(l.server, s.platform.heartbeatMessage()); err != nil {
		s.platform.log.Warn("heartbeat not sent", "path", s.o.Path, "error", err)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isReady && l.unanswered.IsZero() {
		l.unanswered = time.Now()
	}
}

func (l *launch) answeredHeartbeat() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unanswered = time.Time{}
}

// isDead: what the platform itself does about an App that does not answer is not known; it is asked to within the limit
// that the App has for the platform.
func (l *launch) isDead() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.unanswered.IsZero() && time.Since(l.unanswered) > l.service.platform.o.HeartbeatTimeout
}

// stopProcess asks the App to end, and kills it when it does not in time.
func (l *launch) stopProcess() {
	s := l.service
	s.changeStatus(func() { s.status.State = Stopping })
	message, _ := json.Marshal(map[string]any{"command": "Shutdown", "appId": 95, "reason": "Service disabled by user."})
	if err := s.platform.bus.publishMessage(l.server, message); err != nil {
		s.platform.log.Warn("shutdown not sent", "path", s.o.Path, "error", err)
	}
	if l.endsWithin(s.platform.o.StopTimeout) {
		return
	}
	s.platform.log.Warn("service does not end, terminating it", "path", s.o.Path)
	l.killProcess()
}

func (l *launch) killProcess() {
	group := -l.command.Process.Pid
	syscall.Kill(group, syscall.SIGTERM) //nolint:errcheck // it may be gone
	if !l.endsWithin(2 * time.Second) {
		syscall.Kill(group, syscall.SIGKILL) //nolint:errcheck // it may be gone
		<-l.ended
	}
}

func (l *launch) endsWithin(limit time.Duration) bool {
	select {
	case <-l.ended:
		return true
	case <-time.After(limit):
		return false
	}
}

func (l *launch) readExit() Exit {
	message, _ := os.ReadFile(l.service.pathOf("out", "message.tc"))
	return Exit{Code: l.command.ProcessState.ExitCode(), Message: strings.TrimSpace(string(message)), Output: l.output.String()}
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	data []byte
}

const tailSize = 16 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.data = append(t.data, p...)
	if extra := len(t.data) - tailSize; extra > 0 {
		t.data = append([]byte(nil), t.data[extra:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.data))
}
