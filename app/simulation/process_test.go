package simulation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/mattn/go-sqlite3"

	"mssentinel/app/pipeline"
	"mssentinel/app/sentinel"
	"mssentinel/app/store"
	"mssentinel/app/threatconnect"
)

// process is the product from one start to its end or its death. It has a folder of its own: what it writes after its death is
// nobody's.
type process struct {
	world    *world
	number   int
	dir      string
	limit    int
	store    *store.Store
	pipeline *pipeline.Pipeline
	cancel   context.CancelFunc
	stopped  chan error
	bases    []*http.Transport
	updates  atomic.Pointer[updates]

	unwritten atomic.Bool // the disk took nothing when it was last written to

	dead   atomic.Bool
	died   chan struct{} // closed when what is left of it was copied
	left   string        // where to
	diedAt time.Time
	once   sync.Once
}

func (p *process) isDead() bool { return p.dead.Load() }

// start brings the product up on what is in dir, "" for nothing.
func (w *world) start(dir string) {
	w.processes++
	w.disk.set("", 0, 0) // on a disk that takes nothing it would not start, and say so
	known := new(updates)
	if w.process != nil {
		known = w.process.updates.Load()
	}
	p := &process{world: w, number: w.processes, dir: dir, limit: w.setting.Limit, died: make(chan struct{}), stopped: make(chan error, 1)}
	if dir == "" {
		p.dir = w.newFolder()
	}
	p.left = filepath.Join(w.dir, fmt.Sprint("state", w.processes, "-left"))
	p.updates.Store(known)
	w.process = p
	var err error
	// Every other process has an Upload that is soon too far behind for rows in memory alone.
	p.store, err = store.OpenWith(context.Background(), p.dir, store.Options{Commit: p.commit, NewKeys: 5, Unread: []int{5, 1000}[p.number%2]})
	if err != nil {
		if !p.isDead() {
			w.fail("start", "the database cannot be opened: %v", err)
		}
		p.stopped <- nil
		p.cancel = func() {}
		return
	}
	log := slog.New(slog.NewTextHandler(&w.log, nil))
	tc, upload := w.transport(w.served[0]), w.transport(w.served[1])
	p.bases = []*http.Transport{tc, upload}
	o := w.options(log)
	client := threatconnect.New(threatconnect.Options{BaseURL: "http://threatconnect.example/api", AccessID: accessID,
		SecretKey: func() string { return secretKey }, Transport: &gate{p, "threatconnect", tc}, Logger: log})
	far, err := sentinel.New(sentinel.Options{AuthorityURL: "http://127.0.0.1:1", UploadURL: "http://127.0.0.1:1", LogAnalyticsURL: "http://127.0.0.1:1",
		Transport: &gate{p, "sentinel", upload}, TenantID: tenant, ClientID: clientID, Secret: func() string { return secret },
		WorkspaceID: o.Workspace, Logger: log, Pacer: sentinel.NewPacer(p.store, p.limit, time.Minute)})
	w.must(err)
	o.Store, o.ThreatConnect, o.Notifier, o.Sentinel, o.Standing, o.Mappers = p.store, client, client, far, far, &mapperHost{w.mappers, p}
	p.pipeline = pipeline.New(o)
	var ctx context.Context
	ctx, p.cancel = context.WithCancel(context.Background())
	go func() { p.stopped <- p.pipeline.Run(ctx) }()
}

func (w *world) newFolder() string {
	dir := filepath.Join(w.dir, fmt.Sprint("state", w.processes))
	w.must(os.MkdirAll(dir, 0o700))
	return dir
}

// stop ends the product as Shutdown does, and says where its database is. It may die over it.
func (w *world) stop() (dir string) {
	p := w.process
	if p == nil {
		return ""
	}
	w.process = nil
	began := time.Now()
	p.end()
	if took := time.Since(began); took > 4*time.Second {
		w.fail("stop", "stopping took %v", took)
	}
	if !p.isDead() {
		if p.unwritten.Load() {
			w.watch.endedUnwritten()
		}
		return p.dir
	}
	<-p.died
	w.watch.processDied(p)
	return p.left
}

