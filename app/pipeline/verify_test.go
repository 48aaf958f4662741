package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
	"mssentinel/app/sentinel"
	"mssentinel/app/standin/sentinelserver"
	"mssentinel/app/stix"
	"mssentinel/app/store"
)

// verified runs a verification and gives what came of it.
func (w *world) verified(all bool) Verification {
	w.t.Helper()
	w.must(w.p.Verify(context.Background(), all))
	return w.awaitVerification()
}

func (w *world) awaitVerification() Verification {
	w.t.Helper()
	for began := time.Now(); time.Since(began) < 10*time.Hour; time.Sleep(time.Second) {
		if v := w.verification(); !v.Running {
			return v
		}
	}
	w.t.Fatal("the verification does not end")
	return Verification{}
}

func (w *world) verification() Verification {
	w.t.Helper()
	v, err := w.p.Verification(context.Background())
	w.must(err)
	return v
}

// wantVerdicts fails the test unless a verification came to its end with these counts.
func (w *world) wantVerdicts(v Verification, agreed, tooNew int64, differences map[ledger.Verdict]int64) {
	w.t.Helper()
	if v.State != store.VerificationComplete || v.Message != "" || v.Running || v.Ended.Before(v.Began) {
		w.t.Errorf("the verification is %s: %s", v.State, v.Message)
	}
	if v.Agreed != agreed || v.TooNew != tooNew {
		w.t.Errorf("%d agree and %d are too new, want %d and %d", v.Agreed, v.TooNew, agreed, tooNew)
	}
	if diff := cmp.Diff(differences, v.Differences); diff != "" {
		w.t.Errorf("differences (-want +got):\n%s", diff)
	}
}

func hostID(value string) string { return "indicator--" + stix.ID(hostPattern(value)).String() }

func hostPattern(value string) string {
	return stix.Pattern(stix.Equal("domain-name:value", value))
}

// uploadAside has somebody else upload an object under our source name.
func (w *world) uploadAside(object []byte) {
	w.t.Helper()
	var rejected int
	w.must(w.p.Sentinel.Deliver(context.Background(), source, [][]byte{object}, sentinel.Report{
		Settle: func(o sentinel.Outcome) error { rejected += len(o.Rejected); return nil },
		OnWait: func(time.Time, string) {}}))
	if rejected > 0 {
		w.t.Fatalf("%s is rejected", object)
	}
}

func objectAside(value, name string, until time.Time) []byte {
	now := time.Now()
	return stix.Retired{Pattern: hostPattern(value), Name: name, Created: now.Add(-time.Hour), Modified: now, ValidUntil: until}.AppendJSON(nil)
}

// What was sent is too new at first, and then agrees, however small the pages are. Nothing is sent for it.
func TestVerifyWhatAgrees(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.lag = 5 * time.Minute })
		for n := range 25 {
			w.put("Alpha", fmt.Sprintf("host%d.example", n))
		}
		if v := w.verification(); v.State != "" || v.Running || len(v.Queries) != 2 || !strings.Contains(v.Queries[0].Text, source) {
			t.Errorf("before the first: %+v", v)
		}
		w.done(w.save(job.Full, query("", "Alpha")))
		w.wantVerdicts(w.verified(true), 0, 25, nil)
		requests := w.far.RequestCount()
		time.Sleep(ledger.IngestionBound)
		for _, size := range []int{1, 2, 7, 25, 1000} {
			w.p.verifier.pageSize = size
			v := w.verified(true)
			w.wantVerdicts(v, 25, 0, nil)
			if !v.All || v.Share != 1 || !v.ReadAll || len(v.Types) != 1 {
				t.Errorf("%+v", v.Verification)
			}
			want := store.VerifiedType{Type: "domain-name", Recorded: 25, Active: 25, Sent: v.Types[0].Sent, Newest: v.Types[0].Newest}
			if v.Types[0] != want || want.Newest.Before(want.Sent) || want.Sent.IsZero() {
				t.Errorf("%+v", v.Types[0])
			}
		}
		if n := w.far.RequestCount(); n != requests {
			t.Errorf("%d uploads", n-requests)
		}
	})
}

