package platform

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"
)

const (
	dialTimeout = 10 * time.Second
	minBackoff  = time.Second
	maxBackoff  = 5 * time.Second // several attempts fit into the 20 s after which heartbeats count as missed
	goodbye     = 300 * time.Millisecond
)

// errRefused marks a login that the broker answered with a refusal.
var errRefused = errors.New("the message broker refused the login")

// broker keeps one subscribed connection to the message broker, and publishes over it.
type broker struct {
	in     Inputs
	tls    *tls.Config // nil: plain text
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
	log    *slog.Logger
	handle func(payload []byte)
	first  *session // what connect opened

	mu      sync.Mutex
	current *session      // nil while there is no connection
	arrived chan struct{} // closed when current is set
	trouble error         // why the last attempt to connect failed; nil while connected
}

// session is one connection from CONNECT to its loss.
type session struct {
	client mqtt.Client
	conn   net.Conn
	since  time.Time
	lost   chan struct{} // closed by lose
	lose   func()
}

func newBroker(in Inputs, o Options) (*broker, error) {
	config, err := brokerTLS(in, o.Logger)
	if err != nil {
		return nil, err
	}
	return &broker{in: in, tls: config, dial: o.Dial, log: o.Logger, arrived: make(chan struct{})}, nil
}

// connect opens the first connection and subscribes; handle gets each message, one after the other, and must not
// block. A network that fails is tried again until the connect deadline; a refusal is final.
func (b *broker) connect(ctx context.Context, handle func(payload []byte)) error {
	b.handle = handle
	ctx, cancel := context.WithTimeout(ctx, b.in.BrokerTimeout)
	defer cancel()
	for wait := minBackoff; ; wait = min(2*wait, maxBackoff) {
		s, err := b.open(ctx)
		if err == nil {
			b.first = s
			b.enter(s)
			return nil
		}
		if errors.Is(err, errRefused) || errors.Is(err, errUntrusted) {
			return err
		}
		b.log.Warn("broker not reachable, trying again", "feature", "broker", "error", err, "wait", wait)
		if !sleep(ctx, wait) {
			return fmt.Errorf("no connection to the message broker within %v: %w", b.in.BrokerTimeout, err)
		}
	}
}

// keep reopens the connection whenever it is lost, until ctx ends; then it says goodbye.
func (b *broker) keep(ctx context.Context) {
	for s := b.first; s != nil; {
		select {
		case <-ctx.Done():
			b.leave(s)
			s.close(b.in.ServerTopic)
			return
		case <-s.lost:
		}
		b.leave(s)
		s.client.Disconnect(0)
		b.log.Warn("connection to the broker lost", "feature", "broker")
		s = b.reopen(ctx, time.Since(s.since))
	}
}

// reopen tries until it is connected and subscribed again; nil when ctx ends. The first attempt is made at once, unless
// the connection before broke as soon as it stood.
func (b *broker) reopen(ctx context.Context, lived time.Duration) *session {
	if lived < maxBackoff && !sleep(ctx, minBackoff) {
		return nil
	}
	for wait := minBackoff; ; wait = min(2*wait, maxBackoff) {
		s, err := b.open(ctx)
		if err == nil {
			b.enter(s)
			b.log.Info("connected to the broker again", "feature", "broker")
			return s
		}
		b.mu.Lock()
		b.trouble = err
		b.mu.Unlock()
		b.log.Warn("broker not reachable, trying again", "feature", "broker", "error", err, "wait", wait)
		if !sleep(ctx, wait) {
			return nil
		}
	}
}

// open makes one attempt: TCP and TLS, CONNECT and CONNACK, SUBSCRIBE and SUBACK.
func (b *broker) open(ctx context.Context) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, min(dialTimeout, b.in.BrokerTimeout))
	defer cancel()
	s := &session{since: time.Now(), lost: make(chan struct{})}
	s.lose = sync.OnceFunc(func() { close(s.lost) })

	conn, err := b.dialBroker(ctx)
	if err != nil {
		return nil, err
	}
	s.conn = &login{Conn: conn, token: b.in.BrokerToken.Reveal()}
	s.client = mqtt.NewClient(b.clientOptions(s))
	stop := context.AfterFunc(ctx, func() { conn.Close() }) // Paho waits for no context
	defer stop()

	connected := s.client.Connect().(*mqtt.ConnectToken)
	if err := await(ctx, connected); err != nil {
		s.abandon()
		return nil, connectError(connected, err)
	}
	subscribed := s.client.Subscribe(b.in.ServerTopic, 0, nil).(*mqtt.SubscribeToken)
	if err := await(ctx, subscribed); err != nil {
		s.abandon()
		return nil, fmt.Errorf("subscribing to the platform's topic: %w", err)
	}
	if granted, ok := subscribed.Result()[b.in.ServerTopic]; !ok || granted == 0x80 {
		s.abandon()
		return nil, fmt.Errorf("%w: it does not let the Service subscribe to %s", errRefused, b.in.ServerTopic)
	}
	return s, nil
}

