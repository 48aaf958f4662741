package web

import (
	"context"
	"sync"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/store"
	"mssentinel/app/text"
	"mssentinel/templates"
)

// maxWhy bounds in bytes what CONFIGURE repeats of the message of the first update; all of it stands on JOBS.
const maxWhy = 1000

// connectionTests remembers what the last test of each connection found. A restart forgets it: the credentials may be others.
type connectionTests struct {
	mu   sync.Mutex
	last map[string]testResult
}

type testResult struct {
	works bool
	found []string
	at    time.Time
}

func (t *connectionTests) keep(slug string, r testResult) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last == nil {
		t.last = map[string]testResult{}
	}
	t.last[slug] = r
}

// lastOf is the zero result where nothing was tested.
func (t *connectionTests) lastOf(slug string) testResult {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last[slug]
}

// listTests are the connections with what their last tests found.
func (s *server) listTests() []templates.ConnectionTest {
	var tests []templates.ConnectionTest
	for _, c := range s.Connections {
		last := s.tests.lastOf(c.Slug)
		tests = append(tests, templates.ConnectionTest{Slug: c.Slug, Name: c.Name, Tested: last.at, Works: last.works, Found: last.found})
	}
	return tests
}

// readFirstRun is how far the first update is; nil once an update was complete.
func (s *server) readFirstRun(ctx context.Context, queries int) (*templates.FirstRun, error) {
	if s.hasUpdated.Load() {
		return nil, nil
	}
	_, completed, err := s.Store.Jobs(ctx, store.JobFilter{Statuses: []job.Status{job.UploadComplete, job.ConfirmationRequired}, Limit: 1})
	if err != nil {
		return nil, err
	}
	if completed > 0 {
		s.hasUpdated.Store(true)
		return nil, nil
	}
	jobs, _, err := s.Store.Jobs(ctx, store.JobFilter{Limit: 1})
	if err != nil {
		return nil, err
	}
	first := &templates.FirstRun{Connections: s.listTests(), HasQueries: queries > 0}
	if len(jobs) > 0 {
		first.Update = statusJob(&jobs[0])
		if j := jobs[0]; j.Status == job.Failed || j.RetryAfter != nil { // or it has failed and is tried again
			first.Why = text.Cut(j.Message, maxWhy)
		}
	}
	return first, nil
}

// readNextStep is what to do before there is something to list; nil once an update was complete.
func (s *server) readNextStep(ctx context.Context) (*templates.NextStep, error) {
	queries, _, err := s.Store.Queries(ctx)
	if err != nil {
		return nil, err
	}
	first, err := s.readFirstRun(ctx, len(queries))
	if first == nil || err != nil {
		return nil, err
	}
	next := first.NextStep()
	return &next, nil
}
