package platform

import (
	"context"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// The login that the platform's brokers expect, app/docs/platform.md#message-broker: a user name that is there and
// empty.
func TestConnectPacket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		r := startRun(t, b, inputs(), nil, nil)
		b.expect(t, "Ready")
		const want = "101300044d51545404c2003c00000000" + "0003746f6b"
		b.mu.Lock()
		got := hex.EncodeToString(b.first.Bytes()[:21])
		b.mu.Unlock()
		if got != want {
			t.Errorf("CONNECT is %s, not %s", got, want)
		}
		r.cancel()
		if err := r.end(t); err != nil {
			t.Error(err)
		}
	})
}

func TestReadyComesOnceAndAfterTheSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		b.subscribe = make(chan struct{})
		r := startRun(t, b, inputs(), nil, nil)
		b.quiet(t)
		if _, is := (<-b.seen).(*packets.ConnectPacket); !is {
			t.Error("the first packet is no CONNECT")
		}
		subscribe, is := (<-b.seen).(*packets.SubscribePacket)
		if !is || len(subscribe.Topics) != 1 || subscribe.Topics[0] != "svc-server-1" || subscribe.Qoss[0] != 0 {
			t.Errorf("the second packet is %v", subscribe)
		}
		if n := r.started.Load(); n != 0 {
			t.Error("the work began before Ready")
		}
		close(b.subscribe)
		if p := b.expect(t, "Ready"); p.topic != "svc-client-1" || len(p.body) != 1 {
			t.Errorf("Ready is %v on %s", p.body, p.topic)
		}
		for range 3 {
			b.drop()
			time.Sleep(10 * time.Second) // reconnects
			b.push(`{"command":"Heartbeat"}`)
			b.expect(t, "Heartbeat")
		}
		b.quiet(t)
		if n := r.started.Load(); n != 1 {
			t.Errorf("the work began %d times", n)
		}
		if b.connections != 4 {
			t.Errorf("%d connections", b.connections)
		}
		r.cancel()
		r.end(t) //nolint:errcheck // another test looks
	})
}

func TestRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		refusal uint32
		granted byte
		want    string
	}{
		"protocol version": {refusal: 1, want: "CONNACK code 1"},
		"client id":        {refusal: 2, want: "CONNACK code 2"},
		"user or password": {refusal: 4, want: "bad token (CONNACK code 4). Turn the Service off and on"},
		"not authorised":   {refusal: 5, want: "bad token (CONNACK code 5). Turn the Service off and on"},
		"subscription":     {granted: 0x80, want: "does not let the Service subscribe to svc-server-1"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newFakeBroker()
				b.refusal.Store(test.refusal)
				b.granted = test.granted
				started := time.Now()
				err := startRun(t, b, inputs(), nil, nil).end(t)
				if !errors.Is(err, errRefused) || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "tok\"") {
					t.Errorf("got %v", err)
				}
				if took := time.Since(started); took > time.Second {
					t.Errorf("a refusal is final, but it took %v", took)
				}
				b.quiet(t)
			})
		})
	}
}

// A broker that is busy or away is tried again until the deadline.
func TestStartWithoutBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		b.down.Store(true)
		started := time.Now()
		err := startRun(t, b, inputs(), nil, nil).end(t)
		if err == nil || !strings.Contains(err.Error(), "within 1m0s") || !strings.Contains(err.Error(), "broker:1883") {
			t.Errorf("got %v", err)
		}
		if took := time.Since(started); took < 55*time.Second || took > time.Minute {
			t.Errorf("it took %v", took)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		b.refusal.Store(packets.ErrRefusedServerUnavailable)
		r := startRun(t, b, inputs(), nil, nil)
		time.Sleep(5 * time.Second)
		b.refusal.Store(0)
		b.expect(t, "Ready")
		r.cancel()
		if err := r.end(t); err != nil {
			t.Error(err)
		}
	})
}

// A broker that takes a connection and says nothing is left for another attempt.
func TestDeafBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		b.deaf.Store(1)
		started := time.Now()
		r := startRun(t, b, inputs(), nil, nil)
		if p := b.expect(t, "Ready"); p.at.Sub(started) > 12*time.Second {
			t.Errorf("ready after %v", p.at.Sub(started))
		}
		r.cancel()
		r.end(t) //nolint:errcheck // another test looks
	})
}

