package store

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tidwall/gjson"
	"pgregory.net/rapid"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
	"mssentinel/app/stix"
)

// TestLedger attempts updates over a small ThreatConnect that changes, breaks off and is edited at random, and holds the store
// to the rules after every step: winners, candidates, outbox, what stands, counts. After every complete update that went
// well it also asks the one question that matters: does Sentinel hold exactly what the queries select, each object in the
// copy of the best query?
func TestLedger(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "ledger")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		w := &ledgerWorld{T: t, dir: dir, rules: newRules(), sentinel: map[string]held{}, stale: map[string]bool{}, created: map[string]string{}, indicators: map[int64]*ledgerIndicator{},
			selected: map[string]map[int64]bool{}, now: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)}
		defer func() { w.close() }()
		w.open()
		w.must(second(w.store.SetDestination(ctx(), "workspace", "source")))
		for range 4 {
			w.addIndicator()
		}
		w.saveQueries()
		t.Repeat(map[string]func(*rapid.T){
			"edit":    func(*rapid.T) { w.edit() },
			"queries": func(*rapid.T) { w.saveQueries() },
			"update":  func(*rapid.T) { w.update() },
			"upload":  func(*rapid.T) { w.upload(rapid.IntRange(1, 6).Draw(t, "requests")) },
			"restart": func(*rapid.T) { w.restart() },
			"":        func(*rapid.T) { w.compare() },
		})
	})
}

// patterns are few, so that indicators meet.
var ledgerPatterns = []string{"[a]", "[b]", "[c]", "[d]", "[e]"}

type ledgerIndicator struct {
	version  int
	modified time.Time
	patterns []string
	// broken: its mapper fails.
	broken bool
}

// held is what Sentinel holds of a pattern.
type held struct {
	name    string
	expires time.Time
}

type ledgerWorld struct {
	*rapid.T
	dir   string
	store *Store
	rules *rules
	now   time.Time

	queries    []Query
	indicators map[int64]*ledgerIndicator
	next       int64
	// selected says what a query selects, by the query's TQL.
	selected map[string]map[int64]bool
	// reject is a pattern that Sentinel rejects, keep one whose retirement it rejects.
	reject, keep string

	after    int64
	flight   []*Outgoing
	sentinel map[string]held
	// stale are the patterns whose last answer was a refusal.
	stale map[string]bool
	// created is with which each pattern arrived first.
	created map[string]string
	// unfinished are jobs that were cut off, to be taken up again.
	unfinished []job.Job
	// edits counts what was changed.
	edits int
}

func (w *ledgerWorld) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *ledgerWorld) open() {
	s, err := OpenWith(ctx(), w.dir, Options{NewKeys: 2, Unread: rapid.SampledFrom([]int{1, 5, 1000}).Draw(w.T, "unread")})
	w.must(err)
	w.store, w.after, w.flight = s, 0, nil
}

func (w *ledgerWorld) close() {
	if w.store != nil {
		w.must(w.store.Close())
	}
}

// restart is the end of the process, or a crash: some of what was under way has arrived, and nobody saw the answer. What lay in memory alone
// a crash drops.
func (w *ledgerWorld) restart() {
	for _, o := range w.flight {
		if w.firstInFlight(o) && rapid.Bool().Draw(w.T, "arrived") {
			w.arrive(o)
		}
	}
	if rapid.Bool().Draw(w.T, "crash") {
		inMemory := w.store.unwritten
		w.rules.dropRows(func(row refRow) bool { return inMemory.find(row.seq) != nil })
		w.store.unwritten = unwrittenRows{} // Close has nothing to write
	}
	w.close()
	w.open()
	w.rules.restart()
}

func (w *ledgerWorld) addIndicator() {
	w.next++
	w.indicators[w.next] = &ledgerIndicator{modified: w.now, patterns: w.drawPatterns()}
	for _, q := range slices.Sorted(maps.Keys(w.selected)) {
		w.selected[q][w.next] = rapid.Bool().Draw(w.T, "selected")
	}
}

