// Package tcplatform stands in for the part of ThreatConnect that runs Service API Apps: it installs a real package,
// encrypts the parameters, launches run.py, speaks the service protocol over a message broker and a key-value store,
// restarts what fails, and offers the Services page and the front at /api/services/<path>/v1/….
//
// What is unknown about ThreatConnect's messages, app/docs/platform.md, varies from one to the next, within what the
// vendor's own two frameworks accept. Broker and store are embedded, or real ones. It shares no code with the App's
// side of the protocol: a wrong reading must not be able to hide on both sides.
package tcplatform

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Options describe a platform. The zero value of every member is a usable default.
type Options struct {
	Addr   string       // of the front; a free loopback port
	Dir    string       // where packages and the folders of Services go; one that Close removes
	API    http.Handler // answers everything that the platform itself does not, such as /api/v2 and /api/v3
	Python string       // python3
	Layout []byte       // layout.json, which groups the parameters on the screen
	Logger *slog.Logger // nothing is logged
	Output io.Writer    // gets what Apps print as well; their exit keeps the end of it

	Secure         bool    // embedded broker and store: TLS, the store also with user, password and client certificate
	CommonNameOnly bool    // with Secure: the certificate names the host in its common name alone
	MachineCA      bool    // with Secure: the machine of the Apps knows the authority, and tc_svc_broker_cacert_file is of another
	Broker         *Broker // a real broker instead of the embedded one
	Store          *Store  // a real Redis instead of the embedded store
	KeyValueAPI    bool    // Apps reach the store by the TCKeyValueAPI alone
	RawQuery       bool    // query parameters reach Apps as the browser wrote them instead of decoded
	OwnLength      bool    // answers leave the front with the Content-Length of the App instead of a counted one
	FormsAsQuery   bool    // forms reach Apps among the query parameters and without a body, as a servlet's
	Front          Front   // what else the front does to requests and answers

	Paths          string   // how the path of a request begins: "slash", "bare"; varied
	CallerMember   string   // the member of a message that names the user, as "userName"; "" for none
	CallerName     string   // what CallerMember holds
	RequestURLs    string   // what requestUrl is: "whole" address, "host" alone, "none"; varied
	DroppedHeaders []string // of callers, which do not reach Apps

	StoreVersion string        // what the embedded store says of itself; 7.2.4
	StoreRefuses []string      // commands of the embedded store, in upper case, to which Apps have no right
	BodyLife     time.Duration // after which the store drops the bodies of a request by itself, whole seconds; never
	KeepBodies   bool          // the bodies of a request stay in the store after its answer

	Inputs  map[string]string // platform inputs that are added or replaced, such as tc_proxy_host
	Omit    []string          // inputs that are left out
	Environ []string          // added to the environment of the Apps, NAME=value

	StartToken          bool              // Apps get a token with their parameters, which a Service must not expect
	Variables           map[string]string // what references such as &{TC:TEXT:name} stand for, by TC/name
	APIUsers            map[string]string // whose signed requests are taken as those with a token: Secret Key by Access ID
	NoTokenForVariables bool              // tokens do not open variables: they are for signed requests alone

	HeartbeatEvery   time.Duration // 5 s
	HeartbeatTimeout time.Duration // tc_svc_hb_timeout_seconds, whole seconds, and for the App's answers; 20 s
	ReadyTimeout     time.Duration // from launch to Ready; 60 s
	AnswerTimeout    time.Duration // of a request; 30 s. What an App answers later is dropped
	StopTimeout      time.Duration // from Shutdown to the end of the process, before it is killed; 10 s
	RestartFailures  bool          // a Service that ended with code 0 by itself is not started again
	RestartPause     time.Duration // before a failed Service is started again; 5 s
	Seed             uint64        // of what varies
}

// Broker is a real message broker. The zero CAFile means plain text.
type Broker struct {
	Host   string
	Port   int
	CAFile string
	Token  string // with which Apps log in under the empty user name
	User   string // with which the platform logs in
	Secret string
}

// Store is a real Redis. With TLS, DB is where the bodies lie; without it that is database 0, as ThreatConnect has it.
type Store struct {
	Host     string
	Port     int
	TLS      bool
	DB       int
	User     string
	Password string
	CAFile   string
	CertFile string // client certificate
	KeyFile  string
}

