package e2e

import (
	"flag"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"mssentinel/app/standin/disk"
	"mssentinel/app/standin/sentinelserver"
	"mssentinel/app/standin/tcserver"
)

// go test ./app/e2e -run TestPowerCutsOfTheApp -timeout 0 -power-cuts 200 has as many power cuts as one likes.
var (
	powerCutCount = flag.Int("power-cuts", 6, "how many power cuts TestPowerCutsOfTheApp emulates, at least")
	powerCutSeed  = flag.Uint64("power-cut-seed", 0, "the seed of its populations and instants; 0 draws one")
)

// powerCutter cuts the power of the App at random instants of an update.
type powerCutter struct {
	*crasher
	library string
	disk    *disk.Disk
	// lost is how many objects the processes that were cut in this update had sent: what the disk forgot of them is sent again.
	// accepted is what Sentinel had taken when the present process began.
	lost, accepted int
	// connections are those to Sentinel that are open.
	connections atomic.Int64
}

// After a power cut the App goes on from what its disk holds: what was not synced is missing in part or altogether, saved
// queries and whole updates included. These are asked for again; then everything is exact, and nothing is sent again but what
// the process that was cut had sent. After an orderly end nothing at all is missing.
func TestPowerCutsOfTheApp(t *testing.T) {
	t.Parallel()
	seed := *powerCutSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("go test ./app/e2e -run %s -power-cuts %d -power-cut-seed %d draws the same populations, and instants as near as clocks are", t.Name(), *powerCutCount, seed)
	dir := linkDynamically(t)
	library := filepath.Join(t.TempDir(), "powercut.so")
	if err := disk.Compile(library); err != nil {
		t.Fatal(err)
	}
	longest := map[string]time.Duration{"full": time.Second, "delta": 200 * time.Millisecond, "reconcile": 300 * time.Millisecond}
	for total, round := 0, uint64(0); total < *powerCutCount && !t.Failed(); round++ {
		t.Run("round", func(t *testing.T) {
			c := &powerCutter{crasher: &crasher{T: t, Rand: rand.New(rand.NewPCG(seed, round)), longest: longest}, library: library}
			c.runRound(dir)
			total += c.count
			t.Logf("%d power cuts", total)
		})
	}
}

// linkDynamically makes a folder with the executables of the package, but with an App that uses the C library of the machine:
// the same program, whose calls can be noted.
func linkDynamically(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(executables(t))); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "app")); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "app"), "mssentinel/app").CombinedOutput(); err != nil {
		t.Fatalf("building the App: %v: %s", err, out)
	}
	return dir
}

func (c *powerCutter) runRound(dir string) {
	p := tcserver.Generate(3000, 1+c.Uint64N(1000), time.Now().Add(-time.Hour))
	c.w = newWorld(c.T, p, sentinelserver.Options{Limit: sentinelserver.Unlimited, Keep: sentinelserver.KeepObjects})
	c.w.dir = dir
	c.w.env["upload_url"] = c.serveCounted(answersLate(c.w.cloud, 50*time.Millisecond))
	c.o, c.began = newOracle(c.T, c.w.tc, overlapping(p)), time.Now()
	c.start()
	c.cutDuring("full", "", 2)
	for _, mode := range []string{"delta", "reconcile", "full"} {
		c.restart()
		c.o.edit().everything()
		c.cutDuring(mode, c.a.submit(mode).RequestID, 2)
	}
	c.restart()
	if n := c.o.holds(c.a, c.w, c.a.update("delta").mustComplete(c.T), c.began); n.uploaded+n.retired > 0 {
		c.Errorf("a delta update after all power cuts sent %+v", n)
	}
}

// serveCounted serves, and counts the connections that are open.
func (c *powerCutter) serveCounted(h http.Handler) string {
	s := httptest.NewUnstartedServer(h)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			c.connections.Add(1)
		case http.StateClosed, http.StateHijacked:
			c.connections.Add(-1)
		}
	}
	s.Start()
	c.Cleanup(s.Close)
	return s.URL
}

// start starts the App on what the disk holds.
func (c *powerCutter) start() {
	c.Helper()
	d, err := disk.New(c.w.state, filepath.Join(c.TempDir(), strconv.Itoa(c.count)+".steps"), c.library)
	if err != nil {
		c.Fatal(err)
	}
	c.disk, c.w.also = d, d.Env(-1)
	c.accepted = c.w.cloud.Stats().Accepted
	c.a = c.w.start()
}

// restart ends the App in good order, and the power goes right after.
func (c *powerCutter) restart() {
	c.Helper()
	c.a.stop()
	c.drop(0)
	c.start()
}

// drop has the disk forget what was not synced.
func (c *powerCutter) drop(kept float64) {
	c.Helper()
	if err := c.disk.Cut(c.Rand, kept); err != nil {
		c.Fatal(err)
	}
}

// cut is a power cut.
func (c *powerCutter) cut() {
	c.Helper()
	c.a.crash()
	c.a.eventually("Sentinel to have taken what had been sent when the power went", func() bool { return c.connections.Load() == 0 })
	c.lost += c.w.cloud.Stats().Accepted - c.accepted
	c.drop([]float64{0, 0.3, 0.9, 0.999, 1}[c.IntN(5)])
	c.count++
}

// cutDuring cuts the power so many times while an update is under way, and has it end. The operator asks again for what is lost.
func (c *powerCutter) cutDuring(mode, requestID string, times int) {
	c.Helper()
	c.lost = 0
	requestID = c.askAgain(mode, requestID)
	for range times {
		c.pause(c.longest[mode])
		if c.a.job(requestID).over() {
			break
		}
		c.cut()
		c.start()
		requestID = c.askAgain(mode, requestID)
	}
	alone := time.Now()
	j := c.a.await(requestID).mustComplete(c.T)
	c.longest[mode] = min(max(time.Since(alone), 200*time.Millisecond), 5*time.Second)
	c.o.recoveredWithin(c.a, c.w, j, c.began, c.lost)
}

// askAgain saves the queries and submits the update where the disk has forgotten them, and returns the request ID of the update
// that is under way, or over. Only one ever is.
func (c *powerCutter) askAgain(mode, requestID string) string {
	c.Helper()
	var saved struct{ Count int }
	c.a.do(http.MethodGet, "api/tql-config", nil, &saved)
	if saved.Count == 0 {
		c.a.save(c.o.queries)
	}
	var newest job
	c.a.eventually("the first job, which the App makes by itself", func() bool {
		newest = c.a.newest()
		return newest.RequestID != ""
	})
	first := len(c.o.entries) == 0
	if first || newest.RequestID == requestID || !newest.over() {
		return newest.RequestID
	}
	return c.a.submit(mode).RequestID
}
