package mapping

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mssentinel/app/regular"
	"mssentinel/plugins/builtin"
	"mssentinel/plugins/mapper"
)

// Check holds a mapper to all that the App asks of one before and while it serves, and to what only shows over time: that it
// answers the same when it is asked again. It is for the author of a mapper.

// CheckOptions say which mapper is checked, and by what.
type CheckOptions struct {
	// Path of the executable, which needs no list of checksums, and Args that it is started with.
	Path string
	Args []string
	// Samples are indicators as ThreatConnect writes them; nil for none. Awkward ones are added for each type.
	Samples []Sample
	// TempDir is that of Options.
	TempDir string
}

// Sample is an indicator for a check: the JSON of ThreatConnect, and what is odd about it.
type Sample struct {
	Case      string
	Indicator []byte
}

// Verdict says what came of one part of a check.
type Verdict string

// The verdicts. With a Violation the mapper is not fit; a Remark is for its author to judge.
const (
	Passed    Verdict = "ok"
	Remark    Verdict = "note"
	Violation Verdict = "WRONG"
)

// Finding is what one part of a check found: in a sentence, and one by one.
type Finding struct {
	Rule    string
	Verdict Verdict
	Text    string
	Details []string
}

// CheckReport is what a check found, in the order in which it looked.
type CheckReport struct {
	// File is the executable, Checksum its SHA-256 in hex.
	File, Checksum string
	Findings       []Finding
}

// Violations counts the findings that make a mapper unfit.
func (r CheckReport) Violations() int {
	n := 0
	for _, f := range r.Findings {
		if f.Verdict == Violation {
			n++
		}
	}
	return n
}

// maxDetails bounds the single cases of a finding.
const maxDetails = 10

// add notes a finding. Without details it passed, unless verdict says otherwise by itself.
func (r *CheckReport) add(rule string, verdict Verdict, text string, details []string) {
	if more := len(details) - maxDetails; more > 0 {
		details = append(slices.Clip(details[:maxDetails]), fmt.Sprintf("and %d more like these", more))
	}
	r.Findings = append(r.Findings, Finding{Rule: rule, Verdict: verdict, Text: text, Details: details})
}

// addUnlessNone notes that something passed or, where there are details, that it is of the given verdict.
func (r *CheckReport) addUnlessNone(rule, passed string, otherwise Verdict, text string, details []string) {
	if len(details) == 0 {
		r.add(rule, Passed, passed, nil)
		return
	}
	r.add(rule, otherwise, text, details)
}

// Check starts a mapper as the App does, by the same rules and limits, asks it about indicators, and reports what it found. The
// error says why there could be no check. A mapper that hangs again and again keeps it for up to four minutes.
func Check(ctx context.Context, o CheckOptions) (CheckReport, error) {
	return checkWith(ctx, o, defaultLimits)
}

func checkWith(ctx context.Context, o CheckOptions, limits limits) (report CheckReport, err error) {
	file, err := describeFile(ctx, o.Path)
	if err != nil {
		return report, err
	}
	report.File, report.Checksum = file.path, hex.EncodeToString(file.sum[:])
	h, err := newHost(Options{TempDir: o.TempDir}, limits)
	if err != nil {
		return report, err
	}
	h.printed = new(prints)
	c := &checker{host: h, mapper: h.newSupervisor(file, o.Args...), report: &report, now: time.Now().Truncate(time.Millisecond)}
	c.checkAll(ctx, o.Samples)
	if err := h.Close(); err != nil {
		return report, err
	}
	c.reportPrints()
	return report, ctx.Err()
}

// describeFile is an executable that is on no list, with the checksum that it has.
func describeFile(ctx context.Context, path string) (executable, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return executable{}, fmt.Errorf("finding the mapper: %w", err)
	}
	f, err := regular.Open(absolute)
	if err != nil {
		return executable{}, fmt.Errorf("opening the mapper: %w", err)
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, untilDone{ctx, f}); err != nil {
		return executable{}, fmt.Errorf("reading the mapper: %w", err)
	}
	return executable{path: absolute, sum: [sha256.Size]byte(sum.Sum(nil))}, nil
}

// checker carries out a check.
type checker struct {
	host   *Host
	mapper *supervisor
	report *CheckReport
	now    time.Time
	// samples are those that the mapper is asked about, answers what it made of them, as they came.
	samples []Sample
	answers []mapper.Answer
}

