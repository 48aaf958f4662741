package store

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
	"mssentinel/app/standin/disk"
)

// go test ./app/store -run TestPowerCuts -cuts 2000 has as many as one likes.
var (
	cutCount = flag.Int("cuts", 10, "how many power cuts TestPowerCuts emulates")
	cutSeed  = flag.Uint64("cut-seed", 0, "the seed of their instants; 0 draws one")
)

// powerCut is where a process worked that ended as by a power cut.
type powerCut struct {
	*disk.Disk
	folder string
}

// After a power cut the file is sound, whatever of what was not synced reached the disk, and holds what it held after one of the
// transactions, app/docs/architecture.md#what-a-crash-costs. Where everything reached the disk, as when the process alone is
// killed, that is the last one that was acknowledged, or the one behind it.
func TestPowerCuts(t *testing.T) {
	t.Parallel()
	seed := *cutSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("go test ./app/store -run TestPowerCuts -cuts %d -cut-seed %d draws the same instants", *cutCount, seed)
	random := rand.New(rand.NewPCG(seed, 0))
	library := filepath.Join(t.TempDir(), "powercut.so")
	if err := disk.Compile(library); err != nil {
		t.Fatal(err)
	}
	base := t.TempDir()
	prepareLedger(t, base)
	whole := newPowerCut(t, base, library)
	states, ended := whole.run(t, -1)
	steps, err := whole.Steps()
	if err != nil {
		t.Fatal(err)
	}
	if !ended || len(states) < 20 || len(steps) < 100 {
		t.Fatalf("%d states, %d steps, ended %t", len(states), len(steps), ended)
	}
	lost := 0
	for range *cutCount {
		after, kept := 1+random.IntN(len(steps)-1), []float64{0, 0.3, 0.9, 1}[random.IntN(4)]
		cut := newPowerCut(t, base, library)
		told, _ := cut.run(t, after)
		if err := cut.Cut(random, kept); err != nil {
			t.Fatal(err)
		}
		state := openAfterCut(t, cut.folder)
		at := slices.Index(states, state)
		switch {
		case at < 0:
			t.Errorf("after step %d, with %v kept: the ledger holds %q, which it never did", after, kept, state)
		case at > len(told), kept == 1 && at < len(told)-1:
			t.Errorf("after step %d, with %v kept: the ledger stands at %d, and %d were acknowledged", after, kept, at, len(told)-1)
		}
		lost += max(0, len(told)-1-at)
	}
	t.Logf("%d steps, %d transactions; %d cuts lost %d transactions that were acknowledged", len(steps), len(states)-1, *cutCount, lost)
}

// prepareLedger makes a database with a query.
func prepareLedger(t *testing.T, folder string) {
	t.Helper()
	f := &fixture{T: t, dir: folder, now: noon}
	f.open()
	f.do(second(f.SetDestination(ctx(), "workspace", "source")))
	f.save(Query{Owners: []string{"o"}, Types: []string{"Host"}, TQL: "one"})
	f.do(f.Close())
}

func newPowerCut(t *testing.T, base, library string) powerCut {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "state")
	if err := os.CopyFS(folder, os.DirFS(base)); err != nil {
		t.Fatal(err)
	}
	d, err := disk.New(folder, filepath.Join(t.TempDir(), "steps"), library)
	if err != nil {
		t.Fatal(err)
	}
	return powerCut{d, folder}
}

// run works in another process until a step, -1 for none, and returns the states of the ledger that it told.
func (c powerCut) run(t *testing.T, after int) (states []string, ended bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestWorkUntilPowerCut$", "-test.v=false")
	cmd.Env = append(os.Environ(), c.Env(after)...)
	out, err := cmd.Output()
	var exit *exec.ExitError
	killed := errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
	if err != nil && !killed {
		t.Fatalf("%v: %s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if state, ok := strings.CutPrefix(line, "state "); ok && strings.HasSuffix(state, "\n") {
			states = append(states, strings.TrimSpace(state))
		}
	}
	return slices.Compact(states), err == nil
}

