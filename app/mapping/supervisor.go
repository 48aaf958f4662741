package mapping

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/semaphore"

	"mssentinel/app/retry"
	"mssentinel/plugins/mapper"
)

// limits are what a mapper is held to.
type limits struct {
	// idle is how long a process without work goes on running.
	idle time.Duration
	// start bounds the time from the start of a process until it serves.
	start time.Duration
	// call and perRecord bound a call: that of n records may take call + n × perRecord.
	call, perRecord time.Duration
	// restart is the pause before a start after two or more deaths without a success in between; after one there is
	// none.
	restart retry.Backoff
	// deaths is how many there may be in one job. One more and the mapper is parked.
	deaths int
}

// callLimit is how long a call of n records may take.
func (l limits) callLimit(n int) time.Duration { return l.call + time.Duration(n)*l.perRecord }

var defaultLimits = limits{
	idle:      10 * time.Second,
	start:     15 * time.Second,
	call:      10 * time.Second,
	perRecord: 40 * time.Millisecond,
	restart:   retry.Backoff{First: 100 * time.Millisecond, Longest: 2 * time.Second},
	deaths:    20,
}

const (
	// maxCalls is how many calls a mapper gets at once: it works on one while the other is on its way. More would cost
	// memory in the mapper and gain nothing.
	maxCalls = 2
	// maxTypes and maxName, in bytes, bound what a mapper says about itself.
	maxTypes = 100
	maxName  = 100
	// maxTTLHours is ten years, the bound of the parameters.
	maxTTLHours = 87_600
)

// supervisor keeps one mapper: at most one process of it that gets work, started when there is some.
type supervisor struct {
	host    *Host
	file    executable
	args    []string
	label   string // what is started, for the log
	builtin bool
	// description, or in err why there is none, is known when Open returns and does not change any more.
	description mapper.Description
	err         error
	// calls counts those under way. A caller that holds all of them is alone with the process.
	calls *semaphore.Weighted

	mu      sync.Mutex
	process *process // gets the calls; nil when there is none
	// deaths are those of this job, deathsInRow those without a success in between.
	deaths, deathsInRow int
	parked              *fault
}

// fault is how a mapper failed on an indicator, or why it is not asked, in words for the person who looks after the
// indicators.
type fault struct{ text string }

func (f *fault) Error() string { return f.text }

func newFault(format string, args ...any) *fault { return &fault{fmt.Sprintf(format, args...)} }

// unusable is a reason not to start a mapper that trying again would not change.
type unusable struct{ error }

func (h *Host) newSupervisor(file executable, args ...string) *supervisor {
	return &supervisor{
		host:  h,
		file:  file,
		args:  args,
		label: strings.Join(append([]string{file.path}, args...), " "),
		calls: semaphore.NewWeighted(maxCalls),
	}
}

// learnDescription asks the mapper which types it takes.
func (s *supervisor) learnDescription(ctx context.Context) {
	d, err := s.askDescription(ctx)
	if err != nil {
		s.err = err
		return
	}
	if faults := checkDescription(d); len(faults) > 0 {
		s.err = faults[0]
		return
	}
	s.setDescription(d)
}

// askDescription makes one attempt to start the mapper and gives what that says about itself, as it comes.
func (s *supervisor) askDescription(ctx context.Context) (mapper.Description, error) {
	ctx, cancel := context.WithTimeout(ctx, s.host.limits.start+s.host.limits.call)
	defer cancel()
	p, err := s.awaitProcess(ctx)
	if err != nil {
		return mapper.Description{}, err
	}
	defer s.releaseProcess(p)
	return p.rpc.Describe(ctx)
}

// setDescription says who the mapper is. From then on its deaths are counted, and logged under its name.
func (s *supervisor) setDescription(d mapper.Description) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.description = d
}

// checkDescription lists what is wrong with what a mapper says about itself.
func checkDescription(d mapper.Description) []error {
	var faults []error
	if !isName(d.Name) || len(d.Version) > maxName || !utf8.ValidString(d.Version) {
		faults = append(faults, fmt.Errorf("it calls itself %.100q, version %.100q: both need at most %d bytes, the name at least one", d.Name, d.Version, maxName))
	}
	if len(d.Types) == 0 || len(d.Types) > maxTypes {
		return append(faults, fmt.Errorf("it takes %d types: 1 to %d are possible", len(d.Types), maxTypes))
	}
	taken := map[string]bool{}
	for _, t := range d.Types {
		if !isName(t.Name) {
			faults = append(faults, fmt.Errorf("it takes a type by the name of %.100q: that needs 1 to %d bytes and no blanks around them", t.Name, maxName))
		}
		if taken[t.Name] {
			faults = append(faults, fmt.Errorf("it takes the type %q twice", t.Name))
		}
		if t.DefaultTTLHours < 0 || t.DefaultTTLHours > maxTTLHours {
			faults = append(faults, fmt.Errorf("its time to live for the type %q is %d hours: 0 to %d are possible", t.Name, t.DefaultTTLHours, maxTTLHours))
		}
		taken[t.Name] = true
	}
	return faults
}

