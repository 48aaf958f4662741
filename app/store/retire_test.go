package store

import (
	"errors"
	"strings"
	"testing"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
)

func TestRetirementBrake(t *testing.T) {
	for _, c := range []struct {
		name          string
		live, leaving int
		want          Retirement
	}{
		{"a hundred of few are retired", 150, 100, Retirement{Queued: 100}},
		{"more than a hundred of few are not", 150, 101, Retirement{Held: 101}},
		{"a tenth of many is retired", 2000, 200, Retirement{Queued: 200}},
		{"more than a tenth is not", 2000, 201, Retirement{Held: 201}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			f.fill(c.live)
			update, got := f.leave(c.leaving, c.live)
			if got != c.want {
				t.Fatalf("%+v, want %+v", got, c.want)
			}
			f.status(update, job.ConvertInProgress) // as if the process had ended before the job was complete
			if again := f.retire(update); again.Held != c.want.Held || again.Queued != 0 {
				t.Errorf("asked again: %+v", again)
			}
			j := f.get(update)
			if j.Question() != c.want.Held || j.Queued != c.want.Queued {
				t.Errorf("the job says %d held, %d queued", j.Question(), j.Queued)
			}
			if sent := f.upload(); int64(len(sent)) != c.want.Queued {
				t.Errorf("%d were sent", len(sent))
			}
			if j := f.complete(update); (j.Status == job.ConfirmationRequired) != (c.want.Held > 0) {
				t.Errorf("the job is %s", j.Status)
			}
		})
	}
}

func TestRetiredObject(t *testing.T) {
	f := newFixture(t)
	f.fill(2)
	f.leave(1, 2)
	sent := f.upload()
	if len(sent) != 1 || !sent[0].Retire || sent[0].Source != "source" {
		t.Fatalf("sent %+v", sent)
	}
	pattern, name, expires := payload(t, sent[0].Payload)
	if pattern != "[domain-name:value = '0.example']" || name != "0.example v0" || !expires.Equal(f.now) {
		t.Errorf("sent %s", sent[0].Payload)
	}
	// It comes back as it was: nothing stands, so it is sent.
	f.now = f.now.Add(time.Hour)
	j := f.begin(job.Delta)
	found := f.found(0, 0)
	found.Modified = noon
	applied, err := f.Apply(ctx(), ledger.Batch{Job: j.Number, Mode: job.Delta, Query: f.query, Now: f.now, Found: []ledger.Found{found}})
	f.do(err)
	if applied.Counts.Queued != 1 {
		t.Errorf("counted %+v", applied.Counts)
	}
}

func TestExpiredObjectIsNotRetired(t *testing.T) {
	f := newFixture(t)
	f.fill(200)
	f.now = f.now.Add(31 * day24)
	if _, got := f.leave(200, 201); got != (Retirement{}) {
		t.Errorf("%+v, want nothing: all has expired", got)
	}
}

func TestQuestionConfirmed(t *testing.T) {
	f := newFixture(t)
	f.fill(300)
	update, _ := f.leave(150, 300)
	// One of them returns before the answer.
	delta := f.begin(job.Delta)
	f.apply(delta, 0, 1)
	f.do(f.AnswerRetirement(ctx(), update.RequestID, true, f.now))
	j := f.get(update)
	if j.Status != job.UploadComplete || !strings.Contains(j.Message, "149") || j.Queued != 149 {
		t.Errorf("job %s: %q, %d queued", j.Status, j.Message, j.Queued)
	}
	f.upload()
	f.wantNumber(149, "retired", `SELECT count(*) FROM object WHERE state = 2`)
	if got := f.get(update).Retired; got != 149 {
		t.Errorf("%d retired", got)
	}
	f.wantNumber(0, "generations that wait for an answer", `SELECT asked - kept FROM destination`)
	if err := f.AnswerRetirement(ctx(), update.RequestID, true, f.now); !errors.Is(err, job.ErrState) {
		t.Errorf("answered twice: %v", err)
	}
	if err := f.AnswerRetirement(ctx(), "none", true, f.now); !errors.Is(err, ErrNotFound) {
		t.Errorf("answered for no job: %v", err)
	}
}

