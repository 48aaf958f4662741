package mapping

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"

	"mssentinel/plugins/mapper"
)

// stopLimit is what a mapper has to end by itself when it is asked to.
const stopLimit = 2 * time.Second

// run is one process of a mapper, from before its start until nothing of it is left.
type run struct {
	// ready is closed when rpc serves. It stays open when the start fails.
	ready chan struct{}
	rpc   *mapper.Client
	// broken takes the reason to end the process that a caller has, once.
	broken chan error
	// gone is closed at the end; reason then says why, and is nil when the process was stopped on purpose.
	gone   chan struct{}
	reason error

	child  *child
	client *plugin.Client

	// The supervisor guards these: whether the end has been asked for, how many callers there are, and when one last left.
	ending bool
	users  int
	used   time.Time
}

func newRun() *run {
	return &run{ready: make(chan struct{}), broken: make(chan error, 1), gone: make(chan struct{}), used: time.Now()}
}

// own starts the process, waits for a reason to end it, and ends it. All of it stays on one thread: the kernel sends
// Pdeathsig when the thread that started a child ends, and Go ends threads as it likes unless they are taken.
func (s *supervisor) own(r *run, delay time.Duration) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	reason := s.start(r, delay)
	if reason == nil {
		s.host.log.Debug("a mapper runs", "mapper", s.label, "pid", r.client.ID())
		close(r.ready)
		reason = s.watch(r)
	}
	r.end(reason == nil)
	r.reason = reason
	s.ended(r, reason)
	close(r.gone)
}

// start returns when the process serves, or with the reason why it does not.
func (s *supervisor) start(r *run, delay time.Duration) error {
	select {
	case <-time.After(delay):
	case <-s.host.ctx.Done():
		return ErrClosed
	}
	path, err := s.host.prepare(s.file)
	if err != nil {
		return unusable{err}
	}
	r.child = newChild(path, s.args, s.host.private.path)
	stop := context.AfterFunc(s.host.ctx, r.child.cancel)
	defer stop()
	output := &lines{log: s.host.log, mapper: s.label}
	r.client = plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  mapper.Handshake,
		Plugins:          mapper.Plugins(),
		RunnerFunc:       r.child.prepare,
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: s.host.private.path},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		AutoMTLS:         true,
		SkipHostEnv:      true,
		StartTimeout:     s.host.limits.start,
		SyncStdout:       output,
		SyncStderr:       output,
		Logger:           hclog.New(&hclog.LoggerOptions{Output: output, Level: hclog.Trace, DisableTime: true}),
	})
	protocol, err := r.client.Client()
	if err != nil {
		return startError(err)
	}
	raw, err := protocol.Dispense(mapper.PluginName)
	if err != nil {
		return fmt.Errorf("it gave no mapper: %w", err)
	}
	r.rpc = raw.(*mapper.Client)
	return nil
}

// startError puts go-plugin's pages of advice into a line. It has no types to tell them by.
func startError(err error) error {
	text, _, _ := strings.Cut(err.Error(), "\n")
	text = bounded(text, maxLine/4)
	if strings.HasPrefix(text, "incompatible API version") || strings.HasPrefix(text, "unsupported plugin protocol") {
		return unusable{fmt.Errorf("it speaks another version of the contract (%s): build it against the plugins/mapper of this App", text)}
	}
	switch line, found := strings.CutPrefix(text, "Unrecognized remote plugin message: "); {
	case found && line == "":
		return errors.New("it did not serve: it ended before it called mapper.Serve")
	case found:
		return fmt.Errorf("it did not serve: before it called mapper.Serve it printed %q, and nothing may be printed to standard output there", line)
	}
	return errors.New("it did not serve: " + text)
}

// watch returns why the process has to end: nil when nobody needs it any more.
func (s *supervisor) watch(r *run) error {
	idle := time.NewTimer(s.host.limits.idle)
	defer idle.Stop()
	for {
		select {
		case <-s.host.ctx.Done():
			return nil
		case err := <-r.broken:
			return r.why(err)
		case <-r.child.exited:
			return r.why(nil)
		case <-idle.C:
			rest := s.idleFor(r)
			if rest <= 0 {
				return nil
			}
			idle.Reset(rest)
		}
	}
}

// why prefers what the operating system says about the end of the process to what a caller saw of it.
func (r *run) why(seen error) error {
	select {
	case <-r.child.exited:
		return fmt.Errorf("it ended (%s)", r.child.ended)
	default:
		return seen
	}
}

// end leaves nothing of the process. go-plugin asks it to shut down and waits for the answer as long as it takes, so a
// limit is needed.
func (r *run) end(gently bool) {
	if r.client == nil {
		return
	}
	if !gently {
		r.child.kill()
	}
	limit := time.AfterFunc(stopLimit, r.child.kill)
	defer limit.Stop()
	r.client.Kill()
	r.child.cancel()
}

// maxLine bounds what is logged of a line that a mapper prints, in bytes.
const maxLine = 1000

// lines logs what a mapper prints, and what go-plugin says about it, at debug level alone: it may quote indicators.
type lines struct {
	log    *slog.Logger
	mapper string
}

func (l *lines) Write(p []byte) (int, error) {
	if !l.log.Enabled(context.Background(), slog.LevelDebug) {
		return len(p), nil
	}
	for line := range strings.Lines(string(p)) {
		l.log.Debug("a mapper prints", "mapper", l.mapper, "line", bounded(strings.TrimSpace(line), maxLine))
	}
	return len(p), nil
}

// bounded cuts a text to at most n bytes, at a character.
func bounded(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n-len("…")], "") + "…"
}
