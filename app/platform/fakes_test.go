package platform

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"mssentinel/app/secret"
)

// fakeBroker takes connections in memory, so that it works under simulated time, and does what a test tells it.
type fakeBroker struct {
	refusal   atomic.Uint32 // the code of the CONNACK
	granted   byte          // of the SUBACK
	subscribe chan struct{} // when not nil, a SUBACK waits for it to be closed
	down      atomic.Bool   // refuses connections
	deaf      atomic.Int32  // how many connections get no answer
	stuck     chan struct{} // when not nil, nothing is read after a message until it is closed
	got       chan published
	seen      chan packets.ControlPacket // all but PUBLISH and PINGREQ

	mu          sync.Mutex
	first       bytes.Buffer // what the first connection received
	connections int
	current     *fakeConn
}

type published struct {
	topic string
	body  map[string]any
	at    time.Time
}

type fakeConn struct {
	net.Conn
	out    chan packets.ControlPacket
	closed chan struct{}
}

func newFakeBroker() *fakeBroker {
	return &fakeBroker{got: make(chan published, 1000), seen: make(chan packets.ControlPacket, 1000)}
}

func (b *fakeBroker) dial(context.Context, string, string) (net.Conn, error) {
	if b.down.Load() {
		return nil, errors.New("connection refused")
	}
	client, server := net.Pipe()
	if b.deaf.Add(-1) >= 0 {
		go io.Copy(io.Discard, server)
		return client, nil
	}
	conn := &fakeConn{Conn: server, out: make(chan packets.ControlPacket, 100), closed: make(chan struct{})}
	b.mu.Lock()
	b.connections++
	b.current = conn
	reader := io.Reader(server)
	if b.connections == 1 {
		reader = io.TeeReader(server, &b.first)
	}
	b.mu.Unlock()
	go conn.write()
	go b.serve(conn, reader)
	return client, nil
}

func (c *fakeConn) write() {
	for {
		select {
		case packet := <-c.out:
			packet.Write(c.Conn) // the reader notices an error
		case <-c.closed:
			return
		}
	}
}

func (b *fakeBroker) serve(conn *fakeConn, reader io.Reader) {
	defer close(conn.closed)
	defer conn.Close()
	for {
		packet, err := packets.ReadPacket(reader)
		if err != nil {
			return
		}
		switch p := packet.(type) {
		case *packets.PublishPacket:
			var body map[string]any
			json.Unmarshal(p.Payload, &body) //nolint:errcheck // nil then
			b.got <- published{p.TopicName, body, time.Now()}
			if p.TopicName == "svc-server-1" { // the Service reads this one
				conn.out <- p.Copy()
			}
			if b.stuck != nil {
				<-b.stuck
			}
		case *packets.PingreqPacket:
			conn.out <- packets.NewControlPacket(packets.Pingresp)
		default:
			b.seen <- packet
			b.reply(conn, packet)
		}
	}
}

func (b *fakeBroker) reply(conn *fakeConn, packet packets.ControlPacket) {
	switch p := packet.(type) {
	case *packets.ConnectPacket:
		ack := packets.NewControlPacket(packets.Connack).(*packets.ConnackPacket)
		ack.ReturnCode = byte(b.refusal.Load())
		conn.out <- ack
	case *packets.SubscribePacket:
		ack := packets.NewControlPacket(packets.Suback).(*packets.SubackPacket)
		ack.MessageID, ack.ReturnCodes = p.MessageID, []byte{b.granted}
		if b.subscribe != nil {
			<-b.subscribe
		}
		conn.out <- ack
	case *packets.UnsubscribePacket:
		ack := packets.NewControlPacket(packets.Unsuback).(*packets.UnsubackPacket)
		ack.MessageID = p.MessageID
		conn.out <- ack
	}
}

// push sends the Service a message.
func (b *fakeBroker) push(message string) {
	packet := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
	packet.TopicName, packet.Payload = "svc-server-1", []byte(message)
	b.mu.Lock()
	conn := b.current
	b.mu.Unlock()
	conn.out <- packet
}

// drop cuts the connection.
func (b *fakeBroker) drop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.current.Close()
}

// next returns the next message of the Service.
func (b *fakeBroker) next(t *testing.T) published {
	t.Helper()
	select {
	case p := <-b.got:
		return p
	case <-time.After(time.Hour):
		t.Fatal("the Service sends nothing")
		return published{}
	}
}

func (b *fakeBroker) expect(t *testing.T, command string) published {
	t.Helper()
	p := b.next(t)
	if p.body["command"] != command {
		t.Fatalf("got %v, want %s", p.body, command)
	}
	return p
}

// quiet fails when the Service has sent anything more.
func (b *fakeBroker) quiet(t *testing.T) {
	t.Helper()
	synctest.Wait()
	select {
	case p := <-b.got:
		t.Errorf("unexpected message %v", p.body)
	default:
	}
}

func inputs() Inputs {
	return Inputs{
		BrokerHost: "broker", BrokerPort: 1883, BrokerToken: secret.New("tok"), ServerTopic: "svc-server-1", ClientTopic: "svc-client-1",
		StoreType: storeAPI, // asks for nothing while a request has neither body nor answer
	}
}

// serviceRun is a Run under simulated time.
type serviceRun struct {
	broker  *fakeBroker
	result  chan error
	cancel  context.CancelFunc
	log     *logBuffer
	level   *Log
	started atomic.Int32 // calls of Options.Start
	notes   *Recorder
}

// startRun starts Run inside of a bubble.
func startRun(t *testing.T, b *fakeBroker, in Inputs, handler http.HandlerFunc, stop func(context.Context)) *serviceRun {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &serviceRun{broker: b, result: make(chan error, 1), cancel: cancel, log: &logBuffer{}, notes: NewRecorder(Given{})}
	r.level = newLog(r.log, LevelTrace)
	if handler == nil {
		handler = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }
	}
	go func() {
		r.result <- Run(ctx, in, handler, Options{Logger: r.level.Logger, Level: r.level.Level,
			Start: func() { r.started.Add(1) }, Stop: stop, Dial: b.dial, Recorder: r.notes})
	}()
	t.Cleanup(cancel)
	return r
}

// end waits for the end of Run.
func (r *serviceRun) end(t *testing.T) error {
	t.Helper()
	select {
	case err := <-r.result:
		return err
	case <-time.After(time.Hour):
		t.Fatal("Run does not return")
		return nil
	}
}

type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (b *logBuffer) has(t *testing.T, parts ...string) {
	t.Helper()
	text := b.String()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("the log lacks %q:\n%s", part, text)
		}
	}
}
