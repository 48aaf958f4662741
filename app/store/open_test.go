package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/mattn/go-sqlite3"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
)

func TestConnections(t *testing.T) {
	f := newFixture(t)
	for _, p := range []struct {
		name string
		pool *sqlx.DB
		want int
	}{{"write", f.write, 1}, {"read", f.read, 4}} {
		if got := p.pool.Stats().MaxOpenConnections; got != p.want {
			t.Errorf("%s: %d connections at most, want %d", p.name, got, p.want)
		}
		var conns []*sqlx.Conn
		for range p.want {
			c, err := p.pool.Connx(ctx())
			f.do(err)
			conns = append(conns, c)
		}
		for i, c := range conns {
			for pragma, want := range map[string]string{"foreign_keys": "1", "busy_timeout": "5000", "journal_mode": "wal", "wal_autocheckpoint": "2000", "journal_size_limit": "16777216"} {
				var got string
				if f.do(c.GetContext(ctx(), &got, `PRAGMA `+pragma)); got != want {
					t.Errorf("%s %d: %s is %s, want %s", p.name, i, pragma, got, want)
				}
			}
			f.do(c.Close())
		}
	}
	f.wantNumber(2, "auto_vacuum", `SELECT auto_vacuum FROM pragma_auto_vacuum`)
	if _, err := f.read.Exec(`DELETE FROM job`); err == nil {
		t.Error("the pool that reads can write")
	}
}

func TestOpenRefuses(t *testing.T) {
	valid := t.TempDir()
	s, err := Open(ctx(), valid)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	execute := func(text string) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			db, err := sql.Open("sqlite3", path)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := db.Exec(text); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		name, want string
		spoil      func(t *testing.T, path string)
	}{
		{"a newer version", "newer version", execute(`PRAGMA user_version = 999`)},
		{"another program's file", "another program", execute(`PRAGMA application_id = 7`)},
		{"another program's file of one table", "another program", func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			execute(`CREATE TABLE theirs (x)`)(t, path)
		}},
		{"a damaged file", "damaged", func(t *testing.T, path string) { overwrite(t, path, 0, "this is no database ") }},
		{"a damaged page", "damaged", func(t *testing.T, path string) { overwrite(t, path, 100, strings.Repeat("\xff", 200)) }},
		{"a cut file", "damaged", func(t *testing.T, path string) {
			if err := os.Truncate(path, 5000); err != nil {
				t.Fatal(err)
			}
		}},
		{"a folder in its place", "cannot be written", func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, FileName)
			before, err := os.ReadFile(filepath.Join(valid, FileName))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, before, 0o600); err != nil {
				t.Fatal(err)
			}
			c.spoil(t, path)
			spoiled, _ := os.ReadFile(path)
			s, err := Open(ctx(), dir)
			if err == nil {
				s.Close()
				t.Fatal("it was opened")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want something about %q", err, c.want)
			}
			if after, _ := os.ReadFile(path); string(after) != string(spoiled) {
				t.Error("the file was changed")
			}
		})
	}
}

func overwrite(t *testing.T, path string, at int64, text string) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte(text), at); err != nil {
		t.Fatal(err)
	}
}

// A process that is killed while the database changes over to its log leaves an older kind of log, which has to be undone.
func TestHotJournal(t *testing.T) {
	f := newFixture(t)
	f.fill(100)
	path := filepath.Join(f.dir, FileName)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite3", path)
	f.do(err)
	defer db.Close()
	db.SetMaxOpenConns(1)
	// With a cache of a page, what is not committed is in the file already.
	_, err = db.Exec(`PRAGMA journal_mode = DELETE; PRAGMA cache_size = 1; BEGIN; DELETE FROM object; DELETE FROM setting`)
	f.do(err)
	f.dir = t.TempDir()
	for _, suffix := range []string{"", "-journal"} {
		content, err := os.ReadFile(path + suffix)
		f.do(err)
		f.do(os.WriteFile(filepath.Join(f.dir, FileName+suffix), content, 0o600))
	}
	f.open()
	f.wantNumber(100, "objects", `SELECT count(*) FROM object`)
}