func (w *ledgerWorld) drawPatterns() []string {
	return rapid.SliceOfNDistinct(rapid.SampledFrom(ledgerPatterns), 0, 3, rapid.ID).Draw(w.T, "patterns")
}

func (w *ledgerWorld) drawIndicator() (int64, *ledgerIndicator) {
	if len(w.indicators) == 0 {
		w.addIndicator()
	}
	id := rapid.SampledFrom(slices.Sorted(maps.Keys(w.indicators))).Draw(w.T, "indicator")
	return id, w.indicators[id]
}

// edit changes something in ThreatConnect.
func (w *ledgerWorld) edit() {
	w.edits++
	id, i := w.drawIndicator()
	switch rapid.IntRange(0, 7).Draw(w.T, "edit") {
	case 0:
		w.addIndicator()
	case 1:
		delete(w.indicators, id)
	case 2:
		i.version++
		i.modified = w.now
	case 3:
		i.version++
		i.patterns, i.modified = w.drawPatterns(), w.now
	case 4: // a tag: what it gives changes, its date does not
		i.version++
	case 5: // confirmed
		i.modified = w.now
	case 6:
		if len(w.queries) > 0 {
			set := w.selected[rapid.SampledFrom(w.queries).Draw(w.T, "query").TQL]
			set[id] = !set[id]
		}
	case 7:
		i.broken = !i.broken
	}
	w.reject, w.keep = "", ""
	if rapid.IntRange(0, 3).Draw(w.T, "refusal of a retirement") == 0 {
		w.keep = rapid.SampledFrom(ledgerPatterns).Draw(w.T, "kept")
	}
	if rapid.IntRange(0, 3).Draw(w.T, "refusal") == 0 {
		w.reject = rapid.SampledFrom(ledgerPatterns).Draw(w.T, "rejected")
	}
	w.now = w.now.Add(time.Minute)
}

// saveQueries adds, deletes, reorders.
func (w *ledgerWorld) saveQueries() {
	w.edits++
	queries := rapid.Permutation(w.queries).Draw(w.T, "order")
	if len(queries) > 0 && rapid.IntRange(0, 3).Draw(w.T, "delete") == 0 {
		queries = queries[1:]
	}
	for len(queries) == 0 || len(queries) < 3 && rapid.Bool().Draw(w.T, "add") {
		q := Query{Owners: []string{"o"}, Types: []string{"File"}, TQL: fmt.Sprint("query ", len(w.selected))}
		w.selected[q.TQL] = map[int64]bool{}
		for _, id := range slices.Sorted(maps.Keys(w.indicators)) {
			w.selected[q.TQL][id] = rapid.Bool().Draw(w.T, "selected")
		}
		queries = append(queries, q)
	}
	w.must(second(w.store.SaveQueries(ctx(), queries, "", job.Delta, "")))
	saved, err := w.store.RunQueries(ctx())
	w.must(err)
	w.queries = nil
	clear(w.rules.ranks)
	for i, q := range saved {
		w.queries = append(w.queries, q.Query)
		w.rules.ranks[q.Number] = i
	}
}

// name is what a mapper calls what the indicator gives.
func (i *ledgerIndicator) name(id int64) string {
	return fmt.Sprintf("%d.%d | %s", id, i.version, ownerOf(id))
}

// found is an indicator as a mapper answers for it.
func (w *ledgerWorld) found(id int64) ledger.Found {
	i := w.indicators[id]
	f := ledger.Found{Indicator: id, Owner: ownerOf(id), Type: "File", Modified: i.modified, Unconverted: i.broken}
	if i.broken {
		f.Problems = []job.Problem{{Step: "Convert", Code: "mapper", Message: fmt.Sprint("mapper died of ", id)}}
		return f
	}
	if len(i.patterns) == 0 {
		f.Problems = []job.Problem{{Step: "Convert", Code: "invalid-value", Message: fmt.Sprint("no value in ", id), Raw: "{}"}}
	}
	for _, p := range i.patterns {
		o := &stix.Indicator{Pattern: p, Name: i.name(id), Created: w.now, Description: "{}", IndicatorTypes: []string{"unknown"}}
		f.Objects = append(f.Objects, ledger.FoundObject{Indicator: o, ID: stix.ID(p), Hash: o.ContentHash(), ValidUntil: w.now.Add(6 * time.Hour)})
	}
	if len(f.Problems) == 0 {
		recipe := new(ledger.Settings).Recipe()
		f.Fingerprint = recipe.Fingerprint(fmt.Append(nil, i.version, i.modified, i.patterns))
	}
	return f
}

