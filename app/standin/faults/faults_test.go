package faults

import (
	"context"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

type fault struct {
	name         string
	count, after int
	rate         float64
}

func list(faults ...fault) *List[fault] {
	l := NewList(1, func(f *fault) When { return When{Count: &f.count, After: &f.after, Rate: f.rate} })
	for _, f := range faults {
		l.Add(f)
	}
	return l
}

// struck is what strikes so many requests, one after the other; "-" is nothing.
func struck(l *List[fault], requests int) (names []string) {
	for range requests {
		f, ok := l.Take(func(f fault) bool { return f.name != "another" })
		if !ok {
			f.name = "-"
		}
		names = append(names, f.name)
	}
	return names
}

func TestTake(t *testing.T) {
	l := list(fault{name: "another", count: -1}, fault{name: "once", count: 1, after: 1}, fault{name: "twice", count: 2}, fault{name: "always", count: -1})
	want := []string{"twice", "once", "twice", "always", "always"}
	if got := struck(l, len(want)); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	l.Clear()
	if got := struck(l, 1); got[0] != "-" {
		t.Errorf("cleared, and %s strikes", got[0])
	}
}

func TestRate(t *testing.T) {
	at := func() []string { return struck(list(fault{name: "x", count: -1, rate: 0.25}), 1000) }
	hits := 0
	for _, name := range at() {
		if name == "x" {
			hits++
		}
	}
	if hits < 200 || hits > 300 || !slices.Equal(at(), at()) {
		t.Errorf("%d of 1000, and the same again: %v", hits, slices.Equal(at(), at()))
	}
}

func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, closed := time.Now(), make(chan struct{})
		r := httptest.NewRequest("GET", "/", nil)
		if !Pause(r, time.Minute, closed) || time.Since(began) != time.Minute {
			t.Errorf("paused for %v", time.Since(began))
		}
		ctx, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		if Pause(r.WithContext(ctx), 0, closed) {
			t.Error("went on without its client")
		}
		time.AfterFunc(time.Second, func() { close(closed) })
		if Pause(r, 0, closed) {
			t.Error("went on though the stand-in was closed")
		}
	})
}

func TestLog(t *testing.T) {
	l := Log[int]{Most: 100}
	for i := range 1000 {
		l.Add(i)
	}
	kept := l.All()
	if n := len(kept); n < 100 || n > 125 || kept[n-1] != 999 || kept[0] != 1000-n || l.Count() != 1000 {
		t.Errorf("of %d it keeps %d, from %d to %d", l.Count(), n, kept[0], kept[n-1])
	}
}
