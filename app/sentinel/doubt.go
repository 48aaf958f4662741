package sentinel

import "sync"

// lonesForConfig is how many records in a row, refused alone and with the same text, put the blame on the configuration.
const lonesForConfig = 3

// doubt decides who is to blame for records that were refused though each was alone in its request: they themselves, or
// the configuration. It is shared by all deliveries of a client, since with small batches none sees enough by itself.
type doubt struct {
	mu   sync.Mutex
	busy int    // deliveries that may still tell
	text string // of the last lone refusal
	row  int    // how many in a row had it
	open *question
}

// question is asked by the lone refusals of a row. config is the answer once answered is closed.
type question struct {
	answered chan struct{}
	config   bool
}

// enter and leave enclose the time in which a delivery may tell: when nobody is left who could, the records are to blame.
func (d *doubt) enter() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.busy++
}

func (d *doubt) leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.busy--; d.busy == 0 {
		d.answer(false)
	}
}

// alone notes a lone refusal, and returns the question to wait for.
func (d *doubt) alone(text string) *question {
	d.mu.Lock()
	defer d.mu.Unlock()
	if text != d.text {
		d.answer(false)
		d.text, d.row = text, 0
	}
	d.row++
	if d.open == nil {
		d.open = &question{answered: make(chan struct{})}
	}
	asked := d.open
	if d.row >= lonesForConfig {
		d.answer(true)
	}
	return asked
}

// clear is called when Sentinel has taken a record or judged one by itself: then the configuration is right.
func (d *doubt) clear() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answer(false)
	d.text, d.row = "", 0
}

func (d *doubt) answer(config bool) {
	if d.open != nil {
		d.open.config = config
		close(d.open.answered)
		d.open = nil
	}
}

// guilty says whether the configuration is known to be to blame.
func (q *question) guilty() bool {
	select {
	case <-q.answered:
		return q.config
	default:
		return false
	}
}
