package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mssentinel/app/expected"
	"mssentinel/app/standin/sentinelserver"
	"mssentinel/app/standin/tcserver"
)

// population is what most tests are made with.
func population(*testing.T) *tcserver.Population {
	return tcserver.Generate(tcserver.DefaultCount, 7, time.Now().Add(-time.Hour))
}

// realPopulation is the real data where the environment names it.
func realPopulation(t *testing.T) *tcserver.Population {
	t.Helper()
	path := os.Getenv("MS_SENTINEL_TEST_DATA")
	if path == "" {
		return population(t)
	}
	p, err := tcserver.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var allTypes = []string{"Address", "ASN", "CIDR", "EmailAddress", "Email Subject", "File", "Host", "Registry Key", "URL"}

// overlapping are queries that give many observables more than once.
func overlapping(p *tcserver.Population) []query {
	var names []string
	for _, o := range p.Owners() {
		names = append(names, o.Name)
	}
	return []query{
		{names[:1], allTypes, "rating >= 3", "threatAssessScore", "DESC"},
		{names[1:], []string{"Address", "CIDR", "Host", "URL"}, "confidence >= 60", "lastModified", "DESC"},
		{names, []string{"File", "EmailAddress", "Host"}, `hasTag(summary contains "e") or rating = 5`, "summary", "ASC"},
		{names[2:], allTypes, "threatAssessScore > 300 and confidence != 0", "", ""},
		{names, allTypes, "rating >= 1 or confidence >= 20", "rating", "ASC"},
	}
}

// sameContent compares objects without their times.
func sameContent(a, b expected.Object) bool { return reflect.DeepEqual(a.Members, b.Members) }

// held is an object as Sentinel has it.
type held struct {
	expected.Members
	Created    time.Time `json:"created"`
	Modified   time.Time `json:"modified"`
	ValidFrom  time.Time `json:"valid_from"`
	ValidUntil time.Time `json:"valid_until"`
}

// readHeld takes no member that the oracle does not know.
func readHeld(raw []byte) (h held, err error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	return h, d.Decode(&h)
}

// compare holds what stands in Sentinel against the oracle, object by object. began is when the first update did.
func (o *oracle) compare(cloud *sentinelserver.Server, began time.Time) {
	o.t.Helper()
	objects, sent := cloud.Objects(source), cloud.Sent(source)
	ids := slices.Sorted(maps.Keys(o.entries))
	faults := make([]string, len(ids))
	everywhere(len(ids), func(i int) { faults[i] = o.entries[ids[i]].judge(objects[ids[i]], sent[ids[i]], began) })
	for id, raw := range objects {
		if o.entries[id] == nil {
			faults = append(faults, fmt.Sprintf("Sentinel holds what nothing gives: %s", raw))
		}
	}
	faults = slices.DeleteFunc(faults, func(text string) bool { return text == "" })
	for _, text := range faults[:min(len(faults), 20)] {
		o.t.Error(text)
	}
	if len(faults) > 20 {
		o.t.Errorf("and %d more differences", len(faults)-20)
	}
}

// judge says what is wrong with how an observable stands in Sentinel, if anything is.
func (e *entry) judge(raw []byte, sent int, began time.Time) string {
	switch {
	case sent != e.sends:
		return fmt.Sprintf("%s was sent %d times instead of %d", e.object.Pattern, sent, e.sends)
	case e.compared == e.sends:
		return "" // it was found equal, and nothing came since
	}
	if text := e.differs(raw, began); text != "" {
		return fmt.Sprintf("%s (winner %d of query %d): %s", e.object.Pattern, e.winner.indicator, e.winner.query+1, text)
	}
	e.compared = e.sends
	return ""
}

// differs says what is wrong with an object in Sentinel.
func (e *entry) differs(raw []byte, began time.Time) string {
	got, err := readHeld(raw)
	if err != nil {
		return err.Error()
	}
	now := time.Now()
	added := e.added
	switch {
	case !e.created.IsZero() && !got.Created.Equal(e.created):
		return fmt.Sprintf("created %v, and before %v", got.Created, e.created)
	case !got.Created.Equal(got.ValidFrom) || !got.Created.Equal(added) && (added.Before(began) || got.Created.After(got.Modified)):
		return fmt.Sprintf("created %v, valid from %v, but added %v", got.Created, got.ValidFrom, added)
	case got.Modified.Before(began.Add(-time.Second)) || got.Modified.After(now):
		return fmt.Sprintf("modified %v, not within the run", got.Modified)
	}
	e.created = got.Created
	if e.retired {
		return e.retirementDiffers(got, now)
	}
	if ttl := time.Duration(ttlHours[e.object.IndicatorType]) * time.Hour; got.ValidUntil.Sub(got.Modified) != ttl {
		return fmt.Sprintf("is valid for %v instead of %v", got.ValidUntil.Sub(got.Modified), ttl)
	}
	if reflect.DeepEqual(e.object.Members, got.Members) {
		return ""
	}
	return cmp.Diff(e.object.Members, got.Members)
}

func (e *entry) retirementDiffers(got held, now time.Time) string {
	switch {
	case got.ValidUntil.After(now):
		return fmt.Sprintf("is not retired: valid until %v", got.ValidUntil)
	case !got.ValidUntil.After(got.ValidFrom):
		return fmt.Sprintf("is valid until %v, before %v", got.ValidUntil, got.ValidFrom)
	case got.Revoked != nil && *got.Revoked:
		return "is revoked"
	}
	kept := func(m expected.Members) []string { return []string{m.Type, m.ID, m.Pattern, m.Name} }
	return cmp.Diff(kept(e.object.Members), kept(got.Members))
}

// check holds JOBS and REPORT against the oracle.
func (o *oracle) check(a *app, j job, want tally) {
	o.t.Helper()
	got := tally{downloaded: j.Downloaded, invalid: j.Invalid, duplicate: j.Duplicate, uploaded: j.Uploaded, retired: j.Retired}
	if j.Mode == "delta" {
		got.duplicate, want.duplicate = 0, 0
	}
	slices.Sort(want.problems)
	problems := slices.Compact(want.problems)
	want.problems = nil
	if !reflect.DeepEqual(got, want) {
		o.t.Errorf("JOBS says %+v of the %s update, the oracle %+v", got, j.Mode, want)
	}
	reported := map[int64]bool{}
	for _, p := range a.report(j.RequestID) {
		var about struct{ ID int64 }
		json.Unmarshal([]byte(p.Raw), &about)                           //nolint:errcheck // 0 then
		if !p.Note && p.Step != "Upload" && p.Code != "update-failed" { // why an attempt failed is no indicator's fault
			reported[about.ID] = true
		}
		if p.Message == "" || p.Step == "" || p.Code == "" {
			o.t.Errorf("a line on REPORT says too little: %+v", p)
		}
	}
	for _, id := range problems {
		if !reported[id] {
			o.t.Errorf("REPORT says nothing about indicator %d: %s", id, o.known[id].Summary)
		}
		delete(reported, id)
	}
	for id := range reported {
		if !slices.Contains(problems, id) {
			o.t.Errorf("REPORT speaks of indicator %d without a reason", id)
		}
	}
}

func TestUpdatesAgreeWithTheOracle(t *testing.T) {
	p := realPopulation(t)
	w := newWorld(t, p, sentinelserver.Options{Limit: sentinelserver.Unlimited, Keep: sentinelserver.KeepObjects})
	queries := overlapping(p)
	o := newOracle(t, w.tc, queries)
	a := w.start()
	began := time.Now()
	a.save(queries)
	o.learn()
	j := a.first().mustComplete(t)
	if j.Mode != "full" || j.JobType != "scheduled" {
		t.Errorf("the first update is %s and %s", j.JobType, j.Mode)
	}
	o.holds(a, w, j, began)

	d := o.edit()
	d.everything()
	changed := o.holds(a, w, a.update("delta").mustComplete(t), began)
	if changed.uploaded == 0 || changed.retired == 0 {
		t.Errorf("the delta update sent %+v", changed)
	}
	if again := o.holds(a, w, a.update("delta").mustComplete(t), began); again.uploaded+again.retired > 0 {
		t.Errorf("a delta update without a change sent %+v", again)
	}
	o.holds(a, w, a.update("reconcile").mustComplete(t), began)
	o.holds(a, w, a.update("full").mustComplete(t), began)
	a.stop()
}

// holds lets the oracle follow an update that is over, and compares what JOBS, REPORT and Sentinel say.
func (o *oracle) holds(a *app, w *world, j job, began time.Time) (n tally) {
	o.t.Helper()
	done := time.Now()
	if j.Mode == "delta" {
		if from := o.mark.Add(-overlap); !j.WindowStart.Equal(from) {
			o.t.Errorf("the delta update read from %v instead of %v", j.WindowStart, from)
		}
		n = o.delta(j.WindowEnd)
	} else {
		n = o.complete(j.Mode == "full", j.WindowEnd)
	}
	o.check(a, j, n)
	o.compare(w.cloud, began)
	o.t.Logf("%s update: %d read, %d sent, %d retired, in %v; the oracle took %v", j.Mode, n.downloaded, n.uploaded, n.retired,
		done.Sub(j.DateStarted).Round(time.Millisecond), time.Since(done).Round(time.Millisecond))
	return n
}