// end winds a process down.
func (p *process) end() {
	p.cancel()
	if err := <-p.stopped; err != nil && !p.isDead() {
		p.world.fail("stop", "the pipeline ended with %v", err)
	}
	if p.store != nil {
		if err := p.store.Close(); err != nil && !p.isDead() {
			p.world.fail("stop", "closing the store: %v", err)
		}
	}
	for _, b := range p.bases {
		b.CloseIdleConnections()
	}
}

// happens says that the process lives on after an event.
func (p *process) happens(event string) bool {
	if p.isDead() {
		return false
	}
	if !p.world.trap.springs(p, event) {
		return true
	}
	p.die(event, false)
	return false
}

// commit stands for the disk: it fails as a disk does, and lets the process die before or after a transaction.
func (p *process) commit(commit func() error) error {
	gone := fmt.Errorf("%w: %w", errGone, sqlite3.Error{Code: sqlite3.ErrIoErr})
	if p.isDead() {
		return gone
	}
	kind := p.world.disk.strikes()
	p.unwritten.Store(kind != "")
	if kind != "" {
		p.world.watch.diskFailed(p)
	}
	switch kind {
	case "full":
		return sqlite3.Error{Code: sqlite3.ErrFull}
	case "readonly":
		return sqlite3.Error{Code: sqlite3.ErrReadonly}
	case "failing":
		return sqlite3.Error{Code: sqlite3.ErrIoErr}
	}
	if p.world.trap.springs(p, "commit before") {
		p.die("commit before", true)
		return gone
	}
	if err := commit(); err != nil {
		return err
	}
	if p.world.trap.springs(p, "commit after") {
		p.die("commit after", true)
		return gone
	}
	return nil
}

// die ends the process at this instant: what is in its files now is all that is left of it. writing says that the caller has the
// database's only writer in its hands.
func (p *process) die(event string, writing bool) {
	p.once.Do(func() {
		p.dead.Store(true)
		p.diedAt = time.Now()
		fmt.Fprintf(&p.world.log, "---- process %d dies: %s\n", p.number, event)
		p.world.must(p.copyFiles(writing))
		close(p.died)
	})
}

// copyFiles copies the database and its log. No transaction is committed meanwhile.
func (p *process) copyFiles(writing bool) error {
	from := filepath.Join(p.dir, store.FileName)
	if !writing {
		db, err := sqlx.Open("sqlite3", "file:"+from+"?_busy_timeout=10000&_txlock=immediate")
		if err != nil {
			return err
		}
		defer db.Close()
		tx, err := db.Beginx()
		if err != nil {
			return fmt.Errorf("holding the database: %w", err)
		}
		defer tx.Rollback() //nolint:errcheck // nothing was written
	}
	if err := os.MkdirAll(p.left, 0o700); err != nil {
		return err
	}
	for _, end := range []string{"", "-wal"} {
		if err := copyFile(from+end, filepath.Join(p.left, store.FileName+end)); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// revive starts the product again where it died. It says whether it had.
func (w *world) revive() bool {
	p := w.process
	if p == nil || !p.isDead() {
		return false
	}
	<-p.died
	w.watch.processDied(p)
	w.winding.Go(func() {
		p.end()
		os.RemoveAll(p.dir)
	})
	w.start(p.left)
	return true
}

// sleep lets time pass. A process that dies meanwhile is started again.
func (w *world) sleep(d time.Duration) {
	for until := time.Now().Add(d); ; {
		w.revive()
		rest := time.Until(until)
		if rest <= 0 {
			return
		}
		timer := time.NewTimer(rest)
		var died chan struct{}
		if w.process != nil {
			died = w.process.died
		}
		select {
		case <-timer.C:
		case <-died:
		}
		timer.Stop()
	}
}
