package e2e

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httputil"
	neturl "net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"mssentinel/app/standin/daemon"
	"mssentinel/app/standin/sentinelserver"
	"mssentinel/app/standin/tcplatform"
	"mssentinel/app/standin/tcserver"
)

// onPlatform starts a platform, with the world's ThreatConnect and Sentinel around it, and its Service with the real package.
func (w *world) onPlatform(o tcplatform.Options, s tcplatform.ServiceOptions) (*tcplatform.Platform, *tcplatform.Service) {
	w.t.Helper()
	if o.API == nil {
		o.API = w.tc
	}
	o.HeartbeatEvery, o.HeartbeatTimeout, o.RestartPause = 500*time.Millisecond, 10*time.Second, 100*time.Millisecond
	for _, name := range []string{"authority_url", "upload_url", "log_analytics_url", "upload_requests_per_minute"} {
		o.Environ = append(o.Environ, "MS_SENTINEL_"+strings.ToUpper(name)+"="+w.env[name])
	}
	p, err := tcplatform.Start(o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := p.Close(); err != nil {
			w.t.Error(err)
		}
	})
	path := os.Getenv("MS_SENTINEL_PACKAGE")
	if path == "" {
		path = filepath.Join("..", "..", "target", "TCVA_-_Microsoft_Sentinel_v1.tcx")
	}
	app, err := p.Install(path)
	if err != nil {
		w.t.Fatalf("%v; run ./package.sh build", err)
	}
	return p, w.service(p, app, s)
}

// service adds a Service with the world's parameters, changed by those of s.
func (w *world) service(p *tcplatform.Platform, app *tcplatform.App, o tcplatform.ServiceOptions) *tcplatform.Service {
	w.t.Helper()
	changes := o.Parameters
	o.Parameters = map[string]string{}
	for _, parameter := range app.Manifest.Params {
		if value, set := w.env[parameter.Name]; set {
			o.Parameters[parameter.Name] = value
		}
	}
	for name, value := range changes {
		o.Parameters[name] = value
	}
	s, err := p.AddService(app, o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.state, w.logs = s.Folder(), s.Folder() // nothing there may hold a secret
	w.t.Cleanup(func() {
		if w.t.Failed() {
			w.t.Logf("log of %s:\n%s", s.URL(), strings.Join(s.LogTail(40), "\n"))
		}
		if strays := s.Status().Strays; len(strays) > 0 {
			w.t.Errorf("the App broke the protocol: %q", strays)
		}
	})
	return s
}

// turnOn returns the Service as something to call, once it is Ready.
func (w *world) turnOn(s *tcplatform.Service) *app {
	w.t.Helper()
	if err := s.TurnOn(); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	if err := s.WaitRunning(ctx); err != nil {
		w.t.Fatal(err)
	}
	return &app{t: w.t, url: s.URL()}
}

// wait waits for a status.
func wait(t *testing.T, s *tcplatform.Service, wanted func(tcplatform.Status) bool) tcplatform.Status {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	status, err := s.Wait(ctx, wanted)
	if err != nil {
		t.Fatal(err)
	}
	return status
}

// Updates by a Service on the platform bring into Sentinel what the oracle says: over the embedded
// broker and store, over real ones with everything that can be asked for, and over the REST store.
func TestServiceAgreesWithTheOracle(t *testing.T) {
	secure, err := tcplatform.NewCertificates(t.TempDir(), true)
	if err != nil {
		t.Fatal(err)
	}
	for name, options := range map[string]func(t *testing.T) tcplatform.Options{
		"embedded":      func(*testing.T) tcplatform.Options { return tcplatform.Options{} },
		"key-value API": func(*testing.T) tcplatform.Options { return tcplatform.Options{KeyValueAPI: true} },
		"real": func(t *testing.T) tcplatform.Options {
			o, _, _ := realServices(t, secure)
			return o
		},
	} {
		t.Run(name, func(t *testing.T) {
			population := population(t)
			w := newWorld(t, population, sentinelserver.Options{Limit: sentinelserver.Unlimited, Keep: sentinelserver.KeepObjects})
			o := newOracle(t, w.tc, overlapping(population))
			_, s := w.onPlatform(options(t), tcplatform.ServiceOptions{})
			a := w.turnOn(s)
			began := time.Now()
			a.save(o.queries)
			o.holds(a, w, a.first().mustComplete(t), began)
			o.holds(a, w, a.update("delta").mustComplete(t), began)
			o.holds(a, w, a.update("full").mustComplete(t), began)
			s.TurnOff()
			if status := s.Status(); status.Exit.Code != 0 || status.Received["Ready"] != 1 || status.Restarts != 0 {
				t.Errorf("got %+v %+v", status, status.Exit)
			}
		})
	}
}

// realServices starts Mosquitto and Redis for a platform.
func realServices(t *testing.T, certificates *tcplatform.Certificates) (o tcplatform.Options, broker, store *daemon.Daemon) {
	t.Helper()
	broker, brokerAt, err := daemon.Mosquitto(t.TempDir(), certificates)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Stop)
	store, storeAt, err := daemon.Redis(t.TempDir(), certificates)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Stop)
	return tcplatform.Options{Broker: brokerAt, Store: storeAt}, broker, store
}