// A first start that was cut off while it wrote the first page begins anew: the log's head says that there was nothing before.
func TestFirstStartThatWasCutOff(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	db, err := sql.Open("sqlite3", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	// As in TestHotJournal.
	if _, err := db.Exec(`PRAGMA cache_size = 1; BEGIN; CREATE TABLE a (x); INSERT INTO a VALUES (zeroblob(100000))`); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(path + "-journal")
	if err != nil {
		t.Fatal(err)
	}
	for _, length := range []int{1, 100, 4095, 4096, 5000} {
		f := &fixture{T: t, dir: copied(t, file, FileName, length)}
		f.do(os.WriteFile(filepath.Join(f.dir, FileName+"-journal"), log[:512], 0o600))
		f.open()
		f.wantNumber(1, fmt.Sprintf("cut after %d bytes: our tables", length), `SELECT count(*) FROM sqlite_schema WHERE name = 'object'`)
		f.wantNumber(0, fmt.Sprintf("cut after %d bytes: their tables", length), `SELECT count(*) FROM sqlite_schema WHERE name = 'a'`)
		f.do(f.Close())
	}
}

func TestSecondProcess(t *testing.T) {
	f := newFixture(t)
	if _, err := Open(ctx(), f.dir); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("opened twice: %v", err)
	}
	f.reopen()
}

func TestStateFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "state")
	s, err := Open(ctx(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, FileName): 0o600, filepath.Join(dir, lockName): 0o600} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", path, got, want)
		}
	}
	if backups, err := filepath.Glob(filepath.Join(dir, "*.before-*")); err != nil || len(backups) > 0 {
		t.Errorf("a first start kept %q (%v)", backups, err)
	}
	if _, err := Open(ctx(), filepath.Join(dir, FileName, "below")); err == nil {
		t.Error("a file was taken for the state folder")
	}
}

// A file of an older version is brought to this one, and stands as it was beside it, for nobody else to read. A start at which that
// fails leaves it at the last step that was whole, and the next one goes on.
func TestOlderVersion(t *testing.T) {
	released := steps
	t.Cleanup(func() { steps = released })
	f := newFixture(t)
	f.fill(3)
	f.do(f.Close())
	path := filepath.Join(f.dir, FileName)
	for _, c := range []struct {
		name    string
		steps   []string
		want    string // in the error, "" for none
		version int
		backups []int
	}{
		{"a step that fails", []string{`CREATE TABLE second (x); DELETE FROM object; INSERT INTO nowhere VALUES (1)`}, "bringing the database to schema 2", 1, []int{2}},
		{"the second step fails", []string{`CREATE TABLE second (x)`, `CREATE TABLE second (x)`}, "bringing the database to schema 3", 2, []int{2}},
		{"the rest", []string{`CREATE TABLE second (x)`, `CREATE TABLE third (x)`, `CREATE TABLE fourth (x)`}, "", 4, []int{2, 3}},
		{"nothing is left", []string{``, ``, ``}, "", 4, []int{2, 3}},
		{"no room for a backup", []string{``, ``, ``, `CREATE TABLE fifth (x)`}, "removing an old backup", 4, []int{2, 3}},
	} {
		if strings.Contains(c.want, "backup") {
			f.do(os.MkdirAll(filepath.Join(path+".before-5", "theirs"), 0o700))
		}
		steps = append(slices.Clone(released), c.steps...)
		s, err := Open(ctx(), f.dir)
		if err == nil {
			err = s.Close()
		}
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if version, objects := describeFile(t, path); version != c.version || objects != 3 {
			t.Errorf("%s: the file is of version %d with %d objects", c.name, version, objects)
		}
		var backups []int
		for version := 1; version < 7; version++ {
			backup := fmt.Sprint(path, ".before-", version)
			info, err := os.Stat(backup)
			if err != nil || info.IsDir() {
				continue
			}
			backups = append(backups, version)
			if before, objects := describeFile(t, backup); before != version-1 || objects != 3 || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: the backup %d is of version %d with %d objects, its mode %v", c.name, version, before, objects, info.Mode())
			}
		}
		if !slices.Equal(backups, c.backups) {
			t.Errorf("%s: backups %v, want %v", c.name, backups, c.backups)
		}
	}
}