// Each kind of difference is found, is put right by an update, and then agrees.
func TestVerifyFindsAndRepairs(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		for _, host := range []string{"lost", "deleted", "ended", "older", "other", "same", "gone"} {
			w.put("Alpha", host+".example")
		}
		gone := w.put("Alpha", "left.example")
		w.done(w.save(job.Full, query("", "Alpha")))
		time.Sleep(ledger.IngestionBound)
		w.far.Lose(source, hostID("lost.example"))
		w.far.Delete(source, hostID("deleted.example"))
		w.uploadAside(objectAside("ended.example", "ended.example | Alpha", time.Now().Add(-time.Minute)))
		w.uploadAside(objectAside("older.example", "older.example | Alpha", time.Now().Add(time.Hour)))
		w.uploadAside(objectAside("other.example", "something else", time.Now().Add(ttl)))
		w.uploadAside(objectAside("unknown.example", "unknown.example | Alpha", time.Now().Add(ttl)))
		w.uploadAside(objectAside("unknown, but ended.example", "", time.Now().Add(-time.Minute)))
		w.uploadAside([]byte(strings.Replace(string(objectAside("stranger.example", "", time.Now().Add(ttl))), hostID("stranger.example"), hostID("x"), 1)))
		w.must(w.tc.Delete(gone))
		w.done(w.runJob(job.Delta))
		w.uploadAside(objectAside("left.example", "left.example | Alpha", time.Now().Add(ttl))) // after it was retired
		time.Sleep(ledger.IngestionBound)

		v := w.verified(true)
		w.wantVerdicts(v, 2, 0, map[ledger.Verdict]int64{ledger.Missing: 2, ledger.Expired: 2, ledger.OtherContent: 1, ledger.Unexpected: 3})
		if v.Strangers != 1 || v.Kept != 8 || v.Repairable != (store.Repairable{SendAgain: 5, Retire: 2}) {
			t.Errorf("%d strangers, %d kept, %+v", v.Strangers, v.Kept, v.Repairable)
		}
		var examples []string
		for _, e := range v.Examples {
			examples = append(examples, fmt.Sprint(e.Verdict, " ", e.Pattern, " ", e.Standing, " ", e.Stranger))
		}
		slices.Sort(examples)
		want := []string{"expired " + hostPattern("ended.example") + " true false", "expired " + hostPattern("older.example") + " true false",
			"missing " + hostPattern("deleted.example") + " true false", "missing " + hostPattern("lost.example") + " false false",
			"other_content " + hostPattern("other.example") + " true false", "unexpected " + hostPattern("left.example") + " true false",
			"unexpected " + hostPattern("stranger.example") + " true true", "unexpected " + hostPattern("unknown.example") + " true false"}
		if diff := cmp.Diff(want, examples); diff != "" {
			t.Errorf("examples (-want +got):\n%s", diff)
		}

		j, n, err := w.p.SendAgain(t.Context())
		if err != nil || n != 5 || j.Mode != job.Delta {
			t.Fatalf("%d objects by a %s update, %v", n, j.Mode, err)
		}
		if j = w.done(w.await(j.RequestID)); j.Uploaded != 5 || j.Retired != 0 {
			t.Errorf("sent again: %+v", j.Counts)
		}
		j, n, err = w.p.RetireUnexpected(t.Context())
		if err != nil || n != 2 {
			t.Fatalf("%d objects, %v", n, err)
		}
		if j = w.done(w.await(j.RequestID)); j.Uploaded != 0 || j.Retired != 2 {
			t.Errorf("retired: %+v", j.Counts)
		}
		if repairs := w.verification().Repairs; len(repairs) != 2 || repairs[0].Retire || !repairs[1].Retire || repairs[1].Objects != 2 || repairs[1].RequestID != j.RequestID {
			t.Errorf("%+v", repairs)
		}
		if _, _, err := w.p.SendAgain(t.Context()); !errors.Is(err, ErrNoDifference) {
			t.Errorf("sending again what was sent again: %v", err)
		}
		if _, _, err := w.p.RetireUnexpected(t.Context()); !errors.Is(err, ErrNoDifference) {
			t.Errorf("retiring what was retired: %v", err)
		}
		w.wantVerdicts(w.verified(true), 2, 5, map[ledger.Verdict]int64{ledger.Unexpected: 1})
		time.Sleep(ledger.IngestionBound)
		w.wantVerdicts(w.verified(true), 7, 0, map[ledger.Verdict]int64{ledger.Unexpected: 1})
	})
}