// A hundred requests at once come through a real broker and a real store while an update runs, and both may go away for a while
// in the middle of requests and of the update: what stands in Sentinel in the end is what the oracle says.
func TestRealBrokerUnderLoad(t *testing.T) {
	secure, err := tcplatform.NewCertificates(t.TempDir(), true)
	if err != nil {
		t.Fatal(err)
	}
	options, broker, store := realServices(t, secure)
	population := population(t)
	w := newWorld(t, population, sentinelserver.Options{Limit: sentinelserver.Unlimited, Keep: sentinelserver.KeepObjects})
	o := newOracle(t, w.tc, overlapping(population))
	held := newHeldCounts(w.tc)
	options.API = held
	_, s := w.onPlatform(options, tcplatform.ServiceOptions{})
	a := w.turnOn(s)
	began := time.Now()
	// Sentinel is slow until the broker was away, so that the update is under way.
	if err := w.cloud.Inject(sentinelserver.Fault{Kind: sentinelserver.Slow, Seconds: 1, Count: -1}); err != nil {
		t.Fatal(err)
	}
	a.save(o.queries)

	before := s.Status().Received["Acknowledged/RunService"]
	var group sync.WaitGroup
	for i := range 100 {
		group.Go(func() {
			want := "no-such-job-" + strconv.Itoa(i)
			said, err := a.call(http.MethodGet, "ui/jobs?request_id="+want, nil)
			if err != nil || said.status != http.StatusOK || !strings.Contains(string(said.body), `value="`+want+`"`) {
				t.Errorf("request %d: %d, %v: %.200s", i, said.status, err, said.body)
			}
		})
	}
	group.Wait()
	if got := s.Status().Received["Acknowledged/RunService"] - before; got != 100 {
		t.Errorf("100 requests got %d acknowledgements", got)
	}

	loseBrokerAndStore(a, held, broker, store, o.queries[0])
	beats := s.Status().Received["Heartbeat"]
	wait(t, s, func(status tcplatform.Status) bool { return status.Received["Heartbeat"] > beats+1 })
	w.cloud.ClearFaults()
	o.holds(a, w, a.first().mustComplete(t), began)
	if status := s.Status(); status.Received["Ready"] != 1 || status.Restarts != 0 {
		t.Errorf("got %+v", status)
	}
}

// heldCounts is a ThreatConnect that answers what is asked with the rating 2.125, or 2.375, once that is let go.
type heldCounts struct {
	http.Handler
	waiting      atomic.Int32
	early, later chan struct{}
}

func newHeldCounts(h http.Handler) *heldCounts {
	return &heldCounts{Handler: h, early: make(chan struct{}), later: make(chan struct{})}
}

func (h *heldCounts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for rating, letGo := range map[string]chan struct{}{"2.125": h.early, "2.375": h.later} {
		if strings.Contains(r.URL.RawQuery, rating) {
			h.waiting.Add(1)
			select {
			case <-letGo:
			case <-r.Context().Done():
			}
		}
	}
	h.Handler.ServeHTTP(w, r)
}

// loseBrokerAndStore takes both away while the App works on sixteen requests. Half of them it is done with while they are away,
// and says so as soon as it can; the others do not notice.
func loseBrokerAndStore(a *app, held *heldCounts, broker, store *daemon.Daemon, q query) {
	a.t.Helper()
	var group sync.WaitGroup
	for i := range 16 {
		early, q := i%2 == 0, q
		q.TQL = "rating > 2.375"
		if early {
			q.TQL = "rating > 2.125"
		}
		group.Go(func() {
			said, err := a.call(http.MethodPost, "api/tql-config/test", q)
			answered := said.status == http.StatusOK || early && said.status >= http.StatusInternalServerError && said.message() != ""
			if err != nil || !answered {
				a.t.Errorf("%s: %d %s, %v", q.TQL, said.status, said.body, err)
			}
		})
	}
	a.eventually("requests under way", func() bool { return held.waiting.Load() == 16 })
	broker.Stop()
	store.Stop()
	close(held.early)
	<-time.After(time.Second) // how long they are away
	for _, d := range []*daemon.Daemon{store, broker} {
		if err := d.Start(); err != nil {
			a.t.Fatal(err)
		}
	}
	close(held.later)
	group.Wait()
}

