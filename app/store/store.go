// Package store keeps the state of the Service in one SQLite file: queries, jobs, the ledger of what Sentinel holds, the
// outbox of what it is still to get, errors, and the times of requests.
//
// Exported methods own their transaction; helpers take it. There is one writer; pages read through a pool of their own.
package store

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/mattn/go-sqlite3"
)

// FileName is the database's name in the state folder.
const FileName = "ms_sentinel.db"

const lockName = "ms_sentinel.lock"

// applicationID marks the file as ours (PRAGMA application_id).
const applicationID = 0x4d535443

//go:embed migrations/001_initial.sql
var initial string

// steps bring a file from one version of the schema to the next.
var steps = []string{initial}

// Errors that callers tell apart.
var (
	// ErrNotFound: no such query, job or error line.
	ErrNotFound = errors.New("not found")
	// ErrOutdated: the list of queries was changed since the version that the caller read.
	ErrOutdated = errors.New("the list of queries was changed by someone else")
)

// Store is the open database. Its methods may be called from several goroutines.
type Store struct {
	write *sqlx.DB
	read  *sqlx.DB
	lock  *os.File
	// What follows is the writer's: only code that holds its connection touches it.
	names      names
	nextObject int64
	nextSeq    int64
	// handed is the newest row of the outbox that Outgoing gave away: it and those before it may be at Sentinel. handedBefore
	// is what it was when the database was opened.
	handed, handedBefore int64
	// unwritten are rows of the outbox that are in memory alone, and maxUnread is how many of them Upload may not have been given yet.
	unwritten unwrittenRows
	maxUnread int
	packer    packer
	settling  settling
	// newObjects are those whose keys are in no index, as far as they are known, and newKeys is how many there may be, about, in a small
	// ledger.
	newObjects keyedObjects
	newKeys    int64
	// keptDeliveries is how many deliveries the last look at them left. It is Clean's alone.
	keptDeliveries int64
	// groups is what was counted for REPORT, queries the list that was read last; nil for none.
	groups  groupCache
	queries atomic.Pointer[queryList]
	// departures is held by who decides what becomes of those, since that takes more than one transaction.
	departures sync.Mutex
	closed     atomic.Bool
	// commit stands between the end of a transaction and its COMMIT; see [Options].
	commit func(commit func() error) error
	// fault is why a transaction could not be written; nil until then, and once the disk takes something again.
	fault atomic.Pointer[error]
}

// Options are what a simulation puts in the place of the disk and of the end of the process; the zero value is the real thing.
type Options struct {
	// Commit ends each transaction: it calls commit, which is COMMIT, once or not at all, and returns its error, or that of
	// the disk in its place. Nothing else is written meanwhile. nil calls commit and no more.
	Commit func(commit func() error) error
	// NewKeys is how many new objects are indexed apart from all others, so that a few of them show what thousands do; 0 for as many as
	// are good for the disk.
	NewKeys int64
	// Unread is how many rows of the outbox are in memory alone that Upload was not given yet, for the same reason; 0 for as many as are
	// good for the disk.
	Unread int
}

// Open opens or creates the database in dir and takes the lock on it. The errors name the remedy: another process that
// holds the lock, a file that is not ours or of a newer version, a folder that cannot be written.
func Open(ctx context.Context, dir string) (*Store, error) {
	return OpenWith(ctx, dir, Options{})
}

// OpenWith is [Open] with options.
func OpenWith(ctx context.Context, dir string, o Options) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("creating the state folder: %w", err)
	}
	if err := refuseOthers(dir); err != nil {
		return nil, err
	}
	lock, err := takeLock(filepath.Join(dir, lockName))
	if err != nil {
		return nil, err
	}
	s := &Store{lock: lock, commit: o.Commit, newKeys: cmp.Or(o.NewKeys, newKeys), maxUnread: cmp.Or(o.Unread, maxUnread),
		settling: settling{turn: make(chan struct{}, 1)}, groups: groupCache{turn: make(chan struct{}, 1)}}
	if s.commit == nil {
		s.commit = func(commit func() error) error { return commit() }
	}
	if err := s.openFile(ctx, filepath.Join(dir, FileName)); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// refuseOthers says which file of the state is none. Whoever can place a symbolic link in the folder could have another file
// written to, or ours read elsewhere; a pipe would keep the start waiting. The folder itself may be a link.
func refuseOthers(dir string) error {
	for _, name := range []string{lockName, FileName, FileName + "-wal", FileName + "-shm"} {
		path := filepath.Join(dir, name)
		info, err := os.Lstat(path)
		switch {
		case err != nil || info.Mode().IsRegular():
		case info.Mode()&fs.ModeSymlink != 0:
			return fmt.Errorf("%s is a symbolic link: put the file itself there, or link the folder instead", path)
		default:
			return fmt.Errorf("%s cannot be written: it is no regular file (%s); move it away", path, info.Mode().Type())
		}
	}
	return nil
}

func takeLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the lock of the state folder: %w; make the folder writable for this user", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another process uses the state in %s; stop it, or give this one a folder of its own", filepath.Dir(path)), f.Close())
	}
	return f, nil
}

// idleReaders is how many connections for reading stay open while nobody reads.
const idleReaders = 2

func (s *Store) openFile(ctx context.Context, path string) error {
	if err := createFile(path); err != nil {
		return err
	}
	if err := checkSize(path); err != nil {
		return openError(path, err)
	}
	version, err := readVersion(ctx, path, reading)
	if readOnly(err) {
		version, err = readVersion(ctx, path, mending)
	}
	if err != nil {
		return openError(path, err)
	}
	s.write = openPool(path, writing)
	s.write.SetMaxOpenConns(1)
	if err := s.migrateSchema(ctx, path, version); err != nil {
		return openError(path, err)
	}
	if err := s.loadCounters(ctx); err != nil {
		return openError(path, err)
	}
	if err := s.inTransaction(ctx, s.writeUnwritten); err != nil {
		return openError(path, err)
	}
	s.read = openPool(path, reading)
	s.read.SetMaxOpenConns(4)
	s.read.SetMaxIdleConns(idleReaders)
	return nil
}

// createFile makes an empty file that nobody else can read, where there is none; SQLite gives its log the same mode.
func createFile(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("%s cannot be written (%w); make the folder and the file writable for this user", path, err)
	}
	return f.Close()
}

// shortestLog is how many bytes a log has at least that mends anything: those of a journal's head, which alone says that the file
// was empty. One with a page has more.
const shortestLog = 512

