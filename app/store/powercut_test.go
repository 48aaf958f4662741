package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
)

// go test ./app/store -run TestPowerCuts -cuts 2000 has as many as one likes.
var (
	cutCount = flag.Int("cuts", 10, "how many power cuts TestPowerCuts emulates")
	cutSeed  = flag.Uint64("cut-seed", 0, "the seed of their instants; 0 draws one")
)

// powerCut is where a process worked that ended as by a power cut.
type powerCut struct {
	folder, log, shim string
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
	shim := filepath.Join(t.TempDir(), "powercut.so")
	if out, err := exec.Command("cc", "-shared", "-fPIC", "-O1", "-o", shim, filepath.Join("testdata", "powercut.c")).CombinedOutput(); err != nil {
		t.Fatalf("compiling what notes the steps: %v: %s", err, out)
	}
	base := t.TempDir()
	prepareLedger(t, base)
	whole := newPowerCut(t, base, shim)
	states, ended := whole.run(t, -1)
	steps := whole.readSteps(t)
	if !ended || len(states) < 20 || len(steps) < 100 {
		t.Fatalf("%d states, %d steps, ended %t", len(states), len(steps), ended)
	}
	lost := 0
	for range *cutCount {
		after, kept := 1+random.IntN(len(steps)-1), []float64{0, 0.3, 0.9, 1}[random.IntN(4)]
		cut := newPowerCut(t, base, shim)
		told, _ := cut.run(t, after)
		state := openAfterCut(t, cut.rebuild(t, base, random, kept))
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

func newPowerCut(t *testing.T, base, shim string) powerCut {
	t.Helper()
	c := powerCut{folder: filepath.Join(t.TempDir(), "state"), log: filepath.Join(t.TempDir(), "steps"), shim: shim}
	if err := os.CopyFS(c.folder, os.DirFS(base)); err != nil {
		t.Fatal(err)
	}
	return c
}

// run works in another process until a step, -1 for none, and returns the states of the ledger that it told.
func (c powerCut) run(t *testing.T, after int) (states []string, ended bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestWorkUntilPowerCut$", "-test.v=false")
	cmd.Env = append(os.Environ(), "LD_PRELOAD="+c.shim, "POWERCUT_FOLDER="+c.folder, "POWERCUT_LOG="+c.log, "POWERCUT_AFTER="+strconv.Itoa(after))
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
	tell := func() { fmt.Printf("state %s\n", ledgerState(t, f.Store)) }
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
func ledgerState(t *testing.T, s *Store) (state string) {
	t.Helper()
	err := s.read.GetContext(ctx(), &state, `SELECT (SELECT count(*) FROM object) || ' objects, ' || (SELECT count(*) FROM candidate) || ' candidates, ' ||
		(SELECT count(*) || ' ' || coalesce(sum(seq), 0) FROM outbox) || ' to send, ' || coalesce((SELECT group_concat(status) FROM (SELECT status FROM job ORDER BY number)), 'no job') || ' ' ||
		(SELECT coalesce(max(number), 0) FROM attempt) || ' handed ' || coalesce((SELECT value FROM setting WHERE name = 'outbox_handed'), 0) || ' uploaded ' || coalesce((SELECT sum(count_uploaded) FROM job), 0)`)
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// openAfterCut opens a database, looks whether it is sound, and says where it stands.
func openAfterCut(t *testing.T, folder string) string {
	t.Helper()
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
	return ledgerState(t, s)
}

// step is one thing that SQLite did to a file: it wrote ('w'), cut ('t'), synced ('s') or removed ('u') it.
type step struct {
	kind   byte
	name   string
	offset int64
	data   []byte
}

func (c powerCut) readSteps(t *testing.T) (steps []step) {
	t.Helper()
	log, err := os.ReadFile(c.log)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for in := bytes.NewReader(log); in.Len() > 0; {
		var head struct{ Kind, Name, Offset, Size uint64 }
		if binary.Read(in, binary.NativeEndian, &head) != nil {
			break // the process ended within it
		}
		text := make([]byte, head.Name+head.Size)
		if n, _ := in.Read(text); n < len(text) {
			break
		}
		steps = append(steps, step{byte(head.Kind), string(text[:head.Name]), int64(head.Offset), text[head.Name:]})
	}
	return steps
}

// rebuild makes the folder as it is found after the power cut: with what was synced, and of the rest with each step by a chance,
// the last of which may have been written in part.
func (c powerCut) rebuild(t *testing.T, base string, random *rand.Rand, kept float64) string {
	t.Helper()
	steps := c.readSteps(t)
	synced := map[string]int{}
	for i, s := range steps {
		if s.kind == 's' {
			synced[s.name] = i
		}
	}
	files := map[string][]byte{}
	for _, name := range []string{FileName, FileName + "-wal"} {
		content, err := os.ReadFile(filepath.Join(base, name))
		if err == nil {
			files[name] = content
		}
	}
	for i, s := range steps {
		last, wasSynced := synced[s.name]
		if (!wasSynced || i > last) && random.Float64() >= kept {
			continue
		}
		if i == len(steps)-1 && s.kind == 'w' && kept < 1 {
			s.data = s.data[:random.IntN(len(s.data)+1)/512*512]
		}
		s.do(files)
	}
	folder := filepath.Join(t.TempDir(), "after")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// do repeats a step.
func (s step) do(files map[string][]byte) {
	content := files[s.name]
	switch s.kind {
	case 'u':
		delete(files, s.name)
		return
	case 't':
		content = append(content[:min(int64(len(content)), s.offset):min(int64(len(content)), s.offset)], make([]byte, max(0, s.offset-int64(len(content))))...)
	case 'w':
		end := s.offset + int64(len(s.data))
		content = append(content, make([]byte, max(0, end-int64(len(content))))...)
		copy(content[s.offset:end], s.data)
	default:
		return
	}
	files[s.name] = content
}
