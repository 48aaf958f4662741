package pipeline

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/sentinel"
	"mssentinel/app/store"
)

func TestRate(t *testing.T) {
	var r rate
	start := time.Unix(1_000_000, 0)
	for s := range 60 {
		r.addCount(start.Add(time.Duration(s)*time.Second), 500)
		r.addCount(start.Add(time.Duration(s)*time.Second+time.Second/2), 500)
	}
	if got := r.perSecond(start.Add(60*time.Second), time.Minute); got != 1000 {
		t.Errorf("%v a second, not 1000", got)
	}
	if got := r.perSecond(start.Add(65*time.Second), time.Minute); got != 500 {
		t.Errorf("after 5 s of silence %v a second, not 500", got)
	}
	if got := r.perSecond(start.Add(200*time.Second), time.Minute); got != 0 {
		t.Errorf("long after %v a second", got)
	}
}

func TestRemaining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Options{Mappers: noMappers{}, Logger: quiet(), Pace: 100})
		if (p.Progress() != Progress{}) {
			t.Error("progress without a job")
		}
		r := newAttempt(t.Context(), job.Job{RequestID: "x", Counts: job.Counts{Queued: 100, Uploaded: 100}}, nil, p.disk, 0)
		defer r.cancel(nil)
		p.current.Store(r)
		r.reading.beginQueries(1)
		r.reading.beginQuery()
		r.reading.setSize(1000)
		r.reading.addRead(150)
		r.reading.addApplied(100)
		r.queued.Add(200)
		// 200 queued objects and 900 indicators at two objects each, at 100 a second. Some may have been queued before.
		if v := p.Progress(); v.Remaining != 20*time.Second || !v.AtLeast || v.ExpectsMore || v.ExpectedUploads != 2100 || v.DownloadShare != 0.15 || v.ConvertShare > 0.11 {
			t.Errorf("%+v", v)
		}
		time.Sleep(10 * time.Second)
		r.countUploaded(rowsOf(store.Settlement{Accepted: slices.Repeat([]*store.Outgoing{{}}, 20)}, r.job.Number))
		if v := p.Progress(); v.Uploaded != 120 || v.Stage != "Download" || v.Remaining < 15*time.Minute {
			t.Errorf("at 2 a second: %+v", v)
		}
		close(r.allQueued)
		if v := p.Progress(); v.Stage != "Upload" || v.Remaining != 90*time.Second {
			t.Errorf("180 objects at 2 a second: %+v", v)
		}
		p.uploader.waits.setWait(time.Now().Add(2*time.Minute), sentinel.LimitReached+": it asked to wait")
		if v := p.Progress(); v.Remaining != 2*time.Minute || v.Blocked != "" {
			t.Errorf("less time left than there is to wait: %+v", v)
		}
		p.uploader.waits.setWait(time.Now().Add(2*time.Minute), "The role is missing")
		if v := p.Progress(); v.Remaining != 0 || v.Blocked != "The role is missing" {
			t.Errorf("while Sentinel refuses: %+v", v)
		}
		p.uploader.waits.setWait(time.Time{}, "")
		p.uploader.setPaused(true)
		if v := p.Progress(); v.Remaining != 0 || v.Blocked != "Upload is paused" || v.WaitReason != "" {
			t.Errorf("while Upload is paused: %+v", v)
		}
		p.downloader.setPaused(true)
		if v := p.Progress(); v.Blocked != "Download and Upload are paused" {
			t.Errorf("while both are paused: %+v", v)
		}
		p.uploader.setPaused(false)
		p.downloader.setPaused(false)
		p.disk.beginWait(errors.New("the disk is full"))
		if v := p.Progress(); v.Remaining != 0 || v.Blocked != "The database cannot be written" {
			t.Errorf("while the disk is full: %+v", v)
		}
	})
}

func TestWaitIsCountedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Options{Mappers: noMappers{}, Logger: quiet()})
		p.uploader.reportWait(time.Now().Add(time.Minute), "Sentinel's limit of requests is reached")
		if until, reason := p.uploader.waits.presentWait(); until.IsZero() || reason == "" {
			t.Error("no wait is shown")
		}
		time.Sleep(10 * time.Second)
		p.uploader.reportWait(time.Now().Add(time.Hour), "Sentinel is out of order")
		time.Sleep(20 * time.Second)
		if got := p.uploader.waits.takeTotal(); got != 30*time.Second {
			t.Errorf("waited %v", got)
		}
		time.Sleep(5 * time.Second)
		p.uploader.reportWait(time.Time{}, "")
		time.Sleep(time.Hour)
		if got := p.uploader.waits.takeTotal(); got != 5*time.Second {
			t.Errorf("waited %v more", got)
		}
		if until, _ := p.uploader.waits.presentWait(); !until.IsZero() {
			t.Errorf("a wait until %v is shown", until)
		}
	})
}

// keptWaits is a store that takes down waits, unless it is broken.
type keptWaits struct {
	uploadStore
	kept   []time.Duration
	broken bool
}

func (k *keptWaits) AddWait(_ context.Context, _ time.Time, d time.Duration) error {
	if k.broken {
		return errors.New("broken")
	}
	k.kept = append(k.kept, d)
	return nil
}

// What was waited is kept once, also where the disk did not take it at first, and nothing where nothing was waited.
func TestWaitsAreKeptOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &keptWaits{}
		p := New(Options{Mappers: noMappers{}, Logger: quiet()})
		p.uploader.store = k
		p.uploader.saveWaitTime(t.Context())
		p.uploader.reportWait(time.Now().Add(time.Minute), "Sentinel's limit of requests is reached")
		k.broken = true
		time.Sleep(10 * time.Second)
		p.uploader.saveWaitTime(t.Context())
		k.broken = false
		time.Sleep(5 * time.Second)
		p.uploader.reportWait(time.Time{}, "")
		for range 3 {
			p.uploader.saveWaitTime(t.Context())
			time.Sleep(watchEvery)
		}
		if len(k.kept) != 1 || k.kept[0] != 15*time.Second {
			t.Errorf("kept %v", k.kept)
		}
	})
}

// watchProgress looks at the progress ten times a second of simulated time until stop is closed: no stage runs backwards while an
// attempt lasts, and no time left is promised while nothing moves.
func (w *world) watchProgress(stop <-chan struct{}) (attempts map[time.Time]Progress) {
	attempts = map[time.Time]Progress{}
	for {
		select {
		case <-stop:
			return attempts
		case <-time.After(100 * time.Millisecond):
		}
		v := w.p.Progress()
		if v.RequestID == "" {
			continue
		}
		before := attempts[v.Started]
		if v.DownloadShare < before.DownloadShare || v.ConvertShare < before.ConvertShare || v.UploadShare < before.UploadShare ||
			v.Downloaded < before.Downloaded || v.Uploaded < before.Uploaded {
			w.t.Errorf("backwards:\n%+v\n%+v", before, v)
		}
		for _, share := range []float64{v.DownloadShare, v.ConvertShare, v.UploadShare} {
			if share < 0 || share > 1 {
				w.t.Errorf("a share of %v: %+v", share, v)
			}
		}
		if v.Blocked != "" && v.Remaining != 0 || v.ExpectedUploads > 0 && v.Uploaded > v.ExpectedUploads || v.Downloaded > v.Expected {
			w.t.Errorf("%+v", v)
		}
		attempts[v.Started] = v
	}
}

