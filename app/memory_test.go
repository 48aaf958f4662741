package main

import (
	"database/sql"
	"errors"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"weak"

	"mssentinel/app/store"
)

const someMemory = 32 << 20

// residentMemory is how much of this process the system holds in memory, in bytes: what it wrote, and what stands in files, as code does.
func residentMemory(t *testing.T) (written, files int) {
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(data))
	all, errAll := strconv.Atoi(fields[1])
	shared, errShared := strconv.Atoi(fields[2])
	if err := errors.Join(errAll, errShared); err != nil {
		t.Fatal(err)
	}
	return (all - shared) * os.Getpagesize(), shared * os.Getpagesize()
}

// leaveHoles has SQLite take memory and give it back to C's heap, between other memory that stays until the test ends.
func leaveHoles(t *testing.T) {
	runtime.LockOSThread() // a thread allocates from one heap
	defer runtime.UnlockOSThread()
	var bases [2]*sql.DB
	for i := range bases {
		base, err := sql.Open("sqlite3", ":memory:")
		if err != nil {
			t.Fatal(err)
		}
		base.SetMaxOpenConns(1)
		t.Cleanup(func() { base.Close() })
		bases[i] = base
	}
	write := func(base *sql.DB, text string) {
		if _, err := base.Exec(text); err != nil {
			t.Fatal(err)
		}
	}
	goes, stays := bases[0], bases[1]
	write(goes, `CREATE TABLE a (x)`)
	write(stays, `CREATE TABLE a (x)`)
	for range 2 * someMemory >> 20 {
		write(goes, `INSERT INTO a VALUES (zeroblob(1 << 20))`)
		write(stays, `INSERT INTO a VALUES (zeroblob(1 << 13))`)
	}
	if err := goes.Close(); err != nil {
		t.Fatal(err)
	}
}

// The system gets back what pools of Go keep, what Go has collected, what lies free in C's heap, and the code.
func TestReleaseMemory(t *testing.T) {
	base, err := store.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := &service{store: base}
	var pool sync.Pool
	pooled := new([someMemory]byte) // with the race detector a pool drops some of what it is given: it need not give this back
	held := weak.Make(pooled)
	pool.Put(pooled)
	if err := s.releaseMemory(t.Context()); err != nil {
		t.Error(err)
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if held.Value() != nil || m.HeapIdle-m.HeapReleased > someMemory/2 {
		t.Errorf("the pool keeps its own: %t; Go keeps %d of %d bytes that lie free", held.Value() != nil, m.HeapIdle-m.HeapReleased, m.HeapIdle)
	}
	runtime.KeepAlive(&pool)

	leaveHoles(t)
	before, code := residentMemory(t)
	if err := s.releaseMemory(t.Context()); err != nil {
		t.Error(err)
	}
	after, rest := residentMemory(t)
	if before-after < someMemory {
		t.Errorf("of %d bytes %d were given back", before, before-after)
	}
	for range 20 { // what other threads run meanwhile is read again
		if rest <= code*2/3 {
			break
		}
		if err := s.releaseMemory(t.Context()); err != nil {
			t.Error(err)
		}
		_, rest = residentMemory(t)
	}
	if rest > code*2/3 {
		t.Errorf("of %d bytes of code %d are still in memory", code, rest)
	}
	if err := base.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.releaseMemory(t.Context()); err == nil {
		t.Error("a closed database gave memory back")
	}
}