// links are the relative addresses that a page refers to.
var links = regexp.MustCompile(`(?:href|src|action)="([^"#]+)"`)

// Every screen, and every file that a screen needs, comes through the front under whatever path the Service has.
func TestScreensThroughTheFront(t *testing.T) {
	population := population(t)
	w := newWorld(t, population, sentinelserver.Options{Limit: sentinelserver.Unlimited, Keep: sentinelserver.KeepHashes})
	for _, path := range []string{"ms_sentinel", "another.path_2"} {
		_, s := w.onPlatform(tcplatform.Options{Seed: uint64(len(path))}, tcplatform.ServiceOptions{Path: path})
		a := w.turnOn(s)
		a.save(overlapping(population)[:1])
		a.first().mustComplete(t)
		for range 5 { // the root is told in different ways
			for _, root := range []string{s.URL(), s.URL() + "/"} {
				if page, at := get(t, root); !strings.Contains(page, "CONFIGURE") || at != s.URL()+"/ui/" {
					t.Errorf("%s led to %s", root, at)
				}
			}
		}
		seen := map[string]bool{}
		unread := []string{s.URL() + "/ui/", s.URL() + "/ui/jobs", s.URL() + "/ui/tasks", s.URL() + "/ui/report", s.URL() + "/ui/edit"}
		for len(unread) > 0 {
			address := unread[0]
			unread = unread[1:]
			if seen[address] {
				continue
			}
			seen[address] = true
			page, at := get(t, address)
			base, err := neturl.Parse(at)
			if err != nil {
				t.Fatal(err)
			}
			for _, match := range links.FindAllStringSubmatch(page, -1) {
				target, err := base.Parse(strings.ReplaceAll(match[1], "&amp;", "&"))
				if err != nil || strings.HasPrefix(match[1], "/") || strings.Contains(match[1], "://") {
					t.Errorf("%s refers to %s, which leads out of the Service", address, match[1])
					continue
				}
				if !strings.HasPrefix(target.String(), s.URL()+"/") {
					t.Errorf("%s refers to %s, which is %s", address, match[1], target)
				}
				unread = append(unread, target.String())
			}
		}
		if len(seen) < 10 {
			t.Errorf("only %d addresses were found: %v", len(seen), seen)
		}
		s.TurnOff()
	}
}

// get follows redirects and returns what it found and where.
func get(t *testing.T, address string) (page, at string) {
	t.Helper()
	response, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("%s: %d, %v: %.200s", address, response.StatusCode, err, data)
	}
	if response.Header.Get("Content-Type") == "" {
		t.Errorf("%s has no content type", address)
	}
	return string(data), response.Request.URL.String()
}

// Two Services with different paths and sources do not get in each other's way.
func TestTwoServices(t *testing.T) {
	population := population(t)
	w := newWorld(t, population, sentinelserver.Options{Limit: sentinelserver.Unlimited, Keep: sentinelserver.KeepObjects})
	p, one := w.onPlatform(tcplatform.Options{}, tcplatform.ServiceOptions{})
	two := w.service(p, one.App, tcplatform.ServiceOptions{Name: "Other", Path: "ms_sentinel_other", Parameters: map[string]string{"sentinel_source_name": "Other"}})
	var group sync.WaitGroup
	for _, s := range []*tcplatform.Service{one, two} {
		a := w.turnOn(s)
		a.save(overlapping(population))
		group.Go(func() {
			if j := a.first(); j.Status != "Upload Complete" {
				t.Errorf("%s: the job is %s: %s", s.URL(), j.Status, j.Message)
			}
		})
	}
	group.Wait()
	ones, twos := w.cloud.Objects(source), w.cloud.Objects("ThreatConnect-Other")
	if len(ones) == 0 || !slices.Equal(sortedKeys(ones), sortedKeys(twos)) {
		t.Errorf("Sentinel holds %d objects of the one and %d of the other", len(ones), len(twos))
	}
}

