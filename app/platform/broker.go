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

	"mssentinel/app/retry"
)

const (
	dialTimeout  = 10 * time.Second
	closeTimeout = 300 * time.Millisecond // for each of the two messages at the end of a session
)

// reconnectPauses let several attempts fit into the 20 s after which heartbeats count as missed.
var reconnectPauses = retry.Backoff{First: time.Second, Longest: 5 * time.Second}

// errRefused marks a login that the broker answered with a refusal.
var errRefused = errors.New("the message broker refused the login")

// broker keeps one subscribed session with the message broker, and publishes over it.
type broker struct {
	in     Inputs
	tls    *tls.Config // nil: plain text
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
	log    *slog.Logger
	notes  *Recorder
	handle func(payload []byte)
	first  *session // what connectAtStart opened

	mu        sync.Mutex
	current   *session      // nil while there is no connection
	connected chan struct{} // closed when current is set
	lastError error         // why the last attempt to connect failed; nil while connected
}

// session is one connection from CONNECT to its loss.
type session struct {
	client mqtt.Client
	conn   net.Conn
	opened time.Time
	lost   chan struct{} // closed by lose
	lose   func()
}

func newBroker(in Inputs, o Options) (*broker, error) {
	config, err := brokerTLS(in, o)
	if err != nil {
		return nil, err
	}
	return &broker{in: in, tls: config, dial: o.Dial, log: o.Logger, notes: o.Recorder, connected: make(chan struct{})}, nil
}

// connectAtStart opens the first session. handle gets each message, one after the other, and must not block. A network
// that fails is tried again until the connect deadline; a refusal of the broker or of its certificate is final.
func (b *broker) connectAtStart(ctx context.Context, handle func(payload []byte)) error {
	b.handle = handle
	ctx, cancel := context.WithTimeout(ctx, b.in.BrokerTimeout)
	defer cancel()
	isFinal := func(err error) bool { return errors.Is(err, errRefused) || errors.Is(err, errUntrusted) }
	s, err := b.retryOpen(ctx, isFinal)
	switch {
	case err == nil:
		b.first = s
		return nil
	case isFinal(err):
		return err
	}
	return fmt.Errorf("no connection to the message broker within %v: %w", b.in.BrokerTimeout, err)
}

// keepConnected opens a new session whenever one is lost, until ctx ends; then it closes the last one.
func (b *broker) keepConnected(ctx context.Context) {
	for s := b.first; s != nil; {
		select {
		case <-ctx.Done():
			b.clearSession(s)
			s.closeInOrder(b.in.ServerTopic)
			return
		case <-s.lost:
		}
		b.clearSession(s)
		s.client.Disconnect(0)
		b.log.Warn("connection to the broker lost")
		s = b.reopenSession(ctx, time.Since(s.opened))
	}
}

// reopenSession tries until a session is open again; nil when ctx ends. The first attempt is made at once, unless the
// session before was lost soon after it was opened.
func (b *broker) reopenSession(ctx context.Context, lasted time.Duration) *session {
	if lasted < reconnectPauses.Longest && retry.Sleep(ctx, reconnectPauses.First) != nil {
		return nil
	}
	s, err := b.retryOpen(ctx, func(error) bool { return false })
	if err != nil {
		return nil
	}
	b.log.Info("connected to the broker again")
	return s
}

// retryOpen opens a session and makes it the current one. It tries again until ctx ends or an error is final, and
// returns the last error then.
func (b *broker) retryOpen(ctx context.Context, isFinal func(error) bool) (*session, error) {
	for failures := 1; ; failures++ {
		s, err := b.openSession(ctx)
		if err == nil {
			b.setSession(s)
			return s, nil
		}
		if isFinal(err) {
			return nil, err
		}
		b.setError(err)
		pause := reconnectPauses.Pause(failures)
		b.log.Warn("broker not reachable, trying again", "error", err, "wait", pause)
		if retry.Sleep(ctx, pause) != nil {
			return nil, err
		}
	}
}

