package pipeline

import (
	"testing"
	"testing/synctest"
	"time"

	"mssentinel/app/job"
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
		r.addExpected(1000)
		r.downloaded.Store(100)
		r.queued.Add(200)
		// 200 queued objects and 900 indicators at three objects (100 of before included) each, at 100 a second.
		if got := p.Progress().Remaining; got != 29*time.Second {
			t.Errorf("remaining %v", got)
		}
		time.Sleep(10 * time.Second)
		r.countUploaded(rowsOf(store.Settlement{Accepted: make([]store.Outgoing, 20)}, r.job.Number))
		if v := p.Progress(); v.Uploaded != 120 || v.Stage != "Download" || v.Remaining < 20*time.Minute {
			t.Errorf("at 2 a second: %+v", v)
		}
		close(r.allQueued)
		if v := p.Progress(); v.Stage != "Upload" || v.Remaining != 90*time.Second {
			t.Errorf("180 objects at 2 a second: %+v", v)
		}
		p.uploader.waits.setWait(time.Now().Add(2*time.Minute), "Sentinel is out of order")
		if v := p.Progress(); v.Remaining != 2*time.Minute {
			t.Errorf("less time left than there is to wait: %+v", v)
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