func sortedKeys(objects map[string]json.RawMessage) []string {
	var keys []string
	for key := range objects {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// A Service that is turned off while it uploads ends at once and in order; turned on again it goes on where it was, and nothing was
// sent twice.
func TestTurnedOffInMidUpload(t *testing.T) {
	population := population(t)
	w := newWorld(t, population, sentinelserver.Options{Limit: sentinelserver.Unlimited, Keep: sentinelserver.KeepObjects})
	o := newOracle(t, w.tc, overlapping(population))
	_, s := w.onPlatform(tcplatform.Options{}, tcplatform.ServiceOptions{})
	a := w.turnOn(s)
	if err := w.cloud.Inject(sentinelserver.Fault{Kind: sentinelserver.Slow, Seconds: 0.5, Count: -1}); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	a.save(o.queries)
	a.eventually("uploads", func() bool { return w.cloud.RequestCount() >= 10 })
	id := a.newest().RequestID
	asked := time.Now()
	s.TurnOff()
	if took := time.Since(asked); took > 6*time.Second {
		t.Errorf("it took %v", took)
	}
	if exit := s.Status().Exit; exit.Code != 0 || exit.Output != "" || exit.Message != "The Service ended in order." {
		t.Errorf("got %+v", exit)
	}
	w.cloud.ClearFaults()
	a = w.turnOn(s)
	j := a.await(id).mustComplete(t)
	if again := a.newest(); again.RequestID != id {
		t.Errorf("a new job took over: %+v", again)
	}
	o.holds(a, w, j, began)
}

// Something else than the platform ends the Service: its exit code says so, except after SIGHUP, as that of the vendor's
// own Apps does.
func TestEndedByASignal(t *testing.T) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP) // under nohup the Service would inherit that it is ignored
	defer signal.Stop(hangup)
	w := newWorld(t, population(t), sentinelserver.Options{})
	for told, code := range map[syscall.Signal]int{syscall.SIGTERM: 1, syscall.SIGINT: 1, syscall.SIGHUP: 0} {
		_, s := w.onPlatform(tcplatform.Options{RestartFailures: true}, tcplatform.ServiceOptions{})
		w.turnOn(s)
		if err := syscall.Kill(s.Status().PID, told); err != nil {
			t.Fatal(err)
		}
		status := wait(t, s, func(status tcplatform.Status) bool { return status.Exit != nil })
		want := "The Service ended in order."
		if code == 1 {
			want = "the Service was ended by a signal (" + told.String() + "), and not by ThreatConnect"
		}
		if status.Exit.Code != code || status.Exit.Message != want || status.Received["Acknowledged/Shutdown"] != 1 {
			t.Errorf("%v: got %+v %+v", told, status, status.Exit)
		}
	}
}

// A Service that hears no heartbeats ends; the platform starts it again, and the update goes on.
func TestHeartbeatsMissedInMidUpload(t *testing.T) {
	population := population(t)
	w := newWorld(t, population, sentinelserver.Options{Limit: sentinelserver.Unlimited, Keep: sentinelserver.KeepObjects})
	o := newOracle(t, w.tc, overlapping(population))
	_, s := w.onPlatform(tcplatform.Options{}, tcplatform.ServiceOptions{Inputs: map[string]string{"tc_svc_hb_timeout_seconds": "3"}})
	a := w.turnOn(s)
	if err := w.cloud.Inject(sentinelserver.Fault{Kind: sentinelserver.Slow, Seconds: 2, Count: -1}); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	a.save(o.queries)
	a.eventually("uploads", func() bool { return w.cloud.RequestCount() >= 1 })
	id := a.newest().RequestID
	s.Silence(true)
	status := wait(t, s, func(status tcplatform.Status) bool { return status.Exit != nil })
	s.Silence(false)
	if status.Exit.Code != 1 || !strings.Contains(status.Exit.Message, "missed heartbeat commands") {
		t.Errorf("got %+v", status.Exit)
	}
	sent := w.cloud.RequestCount()
	w.cloud.ClearFaults()
	wait(t, s, func(status tcplatform.Status) bool { return status.State == tcplatform.Running && status.Restarts == 1 })
	o.holds(a, w, a.await(id).mustComplete(t), began)
	if sent == w.cloud.RequestCount() {
		t.Error("the upload was over before the Service ended")
	}
}

