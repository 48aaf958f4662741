package pipeline

import (
	"fmt"
	"strings"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/sentinel"
)

// Progress is the state of the attempt that runs; an empty RequestID means that none does.
// Expected and Downloaded count the ThreatConnect indicators that this attempt reads, whatever earlier ones read; the rest
// counts STIX objects of the job.
type Progress struct {
	RequestID string
	Mode      job.Mode
	Ranged    bool
	// Started is when the attempt began.
	Started time.Time
	Stage   string
	// Expected is how many indicators the queries have that were begun; ExpectsMore says that others were not begun, or that
	// ThreatConnect did not say.
	Expected    int64
	ExpectsMore bool
	Downloaded  int64
	// Converted are the objects that were made, Known the indicators that are as the ledger knows them, so that none had to be.
	Converted, Known int64
	Queued           int64
	Uploaded         int64
	// ExpectedUploads is how many objects are uploaded in all, as far as it can be told; 0 while it is not known. Until
	// everything is queued it is an estimate.
	ExpectedUploads int64
	AllQueued       bool
	// DownloadShare, ConvertShare and UploadShare are how far each stage is, from 0 to 1. None becomes smaller while an attempt
	// lasts. UploadShare says nothing while ExpectedUploads is 0.
	DownloadShare, ConvertShare, UploadShare float64
	// Rate is in objects a second.
	Rate float64
	// WaitUntil is zero where it is not known how long the job waits.
	WaitUntil  time.Time
	WaitReason string
	// Blocked says in a sentence why nothing can be told of the time left: somebody else has to act or to answer first. It is ""
	// while Sentinel's limit alone makes the job wait.
	Blocked string
	// Remaining is 0 while it is unknown; AtLeast says that more may come.
	Remaining time.Duration
	AtLeast   bool
	// Leftover is how many objects of updates that have ended are still being uploaded, about, while no attempt runs.
	Leftover int64
}

// Progress tells how far the job in hand is.
func (p *Pipeline) Progress() Progress {
	a := p.current.Load()
	if a == nil {
		return Progress{Leftover: max(0, p.outbox.rows.Load())}
	}
	queued := isClosed(a.allQueued) // before anything is counted: it is all there then
	read := a.reading.present()
	v := Progress{RequestID: a.job.RequestID, Mode: a.job.Mode, Ranged: a.job.Ranged, Started: a.started, Stage: a.presentStage(),
		Expected: max(read.expected, read.read), ExpectsMore: !read.isSized() && !a.allRead.Load(), Downloaded: read.read,
		Converted: a.converted.Load(), Known: a.known.Load(), Uploaded: a.uploaded.Load(), Queued: a.queued.Load(), AllQueued: queued,
		Rate: a.rate.perSecond(time.Now(), a.elapsedTime())}
	v.ExpectedUploads = expectUploads(a, v, read)
	v.addShares(a, read)
	if v.WaitUntil, v.WaitReason = p.uploader.waits.presentWait(); v.WaitReason == "" {
		v.WaitReason = describeSilence(p.downloader.task)
	}
	v.Blocked = p.describeBlock(v.WaitReason)
	if v.Blocked == "" {
		v.Remaining = timeLeft(a, v, read, p.Pace)
		v.AtLeast = v.ExpectsMore || a.queuedBefore > 0 && !queued
	}
	return v
}

// describeBlock says what nothing of the pipeline's can end.
func (p *Pipeline) describeBlock(wait string) string {
	var paused []string
	for _, t := range []*task{p.downloader.task, p.converter.task, p.uploader.task} {
		if t.isPaused() {
			paused = append(paused, t.about.Name)
		}
	}
	switch {
	case len(paused) == 1:
		return paused[0] + " is paused"
	case len(paused) > 1:
		last := len(paused) - 1
		return strings.Join(paused[:last], ", ") + " and " + paused[last] + " are paused"
	case p.disk.presentFault() != "":
		return "The database cannot be written"
	case wait != "" && !strings.HasPrefix(wait, sentinel.LimitReached):
		return wait
	}
	return ""
}

// expectUploads is how many objects the job uploads in all, 0 while that cannot be told. What was not read yet is taken to give
// as much as what was.
func expectUploads(a *attempt, v Progress, read extent) int64 {
	switch {
	case v.AllQueued:
		return max(v.Queued, v.Uploaded)
	case !read.isSized() && !a.allRead.Load() || read.applied == 0:
		return 0
	}
	coming := float64(read.unread()) * float64(v.Queued-a.queuedBefore) / float64(read.applied)
	return max(v.Queued+int64(coming), v.Uploaded)
}

// addShares says how far each stage is.
func (v *Progress) addShares(a *attempt, read extent) {
	download, convert, upload := read.share(), 0.0, 0.0
	if read.read > 0 {
		convert = download * min(1, float64(read.applied)/float64(read.read))
	}
	if a.allRead.Load() {
		download = 1
	}
	if v.AllQueued {
		download, convert, upload = 1, 1, 1
	}
	if v.ExpectedUploads > 0 {
		upload = float64(v.Uploaded) / float64(v.ExpectedUploads)
	}
	far := a.furthest.advance(shares{download, convert, upload})
	v.DownloadShare, v.ConvertShare, v.UploadShare = far.download, far.convert, far.upload
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
func timeLeft(a *attempt, v Progress, read extent, limit float64) time.Duration {
	left := float64(v.Queued - v.Uploaded)
	if read.applied > 0 && !v.AllQueued {
		left += float64(read.unread()) * float64(v.Queued-a.queuedBefore) / float64(read.applied)
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
