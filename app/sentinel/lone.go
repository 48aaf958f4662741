package sentinel

import "sync"

// maxLone is how many objects in a row may be rejected alone, with the same text, before the configuration is taken for
// the cause.
const maxLone = 3

// loneRejections finds out why objects are rejected though each was alone in its request: because of the object, or
// because of the configuration. All deliveries of a client share it, since with small batches none of them sees enough
// by itself.
//
// The configuration is the cause once maxLone objects in a row were rejected with the same text. It is not once
// Sentinel accepts an object or rejects one by its index, once another text comes, or once no delivery is left that
// could tell.
type loneRejections struct {
	mu         sync.Mutex
	deliveries int // that may still tell
	text       string
	inRow      int             // how many rejections in a row had the text
	open       *rejectionCause // of these, nil where none waits to know
}

// rejectionCause is the cause that the lone rejections of a row have in common.
type rejectionCause struct {
	known  chan struct{} // closed once config is set
	config bool          // the configuration is the cause
}

// beginDelivery and endDelivery enclose the time in which a delivery may tell what the cause is.
func (l *loneRejections) beginDelivery() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deliveries++
}

func (l *loneRejections) endDelivery() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.deliveries--; l.deliveries == 0 {
		l.setCause(false)
	}
}

// addRejection notes a lone rejection and returns its cause, which may not be known yet.
func (l *loneRejections) addRejection(text string) *rejectionCause {
	l.mu.Lock()
	defer l.mu.Unlock()
	if text != l.text {
		l.setCause(false)
		l.text, l.inRow = text, 0
	}
	l.inRow++
	if l.open == nil {
		l.open = &rejectionCause{known: make(chan struct{})}
	}
	cause := l.open
	if l.inRow >= maxLone {
		l.setCause(true)
	}
	return cause
}

// startOver ends a row: Sentinel has accepted an object or rejected one by its index, so the configuration is right.
func (l *loneRejections) startOver() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.setCause(false)
	l.text, l.inRow = "", 0
}

// setCause tells those who wait. l.mu is held.
func (l *loneRejections) setCause(config bool) {
	if l.open != nil {
		l.open.config = config
		close(l.open.known)
		l.open = nil
	}
}

// isConfig says whether it is known that the configuration is the cause.
func (c *rejectionCause) isConfig() bool {
	select {
	case <-c.known:
		return c.config
	default:
		return false
	}
}