// checkAll goes from what the App looks at first to what only shows with many indicators. What cannot be known because of what was
// found before is left out.
func (c *checker) checkAll(ctx context.Context, samples []Sample) {
	if !c.checkContract(ctx) {
		return
	}
	c.samples = samplesFor(c.mapper.description.Types, samples)
	if !c.checkAnswers(ctx) {
		return
	}
	c.dropFailed()
	if len(c.samples) == 0 {
		return
	}
	c.checkObjects()
	c.checkRemarks()
	c.checkRepetition(ctx)
	c.checkSpeed(ctx)
	c.checkLargest(ctx)
	c.checkEnd()
}

// checkContract starts the mapper and asks it who it is.
func (c *checker) checkContract(ctx context.Context) bool {
	d, err := c.mapper.askDescription(ctx)
	if err != nil {
		c.report.add("contract", Violation, "The App cannot use it.", []string{err.Error()})
		return false
	}
	c.report.add("contract", Passed, fmt.Sprintf("It speaks version %d of the contract, over mutual TLS.", mapper.ContractVersion), nil)
	var faults, takes []string
	for _, err := range checkDescription(d) {
		faults = append(faults, err.Error())
	}
	for _, t := range d.Types {
		parameter := slices.ContainsFunc(builtin.Types, func(b builtin.Type) bool { return b.Name == t.Name })
		if err := checkTTL(t, parameter); err != nil {
			faults = append(faults, err.Error())
		}
		takes = append(takes, fmt.Sprintf("%s (%s)", t.Name, tellTTL(t, parameter)))
	}
	who := fmt.Sprintf("%.100q, version %.100q, takes ", d.Name, d.Version)
	c.report.addUnlessNone("types", who+strings.Join(takes, ", ")+".", Violation, "What it says of itself cannot stand.", faults)
	if len(faults) > 0 {
		return false
	}
	c.mapper.setDescription(d)
	return true
}

// tellTTL says how long objects of a type live in Sentinel.
func tellTTL(t mapper.Type, parameter bool) string {
	if parameter {
		return "lives as long as the Service's parameter says"
	}
	return fmt.Sprintf("lives %d h", t.DefaultTTLHours)
}

// checkAnswers asks about all samples. Each has to get an answer, and to leave the mapper alive.
func (c *checker) checkAnswers(ctx context.Context) bool {
	var err error
	if c.answers, err = c.askAll(ctx, c.samples, c.now); err != nil {
		c.report.add("answers", Violation, "It could not be asked.", []string{err.Error()})
		return false
	}
	var failed []string
	objects := 0
	for i, a := range c.answers {
		objects += len(a.Objects)
		if a.Failed {
			failed = append(failed, c.tellCase(i, strings.Join(a.Problems, "; ")))
		}
	}
	c.report.addUnlessNone("answers", fmt.Sprintf("It answered to each of %d indicators, with %d objects.", len(c.samples), objects),
		Violation, "It failed on indicators: say what is wrong with them as a problem, and do not fail.", failed)
	if objects == 0 {
		c.report.add("answers", Remark, "No indicator became an object: name a file with indicators that should, by -indicators.", c.firstProblems())
	}
	return true
}

// dropFailed leaves out of all further questions what the mapper failed on: each would end its process once more.
func (c *checker) dropFailed() {
	var samples []Sample
	var answers []mapper.Answer
	for i, a := range c.answers {
		if !a.Failed {
			samples, answers = append(samples, c.samples[i]), append(answers, a)
		}
	}
	c.samples, c.answers = samples, answers
}

// firstProblems are what the mapper said of the first samples, to see by why it took none.
func (c *checker) firstProblems() []string {
	var said []string
	for i, a := range c.answers[:min(3, len(c.answers))] {
		said = append(said, c.tellCase(i, strings.Join(a.Problems, "; ")))
	}
	return said
}

// checkObjects holds the answers to what can be sent, by the rules by which the App takes them.
func (c *checker) checkObjects() {
	var unfit []string
	for i, a := range c.answers {
		held := copyAnswer(a)
		checkAnswer(&held)
		for n, problem := range held.Problems {
			switch {
			case held.Failed || strings.HasPrefix(problem, unfitObject):
				unfit = append(unfit, c.tellCase(i, strings.TrimPrefix(problem, unfitObject)))
			case n >= len(a.Problems):
				unfit = append(unfit, c.tellCase(i, problem))
			}
		}
	}
	c.report.addUnlessNone("objects", "All objects can be sent; their patterns were parsed by the grammar of STIX 2.1.",
		Violation, "Objects cannot be sent.", unfit)
}

