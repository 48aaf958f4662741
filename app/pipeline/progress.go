package pipeline

import (
	"fmt"
	"time"
)

// Progress is the state of the job that runs; an empty RequestID means that none does.
// Expected and Downloaded count ThreatConnect indicators, the rest STIX objects.
type Progress struct {
	RequestID  string
	Stage      string
	Expected   int64
	Downloaded int64
	Converted  int64
	Queued     int64
	Uploaded   int64
	// Rate is in objects a second.
	Rate float64
	// WaitUntil is zero where it is not known how long the job waits.
	WaitUntil  time.Time
	WaitReason string
	// Remaining is 0 while it is unknown.
	Remaining time.Duration
}

// Progress tells how far the job in hand is.
func (p *Pipeline) Progress() Progress {
	a := p.current.Load()
	if a == nil {
		return Progress{}
	}
	v := Progress{RequestID: a.job.RequestID, Stage: a.presentStage(),
		Expected: a.expected.Load(), Downloaded: a.downloaded.Load(),
		Converted: a.converted.Load(), Queued: a.queued.Load(), Uploaded: a.uploaded.Load(),
		Rate: a.rate.perSecond(time.Now(), a.elapsedTime())}
	if v.WaitUntil, v.WaitReason = p.uploader.waits.presentWait(); v.WaitReason == "" {
		v.WaitReason = describeSilence(p.downloader.task)
	}
	v.Remaining = timeLeft(a, v, p.Pace)
	return v
}

// longSilence is how long ThreatConnect may take to answer before the screens say so.
const longSilence = 30 * time.Second

// describeSilence says that ThreatConnect has given no answer of use for a while: nothing else keeps Download from a
// sign of life.
func describeSilence(download *task) string {
	since := download.silentSince()
	if since.IsZero() || time.Since(since) < longSilence {
		return ""
	}
	return fmt.Sprintf("ThreatConnect has not answered since %s; it is asked again and again",
		since.UTC().Format("15:04:05 UTC"))
}

// presentStage is the first one that is not complete.
func (a *attempt) presentStage() string {
	switch {
	case isClosed(a.allQueued):
		return "Upload"
	case a.allRead.Load():
		return "Convert"
	}
	return "Download"
}

// timeLeft estimates the time left from the pace of the upload so far, which includes its waits, and never promises
// more than the wait at hand and limit, in objects a second (0 for none), allow. It is 0 while there is nothing to go
// by.
func timeLeft(a *attempt, v Progress, limit float64) time.Duration {
	left := float64(v.Queued - v.Uploaded)
	if unread := v.Expected - v.Downloaded; unread > 0 && v.Downloaded > 0 && !isClosed(a.allQueued) {
		left += float64(unread) * float64(v.Queued) / float64(v.Downloaded)
	}
	pace := float64(v.Uploaded-a.uploadedBefore) / max(1, a.elapsedTime().Seconds())
	if limit > 0 && (pace == 0 || pace > limit) {
		pace = limit
	}
	if left <= 0 || pace == 0 {
		return 0
	}
	return max(time.Duration(left/pace*float64(time.Second)), time.Until(v.WaitUntil)).Round(time.Second)
}

// Trouble is what stands on every screen while the database cannot be written, or "".
func (p *Pipeline) Trouble() string { return p.disk.describeTrouble() }
