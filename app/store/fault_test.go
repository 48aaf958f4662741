package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"

	"github.com/mattn/go-sqlite3"

	"mssentinel/app/job"
)

// limitPages has the file grow to so many pages at most, as on a full disk; 0 for what it has.
func (f *fixture) limitPages(pages int) {
	f.Helper()
	f.do(f.inTransaction(ctx(), func(ctx context.Context, tx *transaction) error {
		if pages == 0 {
			if err := tx.GetContext(ctx, &pages, `PRAGMA page_count`); err != nil {
				return err
			}
		}
		var got int
		return tx.GetContext(ctx, &got, `PRAGMA max_page_count = `+strconv.Itoa(pages))
	}))
}

// Errors of the disk are told from others, those that were wrapped as well.
func TestErrorsOfTheDisk(t *testing.T) {
	for _, c := range []struct {
		err                   error
		unavailable, readOnly bool
	}{
		{nil, false, false},
		{errors.New("another"), false, false},
		{ErrNotFound, false, false},
		{sqlite3.Error{Code: sqlite3.ErrReadonly}, true, true},
		{sqlite3.Error{Code: sqlite3.ErrFull}, true, false},
		{sqlite3.Error{Code: sqlite3.ErrIoErr}, true, false},
		{sqlite3.Error{Code: sqlite3.ErrCantOpen}, true, false},
		{sqlite3.Error{Code: sqlite3.ErrNomem}, true, false},
		{sqlite3.Error{Code: sqlite3.ErrCorrupt}, false, false},
		{sqlite3.Error{Code: sqlite3.ErrConstraint}, false, false},
		{sqlite3.Error{Code: sqlite3.ErrBusy}, false, false},
	} {
		if err := fmt.Errorf("writing: %w", c.err); Unavailable(err) != c.unavailable || readOnly(err) != c.readOnly {
			t.Errorf("%v is unavailable: %t, read-only: %t", err, Unavailable(err), readOnly(err))
		}
	}
}

// A write that the disk does not take is known until a probe finds that the disk is well again; what succeeds meanwhile says
// nothing, since it may have written nothing.
func TestFault(t *testing.T) {
	f := newFixture(t)
	if f.Fault() != nil {
		t.Fatal(f.Fault())
	}
	f.limitPages(0)
	var err error
	for range 1000 {
		if _, err = f.AddJob(ctx(), job.Request{Type: job.Scheduled, Mode: job.Full}, f.now); err != nil {
			break
		}
	}
	if !Unavailable(err) || !Unavailable(f.Fault()) {
		t.Fatalf("%v, and the fault is %v", err, f.Fault())
	}
	f.do(second(f.Outgoing(ctx(), 0, 10)))
	if f.Fault() == nil {
		t.Error("forgotten because nothing had to be written")
	}
	f.limitPages(1 << 20)
	f.do(f.ProbeWriting(ctx()))
	if f.Fault() != nil {
		t.Error(f.Fault())
	}
	f.do(second(f.AddJob(ctx(), job.Request{Type: job.Scheduled, Mode: job.Full}, f.now)))
	f.do(second(f.Outgoing(ctx(), 0, 10)))
	if _, err := f.AddJob(ctx(), job.Request{Type: job.AdHoc, Mode: "nonsense"}, f.now); err != nil && f.Fault() != nil {
		t.Error("another error counts as one of the disk")
	}
}
