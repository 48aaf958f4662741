package pipeline

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
	"mssentinel/app/mapping"
	"mssentinel/app/store"
	"mssentinel/app/threatconnect"
)

// askedMappers says how many indicators were mapped since it was last asked.
func askedMappers(w *world) (asked func() int) {
	var mu sync.Mutex
	n := 0
	w.mappers.before = func(_ context.Context, _ string, raws [][]byte) error {
		mu.Lock()
		defer mu.Unlock()
		n += len(raws)
		return nil
	}
	return func() int {
		mu.Lock()
		defer mu.Unlock()
		was := n
		n = 0
		return was
	}
}

// An update that looks for what differs has nothing mapped that is as it was, and all that is to be sent.
func TestWhatIsKnownIsNotMapped(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		asked := askedMappers(w)
		a := w.put("Alpha", "a.example")
		w.put("Alpha", "b.example")
		w.put("Beta", "a.example", "seen")
		w.put("Alpha", "not a host")
		w.done(w.save(job.Full, query("", "Alpha"), query("", "Beta")))
		expect := func(what string, want int, counts job.Counts, j job.Job) {
			t.Helper()
			if got := asked(); got != want {
				t.Errorf("%s: %d indicators were mapped, want %d", what, got, want)
			}
			w.counts(w.done(j), counts)
			w.check(false)
		}
		asked()
		same := job.Counts{Downloaded: 4, Invalid: 1, Duplicate: 1, Unchanged: 2}
		expect("one that was reported", 1, same, w.runJob(job.Reconcile))
		w.restart()
		expect("after a restart", 1, same, w.runJob(job.Reconcile))

		w.must(w.tc.Modify(a, map[string]any{"confidence": 77}))
		expect("one that changed", 2, job.Counts{Downloaded: 4, Invalid: 1, Duplicate: 1, Unchanged: 1, Queued: 1, Uploaded: 1}, w.runJob(job.Reconcile))
		expect("a full update", 4, job.Counts{Downloaded: 4, Invalid: 1, Duplicate: 1, Queued: 2, Uploaded: 2}, w.runJob(job.Full))

		expect("one that another query is to give", 2, job.Counts{Downloaded: 4, Invalid: 1, Duplicate: 1, Unchanged: 1, Queued: 1, Uploaded: 1},
			w.save(job.Reconcile, w.queries[1], w.queries[0]))
		labelled := slices.Clone(w.queries)
		labelled[1].Labels = []string{"soc"}
		expect("those of a query with another label", 3, job.Counts{Downloaded: 4, Invalid: 1, Duplicate: 1, Unchanged: 1, Queued: 1, Uploaded: 1},
			w.save(job.Reconcile, labelled...))

		w.options.Build = "another"
		w.restart()
		expect("after an upgrade", 4, same, w.runJob(job.Reconcile))
		expect("and once more", 1, same, w.runJob(job.Reconcile))
	})
}

// What is below the floor of its query is counted without being mapped, until the floor is another.
func TestWhatIsKnownBelowTheFloor(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		asked := askedMappers(w)
		w.put("Alpha", "a.example") // of confidence 50
		q := query("", "Alpha")
		q.MinConfidence = 60
		w.done(w.save(job.Full, q))
		asked()
		w.counts(w.done(w.runJob(job.Reconcile)), job.Counts{Downloaded: 1, BelowFloor: 1})
		if got := asked(); got != 0 {
			t.Errorf("%d indicators were mapped", got)
		}
		w.queries[0].MinConfidence = 40
		w.counts(w.done(w.save(job.Reconcile, w.queries...)), job.Counts{Downloaded: 1, Queued: 1, Uploaded: 1})
		w.check(false)
	})
}

// What became of an object that was sent is looked at when its indicator is known.
func TestWhatIsKnownIsSentAgain(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		asked := askedMappers(w)
		w.put("Alpha", "a.example")
		w.put("Alpha", "b.example")
		w.done(w.save(job.Full, query("", "Alpha")))
		w.options.Source = "Another source"
		w.restart()
		asked()
		w.done(w.runJob(job.Reconcile))
		if got := asked(); got != 2 {
			t.Errorf("%d indicators were mapped for another source, want 2", got)
		}
		w.check(false)
	})
}

// knownAs knows every indicator by one fingerprint.
type knownAs struct {
	fingerprint int64
	err         error
}

func (k knownAs) Fingerprints(_ context.Context, _ int64, indicators []int64) (map[int64]int64, error) {
	known := map[int64]int64{}
	for _, id := range indicators {
		known[id] = k.fingerprint
	}
	return known, k.err
}

// foreign are mappers of somebody else.
type foreign struct{ *inProcess }