// The brake holds for what a verification finds: the update asks before it retires, and other updates go on.
func TestTheBrakeHoldsForWhatIsUnexpected(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.put("Alpha", "one.example")
		w.done(w.save(job.Full, query("", "Alpha")))
		for n := range ledger.BrakeObjects + 1 {
			w.uploadAside(objectAside(fmt.Sprintf("unknown%d.example", n), "x", time.Now().Add(ttl)))
		}
		time.Sleep(ledger.IngestionBound)
		v := w.verified(true)
		w.wantVerdicts(v, 1, 0, map[ledger.Verdict]int64{ledger.Unexpected: ledger.BrakeObjects + 1})
		if !v.Repairable.NeedsConfirmation {
			t.Error("it is not said that the update asks first")
		}
		j, _, err := w.p.RetireUnexpected(t.Context())
		w.must(err)
		if j = w.await(j.RequestID); j.Status != job.ConfirmationRequired || j.Question() != ledger.BrakeObjects+1 || j.Retired != 0 {
			t.Fatalf("job is %s, asks about %d, retired %d", j.Status, j.Question(), j.Retired)
		}
		w.must(w.p.AnswerRetirement(t.Context(), j.RequestID, true))
		time.Sleep(ledger.IngestionBound + time.Minute)
		w.wantVerdicts(w.verified(true), 1, 0, nil)
	})
}

// A ledger that was lost knows nothing of what stands. Before an update has read everything nothing can be retired for that; then what
// left meanwhile can.
func TestVerifyAfterALostDatabase(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.put("Alpha", "stays.example")
		gone := w.put("Alpha", "left.example")
		w.done(w.save(job.Full, query("", "Alpha")))
		time.Sleep(ledger.IngestionBound)
		w.stop()
		w.dir = t.TempDir()
		w.must(w.tc.Delete(gone))
		w.start()
		v := w.verified(true)
		w.wantVerdicts(v, 0, 0, map[ledger.Verdict]int64{ledger.Unexpected: 2})
		if v.ReadAll {
			t.Error("nothing was read yet")
		}
		if _, _, err := w.p.RetireUnexpected(t.Context()); !errors.Is(err, ErrNotReadYet) {
			t.Errorf("retiring what is not known yet: %v", err)
		}
		w.done(w.save(job.Full, query("", "Alpha")))
		time.Sleep(ledger.IngestionBound)
		w.wantVerdicts(w.verified(true), 1, 0, map[ledger.Verdict]int64{ledger.Unexpected: 1})
		j, _, err := w.p.RetireUnexpected(t.Context())
		w.must(err)
		if j = w.done(w.await(j.RequestID)); j.Retired != 1 {
			t.Errorf("%+v", j.Counts)
		}
		w.check(true)
	})
}

// A sample is a part of all ids. What differs in it is found on both sides.
func TestVerifyASample(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		for n := range 400 {
			w.put("Alpha", fmt.Sprintf("host%d.example", n))
		}
		w.done(w.save(job.Full, query("", "Alpha")))
		for n := range 40 {
			w.far.Lose(source, hostID(fmt.Sprintf("host%d.example", n)))
			w.uploadAside(objectAside(fmt.Sprintf("unknown%d.example", n), "x", time.Now().Add(ttl)))
		}
		time.Sleep(ledger.IngestionBound)
		w.p.verifier.sampleSize = 100
		var compared, missing, unexpected int64
		for range 20 {
			v := w.verified(false)
			if v.State != store.VerificationComplete || v.All || v.Share != 0.25 || v.Compared() < 50 || v.Compared() > 200 {
				t.Fatalf("%s, all %v, a share of %v, compared %d", v.State, v.All, v.Share, v.Compared())
			}
			compared, missing, unexpected = compared+v.Compared(), missing+v.Differences[ledger.Missing], unexpected+v.Differences[ledger.Unexpected]
		}
		if compared < 1500 || compared > 3000 || missing < 100 || missing > 350 || unexpected < 100 || unexpected > 350 {
			t.Errorf("20 samples of 100: %d compared, %d missing, %d unexpected", compared, missing, unexpected)
		}
	})
}

// Ids that are written as this App writes none, wherever they fall in the order of the workspace, are strangers, and hide nothing.
func TestVerifyBesideStrangers(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		r := &readerWithStrangers{StandingReader: w.p.verifier.reader}
		for n := range 20 {
			w.put("Alpha", fmt.Sprintf("host%d.example", n))
			id := strings.TrimPrefix(hostID(fmt.Sprintf("stranger%d.example", n)), "indicator--")
			r.strangers = append(r.strangers, sentinel.Standing{ID: "indicator--" + strings.ToUpper(id), Active: true},
				sentinel.Standing{ID: fmt.Sprintf("indicator--%x-is-none", n), Active: n%2 == 0})
		}
		w.p.verifier.reader = r
		w.done(w.save(job.Full, query("", "Alpha")))
		time.Sleep(ledger.IngestionBound)
		for _, size := range []int{1, 3, 1000} {
			w.p.verifier.pageSize = size
			v := w.verified(true)
			w.wantVerdicts(v, 20, 0, map[ledger.Verdict]int64{ledger.Unexpected: 30})
			if v.Strangers != 30 || v.Kept != 0 || v.Repairable.Retire != 0 {
				t.Errorf("pages of %d: %d strangers, %d kept, %+v", size, v.Strangers, v.Kept, v.Repairable)
			}
		}
	})
}