// checkSize refuses a file that was cut within a page. SQLite takes what is missing for zeros: a file of a few bytes would pass
// for an empty one, and a first run. Where there is a log that can mend it, SQLite may have been stopped while it wrote the
// page, and does.
func checkSize(path string) error {
	for _, suffix := range []string{"-wal", "-journal"} {
		if info, err := os.Stat(path + suffix); err == nil && info.Size() >= shortestLog {
			return nil
		}
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return err
	}
	var head [18]byte // the last two are the size of a page, 1 for 65,536
	if _, err := f.ReadAt(head[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	page := int64(binary.BigEndian.Uint16(head[16:]))
	if page == 1 {
		page = 1 << 16
	}
	if page == 0 || info.Size()%page != 0 {
		return fmt.Errorf("its %d bytes are not whole pages: %w", info.Size(), sqlite3.Error{Code: sqlite3.ErrCorrupt})
	}
	return nil
}

// readVersion says which version of the schema a file has, 0 for an empty one. One of a newer version, or of another program,
// is refused, before anything touches it.
func readVersion(ctx context.Context, path string, use url.Values) (version int, err error) {
	db := openPool(path, use)
	defer db.Close()
	var application, tables int
	row := db.QueryRowxContext(ctx, `SELECT user_version, application_id, (SELECT count(*) FROM sqlite_schema)
		FROM pragma_user_version, pragma_application_id`)
	if err := row.Scan(&version, &application, &tables); err != nil {
		return 0, err
	}
	switch {
	case tables > 0 && application != applicationID:
		return 0, fmt.Errorf("%s belongs to another program; move it away or choose another state folder", path)
	case version > len(steps):
		return 0, fmt.Errorf("%s was written by a newer version of this App (schema %d, this version knows %d); install that version again, or move the file away", path, version, len(steps))
	}
	return version, nil
}

// readOnly says that something has to be written before the file can be read.
func readOnly(err error) bool {
	var se sqlite3.Error
	return errors.As(err, &se) && se.Code == sqlite3.ErrReadonly
}

// loadCounters reads what the writer keeps in memory.
func (s *Store) loadCounters(ctx context.Context) error {
	s.names.forgetAll()
	indexed, err := numberSetting(ctx, s.write, settingIndexed)
	if err != nil {
		return err
	}
	// What has a lower number than one whose key was indexed is no new object, even where that one is gone.
	if err := s.write.GetContext(ctx, &s.nextObject, `SELECT max(coalesce(max(number), 0), ?) + 1 FROM object`, indexed); err != nil {
		return err
	}
	handed, err := numberSetting(ctx, s.write, settingHanded)
	if err != nil {
		return err
	}
	s.handed, s.handedBefore, s.unwritten.uncertain = handed, handed, true
	// What was settled was handed out, whether it was ever in the table or not.
	return s.write.GetContext(ctx, &s.nextSeq, `SELECT max(coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'outbox'), 0),
		coalesce((SELECT max(last) FROM outbox_batch), 0), ?) + 1`, handed)
}

// connector opens connections with every pragma that they need, since a pool opens them when it likes.
type connector struct {
	driver sqlite3.SQLiteDriver
	dsn    string
}

// The uses of a connection.
var (
	writing = url.Values{"mode": {"rw"}, "_journal": {"WAL"}, "_auto_vacuum": {"incremental"}, "_cache_size": {"-8000"}}
	reading = url.Values{"mode": {"ro"}, "_cache_size": {"-2000"}}
	// mending undoes what a crash left half-done, as every program that opens the file for writing does.
	mending = url.Values{"mode": {"rw"}, "_query_only": {"on"}}
)

func openPool(path string, use url.Values) *sqlx.DB {
	q := url.Values{"_synchronous": {"NORMAL"}, "_foreign_keys": {"on"}, "_busy_timeout": {"5000"}, "_stmt_cache_size": {"64"}, "_mutex": {"no"}}
	maps.Copy(q, use)
	c := &connector{dsn: (&url.URL{Scheme: "file", Opaque: url.PathEscape(path), RawQuery: q.Encode()}).String()}
	c.driver.ConnectHook = func(conn *sqlite3.SQLiteConn) error {
		// The log is written back every 8 MB, and cut to 16 MB when a reader held it longer.
		_, err := conn.Exec(`PRAGMA wal_autocheckpoint = 2000; PRAGMA journal_size_limit = 16777216`, nil)
		return err
	}
	return sqlx.NewDb(sql.OpenDB(c), "sqlite3")
}

func (c *connector) Connect(context.Context) (driver.Conn, error) { return c.driver.Open(c.dsn) }
func (c *connector) Driver() driver.Driver                        { return &c.driver }

// openError says what to do about a database that cannot be used. It is never taken for a first run.
func openError(path string, err error) error {
	if err == nil {
		return nil
	}
	var se sqlite3.Error
	if !errors.As(err, &se) {
		return err
	}
	switch se.Code {
	case sqlite3.ErrNotADB, sqlite3.ErrCorrupt:
		return fmt.Errorf("%s is damaged or not a database (%w); restore it from a backup, or move it away: the queries come back by CONFIGURE's import, and everything is sent once more under the same ids", path, err)
	case sqlite3.ErrReadonly, sqlite3.ErrPerm, sqlite3.ErrCantOpen, sqlite3.ErrAuth:
		return fmt.Errorf("%s cannot be written (%w); make the folder and the file writable for this user", path, err)
	case sqlite3.ErrFull, sqlite3.ErrIoErr:
		return fmt.Errorf("%s cannot be written: the disk is full or failing (%w); free some space", path, err)
	}
	return fmt.Errorf("opening %s: %w", path, err)
}

// Unavailable says that the disk is full, read-only or failing: what was tried can be tried again, nothing was changed.
func Unavailable(err error) bool {
	var se sqlite3.Error
	if !errors.As(err, &se) {
		return false
	}
	switch se.Code {
	case sqlite3.ErrFull, sqlite3.ErrReadonly, sqlite3.ErrIoErr, sqlite3.ErrCantOpen, sqlite3.ErrNomem:
		return true
	}
	return false
}

// Fault is why the disk took nothing when something was last written, an error for which [Unavailable] is true; nil where it did.
// Only [Store.ProbeWriting] finds out that the disk is well again.
func (s *Store) Fault() error {
	if fault := s.fault.Load(); fault != nil {
		return *fault
	}
	return nil
}

// ProbeWriting writes a little, to find out whether the disk takes it.
func (s *Store) ProbeWriting(ctx context.Context) error {
	err := s.probeWriting(ctx)
	if err == nil {
		s.fault.Store(nil)
	}
	return err
}

// ReleaseMemory closes the connections, which keep much of the file and their statements in memory, until they are next needed, and
// gives up the room in which an update packs what it queues, and what is kept to save time.
func (s *Store) ReleaseMemory(ctx context.Context) error {
	if err := s.inTransaction(ctx, s.writeUnwritten); err != nil {
		return fmt.Errorf("giving memory back: %w", err)
	}
	conn, err := s.write.Connx(ctx)
	if err != nil {
		return fmt.Errorf("waiting for the database: %w", err)
	}
	s.packer = packer{}
	s.groups.forget()
	s.queries.Store(nil)
	if err := conn.Close(); err != nil {
		return fmt.Errorf("giving memory back: %w", err)
	}
	for db, idle := range map[*sqlx.DB]int{s.write: 1, s.read: idleReaders} {
		db.SetMaxIdleConns(0) // closes those that rest
		db.SetMaxIdleConns(idle)
	}
	return nil
}

// Close waits for what runs, writes what is in memory alone and the log back into the file, and lets go of the lock. What the disk does not
// take of the former is read from ThreatConnect again.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	var errs []error
	if s.read != nil {
		if err := s.inTransaction(context.Background(), s.writeUnwritten); !Unavailable(err) {
			errs = append(errs, err)
		}
	}
	for _, db := range []*sqlx.DB{s.read, s.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(append(errs, s.lock.Close())...)
}

// migrateSchema brings the file to this version, one transaction a step.
func (s *Store) migrateSchema(ctx context.Context, path string, version int) error {
	switch {
	case version == len(steps):
		return s.probeWriting(ctx)
	case version > 0:
		if err := s.backUpFile(ctx, fmt.Sprintf("%s.before-%d", path, version+1)); err != nil {
			return err
		}
	}
	for i, text := range steps[version:] {
		err := s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
			_, err := tx.ExecContext(ctx, fmt.Sprintf("%s; PRAGMA user_version = %d; PRAGMA application_id = %d", text, version+i+1, applicationID))
			return err
		})
		if err != nil {
			return fmt.Errorf("bringing the database to schema %d: %w", version+i+1, err)
		}
	}
	return nil
}

