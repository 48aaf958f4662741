package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"mssentinel/app/retry"
	"mssentinel/app/store"
)

// unavailableRetry lies between attempts to use a database that cannot be written.
const unavailableRetry = 30 * time.Second

// probeEvery is how often the watchdog writes something to a database that is well.
const probeEvery = 5 * time.Minute

// disk knows who waits because the database cannot be written, and what is wrong with it.
type disk struct {
	log *slog.Logger
	// store knows what is wrong with the disk while nobody waits; nil where there is none.
	store *store.Store

	// probed is when the watchdog, which alone touches it, last wrote something.
	probed time.Time

	mu sync.Mutex
	// waiting counts who waits, fault says for what.
	waiting int
	fault   string
}

// retryWrite writes to the store. While the disk is full, read-only or failing it says so on every screen and tries
// again until ctx ends: no job fails for that, and nothing exits.
func (d *disk) retryWrite(ctx context.Context, write func(context.Context) error) error {
	err := write(ctx)
	if !store.Unavailable(err) {
		return err
	}
	if d.beginWait(err) {
		d.log.Error("the database cannot be written; trying again every 30 s", "error", err)
	}
	defer func() {
		if d.endWait() {
			d.log.Info("the database can be written again")
		}
	}()
	for ; store.Unavailable(err); err = write(ctx) {
		d.setFault(err)
		if ended := retry.Sleep(ctx, unavailableRetry); ended != nil {
			return errors.Join(ended, err)
		}
	}
	return err
}

// waitAfter shows an error of the database on every screen for as long as it makes no sense to try again.
func (d *disk) waitAfter(ctx context.Context, err error) {
	d.beginWait(err)
	defer d.endWait()
	_ = retry.Sleep(ctx, unavailableRetry) // the caller looks at ctx itself
}

// beginWait counts one more that waits. first says that it is the only one.
func (d *disk) beginWait(err error) (first bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting++
	d.fault = err.Error()
	return d.waiting == 1
}

func (d *disk) setFault(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = err.Error()
}

// endWait counts one less. last says that no other waits.
func (d *disk) endWait() (last bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting--
	return d.waiting == 0
}

// describeTrouble is what stands on every screen while the database cannot be written, or "".
func (d *disk) describeTrouble() string {
	fault := d.presentFault()
	if fault == "" {
		return ""
	}
	return fmt.Sprintf("The Service cannot write its database (%s). Free some space on its disk or make it writable. "+
		"Jobs wait meanwhile and go on by themselves; the Service tries again every %.0f seconds.",
		fault, unavailableRetry.Seconds())
}

// presentFault is what is wrong with the database: for who waits, or else when something was last written.
func (d *disk) presentFault() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.waiting > 0 {
		return d.fault
	}
	if d.store != nil {
		if err := d.store.Fault(); err != nil {
			return err.Error()
		}
	}
	return ""
}

// probe finds out whether the database can be written, where nobody else does: every 30 s while it cannot, else now and
// then.
func (d *disk) probe(ctx context.Context) {
	if d.store == nil || d.store.Fault() == nil && time.Since(d.probed) < probeEvery {
		return
	}
	d.probed = time.Now()
	before := d.store.Fault()
	switch err := d.store.ProbeWriting(ctx); {
	case ctx.Err() != nil:
	case err == nil && before != nil:
		d.log.Info("the database can be written again")
	case err != nil && before == nil:
		d.log.Error("the database cannot be written; trying again every 30 s", "error", err)
	}
}
