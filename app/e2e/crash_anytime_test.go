package e2e

import (
	"flag"
	"math/rand/v2"
	"net/http"
	"syscall"
	"testing"
	"time"

	"mssentinel/app/standin/sentinelserver"
	"mssentinel/app/standin/tcserver"
)

// go test ./app/e2e -run TestCrashesAtAnyInstant -timeout 0 -crashes 200 has as many crashes as one likes.
var (
	crashCount = flag.Int("crashes", 12, "how many times TestCrashesAtAnyInstant kills the App, at least")
	crashSeed  = flag.Uint64("crash-seed", 1, "the seed of its populations and instants; 0 draws one")
)

// crasher kills the App at random instants: in a first import, in updates of every kind, while the Cleaner works, and while it
// starts.
type crasher struct {
	*testing.T
	*rand.Rand
	w     *world
	o     *oracle
	a     *app
	began time.Time
	count int
	// longest is how long each kind of work took when it was let alone last: instants are drawn from somewhat more.
	longest map[string]time.Duration
}

func TestCrashesAtAnyInstant(t *testing.T) {
	t.Parallel()
	seed := *crashSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("go test ./app/e2e -run %s -crashes %d -crash-seed %d draws the same populations, and instants as near as clocks are", t.Name(), *crashCount, seed)
	longest := map[string]time.Duration{"start": 400 * time.Millisecond, "clean": 30 * time.Millisecond, "full": time.Second,
		"delta": 200 * time.Millisecond, "reconcile": 300 * time.Millisecond}
	for total, round := 0, uint64(0); total < *crashCount && !t.Failed(); round++ {
		t.Run("round", func(t *testing.T) {
			c := &crasher{T: t, Rand: rand.New(rand.NewPCG(seed, round)), longest: longest}
			c.runRound()
			total += c.count
			t.Logf("%d crashes", total)
		})
	}
}

// runRound begins with nothing, and compares everything with the oracle after each kind of work.
func (c *crasher) runRound() {
	population := 1 + c.Uint64N(1000)
	c.Logf("population %d", population)
	p := tcserver.Generate(3000, population, time.Now().Add(-time.Hour))
	c.w = newWorld(c.T, p, sentinelserver.Options{Limit: sentinelserver.Unlimited, Keep: sentinelserver.KeepObjects})
	c.w.env["upload_url"] = serve(c.T, answersLate(c.w.cloud, 50*time.Millisecond))
	c.o, c.began = newOracle(c.T, c.w.tc, overlapping(p)), time.Now()
	c.a = c.w.start()
	c.a.save(c.o.queries)
	var first job
	c.a.eventually("the first job", func() bool {
		first = c.a.newest()
		return first.RequestID != ""
	})
	c.crashDuring("full", first.RequestID, 3)
	c.crashStarting()
	for _, mode := range []string{"delta", "reconcile", "full"} {
		c.o.edit().everything()
		c.crashDuring(mode, c.a.submit(mode).RequestID, 2)
		c.crashCleaning()
	}
	if n := c.o.holds(c.a, c.w, c.a.update("delta").mustComplete(c.T), c.began); n.uploaded+n.retired > 0 {
		c.Errorf("a delta update after all crashes sent %+v", n)
	}
}

// crashDuring kills the App so many times while a job is under way, starts it again, and has the job end.
func (c *crasher) crashDuring(mode, requestID string, times int) {
	c.Helper()
	crashes := 0
	for range times {
		c.pause(c.longest[mode])
		if c.a.job(requestID).over() {
			break
		}
		c.crash()
		crashes++
		c.a = c.w.start()
	}
	alone := time.Now()
	j := c.a.await(requestID).mustComplete(c.T)
	c.longest[mode] = min(max(time.Since(alone), 200*time.Millisecond), 5*time.Second)
	c.o.recovered(c.a, c.w, j, c.began, crashes)
}

// crashStarting kills the App before it may have answered, and compares.
func (c *crasher) crashStarting() {
	c.Helper()
	c.a.stop()
	for range 2 {
		c.a = c.w.launch()
		c.pause(c.longest["start"])
		c.crash()
	}
	began := time.Now()
	c.a = c.w.start()
	c.longest["start"] = time.Since(began)
	c.o.compare(c.w.cloud, c.began)
}

// crashCleaning kills the App while the Cleaner works, and compares.
func (c *crasher) crashCleaning() {
	c.Helper()
	c.a.do(http.MethodPut, "api/task/cleaner?run=true", nil, nil)
	c.pause(c.longest["clean"])
	c.crash()
	c.a = c.w.start()
	c.o.compare(c.w.cloud, c.began)
}

// pause ends at a random instant within d.
func (c *crasher) pause(d time.Duration) {
	<-time.After(time.Duration(c.Int64N(int64(d))))
}

// crash kills the App alone, whose mappers die with it, all of them at once, or the mappers a moment before.
func (c *crasher) crash() {
	c.Helper()
	if victims := c.IntN(3); victims > 0 {
		for _, mapper := range c.a.children() {
			syscall.Kill(mapper, syscall.SIGKILL) //nolint:errcheck // it may be gone already
		}
		if victims == 2 {
			c.pause(20 * time.Millisecond)
		}
	}
	c.a.crash()
	c.count++
}
