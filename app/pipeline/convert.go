package pipeline

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/jsonscan"
	"mssentinel/app/ledger"
	"mssentinel/app/stix"
	"mssentinel/app/threatconnect"
	"mssentinel/plugins/mapper"
)

const (
	// mapBatch is how many indicators a mapper gets at a time.
	mapBatch = 125
	// maxRaw bounds, in bytes, the indicator that a line of REPORT shows.
	maxRaw = 16 << 10
)

// fingerprintStore is what Convert needs of the store.
type fingerprintStore interface {
	Fingerprints(ctx context.Context, query int64, indicators []int64) (map[int64]int64, error)
}

// converter is the task Convert: it hands what was read to the mappers, and what they give to its second goroutine,
// the applier.
type converter struct {
	*task
	ledger  fingerprintStore
	mappers *mapperSet
	applier *applier
	// chunks carries what Download read.
	chunks chan *chunk
	// calls holds a token for every call to a mapper that is under way.
	calls chan struct{}
	pages *pagesUnderWay
}

// convertChunks maps the chunks and hands them on in order, until Download closes the channel. One is mapped while another is applied,
// and none waits in between: each takes memory.
func (c *converter) convertChunks(context.Context) {
	mapped := make(chan *chunk)
	var applying sync.WaitGroup
	applying.Go(func() { c.applier.applyChunks(mapped) })
	for k := range c.chunks {
		k.endWork = c.beginWork(k.attempt.cancelIn(job.StepConvert))
		if len(k.indicators) > 0 && c.awaitResume(k.attempt.ctx) == nil {
			if err := c.mapChunk(k); err != nil {
				k.attempt.cancelIn(job.StepConvert)(err)
			}
		}
		if !slices.ContainsFunc(k.found, func(f ledger.Found) bool { return f.Known }) {
			k.dropIndicators()
		}
		mapped <- k
	}
	close(mapped)
	applying.Wait()
}

// mapChunk has the mappers of their types map the indicators, but for those that the ledger knows, in several calls at a time.
func (c *converter) mapChunk(k *chunk) error {
	k.now = time.Now().UTC().Truncate(time.Millisecond)
	k.found = make([]ledger.Found, len(k.indicators))
	var mappable []int
	for i := range k.indicators {
		ind := &k.indicators[i]
		k.found[i] = ledger.Found{Indicator: ind.ID, Owner: ind.Owner, Type: ind.Type, Modified: ind.LastModified}
		if ind.ID == 0 {
			k.reportUnmapped([]int{i}, job.CodeUnreadable,
				"ThreatConnect's answer has an indicator that cannot be read: it has no id.")
			continue
		}
		if ind.Unreadable != "" {
			k.reportUnmapped([]int{i}, job.CodeUnreadable, fmt.Sprintf("Indicator %d cannot be read. %s", ind.ID, ind.Unreadable))
			continue
		}
		mappable = append(mappable, i)
	}
	known, err := c.findKnown(k)
	if err != nil {
		return err
	}
	var calls sync.WaitGroup
	for typ, all := range k.groupByType(mappable) {
		if !c.mappers.takesType(typ) {
			k.reportUnmapped(all, job.CodeNoMapper, fmt.Sprintf("No installed mapper takes the type %q.", typ))
			continue
		}
		all = k.passKnown(all, c.mappers.recipe(typ, &k.settings), known)
		for part := range slices.Chunk(all, mapBatch) {
			c.pages.giveWay(k.attempt.ctx)
			c.calls <- struct{}{}
			calls.Go(func() {
				defer func() { <-c.calls }()
				if err := c.mapIndicators(k, typ, part); err != nil {
					k.attempt.cancelIn(job.StepConvert)(err)
				}
			})
		}
	}
	calls.Wait()
	return nil
}

// findKnown gives the fingerprints with which the ledger knows the indicators of a chunk. A full update makes everything anew.
func (c *converter) findKnown(k *chunk) (map[int64]int64, error) {
	if k.mode == job.Full {
		return nil, nil
	}
	ids := make([]int64, len(k.indicators))
	for i := range k.indicators {
		ids[i] = k.indicators[i].ID
	}
	return c.ledger.Fingerprints(k.attempt.ctx, k.query, ids)
}

// passKnown gives the indicators of one type their fingerprints, and returns those that are not known by them.
func (k *chunk) passKnown(all []int, recipe *ledger.Recipe, known map[int64]int64) []int {
	if recipe == nil {
		return all
	}
	unknown := all[:0]
	for _, i := range all {
		f := &k.found[i]
		f.Fingerprint = recipe.Fingerprint(k.indicators[i].Raw)
		if f.Known = known[f.Indicator] == f.Fingerprint && len(k.indicators[i].LeftOut) == 0; !f.Known {
			unknown = append(unknown, i)
		}
	}
	k.attempt.known.Add(int64(len(all) - len(unknown)))
	return unknown
}

// mapUnknown maps those known indicators of a chunk of which more has to be known than the ledger tells.
func (c *converter) mapUnknown(k *chunk, indexes []int) error {
	k.attempt.known.Add(-int64(len(indexes)))
	for typ, all := range k.groupByType(indexes) {
		for part := range slices.Chunk(all, mapBatch) {
			if err := c.mapIndicators(k, typ, part); err != nil {
				return err
			}
		}
	}
	return nil
}