// TestWorkUntilPowerCut is the process that ends. By itself it has nothing to do.
func TestWorkUntilPowerCut(t *testing.T) {
	folder := os.Getenv("POWERCUT_FOLDER")
	if folder == "" {
		return
	}
	f := &fixture{T: t, dir: folder, now: noon}
	f.open()
	saved, err := f.RunQueries(ctx())
	f.do(err)
	f.query = saved[0].Number
	tell := func() { fmt.Printf("state %s\n", ledgerState(t, f.Store.read)) }
	tell()
	for round := range 4 {
		j, err := f.AddJob(ctx(), job.Request{Type: job.AdHoc, Mode: job.Delta}, f.now)
		f.do(err)
		tell()
		j = f.beginAgain(j)
		tell()
		for part := range 3 {
			from := round*300 + part*100
			batch := ledger.Batch{Job: j.Number, Mode: j.Mode, Query: f.query, Now: f.now}
			for id := from; id < from+100; id++ {
				batch.Found = append(batch.Found, f.found(int64(id), 0))
			}
			f.do(second(f.Apply(ctx(), batch)))
			tell()
			out, err := f.Outgoing(ctx(), 0, 70)
			f.do(err)
			tell()
			f.do(f.Settle(ctx(), Settlement{At: f.now, Accepted: out}))
			tell()
		}
		f.do(second(f.write.Exec(`PRAGMA wal_checkpoint(PASSIVE)`))) // more often than by itself, since much is at stake then
		for {
			out, err := f.Outgoing(ctx(), 0, 100)
			f.do(err)
			tell()
			if len(out) == 0 {
				break
			}
			f.do(f.Settle(ctx(), Settlement{At: f.now, Accepted: out}))
			tell()
		}
		f.status(j, job.UploadInProgress)
		tell()
		f.do(second(f.CompleteJob(ctx(), j.RequestID, f.now, "")))
		tell()
	}
	f.do(f.Close())
}

// ledgerState is what every transaction of the work changes.
func ledgerState(t *testing.T, q querier) (state string) {
	t.Helper()
	err := q.GetContext(ctx(), &state, `SELECT (SELECT count(*) FROM object) || ' objects, ' || (SELECT count(*) FROM candidate) || ' candidates, ' ||
		(SELECT count(*) || ' ' || coalesce(sum(seq), 0) FROM outbox) || ' to send, ' ||
		(SELECT count(*) || ' ' || coalesce(sum(first), 0) FROM outbox_batch) || ' in memory, ' || coalesce((SELECT group_concat(status) FROM (SELECT status FROM job ORDER BY number)), 'no job') || ' ' ||
		(SELECT coalesce(max(number), 0) FROM attempt) || ' handed ' || coalesce((SELECT value FROM setting WHERE name = 'outbox_handed'), 0) || ' uploaded ' || coalesce((SELECT sum(count_uploaded) FROM job), 0)`)
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// openAfterCut says where a database stands, opens it, and looks whether it is sound.
func openAfterCut(t *testing.T, folder string) string {
	t.Helper()
	left := openPool(filepath.Join(folder, FileName), mending)
	state := ledgerState(t, left)
	if err := left.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := Open(ctx(), folder)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var said []string
	if err := s.write.SelectContext(ctx(), &said, `PRAGMA integrity_check`); err != nil || !slices.Equal(said, []string{"ok"}) {
		t.Fatalf("%q, %v", said, err)
	}
	var astray int
	if err := s.write.GetContext(ctx(), &astray, `SELECT count(*) FROM pragma_foreign_key_check`); err != nil || astray > 0 {
		t.Fatalf("%d rows refer to one that is not there (%v)", astray, err)
	}
	if err := s.write.GetContext(ctx(), &astray, `SELECT count(*) FROM object WHERE queued <> 0 AND queued NOT IN (SELECT seq FROM outbox)`); err != nil || astray > 0 {
		t.Fatalf("%d objects are taken to wait, and do not (%v)", astray, err)
	}
	return state
}