// A broker that hangs up as soon as a connection stands is not stormed.
func TestBrokerThatHangsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		in := inputs()
		in.HeartbeatTimeout = time.Minute
		r := startRun(t, b, in, nil, nil)
		b.expect(t, "Ready")
		began, connections := time.Now(), 0
		for connections < 20 {
			if _, is := (<-b.seen).(*packets.SubscribePacket); is {
				connections++
				synctest.Wait()
				b.drop()
			}
		}
		if took := time.Since(began); took < 15*time.Second {
			t.Errorf("20 connections within %v", took)
		}
		r.cancel()
		r.end(t) //nolint:errcheck // another test looks
	})
}

func TestToldToEndBeforeTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		b.down.Store(true)
		r := startRun(t, b, inputs(), nil, nil)
		time.Sleep(3 * time.Second)
		r.cancel()
		if err := r.end(t); err != nil {
			t.Error(err)
		}
	})
}

func TestMissingInputs(t *testing.T) {
	err := Run(t.Context(), Inputs{}, nil, Options{})
	for _, name := range []string{"tc_svc_broker_host", "tc_svc_broker_port", "tc_svc_server_topic", "tc_svc_client_topic"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v does not name %s", err, name)
		}
	}
	in := inputs()
	in.StoreType = "Mongo"
	if err := Run(t.Context(), in, nil, Options{}); err == nil || !strings.Contains(err.Error(), "tc_kvstore_type") {
		t.Errorf("got %v", err)
	}
}

// What the platform leaves unset is as in the vendor's own framework, app/docs/platform.md#inputs-of-the-platform.
func TestDefaults(t *testing.T) {
	in, err := Inputs{BrokerHost: "b", BrokerPort: 1, ServerTopic: "s", ClientTopic: "c"}.withDefaults()
	want := Inputs{BrokerHost: "b", BrokerPort: 1, ServerTopic: "s", ClientTopic: "c", BrokerTimeout: 60 * time.Second, HeartbeatTimeout: 20 * time.Second,
		StoreType: "Redis", StoreHost: "localhost", StorePort: 6379, StoreTLSPort: 6379}
	if err != nil || in != want {
		t.Errorf("got %+v, %v", in, err)
	}
}

// Heartbeats are answered at once while every worker is busy.
func TestHeartbeatsUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		release := make(chan struct{})
		r := startRun(t, b, inputs(), func(w http.ResponseWriter, _ *http.Request) { <-release; w.WriteHeader(http.StatusNoContent) }, nil)
		b.expect(t, "Ready")
		for range 3 * workers {
			b.push(`{"command":"RunService","requestKey":"k","method":"GET","path":"x"}`)
		}
		for range 5 {
			sent := time.Now()
			b.push(`{"command":"heartBEAT","metric":{}}`)
			p := b.expect(t, "Heartbeat")
			if p.at != sent || p.topic != "svc-client-1" {
				t.Errorf("answered after %v on %s", p.at.Sub(sent), p.topic)
			}
			metric := p.body["metric"].(map[string]any)
			if metric["Requests"] != 3.0*workers || metric["Responses"] != 0.0 || metric["Errors"] != 0.0 {
				t.Errorf("metric %v", metric)
			}
			time.Sleep(3 * time.Second)
		}
		close(release)
		for range 3 * workers {
			if p := b.expect(t, "Acknowledged"); p.body["statusCode"] != "204" {
				t.Errorf("got %v", p.body)
			}
		}
		r.cancel()
		r.end(t) //nolint:errcheck // another test looks
	})
}

// As many requests as the vendor's own SDK handles side by side do not wait for each other.
func TestRequestsSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		var together sync.WaitGroup
		together.Add(5)
		r := startRun(t, b, inputs(), func(w http.ResponseWriter, _ *http.Request) {
			together.Done()
			together.Wait()
			w.WriteHeader(http.StatusNoContent)
		}, nil)
		b.expect(t, "Ready")
		for range 5 {
			b.push(`{"command":"RunService","requestKey":"k","method":"GET","path":"x"}`)
		}
		for range 5 {
			if p := b.expect(t, "Acknowledged"); p.body["statusCode"] != "204" {
				t.Errorf("got %v", p.body)
			}
		}
		r.cancel()
		r.end(t) //nolint:errcheck // another test looks
	})
}