// probeWriting finds out at start, not in the middle of a job, that the file cannot be written.
func (s *Store) probeWriting(ctx context.Context) error {
	return s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
		return putSetting(ctx, tx, settingOpened, time.Now().UTC().Format(time.RFC3339))
	})
}

func (s *Store) backUpFile(ctx context.Context, path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing an old backup: %w", err)
	}
	if err := createFile(path); err != nil { // VACUUM would have everybody read it
		return fmt.Errorf("creating a backup: %w", err)
	}
	if _, err := s.write.ExecContext(ctx, `VACUUM INTO ?`, path); err != nil {
		return fmt.Errorf("backing the database up before bringing it to this version: %w", err)
	}
	return nil
}

// transaction is the writer's connection between BEGIN and COMMIT. database/sql's own would start a goroutine for every
// statement, to watch a context that never ends here.
type transaction struct{ *sqlx.Conn }

// inTransaction runs fn in a write transaction; an error or a panic rolls it back. Once it has begun it is not interrupted: fn is
// given a context that does not end, and is bounded by what it does.
func (s *Store) inTransaction(ctx context.Context, fn func(context.Context, *transaction) error) error {
	err := s.runTransaction(ctx, fn)
	if Unavailable(err) {
		s.fault.Store(&err)
	}
	return err
}

func (s *Store) runTransaction(ctx context.Context, fn func(context.Context, *transaction) error) error {
	conn, err := s.write.Connx(ctx)
	if err != nil {
		return fmt.Errorf("waiting for the database: %w", err)
	}
	defer conn.Close()
	ctx = context.WithoutCancel(ctx)
	unwritten := s.unwritten
	if _, err := conn.ExecContext(ctx, `BEGIN IMMEDIATE`); err != nil {
		return fmt.Errorf("starting a transaction: %w", err)
	}
	done := false
	defer func() {
		if !done {
			s.rollBack(ctx, conn)
			s.unwritten = unwrittenRows{rows: unwritten.rows, uncertain: true}
		}
	}()
	tx := &transaction{conn}
	if s.unwritten.uncertain {
		if err := s.writeUnwritten(ctx, tx); err != nil {
			return err
		}
	}
	if err := fn(ctx, tx); err != nil {
		return err
	}
	err = s.commit(func() error {
		_, err := conn.ExecContext(ctx, `COMMIT`)
		done = err == nil
		return err
	})
	if err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	return nil
}

// rollBack undoes a transaction. SQLite may have done that already, when the disk failed; a connection that is still in one
// is not used again.
func (s *Store) rollBack(ctx context.Context, conn *sqlx.Conn) {
	s.names.forgetAll()
	s.newObjects = keyedObjects{}
	conn.ExecContext(ctx, `ROLLBACK`) //nolint:errcheck // the error that led here matters more
	conn.Raw(func(c any) error {      //nolint:errcheck // it is the answer to the pool
		if c.(*sqlite3.SQLiteConn).AutoCommit() {
			return nil
		}
		return driver.ErrBadConn
	})
}

// querier reads, in a transaction or out of it.
type querier interface {
	GetContext(ctx context.Context, dest any, query string, args ...any) error
	SelectContext(ctx context.Context, dest any, query string, args ...any) error
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// nullValue is n as the driver takes it.
func nullValue(n sql.NullInt64) any {
	if !n.Valid {
		return nil
	}
	return n.Int64
}

// toMillis and the like: how times stand in the file.
func toMillis(t time.Time) int64 { return t.UnixMilli() }

func nullMillis(t *time.Time) sql.NullInt64 {
	if t == nil {
		return sql.NullInt64{}
	}
	return sql.NullInt64{Int64: t.UnixMilli(), Valid: true}
}

func fromMillis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

func fromNull(ms sql.NullInt64) *time.Time {
	if !ms.Valid {
		return nil
	}
	t := fromMillis(ms.Int64)
	return &t
}