// describeFile says of which version a database is, and how many objects its ledger has.
func describeFile(t *testing.T, path string) (version, objects int) {
	t.Helper()
	db, err := sql.Open("sqlite3", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow(`SELECT user_version, (SELECT count(*) FROM object) FROM pragma_user_version`).Scan(&version, &objects); err != nil {
		t.Fatal(err)
	}
	return version, objects
}

// A full disk changes nothing, is told apart, and when there is room again all goes on.
func TestDiskFull(t *testing.T) {
	f := newFixture(t)
	j := f.begin(job.Full)
	f.apply(j, 0, 10)
	f.do(second(f.write.Exec(`PRAGMA max_page_count = 1`))) // what there is already stays the least
	batch := ledger.Batch{Job: j.Number, Mode: job.Full, Query: f.query, Now: f.now}
	for id := range int64(2000) {
		batch.Found = append(batch.Found, f.found(id, 0))
	}
	_, err := f.Apply(ctx(), batch)
	if !Unavailable(err) {
		t.Fatalf("%v, want an error of the disk", err)
	}
	f.wantNumber(10, "objects", `SELECT count(*) FROM object`)
	if got := f.get(j).Queued; got != 10 {
		t.Errorf("%d are counted", got)
	}
	if _, err := f.AddJob(ctx(), job.Request{Type: job.AdHoc, Mode: job.Full}, f.now); err != nil && !Unavailable(err) {
		t.Errorf("another write: %v", err)
	}
	f.do(second(f.write.Exec(`PRAGMA max_page_count = 100000`)))
	applied, err := f.Apply(ctx(), batch)
	f.do(err)
	if counts := applied.Counts; counts.Queued != 1990 || counts.Downloaded != 1990 {
		t.Errorf("with room again: %+v", counts)
	}
	f.reopen()
	if sent := f.upload(); len(sent) != 2000 {
		t.Errorf("%d were sent", len(sent))
	}
}

func TestDiskReadOnly(t *testing.T) {
	f := newFixture(t)
	j := f.begin(job.Full)
	writer := f.write
	f.write = f.read
	_, err := f.Apply(ctx(), ledger.Batch{Job: j.Number, Mode: job.Full, Query: f.query, Now: f.now, Found: []ledger.Found{f.found(1, 0)}})
	if !Unavailable(err) {
		t.Errorf("%v, want an error of the disk", err)
	}
	f.write = writer
	f.apply(j, 1, 2)
}

// A transaction is over with its error, and a context that ended before it began is heeded.
func TestTransactionEnds(t *testing.T) {
	f := newFixture(t)
	f.do(second(f.AddJob(ctx(), job.Request{Type: job.AdHoc, Mode: job.Full}, f.now)))
	func() {
		defer func() { recover() }()
		f.inTransaction(ctx(), func(ctx context.Context, tx *transaction) error { //nolint:errcheck // it does not return
			f.do(second(tx.ExecContext(ctx, `DELETE FROM job`)))
			panic("a fault")
		})
	}()
	f.wantNumber(1, "jobs", `SELECT count(*) FROM job`)
	ended, end := context.WithCancel(ctx())
	end()
	if _, err := f.AddJob(ended, job.Request{Type: job.AdHoc, Mode: job.Full}, f.now); err == nil {
		t.Error("a context that has ended was not heeded")
	}
	f.do(second(f.AddJob(ctx(), job.Request{Type: job.AdHoc, Mode: job.Full}, f.now)))
	ended, end = context.WithCancel(ctx())
	defer end()
	f.do(f.inTransaction(ended, func(ctx context.Context, tx *transaction) error {
		end()
		return errors.Join(ctx.Err(), second(tx.ExecContext(ctx, `DELETE FROM job`)))
	}))
	f.wantNumber(0, "jobs after a transaction whose caller left", `SELECT count(*) FROM job`)
}

// What fails in a transaction, or at its end, is undone, and the connection goes on, with what it keeps in memory. One that cannot be
// got out of the transaction is given up.
func TestTransactionIsUndone(t *testing.T) {
	fault := errors.New("a fault")
	f := newFixture(t)
	f.do(second(f.write.Exec(`CREATE TEMP TABLE here (x)`)))
	for _, c := range []struct {
		name, text string
		fails      error
		prepare    func(*sqlite3.SQLiteConn)
		kept       bool
	}{
		{"it fails", `DELETE FROM query`, fault, nil, true},
		{"COMMIT fails", `DELETE FROM query; PRAGMA defer_foreign_keys = ON; INSERT INTO attempt (job, started) VALUES (999, 0)`, nil, nil, true},
		{"ROLLBACK fails", `DELETE FROM query`, fault, func(c *sqlite3.SQLiteConn) {
			c.RegisterAuthorizer(func(action int, what, _, _ string) int {
				if action == sqlite3.SQLITE_TRANSACTION && what == "ROLLBACK" {
					return sqlite3.SQLITE_DENY
				}
				return sqlite3.SQLITE_OK
			})
		}, false},
	} {
		conn, err := f.write.Connx(ctx())
		f.do(err)
		f.do(conn.Raw(func(d any) error {
			if c.prepare != nil {
				c.prepare(d.(*sqlite3.SQLiteConn))
			}
			return nil
		}))
		f.do(conn.Close())
		err = f.inTransaction(ctx(), func(ctx context.Context, tx *transaction) error {
			f.do(second(tx.ExecContext(ctx, c.text)))
			return c.fails
		})
		if err == nil || c.fails != nil && !errors.Is(err, c.fails) {
			t.Errorf("%s: %v, want %v", c.name, err, c.fails)
		}
		f.wantNumber(1, c.name+": queries", `SELECT count(*) FROM query`)
		f.do(f.ProbeWriting(ctx()))
		if _, err := f.write.Exec(`SELECT * FROM here`); (err == nil) != c.kept {
			t.Errorf("%s: the same connection: %t (%v)", c.name, err == nil, err)
		}
	}
}

// Numbers of owners and types that a transaction gave are not believed after it was rolled back.
func TestNamesAfterRollback(t *testing.T) {
	f := newFixture(t)
	j := f.begin(job.Full)
	batch := ledger.Batch{Job: j.Number, Mode: job.Full, Query: f.query, Now: f.now, Found: []ledger.Found{f.found(1, 0)}}
	f.do(second(f.write.Exec(`CREATE TRIGGER fault BEFORE INSERT ON outbox_batch BEGIN SELECT RAISE(ABORT, 'fault'); END`)))
	if _, err := f.Apply(ctx(), batch); err == nil {
		t.Fatal("it was applied")
	}
	f.do(second(f.write.Exec(`DROP TRIGGER fault`)))
	f.do(second(f.Apply(ctx(), batch)))
	f.wantNumber(1, "objects with an owner and a type", `SELECT count(*) FROM candidate JOIN owner ON owner.number = candidate.owner
		JOIN object ON object.number = candidate.object JOIN type ON type.number = object.type WHERE owner.name = 'o' AND type.name = 'Host'`)
}

// In simulated time a store is opened, used and closed like any other.
func TestSimulatedTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.now = time.Now()
		f.fill(10)
		time.Sleep(time.Hour)
		sch, err := f.Schedule(ctx())
		f.do(err)
		if !sch.Completed || time.Since(sch.Due) != time.Hour {
			t.Errorf("schedule %+v", sch)
		}
		f.do(f.Clean(ctx(), time.Now()))
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// A link in the place of a file of the state is refused, before anything is written through it; the folder may be one.
func TestLinksAreRefused(t *testing.T) {
	for _, name := range []string{lockName, FileName, FileName + "-wal", FileName + "-shm"} {
		dir := t.TempDir()
		theirs := filepath.Join(t.TempDir(), "theirs")
		if err := os.Symlink(theirs, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		s, err := Open(t.Context(), dir)
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), name+" is a symbolic link") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Lstat(theirs); err == nil {
			t.Errorf("%s was written through", name)
		}
	}
	for _, name := range []string{lockName, FileName, FileName + "-wal"} {
		dir := t.TempDir()
		if err := syscall.Mkfifo(filepath.Join(dir, name), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(t.Context(), dir)
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), name+" cannot be written: it is no regular file") {
			t.Errorf("a pipe, %s: %v", name, err)
		}
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(t.TempDir(), link); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), link)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// What is in memory alone is given back, and nothing of the file is lost with it.
func TestReleaseMemory(t *testing.T) {
	f := newFixture(t)
	f.fill(7)
	rest := func() int {
		var conns [idleReaders + 1]*sqlx.Conn
		for i := range conns {
			var err error
			conns[i], err = f.read.Connx(ctx())
			f.do(err)
		}
		for _, c := range conns {
			f.do(c.Close())
		}
		return f.read.Stats().Idle
	}
	if n := rest(); n != idleReaders || f.packer.lines == nil {
		t.Fatalf("%d connections rest; the packer is ready: %t", n, f.packer.lines != nil)
	}
	f.do(f.ReleaseMemory(ctx()))
	if n := f.read.Stats().Idle + f.write.Stats().OpenConnections; n != 0 || f.packer.lines != nil {
		t.Errorf("%d connections rest; the packer keeps its room: %t", n, f.packer.lines != nil)
	}
	if n := rest(); n != idleReaders {
		t.Errorf("%d connections rest after more was read", n)
	}
	if _, n, err := f.Problems(ctx(), ProblemFilter{}); err != nil || n != 0 {
		t.Errorf("%d lines, %v", n, err)
	}
	f.apply(f.begin(job.Full), 7, 8)
	if n, err := f.OutboxSize(ctx()); err != nil || n != 1 {
		t.Errorf("%d rows wait, %v", n, err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.ReleaseMemory(ctx()); err == nil {
		t.Error("a closed database gave memory back")
	}
}
