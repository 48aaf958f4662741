package simulation

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"mssentinel/app/expected"
	"mssentinel/app/job"
	"mssentinel/app/store"
)

// watch looks at every request to Sentinel, and knows what changed in ThreatConnect and on CONFIGURE.
type watch struct {
	world  *world
	oracle *oracle

	mu        sync.Mutex
	exchanges []*exchange
	underWay  map[key]*exchange
	standing  map[key]*standing
	created   map[key]time.Time
	patterns  map[string]string // by id
	refused   map[key]refusal   // the last answer of Sentinel was that

	// listed are the saved queries, queries the same as they could be read last, rows are those of the last look at ThreatConnect.
	listed, queries []Query
	// steady is what was given all the time since the last complete update that was checked.
	steady map[string]bool
	// definitions are those that each query of that update has had since, obscure the rows that changed unseen since.
	definitions map[int][]Query
	obscure     map[int64]bool
	// rows are those of that update, troubled says that a query may have failed since, unmapped are those on which a mapper fails.
	rows     map[int64]bool
	troubled bool
	unmapped map[int64]bool
	// gave is what each row has given since the last update that was checked.
	gave map[int64]map[string]bool
	// departed is what was deleted since the last update that was checked.
	departed map[string]bool
	// blurred is what a delta update need not see, allBlurred says so of everything.
	blurred    map[string]bool
	allBlurred bool
	// touched is when something was last changed about an object, touchedAll about all of them.
	touched    map[string]time.Time
	touchedAll time.Time
	// resent says that an operator had things sent again.
	resent bool
	// left are sources that the Service left in the present workspace: nothing may stay there.
	left map[key]bool
	// death is when a process died last, or ended while its disk took nothing.
	death time.Time
	// stepped says that the clock was put back, and asLeft what lastModified each row had then: one that it has still is no change of a
	// later time, whatever instant it names.
	stepped bool
	asLeft  map[int64]time.Time
	// farthest is how far the clock had come when it was put back: as far as marks may lie, until they are taken away. beforeMarks is what
	// changed before that.
	farthest    time.Time
	beforeMarks []unseen
	promises
	// kept is what an operator wanted to stay.
	kept map[string]bool
}

// key is an object in a workspace under a source name.
type key struct{ workspace, source, id string }

// standing is what was last sent of an object.
type standing struct {
	held
	text         string
	at           time.Time
	began        time.Time // when the update that made it began
	unsure       bool      // something was sent since and not answered
	otherRefused bool      // another content was refused since, which the ledger knows as the last one
	ahead        bool      // it was sent before the clock was put back
	repeats      int       // times it was sent again for no other reason than a full update
	fulls        int64     // that had begun when it was made, and do not send it any more
}

// refusal is why and when Sentinel refused an object.
type refusal struct {
	reason string
	at     time.Time
}

// mayBeOffReport says that REPORT, which keeps a line for 30 days, may have none of it any more. Nobody can retry it then.
func (r refusal) mayBeOffReport() bool { return time.Since(r.at) > 29*24*time.Hour }

// forgetRefusals forgets what was refused and was retried since. What is off REPORT was not: it is sent again when it changes, or by a
// full update.
func (h *watch) forgetRefusals() {
	maps.DeleteFunc(h.refused, func(_ key, r refusal) bool { return !r.mayBeOffReport() })
}

// exchange is one request to Sentinel.
type exchange struct {
	watch             *watch
	process           *process
	workspace, source string
	began, ended      time.Time
	answered          bool
	status            int
	objects           []held
	rejected          map[int]string
}

func newWatch(w *world) *watch {
	return &watch{world: w, promises: newPromises(), oracle: newOracle(), underWay: map[key]*exchange{}, standing: map[key]*standing{}, created: map[key]time.Time{}, patterns: map[string]string{},
		refused: map[key]refusal{}, steady: map[string]bool{}, blurred: map[string]bool{}, touched: map[string]time.Time{}, kept: map[string]bool{}, left: map[key]bool{},
		definitions: map[int][]Query{}, obscure: map[int64]bool{}, departed: map[string]bool{},
		rows: map[int64]bool{}, unmapped: map[int64]bool{}, gave: map[int64]map[string]bool{}}
}

