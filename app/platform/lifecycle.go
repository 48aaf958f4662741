package platform

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrMissedHeartbeats means that the platform fell silent, and a new connection to its broker did not help.
var ErrMissedHeartbeats = errors.New("missed heartbeat commands")

// run reports Ready and returns when the Service is to end. ctx is the process's; life ends after run.
func (s *service) run(ctx, life context.Context) error {
	if err := s.publishSoon(life, encode(map[string]string{"command": "Ready"})); err != nil {
		return fmt.Errorf("reporting Ready: %w", err)
	}
	s.log.Info("ready", "feature", "service")
	if s.start != nil {
		s.start()
	}

	watching, stopWatching := context.WithCancel(life)
	silence := make(chan error, 1)
	go func() { silence <- s.watchdog().watch(watching) }()
	defer func() { stopWatching(); <-silence }()

	var err error
	select {
	case reason := <-s.shutdown:
		s.log.Info("shutting down", "feature", "service", "reason", reason)
	case <-ctx.Done():
		s.log.Info("shutting down", "feature", "service", "reason", "the process was told to end")
	case err = <-silence:
		s.log.Error("shutting down", "feature", "service", "reason", err)
		silence <- nil // for the deferred read
	}
	s.drain(life)
	return err
}

// drain acknowledges the end at once, refuses new requests, and lets those in flight and Options.Stop finish.
func (s *service) drain(life context.Context) {
	s.accepting.Store(false)
	var group sync.WaitGroup
	group.Go(func() {
		ack := encode(acknowledgement{Command: "Acknowledged", Type: "Shutdown"})
		if err := s.publishSoon(life, ack); err != nil {
			s.log.Warn("end not acknowledged", "feature", "broker", "error", err)
		}
	})
	group.Go(func() {
		if !s.open.wait(drainTimeout) {
			s.log.Warn("requests in flight are cut short", "feature", "request")
			s.endCalls(errStopping)
			s.open.wait(stopTimeout - drainTimeout)
		}
		s.endCalls(errStopping)
	})
	if s.stop != nil {
		group.Go(func() {
			ctx, cancel := context.WithTimeout(life, stopTimeout)
			defer cancel()
			if !waitFor(func() { s.stop(ctx) }, stopTimeout) {
				s.log.Warn("work in progress did not end in time", "feature", "service")
			}
		})
	}
	waitFor(group.Wait, stopTimeout) // Paho waits for a broker that reads nothing longer than it is told
}

// publishSoon sends one of the few messages about the Service itself.
func (s *service) publishSoon(ctx context.Context, payload []byte) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return s.broker.publish(ctx, s.in.ClientTopic, payload)
}

// waitFor reports whether wait returned within limit. If not, its goroutine lives on until it does; the process is
// about to end then.
func waitFor(wait func(), limit time.Duration) bool {
	done := make(chan struct{})
	go func() { defer close(done); wait() }()
	return received(done, limit)
}

// watchdog answers heartbeats on a path of its own and notices when they stop.
type watchdog struct {
	limit   time.Duration // silence that is put up with, counted from the start of watch
	grace   time.Duration // for the reconnect attempt, and again for a heartbeat after it
	beats   <-chan struct{}
	reply   func(ctx context.Context)
	recheck func(ctx context.Context, silent time.Duration) error // reconnects
	verdict func() string
}

func (s *service) watchdog() *watchdog {
	return &watchdog{
		limit: s.in.HeartbeatTimeout, grace: min(s.in.HeartbeatTimeout, 10*time.Second), beats: s.beats,
		reply: s.replyHeartbeat, recheck: s.recheck, verdict: s.verdict,
	}
}

// watch returns nil when ctx ends, else ErrMissedHeartbeats.
func (w *watchdog) watch(ctx context.Context) error {
	timer := time.NewTimer(w.limit)
	defer timer.Stop()
	last := time.Now()
	for rechecked := false; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-w.beats:
			last, rechecked = time.Now(), false
			timer.Reset(w.limit)
			w.reply(ctx)
		case <-timer.C:
			if len(w.beats) > 0 {
				continue // one came at the last moment
			}
			silent := time.Since(last).Round(time.Second)
			if rechecked {
				return fmt.Errorf("%w: none for %v. %s", ErrMissedHeartbeats, silent, w.verdict())
			}
			rechecked = true
			if err := w.tryAgain(ctx, silent); err != nil {
				return fmt.Errorf("%w: none for %v, and the broker is gone: %w", ErrMissedHeartbeats, silent, err)
			}
			timer.Reset(w.grace)
		}
	}
}

func (w *watchdog) tryAgain(ctx context.Context, silent time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, w.grace)
	defer cancel()
	return w.recheck(ctx, silent)
}

func (s *service) replyHeartbeat(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	reply := encode(heartbeat{Command: "Heartbeat", Metric: metrics{
		Errors: s.errors.Load(), Requests: s.requests.Load(), Responses: s.responses.Load(),
	}})
	if err := s.broker.publishNow(ctx, s.in.ClientTopic, reply); err != nil {
		s.log.Warn("heartbeat not answered", "feature", "heartbeat", "error", err)
		return
	}
	s.log.Log(ctx, LevelTrace, "heartbeat answered", "feature", "heartbeat")
}

// recheck reconnects and sends ourselves a BrokerCheck, to tell a dead broker from a silent platform.
func (s *service) recheck(ctx context.Context, silent time.Duration) error {
	s.log.Warn("heartbeats missed, reconnecting", "feature", "heartbeat", "silent", silent)
	s.checked.Store(false)
	if err := s.broker.reconnect(ctx); err != nil {
		return err
	}
	check := encode(brokerCheck{
		Command: "BrokerCheck", Date: time.Now().UTC().Format("2006-01-02 15:04:05-07:00"), Watchdog: int(silent.Seconds()),
	})
	return s.broker.publishNow(ctx, s.in.ServerTopic, check)
}

func (s *service) verdict() string {
	if s.checked.Load() {
		return "The broker works and the platform is silent: look at the ThreatConnect server"
	}
	return "The broker took a new connection and carried no message: look at the broker and its permissions"
}