// What is wrong with the parameters is said once, with the names on the screen, where the administrator looks.
func TestServiceWithFaultyParameters(t *testing.T) {
	w := newWorld(t, population(t), sentinelserver.Options{})
	_, s := w.onPlatform(tcplatform.Options{}, tcplatform.ServiceOptions{MaxRestarts: 1, Parameters: map[string]string{
		"tenant_id": "not a GUID", "schedule_interval_hours": "0", "client_secret": "&{TC:KEYCHAIN:none}"}})
	if err := s.TurnOn(); err != nil {
		t.Fatal(err)
	}
	status := wait(t, s, func(status tcplatform.Status) bool { return status.State == tcplatform.Failed })
	if status.Exit.Code != 1 || status.Restarts != 1 || strings.Count(status.Exit.Output, "\n") != 0 {
		t.Errorf("got %+v %+v", status, status.Exit)
	}
	for _, label := range []string{"Tenant ID", "Schedule Interval Hours", "Client Secret", "&{TC:KEYCHAIN:none}"} {
		if !strings.Contains(status.Exit.Output, label) {
			t.Errorf("%q is not named in %s", label, status.Exit.Output)
		}
	}
}

// A parameter file that cannot be read ends the start with one line on stderr, the same for the administrator, and exit code 1.
func TestDamagedParameterFile(t *testing.T) {
	dir, file := executables(t), filepath.Join(t.TempDir(), "params")
	for text, want := range map[string]string{"seventeen letters": "not whole blocks", "thirty-two letters in this file.": "does not fit it"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(filepath.Join(dir, "app"), "run")
		cmd.Dir = t.TempDir()
		cmd.Env = []string{"TC_APP_PARAM_FILE=" + file, "TC_APP_PARAM_KEY=ajfmuyodhscwegea"}
		out, _ := cmd.CombinedOutput()
		message, err := os.ReadFile(filepath.Join(cmd.Dir, "message.tc"))
		if err != nil || cmd.ProcessState.ExitCode() != 1 || strings.Count(string(out), "\n") != 1 ||
			!strings.Contains(string(out), want) || !strings.Contains(string(out), strings.TrimSpace(string(message))) {
			t.Errorf("exit code %d, %q, message %q, %v", cmd.ProcessState.ExitCode(), out, message, err)
		}
		if _, err := os.Stat(file); err != nil {
			t.Errorf("the file is gone although it was not read: %v", err)
		}
	}
}

// Secrets that are variables of ThreatConnect are read without a token, which the platform does not give at the start.
func TestServiceWithVariables(t *testing.T) {
	population := population(t)
	w := newWorld(t, population, sentinelserver.Options{Limit: sentinelserver.Unlimited, Keep: sentinelserver.KeepHashes})
	_, s := w.onPlatform(tcplatform.Options{
		Variables: map[string]string{"TC/sentinel.secret": clientSecret, "Vault/tenant": tenantID},
		APIUsers:  map[string]string{tcserver.DefaultAccessID: tcSecretKey},
	}, tcplatform.ServiceOptions{Parameters: map[string]string{"client_secret": "&{TC:KEYCHAIN:sentinel.secret}", "tenant_id": "&{Vault:TEXT:tenant}"}})
	a := w.turnOn(s)
	a.save(overlapping(population)[:1])
	a.first().mustComplete(t)
}

// The proxy carries what its inputs say, and nothing else.
func TestProxyInputs(t *testing.T) {
	population := population(t)
	for name, test := range map[string]struct{ tc, external string }{"ThreatConnect": {"true", "false"}, "others": {"false", "true"}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, population, sentinelserver.Options{Limit: sentinelserver.Unlimited, Keep: sentinelserver.KeepHashes})
			var toTC, toOthers atomic.Int64
			var front string
			proxy := serve(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if strings.HasPrefix(front, "http://"+r.URL.Host) {
					toTC.Add(1)
				} else {
					toOthers.Add(1)
				}
				(&httputil.ReverseProxy{Rewrite: func(*httputil.ProxyRequest) {}}).ServeHTTP(rw, r)
			}))
			at, err := neturl.Parse(proxy)
			if err != nil {
				t.Fatal(err)
			}
			p, s := w.onPlatform(tcplatform.Options{}, tcplatform.ServiceOptions{Inputs: map[string]string{
				"tc_proxy_host": at.Hostname(), "tc_proxy_port": at.Port(), "tc_proxy_tc": test.tc, "tc_proxy_external": test.external}})
			front = p.URL()
			a := w.turnOn(s)
			a.save(overlapping(population)[:1])
			a.first().mustComplete(t)
			if (toTC.Load() > 0) != (test.tc == "true") || (toOthers.Load() > 0) != (test.external == "true") {
				t.Errorf("the proxy carried %d requests to ThreatConnect and %d to others", toTC.Load(), toOthers.Load())
			}
		})
	}
}