func (f foreign) Types() []mapping.Type {
	types := f.inProcess.Types()
	for i := range types {
		types[i].Checksum = ""
	}
	return types
}

func TestWhatIsMappedEachTime(t *testing.T) {
	raw := []byte(`{"id":25,"type":"Host","ownerName":"Alpha","summary":"a.example","hostName":"a.example"}`)
	mappers := newInProcess()
	recipe := new(ledger.Settings).Recipe("this", "c0ffee")
	same := knownAs{fingerprint: recipe.Fingerprint(raw)}
	for name, c := range map[string]struct {
		mappers Mappers
		build   string
		mode    job.Mode
		known   knownAs
		leftOut []string
		// skipped: it is not mapped. fingerprint: with which it is kept.
		skipped     bool
		fingerprint int64
	}{
		"nothing":                         {mappers, "this", job.Reconcile, same, nil, true, same.fingerprint},
		"in a delta":                      {mappers, "this", job.Delta, same, nil, true, same.fingerprint},
		"in a full update":                {mappers, "this", job.Full, same, nil, false, same.fingerprint},
		"what changed":                    {mappers, "this", job.Reconcile, knownAs{fingerprint: 1}, nil, false, same.fingerprint},
		"what came without a part":        {mappers, "this", job.Reconcile, same, []string{"tags"}, false, 0},
		"by a mapper of somebody else":    {foreign{mappers}, "this", job.Reconcile, same, nil, false, 0},
		"by a build that is not known":    {mappers, "", job.Reconcile, same, nil, false, 0},
		"where the ledger is not legible": {mappers, "this", job.Reconcile, knownAs{err: errors.New("no such table")}, nil, false, 0},
	} {
		p := New(Options{Mappers: c.mappers, TTL: mappers.ttls(), Build: c.build, Logger: quiet()})
		p.converter.ledger = c.known
		k := &chunk{mode: c.mode, attempt: newAttempt(t.Context(), job.Job{}, nil, p.disk, 0),
			indicators: []threatconnect.Indicator{{ID: 25, Type: "Host", Owner: "Alpha", Raw: raw, LeftOut: c.leftOut}}}
		if err := p.converter.mapChunk(k); !errors.Is(err, c.known.err) {
			t.Errorf("%s: %v", name, err)
		} else if err != nil {
			continue
		}
		f, known := k.found[0], int64(0)
		if c.skipped {
			known = 1
		}
		if f.Known != c.skipped || len(f.Objects) == 0 != c.skipped || f.Fingerprint != c.fingerprint || k.attempt.known.Load() != known {
			t.Errorf("%s: known %t, %d objects, fingerprint %d of %d, counted %d", name, f.Known, len(f.Objects), f.Fingerprint, same.fingerprint, k.attempt.known.Load())
		}
		if !c.skipped {
			continue
		}
		if err := p.converter.mapUnknown(k, []int{0}); err != nil || k.found[0].Known || len(k.found[0].Objects) != 1 || k.attempt.known.Load() != 0 {
			t.Errorf("%s: mapped for all that (%v): %+v", name, err, k.found[0])
		}
	}
}

// An update whose mappers end while it asks them for what is known ends with their error.
func TestMappersThatEndWhileTheyAreAskedForWhatIsKnown(t *testing.T) {
	mappers := newInProcess()
	mappers.before = func(context.Context, string, [][]byte) error { return mapping.ErrClosed }
	p := New(Options{Mappers: mappers, TTL: mappers.ttls(), Build: "this", Logger: quiet()})
	k := &chunk{attempt: newAttempt(t.Context(), job.Job{}, nil, p.disk, 0), indicators: []threatconnect.Indicator{{ID: 25, Type: "Host"}},
		found: []ledger.Found{{Indicator: 25, Type: "Host", Known: true}}}
	if err := p.converter.mapUnknown(k, []int{0}); !errors.Is(err, mapping.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

// unreadableLedger cannot say what it knows.
type unreadableLedger struct{ taskStores }

func (unreadableLedger) Fingerprints(context.Context, int64, []int64) (map[int64]int64, error) {
	return nil, errors.New("no such table: candidate")
}

// An update that cannot read what is known fails in Convert.
func TestUnreadableLedger(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.wrap = func(s *store.Store) taskStores { return unreadableLedger{s} } })
		w.put("Alpha", "a.example")
		w.done(w.save(job.Full, query("", "Alpha")))
		j := w.runJob(job.Reconcile)
		if j.Status != job.Failed || len(w.problems(j)) != 1 || w.problems(j)[0].Step != job.StepConvert {
			t.Errorf("%+v %+v", j, w.problems(j))
		}
	})
}