// Silence for longer than the limit leads to one new connection and a check of the broker, then to the end.
func TestMissedHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		in := inputs()
		in.HeartbeatTimeout = 20 * time.Second
		r := startRun(t, b, in, nil, nil)
		ready := b.expect(t, "Ready")
		time.Sleep(19 * time.Second)
		b.push(`{"command":"Heartbeat"}`)
		b.expect(t, "Heartbeat")
		check := b.expect(t, "BrokerCheck")
		if check.topic != "svc-server-1" || check.body["heartbeat_watchdog"] != 20.0 || check.body["date"] != check.at.UTC().Format("2006-01-02 15:04:05.000000+00:00") {
			t.Errorf("the check is %v on %s", check.body, check.topic)
		}
		if waited := check.at.Sub(ready.at); waited < 39*time.Second || waited > 42*time.Second {
			t.Errorf("it came after %v", waited)
		}
		err := r.end(t)
		if !errors.Is(err, ErrMissedHeartbeats) || !strings.Contains(err.Error(), "look at the ThreatConnect server") {
			t.Errorf("got %v", err)
		}
		if took := time.Since(ready.at); took < 45*time.Second || took > 60*time.Second {
			t.Errorf("the end came after %v", took)
		}
		if p := b.expect(t, "Acknowledged"); p.body["type"] != "Shutdown" {
			t.Errorf("got %v", p.body)
		}
		if b.connections != 2 {
			t.Errorf("%d connections", b.connections)
		}
	})
}

func TestHeartbeatsThatComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		r := startRun(t, b, inputs(), nil, nil)
		b.expect(t, "Ready")
		b.expect(t, "BrokerCheck")
		b.push(`{"command":"Heartbeat"}`)
		b.expect(t, "Heartbeat")
		b.expect(t, "BrokerCheck")
		b.drop()
		b.down.Store(true)
		err := r.end(t)
		if !errors.Is(err, ErrMissedHeartbeats) {
			t.Errorf("got %v", err)
		}
		r.log.has(t, "heartbeats missed, reconnecting", "broker check came back")
	})
}

func TestSilenceOfADeadBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		r := startRun(t, b, inputs(), nil, nil)
		b.expect(t, "Ready")
		b.down.Store(true)
		b.drop()
		err := r.end(t)
		if !errors.Is(err, ErrMissedHeartbeats) || !strings.Contains(err.Error(), "the broker is gone") || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("got %v", err)
		}
	})
}

// However long the broker was away, it is not left waiting once it is back.
func TestBrokerIsBackAfterAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		in := inputs()
		in.HeartbeatTimeout = time.Hour
		r := startRun(t, b, in, nil, nil)
		b.expect(t, "Ready")
		b.down.Store(true)
		b.drop()
		time.Sleep(34 * time.Second)
		b.down.Store(false)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if b.connections != 2 {
			t.Error("not connected within 5 s")
		}
		r.cancel()
		r.end(t) //nolint:errcheck // another test looks
	})
}

// What an earlier check found is no verdict on this silence.
func TestVerdictIsOnTheLastCheck(t *testing.T) {
	f := newFixture(t, nil)
	says := func(want string) {
		t.Helper()
		if got := f.explainSilence(); !strings.Contains(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	for range 2 {
		if err := f.checkBroker(t.Context(), time.Second); err != nil {
			t.Fatal(err)
		}
		says("look at the broker")
		f.dispatchMessage([]byte(`{"command":"BrokerCheck"}`))
		says("look at the ThreatConnect server")
	}
}

// An answer that is due while the broker is away goes out when it is back.
func TestAnswerSurvivesALostConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		release := make(chan struct{})
		r := startRun(t, b, inputs(), func(w http.ResponseWriter, _ *http.Request) { <-release; w.WriteHeader(http.StatusNoContent) }, nil)
		b.expect(t, "Ready")
		b.push(`{"command":"RunService","requestKey":"k1","method":"GET","path":"x"}`)
		synctest.Wait()
		b.down.Store(true)
		b.drop()
		synctest.Wait()
		close(release)
		time.Sleep(4 * time.Second)
		b.down.Store(false)
		if p := b.expect(t, "Acknowledged"); p.body["requestKey"] != "k1" || p.body["statusCode"] != "204" {
			t.Errorf("got %v", p.body)
		}
		b.quiet(t)
		r.cancel()
		r.end(t) //nolint:errcheck // another test looks
	})
}

