package tcplatform

import (
	"crypto/rand"
	"crypto/tls"
	"errors"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/gomodule/redigo/redis"
)

// store is the embedded key-value store, or knows where the real one is.
type store struct {
	where    Store
	embedded *miniredis.Miniredis // nil: a real one
	tls      *tls.Config
	pool     *redis.Pool

	mu sync.Mutex
	up bool
}

func startStore(o Options, certificates *Certificates) (*store, error) {
	s := &store{where: Store{Host: serverName}}
	if o.Store != nil {
		s.where = *o.Store
	} else {
		s.embedded = miniredis.NewMiniRedis()
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
	address := net.JoinHostPort(s.where.Host, strconv.Itoa(s.where.Port))
	var err error
	if s.tls != nil {
		err = s.embedded.StartAddrTLS(address, s.tls)
	} else {
		err = s.embedded.StartAddr(address)
	}
	if err != nil {
		return err
	}
	s.up = true
	s.where.Port, err = strconv.Atoi(s.embedded.Port())
	return err
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

func (s *store) removeKey(key string) { s.runCommand("DEL", key) } //nolint:errcheck // what stays behind harms nobody

func (s *store) closeStore() {
	if s.pool != nil {
		s.pool.Close() //nolint:errcheck // nothing is kept in it
	}
	s.stopServer()
}