// updateRun is one update, as the pipeline would do it.
type updateRun struct {
	*ledgerWorld
	job    job.Job
	mode   job.Mode
	unread []int64
	read   []int64
	// order is in which each query was read, edits how much had been changed when the run began.
	order map[int64][]int64
	edits int
}

var errCut = errors.New("cut off")

func (w *ledgerWorld) update() {
	j := w.takeJob()
	for {
		r := &updateRun{ledgerWorld: w, job: j, mode: j.Mode, order: map[int64][]int64{}, edits: w.edits}
		err := r.run()
		if err == nil {
			return
		}
		if !errors.Is(err, errCut) {
			w.Fatal(err)
		}
		if rapid.IntRange(0, 2).Draw(w.T, "cancel") == 0 {
			w.must(w.store.CancelJob(ctx(), j.RequestID, w.now))
			w.rules.cancel(j.Number)
			w.compare()
			return
		}
		w.restart()
		w.compare()
		if rapid.IntRange(0, 3).Draw(w.T, "given up") == 0 {
			w.unfinished = append(w.unfinished, j)
			return
		}
	}
}

// takeJob is a new job, or one that was cut off a while ago.
func (w *ledgerWorld) takeJob() job.Job {
	if len(w.unfinished) > 0 && rapid.Bool().Draw(w.T, "retry") {
		j := w.unfinished[0]
		w.unfinished = w.unfinished[1:]
		return j
	}
	mode := rapid.SampledFrom([]job.Mode{job.Delta, job.Full, job.Reconcile}).Draw(w.T, "mode")
	j, err := w.store.AddJob(ctx(), job.Request{Type: job.AdHoc, Mode: mode}, w.now)
	w.must(err)
	return j
}

// cut says now and then that the process ends here, or has requests under way.
func (r *updateRun) cut() error {
	switch rapid.IntRange(0, 40).Draw(r.T, "cut") {
	case 0:
		return errCut
	case 1, 2, 3, 4:
		r.upload(1)
	case 5:
		r.edit()
	case 6:
		r.saveQueries()
	}
	return nil
}

func (r *updateRun) run() error {
	began := r.now
	r.now = r.now.Add(time.Hour)
	r.must(second(r.store.BeginAttempt(ctx(), r.job.RequestID, r.now, r.now)))
	r.rules.begin(r.job.Number)
	queries, err := r.store.RunQueries(ctx())
	if err != nil {
		return err
	}
	for _, q := range queries {
		if err := r.readQuery(q); err != nil {
			return err
		}
	}
	if r.mode == job.Delta {
		if err := r.forgetDeleted(); err != nil {
			return err
		}
	} else {
		r.must(r.store.SweepDeparted(ctx(), r.job.Number, r.read))
		r.rules.sweep(r.job.Number, r.read)
		r.compare()
	}
	if err := r.fillVacancies(); err != nil {
		return err
	}
	complete := len(r.unread) == 0
	retired, err := r.store.Retire(ctx(), r.job.Number, complete, r.now)
	if err != nil {
		return err
	}
	if want := r.rules.retire(r.job.Number, r.mode, complete, r.now); retired != (Retirement{Queued: want}) {
		r.Fatalf("retired %+v, want %d", retired, want)
	}
	r.compare()
	if err := r.cut(); err != nil {
		return err
	}
	r.must(r.store.SetMarks(ctx(), r.job.Number, r.read, began))
	if rapid.Bool().Draw(r.T, "drained") {
		r.upload(1000)
		r.checkSent()
		r.checkOutcome()
	}
	return nil
}

