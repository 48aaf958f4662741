package tcplatform

import (
	"cmp"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/gomodule/redigo/redis"
)

// store is the embedded key-value store, or knows where the real one is.
type store struct {
	where    Store
	embedded *miniredis.Miniredis // nil: a real one
	tls      *tls.Config
	pool     *redis.Pool
	version  string   // of the embedded one
	refuses  []string // commands of the embedded one
	known    sync.Map // connections to the embedded one that have logged in, as *server.Peer

	mu sync.Mutex
	up bool
}

func startStore(o Options, certificates *Certificates) (*store, error) {
	s := &store{where: Store{Host: serverAddress}}
	if o.Store != nil {
		s.where = *o.Store
	} else {
		s.embedded = miniredis.NewMiniRedis()
		s.version, s.refuses = o.StoreVersion, o.StoreRefuses
		if err := s.requireLogin(certificates); err != nil {
			return nil, err
		}
		if err := s.startServer(); err != nil {
			return nil, err
		}
	}
	return s, s.openPool()
}

// requireLogin makes the embedded store ask for all that a Redis may ask for.
func (s *store) requireLogin(certificates *Certificates) error {
	if certificates == nil {
		return nil
	}
	config, err := certificates.serverTLS(true)
	if err != nil {
		return err
	}
	s.tls = config
	s.where.TLS, s.where.DB, s.where.User, s.where.Password = true, 3, "service", rand.Text()
	s.where.Host = certificates.Host
	s.where.CAFile, s.where.CertFile, s.where.KeyFile = certificates.CAFile, certificates.ClientCertFile, certificates.ClientKeyFile
	s.embedded.RequireUserAuth(s.where.User, s.where.Password)
	return nil
}

// startServer listens on the port of before, or on a free one.
func (s *store) startServer() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.embedded == nil {
		return errors.New("the store is a real one: start it where it runs")
	}
	if s.up {
		return nil
	}
	address := net.JoinHostPort(serverAddress, strconv.Itoa(s.where.Port))
	var err error
	if s.tls != nil {
		err = s.embedded.StartAddrTLS(address, s.tls)
	} else {
		err = s.embedded.StartAddr(address)
	}
	if err != nil {
		return err
	}
	s.embedded.Server().SetPreHook(s.answerFirst)
	s.up = true
	s.where.Port, err = strconv.Atoi(s.embedded.Port())
	return err
}

// answerFirst answers what the embedded store itself does not, as a Redis does, and refuses what Apps have no right to.
func (s *store) answerFirst(peer *server.Peer, command string, args ...string) bool {
	switch {
	case slices.Contains(s.refuses, command):
		peer.WriteError("NOPERM User " + cmp.Or(s.where.User, "default") + " has no permissions to run the '" + strings.ToLower(command) + "' command")
		return true
	case command == "AUTH" && slices.Equal(args, []string{s.where.User, s.where.Password}):
		s.known.Store(peer, true)
		peer.OnDisconnect(func() { s.known.Delete(peer) })
		return false
	case command == "INFO" && len(args) == 1 && strings.EqualFold(args[0], "server"),
		command == "ACL" && len(args) == 1 && strings.EqualFold(args[0], "whoami"):
		s.tellAboutItself(peer, command)
		return true
	}
	return false
}

func (s *store) tellAboutItself(peer *server.Peer, command string) {
	_, known := s.known.Load(peer)
	switch {
	case s.where.Password != "" && !known:
		peer.WriteError("NOAUTH Authentication required.")
	case command == "INFO":
		peer.WriteBulk("# Server\r\nredis_version:" + s.version + "\r\nredis_mode:standalone\r\nos:Linux 5.15.0 x86_64\r\n")
	default:
		peer.WriteBulk(cmp.Or(s.where.User, "default"))
	}
}

func (s *store) stopServer() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.embedded != nil && s.up {
		s.embedded.Close()
		s.up = false
	}
}

// openPool prepares the platform's own connections.
func (s *store) openPool() error {
	options := []redis.DialOption{
		redis.DialConnectTimeout(3 * time.Second), redis.DialReadTimeout(10 * time.Second), redis.DialWriteTimeout(10 * time.Second),
		redis.DialUsername(s.where.User), redis.DialPassword(s.where.Password),
	}
	if s.where.TLS {
		config, err := clientTLS(s.where.CertFile, s.where.KeyFile)
		if err != nil {
			return err
		}
		options = append(options, redis.DialUseTLS(true), redis.DialTLSConfig(config), redis.DialDatabase(s.where.DB))
	}
	address := net.JoinHostPort(s.where.Host, strconv.Itoa(s.where.Port))
	s.pool = &redis.Pool{
		MaxIdle: 16, IdleTimeout: time.Minute,
		Dial: func() (redis.Conn, error) { return redis.Dial("tcp", address, options...) },
		TestOnBorrow: func(conn redis.Conn, _ time.Time) error {
			_, err := conn.Do("PING")
			return err
		},
	}
	return nil
}

func (s *store) runCommand(command string, args ...any) (any, error) {
	conn := s.pool.Get()
	defer conn.Close()
	return conn.Do(command, args...)
}

// getField returns nil for what is not there.
func (s *store) getField(key, field string) ([]byte, error) {
	value, err := redis.Bytes(s.runCommand("HGET", key, field))
	if errors.Is(err, redis.ErrNil) {
		return nil, nil
	}
	return value, err
}

func (s *store) putField(key, field string, value []byte) error {
	_, err := s.runCommand("HSET", key, field, value)
	return err
}

// limitLife has a key go by itself; 0 lets it stand.
func (s *store) limitLife(key string, life time.Duration) error {
	if life <= 0 {
		return nil
	}
	_, err := s.runCommand("EXPIRE", key, int(life.Seconds()))
	return err
}

func (s *store) removeKey(key string) { s.runCommand("DEL", key) } //nolint:errcheck // what stays behind harms nobody

func (s *store) closeStore() {
	if s.pool != nil {
		s.pool.Close() //nolint:errcheck // nothing is kept in it
	}
	s.stopServer()
}