func (o *Options) setDefaults() {
	o.Addr = cmp.Or(o.Addr, "127.0.0.1:0")
	o.Python = cmp.Or(o.Python, "python3")
	o.HeartbeatEvery = cmp.Or(o.HeartbeatEvery, 5*time.Second)
	o.HeartbeatTimeout = cmp.Or(o.HeartbeatTimeout, 20*time.Second)
	o.ReadyTimeout = cmp.Or(o.ReadyTimeout, time.Minute)
	o.AnswerTimeout = cmp.Or(o.AnswerTimeout, 30*time.Second)
	o.Front.setDefaults()
	o.StopTimeout = cmp.Or(o.StopTimeout, 10*time.Second)
	o.StoreVersion = cmp.Or(o.StoreVersion, "7.2.4")
	o.RestartPause = cmp.Or(o.RestartPause, 5*time.Second)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// Platform is a running stand-in. Its methods may be called from several goroutines.
type Platform struct {
	o        Options
	dir      string
	tempDir  bool
	log      *slog.Logger
	broker   *broker
	store    *store
	bus      *bus
	tokens   tokens
	chance   chance
	listener net.Listener
	server   *http.Server
	served   chan error
	session  string // of everybody who was on the Services page

	mu       sync.Mutex
	services []*Service // in the order of AddService
}

// Start brings up broker, store and front.
func Start(o Options) (_ *Platform, err error) {
	o.setDefaults()
	p := &Platform{o: o, dir: o.Dir, log: o.Logger, served: make(chan error, 1), session: uuid.NewString()}
	p.chance.source = rand.New(rand.NewPCG(o.Seed, 5))
	defer func() {
		if err != nil {
			p.Close() //nolint:errcheck // the error that led here matters more
		}
	}()
	if p.dir == "" {
		p.tempDir = true
		if p.dir, err = os.MkdirTemp("", "platform-"); err != nil {
			return nil, err
		}
	}
	if p.dir, err = filepath.Abs(p.dir); err != nil {
		return nil, err
	}
	if err = p.startServices(); err != nil {
		return nil, err
	}
	if p.listener, err = net.Listen("tcp", o.Addr); err != nil {
		return nil, fmt.Errorf("opening the front: %w (is another one running? choose another address)", err)
	}
	p.server = &http.Server{Handler: p.newHandler(), ReadHeaderTimeout: 10 * time.Second}
	go func() { p.served <- p.server.Serve(p.listener) }()
	return p, nil
}

// startServices brings up what carries messages and bodies.
func (p *Platform) startServices() error {
	var certificates *Certificates
	if p.o.Secure {
		var err error
		if certificates, err = NewCertificates(filepath.Join(p.dir, "certificates"), p.o.CommonNameOnly); err != nil {
			return err
		}
		if p.o.MachineCA {
			if err := p.moveAuthority(certificates); err != nil {
				return err
			}
		}
	}
	var err error
	if p.broker, err = startBroker(p.o, certificates); err != nil {
		return err
	}
	if p.store, err = startStore(p.o, certificates); err != nil {
		return err
	}
	p.bus, err = openBus(p.broker.where, p.log)
	return err
}

// moveAuthority tells Apps of another authority, and their machine of the one that counts.
func (p *Platform) moveAuthority(certificates *Certificates) error {
	other, err := NewCertificates(filepath.Join(p.dir, "other certificates"), false)
	if err != nil {
		return err
	}
	p.o.Environ = append(slices.Clone(p.o.Environ), "SSL_CERT_FILE="+certificates.CAFile)
	certificates.CAFile = other.CAFile
	return nil
}

// URL is the base of the front, such as http://127.0.0.1:8400.
func (p *Platform) URL() string { return "http://" + p.listener.Addr().String() }

// Services lists the Services in the order in which they were added.
func (p *Platform) Services() []*Service {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.services)
}

// byPath finds a Service by its API path.
func (p *Platform) byPath(path string) *Service {
	for _, s := range p.Services() {
		if s.o.Path == path {
			return s
		}
	}
	return nil
}

// DropConnections cuts the connection of every App to the embedded broker; it may come back at once.
func (p *Platform) DropConnections() { p.broker.dropApps() }

// StopBroker takes the embedded broker down until StartBroker.
func (p *Platform) StopBroker() { p.broker.stopServer() }

// StartBroker brings the embedded broker back on the same port.
func (p *Platform) StartBroker() error { return p.broker.startServer() }

// StopStore takes the embedded store down until StartStore.
func (p *Platform) StopStore() { p.store.stopServer() }

// StartStore brings the embedded store back on the same port, with what it held.
func (p *Platform) StartStore() error { return p.store.startServer() }

// Close turns every Service off and ends the platform.
func (p *Platform) Close() error {
	var group sync.WaitGroup
	for _, s := range p.Services() {
		group.Go(s.TurnOff)
	}
	group.Wait()
	var err error
	if p.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		if p.server.Shutdown(ctx) != nil {
			p.server.Close() //nolint:errcheck // Shutdown has closed the listener
		}
		if served := <-p.served; !errors.Is(served, http.ErrServerClosed) {
			err = served
		}
	}
	if p.bus != nil {
		p.bus.closeConnection()
	}
	if p.broker != nil {
		p.broker.stopServer()
	}
	if p.store != nil {
		p.store.closeStore()
	}
	if p.tempDir {
		os.RemoveAll(p.dir) //nolint:errcheck // it lies in the system's folder for what may go
	}
	return err
}

// chance varies what may vary. The same seed gives the same choices in the same order.
type chance struct {
	mu     sync.Mutex
	source *rand.Rand
}

// numberBelow returns a number from 0 to n-1.
func (c *chance) numberBelow(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.source.IntN(n)
}

func (c *chance) oneIn(in int) bool { return c.numberBelow(in) == 0 }
