package pipeline

import (
	"context"
	"sync/atomic"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
	"mssentinel/app/threatconnect"
)

// chunkSize is how many indicators go through Convert together: enough for a transaction to be worth its while, few
// enough for a handful of them to fit into memory.
const chunkSize = 1000

// chunk is a part of a page on its way through Convert. Chunks keep their order. One without indicators is a marker:
// its sender waits until all chunks that it sent before are through.
type chunk struct {
	attempt *attempt
	query   int64
	// settings are those of the query.
	settings ledger.Settings
	mode     job.Mode
	// unread are the queries of which not everything was read.
	unread []int64
	// place is the place of the first indicator among those that the query returns.
	place int64
	// counted says that its rows are among those that the screens count.
	counted    bool
	indicators []threatconnect.Indicator
	// page is where the indicators are from, with the other chunks of it.
	page *chunkedPage

	// now is the time of conversion.
	now time.Time
	// found are the indicators as they were mapped. Each call to a mapper touches the elements that it was given.
	found []ledger.Found
	// endWork tells the task Convert that the chunk is through.
	endWork func()
	// applied is closed when everything up to this chunk is in the ledger. Only markers have it.
	applied chan struct{}
	// last says that the job has nothing more to read.
	last bool
}

// chunkedPage is a page of which some chunks are under way.
type chunkedPage struct {
	threatconnect.Page
	chunks atomic.Int32
}

// dropIndicators frees the memory of what ThreatConnect wrote once no chunk of its page needs it. It may be called more than once.
func (k *chunk) dropIndicators() {
	if k.indicators == nil {
		return
	}
	k.indicators = nil
	if k.page.chunks.Add(-1) == 0 {
		k.page.Free()
	}
}

// handover joins Download to Convert.
type handover struct {
	// download is the task whose silence is excused while Convert is busy.
	download *task
	chunks   chan<- *chunk
}

// sendChunk hands a chunk to Convert, and waits while Convert has its hands full.
func (h handover) sendChunk(c *chunk) error {
	defer h.download.beginWait()()
	select {
	case h.chunks <- c:
		return nil
	case <-c.attempt.ctx.Done():
		return context.Cause(c.attempt.ctx)
	}
}

// awaitApplied waits until everything that was sent is in the ledger.
func (h handover) awaitApplied(a *attempt) error {
	return h.awaitMarker(&chunk{attempt: a, applied: make(chan struct{})})
}

// awaitQueued says that the job has nothing more to read, and waits until all that it sends is in the outbox.
func (h handover) awaitQueued(a *attempt) error {
	return h.awaitMarker(&chunk{attempt: a, applied: make(chan struct{}), last: true})
}

func (h handover) awaitMarker(c *chunk) error {
	if err := h.sendChunk(c); err != nil {
		return err
	}
	defer h.download.beginWait()()
	ctx := c.attempt.ctx
	select {
	case <-c.applied:
	case <-ctx.Done():
	}
	return context.Cause(ctx)
}

// emptyConvert waits until Convert holds nothing more of an attempt that is over.
func (h handover) emptyConvert(a *attempt) {
	c := &chunk{attempt: a, applied: make(chan struct{})}
	h.chunks <- c
	<-c.applied
}
