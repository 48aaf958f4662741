package mapping

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"

	"mssentinel/app/text"
	"mssentinel/plugins/mapper"
)

// stopLimit is what a mapper has to end by itself when it is asked to.
const stopLimit = 2 * time.Second

// process is one process of a mapper, from before its start until nothing of it is left.
type process struct {
	// ready is closed when rpc serves. It stays open when the start fails.
	ready chan struct{}
	rpc   *mapper.Client
	// stopRequest takes, once, why the process has to end; nil where it is not to blame.
	stopRequest chan error
	// gone is closed at the end; reason then says why, and is nil when the process was stopped on purpose.
	gone   chan struct{}
	reason error

	child  *child
	client *plugin.Client

	// Guarded by the mutex of the supervisor: whether the end was asked for, how many calls use the process, and when
	// the last one ended.
	stopping bool
	users    int
	lastUsed time.Time
}

func newProcess() *process {
	return &process{ready: make(chan struct{}), stopRequest: make(chan error, 1), gone: make(chan struct{}), lastUsed: time.Now()}
}

// runProcess starts the process, waits until it has to end, and ends it. All of it stays on one thread: the kernel
// sends Pdeathsig when the thread that started a child ends, and Go may end any thread that no goroutine is locked to.
func (s *supervisor) runProcess(p *process, pause time.Duration) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	reason := s.startProcess(p, pause)
	if reason == nil {
		s.host.log.Debug("a mapper runs", "mapper", s.label, "pid", p.client.ID())
		close(p.ready)
		reason = s.awaitEnd(p)
	}
	p.endProcess(reason == nil)
	p.reason = reason
	s.recordEnd(p, reason)
	close(p.gone)
}

// startProcess returns when the process serves, or with the reason why it does not.
func (s *supervisor) startProcess(p *process, pause time.Duration) error {
	select {
	case <-time.After(pause):
	case <-s.host.ctx.Done():
		return ErrClosed
	}
	path, err := s.host.prepareExecutable(s.file)
	if err != nil {
		return unusable{err}
	}
	clientTLS, certificate, err := newClientTLS(time.Now())
	if err != nil {
		return err
	}
	p.child = newChild(path, s.args, s.host.private.path)
	p.child.certificate, p.child.printed = certificate, s.host.printed
	stop := context.AfterFunc(s.host.ctx, p.child.cancel)
	defer stop()
	output := &outputLog{log: s.host.log, mapper: s.label}
	stdout, stderr := s.host.printed.copyTo(output)
	p.client = plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  mapper.Handshake,
		Plugins:          mapper.Plugins(),
		RunnerFunc:       p.child.prepareCommand,
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: s.host.private.path},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		TLSConfig:        clientTLS,
		SkipHostEnv:      true,
		StartTimeout:     s.host.limits.start,
		SyncStdout:       stdout,
		SyncStderr:       stderr,
		Logger:           hclog.New(&hclog.LoggerOptions{Output: output, Level: hclog.Trace, DisableTime: true}),
	})
	protocol, err := p.client.Client()
	if err != nil {
		return startError(err)
	}
	raw, err := protocol.Dispense(mapper.PluginName)
	if err != nil {
		return fmt.Errorf("it gave no mapper: %w", err)
	}
	p.rpc = raw.(*mapper.Client)
	return nil
}

// startError shortens the errors of go-plugin, which are pages of advice, to a line. They have no types to tell them
// apart.
func startError(err error) error {
	reason, _, _ := strings.Cut(err.Error(), "\n")
	reason = text.Cut(reason, maxLine/4)
	if refusal := contractError(reason); refusal != nil {
		return unusable{refusal}
	}
	switch printed, found := strings.CutPrefix(reason, "Unrecognized remote plugin message: "); {
	case found && printed == "":
		return errors.New("it did not serve: it ended before it called mapper.Serve")
	case found:
		return fmt.Errorf("it did not serve: before it called mapper.Serve it printed %q, and nothing may be printed to standard output there", printed)
	}
	return errors.New("it did not serve: " + reason)
}

// contractVersions finds in go-plugin's words the version of the contract that a mapper speaks.
var contractVersions = regexp.MustCompile(`^incompatible API version with plugin\. Plugin version: (-?\d+),`)

// contractError says what to do about a mapper that speaks by another contract than the App; nil if that is not the reason.
func contractError(reason string) error {
	if found := contractVersions.FindStringSubmatch(reason); found != nil {
		version, _ := strconv.Atoi(found[1])
		if version > mapper.ContractVersion {
			return fmt.Errorf("it speaks version %d of the contract, which is newer than version %d of this App: install a newer App, or build the mapper against the plugins/mapper of this one", version, mapper.ContractVersion)
		}
		return fmt.Errorf("it speaks version %d of the contract, which is older than version %d of this App: build the mapper anew, against the plugins/mapper of this App", version, mapper.ContractVersion)
	}
	if strings.HasPrefix(reason, "unsupported plugin protocol") || strings.HasPrefix(reason, "incompatible core API version") {
		return fmt.Errorf("it does not speak as a mapper does (%s): build it against the plugins/mapper of this App, or as plugins/README.md says for other languages", reason)
	}
	return nil
}

// awaitEnd returns why the process has to end: nil when it is idle, or the App ends.
func (s *supervisor) awaitEnd(p *process) error {
	idle := time.NewTimer(s.host.limits.idle)
	defer idle.Stop()
	for {
		select {
		case <-s.host.ctx.Done():
			return nil
		case err := <-p.stopRequest:
			return p.endReason(err)
		case <-p.child.exited:
			return p.endReason(nil)
		case <-idle.C:
			rest := s.remainingIdle(p)
			if rest <= 0 {
				return nil
			}
			idle.Reset(rest)
		}
	}
}

// endReason is what the operating system says about the end of the process or, while it runs, what a caller saw of it.
func (p *process) endReason(seen error) error {
	select {
	case <-p.child.exited:
		return fmt.Errorf("it ended (%s)", p.child.ended)
	default:
		return seen
	}
}

// endProcess leaves nothing of the process. go-plugin asks it to shut down and waits for the answer without a limit, so
// one is set here.
func (p *process) endProcess(gently bool) {
	if p.client == nil {
		return
	}
	if !gently {
		p.child.killGroup()
	}
	limit := time.AfterFunc(stopLimit, p.child.killGroup)
	defer limit.Stop()
	p.client.Kill()
	p.child.cancel()
}

// maxLine bounds what is logged of a line that a mapper prints, in bytes.
const maxLine = 1000

// outputLog logs what a mapper prints, and what go-plugin says about it, at debug level alone: it may quote indicators.
type outputLog struct {
	log    *slog.Logger
	mapper string
}

func (l *outputLog) Write(p []byte) (int, error) {
	if !l.log.Enabled(context.Background(), slog.LevelDebug) {
		return len(p), nil
	}
	for line := range strings.Lines(string(p)) {
		l.log.Debug("a mapper prints", "mapper", l.mapper, "line", text.Cut(strings.TrimSpace(line), maxLine))
	}
	return len(p), nil
}
