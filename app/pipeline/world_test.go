package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mattn/go-sqlite3"

	"mssentinel/app/expected"
	"mssentinel/app/job"
	"mssentinel/app/mapping"
	"mssentinel/app/sentinel"
	"mssentinel/app/standin/sentinelserver"
	"mssentinel/app/standin/tcserver"
	"mssentinel/app/stix"
	"mssentinel/app/store"
	"mssentinel/app/threatconnect"
	"mssentinel/plugins/address"
	"mssentinel/plugins/asn"
	"mssentinel/plugins/cidr"
	"mssentinel/plugins/emailaddress"
	"mssentinel/plugins/emailsubject"
	"mssentinel/plugins/file"
	"mssentinel/plugins/host"
	"mssentinel/plugins/mapper"
	"mssentinel/plugins/registrykey"
	"mssentinel/plugins/url"
)

const (
	tenant    = "11111111-2222-4333-8444-555555555555"
	clientID  = "66666666-7777-4888-9999-aaaaaaaaaaaa"
	secret    = "Very/Secret+Value"
	workspace = "bbbbbbbb-cccc-4ddd-8eee-ffffffffffff"
	source    = "ThreatConnect-Test"
	ttl       = 90 * 24 * time.Hour
)

// world is the whole product without its screens, between two stand-ins, in memory and in simulated time.
type world struct {
	t       testing.TB
	tc      *tcserver.Server
	far     *sentinelserver.Server // one of its own, unless change gave it another's
	end     *sentinelserver.Endpoint
	mappers *inProcess
	dir     string
	options Options
	// notify has people notified, unless notifyOff; seen counts those of their notifications that the test has looked at.
	notify, notifyOff bool
	seen              int
	limit             int // requests a minute; 0 for none
	keep              sentinelserver.Keep
	// lag is how long it takes until Sentinel's table has what was uploaded.
	lag time.Duration
	// wrap puts something between the tasks and their store.
	wrap func(*store.Store) taskStores
	// full: the pacing cannot write to the disk.
	full atomic.Bool
	log  logBuffer

	store   *store.Store
	p       *Pipeline
	cancel  context.CancelFunc
	stopped chan error
	queries []store.Query
	// created is with which each object was seen first.
	created map[string]string
}

// logBuffer is a log that may be read while it is written.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// taskStores is what all tasks need of the store. A test embeds it and overrides what shall fail.
type taskStores interface {
	scheduleStore
	downloadStore
	readStore
	fingerprintStore
	applyStore
	uploadStore
	pauseStore
	notifyStore
	verifyStore
	OutboxSize(ctx context.Context) (int64, error)
	AddTaskRuns(ctx context.Context, all []store.TaskRuns) error
	Clean(ctx context.Context, now time.Time) error
}

// useStores puts something between the tasks and their store.
func (p *Pipeline) useStores(s taskStores) {
	p.scheduler.store, p.downloader.store, p.downloader.ledger, p.converter.ledger, p.converter.applier.store = s, s, s, s, s
	p.uploader.store, p.cleaner.store, p.outbox.store, p.pauses, p.verifier.store, p.runs.store = s, s, s, s, s, s
	if p.notifier != nil {
		p.notifier.store = s
	}
}

// newWorld makes a world of three owners without indicators. change alters it before it starts.
func newWorld(t testing.TB, change ...func(*world)) *world {
	w := &world{t: t, dir: t.TempDir(), mappers: newInProcess()}
	w.options = Options{Workspace: workspace, Source: source, Interval: 365 * 24 * time.Hour, FullInterval: 365 * 24 * time.Hour, TTL: w.mappers.ttls(), Build: "this"}
	for _, c := range change {
		c(w)
	}
	if w.tc == nil {
		w.populate("")
	}
	limit := w.limit
	if limit == 0 {
		limit = sentinelserver.Unlimited
	}
	if w.far == nil {
		w.far = sentinelserver.New(sentinelserver.Options{Limit: limit, Keep: w.keep, Lag: w.lag, Workspaces: []string{workspace, otherWorkspace},
			Apps: []sentinelserver.App{{TenantID: tenant, ClientID: clientID, ClientSecret: secret}}})
	}
	w.end = w.far.ListenInMemory()
	t.Cleanup(func() {
		w.stop()
		w.end.Close()
		w.tc.Close()
	})
	w.start()
	time.Sleep(time.Second) // the tasks have had their first look
	return w
}

