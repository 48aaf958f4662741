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
	// backoff is the wait before the second start after deaths without a success in between; it doubles up to maxBackoff.
	backoff, maxBackoff time.Duration
	// deaths is how many a job bears. One more and the mapper is parked.
	deaths int
}

var defaultLimits = limits{
	idle:       time.Minute,
	start:      15 * time.Second,
	call:       10 * time.Second,
	perRecord:  40 * time.Millisecond,
	backoff:    100 * time.Millisecond,
	maxBackoff: 2 * time.Second,
	deaths:     20,
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
	// calls counts those in flight. Whoever holds all has the process for itself.
	calls *semaphore.Weighted

	mu  sync.Mutex
	run *run // the process that is, nil when there is none
	// deaths are those of this job, inARow those without a success in between.
	deaths, inARow int
	parked         *fault
}

// fault is what a mapper did to an indicator, or why it gets none, in words for the person who looks after them.
type fault struct{ text string }

func (f *fault) Error() string { return f.text }

func faultf(format string, args ...any) *fault { return &fault{fmt.Sprintf(format, args...)} }

// unusable is a reason not to start a mapper that trying again would not change.
type unusable struct{ error }

func (h *Host) supervise(file executable, args ...string) *supervisor {
	return &supervisor{
		host:  h,
		file:  file,
		args:  args,
		label: strings.Join(append([]string{file.path}, args...), " "),
		calls: semaphore.NewWeighted(maxCalls),
	}
}

// describe learns what the mapper takes.
func (s *supervisor) describe(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.host.limits.start+s.host.limits.call)
	defer cancel()
	r, err := s.join(ctx)
	if err != nil {
		s.err = err
		return
	}
	defer s.leave(r)
	d, err := r.rpc.Describe(ctx)
	if err != nil {
		s.err = err
		return
	}
	if s.err = checkDescription(d); s.err == nil {
		s.introduce(d)
	}
}

// introduce makes the mapper known: from now on its deaths are counted, and told by its name.
func (s *supervisor) introduce(d mapper.Description) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.description = d
}

func checkDescription(d mapper.Description) error {
	if !named(d.Name) || len(d.Version) > maxName {
		return fmt.Errorf("it calls itself %.100q, version %.100q: both need at most %d bytes, the name at least one", d.Name, d.Version, maxName)
	}
	if len(d.Types) == 0 || len(d.Types) > maxTypes {
		return fmt.Errorf("it takes %d types: 1 to %d are possible", len(d.Types), maxTypes)
	}
	taken := map[string]bool{}
	for _, t := range d.Types {
		switch {
		case !named(t.Name):
			return fmt.Errorf("it takes a type by the name of %.100q: that needs 1 to %d bytes and no blanks around them", t.Name, maxName)
		case taken[t.Name]:
			return fmt.Errorf("it takes the type %q twice", t.Name)
		case t.DefaultTTLHours < 0 || t.DefaultTTLHours > maxTTLHours:
			return fmt.Errorf("its time to live for the type %q is %d hours: 0 to %d are possible", t.Name, t.DefaultTTLHours, maxTTLHours)
		}
		taken[t.Name] = true
	}
	return nil
}

func named(s string) bool {
	return strings.TrimSpace(s) == s && s != "" && len(s) <= maxName && utf8.ValidString(s)
}

// acquire returns a process that serves, and starts one where there is none, again and again until the mapper is parked.
// leave has to follow.
func (s *supervisor) acquire(ctx context.Context) (*run, error) {
	for {
		r, err := s.join(ctx)
		var parked *fault
		switch {
		case err == nil:
			return r, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, ErrClosed) || errors.As(err, &parked):
			return nil, err
		}
	}
}

// join waits for the process to serve and starts it where there is none. Of those who ask at the same time one starts it.
// The error says why it came to nothing; the next attempt starts another process.
func (s *supervisor) join(ctx context.Context) (*run, error) {
	r, ready, err := s.enter()
	if err != nil {
		return nil, err
	}
	select {
	case <-ready:
		return r, nil
	case <-r.gone:
		err = cmp.Or(r.reason, ErrClosed)
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.leave(r)
	return nil, err
}

// enter returns the process and what to wait for until it serves. That is nil, and for ever, when it is to be ended.
func (s *supervisor) enter() (*run, <-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.parked != nil {
		return nil, nil, s.parked
	}
	if s.run == nil {
		r, delay := newRun(), s.delay()
		if err := s.host.spawn(func() { s.own(r, delay) }); err != nil {
			return nil, nil, err
		}
		s.run = r
	}
	s.run.users++
	if s.run.ending {
		return s.run, nil, nil
	}
	return s.run, s.run.ready, nil
}

func (s *supervisor) leave(r *run) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.users--
	r.used = time.Now()
}

// delay is the wait before the next start.
func (s *supervisor) delay() time.Duration {
	if s.inARow < 2 {
		return 0
	}
	return min(s.host.limits.backoff<<min(s.inARow-2, 16), s.host.limits.maxBackoff)
}

func (s *supervisor) worked() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inARow = 0
}

func (s *supervisor) forgive() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deaths, s.inARow, s.parked = 0, 0, nil
}

// giveUp asks for the end of a process; the first reason counts, and nil is none. Nobody gets the process any more.
func (s *supervisor) giveUp(r *run, reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !r.ending {
		r.ending = true
		r.broken <- reason
	}
}

// retire stops the process if there is one.
func (s *supervisor) retire() {
	s.mu.Lock()
	r := s.run
	s.mu.Unlock()
	if r != nil {
		s.giveUp(r, nil)
	}
}

// idleFor says how long the process may still go on without work. When that time is over nobody gets it any more.
func (s *supervisor) idleFor(r *run) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.users > 0 {
		return s.host.limits.idle
	}
	rest := s.host.limits.idle - time.Since(r.used)
	if rest <= 0 && s.run == r {
		s.run = nil
	}
	return rest
}

// ended takes leave of a process. reason is nil when it was stopped on purpose.
func (s *supervisor) ended(r *run, reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.run == r {
		s.run = nil
	}
	name := s.description.Name
	if reason == nil || name == "" || s.host.ctx.Err() != nil {
		return
	}
	s.deaths++
	s.inARow++
	log := s.host.log.With(slog.String("mapper", name), slog.String("reason", reason.Error()))
	if errors.As(reason, &unusable{}) {
		s.parked = faultf("the mapper %s cannot be started: %s", name, reason)
		log.Error("a mapper cannot be started")
		return
	}
	log.Warn("a mapper ended", "deaths", s.deaths)
	if s.deaths > s.host.limits.deaths {
		s.parked = faultf("the mapper %s failed %d times in this job (at last: %s) and is left out until the next one: retry this indicator then", name, s.deaths, reason)
		log.Error("a mapper is parked until the next job", "deaths", s.deaths)
	}
}