// readerWithStrangers finds more in the workspace than there is.
type readerWithStrangers struct {
	StandingReader
	strangers []sentinel.Standing
}

func (r *readerWithStrangers) ListStanding(ctx context.Context, source, afterID string, limit int) ([]sentinel.Standing, error) {
	all, err := r.StandingReader.ListStanding(ctx, source, afterID, 0)
	for _, s := range r.strangers {
		if s.ID > afterID {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b sentinel.Standing) int { return strings.Compare(a.ID, b.ID) })
	return all[:min(limit, len(all))], err
}

// Differences beyond what is kept are counted.
func TestMoreDifferencesThanAreKept(t *testing.T) {
	r := &verification{result: &store.Verification{Kept: store.MaxDifferences - 1}}
	d := ledger.Difference{Verdict: ledger.Missing}
	if kept := []bool{r.countVerdict(d), r.countVerdict(d), r.countVerdict(d)}; !slices.Equal(kept, []bool{true, false, false}) {
		t.Errorf("kept: %v", kept)
	}
	if r.result.Kept != store.MaxDifferences || r.result.Differences[ledger.Missing] != 3 {
		t.Errorf("%d kept, %v", r.result.Kept, r.result.Differences)
	}
}

// Where the application may not read, or the workspace does not answer, the verification says so and what to do. Updates do not care.
func TestVerifyThatCannotRead(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.put("Alpha", "one.example")
		w.far.SetReadRight(clientID, false)
		w.done(w.save(job.Full, query("", "Alpha")))
		v := w.verified(true)
		if v.State != store.VerificationRefused || !strings.Contains(v.Message, "Log Analytics Reader") || len(v.Queries) == 0 {
			t.Errorf("%s: %s", v.State, v.Message)
		}
		w.far.SetReadRight(clientID, true)
		w.must(w.far.Inject(sentinelserver.Fault{Kind: sentinelserver.QueryStatus, Status: 503, Count: 100}))
		if v := w.verified(true); v.State != store.VerificationFailed || !strings.Contains(v.Message, "is out of order") {
			t.Errorf("%s: %s", v.State, v.Message)
		}
		w.far.ClearFaults()
		time.Sleep(ledger.IngestionBound)
		w.wantVerdicts(w.verified(true), 1, 0, nil)
	})
}

// One verification runs at a time, can be cancelled and killed, lets updates through, and leaves its result to the next process, or that
// it did not come to its end.
func TestVerifyIsOneAtATime(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.put("Alpha", "one.example")
		w.done(w.save(job.Full, query("", "Alpha")))
		time.Sleep(ledger.IngestionBound)
		hang := func() {
			t.Helper()
			w.must(w.far.Inject(sentinelserver.Fault{Kind: sentinelserver.QueryHang, Count: -1}))
			w.must(w.p.Verify(t.Context(), true))
			time.Sleep(time.Second)
			if v := w.verification(); !v.Running || v.State != store.VerificationRunning || w.verifyTask().Status != "Running" {
				t.Errorf("%s, task is %+v", v.State, w.verifyTask())
			}
		}
		hang()
		for name, err := range map[string]error{"verifying": w.p.Verify(t.Context(), false), "running the task": w.p.RunTask(t.Context(), "verify"),
			"sending again": second3(w.p.SendAgain(t.Context())), "retiring": second3(w.p.RetireUnexpected(t.Context()))} {
			if !errors.Is(err, ErrAtWork) {
				t.Errorf("%s meanwhile: %v", name, err)
			}
		}
		if err := w.p.PauseTask(t.Context(), "verify", true); !errors.Is(err, ErrRunOnly) {
			t.Errorf("pausing: %v", err)
		}
		w.put("Alpha", "two.example")
		w.done(w.runJob(job.Delta))
		w.must(w.p.CancelVerification())
		if v := w.awaitVerification(); v.State != store.VerificationCancelled || v.Message != "The verification was cancelled." {
			t.Errorf("%s: %s", v.State, v.Message)
		}
		w.must(w.p.Verify(t.Context(), true))
		w.must(w.p.CancelVerification()) // it has hardly begun
		if v := w.awaitVerification(); v.State != store.VerificationCancelled {
			t.Errorf("%s: %s", v.State, v.Message)
		}
		if err := w.p.CancelVerification(); !errors.Is(err, ErrNotAtWork) {
			t.Errorf("cancelling what does not run: %v", err)
		}
		w.far.ClearFaults()
		hang()
		w.must(w.p.KillTask(t.Context(), "verify"))
		if v := w.awaitVerification(); v.State != store.VerificationCancelled || !strings.Contains(v.Message, "killed on TASKS") {
			t.Errorf("%s: %s", v.State, v.Message)
		}
		w.far.ClearFaults()
		hang()
		w.restart()
		w.far.ClearFaults()
		if v := w.verification(); v.Running || v.State != store.VerificationFailed || !strings.Contains(v.Message, "restarted") {
			t.Errorf("after a restart: running %v, %s: %s", v.Running, v.State, v.Message)
		}
		time.Sleep(ledger.IngestionBound)
		w.must(w.p.RunTask(t.Context(), "verify"))
		w.wantVerdicts(w.awaitVerification(), 2, 0, nil)
		w.restart()
		w.wantVerdicts(w.verification(), 2, 0, nil)
		if last, err := w.p.LastVerification(t.Context()); err != nil || last.State != store.VerificationComplete || last.Agreed != 2 {
			t.Errorf("%+v, %v", last, err)
		}
	})
}

