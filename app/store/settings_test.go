package store

import (
	"context"
	"slices"
	"testing"
	"time"
)

// A setting is what was kept last, and nothing where nothing was; what is no number is a fault.
func TestSettingValues(t *testing.T) {
	f := newFixture(t)
	read := func(want time.Time) {
		t.Helper()
		if got, err := timeSetting(ctx(), f.read, settingNotified); err != nil || !got.Equal(want) {
			t.Errorf("%v, want %v (%v)", got, want, err)
		}
		n, err := numberSetting(ctx(), f.read, settingNotified)
		if f.do(err); want.IsZero() && n != 0 || !want.IsZero() && n != toMillis(want) {
			t.Errorf("the number is %d", n)
		}
	}
	keep := func(value string) {
		t.Helper()
		f.do(f.inTransaction(ctx(), func(ctx context.Context, tx *transaction) error { return putSetting(ctx, tx, settingNotified, value) }))
	}
	read(time.Time{})
	for _, at := range []time.Time{noon, noon.Add(time.Millisecond), time.UnixMilli(1)} {
		f.do(f.inTransaction(ctx(), func(ctx context.Context, tx *transaction) error { return putTime(ctx, tx, settingNotified, at) }))
		read(at)
	}
	keep("")
	read(time.Time{})
	keep("soon")
	if _, err := timeSetting(ctx(), f.read, settingNotified); err == nil {
		t.Error("what is no number is read")
	}
	over, cancel := context.WithCancel(ctx())
	cancel()
	if _, err := numberSetting(over, f.read, settingNotified); err == nil {
		t.Error("a setting is read though nobody waits")
	}
}

// Which tasks are paused outlives a restart, however often that is said.
func TestPausedTasks(t *testing.T) {
	f := newFixture(t)
	want := func(want ...string) {
		t.Helper()
		if got, err := f.PausedTasks(ctx()); err != nil || !slices.Equal(got, want) {
			t.Errorf("%v are paused, want %v (%v)", got, want, err)
		}
	}
	want()
	for _, slug := range []string{"upload", "convert", "upload"} {
		f.do(f.SetPaused(ctx(), slug, true))
	}
	want("convert", "upload")
	f.do(f.SetPaused(ctx(), "upload", false))
	f.do(f.SetPaused(ctx(), "download", false))
	f.reopen()
	want("convert")
	over, cancel := context.WithCancel(ctx())
	cancel()
	if err := f.SetPaused(over, "cleaner", true); err == nil {
		t.Error("a task is paused though nobody waits")
	}
	if _, err := f.PausedTasks(over); err == nil {
		t.Error("paused tasks are read though nobody waits")
	}
}

// A list of numbers is JSON, also one of none.
func TestJSONList(t *testing.T) {
	for want, numbers := range map[string][]int64{"[]": nil, "[7]": {7}, "[-1,0,12]": {-1, 0, 12}} {
		if got := jsonList(numbers); got != want {
			t.Errorf("%v is %s", numbers, got)
		}
	}
}
