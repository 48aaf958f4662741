package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"
)

// loadPaths are what is asked for while an update runs: what a browser polls, and the routes of scripts.
var loadPaths = []string{"ui/", "ui/jobs", "ui/tasks", "ui/report", "ui/activity", "api/job/request?limit=20", "api/task", "api/status", "api/tql-config"}

// maxFaults bounds what is kept of requests that failed.
const maxFaults = 5

// requester asks for screens with many requests at once.
type requester struct {
	url    string
	client *http.Client

	mu        sync.Mutex
	latencies []time.Duration
	slowest   map[string]time.Duration // by path
	faults    []error
	failed    int
}

func newRequester(url string, parallel int) *requester {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = parallel
	return &requester{url: url, slowest: map[string]time.Duration{}, client: &http.Client{Transport: transport, Timeout: time.Minute}}
}

// requestScreens keeps so many requests under way until the context ends. Those under way then are finished.
func (r *requester) requestScreens(ctx context.Context, parallel int, pause time.Duration) {
	var group sync.WaitGroup
	var next atomic.Int64
	for range parallel {
		group.Go(func() {
			for ctx.Err() == nil {
				r.request(loadPaths[int(next.Add(1))%len(loadPaths)])
				select {
				case <-ctx.Done():
				case <-time.After(pause):
				}
			}
		})
	}
	group.Wait()
	r.client.CloseIdleConnections()
}

func (r *requester) request(path string) {
	began := time.Now()
	err := r.readScreen(path)
	took := time.Since(began)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.latencies = append(r.latencies, took)
		r.slowest[path] = max(r.slowest[path], took)
		return
	}
	if r.failed++; len(r.faults) < maxFaults {
		r.faults = append(r.faults, fmt.Errorf("after %v: %w", took.Round(time.Millisecond), err))
	}
}

func (r *requester) readScreen(path string) error {
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, r.url+path, nil) // the client has a limit
	if err != nil {
		return err
	}
	response, err := r.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	said, err := io.ReadAll(response.Body)
	if err == nil && (response.StatusCode != http.StatusOK || len(said) == 0) {
		err = fmt.Errorf("%s: %s %.200s", path, response.Status, said)
	}
	return err
}

// latencies of requests that were answered, in seconds.
type latencies struct {
	Answered int     `json:"answered"`
	Failed   int     `json:"failed"`
	Median   float64 `json:"median_seconds"`
	P99      float64 `json:"p99_seconds"`
	Longest  float64 `json:"longest_seconds"`
	Slowest  string  `json:"slowest"` // the path that took the longest
}

// sumLatencies is an error unless every request was answered.
func (r *requester) sumLatencies() (latencies, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := latencies{Answered: len(r.latencies), Failed: r.failed}
	if l.Failed > 0 {
		return l, fmt.Errorf("%d of %d requests were not answered: %w", l.Failed, l.Failed+l.Answered, errors.Join(r.faults...))
	}
	if l.Answered == 0 {
		return l, errors.New("no request was made")
	}
	slices.Sort(r.latencies)
	at := func(share float64) float64 { return r.latencies[int(share*float64(l.Answered-1))].Seconds() }
	l.Median, l.P99, l.Longest = at(0.5), at(0.99), at(1)
	for path, took := range r.slowest {
		if took.Seconds() == l.Longest {
			l.Slowest = path
		}
	}
	return l, nil
}

func (l latencies) String() string {
	return fmt.Sprintf("%d requests, all answered: median %.3f s, 99 of 100 within %.3f s, the longest %.3f s (%s)", l.Answered, l.Median, l.P99, l.Longest, l.Slowest)
}

// loadReport is what came of many requests beside a full update.
type loadReport struct {
	Indicators int       `json:"indicators"`
	Parallel   int       `json:"parallel"` // requests under way
	Requests   latencies `json:"requests"`
	Uploaded   int       `json:"uploaded"`
	Seconds    float64   `json:"seconds"` // of the update
	Processes  []process `json:"processes"`
}

// Bounds that hold whatever the number of indicators and of requests.
const (
	maxAppBytes    = 256 << 20
	maxMapperBytes = 64 << 20
)

// measureLoad has so many requests under way while a full update of everything runs, and holds that every one is answered and
// that memory stays bounded.
func measureLoad(ctx context.Context, o options) (r loadReport, err error) {
	s, err := startService(o, 0)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.closeService()) }()
	if err := turnOn(ctx, s.service); err != nil {
		return r, err
	}
	m := startMeter(s.service.Status().PID, "")
	defer m.stopMeter()
	began := time.Now()
	if err := s.saveQuery(ctx); err != nil {
		return r, err
	}
	requester := newRequester(s.app.url, o.parallel)
	asking, stop := context.WithCancel(ctx)
	var group sync.WaitGroup
	group.Go(func() { requester.requestScreens(asking, o.parallel, 0) })
	j, err := s.awaitJob(ctx)
	took := time.Since(began)
	stop()
	group.Wait()
	m.stopMeter()
	if err != nil {
		return r, s.explainEnd(err)
	}
	r = loadReport{Indicators: len(s.tc.Rows()), Parallel: o.parallel, Uploaded: j.Uploaded, Seconds: took.Seconds(), Processes: m.sumByName()}
	if r.Requests, err = requester.sumLatencies(); err != nil {
		return r, err
	}
	return r, r.checkBounds(s)
}

// checkBounds says what was not as it has to be.
func (r loadReport) checkBounds(s *service) error {
	var faults []error
	for _, p := range r.Processes {
		bound := int64(maxMapperBytes)
		if p.Name == "app" {
			bound = maxAppBytes
		}
		if p.PeakBytes > bound {
			faults = append(faults, fmt.Errorf("%s had %d MB at most, more than %d MB", p.Name, p.PeakBytes/mega, bound/mega))
		}
	}
	if live := s.cloud.Stats().Live; r.Uploaded == 0 || r.Uploaded != live {
		faults = append(faults, fmt.Errorf("%d were uploaded, and %d are live", r.Uploaded, live))
	}
	status := s.service.Status()
	if status.Restarts > 0 || len(status.Strays) > 0 {
		faults = append(faults, fmt.Errorf("the Service was started again %d times, and broke the protocol: %q", status.Restarts, status.Strays))
	}
	return errors.Join(faults...)
}

func (r loadReport) printTables(w io.Writer) error {
	fmt.Fprintf(w, "%d indicators, %d objects uploaded in %.1f s (%.0f objects/s)\n", r.Indicators, r.Uploaded, r.Seconds, float64(r.Uploaded)/max(r.Seconds, 1e-3))
	fmt.Fprintf(w, "%d at once: %v\n\n", r.Parallel, r.Requests)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "process\tCPU s\tpeak MB\tshare MB\t")
	for _, p := range r.Processes {
		fmt.Fprintf(t, "%s\t%.2f\t%.1f\t%.1f\t\n", p.Name, p.CPUSeconds, float64(p.PeakBytes)/mega, float64(p.PSSBytes)/mega)
	}
	return t.Flush()
}