// beginUpload looks at a request before it is sent.
func (h *watch) beginUpload(p *process, path string, body []byte) *exchange {
	e := &exchange{watch: h, process: p, began: time.Now(), rejected: map[int]string{}}
	_, rest, _ := strings.Cut(path, "/workspaces/")
	e.workspace, _, _ = strings.Cut(rest, "/")
	var in struct {
		Source  string            `json:"sourcesystem"`
		Objects []json.RawMessage `json:"stixobjects"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		h.world.fail("form", "a request is no JSON: %v", err)
		return e
	}
	e.source = in.Source
	// One without objects asks what gets through.
	if len(in.Objects) > 100 || len(body) > 1<<20 {
		h.world.fail("size", "a request has %d objects in %d bytes", len(in.Objects), len(body))
	}
	u := p.begunUpdates()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checkPace(e)
	h.exchanges = append(h.exchanges, e)
	for _, raw := range in.Objects {
		var o held
		d := json.NewDecoder(bytes.NewReader(raw))
		d.DisallowUnknownFields()
		if err := d.Decode(&o); err != nil {
			h.world.fail("form", "an object is sent that the oracle cannot read: %v: %s", err, raw)
			continue
		}
		e.objects = append(e.objects, o)
		h.checkObject(e, &o, u)
	}
	return e
}

// begunUpdates are the updates that ever began, as far as it can be told.
func (p *process) begunUpdates() updates {
	jobs, _, err := p.store.Jobs(context.Background(), store.JobFilter{Limit: 500})
	if err != nil {
		return *p.updates.Load() // the process is just ending
	}
	u := updates{jobs: slices.DeleteFunc(jobs, func(j job.Job) bool { return j.DateStarted == nil }), retries: p.world.retries.Load()}
	p.updates.Store(&u)
	return u
}

// updates are those that ever began, and how many were retried by the operator, which makes each begin anew.
type updates struct {
	jobs    []job.Job
	retries int64
}

// before are how many full updates had begun when an object was made, each retry included, and when the last update of any mode
// began, which made it. An object is made while its update has it in hand; it may leave when the next has begun.
func (u updates) before(made time.Time) (fulls int64, began time.Time) {
	for _, j := range u.jobs {
		if !j.DateStarted.Before(made) {
			continue
		}
		if j.Mode == job.Full {
			fulls++
		}
		if j.DateStarted.After(began) {
			began = *j.DateStarted
		}
	}
	return fulls + u.retries, began
}

// setAside are how many full updates had begun when an object was made, and wait for another attempt while a later update made it: they
// send it, too.
func (u updates) setAside(made time.Time) (n int64) {
	for _, j := range u.jobs {
		if j.Mode == job.Full && j.Status == job.Pending && j.DateStarted.Before(made) && slices.ContainsFunc(u.jobs, func(other job.Job) bool {
			return other.DateDownloadStart.After(*j.DateDownloadStart) && other.DateDownloadStart.Before(made)
		}) {
			n++
		}
	}
	return n
}

// checkPace holds the requests to the limit in any 60 s, wherever between its begin and its answer each is counted.
func (h *watch) checkPace(e *exchange) {
	n := 1
	for _, other := range slices.Backward(h.exchanges) {
		if other.ended.IsZero() || e.began.Sub(other.ended) < time.Minute {
			n++
		}
		if e.began.Sub(other.began) > 2*time.Hour {
			break
		}
	}
	if n > e.process.limit {
		h.world.fail("pace", "%d requests in a minute; the limit is %d", n, e.process.limit)
	}
}

// checkObject holds one object that is about to be sent to what was sent before.
func (h *watch) checkObject(e *exchange, o *held, u updates) {
	k := key{e.workspace, e.source, o.ID}
	if o.ID != expected.ID(o.Pattern) {
		h.world.fail("identity", "%s is sent with the id %s instead of %s", o.Pattern, o.ID, expected.ID(o.Pattern))
	}
	if before, seen := h.patterns[o.ID]; seen && before != o.Pattern {
		h.world.fail("identity", "%s has the pattern %s, and before %s", o.ID, o.Pattern, before)
	}
	h.patterns[o.ID] = o.Pattern
	if first, seen := h.created[k]; seen && !first.Equal(o.Created) && !h.forgotten(k) {
		h.world.fail("created", "%s is sent with created %v; it was %v before", o.Pattern, o.Created, first)
	}
	if _, seen := h.created[k]; !seen && !o.retired() && !o.Created.Equal(o.Modified) && !h.oracle.added[o.ID][o.Created.Unix()] {
		h.world.fail("created", "%s is sent with created %v, when nothing that gives it was added", o.Pattern, o.Created)
	}
	if !o.Created.Equal(o.ValidFrom) || !o.ValidUntil.After(o.ValidFrom) {
		h.world.fail("times", "%s is created %v, valid from %v until %v", o.Pattern, o.Created, o.ValidFrom, o.ValidUntil)
	}
	if other := h.underWay[k]; other != nil && !other.process.isDead() {
		h.world.fail("order", "%s is under way twice at once", o.Pattern)
	}
	h.underWay[k] = e
	if o.retired() && h.steady[o.ID] && !e.process.isDead() && e.source == h.world.setting.Source && e.workspace == workspaces[h.world.setting.Workspace] {
		h.world.fail("retired", "%s is retired although it was given all the time", o.Pattern)
	}
	h.checkPromises(e, k, o)
	h.checkRepeat(k, o, u)
}

// forgotten says that the ledger need not know an object any more.
func (h *watch) forgotten(k key) bool {
	s := h.standing[k]
	return s != nil && time.Since(s.ValidUntil) > 29*24*time.Hour
}

// slack is by how much a change may come after the reading that has it, in the eyes of the watch. Where Download was paused with a
// page in hand it is more, and yet within the update.
const slack = 15 * time.Minute

// checkRepeat asks why an object is sent again that stands as it is.
func (h *watch) checkRepeat(k key, o *held, u updates) {
	s := h.standing[k]
	if s == nil || s.unsure || s.otherRefused || s.ahead || h.resent || s.retired() != o.retired() {
		return
	}
	if o.retired() {
		if !h.mayBeAnew(s, o.ID) {
			h.world.fail("twice", "%s is retired again; it was at %v", o.Pattern, s.at)
		}
		return
	}
	last := s.Modified.Add(-slack)
	if s.began.Before(last) {
		last = s.began
	}
	if s.text != content(o.Members) || s.ValidUntil.Sub(s.Modified) != o.ValidUntil.Sub(o.Modified) || h.touchedAll.After(last) || h.touched[o.ID].After(last) {
		return
	}
	s.repeats++
	if fulls, _ := u.before(o.Modified); int64(s.repeats) > fulls-s.fulls {
		h.world.fail("twice", "%s is sent again without reason: as at %v", o.Pattern, s.at)
	}
}

// answer notes what Sentinel answered, where that is an answer of Sentinel: nothing, or an object of errors and no more.
func (e *exchange) answer(status int, body []byte) {
	if e == nil {
		return
	}
	e.watch.mu.Lock()
	defer e.watch.mu.Unlock()
	e.status = status
	e.noteThrottle(status)
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\ufeff")))
	var members map[string][]struct {
		Index    *int     `json:"recordIndex"`
		Messages []string `json:"errorMessages"`
		Others   []string `json:"validationErrorMessages"`
	}
	if len(body) > 0 && json.Unmarshal(body, &members) != nil {
		return
	}
	errors, isErrors := members["errors"]
	if len(members) > 1 || len(members) == 1 && !isErrors || status != 200 && (status != 400 || len(errors) == 0) {
		return
	}
	for _, r := range errors {
		if r.Index == nil {
			return // an error of the whole
		}
		e.rejected[*r.Index] = strings.Join(slices.Concat(r.Messages, r.Others), "; ")
	}
	e.answered = true
}

// end notes that nothing more comes of a request.
func (e *exchange) end() {
	h := e.watch
	u := e.process.begunUpdates()
	h.mu.Lock()
	defer h.mu.Unlock()
	if e.ended.IsZero() {
		e.ended = time.Now()
	}
	for i, o := range e.objects {
		k := key{e.workspace, e.source, o.ID}
		if h.underWay[k] == e {
			delete(h.underWay, k)
		}
		reason, isRejected := e.rejected[i]
		fulls, began := u.before(o.Modified)
		waiting := u.setAside(o.Modified)
		fulls -= waiting
		switch {
		case !e.answered:
			if s := h.standing[k]; s != nil {
				s.unsure = true
			} else {
				h.standing[k] = &standing{held: o, at: e.ended, began: began, unsure: true, fulls: fulls}
			}
			if e.status == 0 {
				h.created[k] = o.Created
			}
		case isRejected:
			h.refused[k] = refusal{reason, e.ended}
			s := h.standing[k]
			if s == nil {
				s = &standing{held: o, text: content(o.Members), at: e.ended, began: began, fulls: fulls}
			} else if s.text != content(o.Members) {
				s.otherRefused = true
			}
			// The process that made it died with it in hand, and may have sent it before, for all the next one knows.
			if o.Modified.Before(h.death) {
				s.unsure = true
				h.standing[k] = s
			}
		default:
			delete(h.refused, k)
			s := &standing{held: o, text: content(o.Members), at: e.ended, began: began, fulls: fulls}
			if old := h.standing[k]; old != nil && old.text == s.text && !old.unsure && !old.ahead {
				s.repeats, s.fulls = old.repeats, old.fulls-waiting
			}
			h.standing[k] = s
			h.created[k] = o.Created
		}
	}
}

// mayBeAnew says that a process which died since an object was sent may have had it in hand to send it anew: the next one cannot know
// whether it did.
func (h *watch) mayBeAnew(s *standing, id string) bool {
	return h.death.After(s.at) && (h.touchedAll.After(s.at) || h.touched[id].After(s.at))
}

// isUncertain says that something was sent of an object, or may have been, whose answer was lost or a stranger's, and that Sentinel took
// nothing of it since: it refuses what comes, or the operator wants the object to stay as it is. Then the ledger has it as long as any
// copy may stand, and verifying tells what does.
func (h *watch) isUncertain(id string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.standing[key{workspaces[h.world.setting.Workspace], h.world.setting.Source, id}]
	return s != nil && (s.unsure || h.mayBeAnew(s, id))
}

// countUncertain counts the objects that may stand for all that the ledger can know, and are not among those that do.
func (h *watch) countUncertain(stand map[string]held) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for k, s := range h.standing {
		if _, stands := stand[k.id]; s.unsure && !stands && k.workspace == workspaces[h.world.setting.Workspace] && k.source == h.world.setting.Source {
			n++
		}
	}
	return n
}

// diskFailed notes that an answer which has just arrived may not be kept: if Upload is ended before the disk is well, it is lost.
func (h *watch) diskFailed(p *process) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range slices.Backward(h.exchanges) {
		switch {
		case e.ended.IsZero():
			continue
		case time.Since(e.ended) > time.Second:
			return
		}
		for _, o := range e.objects {
			if s := h.standing[key{e.workspace, e.source, o.ID}]; s != nil && e.process == p {
				s.unsure = true
			}
		}
	}
}

// endedUnwritten notes that a process ended while its disk took nothing: what it had in hand is then as uncertain as after a death.
func (h *watch) endedUnwritten() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.death = time.Now()
}

// processDied notes that what was under way will have no answer, and that answers which were not kept may be as none.
func (h *watch) processDied(p *process) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.death = p.diedAt
	for _, e := range h.exchanges {
		if e.process != p || !e.ended.IsZero() && e.ended.Before(p.diedAt.Add(-time.Second)) {
			continue
		}
		if e.ended.IsZero() {
			e.ended = p.diedAt
		}
		for _, o := range e.objects {
			k := key{e.workspace, e.source, o.ID}
			delete(h.refused, k)
			if s := h.standing[k]; s != nil {
				s.unsure = true
			}
		}
	}
}
