// Package platform speaks the protocol between ThreatConnect and a Service API App: the message broker on which
// the platform sends its commands, the key-value store that carries request and response bodies, the tokens, the
// log file and the exit message. What a browser or a script asks of the Service arrives as RunService messages;
// this package turns each into a call of an ordinary http.Handler, so that the same handler also serves over a socket.
//
// The broker client is Eclipse Paho. It leaves out the password when the user name is empty, which is the very login
// that ThreatConnect's brokers expect; a shim around the connection (see login) completes its CONNECT packet. One Paho
// client lives as long as one connection: reconnecting is done here, because Paho silently drops what is published
// while it reconnects by itself, whereas an acknowledgement has to wait for the connection.
package platform

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"mssentinel/app/secret"
)

// Inputs are the parameters by which a Service reaches the platform's broker and key-value store,
// app/docs/platform.md#inputs-of-the-platform. They are declared here alone: package config fills each field from the
// parameter that its tag names, and explains the other tags. A zero value means that the platform did not send the
// parameter.
type Inputs struct {
	BrokerHost  string      `input:"tc_svc_broker_host" required:"true"`
	BrokerPort  int         `input:"tc_svc_broker_port" required:"true" min:"1" max:"65535"`
	BrokerToken secret.Text `input:"tc_svc_broker_token"`                 // the MQTT password; the user name is empty
	ServerTopic string      `input:"tc_svc_server_topic" required:"true"` // the platform's messages
	ClientTopic string      `input:"tc_svc_client_topic" required:"true"` // the App's messages

	// BrokerTimeout is the connect deadline and the keep-alive, for which MQTT has two bytes; 0 means 60 s.
	BrokerTimeout time.Duration `input:"tc_svc_broker_conn_timeout" max:"65535"`
	// HeartbeatTimeout is how long there may be no heartbeat; 0 means 20 s.
	HeartbeatTimeout time.Duration `input:"tc_svc_hb_timeout_seconds" max:"86400"`
	// AnyBrokerName takes the broker's certificate whatever host it names.
	AnyBrokerName bool `input:"broker_name_check" source:"environment" inverted:"true"`

	CAFile   string `input:"tc_svc_broker_cacert_file"` // turns TLS on for the broker; trust for broker and Redis
	CertFile string `input:"tc_svc_broker_cert_file"`   // client certificate for Redis over TLS
	KeyFile  string `input:"tc_svc_broker_key_file"`    // its key

	StoreType     string      `input:"tc_kvstore_type" choices:"Redis,TCKeyValueAPI"`
	StoreHost     string      `input:"tc_kvstore_host"`             // empty means localhost
	StorePort     int         `input:"tc_kvstore_port" max:"65535"` // 0 means 6379
	StoreUser     string      `input:"tc_kvstore_user"`
	StorePassword secret.Text `input:"tc_kvstore_pass"`
	StoreTLS      bool        `input:"tc_kvstore_tls_enabled"`
	StoreTLSPort  int         `input:"tc_kvstore_tls_port" max:"65535"`      // 0 means 6379
	StoreTLSDB    int         `input:"tc_playbook_kvstore_id" max:"1048576"` // the database, with TLS alone
}

// Options are what the Service brings along.
type Options struct {
	Logger *slog.Logger
	Level  *slog.LevelVar // set by LoggingChange messages; may be nil
	API    API            // the ThreatConnect API, where the store TCKeyValueAPI is

	// Start is called once, when the platform was told that the Service is ready. May be nil.
	Start func()

	// Shutdown is called once when the platform says Shutdown, with the reason that it gives, or "". It must not block.
	// May be nil.
	Shutdown func(reason string)

	// Stop is called once when the Service is to end, while requests in flight are still being answered. Its context
	// ends after stopTimeout. What the handler needs may only be closed after Run has returned. May be nil.
	Stop func(ctx context.Context)

	// Slow says of a request's path, as the platform tells it, that the handler may take up to 57 s instead of 27 s. It
	// must not block. nil: for none.
	Slow func(path string) bool

	// Dial opens the connections to broker and Redis; nil means TCP.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// Recorder notes how the platform behaves; may be nil.
	Recorder *Recorder
}

const (
	drainTimeout = 3500 * time.Millisecond // for requests in flight at the end
	stopTimeout  = 4 * time.Second         // for Options.Stop; with the end of the connection to the broker within 5 s
)

// Run connects to the platform, reports Ready and serves its messages until it says Shutdown or ctx ends; both
// return nil, within 5 s. Errors: broker not reachable or token refused at start, inputs missing, heartbeats missed.
func Run(ctx context.Context, in Inputs, handler http.Handler, o Options) error {
	in, err := in.withDefaults()
	if err != nil {
		return err
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}).DialContext
	}
	store, err := newStore(in, o)
	if err != nil {
		return err
	}
	defer store.Close()
	o.Recorder.attach(in, store)
	broker, err := newBroker(in, o)
	if err != nil {
		return err
	}

	// Messages are answered even after ctx has ended, until the connection to the broker is closed.
	lifetime, end := context.WithCancel(context.WithoutCancel(ctx))
	svc := newService(in, handler, store, broker, o)
	var background sync.WaitGroup
	background.Go(func() { svc.runWorkers(lifetime) })
	defer func() {
		end()
		returnsWithin(background.Wait, time.Second) // a handler that ignores its context must not keep the process
	}()

	if err := broker.connectAtStart(ctx, svc.dispatchMessage); err != nil {
		if ctx.Err() != nil {
			return nil // told to end before the start was complete
		}
		return err
	}
	background.Go(func() { broker.keepConnected(lifetime) })
	checkStore(ctx, store, o.Logger)
	return svc.serveUntilEnd(ctx, lifetime)
}

// withDefaults fills in the defaults of the vendor's own framework, app/docs/platform.md#inputs-of-the-platform. The
// error names every input that is missing.
func (in Inputs) withDefaults() (Inputs, error) {
	var missing []string
	for _, field := range []struct{ name, value string }{
		{"tc_svc_broker_host", in.BrokerHost},
		{"tc_svc_server_topic", in.ServerTopic},
		{"tc_svc_client_topic", in.ClientTopic},
	} {
		if field.value == "" {
			missing = append(missing, field.name)
		}
	}
	if in.BrokerPort == 0 {
		missing = append(missing, "tc_svc_broker_port")
	}
	if len(missing) > 0 {
		return in, fmt.Errorf("the platform sent no value for %s: check that the App runs as a Service API Service", strings.Join(missing, ", "))
	}
	in.BrokerTimeout = cmp.Or(in.BrokerTimeout, time.Minute)
	in.HeartbeatTimeout = cmp.Or(in.HeartbeatTimeout, 20*time.Second)
	in.StoreType = cmp.Or(in.StoreType, storeRedis)
	in.StoreHost = cmp.Or(in.StoreHost, "localhost")
	in.StorePort = cmp.Or(in.StorePort, 6379)
	in.StoreTLSPort = cmp.Or(in.StoreTLSPort, 6379)
	return in, nil
}

// checkStore logs it early where no body could be exchanged. It does not stop the start: the store may come back.
func checkStore(ctx context.Context, store keyValueStore, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	if _, err := store.Get(ctx, "ms-sentinel-check", requestBody, maxBody); err != nil && !errors.Is(err, errNeedsToken) {
		log.Error("key-value store not usable, requests will fail until it is", "error", err)
	}
}
