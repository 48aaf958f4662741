package platform

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"

	"mssentinel/app/retry"
)

const (
	storeRedis  = "Redis"
	storeAPI    = "TCKeyValueAPI"
	storeOpTime = 10 * time.Second
	storeRetry  = 3 * time.Second // how long an operation is tried again, so that a restart of the store goes unnoticed
)

var (
	errTooLarge   = errors.New("value is too large")
	errNeedsToken = errors.New("the request carried no API token, which the TCKeyValueAPI store needs")
)

// keyValueStore carries the bodies of requests and answers. Values are raw bytes.
type keyValueStore interface {
	// Get returns nil for a field that is not there, and errTooLarge for more than limit bytes.
	Get(ctx context.Context, key, field string, limit int) ([]byte, error)
	Put(ctx context.Context, key, field string, value []byte) error
	Close() error
}

func newStore(in Inputs, o Options) (keyValueStore, error) {
	switch in.StoreType {
	case storeRedis:
		return newRedisStore(in, o)
	case storeAPI:
		return &apiStore{api: o.API}, nil
	}
	return nil, fmt.Errorf("key-value store %q (tc_kvstore_type) is not known: it has to be Redis or TCKeyValueAPI", in.StoreType)
}

// redisStore uses database 0 without TLS and tc_playbook_kvstore_id with it, and sends the password in both cases.
// Without TLS the vendor's framework sends none, so a Redis that refuses the password is tried without it:
// app/docs/platform.md#redis.
type redisStore struct {
	pool     *redis.Pool
	database int
}

func newRedisStore(in Inputs, o Options) (*redisStore, error) {
	port, options := in.StorePort, []redis.DialOption{
		redis.DialContextFunc(o.Dial),
		redis.DialReadTimeout(storeOpTime),
		redis.DialWriteTimeout(storeOpTime),
	}
	login := []redis.DialOption{redis.DialPassword(in.StorePassword.Reveal())}
	if !in.StorePassword.IsZero() {
		login = append(login, redis.DialUsername(in.StoreUser))
	}
	if in.StoreTLS {
		config, err := redisTLS(in, o)
		if err != nil {
			return nil, err
		}
		port = in.StoreTLSPort
		options = append(options, redis.DialUseTLS(true), redis.DialTLSConfig(config),
			redis.DialTLSHandshakeTimeout(dialTimeout), redis.DialDatabase(in.StoreTLSDB))
	}
	address, database := net.JoinHostPort(in.StoreHost, strconv.Itoa(port)), 0
	if in.StoreTLS {
		database = in.StoreTLSDB
	}
	return &redisStore{database: database, pool: &redis.Pool{
		MaxActive:   workers + 4,
		MaxIdle:     workers,
		IdleTimeout: 4 * time.Minute,
		Wait:        true,
		TestOnBorrow: func(conn redis.Conn, idle time.Time) error {
			if time.Since(idle) < time.Second {
				return nil
			}
			if _, err := redis.DoWithTimeout(conn, time.Second, "PING"); err != nil && !isReply(err) {
				return err
			}
			return nil
		},
		DialContext: func(ctx context.Context) (redis.Conn, error) {
			conn, how, err := dialWithLogin(ctx, in, address, options, login)
			if err != nil {
				return nil, fmt.Errorf("connecting to Redis at %s: %w", address, err)
			}
			o.Recorder.noteLogin(how)
			return conn, nil
		},
	}}, nil
}

// dialWithLogin connects, without the login where Redis refuses it and is not spoken to over TLS. how says which.
func dialWithLogin(ctx context.Context, in Inputs, address string, options, login []redis.DialOption) (conn redis.Conn, how string, err error) {
	conn, err = redis.DialContext(ctx, "tcp", address, slices.Concat(options, login)...)
	if isReply(err) && !in.StoreTLS && !in.StorePassword.IsZero() {
		if conn, loginErr := dialWithoutLogin(ctx, address, options); loginErr == nil {
			return conn, "refused, and not needed", nil
		}
	}
	return conn, describeLogin(in), err
}

// describeLogin says what was taken as a login.
func describeLogin(in Inputs) string {
	switch {
	case in.StorePassword.IsZero():
		return "none was given, and none is needed"
	case in.StoreUser == "":
		return "the password was taken"
	}
	return "user name and password were taken"
}

// dialWithoutLogin connects to a Redis that asks for no login.
func dialWithoutLogin(ctx context.Context, address string, options []redis.DialOption) (redis.Conn, error) {
	conn, err := redis.DialContext(ctx, "tcp", address, options...)
	if err != nil {
		return nil, err
	}
	if _, err := redis.DoContext(conn, ctx, "PING"); err != nil {
		conn.Close() //nolint:errcheck // it cannot be used anyway
		return nil, err
	}
	return conn, nil
}