// mapEachTime has what is known mapped like everything else.
func mapEachTime(w *world) { w.options.Build = "" }

const otherWorkspace = "bbbbbbbb-cccc-4ddd-8eee-000000000000"

// populate starts ThreatConnect with indicators, one JSON object a line.
func (w *world) populate(lines string) {
	p, err := tcserver.Read(strings.NewReader(lines))
	w.must(err)
	w.tc = tcserver.New(tcserver.Options{Population: p, MoreOwners: []tcserver.Owner{
		{ID: 1, Name: "Home", Type: "Organization"}, {ID: 2, Name: "Alpha", Type: "Source"}, {ID: 3, Name: "Beta", Type: "Source"}}})
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// start brings the product up on what it left in its folder.
func (w *world) start() {
	var err error
	w.store, err = store.Open(context.Background(), w.dir)
	w.must(err)
	logger := slog.New(slog.NewTextHandler(&w.log, nil))
	o := w.options
	o.Store, o.Logger, o.Mappers = w.store, logger, w.mappers
	client := threatconnect.New(threatconnect.Options{BaseURL: "http://threatconnect.example/api", AccessID: tcserver.DefaultAccessID,
		SecretKey: func() string { return tcserver.DefaultSecretKey }, Transport: direct{w.tc}, Logger: logger})
	o.ThreatConnect = client
	if w.notify && !w.notifyOff {
		o.Notifier, o.Version = client, "1.2.3"
	}
	upload, err := sentinel.New(sentinel.Options{AuthorityURL: w.end.URL, UploadURL: w.end.URL, LogAnalyticsURL: w.end.URL, Transport: w.end.Transport, TenantID: tenant, ClientID: clientID,
		Secret: func() string { return secret }, WorkspaceID: o.Workspace, Logger: logger,
		Pacer: sentinel.NewPacer(slots{w.store, &w.full}, w.limit, time.Minute)})
	w.must(err)
	o.Sentinel, o.Standing = upload, upload
	w.p = New(o)
	if w.wrap != nil {
		w.p.useStores(w.wrap(w.store))
	}
	var ctx context.Context
	ctx, w.cancel = context.WithCancel(context.Background())
	w.stopped = make(chan error, 1)
	go func() { w.stopped <- w.p.Run(ctx) }()
}

// stop ends the product as Shutdown does.
func (w *world) stop() {
	if w.store == nil {
		return
	}
	began := time.Now()
	w.cancel()
	if err := <-w.stopped; err != nil {
		w.t.Error(err)
	}
	if took := time.Since(began); took > 4*time.Second {
		w.t.Errorf("stopping took %v", took)
	}
	if err := w.store.Close(); err != nil {
		w.t.Error(err)
	}
	w.store = nil
	w.end.Transport.CloseIdleConnections()
}

func (w *world) restart() {
	w.stop()
	w.start()
}

// slots is the store, or one on a full disk.
type slots struct {
	*store.Store
	full *atomic.Bool
}

func (s slots) BeginSlot(ctx context.Context, started time.Time) (int64, error) {
	if s.full.Load() {
		return 0, fmt.Errorf("beginning a request: %w", sqlite3.Error{Code: sqlite3.ErrFull})
	}
	return s.Store.BeginSlot(ctx, started)
}

// direct carries requests to a handler without a connection.
type direct struct{ handler http.Handler }

func (d direct) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	there := r.Clone(r.Context())
	there.RequestURI = r.URL.RequestURI()
	if there.Body == nil {
		there.Body = http.NoBody
	}
	recorder := httptest.NewRecorder()
	defer func() {
		if fault := recover(); fault != nil {
			resp, err = nil, fmt.Errorf("connection broken: %v", fault)
		}
	}()
	d.handler.ServeHTTP(recorder, there)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return recorder.Result(), nil
}

