package pipeline

import (
	"slices"

	"mssentinel/app/sentinel"
	"mssentinel/app/store"
)

// batch is what goes into one request: of one source, and of each object only its last row.
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
func (b *batch) holds(job int64) bool {
	return slices.ContainsFunc(b.rows, func(row store.Outgoing) bool { return row.Job == job })
}

// outboxQueue are the rows of the outbox that Upload has read, in order, and the objects that are under way.
type outboxQueue struct {
	rows   []store.Outgoing
	flying map[int64]bool
}

// envelope is what a request has around its objects, in bytes, at most.
const envelope = 1024

// next composes a batch from the head of the queue. It is full when what comes next does not fit in. An object that is
// under way in another request stays behind, since two requests may arrive in any order.
func (q *outboxQueue) next() (b batch, full bool) {
	at := map[int64]int{}
	for ; b.from < len(q.rows); b.from++ {
		row := q.rows[b.from]
		if q.flying[row.Object] {
			b.left = append(b.left, row)
			continue
		}
		i, again := at[row.Object]
		grown := b.size + len(row.Payload) + 1
		if again {
			grown -= len(b.rows[i].Payload) + 1
		}
		switch {
		case len(b.rows) > 0 && (row.Source != b.source || grown > sentinel.MaxBytes-envelope),
			!again && len(b.rows) == sentinel.MaxObjects:
			return b, true
		case again:
			b.rows[i] = row
		default:
			at[row.Object] = len(b.rows)
			b.rows = append(b.rows, row)
		}
		b.size, b.source = grown, row.Source
	}
	return b, len(b.rows) == sentinel.MaxObjects
}

// takeOff takes a batch out of the queue. It gives the number of rows that later ones have made idle: the store drops them
// with those.
func (q *outboxQueue) takeOff(b batch) (idle int) {
	start := b.from - len(b.left)
	copy(q.rows[start:], b.left)
	q.rows = q.rows[start:]
	for i := range b.rows {
		q.flying[b.rows[i].Object] = true
	}
	return b.from - len(b.left) - len(b.rows)
}

// land says that a batch is not under way any more.
func (q *outboxQueue) land(b batch) {
	for i := range b.rows {
		delete(q.flying, b.rows[i].Object)
	}
}