// readQuery reads a query page by page; pages may come twice, the read may fail.
func (r *updateRun) readQuery(q RunQuery) error {
	var ids []int64
	for _, id := range slices.Sorted(maps.Keys(r.indicators)) {
		if r.selected[q.TQL][id] && (r.mode != job.Delta || !r.indicators[id].modified.Before(q.Mark.Add(-time.Minute))) {
			ids = append(ids, id)
		}
	}
	ids = rapid.Permutation(ids).Draw(r.T, "order")
	fails := rapid.IntRange(0, 5).Draw(r.T, "fails") == 0
	place := int64(0)
	for page := range slices.Chunk(ids, rapid.IntRange(1, 3).Draw(r.T, "page")) {
		if fails && rapid.Bool().Draw(r.T, "here") {
			break
		}
		b := ledger.Batch{Job: r.job.Number, Mode: r.mode, Query: q.Number, Unread: r.unread, Place: place, Now: r.now}
		for _, id := range page {
			if r.indicators[id] != nil {
				b.Found = append(b.Found, r.found(id))
			}
		}
		if len(b.Found) > 0 && rapid.IntRange(0, 7).Draw(r.T, "twice in a page") == 0 {
			again := b.Found[0]
			r.edit()
			if i := r.indicators[again.Indicator]; i != nil {
				again = r.found(again.Indicator)
			}
			b.Found = append(b.Found, again)
		}
		for range rapid.IntRange(1, 2).Draw(r.T, "times") {
			if err := r.apply(b); err != nil {
				return err
			}
		}
		place += int64(len(page))
		if err := r.cut(); err != nil {
			return err
		}
	}
	if fails {
		r.unread = append(r.unread, q.Number)
		return nil
	}
	r.read = append(r.read, q.Number)
	r.order[q.Number] = ids
	return nil
}

func (r *updateRun) apply(b ledger.Batch) error {
	passed, err := r.passKnown(b)
	if err != nil {
		return err
	}
	if rapid.IntRange(0, 7).Draw(r.T, "meanwhile") == 0 {
		r.upload(1)
	}
	before := *r.rules.count(b.Job)
	got, err := r.applyPassed(passed, b)
	if err != nil {
		return err
	}
	r.rules.apply(b)
	want := *r.rules.count(b.Job)
	before.Add(got.Counts)
	if before != want {
		r.Fatalf("counted %+v, which makes %+v, want %+v", got, before, want)
	}
	r.compare()
	return nil
}

// passKnown passes by what the ledger knows, as Convert does. The rules know nothing of it, and the outcome is to be the same.
func (r *updateRun) passKnown(b ledger.Batch) (ledger.Batch, error) {
	if r.mode == job.Full || rapid.IntRange(0, 3).Draw(r.T, "mapped anyway") == 0 {
		return b, nil
	}
	var ids []int64
	for i := range b.Found {
		ids = append(ids, b.Found[i].Indicator)
	}
	known, err := r.store.Fingerprints(ctx(), b.Query, ids)
	passed := b
	passed.Found = slices.Clone(b.Found)
	for i := range passed.Found {
		f := &passed.Found[i]
		if f.Known = f.Fingerprint != 0 && f.Fingerprint == known[f.Indicator]; f.Known {
			f.Objects = nil
		}
	}
	return passed, err
}

// applyPassed applies a batch in which known indicators were passed by, and maps those for which the ledger asks.
func (r *updateRun) applyPassed(passed, mapped ledger.Batch) (Applied, error) {
	for {
		applied, err := r.store.Apply(ctx(), passed)
		if err != nil || len(applied.Unknown) == 0 {
			return applied, err
		}
		for _, i := range applied.Unknown {
			passed.Found[i] = mapped.Found[i]
		}
	}
}

// forgetDeleted is what a delta update learns from the list of deletions.
func (r *updateRun) forgetDeleted() error {
	var gone []int64
	for id := int64(1); id <= r.next; id++ {
		if r.indicators[id] == nil {
			gone = append(gone, id)
		}
	}
	known, err := r.store.OriginsFor(ctx(), gone)
	if err != nil {
		return err
	}
	for _, c := range known {
		r.must(r.store.Forget(ctx(), c.Query, []int64{c.Indicator}, ledger.Certain))
		r.rules.forget(c.Query, c.Indicator, ledger.Certain)
	}
	r.compare()
	return nil
}