// inProcess are the built-in mappers without their processes.
type inProcess struct {
	types map[string]mapper.Mapper
	// before is called for each batch, if set.
	before func(ctx context.Context, typ string, raws [][]byte) error
	// fails tells which indicators their mapper dies of.
	fails func(raw []byte) bool
	// jobs counts those that began.
	jobs atomic.Int64
}

func newInProcess() *inProcess {
	m := &inProcess{types: map[string]mapper.Mapper{}}
	for _, build := range []func(string) mapper.Mapper{address.New, asn.New, cidr.New, emailaddress.New, emailsubject.New, file.New, host.New, registrykey.New, url.New} {
		one := build("test")
		for _, t := range one.Describe().Types {
			m.types[t.Name] = one
		}
	}
	return m
}

func (m *inProcess) ttls() map[string]time.Duration {
	all := map[string]time.Duration{}
	for name := range m.types {
		all[name] = ttl
	}
	return all
}

func (m *inProcess) Types() []mapping.Type {
	var types []mapping.Type
	for name := range m.types {
		types = append(types, mapping.Type{Name: name, Checksum: "c0ffee"})
	}
	return types
}

func (m *inProcess) StartJob() { m.jobs.Add(1) }

func (m *inProcess) Map(ctx context.Context, typ string, raws [][]byte, now time.Time) ([]mapper.Answer, error) {
	if m.before != nil {
		if err := m.before(ctx, typ, raws); err != nil {
			return nil, err
		}
	}
	answers := make([]mapper.Answer, len(raws))
	for i, raw := range raws {
		if m.fails != nil && m.fails(raw) {
			answers[i] = mapper.Answer{Problems: []string{"the mapper died"}, Failed: true}
			continue
		}
		ind, err := mapper.Parse(bytes.Clone(raw)) // a mapper gets a copy: it is another process
		if err != nil {
			answers[i] = mapper.Problem("%v", err)
			continue
		}
		answers[i] = m.types[typ].Map(ind, now)
	}
	return answers, nil
}

// put adds a Host with tags.
func (w *world) put(owner, value string, tags ...string) int64 {
	w.t.Helper()
	return w.putMembers(owner, "Host", map[string]any{"hostName": value, "summary": value}, tags...)
}

func (w *world) putMembers(owner, typ string, members map[string]any, tags ...string) int64 {
	w.t.Helper()
	all := map[string]any{"type": typ, "ownerName": owner, "active": true, "rating": 3, "confidence": 50}
	for _, o := range w.tc.Owners() {
		if o.Name == owner {
			all["ownerId"] = o.ID
		}
	}
	maps.Copy(all, members)
	raw, err := json.Marshal(all)
	w.must(err)
	id, err := w.tc.Put(raw)
	w.must(err)
	if len(tags) > 0 {
		w.must(w.tc.SetTags(id, tags...))
	}
	return id
}

// query selects the Hosts of owners.
func query(tql string, owners ...string) store.Query {
	return store.Query{Owners: owners, Types: []string{"Host"}, TQL: tql, SortField: "lastModified", SortDirection: "DESC"}
}

// save keeps the queries, as CONFIGURE does, and waits until the update that follows is over.
func (w *world) save(mode job.Mode, queries ...store.Query) job.Job {
	w.t.Helper()
	w.saveOnly(mode, queries...)
	for range 20 {
		time.Sleep(time.Second)
		jobs, _, err := w.store.Jobs(context.Background(), store.JobFilter{Type: job.Scheduled, Limit: 1})
		w.must(err)
		if s, err := w.store.Schedule(context.Background()); err == nil && s.NextMode == "" && len(jobs) > 0 {
			return w.await(jobs[0].RequestID)
		}
	}
	w.t.Fatal("saving queued no update")
	return job.Job{}
}