// Two tabs, two answers: one counts, and the other is told so.
func TestQuestionAnsweredTwiceAtOnce(t *testing.T) {
	f := newFixture(t)
	f.fill(5000)
	update, _ := f.leave(4900, 5000)
	answers := make(chan error, 2)
	for _, confirm := range []bool{false, true} {
		go func() { answers <- f.AnswerRetirement(ctx(), update.RequestID, confirm, f.now) }()
	}
	one, other := <-answers, <-answers
	if (one == nil) == (other == nil) || !errors.Is(errors.Join(one, other), job.ErrState) {
		t.Errorf("%v, %v", one, other)
	}
	j, queued := f.get(update), f.number(`SELECT count(*) FROM outbox`)
	if confirmed := strings.HasPrefix(j.Message, "Confirmed"); confirmed != (queued == 4900) || !confirmed && queued != 0 {
		t.Errorf("%q, and %d wait", j.Message, queued)
	}
}

func TestQuestionDismissed(t *testing.T) {
	f := newFixture(t)
	f.fill(500)
	update, _ := f.leave(150, 500)
	f.do(f.AnswerRetirement(ctx(), update.RequestID, false, f.now))
	if j := f.get(update); j.Status != job.UploadComplete || j.Question() != 0 {
		t.Errorf("job is %s, %d held: %q", j.Status, j.Question(), j.Message)
	}
	// The same set is not asked about again, and a few more are retired.
	if _, got := f.leave(150, 500); got != (Retirement{}) {
		t.Fatalf("asked again: %+v", got)
	}
	if _, got := f.leave(155, 500); got != (Retirement{Queued: 5}) {
		t.Fatalf("five more: %+v", got)
	}
	// Many more are a new question, about all that left.
	update, got := f.leave(300, 500)
	if got != (Retirement{Held: 295}) {
		t.Fatalf("many more: %+v", got)
	}
	// Those that were kept are still kept when the rest returns.
	if _, got := f.leave(155, 500); got != (Retirement{}) {
		t.Errorf("after the return: %+v", got)
	}
	if j := f.get(update); j.Status != job.UploadComplete || j.Question() != 0 {
		t.Errorf("the question stands: %s, %d", j.Status, j.Question())
	}
	f.wantNumber(0, "generations that wait for an answer", `SELECT asked - kept FROM destination`)
	// One that returns and leaves again is kept no more.
	f.leave(0, 500)
	if _, got := f.leave(50, 500); got != (Retirement{Queued: 50}) {
		t.Errorf("returned and gone: %+v", got)
	}
}

func TestNewerQuestion(t *testing.T) {
	f := newFixture(t)
	f.fill(500)
	first, _ := f.leave(150, 500)
	second, got := f.leave(160, 500)
	if got != (Retirement{Held: 160}) {
		t.Fatalf("%+v", got)
	}
	if j := f.get(first); j.Status != job.UploadComplete || j.Message != "A newer update asks about its retirements." || j.Question() != 0 {
		t.Errorf("the older question: %s %q", j.Status, j.Message)
	}
	if j := f.get(second); j.Status != job.ConfirmationRequired || j.Question() != 160 {
		t.Errorf("the newer question: %s, %d", j.Status, j.Question())
	}
}

// Where a query could not be read, what is not certain is no part of the question: the next update weighs it anew.
func TestWhatIsNotCertainIsLeftToTheNextUpdate(t *testing.T) {
	f := newFixture(t)
	f.fill(500)
	var certain []int64
	for id := range int64(150) {
		certain = append(certain, id+1)
	}
	j := f.begin(job.Delta)
	f.do(f.Forget(ctx(), f.query, certain, ledger.Certain))
	f.do(f.Forget(ctx(), f.query, []int64{200, 201}, ledger.Uncertain))
	if got, err := f.Retire(ctx(), j.Number, false, f.now); err != nil || got != (Retirement{Held: 150}) {
		t.Fatalf("%+v, %v", got, err)
	}
	j = f.complete(j)
	f.do(f.AnswerRetirement(ctx(), j.RequestID, false, f.now))
	if got := f.retire(f.begin(job.Delta)); got != (Retirement{Queued: 2}) {
		t.Errorf("%+v", got)
	}
}