// checkRemarks looks for problems and notes that would be cut.
func (c *checker) checkRemarks() {
	var cut []string
	for i, a := range c.answers {
		for _, list := range [][]string{a.Problems, a.Notes} {
			if !slices.Equal(list, boundRemarks(slices.Clone(list))) {
				cut = append(cut, c.tellCase(i, fmt.Sprintf("%d of them, the longest of %d bytes, are cut to %d of at most %d bytes that can be shown",
					len(list), longest(list), maxRemarks, maxRemark)))
			}
		}
	}
	c.report.addUnlessNone("sentences", "Problems and notes fit on REPORT.", Remark, "Problems or notes do not fit on REPORT as they are.", cut)
}

func longest(list []string) int {
	n := 0
	for _, s := range list {
		n = max(n, len(s))
	}
	return n
}

// copyAnswer is a copy that can be changed.
func copyAnswer(a mapper.Answer) mapper.Answer {
	a.Objects, a.Problems, a.Notes = slices.Clone(a.Objects), slices.Clone(a.Problems), slices.Clone(a.Notes)
	return a
}

// askAll sends samples as the App would.
func (c *checker) askAll(ctx context.Context, samples []Sample, now time.Time) ([]mapper.Answer, error) {
	batch := make([][]byte, len(samples))
	for i, s := range samples {
		batch[i] = s.Indicator
	}
	var answers []mapper.Answer
	for len(batch) > 0 {
		n := countFitting(batch)
		if n == 0 {
			return nil, fmt.Errorf("an indicator has %d bytes, more than the %d MiB that a mapper takes", len(batch[0]), mapper.MaxMessage>>20)
		}
		part, err := c.mapper.askMapper(ctx, batch[:n], now)
		if err != nil {
			return nil, err
		}
		answers = append(answers, part...)
		batch = batch[n:]
	}
	return answers, nil
}

func (c *checker) tellCase(i int, said string) string { return c.samples[i].Case + ": " + said }

// checkEnd asks the mapper to end, as the App does when there is nothing to do.
func (c *checker) checkEnd() {
	if took := c.endProcess(); took >= stopLimit {
		c.report.add("end", Remark, "It did not end when it was asked to (plugin.GRPCController/Shutdown), and was killed: that is safe, but takes 2 s.", nil)
	} else {
		c.report.add("end", Passed, "It ends when it is asked to.", nil)
	}
}

// endProcess ends the process that runs and says how long that took; 0 where there is none.
func (c *checker) endProcess() time.Duration {
	p := c.running()
	if p == nil {
		return 0
	}
	began := time.Now()
	c.mapper.requestStop(p, nil)
	<-p.gone
	return time.Since(began)
}

// running is the process that gets the calls; nil when there is none.
func (c *checker) running() *process {
	c.mapper.mu.Lock()
	defer c.mapper.mu.Unlock()
	return c.mapper.process
}

// peakMemory is the most memory that a process ever had, in bytes; 0 where that cannot be told.
func peakMemory(p *process) int64 {
	if p == nil {
		return 0
	}
	status, err := os.ReadFile(filepath.Join("/proc", p.client.ID(), "status"))
	if err != nil {
		return 0
	}
	for lines := bufio.NewScanner(bytes.NewReader(status)); lines.Scan(); {
		var kib int64
		if n, _ := fmt.Sscanf(lines.Text(), "VmHWM: %d kB", &kib); n == 1 {
			return kib << 10
		}
	}
	return 0
}

// reportPrints says what the mapper printed in all that time.
func (c *checker) reportPrints() {
	lines, count := c.host.printed.list(true)
	if count > 0 {
		c.report.add("printing", Violation, fmt.Sprintf("It printed %d lines to standard output, which belongs to the handshake: print to standard error.", count), lines)
	}
	lines, count = c.host.printed.list(false)
	c.report.addUnlessNone("printing", "It printed nothing.", Remark,
		fmt.Sprintf("It printed %d lines to standard error, which goes to the App's log at debug level.", count), lines)
}