func second3[T, U any](_ T, _ U, err error) error { return err }

func (w *world) verifyTask() Task {
	tasks := w.p.Tasks()
	return tasks[slices.IndexFunc(tasks, func(t Task) bool { return t.Slug == "verify" })]
}

// slowReader takes its time for each answer.
type slowReader struct {
	StandingReader
	takes time.Duration
}

func (r slowReader) CountStanding(ctx context.Context, source string) ([]sentinel.TypeCount, error) {
	time.Sleep(r.takes)
	return r.StandingReader.CountStanding(ctx, source)
}

func (r slowReader) ListStanding(ctx context.Context, source, afterID string, limit int) ([]sentinel.Standing, error) {
	time.Sleep(r.takes)
	return r.StandingReader.ListStanding(ctx, source, afterID, limit)
}

// A verification that takes hours says how far it is, which is a sign of life, and comes to its end.
func TestAVerificationThatTakesHours(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t)
		w.fill(6)
		w.done(w.save(job.Full, query("", "Alpha")))
		time.Sleep(ledger.IngestionBound)
		w.p.verifier.reader, w.p.verifier.pageSize = slowReader{w.p.verifier.reader, 20 * time.Minute}, 1
		w.must(w.p.Verify(t.Context(), true))
		for _, c := range []struct {
			after              time.Duration
			expected, compared int64
		}{{10 * time.Minute, 0, 0}, {20 * time.Minute, 6, 0}, {20 * time.Minute, 6, 1}, {time.Hour, 6, 4}} {
			time.Sleep(c.after)
			v, task := w.verification(), w.verifyTask()
			if !v.Running || v.State != store.VerificationRunning || v.Expected != c.expected || v.Compared() != c.compared {
				t.Errorf("running %v, %s, compared %d of %d, want %d of %d", v.Running, v.State, v.Compared(), v.Expected, c.compared, c.expected)
			}
			if want := fmt.Sprintf("Compared %d objects", c.compared); task.Status != "Running" || task.Detail != want {
				t.Errorf("the task is %s: %s, want %s", task.Status, task.Detail, want)
			}
		}
		w.wantVerdicts(w.awaitVerification(), 6, 0, nil)
		if task := w.verifyTask(); task.Status != "Idle" || task.Detail != "" {
			t.Errorf("afterwards the task is %s: %s", task.Status, task.Detail)
		}
	})
}

// What was told of a verification does not change while it goes on.
func TestWhatAVerificationToldStays(t *testing.T) {
	v := &verifier{task: newTask(aboutVerifier)}
	result := store.Verification{Agreed: 1, Differences: map[ledger.Verdict]int64{ledger.Missing: 1}}
	v.noteProgress(&result, 9)
	result.Agreed++
	result.Differences[ledger.Missing]++
	if told, expected := v.presentVerification(); told.Compared() != 2 || expected != 9 {
		t.Errorf("told: compared %d of %d", told.Compared(), expected)
	}
}