// groupByType groups indicators of the chunk by their types.
func (k *chunk) groupByType(indexes []int) map[string][]int {
	byType := map[string][]int{}
	for _, i := range indexes {
		byType[k.found[i].Type] = append(byType[k.found[i].Type], i)
	}
	return byType
}

// mapIndicators maps indicators of one type and computes what the ledger needs to know of the objects.
func (c *converter) mapIndicators(k *chunk, typ string, indexes []int) error {
	raws := make([][]byte, len(indexes))
	for n, i := range indexes {
		raws[n] = k.indicators[i].Raw
	}
	answers, err := c.mappers.Map(k.attempt.ctx, typ, raws, k.now)
	if err != nil {
		return fmt.Errorf("mapping indicators of type %s: %w", typ, err)
	}
	count := 0
	for i := range answers {
		count += len(answers[i].Objects)
	}
	objects := make([]ledger.FoundObject, 0, count)
	ttl := c.mappers.timeToLive(typ)
	for n, i := range indexes {
		k.found[i].Known = false
		first := len(objects)
		objects = k.appendObjects(objects, i, &answers[n], ttl)
		k.found[i].Objects = objects[first:len(objects):len(objects)]
		if k.found[i].BelowFloor = len(answers[n].Objects) > 0 && len(objects) == first; !k.found[i].BelowFloor {
			k.addProblems(i, &answers[n])
		}
		if len(k.found[i].Problems) > 0 {
			k.found[i].Fingerprint = 0 // every update puts them on REPORT
		}
	}
	k.attempt.converted.Add(int64(len(objects)))
	c.noteActivity()
	return nil
}

// appendObjects appends the objects of an answer that the query selects. They were checked where they came from. ttl is the time to
// live of their type.
func (k *chunk) appendObjects(objects []ledger.FoundObject, i int, a *mapper.Answer, ttl time.Duration) []ledger.FoundObject {
	for n := range a.Objects {
		if !k.settings.Selects(&a.Objects[n]) {
			continue
		}
		o, leftOut := k.settings.ShapeObject(&a.Objects[n], k.now, ttl)
		if leftOut > 0 {
			k.addNote(i, describeLabelsLeftOut(leftOut))
		}
		objects = append(objects, o)
	}
	return objects
}

// describeLabelsLeftOut says that the labels of a query left no room for others.
func describeLabelsLeftOut(n int) string {
	return fmt.Sprintf("the object has no room for %d of its labels beside those of its query, which are left out", n)
}

// addProblems keeps what the mapper says about an indicator.
func (k *chunk) addProblems(i int, a *mapper.Answer) {
	f, code := &k.found[i], job.CodeInvalidValue
	if f.Unconverted = a.Failed; a.Failed {
		code = job.CodeMapperFailed
	}
	for _, message := range a.Problems {
		f.Problems = append(f.Problems, k.newProblem(i, code, message))
	}
	for _, message := range a.Notes {
		k.addNote(i, message)
	}
	if ind := &k.indicators[i]; len(ind.LeftOut) > 0 && !a.Failed {
		k.addNote(i, describeLeftOut(ind))
	}
}

// describeLeftOut says with what an indicator could not be read.
func describeLeftOut(ind *threatconnect.Indicator) string {
	return fmt.Sprintf("ThreatConnect's answer is too large or damaged with its %s. It is sent without.",
		strings.Join(ind.LeftOut, ", "))
}

// addNote keeps what is worth knowing of an indicator that is sent.
func (k *chunk) addNote(i int, message string) {
	note := k.newProblem(i, job.CodeNote, message)
	note.Note = true
	k.found[i].Problems = append(k.found[i].Problems, note)
}

// reportUnmapped reports indicators that no mapper can map. What they gave before stands.
func (k *chunk) reportUnmapped(indexes []int, code job.Code, message string) {
	for _, i := range indexes {
		k.found[i].Problems = []job.Problem{k.newProblem(i, code, message)}
		k.found[i].Unconverted = true
	}
}

// newProblem is a line of REPORT about an indicator of the chunk.
func (k *chunk) newProblem(i int, code job.Code, message string) job.Problem {
	return job.Problem{RequestID: k.attempt.job.RequestID, DateAdded: k.now, Step: job.StepConvert, Code: code,
		Message: message, Subject: subjectOf(&k.indicators[i]), Raw: showIndicator(&k.indicators[i])}
}

// subjectOf names an indicator on REPORT, by the value that ThreatConnect shows of it.
func subjectOf(ind *threatconnect.Indicator) job.Subject {
	subject := job.Subject{Indicator: ind.ID, Type: ind.Type, Owner: ind.Owner}
	s := jsonscan.New(ind.Raw)
	for name := range s.Members {
		value := s.Skip()
		if string(ind.Raw[name.Start:name.End]) == `"summary"` {
			subject.Value = jsonscan.Text(string(ind.Raw[value.Start:value.End]))
		}
	}
	return subject
}

// showIndicator is the indicator as ThreatConnect wrote it, or the head of one that is too long or cannot be read.
func showIndicator(ind *threatconnect.Indicator) string {
	if len(ind.Raw) <= maxRaw && ind.Unreadable == "" {
		return string(ind.Raw)
	}
	b := strconv.AppendInt([]byte(`{"id":`), ind.ID, 10)
	b = stix.AppendString(append(b, `,"type":`...), ind.Type)
	b = stix.AppendString(append(b, `,"ownerName":`...), ind.Owner)
	return string(append(b, '}'))
}