func (w *world) saveOnly(mode job.Mode, queries ...store.Query) {
	w.t.Helper()
	ctx := context.Background()
	_, err := w.store.SaveQueries(ctx, queries, "", mode, "")
	w.must(err)
	w.queries, _, err = w.store.Queries(ctx)
	w.must(err)
	w.p.QueriesSaved()
}

// runJob runs a job and waits for its end. The window's lag has passed before.
func (w *world) runJob(mode job.Mode) job.Job {
	w.t.Helper()
	time.Sleep(DefaultLag + time.Second)
	j, err := w.p.Submit(context.Background(), job.Request{Mode: mode})
	w.must(err)
	return w.await(j.RequestID)
}

// await waits until a job is over, or waits for another attempt.
func (w *world) await(requestID string) job.Job {
	w.t.Helper()
	update := w.awaitJob(requestID, func(j job.Job) bool {
		return !j.Status.Active() && (j.Status != job.Pending || j.RetryAfter != nil)
	})
	return update
}

func (w *world) awaitJob(requestID string, met func(job.Job) bool) job.Job {
	w.t.Helper()
	for began := time.Now(); time.Since(began) < 100*time.Hour; time.Sleep(max(time.Second/4, time.Since(began)/50)) {
		j, err := w.store.Job(context.Background(), requestID)
		w.must(err)
		if met(j) {
			return j
		}
	}
	w.t.Fatalf("job %s does not get there\n%s", requestID, w.log.String())
	return job.Job{}
}

// done fails the test unless the job ended well.
func (w *world) done(j job.Job) job.Job {
	w.t.Helper()
	if j.Status != job.UploadComplete || j.Message != "" {
		w.t.Fatalf("job is %s: %s\n%s", j.Status, j.Message, w.log.String())
	}
	return j
}

// candidate is an indicator that a query selects and that gives an object.
type candidate struct {
	query   int
	id      int64
	content string
}

// candidates are all of each object, best first, by STIX id, computed without the product's ledger.
func (w *world) candidates() map[string][]candidate {
	w.t.Helper()
	all := map[string][]candidate{}
	for n, q := range w.queries {
		parts := []string{"ownerName in (" + list(q.Owners) + ")", "typeName in (" + list(q.Types) + ")"}
		if q.TQL != "" {
			parts = append(parts, "("+q.TQL+")")
		}
		rows, err := w.tc.Select(tcserver.Query{TQL: strings.Join(parts, " and "), Sorting: sorting(q)})
		w.must(err)
		for _, row := range rows {
			ind, err := mapper.Parse(row.JSON())
			if err != nil || w.mappers.types[row.Type] == nil {
				continue
			}
			for _, o := range w.mappers.types[row.Type].Map(ind, time.Now()).Objects {
				if !asGiven(&o, q) {
					continue
				}
				id := "indicator--" + stix.ID(o.Pattern).String()
				all[id] = append(all[id], candidate{n, row.ID, content(w.t, o.AppendJSON(nil, stix.Envelope{}))})
			}
		}
	}
	return all
}

// asGiven makes of an object what a query gives, without the product's rules; false where the query does not select it.
func asGiven(o *mapper.Object, q store.Query) bool {
	settings := expected.Settings{Floor: q.MinConfidence, Labels: q.Labels, TLP: q.TLP}
	plain := expected.Object{Members: expected.Members{Labels: o.Labels, ObjectMarkingRefs: o.ObjectMarkingRefs}}
	if o.Confidence != nil {
		n := json.Number(strconv.Itoa(*o.Confidence))
		plain.Confidence = &n
	}
	given, selected := settings.Apply(plain)
	o.Labels, o.ObjectMarkingRefs = given.Labels, given.ObjectMarkingRefs
	return selected
}

