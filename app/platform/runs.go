package platform

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"mssentinel/app/regular"
	lines "mssentinel/app/text" // text is a type of this package
)

const (
	runsFile = "runs.json" // in the folder of the state
	maxRuns  = 10          // that are kept
	maxBook  = 64 << 10    // bytes of the file

	// How often the file is touched, as a sign of life: often once the end is near, so that it can be told how long it took. Before, each
	// time wakes a process that has nothing else to do.
	aliveEvery  = 30 * time.Second
	endingEvery = 250 * time.Millisecond
)

// Ways in which a process is told to end.
const (
	ToldShutdown = "Shutdown" // by the platform
	ToldSignal   = "a signal"
)

// ProcessRun is one process of the App.
type ProcessRun struct {
	Version string    `json:"version"`
	Host    string    `json:"host"`
	Began   time.Time `json:"began"`
	// ToldBy is [ToldShutdown], [ToldSignal] or "", and ToldText the reason that the platform gave, or the signal.
	ToldBy   string    `json:"told_by"`
	ToldText string    `json:"told_text"`
	Told     time.Time `json:"told"`
	// Ended is zero where the process was killed or crashed; Alive is its last sign of life, at most 30 s before the end,
	// and a quarter of a second once it was told.
	Ended  time.Time `json:"ended"`
	Alive  time.Time `json:"alive"`
	Failed bool      `json:"failed"` // ended with code 1
}

// History is what the folder of the state tells of the processes that worked in it.
type History struct {
	ID     string       // of the folder; made by its first process
	First  ProcessRun   // that process
	Count  int          // of processes, this one included
	Now    ProcessRun   // this one
	Before []ProcessRun // newest first, at most 9
}

// Runs keeps the history: a file that is written at the start, when the end is near and at the end, and touched every 30 s.
type Runs struct {
	path   string
	told   chan ProcessRun // with ToldBy, ToldText and Told; room for one
	stop   chan struct{}   // closed by End
	ended  chan struct{}   // closed when nothing touches the file any more
	failed error           // why nothing is kept

	mu   sync.Mutex
	book runBook
}

// runBook is the file.
type runBook struct {
	ID    string       `json:"id"`
	First ProcessRun   `json:"first"`
	Count int          `json:"count"`
	Runs  []ProcessRun `json:"runs"` // newest last
}

// BeginRuns notes that a process of a version begins to work in the folder dir, and gives signs of life from then on. The
// error says what is lost or not kept; the Runs are good all the same.
func BeginRuns(dir, version string) (*Runs, error) {
	r := &Runs{path: filepath.Join(dir, runsFile), told: make(chan ProcessRun, 1), stop: make(chan struct{}), ended: make(chan struct{})}
	book, err := readBook(r.path)
	host, hostErr := os.Hostname()
	if hostErr != nil {
		host = "unknown"
	}
	now := ProcessRun{Version: version, Host: host, Began: time.Now().UTC()}
	if book.ID == "" {
		book = runBook{ID: rand.Text(), First: now}
	}
	book.Count++
	book.Runs = append(book.Runs[max(0, len(book.Runs)-maxRuns+1):], now)
	r.book = book
	if writeErr := r.writeBook(); writeErr != nil {
		close(r.ended)
		r.failed = writeErr
		return r, errors.Join(err, writeErr)
	}
	go r.keepAlive()
	return r, err
}

// readBook reads the file; what is not there is a zero book. The last process left its last sign of life as the file's time.
func readBook(path string) (runBook, error) {
	var book runBook
	data, err := regular.ReadOwn(path, maxBook)
	if errors.Is(err, fs.ErrNotExist) {
		return book, nil
	}
	if err != nil {
		return book, fmt.Errorf("reading what earlier runs left: %w", err)
	}
	info, err := os.Lstat(path)
	if err != nil {
		return book, fmt.Errorf("looking at what earlier runs left: %w", err)
	}
	if err := json.Unmarshal(data, &book); err != nil {
		return runBook{}, fmt.Errorf("reading what earlier runs left in %s: %w", path, err)
	}
	if n := len(book.Runs); n > 0 && book.Runs[n-1].Ended.IsZero() {
		book.Runs[n-1].Alive = info.ModTime().UTC()
	}
	return book, nil
}

// writeBook needs r.mu, or that nobody else knows r.
func (r *Runs) writeBook() error {
	data, err := json.MarshalIndent(r.book, "", " ")
	if err == nil {
		err = ReplaceFile(r.path, data, 0o600)
	}
	if err != nil {
		return fmt.Errorf("noting the run: %w", err)
	}
	return nil
}

// keepAlive touches the file until End.
func (r *Runs) keepAlive() {
	defer close(r.ended)
	tick := time.NewTicker(aliveEvery)
	defer tick.Stop()
	for {
		select {
		case <-r.stop:
			return
		case told := <-r.told:
			r.changeNow(told.copyOrder)
			tick.Reset(endingEvery)
		case <-tick.C:
			now := time.Now()
			os.Chtimes(r.path, now, now) //nolint:errcheck // the next one may work, and nothing depends on it
		}
	}
}

// changeNow changes and writes what is noted of this process.
func (r *Runs) changeNow(change func(now *ProcessRun)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.book.Runs[len(r.book.Runs)-1])
	if r.failed == nil {
		r.failed = r.writeBook()
	}
}

// copyOrder notes of a process that it was told to end, unless that is noted.
func (p ProcessRun) copyOrder(now *ProcessRun) {
	if now.ToldBy == "" {
		now.ToldBy, now.ToldText, now.Told = p.ToldBy, p.ToldText, p.Told
	}
}

// Tell notes that the process was told to end: by [ToldShutdown] or [ToldSignal], with the reason. It does not wait for the
// disk. Of several the first counts.
func (r *Runs) Tell(by, reason string) {
	select {
	case r.told <- ProcessRun{ToldBy: by, ToldText: lines.Line(lines.Visible(reason), 120), Told: time.Now().UTC()}:
	default: // told before
	}
}

// endTimeout bounds how long the end waits for the disk.
const endTimeout = time.Second

// End notes that the process ends, with code 0 or 1. It may be called once, and takes at most a second. Its error says why
// the run is not noted.
func (r *Runs) End(failed bool) error {
	close(r.stop)
	noted := make(chan error, 1)
	go func() {
		<-r.ended
		r.changeNow(func(now *ProcessRun) {
			select {
			case told := <-r.told: // just now
				told.copyOrder(now)
			default:
			}
			now.Ended, now.Failed = time.Now().UTC(), failed
		})
		noted <- r.failed
	}()
	select {
	case err := <-noted:
		return err
	case <-time.After(endTimeout):
		return errors.New("noting the end of the run: the disk did not take it in time")
	}
}

// History returns what is known of the processes.
func (r *Runs) History() History {
	r.mu.Lock()
	defer r.mu.Unlock()
	runs := slices.Clone(r.book.Runs)
	slices.Reverse(runs)
	return History{ID: r.book.ID, First: r.book.First, Count: r.book.Count, Now: runs[0], Before: runs[1:]}
}