// Whatever happens to an update, each attempt at it goes forward, and one after a failure counts what it reads itself.
func TestProgressGoesForward(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			in(t, func(t *testing.T) {
				r := rand.New(rand.NewPCG(seed, 11))
				w := newWorld(t, func(w *world) { w.limit = 5 })
				for i := range 200 + r.IntN(1800) {
					w.put([]string{"Alpha", "Beta"}[min(1, r.IntN(4))], fmt.Sprintf("%d.example", i))
				}
				stop, attempts := make(chan struct{}), make(chan map[time.Time]Progress)
				go func() { attempts <- w.watchProgress(stop) }()
				w.saveOnly(job.Full, query("", "Alpha"), query("", "Beta"), query("rating > 4", "Alpha"), query("", "Beta", "Alpha"))
				for range 6 {
					time.Sleep(time.Duration(r.IntN(60)) * time.Second)
					slug := []string{"download", "convert", "upload"}[r.IntN(3)]
					switch r.IntN(4) {
					case 0:
						w.must(w.p.KillTask(t.Context(), slug))
					case 1:
						w.must(w.p.PauseTask(t.Context(), slug, true))
						time.Sleep(time.Minute)
						w.must(w.p.PauseTask(t.Context(), slug, false))
					case 2:
						w.far.SetRole(clientID, false)
						time.Sleep(5 * time.Minute)
						w.far.SetRole(clientID, true)
					}
					w.p.QueriesSaved() // one that waits for its next attempt does not wait
				}
				time.Sleep(5 * time.Hour)
				j, found, err := w.store.LastEnded(t.Context())
				w.must(err)
				if !found || j.Status != job.UploadComplete {
					t.Errorf("the update is %s: %s", j.Status, j.Message)
				}
				close(stop)
				all := <-attempts
				last := Progress{}
				for _, v := range all {
					if v.Started.After(last.Started) {
						last = v
					}
				}
				if last.DownloadShare != 1 || last.Stage != "Upload" || last.Downloaded < last.Expected {
					t.Errorf("%d attempts, the last one seen at %+v", len(all), last)
				}
			})
		})
	}
}

