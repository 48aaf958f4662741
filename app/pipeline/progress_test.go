package pipeline

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
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
		r.countUploaded(rowsOf(store.Settlement{Accepted: make([]store.Outgoing, 20)}, r.job.Number))
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
