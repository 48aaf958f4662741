package pipeline

import (
	"slices"

	"mssentinel/app/sentinel"
	"mssentinel/app/store"
)

// batch is what goes into one request: of one source, and of each object one version.
type batch struct {
	source string
	rows   []store.Outgoing
	// size is the length of the payloads in bytes.
	size int
	// from is how much of the queue was looked at, left are the rows of it that stay behind.
	from int
	left []store.Outgoing
}

// holds tells whether an object of the job is among them.
func (b *batch) holds(j int64) bool {
	return slices.ContainsFunc(b.rows, func(row store.Outgoing) bool { return row.Job == j })
}

// outboxQueue are the rows of the outbox that Upload has read, in order, and the objects that are under way.
type outboxQueue struct {
	rows   []store.Outgoing
	flying map[int64]bool
}

// next composes a batch from the head of the queue. It is full when what comes next does not fit in. An object that is in it
// already, or under way in another request, stays behind: of two versions the newer one must arrive last.
func (q *outboxQueue) next() (b batch, full bool) {
	taken, limit := map[int64]bool{}, 0
	for ; b.from < len(q.rows); b.from++ {
		row := q.rows[b.from]
		if q.flying[row.Object] || taken[row.Object] {
			b.left = append(b.left, row)
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

// takeOff takes a batch out of the queue.
func (q *outboxQueue) takeOff(b batch) {
	start := b.from - len(b.left)
	copy(q.rows[start:], b.left)
	q.rows = q.rows[start:]
	for i := range b.rows {
		q.flying[b.rows[i].Object] = true
	}
}

// land says that a batch is not under way any more.
func (q *outboxQueue) land(b batch) {
	for i := range b.rows {
		delete(q.flying, b.rows[i].Object)
	}
}
