package store

import (
	"slices"
	"testing"
	"time"
)

// The times of the last requests outlive the process, and a request whose answer it never saw ends when they are read.
func TestLoadSlots(t *testing.T) {
	f := newFixture(t)
	answered, err := f.BeginSlot(ctx(), f.now)
	f.do(err)
	f.do(second(f.BeginSlot(ctx(), f.now)))
	f.do(f.EndSlot(ctx(), answered, f.now.Add(time.Second)))
	f.reopen()
	want := []time.Time{f.now.Add(time.Second), f.now.Add(time.Minute)}
	for _, now := range []time.Time{f.now.Add(time.Minute), f.now.Add(time.Hour)} {
		got, err := f.LoadSlots(ctx(), now)
		f.do(err)
		if slices.SortFunc(got, time.Time.Compare); !slices.Equal(got, want) {
			t.Errorf("ended at %v, want %v", got, want)
		}
	}
}

func TestLoadSlotsOfNone(t *testing.T) {
	f := newFixture(t)
	if got, err := f.LoadSlots(ctx(), f.now); err != nil || len(got) > 0 {
		t.Errorf("ended at %v (%v), want none", got, err)
	}
}
