package tcplatform

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

const (
	serverTopic = "svc-server-"
	clientTopic = "svc-client-"
)

func isServerTopic(topic string) bool { return strings.HasPrefix(topic, serverTopic) }
func isClientTopic(topic string) bool { return strings.HasPrefix(topic, clientTopic) }

// newTopics makes the names for one launch.
func newTopics() (server, client string) {
	id := make([]byte, 16)
	rand.Read(id)
	return serverTopic + hex.EncodeToString(id), clientTopic + hex.EncodeToString(id)
}

// bus is the platform's own connection to the broker. It comes back by itself.
type bus struct {
	client mqtt.Client
	log    *slog.Logger

	mu      sync.Mutex
	readers map[string]func(payload []byte) // by topic
}

func openBus(where Broker, log *slog.Logger) (*bus, error) {
	b := &bus{log: log, readers: map[string]func([]byte){}}
	scheme := "tcp"
	o := mqtt.NewClientOptions().
		SetProtocolVersion(4).
		SetClientID("core-" + rand.Text()).
		SetUsername(where.User).SetPassword(where.Secret).
		SetConnectTimeout(5 * time.Second).
		SetAutoReconnect(true).SetMaxReconnectInterval(200 * time.Millisecond).
		SetDefaultPublishHandler(b.receiveMessage).
		SetOnConnectHandler(func(client mqtt.Client) { client.Subscribe("#", 0, nil) })
	if where.CAFile != "" {
		config, err := clientTLS("", "")
		if err != nil {
			return nil, err
		}
		o.SetTLSConfig(config)
		scheme = "ssl"
	}
	o.AddBroker(scheme + "://" + net.JoinHostPort(where.Host, strconv.Itoa(where.Port)))
	b.client = mqtt.NewClient(o)
	token := b.client.Connect()
	if !token.WaitTimeout(10 * time.Second) {
		return nil, errors.New("connecting the platform to the broker: no answer")
	}
	if err := token.Error(); err != nil {
		return nil, fmt.Errorf("connecting the platform to the broker: %w", err)
	}
	return b, nil
}

func (b *bus) receiveMessage(_ mqtt.Client, m mqtt.Message) {
	b.mu.Lock()
	read := b.readers[m.Topic()]
	b.mu.Unlock()
	if read != nil {
		read(m.Payload())
	}
}

// readTopic hands every message on topic to read, one after the other, until end is called.
func (b *bus) readTopic(topic string, read func(payload []byte)) (end func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.readers[topic] = read
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.readers, topic)
	}
}

// publishMessage sends a message. While the broker is away it is lost, as with QoS 0.
func (b *bus) publishMessage(topic string, payload []byte) error {
	token := b.client.Publish(topic, 0, false, payload)
	if !token.WaitTimeout(2 * time.Second) {
		return errors.New("the broker does not take the message")
	}
	return token.Error()
}

func (b *bus) closeConnection() { b.client.Disconnect(100) }
