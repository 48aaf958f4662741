package pipeline

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/standin/sentinelserver"
	"mssentinel/app/standin/tcserver"
	"mssentinel/app/store"
)

// generated starts ThreatConnect with a generated population of all types.
func generated(n int, seed uint64) func(*world) {
	return func(w *world) {
		w.tc = tcserver.New(tcserver.Options{Population: tcserver.Generate(n, seed, time.Now())})
	}
}

// everything selects all types of owners.
func (w *world) everything(tql string, owners ...string) store.Query {
	q := store.Query{Owners: owners, TQL: tql, SortField: "dateAdded", SortDirection: "ASC"}
	for name := range w.mappers.types {
		q.Types = append(q.Types, name)
	}
	return q
}

func (w *world) owners() (names []string) {
	for _, o := range w.tc.Owners() {
		names = append(names, o.Name)
	}
	return names
}

func TestGeneratedPopulation(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, generated(4000, 3))
		owners := w.owners()
		j := w.done(w.save(job.Full, w.everything("", owners[2]), w.everything("rating >= 3", owners...), w.everything("", owners...)))
		w.sentOnce()
		w.check(true)
		if j.Invalid == 0 || j.Duplicate == 0 || j.Uploaded != int64(len(w.live())) || j.Queued != j.Uploaded {
			t.Errorf("%+v, %d live", j.Counts, len(w.live()))
		}
		if again := w.done(w.runJob(job.Reconcile)); again.Queued != 0 || again.Unchanged != j.Uploaded {
			t.Errorf("%+v", again.Counts)
		}
		w.sentOnce()
	})
}

// The outbox stays bounded however slowly Sentinel takes things.
func TestBackpressure(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, generated(12_000, 1), func(w *world) { w.limit = 20; w.keep = sentinelserver.KeepHashes })
		w.saveOnly(job.Full, w.everything("", w.owners()...))
		most := int64(0)
		time.Sleep(time.Second)
		id := w.p.Progress().RequestID
		update := w.awaitJob(id, func(j job.Job) bool {
			total, err := w.store.OutboxSize(t.Context())
			w.must(err)
			most = max(most, total)
			return !j.Status.Active()
		})
		w.done(update)
		if most < outboxRoom || most > outboxFull+2*chunkSize {
			t.Errorf("up to %d rows waited", most)
		}
		w.sentOnce()
		floor := time.Duration(w.far.RequestCount()/20) * time.Minute
		if took := update.DateCompleted.Sub(*update.DateStarted); took > floor+time.Minute/4 {
			t.Errorf("%d requests took %v; the limit allows %v", w.far.RequestCount(), took, floor)
		}
		if most := w.far.MaxInWindow(true); most > 20 {
			t.Errorf("%d requests in a minute", most)
		}
	})
}

// chaos changes the world at random.
type chaos struct {
	*world
	random  *rand.Rand
	deleted []tcserver.Row
}

func newChaos(t *testing.T, seed uint64, change ...func(*world)) *chaos {
	change = append(change, generated(700, seed+10), func(w *world) { w.limit = 60 })
	c := &chaos{random: rand.New(rand.NewPCG(seed, 7)), world: newWorld(t, change...)}
	owners := c.owners()
	c.done(c.save(job.Full, c.everything("rating >= 4", owners...), c.everything("", owners[1], owners[3]), c.everything("", owners...)))
	c.check(true)
	return c
}

// change changes something in ThreatConnect or on CONFIGURE.
func (c *chaos) change() {
	rows := c.tc.Rows()
	row := rows[c.random.IntN(len(rows))]
	switch c.random.IntN(9) {
	case 0, 1:
		c.must(c.tc.Modify(row.ID, map[string]any{"confidence": c.random.IntN(100)}))
	case 2:
		// A rating decides about the first query. What falls out of it is seen to have changed by the third.
		c.must(c.tc.Modify(row.ID, map[string]any{"rating": c.random.IntN(6)}))
	case 3:
		c.must(c.tc.Delete(row.ID))
		c.deleted = append(c.deleted, row)
	case 4:
		if len(c.deleted) > 0 {
			_, err := c.tc.Recreate(c.deleted[0])
			c.must(err)
			c.deleted = c.deleted[1:]
		}
	case 5, 6:
		c.must(c.tc.SetActive(row.ID, !row.Active))
	case 7:
		c.must(c.tc.SetTags(row.ID, fmt.Sprintf("tag %d", c.random.IntN(5))))
	case 8:
		if c.random.IntN(5) == 0 {
			c.reorder()
		}
	}
}

func (c *chaos) reorder() {
	c.random.Shuffle(len(c.queries), func(i, j int) { c.queries[i], c.queries[j] = c.queries[j], c.queries[i] })
	c.save(job.Delta, c.queries...)
}
