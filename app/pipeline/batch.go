package pipeline

import (
	"slices"

	"mssentinel/app/sentinel"
	"mssentinel/app/store"
)

// batch is what goes into one request: of one source, and of each object one version.
type batch struct {
	source string
	rows   []*store.Outgoing
	// size is the length of the payloads in bytes.
	size int
	// looked is how much of the queue was looked at, skipped are the rows of it that stay in the queue.
	looked  int
	skipped []*store.Outgoing
}

// holdsJob tells whether an object of the job is among them.
func (b *batch) holdsJob(j int64) bool {
	return slices.ContainsFunc(b.rows, func(row *store.Outgoing) bool { return row.Job == j })
}

// outboxQueue are the rows of the outbox that Upload has read, in order, and the objects that are under way.
type outboxQueue struct {
	rows     []*store.Outgoing
	underWay map[int64]bool
}

// nextBatch composes a batch from the head of the queue. It is full when what comes next does not fit in. An object
// that is in it already, or under way in another request, is skipped: of two versions the newer one must arrive last.
func (q *outboxQueue) nextBatch() (b batch, full bool) {
	room := min(len(q.rows), sentinel.MaxObjects)
	b.rows = make([]*store.Outgoing, 0, room)
	taken, limit := make(map[int64]bool, room), 0
	for ; b.looked < len(q.rows); b.looked++ {
		row := q.rows[b.looked]
		if q.underWay[row.Object] || taken[row.Object] {
			b.skipped = append(b.skipped, row)
			continue
		}
		size := b.size + len(row.Payload) + 1
		switch {
		case len(b.rows) == 0:
			limit = sentinel.MaxPayload(row.Source)
		case row.Source != b.source || size > limit || len(b.rows) == sentinel.MaxObjects:
			return b, true
		}
		taken[row.Object] = true
		b.rows, b.size, b.source = append(b.rows, row), size, row.Source
	}
	return b, len(b.rows) == sentinel.MaxObjects
}

// startBatch takes a batch out of the queue: its objects are under way.
func (q *outboxQueue) startBatch(b batch) {
	start := b.looked - len(b.skipped)
	copy(q.rows[start:], b.skipped)
	clear(q.rows[:start]) // their payloads are not kept until the queue grows
	q.rows = q.rows[start:]
	for i := range b.rows {
		q.underWay[b.rows[i].Object] = true
	}
}

// endBatch says that a batch is not under way any more.
func (q *outboxQueue) endBatch(b batch) {
	for i := range b.rows {
		delete(q.underWay, b.rows[i].Object)
	}
}
