package doctor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"mssentinel/app/retry"
	"mssentinel/app/text"
)

// Request is what an operator allows or names for one run. The zero Request is a run that can do no harm.
type Request struct {
	// LargeBodies allows requests to Sentinel of up to 4 MiB. It is asked for a second time.
	LargeBodies bool `json:"large_bodies"`
	// Variable is the name of a ThreatConnect variable whose lookup is tried; "" tries none.
	Variable string `json:"variable"`
	// Indicator is the value of an indicator whose lastModified is noted, so that two runs show whether what the operator
	// did between them moves it; "" notes none.
	Indicator string `json:"indicator"`
}

// Probe finds the answers about one area.
type Probe struct {
	Area      Area
	Questions []Question // in the order of the report
	// Examine answers questions through a, and returns what the verdict line says of the area. What it leaves open is
	// [NotTried]. It ends soon after ctx does.
	// nil belongs to a probe whose answers arrive by [Doctor.Record].
	Examine func(ctx context.Context, r Request, a *Answers) (summary string)
	// Recheck is called some time after Examine, once for each element of [Options].Rechecks, for what takes minutes to
	// arrive; nil where nothing does. It may answer again, and returns the summary anew.
	Recheck func(ctx context.Context, a *Answers) (summary string)
}

// Answers takes the answers of one probe. Its methods may be called from several goroutines.
type Answers struct {
	clean func(string) string

	mu    sync.Mutex
	lines []Line
}

// Bounds of a line, in bytes.
const (
	maxEvidence = 1000
	maxEffect   = 500
	maxSummary  = 200
)

// Answer is what a probe found out about one question; the members are those of [Line].
type Answer struct {
	Verdict  Verdict
	Evidence string
	Effect   string
	Differs  bool
}

// Set answers a question of the probe. A later answer to the same question takes the place of the first one.
func (a *Answers) Set(id string, answer Answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.lines {
		if l := &a.lines[i]; l.ID == id {
			l.Verdict, l.Differs = answer.Verdict, answer.Differs
			l.Evidence = text.Line(a.clean(answer.Evidence), maxEvidence)
			l.Effect = text.Line(a.clean(answer.Effect), maxEffect)
			return
		}
	}
	panic("the doctor has no question " + id) // a fault of the probe, which every run of its tests meets
}

// Options are what a Doctor needs.
type Options struct {
	Probes   []Probe
	Version  string              // of the App
	Rechecks []time.Duration     // after the end of the run, ascending; nil means none
	Clean    func(string) string // takes secrets out of a text
	Keep     func(Report) error  // keeps a report for the next start
	Last     Report              // the one that was kept last, or zero
	Logger   *slog.Logger
}

// Doctor runs probes and holds the last report. It may be used by several goroutines at once.
type Doctor struct {
	Options

	running chan struct{} // holds a token while a run goes on

	mu   sync.Mutex
	next Request // of the next run
	last Report
}

// ErrRunning says that a run goes on already.
var ErrRunning = errors.New("the doctor is at work already")

// New makes a Doctor that has run nothing.
func New(o Options) *Doctor {
	return &Doctor{Options: o, running: make(chan struct{}, 1), last: o.Last}
}