func sorting(q store.Query) string {
	if q.SortField == "" {
		return "id ASC"
	}
	return q.SortField + " " + q.SortDirection + " id ASC"
}

func list(names []string) string { return `"` + strings.Join(names, `", "`) + `"` }

// content is an object without its times: those of the first copy that was sent stay, see createdStays.
func content(t testing.TB, raw []byte) string {
	t.Helper()
	members := map[string]any{}
	if err := json.Unmarshal(raw, &members); err != nil {
		t.Fatal(err)
	}
	delete(members, "modified")
	delete(members, "valid_until")
	delete(members, "created")
	delete(members, "valid_from")
	text, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// live are the objects that Sentinel holds and that are valid, by STIX id.
func (w *world) live() map[string]json.RawMessage {
	w.t.Helper()
	live := map[string]json.RawMessage{}
	for id, raw := range w.far.ObjectsIn(w.options.Workspace, w.options.Source) {
		var o struct {
			ValidUntil time.Time `json:"valid_until"`
			Revoked    bool      `json:"revoked"`
		}
		w.must(json.Unmarshal(raw, &o))
		if o.Revoked {
			w.t.Errorf("%s is revoked", id)
		}
		if o.ValidUntil.After(time.Now()) {
			live[id] = raw
		}
	}
	return live
}

// check holds what Sentinel has against what the rules say. decided: a full update has just decided who wins in a query;
// else any copy of the best query will do.
func (w *world) check(decided bool) {
	w.t.Helper()
	live := w.live()
	for id, candidates := range w.candidates() {
		raw, there := live[id]
		if !there {
			w.t.Errorf("%s is missing: %s", id, candidates[0].content)
			continue
		}
		delete(live, id)
		w.createdStays(id, raw)
		got := content(w.t, raw)
		best := slices.DeleteFunc(slices.Clone(candidates), func(c candidate) bool { return c.query != candidates[0].query })
		if decided {
			best = best[:1]
		}
		if !slices.ContainsFunc(best, func(c candidate) bool { return c.content == got }) {
			w.t.Errorf("%s is\n%s, not\n%s", id, got, best[0].content)
		}
	}
	for id, raw := range live {
		w.t.Errorf("%s should not be there: %s", id, raw)
	}
	if total, err := w.store.OutboxSize(context.Background()); err != nil || total != 0 {
		w.t.Errorf("%d rows wait, %v", total, err)
	}
}

// createdStays holds an object to the created with which it was seen first.
func (w *world) createdStays(id string, raw json.RawMessage) {
	w.t.Helper()
	if w.created == nil {
		w.created = map[string]string{}
	}
	var o struct {
		Created   string `json:"created"`
		ValidFrom string `json:"valid_from"`
	}
	w.must(json.Unmarshal(raw, &o))
	if first, seen := w.created[id]; seen && first != o.Created || o.ValidFrom != o.Created {
		w.t.Errorf("%s was created %s, at first %s, and is valid from %s", id, o.Created, first, o.ValidFrom)
	}
	w.created[id] = o.Created
}

// winner is the owner of the copy of a host that Sentinel holds, "" where none is valid.
func (w *world) winner(host string) string {
	w.t.Helper()
	raw := w.live()["indicator--"+stix.ID(stix.Pattern(stix.Equal("domain-name:value", host))).String()]
	if raw == nil {
		return ""
	}
	var o struct {
		Name string `json:"name"`
	}
	w.must(json.Unmarshal(raw, &o))
	_, owner, _ := strings.Cut(o.Name, " | ")
	return owner
}

func (w *world) wantWinner(host, owner string) {
	w.t.Helper()
	if got := w.winner(host); got != owner {
		w.t.Errorf("Sentinel holds %s of %q, not %q", host, got, owner)
	}
}

// counts fails the test unless the job counted this.
func (w *world) counts(j job.Job, want job.Counts) {
	w.t.Helper()
	if j.Counts != want {
		w.t.Errorf("counted %+v, want %+v", j.Counts, want)
	}
}