// Get asks for the length first, since a reply is read whole. A Redis user may lack the right to ask: then HGET is
// tried without.
func (s *redisStore) Get(ctx context.Context, key, field string, limit int) ([]byte, error) {
	var value []byte
	err := s.retryOperation(ctx, func(conn redis.Conn) error {
		size, err := redis.Int(redis.DoContext(conn, ctx, "HSTRLEN", key, field))
		switch {
		case err == nil && size == 0:
			return nil
		case err == nil && size > limit:
			return errTooLarge
		case err != nil && !isReply(err):
			return err
		}
		value, err = redis.Bytes(redis.DoContext(conn, ctx, "HGET", key, field))
		if errors.Is(err, redis.ErrNil) {
			return nil
		}
		return err
	})
	if err == nil && len(value) > limit {
		return nil, errTooLarge
	}
	return value, err
}

func (s *redisStore) Put(ctx context.Context, key, field string, value []byte) error {
	return s.retryOperation(ctx, func(conn redis.Conn) error {
		_, err := redis.DoContext(conn, ctx, "HSET", key, field, value)
		return err
	})
}

func (s *redisStore) Close() error { return s.pool.Close() }

// lifetime asks how long a key is still to stand; -1 is for ever. exists is false where there is no such key.
func (s *redisStore) lifetime(ctx context.Context, key string) (left time.Duration, exists bool, err error) {
	var seconds int64
	err = s.runOperation(ctx, func(conn redis.Conn) (err error) {
		seconds, err = redis.Int64(redis.DoContext(conn, ctx, "TTL", key))
		return err
	})
	if err != nil || seconds == -2 {
		return 0, false, err
	}
	if seconds < 0 {
		return -1, true, nil
	}
	return time.Duration(seconds) * time.Second, true, nil
}

// refused stands before what the store answered where it did not say what it was asked.
const refused = "refused: "

// describe asks the store about itself and about keys, over one connection and with commands that change nothing. The
// error is that of the connection: what the store refuses is told in facts.
func (s *redisStore) describe(ctx context.Context, keys []answeredKey, facts *StoreFacts) error {
	facts.Database = s.database
	for _, question := range []struct {
		command string
		args    []any
		answer  *string
		read    func(string) string
	}{
		{"INFO", []any{"server"}, &facts.Version, findVersion},
		{"ACL", []any{"WHOAMI"}, &facts.User, func(name string) string { return name }},
		{"HSTRLEN", []any{"ms-sentinel-check", requestBody}, &facts.Length, func(string) string { return "allowed" }},
	} {
		err := s.runOperation(ctx, func(conn redis.Conn) error {
			reply, err := redis.DoContext(conn, ctx, question.command, question.args...)
			if isReply(err) {
				*question.answer = refused + err.Error()
				return nil
			}
			*question.answer = question.read(fmt.Sprintf("%s", reply))
			return err
		})
		if err != nil {
			return fmt.Errorf("asking the store by %s: %w", question.command, err)
		}
	}
	for _, key := range slices.Backward(keys) {
		left, exists, err := s.lifetime(ctx, key.key)
		if isReply(err) {
			return nil // it may not be asked
		}
		if err != nil {
			return fmt.Errorf("asking the store by TTL: %w", err)
		}
		facts.Answered = append(facts.Answered, AnsweredFacts{Ago: time.Since(key.at), Gone: !exists, Left: left})
	}
	return nil
}

// findVersion reads the answer to INFO.
func findVersion(info string) string {
	for line := range strings.Lines(info) {
		if version, found := strings.CutPrefix(strings.TrimSpace(line), "redis_version:"); found {
			return version
		}
	}
	return refused + "INFO names no redis_version"
}

// retryOperation runs op on a pooled connection, and again on another one when the connection failed or the store is
// not ready yet: after a restart of the store the pooled connections are broken.
func (s *redisStore) retryOperation(ctx context.Context, op func(redis.Conn) error) error {
	return retryTemporary(ctx, func() error { return s.runOperation(ctx, op) }, func(err error) bool {
		return !isReply(err) && !errors.Is(err, errTooLarge) && !errors.Is(err, errUntrusted) || isStarting(err)
	})
}

// storePauses fit several tries into storeRetry.
var storePauses = retry.Backoff{First: 50 * time.Millisecond, Longest: 400 * time.Millisecond}

// retryTemporary repeats op, up to storeRetry, as long as its error is temporary. Reading and setting a field may be
// repeated safely.
func retryTemporary(ctx context.Context, op func() error, isTemporary func(error) bool) error {
	started := time.Now()
	for failures := 1; ; failures++ {
		err := op()
		pause := storePauses.Pause(failures)
		if err == nil || !isTemporary(err) || time.Since(started)+pause > storeRetry || retry.Sleep(ctx, pause) != nil {
			return err
		}
	}
}

func (s *redisStore) runOperation(ctx context.Context, op func(redis.Conn) error) error {
	conn, err := s.pool.GetContext(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return op(conn)
}

// isReply tells an answer of the store from a broken connection.
func isReply(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply)
}

// isStarting tells the answers of a store that starts, or is short of connections for a moment.
func isStarting(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply) && slices.ContainsFunc([]string{"LOADING ", "MASTERDOWN ", "ERR max number of clients"},
		func(start string) bool { return strings.HasPrefix(string(reply), start) })
}