// fillVacancies fetches who is next for objects whose winner went away.
func (r *updateRun) fillVacancies() error {
	for more := true; more; {
		more = false
		for after := int64(0); ; {
			next, at, err := r.store.Vacant(ctx(), after, 2)
			if err != nil {
				return err
			}
			if after == 0 {
				r.compareVacancies()
			}
			if len(next) == 0 {
				break
			}
			after, more = at, true
			for _, c := range next {
				if err := r.fill(c); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (r *updateRun) compareVacancies() {
	all, _, err := r.store.Vacant(ctx(), 0, 1000)
	r.must(err)
	want := slices.Collect(maps.Values(r.rules.vacancies()))
	byNumber := func(a, b ledger.Origin) int {
		return strings.Compare(fmt.Sprint(a), fmt.Sprint(b))
	}
	slices.SortFunc(all, byNumber)
	slices.SortFunc(want, byNumber)
	if diff := cmp.Diff(want, all); diff != "" {
		r.Fatalf("who is next (-want +got):\n%s", diff)
	}
}

func (r *updateRun) fill(c ledger.Origin) error {
	var tql string
	saved, err := r.store.RunQueries(ctx())
	if err != nil {
		return err
	}
	for _, q := range saved {
		if q.Number == c.Query {
			tql = q.TQL
		}
	}
	if r.indicators[c.Indicator] != nil && r.selected[tql][c.Indicator] && !r.indicators[c.Indicator].broken {
		return r.apply(ledger.Batch{Job: r.job.Number, Mode: job.Delta, Query: c.Query, Unread: r.unread, Now: r.now, Found: []ledger.Found{r.found(c.Indicator)}})
	}
	r.must(r.store.Forget(ctx(), c.Query, []int64{c.Indicator}, ledger.Uncertain))
	r.rules.forget(c.Query, c.Indicator, ledger.Uncertain)
	return nil
}

// upload reads from the outbox and settles what is under way, a few at a time.
func (w *ledgerWorld) upload(requests int) {
	for range requests {
		if len(w.flight) < 3 {
			out, err := w.store.Outgoing(ctx(), w.after, rapid.IntRange(1, 3).Draw(w.T, "limit"))
			w.must(err)
			w.flight = append(w.flight, out...)
			for _, o := range out {
				w.rules.given[o.Seq]++
			}
			if len(out) > 0 {
				w.after = out[len(out)-1].Seq
				w.rules.handed = max(w.rules.handed, w.after)
			}
		}
		if len(w.flight) == 0 {
			return
		}
		o := w.flight[0]
		if later := rapid.SampledFrom(w.flight).Draw(w.T, "first"); w.firstInFlight(later) {
			o = later
		}
		w.flight = slices.DeleteFunc(w.flight, func(x *Outgoing) bool { return x.Seq == o.Seq })
		w.settle(o)
	}
	w.compare()
}

// firstInFlight: no earlier row of the same object is under way. Upload has to see to that.
func (w *ledgerWorld) firstInFlight(o *Outgoing) bool {
	return !slices.ContainsFunc(w.flight, func(x *Outgoing) bool { return x.Object == o.Object && x.Seq < o.Seq })
}

func (w *ledgerWorld) settle(o *Outgoing) {
	pattern, name, expires := payload(w.T, o.Payload)
	st := Settlement{At: w.now, Accepted: []*Outgoing{o}}
	rejected, lost := pattern == w.reject && !o.Retire || pattern == w.keep && o.Retire, false
	delete(w.stale, pattern)
	if rejected {
		w.stale[pattern] = true
		if lost = rapid.Bool().Draw(w.T, "an answer was lost"); lost && rapid.Bool().Draw(w.T, "arrived") {
			w.arrive(o)
		}
		st = Settlement{At: w.now, Rejected: []RejectedObject{{o, "Bad", "rejected", lost}}}
	} else {
		w.arrive(o)
	}
	times := rapid.IntRange(1, 2).Draw(w.T, "settled times")
	for range times {
		w.must(w.store.Settle(ctx(), st))
		w.rules.settle(o.Seq, pattern, name, o.Retire, rejected, lost, expires)
	}
}

func (w *ledgerWorld) arrive(o *Outgoing) {
	pattern, name, expires := payload(w.T, o.Payload)
	w.sentinel[pattern] = held{name, expires}
	times := gjson.GetManyBytes(o.Payload, "created", "valid_from")
	created, from := times[0].String(), times[1].String()
	if first, arrived := w.created[pattern]; arrived && first != created || from != created {
		w.Fatalf("%s was created %s, and first %s; it is valid from %s", pattern, created, first, from)
	}
	w.created[pattern] = created
}

// checkSent compares what Sentinel holds with what the ledger says is right for it, now that nothing waits.
func (r *updateRun) checkSent() {
	for p, o := range r.rules.objects {
		if o.winner.query > 0 && o.content != "" && !r.stale[p] && r.sentinel[p].name != o.content {
			r.Fatalf("Sentinel holds %q of %s, and should hold %q", r.sentinel[p].name, p, o.content)
		}
	}
}

// checkOutcome compares what Sentinel holds with what the queries select, where everything was read and sent.
func (r *updateRun) checkOutcome() {
	if len(r.unread) > 0 || r.mode == job.Delta || len(r.stale) > 0 || r.edits != r.ledgerWorld.edits {
		return
	}
	for _, i := range r.indicators {
		if i.broken {
			return
		}
	}
	want := map[string]string{}
	for _, q := range r.queries {
		for number := range r.rules.ranks {
			if r.queries[r.rules.ranks[number]].ID != q.ID {
				continue
			}
			for _, id := range r.order[number] {
				for _, p := range r.indicators[id].patterns {
					if want[p] == "" {
						want[p] = r.indicators[id].name(id)
					}
				}
			}
		}
	}
	got := map[string]string{}
	for p, h := range r.sentinel {
		if h.expires.After(r.now) || want[p] != "" {
			got[p] = h.name
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		r.Fatalf("Sentinel (-want +got):\n%s", diff)
	}
}

// compare holds the store to the rules.
func (w *ledgerWorld) compare() {
	w.Helper()
	if diff := cmp.Diff(w.expected(), w.actual()); diff != "" {
		w.Fatalf("the ledger differs from the rules (-rules +store):\n%s", diff)
	}
	w.compareLive()
}

// compareLive holds what is counted of the live objects to the rules.
func (w *ledgerWorld) compareLive() {
	w.Helper()
	want := LiveTotals{AsOf: w.now}
	owners := map[string]int64{}
	for _, o := range w.rules.objects {
		if o.state != ledger.Live || !o.expires.After(w.now) {
			continue
		}
		want.Total++
		if o.winner.query > 0 {
			owners[ownerOf(o.winner.indicator)]++
		} else {
			want.Unowned++
		}
	}
	if want.Total > 0 {
		want.Types = []NameTotal{{"File", want.Total}}
	}
	for name, n := range owners {
		want.Owners = append(want.Owners, NameTotal{name, n})
	}
	slices.SortFunc(want.Owners, func(a, b NameTotal) int {
		if a.Objects == b.Objects {
			return strings.Compare(a.Name, b.Name)
		}
		return int(b.Objects - a.Objects)
	})
	w.must(w.store.KeepLiveTotals(ctx(), w.now))
	got, err := w.store.LiveTotals(ctx())
	w.must(err)
	if diff := cmp.Diff(want, got); diff != "" {
		w.Fatalf("live objects (-rules +store):\n%s", diff)
	}
	total, asOf, err := w.store.LiveObjects(ctx())
	if w.must(err); total != want.Total || !asOf.Equal(w.now) {
		w.Fatalf("%d live objects at %s, want %d at %s", total, asOf, want.Total, w.now)
	}
}

// ownerOf is the owner of an indicator.
func ownerOf(indicator int64) string { return fmt.Sprint("owner ", indicator%2) }

func (w *ledgerWorld) expected() []string {
	r := w.rules
	var lines []string
	for c, s := range r.candidates {
		lines = append(lines, fmt.Sprintf("candidate %d %d %s attempt %d place %d", c.query, c.indicator, c.pattern, s.attempt, s.place))
	}
	for p, o := range r.objects {
		winner := fmt.Sprintf("%d/%d", o.winner.query, o.winner.indicator)
		if o.winner.query <= 0 {
			winner = fmt.Sprintf("%d/%d", o.winner.query, o.loss)
		}
		line := fmt.Sprintf("object %s winner %s modified %d sends %v state %d name %s", p, winner, o.modified, o.content == "", o.state, o.name)
		if o.winner.query > 0 {
			line += fmt.Sprintf(" elected %d", o.elected)
		}
		lines = append(lines, line)
	}
	for i, row := range r.outbox {
		newest := r.objects[row.pattern].queued == row.seq
		lines = append(lines, fmt.Sprintf("outbox %03d %s retire %v %s job %d newest %v", i, row.pattern, row.retire, row.name, row.job, newest))
	}
	for j, c := range r.jobs {
		if *c != (job.Counts{}) {
			lines = append(lines, fmt.Sprintf("job %d %+v", j, *c))
		}
	}
	lines = append(lines, fmt.Sprintf("reported %d", len(r.reported)), fmt.Sprintf("waiting %d", len(r.outbox)))
	slices.Sort(lines)
	return lines
}

func (w *ledgerWorld) actual() []string {
	w.Helper()
	var lines []string
	w.must(w.store.read.Select(&lines, `
		SELECT printf('candidate %d %d %s attempt %d place %d', c.query, c.indicator, coalesce(o.pattern, ''), attempt, place)
			FROM candidate c LEFT JOIN object o ON o.number = c.object
		UNION ALL SELECT printf('object %s winner %d/%d modified %d sends %s state %d name %s', pattern, query, indicator, modified, iif(hash IS NULL, 'true', 'false'), state, `+objectName+`)
			|| iif(query > 0, printf(' elected %d', elected), '') FROM object
		UNION ALL SELECT printf('reported %d', count(*)) FROM problem WHERE step <> 'Upload'`))
	lines = append(lines, w.waiting()...)
	jobs, _, err := w.store.Jobs(ctx(), JobFilter{Limit: 500})
	w.must(err)
	for _, j := range jobs {
		if j.Counts != (job.Counts{}) {
			lines = append(lines, fmt.Sprintf("job %d %+v", j.Number, j.Counts))
		}
	}
	total, err := w.store.OutboxSize(ctx())
	w.must(err)
	lines = append(lines, fmt.Sprintf("waiting %d", total))
	slices.Sort(lines)
	return lines
}

// waiting are the rows of the outbox: those of the table, and behind them those in memory.
func (w *ledgerWorld) waiting() (lines []string) {
	w.Helper()
	var rows []struct {
		Seq, Job, Queued int64
		Retire           bool
		Name, Pattern    string
	}
	w.must(w.store.read.Select(&rows, `SELECT seq, outbox.job AS job, o.queued AS queued, retire, `+outboxName+` AS name, pattern
		FROM outbox JOIN object o ON o.number = outbox.object ORDER BY seq`))
	for i, r := range rows {
		lines = append(lines, fmt.Sprintf("outbox %03d %s retire %v %s job %d newest %v", i, r.Pattern, r.Retire, r.Name, r.Job, r.Queued == r.Seq))
	}
	for i, o := range w.store.unwritten.rows {
		pattern, name, _ := payload(w.T, o.Payload)
		var queued int64
		w.must(w.store.read.Get(&queued, `SELECT queued FROM object WHERE number = ?`, o.Object))
		lines = append(lines, fmt.Sprintf("outbox %03d %s retire false %s job %d newest %v", len(rows)+i, pattern, name, o.Job, queued == o.Seq))
	}
	return lines
}