// Shutdown is acknowledged at once; the request in flight is answered, a new one refused, and the goodbye said.
func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		stopped := false
		r := startRun(t, b, inputs(), func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(2 * time.Second)
			w.WriteHeader(http.StatusNoContent)
		}, func(ctx context.Context) {
			if _, has := ctx.Deadline(); !has {
				t.Error("Stop has no deadline")
			}
			time.Sleep(time.Second)
			stopped = true
		})
		b.expect(t, "Ready")
		b.push(`{"command":"RunService","requestKey":"k1","method":"GET","path":"x"}`)
		synctest.Wait()
		asked := time.Now()
		b.push(`{"command":"Shutdown","appId":95,"reason":"Service disabled by user."}`)
		if p := b.expect(t, "Acknowledged"); p.body["type"] != "Shutdown" || p.at != asked {
			t.Errorf("got %v after %v", p.body, p.at.Sub(asked))
		}
		b.push(`{"command":"RunService","requestKey":"k2","method":"GET","path":"x"}`)
		if p := b.expect(t, "Acknowledged"); p.body["requestKey"] != "k2" || p.body["statusCode"] != "503" {
			t.Errorf("got %v", p.body)
		}
		if p := b.expect(t, "Acknowledged"); p.body["requestKey"] != "k1" || p.body["statusCode"] != "204" {
			t.Errorf("got %v", p.body)
		}
		if err := r.end(t); err != nil || !stopped {
			t.Errorf("ended with %v, stopped %v", err, stopped)
		}
		if took := time.Since(asked); took > 3*time.Second {
			t.Errorf("it took %v", took)
		}
		r.log.has(t, `reason="Service disabled by user."`)
		var last packets.ControlPacket
		var unsubscribed bool
		for len(b.seen) > 0 {
			last = <-b.seen
			if _, is := last.(*packets.UnsubscribePacket); is {
				unsubscribed = true
			}
		}
		if _, is := last.(*packets.DisconnectPacket); !is || !unsubscribed {
			t.Errorf("the last packet is %v, unsubscribed %v", last, unsubscribed)
		}
	})
}

// What does not end by itself is cut short: 5 s is all that the platform gives.
func TestShutdownIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		forever := make(chan struct{})
		r := startRun(t, b, inputs(), func(http.ResponseWriter, *http.Request) { <-forever }, func(context.Context) { <-forever })
		b.expect(t, "Ready")
		b.push(`{"command":"RunService","requestKey":"k1","method":"GET","path":"x"}`)
		synctest.Wait()
		asked := time.Now()
		r.cancel() // as SIGTERM does
		b.expect(t, "Acknowledged")
		if p := b.expect(t, "Acknowledged"); p.body["requestKey"] != "k1" || p.body["statusCode"] == "200" || p.at.Sub(asked) != drainTimeout {
			t.Errorf("got %v after %v", p.body, p.at.Sub(asked))
		}
		if err := r.end(t); err != nil {
			t.Error(err)
		}
		if took := time.Since(asked); took > 5*time.Second {
			t.Errorf("it took %v", took)
		}
		close(forever)
	})
}

// A broker that takes nothing more does not hold the process back.
func TestShutdownWithAStuckBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		b.stuck = make(chan struct{})
		r := startRun(t, b, inputs(), nil, nil)
		b.expect(t, "Ready")
		for range 4 {
			b.push(`{"command":"RunService","requestKey":"k","method":"GET","path":"x"}`)
		}
		synctest.Wait()
		asked := time.Now()
		r.cancel()
		if err := r.end(t); err != nil {
			t.Error(err)
		}
		if took := time.Since(asked); took > 5*time.Second {
			t.Errorf("it took %v", took)
		}
		close(b.stuck)
		time.Sleep(time.Minute) // what was left behind gives up
	})
}

func TestOtherMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		r := startRun(t, b, inputs(), nil, nil)
		b.expect(t, "Ready")
		for _, message := range []string{
			`{"command":"Acknowledged","type":"FireEvent"}`, `{"command":"BrokerCheck"}`, `{"command":"ListServices"}`, `{"command":17,"triggerId":"x"}`,
			`{"command":{}}`, `not JSON`, ``, `[]`, `null`, `{}`, "\xff\xfe", `{"command":"RunService"}`, `{"command":"LoggingChange","level":"LOUD"}`,
			`{"command":"LoggingChange"`,
		} {
			b.push(message)
		}
		b.quiet(t)
		r.log.has(t, "unknown command ignored", "command=listservices", "message ignored", "request without requestKey ignored", "log level not changed")
		b.push(`{"command":"RunService","requestKey":"k1","method":"GET","path":"x"}`)
		b.expect(t, "Acknowledged")
		r.cancel()
		if err := r.end(t); err != nil {
			t.Error(err)
		}
	})
}

func TestLoggingChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		r := startRun(t, b, inputs(), nil, nil)
		b.expect(t, "Ready")
		for name, want := range map[string]string{"DEBUG": "DEBUG", "trace": "TRACE", "Warning": "WARN", "warn": "WARN", "ERROR": "ERROR", "CRITICAL": "CRITICAL", "info": "INFO"} {
			b.push(`{"command":"LoggingChange","level":"` + name + `"}`)
			b.quiet(t)
			if got := levelName(r.level.Level.Level()); got != want {
				t.Errorf("%s made it %s", name, got)
			}
		}
		r.cancel()
		r.end(t) //nolint:errcheck // another test looks
	})
}