// openSession makes one attempt: TCP and TLS, CONNECT and CONNACK, SUBSCRIBE and SUBACK.
func (b *broker) openSession(ctx context.Context) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, min(dialTimeout, b.in.BrokerTimeout))
	defer cancel()
	s := &session{opened: time.Now(), lost: make(chan struct{})}
	s.lose = sync.OnceFunc(func() { close(s.lost) })

	conn, err := b.dialBroker(ctx)
	if err != nil {
		return nil, err
	}
	s.conn = &login{Conn: conn, token: b.in.BrokerToken.Reveal()}
	s.client = mqtt.NewClient(b.clientOptions(s))
	stop := context.AfterFunc(ctx, func() {
		conn.Close() //nolint:errcheck // it is given up; Paho itself waits for no context
	})
	defer stop()

	connected := s.client.Connect().(*mqtt.ConnectToken)
	if err := awaitToken(ctx, connected); err != nil {
		s.closeAtOnce()
		return nil, connectError(connected, err)
	}
	subscribed := s.client.Subscribe(b.in.ServerTopic, 0, nil).(*mqtt.SubscribeToken)
	if err := awaitToken(ctx, subscribed); err != nil {
		s.closeAtOnce()
		return nil, fmt.Errorf("subscribing to the platform's topic: %w", err)
	}
	granted, ok := subscribed.Result()[b.in.ServerTopic]
	if !ok || granted == 0x80 {
		s.closeAtOnce()
		return nil, fmt.Errorf("%w: it does not let the Service subscribe to %s", errRefused, b.in.ServerTopic)
	}
	b.notes.noteSession(connected.ReturnCode(), granted)
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
		conn.Close() //nolint:errcheck // the handshake failed already
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

// connectError says what the broker's answer means, app/docs/platform.md#message-broker.
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

// publishMessage sends payload, waiting for a session where there is none, until ctx ends.
func (b *broker) publishMessage(ctx context.Context, topic string, payload []byte) error {
	for {
		s, err := b.awaitSession(ctx)
		if err != nil {
			return err
		}
		if err = awaitToken(ctx, s.client.Publish(topic, 0, false, payload)); err == nil {
			return nil
		}
		select {
		case <-s.lost: // the next session takes the message
		case <-time.After(time.Second):
		case <-ctx.Done():
			return fmt.Errorf("publishing to the broker: %w", err)
		}
	}
}

// publishNow sends payload over the current session, or fails.
func (b *broker) publishNow(ctx context.Context, topic string, payload []byte) error {
	s := b.currentSession()
	if s == nil {
		return mqtt.ErrNotConnected
	}
	return awaitToken(ctx, s.client.Publish(topic, 0, false, payload))
}

// replaceSession drops the current session, if there is one, and waits for a new one until ctx ends.
func (b *broker) replaceSession(ctx context.Context) error {
	if s := b.currentSession(); s != nil {
		b.clearSession(s)
		s.conn.Close() //nolint:errcheck // it is given up
		s.lose()
	}
	_, err := b.awaitSession(ctx)
	return err
}

func (b *broker) awaitSession(ctx context.Context) (*session, error) {
	for {
		b.mu.Lock()
		s, arrived, trouble := b.current, b.connected, b.lastError
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

func (b *broker) currentSession() *session {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.current
}

func (b *broker) setSession(s *session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.current, b.lastError = s, nil
	close(b.connected)
}

func (b *broker) setError(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lastError = err
}

func (b *broker) clearSession(s *session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.current == s {
		b.current, b.connected = nil, make(chan struct{})
	}
}

// closeInOrder ends a session as the protocol has it: unsubscribe, then disconnect.
func (s *session) closeInOrder(topic string) {
	s.client.Unsubscribe(topic).WaitTimeout(closeTimeout)
	s.client.Disconnect(uint(closeTimeout.Milliseconds()))
	s.conn.Close() //nolint:errcheck // Paho may have closed it
}

func (s *session) closeAtOnce() {
	s.conn.Close() //nolint:errcheck // it is given up
	s.client.Disconnect(0)
}

// login completes the CONNECT packet, the first that Paho writes, with the user-name flag, an empty user name and the
// token as password, app/docs/platform.md#message-broker. Paho sends neither flag when the user name is empty.
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

// awaitToken waits for token or the end of ctx.
func awaitToken(ctx context.Context, token mqtt.Token) error {
	select {
	case <-token.Done():
		return token.Error()
	case <-ctx.Done():
		return ctx.Err()
	}
}