// keeping is a store that keeps what came of a verification, or fails.
type keeping struct {
	verifyStore
	err  error
	kept []store.VerificationState
}

func (k *keeping) KeepVerification(_ context.Context, v store.Verification) error {
	k.kept = append(k.kept, v.State)
	return k.err
}

// What came of a verification is kept, or the fault is told; one that the end of the process cuts off is not kept.
func TestWhatCameOfAVerificationIsKept(t *testing.T) {
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		err  error
		over bool
		kept []store.VerificationState
	}{
		"kept":             {kept: []store.VerificationState{store.VerificationCancelled}},
		"failed":           {err: broken, kept: []store.VerificationState{store.VerificationCancelled}},
		"the process ends": {over: true},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if c.over {
			cancel()
		}
		k := &keeping{err: c.err}
		v := &verifier{task: newTask(aboutVerifier), store: k, disk: new(disk), log: quiet()}
		v.cancelled.Store(true)
		if err := v.runVerification(ctx, ctx, new(store.Verification)); !errors.Is(err, c.err) || !slices.Equal(k.kept, c.kept) {
			t.Errorf("%s: kept %v, %v", name, k.kept, err)
		}
	}
}

// sendsAgain has something happen when differences were put right, or says that there were none any more.
type sendsAgain struct {
	taskStores
	none bool
	then func()
}

func (s *sendsAgain) SendDifferencesAgain(ctx context.Context) (objects int64, err error) {
	defer s.then()
	if s.none {
		return 0, nil
	}
	return s.taskStores.SendDifferencesAgain(ctx)
}

// A command about differences is finished when its caller has given up, and queues no update where there is nothing left to do.
func TestACommandAboutDifferencesIsFinished(t *testing.T) {
	for name, c := range map[string]struct {
		none    bool
		objects int64
	}{"the caller gives up": {false, 1}, "an update was faster": {true, 0}} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				ctx, giveUp := context.WithCancel(t.Context())
				w := newWorld(t, func(w *world) {
					w.wrap = func(s *store.Store) taskStores { return &sendsAgain{s, c.none, giveUp} }
				})
				w.put("Alpha", "a.example")
				w.done(w.save(job.Full, query("", "Alpha")))
				time.Sleep(ledger.IngestionBound)
				w.far.Lose(source, hostID("a.example"))
				w.wantVerdicts(w.verified(true), 0, 0, map[ledger.Verdict]int64{ledger.Missing: 1})
				j, n, err := w.p.SendAgain(ctx)
				if err != nil || n != c.objects || (j.RequestID == "") != c.none {
					t.Fatalf("%d objects, job %q, %v", n, j.RequestID, err)
				}
				if !c.none {
					w.done(w.await(j.RequestID))
				}
				if _, jobs, err := w.store.Jobs(t.Context(), store.JobFilter{Limit: 1}); err != nil || jobs != 1+c.objects {
					t.Errorf("%d jobs, %v", jobs, err)
				}
				if r := w.verification().Repairs; len(r) != 1 || r[0].Objects != c.objects || r[0].RequestID != j.RequestID {
					t.Errorf("%+v", r)
				}
			})
		})
	}
}

// Whatever updates do meanwhile, and however late the table shows it: what the Service did itself is never a difference.
func TestVerifyBesideUpdates(t *testing.T) {
	in(t, func(t *testing.T) {
		c := newChaos(t, 5, func(w *world) { w.lag = 10 * time.Minute })
		c.p.verifier.pageSize = 100
		for round := range 6 {
			for range 1 + c.random.IntN(12) {
				c.change()
			}
			mode := []job.Mode{job.Delta, job.Reconcile, job.Full}[round%3]
			j, err := c.p.Submit(context.Background(), job.Request{Mode: mode})
			c.must(err)
			for range 8 {
				time.Sleep(time.Duration(c.random.IntN(40)) * time.Second)
				if v := c.verified(c.random.IntN(2) == 0); v.State != store.VerificationComplete || v.CountDifferences() != 0 {
					t.Fatalf("round %d, beside a %s update: %s %s, %v\n%+v", round, mode, v.State, v.Message, v.Differences, v.Examples)
				}
			}
			c.await(j.RequestID)
		}
		time.Sleep(ledger.IngestionBound)
		if v := c.verified(true); v.CountDifferences() != 0 || v.TooNew != 0 || v.Agreed == 0 {
			t.Errorf("at rest: %d agree, %d are too new, %v", v.Agreed, v.TooNew, v.Differences)
		}
	})
}
