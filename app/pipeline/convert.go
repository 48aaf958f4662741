package pipeline

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
	"mssentinel/app/stix"
	"mssentinel/app/threatconnect"
	"mssentinel/plugins/mapper"
)

const (
	// mapBatch is how many indicators a mapper gets at a time.
	mapBatch = 200
	// maxRaw bounds, in bytes, the indicator that a line of REPORT shows.
	maxRaw = 16 << 10
)

// chunk is a part of a page on its way through Convert. One without indicators is a signal to those who wait for all that
// went before.
type chunk struct {
	run        *run
	query      int64
	mode       job.Mode
	unread     []int64
	place      int64
	indicators []threatconnect.Indicator

	// now is the time of conversion.
	now     time.Time
	mapping sync.WaitGroup
	found   []ledger.Found
	// applied is closed when everything before it is in the ledger.
	applied chan struct{}
	// last: the job has nothing more to read.
	last bool
}

// send hands a chunk to Convert and waits while Convert has its hands full.
func (p *Pipeline) send(c *chunk) error {
	defer p.downloader.rest()()
	select {
	case p.chunks <- c:
		return nil
	case <-c.run.ctx.Done():
		return context.Cause(c.run.ctx)
	}
}

// flush waits until everything that was handed over is in the ledger.
func (p *Pipeline) flush(r *run) error {
	return p.await(&chunk{run: r, applied: make(chan struct{})})
}

// seal tells Convert that the job has nothing more to read, and waits until it is through.
func (p *Pipeline) seal(r *run) error {
	return p.await(&chunk{run: r, applied: make(chan struct{}), last: true})
}

func (p *Pipeline) await(c *chunk) error {
	if err := p.send(c); err != nil {
		return err
	}
	defer p.downloader.rest()()
	select {
	case <-c.applied:
	case <-c.run.ctx.Done():
	}
	if c.run.ctx.Err() != nil {
		return context.Cause(c.run.ctx)
	}
	return nil
}

// drainChunks waits until Convert holds nothing more of a run that is over.
func (p *Pipeline) drainChunks(r *run) {
	c := &chunk{run: r, applied: make(chan struct{})}
	p.chunks <- c
	<-c.applied
}

// convert is the task Convert: it maps several batches at a time and hands the chunks on in order.
func (p *Pipeline) convert(context.Context) {
	mapped := make(chan *chunk, 1)
	var applying sync.WaitGroup
	applying.Go(func() { p.apply(mapped) })
	for c := range p.chunks {
		p.converter.hold(c.run.cancel)
		if len(c.indicators) > 0 && p.converter.gate(c.run.ctx) == nil {
			p.startMapping(c)
		}
		mapped <- c
	}
	close(mapped)
	applying.Wait()
}

// startMapping gives the indicators to the mappers of their types; c.mapping tells when all have answered.
func (p *Pipeline) startMapping(c *chunk) {
	c.now = time.Now().UTC().Truncate(time.Millisecond)
	c.found = make([]ledger.Found, len(c.indicators))
	byType := map[string][]int{}
	for i := range c.indicators {
		ind := &c.indicators[i]
		c.found[i] = ledger.Found{Indicator: ind.ID, Owner: ind.Owner, Type: ind.Type, Modified: ind.LastModified}
		if ind.ID == 0 {
			c.refuse([]int{i}, job.CodeUnreadable, "ThreatConnect's answer has an indicator that cannot be read: it has no id.")
			continue
		}
		byType[ind.Type] = append(byType[ind.Type], i)
	}
	for typ, all := range byType {
		if _, taken := p.types[typ]; !taken {
			c.refuse(all, job.CodeNoMapper, fmt.Sprintf("No installed mapper takes the type %q.", typ))
			continue
		}
		for len(all) > 0 {
			part := all[:min(mapBatch, len(all))]
			all = all[len(part):]
			p.maps <- struct{}{}
			c.mapping.Go(func() {
				defer func() { <-p.maps }()
				if err := p.mapPart(c, typ, part); err != nil {
					c.run.cancel(err)
				}
			})
		}
	}
}

// refuse reports indicators that nobody can map. What they gave before stands.
func (c *chunk) refuse(indexes []int, code job.Code, message string) {
	for _, i := range indexes {
		c.found[i].Problems = []job.Problem{c.problem(&c.indicators[i], code, message, false)}
		c.found[i].Unconverted = true
	}
}

// mapPart maps indicators of one type and computes what the ledger needs to know of the objects.
func (p *Pipeline) mapPart(c *chunk, typ string, indexes []int) error {
	raws := make([][]byte, len(indexes))
	for n, i := range indexes {
		raws[n] = c.indicators[i].Raw
	}
	answers, err := p.Mappers.Map(c.run.ctx, typ, raws, c.now)
	if err != nil {
		return fmt.Errorf("mapping indicators of type %s: %w", typ, err)
	}
	count := 0
	for i := range answers {
		count += len(answers[i].Objects)
	}
	objects := make([]ledger.FoundObject, 0, count)
	until := c.now.Add(p.ttl(typ))
	for n, i := range indexes {
		first := len(objects)
		objects = c.take(i, &answers[n], objects, until)
		c.found[i].Objects = objects[first:len(objects):len(objects)]
	}
	c.run.converted.Add(int64(len(objects)))
	p.converter.beat()
	return nil
}

// take appends the objects of an answer, which were checked where they came from, and keeps its problems.
func (c *chunk) take(i int, a *mapper.Answer, objects []ledger.FoundObject, until time.Time) []ledger.FoundObject {
	f, ind := &c.found[i], &c.indicators[i]
	for n := range a.Objects {
		o := &a.Objects[n]
		if o.Created.After(c.now) {
			o.Created = c.now
		}
		objects = append(objects, ledger.FoundObject{Indicator: o, ID: stix.ID(o.Pattern), Hash: o.ContentHash(), ValidUntil: until})
	}
	code := job.CodeInvalidValue
	if f.Unconverted = a.Failed; a.Failed {
		code = job.CodeMapperFailed
	}
	for _, text := range a.Problems {
		f.Problems = append(f.Problems, c.problem(ind, code, text, false))
	}
	for _, text := range a.Notes {
		f.Problems = append(f.Problems, c.problem(ind, job.CodeNote, text, true))
	}
	return objects
}

func (c *chunk) problem(ind *threatconnect.Indicator, code job.Code, message string, note bool) job.Problem {
	return job.Problem{RequestID: c.run.job.RequestID, DateAdded: c.now, Step: job.StepConvert, Code: code, Message: message, Note: note, Raw: showRaw(ind)}
}

// showRaw is the indicator as ThreatConnect wrote it, or the head of one that is too long.
func showRaw(ind *threatconnect.Indicator) string {
	if len(ind.Raw) <= maxRaw {
		return string(ind.Raw)
	}
	b := strconv.AppendInt([]byte(`{"id":`), ind.ID, 10)
	b = stix.AppendString(append(b, `,"type":`...), ind.Type)
	b = stix.AppendString(append(b, `,"ownerName":`...), ind.Owner)
	return string(append(b, '}'))
}

// ttl is how long an object of the type lives.
func (p *Pipeline) ttl(typ string) time.Duration {
	if ttl, set := p.TTL[typ]; set {
		return ttl
	}
	return p.types[typ].DefaultTTL
}