func (b *broker) dialBroker(ctx context.Context) (net.Conn, error) {
	address := net.JoinHostPort(b.in.BrokerHost, strconv.Itoa(b.in.BrokerPort))
	conn, err := b.dial(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("connecting to the message broker at %s: %w", address, err)
	}
	if b.tls == nil {
		return conn, nil
	}
	secure := tls.Client(conn, b.tls)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, fmt.Errorf("TLS with the message broker at %s: %w", address, err)
	}
	return secure, nil
}

func (b *broker) clientOptions(s *session) *mqtt.ClientOptions {
	return mqtt.NewClientOptions().
		AddBroker("tcp://broker"). // never dialled: the connection is handed over
		SetCustomOpenConnectionFn(func(_ *url.URL, _ mqtt.ClientOptions) (net.Conn, error) { return s.conn, nil }).
		SetProtocolVersion(4). // 3.1.1, with no attempt at 3.1
		SetClientID("").
		SetCleanSession(true).
		SetKeepAlive(b.in.BrokerTimeout).
		SetConnectTimeout(min(dialTimeout, b.in.BrokerTimeout)).
		SetWriteTimeout(5 * time.Second).
		SetAutoReconnect(false).
		SetOrderMatters(true).
		SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { b.handle(m.Payload()) }).
		SetConnectionLostHandler(func(mqtt.Client, error) { s.lose() })
}

// connectError puts the broker's answer into words.
func connectError(connected *mqtt.ConnectToken, err error) error {
	code := byte(packets.Accepted)
	select {
	case <-connected.Done():
		code = connected.ReturnCode() // before, Paho may be writing it
	default: // there is no CONNACK
	}
	switch code {
	case packets.ErrRefusedBadUsernameOrPassword, packets.ErrRefusedNotAuthorised:
		return fmt.Errorf("%w: bad token (CONNACK code %d). Turn the Service off and on in ThreatConnect, so that it gets a new broker token", errRefused, code)
	case packets.ErrRefusedBadProtocolVersion, packets.ErrRefusedIDRejected:
		return fmt.Errorf("%w: %w (CONNACK code %d)", errRefused, err, code)
	}
	return fmt.Errorf("logging in to the message broker: %w", err)
}

// publish sends payload, waiting for a connection where there is none; it gives up when ctx ends.
func (b *broker) publish(ctx context.Context, topic string, payload []byte) error {
	for {
		s, err := b.wait(ctx)
		if err != nil {
			return err
		}
		if err = await(ctx, s.client.Publish(topic, 0, false, payload)); err == nil {
			return nil
		}
		select {
		case <-s.lost: // the next connection gets it
		case <-time.After(time.Second):
		case <-ctx.Done():
			return fmt.Errorf("publishing to the broker: %w", err)
		}
	}
}

// publishNow sends payload over the connection that stands, or fails.
func (b *broker) publishNow(ctx context.Context, topic string, payload []byte) error {
	s := b.session()
	if s == nil {
		return mqtt.ErrNotConnected
	}
	return await(ctx, s.client.Publish(topic, 0, false, payload))
}

// reconnect drops the connection, if there is one, and waits until another one stands or ctx ends.
func (b *broker) reconnect(ctx context.Context) error {
	if s := b.session(); s != nil {
		b.leave(s)
		s.conn.Close()
		s.lose()
	}
	_, err := b.wait(ctx)
	return err
}

func (b *broker) wait(ctx context.Context) (*session, error) {
	for {
		b.mu.Lock()
		s, arrived, trouble := b.current, b.arrived, b.trouble
		b.mu.Unlock()
		if s != nil {
			return s, nil
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return nil, fmt.Errorf("no connection to the message broker: %w", errors.Join(ctx.Err(), trouble))
		}
	}
}

func (b *broker) session() *session {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.current
}

func (b *broker) enter(s *session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.current, b.trouble = s, nil
	close(b.arrived)
}

func (b *broker) leave(s *session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.current == s {
		b.current, b.arrived = nil, make(chan struct{})
	}
}

// close says goodbye as the protocol wants it.
func (s *session) close(topic string) {
	s.client.Unsubscribe(topic).WaitTimeout(goodbye)
	s.client.Disconnect(uint(goodbye.Milliseconds()))
	s.conn.Close()
}

func (s *session) abandon() {
	s.conn.Close()
	s.client.Disconnect(0)
}

// login completes the CONNECT packet, the first that Paho writes, with the user-name flag, an empty user name and
// the token as password. Paho sends neither flag when the user name is empty.
type login struct {
	net.Conn
	token string
	sent  bool
}

func (l *login) Write(p []byte) (int, error) {
	if l.sent {
		return l.Conn.Write(p)
	}
	packet, err := packets.ReadPacket(bytes.NewReader(p))
	if err != nil {
		return 0, fmt.Errorf("reading the CONNECT packet: %w", err)
	}
	connect, ok := packet.(*packets.ConnectPacket)
	if !ok {
		return 0, fmt.Errorf("the first packet is no CONNECT but %T", packet)
	}
	connect.UsernameFlag, connect.PasswordFlag = true, l.token != ""
	connect.Username, connect.Password = "", []byte(l.token)
	l.sent = true
	if err := connect.Write(l.Conn); err != nil {
		return 0, err
	}
	return len(p), nil
}

// await waits for token or the end of ctx.
func await(ctx context.Context, token mqtt.Token) error {
	select {
	case <-token.Done():
		return token.Error()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// sleep reports whether d passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
