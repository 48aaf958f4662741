package store

import (
	"cmp"
	"slices"
)

// unreadRows are the newest rows of the outbox, with what they send. Apply leaves them there as it writes them, so that an Upload that
// keeps up need not read and unpack them. The zero value knows none. It is the writer's, and nothing depends on it.
type unreadRows struct {
	// known says that rows has every row behind the row after.
	known bool
	after int64
	rows  []*Outgoing
}

// maxUnread is how many are kept: two batches. An Upload that is further behind has time to read them.
const maxUnread = 2_000

// add adds rows that were written, the newest of all: every row between the one before them and the last of them is among them.
func (u *unreadRows) add(before int64, rows []*Outgoing) {
	if !u.known || len(u.rows)+len(rows) > maxUnread {
		*u = unreadRows{known: true, after: before}
	}
	u.rows = append(u.rows, rows...)
}

// take gives at most limit of the rows behind one, and forgets them and those before; false where it does not know all of them.
func (u *unreadRows) take(after int64, limit int) (taken []*Outgoing, known bool) {
	if !u.known || after < u.after {
		return nil, false
	}
	first, _ := slices.BinarySearchFunc(u.rows, after+1, func(o *Outgoing, seq int64) int { return cmp.Compare(o.Seq, seq) })
	taken = u.rows[first:min(first+limit, len(u.rows))]
	u.rows = slices.Clone(u.rows[first+len(taken):])
	u.after = after
	if len(taken) > 0 {
		u.after = taken[len(taken)-1].Seq
	}
	return taken, true
}

// drop says that rows left the outbox. Where one of them was still unread, the next are read from the database.
func (u *unreadRows) drop(seqs []int64) {
	if slices.ContainsFunc(seqs, func(seq int64) bool { return seq > u.after }) {
		u.forget()
	}
}

// forget has the next rows be read from the database.
func (u *unreadRows) forget() { *u = unreadRows{} }