// What the screens show of an attempt, by what was counted of it.
func TestWhatProgressShows(t *testing.T) {
	type want struct {
		expected, uploads         int64
		download, convert, upload float64
		more, atLeast             bool
		remaining                 time.Duration
		stage                     string
	}
	read := func(size int64, read, applied int) func(a *attempt) {
		return func(a *attempt) {
			a.reading.beginQueries(1)
			a.reading.beginQuery()
			a.reading.setSize(size)
			a.reading.addRead(read)
			a.reading.addApplied(applied)
		}
	}
	sent := func(queued, uploaded int64) func(a *attempt) {
		return func(a *attempt) {
			a.queued.Add(queued)
			a.countUploaded(uploaded)
		}
	}
	allRead := func(a *attempt) { a.allRead.Store(true) }
	allQueued := func(a *attempt) {
		allRead(a)
		close(a.allQueued)
	}
	for name, c := range map[string]struct {
		before job.Counts
		pace   float64
		done   []func(a *attempt)
		want   want
	}{
		"nothing was read":           {job.Counts{}, 0, nil, want{more: true, atLeast: true, stage: "Download"}},
		"it is not said how much":    {job.Counts{}, 0, []func(*attempt){read(-1, 4, 2), sent(2, 1)}, want{expected: 4, more: true, atLeast: true, stage: "Download", remaining: 10 * time.Second}},
		"nothing of it is applied":   {job.Counts{Queued: 2}, 0.1, []func(*attempt){read(8, 4, 0)}, want{expected: 8, download: 0.5, stage: "Download", atLeast: true, remaining: 20 * time.Second}},
		"all is read, of what size":  {job.Counts{}, 0, []func(*attempt){read(-1, 4, 2), sent(2, 1), allRead}, want{expected: 4, uploads: 2, download: 1, upload: 0.5, stage: "Convert", remaining: 10 * time.Second}},
		"nothing is applied":         {job.Counts{}, 0, []func(*attempt){read(8, 4, 0)}, want{expected: 8, download: 0.5, stage: "Download"}},
		"one is applied":             {job.Counts{}, 0, []func(*attempt){read(8, 1, 1), sent(2, 1)}, want{expected: 8, uploads: 16, download: 0.125, convert: 0.125, upload: 0.0625, stage: "Download", remaining: 150 * time.Second}},
		"half is applied":            {job.Counts{}, 0, []func(*attempt){read(8, 4, 2), sent(2, 2)}, want{expected: 8, uploads: 8, download: 0.5, convert: 0.25, upload: 0.25, stage: "Download", remaining: 30 * time.Second}},
		"more came than was said":    {job.Counts{}, 0, []func(*attempt){read(4, 8, 8), sent(8, 4)}, want{expected: 8, uploads: 8, download: 1, convert: 1, upload: 0.5, stage: "Download", remaining: 10 * time.Second}},
		"what is applied came twice": {job.Counts{}, 0, []func(*attempt){read(8, 4, 6), sent(6, 6)}, want{expected: 8, uploads: 8, download: 0.5, convert: 0.5, upload: 0.75, stage: "Download", remaining: 3 * time.Second}},
		"all is queued":              {job.Counts{}, 0, []func(*attempt){read(8, 4, 4), sent(5, 2), allQueued}, want{expected: 8, uploads: 5, download: 1, convert: 1, upload: 0.4, stage: "Upload", remaining: 15 * time.Second}},
		"none is to be sent":         {job.Counts{}, 0, []func(*attempt){read(8, 8, 8), allQueued}, want{expected: 8, download: 1, convert: 1, upload: 1, stage: "Upload"}},
		"one is to be sent":          {job.Counts{}, 0, []func(*attempt){read(1, 1, 1), sent(1, 0), allQueued}, want{expected: 1, uploads: 1, download: 1, convert: 1, stage: "Upload"}},
		"more was answered":          {job.Counts{}, 0, []func(*attempt){read(8, 8, 8), sent(2, 3), allQueued}, want{expected: 8, uploads: 3, download: 1, convert: 1, upload: 1, stage: "Upload"}},
		"some was queued before":     {job.Counts{Queued: 1}, 0, []func(*attempt){read(8, 4, 4), sent(4, 1)}, want{expected: 8, uploads: 9, download: 0.5, convert: 0.5, upload: 1. / 9, stage: "Download", atLeast: true, remaining: 80 * time.Second}},
		"before, and all is queued":  {job.Counts{Queued: 1}, 0, []func(*attempt){read(8, 8, 8), sent(1, 1), allQueued}, want{expected: 8, uploads: 2, download: 1, convert: 1, upload: 0.5, stage: "Upload", remaining: 10 * time.Second}},
		"as fast as Sentinel allows": {job.Counts{}, 0.1, []func(*attempt){read(8, 8, 8), sent(4, 2), allQueued}, want{expected: 8, uploads: 4, download: 1, convert: 1, upload: 0.5, stage: "Upload", remaining: 20 * time.Second}},
		"before the first is sent":   {job.Counts{}, 0.1, []func(*attempt){read(8, 8, 8), sent(4, 0), allQueued}, want{expected: 8, uploads: 4, download: 1, convert: 1, stage: "Upload", remaining: 40 * time.Second}},
		"slower than is allowed":     {job.Counts{}, 1, []func(*attempt){read(8, 8, 8), sent(4, 2), allQueued}, want{expected: 8, uploads: 4, download: 1, convert: 1, upload: 0.5, stage: "Upload", remaining: 10 * time.Second}},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := New(Options{Mappers: noMappers{}, Logger: quiet(), Pace: c.pace})
			a := newAttempt(t.Context(), job.Job{RequestID: "x", Counts: c.before}, nil, p.disk, 0)
			p.current.Store(a)
			time.Sleep(10 * time.Second)
			for _, do := range c.done {
				do(a)
			}
			v := p.Progress()
			got := want{v.Expected, v.ExpectedUploads, v.DownloadShare, v.ConvertShare, v.UploadShare, v.ExpectsMore, v.AtLeast, v.Remaining, v.Stage}
			if got != c.want {
				t.Errorf("%s:\n%+v, not\n%+v", name, got, c.want)
			}
		})
	}
}

