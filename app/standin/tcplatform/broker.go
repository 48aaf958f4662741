package tcplatform

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
)

// broker is the embedded message broker, or knows where the real one is.
type broker struct {
	where    Broker
	external bool
	tls      *tls.Config

	mu     sync.Mutex
	server *mqtt.Server // nil while it is down
}

func startBroker(o Options, certificates *Certificates) (*broker, error) {
	if o.Broker != nil {
		return &broker{where: *o.Broker, external: true}, nil
	}
	b := &broker{where: Broker{Host: serverAddress, Token: rand.Text(), User: "core", Secret: rand.Text()}}
	if certificates != nil {
		b.where.Host, b.where.CAFile = certificates.Host, certificates.CAFile
		var err error
		if b.tls, err = certificates.serverTLS(false); err != nil {
			return nil, err
		}
	}
	return b, b.startServer()
}

// startServer listens on the port of before, or on a free one.
func (b *broker) startServer() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.external {
		return errors.New("the broker is a real one: start it where it runs")
	}
	if b.server != nil {
		return nil
	}
	server := mqtt.New(&mqtt.Options{Logger: slog.New(slog.DiscardHandler)})
	if err := server.AddHook(&login{where: b.where}, nil); err != nil {
		return err
	}
	listener := &listener{server: server, TCP: listeners.NewTCP(listeners.Config{
		ID: "tcp", Address: net.JoinHostPort(serverAddress, strconv.Itoa(b.where.Port)), TLSConfig: b.tls,
	})}
	if err := server.AddListener(listener); err != nil {
		return fmt.Errorf("starting the broker: %w", err)
	}
	_, port, err := net.SplitHostPort(listener.Address())
	if err != nil {
		return err
	}
	if b.where.Port, err = strconv.Atoi(port); err != nil {
		return err
	}
	b.server = server
	return server.Serve()
}

// listener closes its clients itself: the library reads its list of clients under a lock that it takes twice, and waits
// for ever when a client leaves in between.
type listener struct {
	*listeners.TCP
	server *mqtt.Server
}

func (l *listener) Close(listeners.CloseFn) {
	l.TCP.Close(func(string) {
		for _, client := range l.server.Clients.GetAll() {
			l.server.DisconnectClient(client, packets.ErrServerShuttingDown) //nolint:errcheck // it is gone either way
		}
	})
}

func (b *broker) stopServer() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.server != nil {
		b.server.Close() //nolint:errcheck // nothing is kept in it
		b.server = nil
	}
}

// dropApps cuts the connections of the Apps.
func (b *broker) dropApps() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.server == nil {
		return
	}
	for _, client := range b.server.Clients.GetAll() {
		if string(client.Properties.Username) != b.where.User {
			client.Stop(errors.New("dropped"))
		}
	}
}

// login admits the platform by its name, and Apps as ThreatConnect's brokers do: with the flag of a user name, an empty
// user name, and the token as password.
type login struct {
	mqtt.HookBase
	where Broker
}

func (l *login) ID() string { return "login" }

func (l *login) Provides(hook byte) bool {
	return bytes.IndexByte([]byte{mqtt.OnConnectAuthenticate, mqtt.OnACLCheck}, hook) >= 0
}

func (l *login) OnConnectAuthenticate(_ *mqtt.Client, packet packets.Packet) bool {
	c := packet.Connect
	if packet.ProtocolVersion != 4 || !c.UsernameFlag || !c.PasswordFlag {
		return false
	}
	want := l.where.Token
	if len(c.Username) > 0 {
		if string(c.Username) != l.where.User {
			return false
		}
		want = l.where.Secret
	}
	return subtle.ConstantTimeCompare(c.Password, []byte(want)) == 1
}

// OnACLCheck lets Apps do what the vendor's framework does: read the server topic, write both.
func (l *login) OnACLCheck(client *mqtt.Client, topic string, write bool) bool {
	if string(client.Properties.Username) == l.where.User {
		return true
	}
	return isServerTopic(topic) || write && isClientTopic(topic)
}