// Ask says what the next run may do. It counts for one run. While a run goes on it is [ErrRunning], so that what was
// allowed for the next run is not done in a later one that nobody had in mind.
func (d *Doctor) Ask(r Request) error {
	select {
	case d.running <- struct{}{}:
		defer func() { <-d.running }()
	default:
		return ErrRunning
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.next = r
	return nil
}

// Last returns the last report, which may be one of a run that goes on; ok is false if there was none.
func (d *Doctor) Last() (report Report, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.last.clone(), !d.last.Began.IsZero()
}

// Run asks all questions once. report is told what is being asked. The report is kept when all is answered, and again
// after each recheck, and as far as it is when ctx ends. Its error is [ErrRunning], why ctx ended, or that the report could
// not be kept.
func (d *Doctor) Run(ctx context.Context, report func(doing string)) error {
	select {
	case d.running <- struct{}{}:
		defer func() { <-d.running }()
	default:
		return ErrRunning
	}
	request := d.beginRun()
	for _, p := range d.Probes {
		if p.Examine == nil {
			continue
		}
		report("asking about " + string(p.Area))
		d.answer(p, func(a *Answers) string { return p.Examine(ctx, request, a) })
		if ctx.Err() != nil {
			return errors.Join(context.Cause(ctx), d.endRun(context.Cause(ctx)))
		}
	}
	if err := d.endRun(nil); err != nil {
		return err
	}
	return d.recheck(ctx, report)
}

// recheck asks once more for what takes minutes to arrive.
func (d *Doctor) recheck(ctx context.Context, report func(doing string)) error {
	if !slices.ContainsFunc(d.Probes, func(p Probe) bool { return p.Recheck != nil }) {
		return nil
	}
	ended := time.Now()
	for _, after := range d.Rechecks {
		report("waiting for what arrives late, until " + ended.Add(after).UTC().Format("15:04 MST"))
		if err := retry.Sleep(ctx, time.Until(ended.Add(after))); err != nil {
			return err
		}
		for _, p := range d.Probes {
			if p.Recheck != nil {
				d.answer(p, func(a *Answers) string { return p.Recheck(ctx, a) })
			}
		}
		if err := d.endRun(nil); err != nil {
			return err
		}
	}
	return nil
}

// Record takes the answers of an area that are found elsewhere, by the page in a browser. Without a report of a run it
// begins one, in which the rest is open.
func (d *Doctor) Record(area Area, answers func(*Answers) (summary string)) error {
	for _, p := range d.Probes {
		if p.Area == area {
			d.openFirst()
			d.answer(p, answers)
			return d.keepReport()
		}
	}
	return fmt.Errorf("the doctor asks nothing about %s", area)
}

// openFirst makes the report that what is recorded goes into, where no run made one.
func (d *Doctor) openFirst() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.last.Began.IsZero() {
		d.openReport()
		d.last.Ended = d.last.Began
	}
}

// beginRun starts a report, and takes the request for it.
func (d *Doctor) beginRun() Request {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.openReport()
	request := d.next
	d.next = Request{}
	return request
}

// openReport starts a report in which everything is open, except what was recorded before. d.mu is held.
func (d *Doctor) openReport() {
	before := d.last
	d.last = Report{Version: d.Version, Began: time.Now().UTC()}
	for _, p := range d.Probes {
		summary, lines := p.openLines()
		if p.Examine == nil {
			before.copyAnswers(&summary, lines)
		}
		d.last.Summaries = append(d.last.Summaries, summary)
		d.last.Lines = append(d.last.Lines, lines...)
	}
}

// answer has a probe answer its questions, and puts the answers into the report. A probe that panics must not take the
// Service along.
func (d *Doctor) answer(p Probe, examine func(*Answers) (summary string)) {
	d.mu.Lock()
	summary, lines := p.openLines()
	d.last.copyAnswers(&summary, lines)
	d.mu.Unlock()
	a := &Answers{clean: d.Clean, lines: lines}
	summary.Text = text.Line(d.Clean(d.survive(p.Area, a, examine)), maxSummary)

	a.mu.Lock()
	defer a.mu.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last.putAnswers(summary, a.lines)
}

// survive is what examine returns, or that it panicked.
func (d *Doctor) survive(area Area, a *Answers, examine func(*Answers) string) (summary string) {
	defer func() {
		if p := recover(); p != nil {
			d.Logger.Error("panic of the doctor", "area", string(area), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			summary = "the App failed on it, its log says why"
		}
	}()
	return examine(a)
}

// keepReport keeps the report as it is now. What is shown does not depend on it.
func (d *Doctor) keepReport() error {
	report, _ := d.Last()
	if err := d.Keep(report); err != nil {
		return fmt.Errorf("keeping the doctor's report: %w", err)
	}
	return nil
}

// endRun says that all was asked, or why it was not, and keeps the report.
func (d *Doctor) endRun(cause error) error {
	d.mu.Lock()
	d.last.Ended = time.Now().UTC()
	switch {
	case errors.Is(cause, context.Canceled):
		d.last.Stopped = "the Service ended"
	case cause != nil:
		d.last.Stopped = text.Line(d.Clean(cause.Error()), maxSummary)
	}
	d.mu.Unlock()
	return d.keepReport()
}

// openLines are the questions of a probe without answers.
func (p Probe) openLines() (Summary, []Line) {
	var lines []Line
	for _, q := range p.Questions {
		lines = append(lines, Line{ID: q.ID, Area: p.Area, Question: q.Text, Verdict: NotTried})
	}
	return Summary{p.Area, string(NotTried)}, lines
}