// A retirement that Sentinel rejected is tried again by an update that reads everything, under the names that the Service had before as
// well, and by no other.
func TestRejectedRetirementsUnderFormerNames(t *testing.T) {
	f := newFixture(t)
	for _, next := range []string{"second", "third", "fourth"} {
		f.fill(3)
		f.do(second(f.SetDestination(ctx(), "workspace", next)))
		out, err := f.Outgoing(ctx(), 0, 10)
		f.do(err)
		if len(out) != 3 || out[0].Job != 0 || !out[0].Retire {
			t.Fatalf("what was left under the old name waits as %+v", out)
		}
		f.do(f.Settle(ctx(), Settlement{At: f.now, Accepted: out[:1], Rejected: []RejectedObject{{Outgoing: out[1], Code: "Bad"}, {Outgoing: out[2], Code: "Bad"}}}))
	}
	f.fill(3)
	f.now = f.now.Add(time.Hour)
	j := f.begin(job.Reconcile)
	f.apply(j, 0, 3)
	if got, err := f.Retire(ctx(), j.Number, false, f.now); err != nil || got != (Retirement{}) {
		t.Errorf("an update that could not read a query: %+v, %v", got, err)
	}
	if got := f.retire(f.begin(job.Delta)); got != (Retirement{}) {
		t.Errorf("a delta update: %+v", got)
	}
	if got := f.retire(j); got != (Retirement{Queued: 6}) {
		t.Errorf("an update that reads everything: %+v", got)
	}
	sources := map[string]int{}
	for _, o := range f.upload() {
		if !o.Retire {
			t.Errorf("sent %+v", o)
		}
		sources[o.Source]++
	}
	if len(sources) != 3 || sources["source"] != 2 || sources["second"] != 2 || sources["third"] != 2 || f.get(j).Queued != 6 {
		t.Errorf("sent under %v, %d queued", sources, f.get(j).Queued)
	}
	if got := f.retire(j); got != (Retirement{}) {
		t.Errorf("once more: %+v", got)
	}
}

// A complete update that has nothing to ask ends whichever question is open, that of the first job as well.
func TestNothingToAskEndsTheQuestion(t *testing.T) {
	f := newFixture(t)
	asking := f.begin(job.Full)
	f.apply(asking, 0, 300)
	f.upload()
	var gone []int64
	for id := range int64(150) {
		gone = append(gone, id+1)
	}
	f.do(f.Forget(ctx(), f.query, gone, ledger.Uncertain))
	if got := f.retire(asking); got != (Retirement{Held: 150}) {
		t.Fatalf("%+v", got)
	}
	if _, got := f.leave(0, 300); got != (Retirement{}) {
		t.Fatalf("%+v", got)
	}
	if j := f.get(asking); j.Status != job.UploadComplete || j.Message != "A newer update answered the question about its retirements." {
		t.Errorf("the question: %s %q", j.Status, j.Message)
	}
}

// Who changes the destination answers whatever was asked about the old one.
func TestAnotherDestinationEndsQuestions(t *testing.T) {
	f := newFixture(t)
	jobs := []job.Job{f.begin(job.Full), f.begin(job.Reconcile), f.begin(job.Delta)}
	for _, j := range jobs[:2] {
		f.do(second(f.UpdateJob(ctx(), j.RequestID, func(j *job.Job) error {
			j.Status, j.RetirementsHeld = job.ConfirmationRequired, 150
			return nil
		})))
	}
	f.do(second(f.SetDestination(ctx(), "workspace", "other")))
	for i, j := range jobs {
		if j = f.get(j); (j.Status == job.UploadComplete && j.Message == "The destination was changed before the question was answered.") != (i < 2) || j.Question() != 0 {
			t.Errorf("job %d: %s %q", i, j.Status, j.Message)
		}
	}
}