// How much was read counts the queries alike, the rows of one within it, and what one lacks not for another.
func TestShareOfTheQueries(t *testing.T) {
	var r reading
	wantShare := func(want float64, sized bool) {
		t.Helper()
		if e := r.present(); e.share() != want || e.isSized() != sized {
			t.Errorf("%v was read, sized %t; want %v, %t", e.share(), e.isSized(), want, sized)
		}
	}
	wantShare(0, false)
	r.beginQueries(4)
	wantShare(0, false)
	r.beginQuery()
	wantShare(0, false)
	r.setSize(1)
	r.addRead(1)
	wantShare(0.25, false)
	r.beginQuery()
	wantShare(0.25, false)
	r.setSize(4)
	r.addRead(2)
	r.addApplied(2)
	wantShare(0.375, false)
	r.beginQuery()
	r.setSize(0)
	wantShare(0.5, false)
	r.beginQuery()
	r.setSize(2)
	r.addRead(4)
	wantShare(1, true)
	if e := r.present(); e.expected != 7 || e.read != 7 || e.applied != 2 || e.unread() != 5 {
		t.Errorf("%+v", e)
	}
	r.addApplied(9)
	if n := r.present().unread(); n != 0 {
		t.Errorf("%d are unread", n)
	}
	r.setSize(-1)
	wantShare(0.75, false)
	r.setSize(3)
	wantShare(1, false) // of another it is not known
	r.beginQueries(0)
	wantShare(0, false)

	var empty reading
	empty.beginQueries(1)
	empty.beginQuery()
	empty.setSize(0)
	if e := empty.present(); !e.isSized() || e.share() != 0 {
		t.Errorf("%+v", e)
	}
}

// No stage runs backwards, whatever becomes of another.
func TestNoStageRunsBackwards(t *testing.T) {
	var f furthest
	f.advance(shares{0.5, 0.2, 0.4})
	if got := f.advance(shares{0.4, 0.3, 0.1}); got != (shares{0.5, 0.3, 0.4}) {
		t.Errorf("%+v", got)
	}
}

// The rate is that of the seconds which are over, of the last ten at most; in the first moments it is that of a second.
func TestRateOfTheLastSeconds(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	for name, c := range map[string]struct {
		at, elapsed time.Duration
		want        float64
	}{
		"within the second":     {0, time.Second, 0},
		"after half a second":   {time.Second, time.Second / 2, 100},
		"after five":            {5 * time.Second, 5 * time.Second, 20},
		"after ten":             {10 * time.Second, 10 * time.Second, 10},
		"after ten, for long":   {10 * time.Second, time.Hour, 10},
		"when it is gone":       {11 * time.Second, 11 * time.Second, 0},
		"when the place is new": {12 * time.Second, 12 * time.Second, 0},
	} {
		var r rate
		r.addCount(start, 60)
		r.addCount(start, 40)
		if got := r.perSecond(start.Add(c.at), c.elapsed); got != c.want {
			t.Errorf("%s: %v a second, not %v", name, got, c.want)
		}
	}
}

// While no update runs, the screens tell how much is left of those before, as far as it is known.
func TestLeftover(t *testing.T) {
	p := New(Options{Mappers: noMappers{}, Logger: quiet()})
	for rows, want := range map[int64]int64{5: 5, 0: 0, -3: 0} {
		p.outbox.rows.Store(rows)
		if v := p.Progress(); v != (Progress{Leftover: want}) {
			t.Errorf("%d rows: %+v", rows, v)
		}
	}
}

// ThreatConnect's silence is told from half a minute on, of Download at work.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newTask(aboutDownloader)
		wantSilence := func(want bool) {
			t.Helper()
			if said := describeSilence(d); (said != "") != want || want && !strings.Contains(said, d.active.UTC().Format("15:04:05 UTC")) {
				t.Errorf("it says %q", said)
			}
		}
		time.Sleep(time.Hour)
		wantSilence(false)
		defer d.beginWork(func(error) {})()
		time.Sleep(longSilence - time.Second)
		wantSilence(false)
		time.Sleep(time.Second)
		wantSilence(true)
		d.setPaused(true)
		wantSilence(false)
		d.setPaused(false)
		wantSilence(false)
		time.Sleep(longSilence)
		wantSilence(true)
		endWait := d.beginWait()
		wantSilence(false)
		endWait()
		wantSilence(false)
	})
}