func isName(s string) bool {
	return strings.TrimSpace(s) == s && s != "" && len(s) <= maxName && utf8.ValidString(s)
}

// acquireProcess returns a process that serves. It starts one where there is none, again and again until the mapper is
// parked. releaseProcess has to follow.
func (s *supervisor) acquireProcess(ctx context.Context) (*process, error) {
	for {
		p, err := s.awaitProcess(ctx)
		var parked *fault
		switch {
		case err == nil:
			return p, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, ErrClosed) || errors.As(err, &parked):
			return nil, err
		}
	}
}

// awaitProcess makes one attempt at that. Callers at the same time share the process that is starting. The error says
// why it does not serve; the next attempt starts another one.
func (s *supervisor) awaitProcess(ctx context.Context) (*process, error) {
	p, ready, err := s.useProcess()
	if err != nil {
		return nil, err
	}
	select {
	case <-ready:
		return p, nil
	case <-p.gone:
		err = cmp.Or(p.reason, ErrClosed)
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.releaseProcess(p)
	return nil, err
}

// useProcess counts the caller as a user of the process, which is started where there is none, and returns the channel
// that is closed once it serves. That is nil when the process is about to end: then it never serves again.
func (s *supervisor) useProcess() (*process, <-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.parked != nil {
		return nil, nil, s.parked
	}
	if s.process == nil {
		p, pause := newProcess(), s.startPause()
		if err := s.host.goProcess(func() { s.runProcess(p, pause) }); err != nil {
			return nil, nil, err
		}
		s.process = p
	}
	s.process.users++
	if s.process.stopping {
		return s.process, nil, nil
	}
	return s.process, s.process.ready, nil
}

func (s *supervisor) releaseProcess(p *process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.users--
	p.lastUsed = time.Now()
}

// startPause is the pause before the next start.
func (s *supervisor) startPause() time.Duration {
	if s.deathsInRow < 2 {
		return 0
	}
	return s.host.limits.restart.Pause(s.deathsInRow - 1)
}

func (s *supervisor) recordSuccess() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deathsInRow = 0
}

func (s *supervisor) resetFailures() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deaths, s.deathsInRow, s.parked = 0, 0, nil
}

// requestStop asks for the end of a process, which serves no new call from then on. The first reason counts; nil means
// that the process did nothing wrong.
func (s *supervisor) requestStop(p *process, reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !p.stopping {
		p.stopping = true
		p.stopRequest <- reason
	}
}

// stopProcess stops the process if there is one.
func (s *supervisor) stopProcess() {
	s.mu.Lock()
	p := s.process
	s.mu.Unlock()
	if p != nil {
		s.requestStop(p, nil)
	}
}

// remainingIdle says how long the process may still run without work. When that time is over it gets no calls any more.
func (s *supervisor) remainingIdle(p *process) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.users > 0 {
		return s.host.limits.idle
	}
	rest := s.host.limits.idle - time.Since(p.lastUsed)
	if rest <= 0 && s.process == p {
		s.process = nil
	}
	return rest
}

// recordEnd forgets a process that ended and counts its death. reason is nil when it was stopped on purpose.
func (s *supervisor) recordEnd(p *process, reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == p {
		s.process = nil
	}
	name := s.description.Name
	if reason == nil || name == "" || s.host.ctx.Err() != nil {
		return
	}
	s.deaths++
	s.deathsInRow++
	log := s.host.log.With(slog.String("mapper", name), slog.String("reason", reason.Error()))
	if errors.As(reason, &unusable{}) {
		s.parked = newFault("the mapper %s cannot be started: %s", name, reason)
		log.Error("a mapper cannot be started")
		return
	}
	log.Warn("a mapper ended", "deaths", s.deaths)
	if s.deaths > s.host.limits.deaths {
		s.parked = newFault("the mapper %s failed %d times in this job (at last: %s) and is left out until the next one: retry this indicator then", name, s.deaths, reason)
		log.Error("a mapper is parked until the next job", "deaths", s.deaths)
	}
}