// A delta update that learns of a few deletions retires them, whatever question is open; it has not read the rest again.
func TestDeltaBesidesQuestion(t *testing.T) {
	f := newFixture(t)
	f.fill(500)
	asking, _ := f.leave(150, 500)
	update := f.begin(job.Delta)
	f.do(f.Forget(ctx(), f.query, []int64{201, 202, 203}, ledger.Uncertain))
	if got := f.retire(update); got != (Retirement{Queued: 3}) {
		t.Fatalf("%+v", got)
	}
	if j := f.get(asking); j.Status != job.ConfirmationRequired || j.Question() != 150 {
		t.Errorf("the question: %s, %d", j.Status, j.Question())
	}
	var many []int64
	for id := int64(211); id < 321; id++ {
		many = append(many, id)
	}
	f.do(f.Forget(ctx(), f.query, many, ledger.Uncertain))
	if got := f.retire(update); got != (Retirement{Held: 260}) {
		t.Errorf("many deletions: %+v", got)
	}
}

// What may be under way while its last candidate leaves is retired after it; what cannot have left is dropped.
func TestRetirementOfWhatIsUnderWay(t *testing.T) {
	f := newFixture(t)
	update := f.begin(job.Full)
	f.apply(update, 0, 3)
	away, err := f.Outgoing(ctx(), 0, 1)
	f.do(err)
	f.do(f.Forget(ctx(), f.query, []int64{1, 2}, ledger.Uncertain))
	if got := f.retire(update); got != (Retirement{Queued: 1}) {
		t.Fatalf("%+v", got)
	}
	f.do(f.Settle(ctx(), Settlement{At: f.now, Accepted: away}))
	var sent []string
	for _, o := range f.upload() {
		_, name, _ := payload(t, o.Payload)
		sent = append(sent, name)
	}
	if got := strings.Join(sent, ", "); got != "2.example v0, 0.example v0" {
		t.Errorf("sent %s", got)
	}
	f.wantNumber(1, "live", `SELECT count(*) FROM object WHERE state = 1`)
	if j := f.get(update); j.Queued != 3 || j.Uploaded != 2 || j.Retired != 1 {
		t.Errorf("counted %+v", j.Counts)
	}
}

// What waits while its last candidate leaves is dropped, and no retirement takes its place, though it be the first of all rows.
func TestRetirementOfWhatWaits(t *testing.T) {
	f := newFixture(t)
	update := f.begin(job.Full)
	f.apply(update, 0, 3)
	f.do(f.Forget(ctx(), f.query, []int64{1}, ledger.Uncertain))
	if got := f.retire(update); got != (Retirement{}) {
		t.Errorf("%+v", got)
	}
	if sent := f.upload(); len(sent) != 2 || sent[0].Seq != 2 || f.get(update).Queued != 2 {
		t.Errorf("sent %+v, %d queued", sent, f.get(update).Queued)
	}
}

// The question of a job that came to nothing is not forgotten: the next delta update asks it.
func TestQuestionOfAJobThatFailed(t *testing.T) {
	for _, end := range []job.Status{job.Failed, job.Cancelled} {
		t.Run(string(end), func(t *testing.T) {
			f := newFixture(t)
			f.fill(300)
			j := f.begin(job.Delta)
			var gone []int64
			for id := int64(1); id <= 150; id++ {
				gone = append(gone, id)
			}
			f.do(f.Forget(ctx(), f.query, gone, ledger.Uncertain))
			if got, err := f.Retire(ctx(), j.Number, true, f.now); err != nil || got.Held != 150 {
				t.Fatalf("%+v, %v", got, err)
			}
			f.status(j, end)
			if held := f.get(j).Question(); held != 0 {
				t.Errorf("it holds %d, and nobody can answer", held)
			}
			if got := f.retire(f.begin(job.Delta)); got != (Retirement{Held: 150}) {
				t.Errorf("the next one: %+v", got)
			}
		})
	}
}

