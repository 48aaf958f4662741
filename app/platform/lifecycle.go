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

// serveUntilEnd reports Ready and returns when the Service is to end: by a Shutdown message, by the end of ctx, or
// because heartbeats are missed, which is the error. lifetime outlasts ctx, so that what is under way can be answered.
func (s *service) serveUntilEnd(ctx, lifetime context.Context) error {
	if err := s.publishSoon(lifetime, encodeMessage(map[string]string{"command": "Ready"})); err != nil {
		return fmt.Errorf("reporting Ready: %w", err)
	}
	s.log.Info("ready")
	s.notes.noteReady()
	if s.start != nil {
		s.start()
	}

	watching, stopWatching := context.WithCancel(lifetime)
	silence := make(chan error, 1)
	go func() { silence <- s.newWatchdog().awaitSilence(watching) }()
	defer func() {
		stopWatching()
		<-silence //nolint:errcheck // what it says at the end is not asked for
	}()

	var err error
	select {
	case reason := <-s.shutdown:
		s.log.Info("shutting down", "reason", reason)
	case <-ctx.Done():
		s.log.Info("shutting down", "reason", "the process was told to end")
	case err = <-silence:
		s.log.Error("shutting down", "reason", err)
		silence <- nil // for the deferred read
	}
	s.finishRequests(lifetime)
	return err
}

// finishRequests acknowledges the end at once, refuses new requests, and lets those in flight and Options.Stop finish.
// It takes at most stopTimeout.
func (s *service) finishRequests(lifetime context.Context) {
	s.accepting.Store(false)
	var group sync.WaitGroup
	group.Go(func() {
		ack := encodeMessage(acknowledgement{Command: "Acknowledged", Type: "Shutdown"})
		if err := s.publishSoon(lifetime, ack); err != nil {
			s.log.Warn("end not acknowledged", "error", err)
		}
	})
	group.Go(func() {
		if !s.openCalls.awaitZero(drainTimeout) {
			s.log.Warn("requests in flight are cut short")
			s.endCalls(errStopping)
			s.openCalls.awaitZero(stopTimeout - drainTimeout)
		}
		s.endCalls(errStopping)
	})
	if s.stop != nil {
		group.Go(func() {
			ctx, cancel := context.WithTimeout(lifetime, stopTimeout)
			defer cancel()
			if !returnsWithin(func() { s.stop(ctx) }, stopTimeout) {
				s.log.Warn("work in progress did not end in time")
			}
		})
	}
	returnsWithin(group.Wait, stopTimeout) // Paho keeps waiting for a broker that reads nothing, whatever its own limits are
}

// publishSoon sends one of the few messages about the Service itself, within two seconds.
func (s *service) publishSoon(ctx context.Context, payload []byte) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return s.broker.publishMessage(ctx, s.in.ClientTopic, payload)
}

// returnsWithin reports whether wait returned within limit. If not, it goes on in a goroutine that is left behind: the
// process is about to end then.
func returnsWithin(wait func(), limit time.Duration) bool {
	done := make(chan struct{})
	go func() { defer close(done); wait() }()
	return receivedWithin(done, limit)
}

// watchdog answers heartbeats in a goroutine of its own, so that requests cannot delay them, and notices when they
// stop, app/docs/platform.md#heartbeats.
type watchdog struct {
	limit          time.Duration // how long there may be no heartbeat, counted from the start
	grace          time.Duration // for a new connection, and then again for a heartbeat over it
	heartbeats     <-chan struct{}
	reply          func(ctx context.Context)
	checkBroker    func(ctx context.Context, silent time.Duration) error // over a new connection
	explainSilence func() string
}

func (s *service) newWatchdog() *watchdog {
	return &watchdog{
		limit: s.in.HeartbeatTimeout, grace: min(s.in.HeartbeatTimeout, 10*time.Second), heartbeats: s.heartbeats,
		reply: s.replyHeartbeat, checkBroker: s.checkBroker, explainSilence: s.explainSilence,
	}
}

// awaitSilence returns ErrMissedHeartbeats when they stop, and nil when ctx ends.
func (w *watchdog) awaitSilence(ctx context.Context) error {
	timer := time.NewTimer(w.limit)
	defer timer.Stop()
	last := time.Now()
	for checked := false; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-w.heartbeats:
			last, checked = time.Now(), false
			timer.Reset(w.limit)
			w.reply(ctx)
		case <-timer.C:
			if len(w.heartbeats) > 0 {
				continue // one came at the last moment
			}
			silent := time.Since(last).Round(time.Second)
			if checked {
				return fmt.Errorf("%w: none for %v. %s", ErrMissedHeartbeats, silent, w.explainSilence())
			}
			checked = true
			if err := w.checkWithinGrace(ctx, silent); err != nil {
				return fmt.Errorf("%w: none for %v, and the broker is gone: %w", ErrMissedHeartbeats, silent, err)
			}
			timer.Reset(w.grace)
		}
	}
}

func (w *watchdog) checkWithinGrace(ctx context.Context, silent time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, w.grace)
	defer cancel()
	return w.checkBroker(ctx, silent)
}

func (s *service) replyHeartbeat(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	reply := encodeMessage(heartbeat{Command: "Heartbeat", Metric: metrics{
		Errors: s.errors.Load(), Requests: s.requests.Load(), Responses: s.responses.Load(),
	}})
	if err := s.broker.publishNow(ctx, s.in.ClientTopic, reply); err != nil {
		s.log.Warn("heartbeat not answered", "error", err)
		return
	}
	s.log.Log(ctx, LevelTrace, "heartbeat answered")
}

// checkBroker makes a new connection and sends a BrokerCheck over it, which the App itself receives: so a broker that
// carries nothing and a platform that is silent can be told apart.
func (s *service) checkBroker(ctx context.Context, silent time.Duration) error {
	s.log.Warn("heartbeats missed, reconnecting", "silent", silent)
	s.checkReturned.Store(false)
	if err := s.broker.replaceSession(ctx); err != nil {
		return err
	}
	check := encodeMessage(brokerCheck{
		Command: "BrokerCheck", Date: time.Now().UTC().Format("2006-01-02 15:04:05.000000-07:00"), Watchdog: int(silent.Seconds()),
	})
	return s.broker.publishNow(ctx, s.in.ServerTopic, check)
}

func (s *service) explainSilence() string {
	if s.checkReturned.Load() {
		return "The broker works and the platform is silent: look at the ThreatConnect server"
	}
	return "The broker took a new connection and carried no message: look at the broker and its permissions"
}
