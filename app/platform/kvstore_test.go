package platform

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/gomodule/redigo/redis"

	"mssentinel/app/secret"
	"mssentinel/app/standin/daemon"
	"mssentinel/app/standin/tcplatform"
)

// redisInputs point to a store on this machine.
func redisInputs(t *testing.T, port string) Inputs {
	t.Helper()
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return Inputs{StoreType: storeRedis, StoreHost: "127.0.0.1", StorePort: number, StoreTLSPort: number}
}

func openRedis(t *testing.T, in Inputs) *redisStore {
	t.Helper()
	s, err := newRedisStore(in, Options{Dial: (&net.Dialer{}).DialContext, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// exchange writes a value as the App does and reads it back.
func exchange(t *testing.T, s keyValueStore) error {
	t.Helper()
	value := []byte("\x00\xff\r\n$5\r\nhello")
	if err := s.Put(t.Context(), "key", "response.body", value); err != nil {
		return err
	}
	got, err := s.Get(t.Context(), "key", "response.body", 1000)
	if err == nil && !bytes.Equal(got, value) {
		t.Errorf("%q became %q", value, got)
	}
	return err
}

// Which database, which login: app/docs/platform.md#redis.
func TestRedisLogin(t *testing.T) {
	for name, test := range map[string]struct {
		require        func(*miniredis.Miniredis)
		user, password string
		fails          string
	}{
		"none":                    {},
		"password":                {require: func(m *miniredis.Miniredis) { m.RequireAuth("secret") }, password: "secret"},
		"user and password":       {require: func(m *miniredis.Miniredis) { m.RequireUserAuth("app", "secret") }, user: "app", password: "secret"},
		"wrong password":          {require: func(m *miniredis.Miniredis) { m.RequireAuth("secret") }, password: "other", fails: "WRONGPASS"},
		"none where one is asked": {require: func(m *miniredis.Miniredis) { m.RequireAuth("secret") }, fails: "NOAUTH"},
		"user without password":   {user: "app"},
	} {
		t.Run(name, func(t *testing.T) {
			m := miniredis.RunT(t)
			if test.require != nil {
				test.require(m)
			}
			in := redisInputs(t, m.Port())
			in.StoreUser, in.StorePassword, in.StoreTLSDB = test.user, secret.New(test.password), 7
			err := exchange(t, openRedis(t, in))
			if test.fails != "" {
				if err == nil || !strings.Contains(err.Error(), test.fails) || strings.Contains(err.Error(), "secret") {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := m.DB(0).HGet("key", "response.body"); got == "" {
				t.Error("the value is not in database 0")
			}
		})
	}
}

func TestRedisOverTLS(t *testing.T) {
	certificates, err := tcplatform.NewCertificates(t.TempDir(), true)
	if err != nil {
		t.Fatal(err)
	}
	others, err := tcplatform.NewCertificates(t.TempDir(), false)
	if err != nil {
		t.Fatal(err)
	}
	m := tlsRedis(t, certificates)
	in := redisInputs(t, m.Port())
	in.StoreTLS, in.StoreTLSDB, in.StorePassword = true, 7, secret.New("secret")
	in.CAFile, in.CertFile, in.KeyFile = certificates.CAFile, certificates.ClientCertFile, certificates.ClientKeyFile
	in.StoreHost = "localhost"
	if err := exchange(t, openRedis(t, in)); err != nil {
		t.Fatal(err)
	}
	if got := m.DB(7).HGet("key", "response.body"); got == "" {
		t.Error("the value is not in database 7")
	}

	wrong := in
	wrong.CAFile = others.CAFile
	if err := exchange(t, openRedis(t, wrong)); !errors.Is(err, errUntrusted) {
		t.Errorf("with another authority: %v", err)
	}
	bare := in
	bare.CertFile = certificates.ClientCertFile + ".missing"
	if err := exchange(t, openRedis(t, bare)); err == nil {
		t.Error("without a client certificate the store was reached")
	}
	broken := in
	broken.KeyFile = certificates.CAFile
	if _, err := newRedisStore(broken, Options{}); err == nil || !strings.Contains(err.Error(), "tc_svc_broker_key_file") {
		t.Errorf("with a broken key: %v", err)
	}
	missing := in
	missing.CAFile = "missing.pem"
	if _, err := newRedisStore(missing, Options{}); err == nil || !strings.Contains(err.Error(), "tc_svc_broker_cacert_file") {
		t.Errorf("without the CA file: %v", err)
	}
}

// The name in the certificate of Redis is looked at, and said once to be wrong; it does not keep requests from being
// answered.
func TestRedisUnderAnotherName(t *testing.T) {
	for name, test := range map[string]struct {
		commonNameOnly bool
		host           string
		told           string // in the warning
	}{
		"its name":             {false, "localhost", ""},
		"its address":          {false, "127.0.0.1", ""},
		"its common name":      {true, "localhost", ""},
		"not its common name":  {true, "127.0.0.1", "for another host"},
		"not one of its names": {false, "127.0.0.2", "127.0.0.1, not 127.0.0.2"},
	} {
		t.Run(name, func(t *testing.T) {
			certificates := newCertificates(t, test.commonNameOnly)
			m, log := tlsRedis(t, certificates), &logBuffer{}
			in := redisInputs(t, m.Port())
			in.StoreTLS, in.StorePassword, in.StoreHost = true, secret.New("secret"), test.host
			in.CAFile, in.CertFile, in.KeyFile = certificates.CAFile, certificates.ClientCertFile, certificates.ClientKeyFile
			o := Options{Logger: newLog(log, slog.LevelInfo).Logger, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, network, "127.0.0.1:"+m.Port())
			}}
			s, err := newRedisStore(in, o)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			first := s.pool.Get() // kept, so that a second connection is made
			defer first.Close()
			if _, err := first.Do("PING"); err != nil {
				t.Fatal(err)
			}
			if err := exchange(t, s); err != nil {
				t.Fatal(err)
			}
			want := 0
			if test.told != "" {
				want = 1
			}
			if text := log.String(); strings.Count(text, "level=WARN") != want || !strings.Contains(text, test.told) {
				t.Errorf("the log is\n%s", text)
			}
		})
	}
}

// tlsRedis asks for a client certificate and a password.
func tlsRedis(t *testing.T, certificates *tcplatform.Certificates) *miniredis.Miniredis {
	t.Helper()
	cert, err := tls.LoadX509KeyPair(certificates.ServerCertFile, certificates.ServerKeyFile)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(certificates.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	m := miniredis.NewMiniRedis()
	m.RequireAuth("secret")
	if err := m.StartTLS(&tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

func TestRedisValues(t *testing.T) {
	m := miniredis.RunT(t)
	s := openRedis(t, redisInputs(t, m.Port()))
	if value, err := s.Get(t.Context(), "none", "request.body", 10); value != nil || err != nil {
		t.Errorf("a field that is not there is %q, %v", value, err)
	}
	m.HSet("key", "request.body", strings.Repeat("x", 11))
	if _, err := s.Get(t.Context(), "key", "request.body", 10); !errors.Is(err, errTooLarge) {
		t.Errorf("too large: %v", err)
	}
	if err := m.Set("text", "no hash"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "text", "request.body", 10); err == nil || !strings.Contains(err.Error(), "WRONGTYPE") {
		t.Errorf("another type: %v", err)
	}
}

// ThreatConnect may name a password although its Redis asks for none: the vendor's framework sends none without TLS,
// app/docs/platform.md#redis. A real
// one of version 7 refuses the login then.
func TestRedisWithoutPassword(t *testing.T) {
	d, at, err := daemon.Redis(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Stop)
	in := redisInputs(t, strconv.Itoa(at.Port))
	in.StorePassword = secret.New(at.Password)
	if err := exchange(t, openRedis(t, in)); err != nil {
		t.Fatal(err)
	}
	in.StorePassword = secret.New("another")
	if err := exchange(t, openRedis(t, in)); err == nil || !strings.Contains(err.Error(), "WRONGPASS") {
		t.Errorf("with the wrong password: %v", err)
	}
	conn, err := redis.Dial("tcp", net.JoinHostPort(at.Host, strconv.Itoa(at.Port)), redis.DialPassword(at.Password))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Do("CONFIG", "SET", "requirepass", ""); err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"", "somebody"} {
		in.StoreUser = user
		if err := exchange(t, openRedis(t, in)); err != nil {
			t.Errorf("with the user %q: %v", user, err)
		}
	}
}

// No more than reading and writing a field may be allowed to the user of an App.
func TestRedisUserWithFewRights(t *testing.T) {
	d, at, err := daemon.Redis(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Stop)
	conn, err := redis.Dial("tcp", net.JoinHostPort(at.Host, strconv.Itoa(at.Port)), redis.DialPassword(at.Password))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Do("ACL", "SETUSER", "app", "on", ">app-secret", "~*", "+hget", "+hset"); err != nil {
		t.Fatal(err)
	}
	in := redisInputs(t, strconv.Itoa(at.Port))
	in.StoreUser, in.StorePassword = "app", secret.New("app-secret")
	s := openRedis(t, in)
	if err := exchange(t, s); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "key", "response.body", 3); !errors.Is(err, errTooLarge) {
		t.Errorf("too large: %v", err)
	}
	idle := s.pool.Get()
	defer idle.Close()
	if err := s.pool.TestOnBorrow(idle, time.Now().Add(-time.Minute)); err != nil {
		t.Errorf("a connection that was idle: %v", err)
	}
}

// A Redis that starts again answers with errors until it has read its data.
func TestRedisLoading(t *testing.T) {
	for _, passing := range []string{"LOADING Redis is loading the dataset in memory", "MASTERDOWN Link with MASTER is down", "ERR max number of clients reached"} {
		m := miniredis.RunT(t)
		s := openRedis(t, redisInputs(t, m.Port()))
		var refused atomic.Int32
		m.Server().SetPreHook(func(peer *server.Peer, _ string, _ ...string) bool {
			if refused.Add(1) > 3 {
				return false
			}
			peer.WriteError(passing)
			return true
		})
		if err := exchange(t, s); err != nil {
			t.Error(err)
		}
	}
}

// A restart of the store, with stale connections in the pool, goes unnoticed.
func TestRedisRestart(t *testing.T) {
	m := miniredis.RunT(t)
	away := make(chan struct{})
	missed := sync.OnceFunc(func() { close(away) })
	s, err := newRedisStore(redisInputs(t, m.Port()), Options{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil {
			missed()
		}
		return conn, err
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			if err := exchange(t, s); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	m.Close()
	back := make(chan error, 1)
	go func() {
		<-away
		back <- m.Restart()
	}()
	if err := exchange(t, s); err != nil {
		t.Error(err)
	}
	if err := <-back; err != nil {
		t.Fatal(err)
	}
}

func TestRedisStaysAway(t *testing.T) {
	m := miniredis.RunT(t)
	s := openRedis(t, redisInputs(t, m.Port()))
	m.Close()
	_, err := s.Get(t.Context(), "key", "request.body", 10)
	if err == nil || !strings.Contains(err.Error(), "connecting to Redis at 127.0.0.1:") {
		t.Errorf("got %v", err)
	}
}

// The store behind the platform's REST API, app/docs/platform.md#tckeyvalueapi.
func TestKeyValueAPI(t *testing.T) {
	values := map[string][]byte{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "TC-Token SVC:1" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		switch r.Method {
		case http.MethodPut:
			if r.Header.Get("Content-Type") != "application/octet-stream" {
				t.Errorf("content type %q", r.Header.Get("Content-Type"))
			}
			body, _ := io.ReadAll(r.Body)
			values[r.RequestURI] = body
		case http.MethodGet:
			value, found := values[r.RequestURI]
			if !found {
				w.WriteHeader(http.StatusNotFound)
			}
			w.Write(value)
		}
	}))
	defer server.Close()
	s, err := newStore(Inputs{StoreType: storeAPI}, Options{API: API{BaseURL: server.URL + "/api/"}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx := withToken(t.Context(), "SVC:1")
	value := []byte{0, 0xff, '\n'}
	if err := s.Put(ctx, "k/1 ä", "response.body", value); err != nil {
		t.Fatal(err)
	}
	if got := values["/api/internal/playbooks/keyValue/k%2F1%20%C3%A4/response.body"]; !bytes.Equal(got, value) {
		t.Errorf("the server holds %v", values)
	}
	if got, err := s.Get(ctx, "k/1 ä", "response.body", 3); err != nil || !bytes.Equal(got, value) {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := s.Get(ctx, "k/1 ä", "response.body", 2); !errors.Is(err, errTooLarge) {
		t.Errorf("too large: %v", err)
	}
	if got, err := s.Get(ctx, "none", "request.body", 9); got != nil || err != nil {
		t.Errorf("a key that is not there is %q, %v", got, err)
	}
	if err := s.Put(t.Context(), "k", "response.body", value); !errors.Is(err, errNeedsToken) {
		t.Errorf("without a token: %v", err)
	}
	if _, err := s.Get(withToken(t.Context(), "SVC:2"), "k", "request.body", 9); err == nil || !strings.Contains(err.Error(), "401") || strings.Contains(err.Error(), "SVC:2") {
		t.Errorf("with a token that is refused: %v", err)
	}
}

// A store behind the REST API that is away for a moment goes unnoticed as well; what it refuses is not asked again.
func TestKeyValueAPIAway(t *testing.T) {
	for name, test := range map[string]struct {
		status int // 0: a broken connection
		asked  int
		fails  bool
	}{
		"broken": {0, 2, false}, "bad gateway": {502, 2, false}, "unavailable": {503, 2, false}, "forbidden": {403, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil || string(body) != "value" {
					t.Errorf("got %q, %v", body, err)
				}
				if asked++; asked > 1 {
					return
				}
				if test.status == 0 {
					panic(http.ErrAbortHandler)
				}
				w.WriteHeader(test.status)
			}))
			defer server.Close()
			s := &apiStore{api: API{BaseURL: server.URL, HTTP: server.Client()}}
			err := s.Put(withToken(t.Context(), "SVC:1"), "key", "response.body", []byte("value"))
			if (err != nil) != test.fails || asked != test.asked {
				t.Errorf("asked %d times: %v", asked, err)
			}
		})
	}
}
