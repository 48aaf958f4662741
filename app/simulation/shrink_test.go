package simulation

import (
	"slices"
	"testing"
	"time"
)

// shorten looks for a shorter history that breaks the same promise, for as long as it may: by leaving out steps, indicators and
// queries, in ever smaller pieces, and by making what is left simpler.
func shorten(t *testing.T, h History, o outcome, limit time.Duration) (History, outcome) {
	t.Helper()
	s := &shortener{t: t, best: h, outcome: o, check: o.check(), until: time.Now().Add(limit)}
	for before := -1; before != s.best.size() && s.mayGoOn(); {
		before = s.best.size()
		leaveOut(s, func(h *History) *[]Step { return &h.Steps })
		leaveOut(s, func(h *History) *[]Item { return &h.Items })
		leaveOut(s, func(h *History) *[]Query { return &h.Queries })
		s.simplify()
	}
	return s.best, s.outcome
}

func (h History) size() int {
	n := len(h.Steps) + len(h.Items) + len(h.Queries)
	for _, s := range h.Steps {
		n += len(s.Slots) + len(s.Members)
	}
	return n
}

type shortener struct {
	t       *testing.T
	best    History
	outcome outcome
	check   string
	until   time.Time
}

func (s *shortener) mayGoOn() bool { return time.Now().Before(s.until) }

// try takes a history if it fails in the same way.
func (s *shortener) try(h History) bool {
	if !s.mayGoOn() {
		return false
	}
	o := carryOut(s.t, h)
	if o.check() != s.check {
		return false
	}
	s.best, s.outcome = h, o
	return true
}

// leaveOut leaves out pieces of a list, halves at first and single elements at last.
func leaveOut[T any](s *shortener, of func(*History) *[]T) {
	for piece := max(1, len(*of(&s.best))/2); ; piece /= 2 {
		for at := len(*of(&s.best)) - piece; at > -piece; at -= piece {
			h := s.best.clone()
			list := of(&h)
			from := max(at, 0)
			*list = slices.Delete(*list, from, min(from+piece, len(*list)))
			s.try(h)
			at = min(at, len(*of(&s.best)))
		}
		if piece == 1 || !s.mayGoOn() {
			return
		}
	}
}

// simplify takes away what single steps have too much.
func (s *shortener) simplify() {
	for i := range s.best.Steps {
		for len(s.best.Steps[i].Slots) > 1 {
			h := s.best.clone()
			n := len(h.Steps[i].Slots)
			h.Steps[i].Slots = h.Steps[i].Slots[:n/2]
			if s.try(h) {
				continue
			}
			h = s.best.clone()
			h.Steps[i].Slots = h.Steps[i].Slots[n/2:]
			if !s.try(h) {
				break
			}
		}
		if _, isValue := s.best.Steps[i].Members["summary"]; isValue {
			continue // the members of a value belong together
		}
		for name := range s.best.Steps[i].Members {
			h := s.best.clone()
			delete(h.Steps[i].Members, name)
			s.try(h)
		}
	}
}
