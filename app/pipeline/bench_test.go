package pipeline

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/standin/sentinelserver"
	"mssentinel/app/standin/tcserver"
	"mssentinel/app/store"
)

// BenchmarkFullUpdate is a first full update of a generated population, without a limit, over all that runs in this process:
// stand-ins, clients, mappers (without their processes), pipeline and store.
func BenchmarkFullUpdate(b *testing.B) {
	const n = 100_000
	population := tcserver.Generate(n, 1, time.Now())
	for b.Loop() {
		w := newWorld(b, func(w *world) {
			w.keep = sentinelserver.KeepHashes
			w.tc = tcserver.New(tcserver.Options{Population: population})
		})
		var q store.Query
		for _, o := range w.tc.Owners() {
			q.Owners = append(q.Owners, o.Name)
		}
		for name := range w.mappers.types {
			q.Types = append(q.Types, name)
		}
		q.SortField, q.SortDirection = "lastModified", "DESC"
		began, cpu := time.Now(), cpuTime()
		w.saveOnly(job.Full, q)
		var j job.Job
		for j.Status != job.UploadComplete {
			time.Sleep(20 * time.Millisecond)
			jobs, _, err := w.store.Jobs(context.Background(), store.JobFilter{Limit: 1})
			w.must(err)
			if len(jobs) > 0 {
				j = jobs[0]
			}
			if j.Status == job.Failed || j.FailureCount > 0 {
				b.Fatal(j.Message)
			}
		}
		objects := float64(j.Uploaded)
		b.ReportMetric(objects/time.Since(began).Seconds(), "objects/s")
		b.ReportMetric((cpuTime()-cpu).Seconds()*1e6/objects, "cpu-µs/object")
		size, err := os.Stat(filepath.Join(w.dir, store.FileName))
		w.must(err)
		b.ReportMetric(float64(size.Size())/objects, "db-bytes/object")
		b.Logf("%+v", j.Counts)
	}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