// The operator kept what had left by then. What lost its last candidate later was not among it, though its winner was gone.
func TestWhatLeavesAfterTheDismissalIsRetired(t *testing.T) {
	f := newFixture(t)
	f.fill(300)
	delta := f.begin(job.Delta)
	next := f.found(0, 0)
	next.Indicator = 777
	f.do(second(f.Apply(ctx(), ledger.Batch{Job: delta.Number, Mode: job.Delta, Query: f.query, Now: f.now, Found: []ledger.Found{next}})))
	var gone []int64
	for id := int64(1); id <= 150; id++ {
		gone = append(gone, id)
	}
	f.do(f.Forget(ctx(), f.query, gone, ledger.Uncertain))
	if got := f.retire(delta); got != (Retirement{Held: 149}) {
		t.Fatalf("%+v", got)
	}
	f.do(f.AnswerRetirement(ctx(), delta.RequestID, false, f.now))
	next.Objects = f.found(900, 0).Objects
	delta = f.begin(job.Delta)
	f.do(second(f.Apply(ctx(), ledger.Batch{Job: delta.Number, Mode: job.Delta, Query: f.query, Now: f.now, Found: []ledger.Found{next}})))
	if got := f.retire(delta); got != (Retirement{Queued: 1}) {
		t.Errorf("retired %+v", got)
	}
}

// What waits for its winner is not retired because its query was deleted: the same query under another identity may not have
// read it yet.
func TestADeletedQueryIsLeftToACompleteRead(t *testing.T) {
	f := newFixture(t)
	f.fill(3)
	cancelled := f.begin(job.Full)
	f.apply(cancelled, 0, 3)
	f.do(f.CancelJob(ctx(), cancelled.RequestID, f.now))
	again := f.mark("one").Query
	again.ID = ""
	f.query = f.save(again)[0].Number
	if got := f.retire(f.begin(job.Delta)); got != (Retirement{}) {
		t.Errorf("retired %+v", got)
	}
	j := f.begin(job.Reconcile)
	if got := f.apply(j, 0, 2); got.Queued != 2 {
		t.Errorf("counted %+v", got)
	}
	f.do(f.SweepDeparted(ctx(), j.Number, []int64{f.query}))
	if got := f.retire(j); got != (Retirement{Queued: 1}) {
		t.Errorf("retired %+v", got)
	}
}

// Of two rows of an object the newer is dropped, the older may be under way: the object is retired after it.
func TestRetirementOfWhatIsUnderWayInAnOlderVersion(t *testing.T) {
	for _, cancelled := range []bool{false, true} {
		f := newFixture(t)
		older := f.begin(job.Full)
		f.apply(older, 0, 1)
		f.do(second(f.Outgoing(ctx(), 0, 1)))
		f.status(older, job.Failed)
		newer := f.begin(job.Full)
		f.apply(newer, 0, 1)
		if cancelled {
			f.do(f.CancelJob(ctx(), newer.RequestID, f.now))
		}
		j := f.begin(job.Delta)
		f.do(f.Forget(ctx(), f.query, []int64{1}, ledger.Uncertain))
		if got := f.retire(j); got != (Retirement{Queued: 1}) {
			t.Errorf("retired %+v", got)
		}
		if sent := f.upload(); len(sent) != 2 || sent[0].Retire || !sent[1].Retire {
			t.Errorf("%d rows were sent", len(sent))
		}
		f.wantNumber(0, "live", `SELECT count(*) FROM object WHERE state = 1`)
	}
}

// What was under way when its job was cancelled may have renewed what stands: it is retired though the time that is known
// of it ran out.
func TestRenewedByACancelledJob(t *testing.T) {
	f := newFixture(t)
	f.fill(1)
	f.now = f.now.Add(29 * day24)
	j := f.begin(job.Full)
	f.apply(j, 0, 1)
	out, err := f.Outgoing(ctx(), 0, 100)
	f.do(err)
	if len(out) != 1 {
		t.Fatalf("%d objects are under way, want 1", len(out))
	}
	f.do(f.CancelJob(ctx(), j.RequestID, f.now))
	f.now = f.now.Add(2 * day24)
	if _, got := f.leave(1, 1); got != (Retirement{Queued: 1}) {
		t.Errorf("%+v, want one object retired", got)
	}
}
