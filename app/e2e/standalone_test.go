// Package e2e runs the packaged App against the stand-ins, as its users would run it against the real services.
package e2e

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mssentinel/app/standin/sentinelserver"
	"mssentinel/app/standin/tcplatform"
	"mssentinel/app/standin/tcserver"
)

// What the operator of a standalone App sets.
const (
	tenantID    = "11111111-2222-4333-8444-555555555555"
	clientID    = "66666666-7777-4888-9999-aaaaaaaaaaaa"
	workspaceID = "bbbbbbbb-cccc-4ddd-8eee-ffffffffffff"
	sourceName  = "End to End"
	source      = "ThreatConnect-" + sourceName

	// Both secrets are looked for in everything that the App leaves behind.
	clientSecret = "CanaryClientSecret7Qx2"
	tcSecretKey  = "CanaryThreatConnectKey9Zt4"
)

// patience bounds every wait: a machine that is shared can be slow, but not that slow.
const patience = 3 * time.Minute

func TestMain(m *testing.M) {
	if serveMapper() {
		return
	}
	code := m.Run()
	endChromium()
	if dir, err := unpacked(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// executables is where the package of the App is unpacked.
func executables(t *testing.T) string {
	t.Helper()
	dir, err := unpacked()
	if err != nil {
		t.Fatalf("unpacking the package: %v; run ./package.sh build", err)
	}
	return dir
}

// unpacked unpacks the package once: a file that is still being written cannot be started, and would be while another test
// starts a process.
var unpacked = sync.OnceValues(func() (string, error) {
	path := os.Getenv("MS_SENTINEL_PACKAGE")
	if path == "" {
		path = filepath.Join("..", "..", "target", "TCVA_-_Microsoft_Sentinel_v1.tcx")
	}
	archive, err := zip.OpenReader(path)
	if err != nil {
		return "", err
	}
	defer archive.Close()
	dir, err := os.MkdirTemp("", "ms-sentinel-e2e-")
	if err != nil {
		return "", err
	}
	for _, f := range archive.File {
		switch name := filepath.Base(f.Name); name {
		case "app", "mappers", "checksums.txt":
			if err := unpack(f, filepath.Join(dir, name)); err != nil {
				return dir, err
			}
		}
	}
	return dir, nil
})

func unpack(f *zip.File, path string) error {
	in, err := f.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	data, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, f.Mode())
}

// world is one Service and what it talks to.
type world struct {
	t     *testing.T
	tc    *tcserver.Server
	cloud *sentinelserver.Server
	dir   string            // of the executables
	state string            // tc_out_path
	logs  string            // tc_log_path
	env   map[string]string // of the App, by parameter
	also  []string          // more of its environment, NAME=value
}

// newWorld makes stand-ins on TCP and the settings of an App for them. Nothing runs yet.
func newWorld(t *testing.T, population *tcserver.Population, o sentinelserver.Options) *world {
	t.Helper()
	o.Apps = []sentinelserver.App{{TenantID: tenantID, ClientID: clientID, ClientSecret: clientSecret}}
	o.Workspaces = []string{workspaceID}
	w := &world{t: t, dir: executables(t), state: filepath.Join(t.TempDir(), "state"), logs: t.TempDir(),
		tc: tcserver.New(tcserver.Options{Population: population,
			Users: []tcserver.User{{AccessID: tcserver.DefaultAccessID, SecretKey: tcSecretKey}}}),
		cloud: sentinelserver.New(o)}
	w.env = map[string]string{
		"client_id": clientID, "client_secret": clientSecret, "tenant_id": tenantID, "sentinel_workspace_id": workspaceID,
		"sentinel_source_name": sourceName, "tc_api_access_id": tcserver.DefaultAccessID, "tc_api_secret_key": tcSecretKey,
		"schedule_interval_hours": "8760", "tc_api_path": serve(t, asksByName(t, w.tc)) + "/api", "tc_out_path": w.state, "tc_log_path": w.logs,
		"tc_temp_path": t.TempDir(), "http_addr": freeAddress(t), "upload_requests_per_minute": "0",
	}
	w.env["authority_url"] = serve(t, w.cloud)
	w.env["upload_url"], w.env["log_analytics_url"] = w.env["authority_url"], w.env["authority_url"]
	for typ, hours := range ttlHours {
		w.env["ttl_hours_"+strings.ReplaceAll(strings.ToLower(parameterNames[typ]), " ", "_")] = strconv.Itoa(hours)
	}
	t.Cleanup(func() {
		w.tc.Close()
		w.cloud.Close()
		w.lookForSecrets()
	})
	return w
}

// asksByName lets nobody through who does not say that it is the App, and which version.
func asksByName(t *testing.T, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if name, version, _ := strings.Cut(r.UserAgent(), "/"); name != "ThreatConnect-Microsoft-Sentinel" || version == "" {
			t.Errorf("%s asks for %s", r.UserAgent(), r.URL.Path)
		}
		h.ServeHTTP(w, r)
	})
}

func serve(t *testing.T, h http.Handler) string {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// serveTLS serves with a certificate of a private authority.
func serveTLS(t *testing.T, h http.Handler, certificates *tcplatform.Certificates) string {
	t.Helper()
	cert, err := tls.LoadX509KeyPair(certificates.ServerCertFile, certificates.ServerKeyFile)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(h)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL
}

// freeAddress is an address that was free a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// ttlHours is different for each type, so that a mix-up shows.
var ttlHours = map[string]int{"Address": 701, "ASN": 702, "CIDR": 703, "EmailAddress": 704, "Email Subject": 705, "File": 706,
	"Host": 707, "Registry Key": 708, "URL": 709}

var parameterNames = map[string]string{"Address": "Address", "ASN": "ASN", "CIDR": "CIDR", "EmailAddress": "Email Address",
	"Email Subject": "Email Subject", "File": "File", "Host": "Host", "Registry Key": "Registry Key", "URL": "URL"}

// app is a process of the App.
type app struct {
	t      *testing.T
	url    string
	cmd    *exec.Cmd
	output *output
	ended  chan struct{} // closed when the process is gone
}

// output keeps what a process prints.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// launch starts the App. It may end by itself.
func (w *world) launch() *app {
	w.t.Helper()
	a := &app{t: w.t, url: "http://" + w.env["http_addr"], output: &output{}, ended: make(chan struct{})}
	a.cmd = exec.Command(filepath.Join(w.dir, "app"), "run")
	a.cmd.Dir = w.t.TempDir()
	a.cmd.Stdout, a.cmd.Stderr = a.output, a.output
	for name, value := range w.env {
		a.cmd.Env = append(a.cmd.Env, "MS_SENTINEL_"+strings.ToUpper(name)+"="+value)
	}
	a.cmd.Env = append(a.cmd.Env, w.also...)
	if err := a.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() {
		a.cmd.Wait() //nolint:errcheck // ProcessState says it
		close(a.ended)
	}()
	w.t.Cleanup(func() {
		a.kill()
		w.outputHoldsNoSecret(a)
		if said := a.output.String(); w.t.Failed() && said != "" {
			w.t.Logf("the App said:\n%s", said)
		}
	})
	return a
}

// start starts the App and waits until it answers.
func (w *world) start() *app {
	w.t.Helper()
	a := w.launch()
	a.eventually("the App to answer", func() bool {
		select {
		case <-a.ended:
			w.t.Fatalf("the App ended with code %d: %s", a.cmd.ProcessState.ExitCode(), a.output)
		default:
		}
		resp, err := http.Get(a.url + "/api/health")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return a
}

// kill ends the process without a chance to do anything, and waits until it is gone.
func (a *app) kill() {
	a.cmd.Process.Signal(syscall.SIGKILL) //nolint:errcheck // it may be gone already
	<-a.ended
}

// stop ends the process as a terminal would, and waits for it.
func (a *app) stop() {
	a.t.Helper()
	a.cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // it may be gone already
	if code := a.exitCode(); code != 0 {
		a.t.Errorf("the App ended with code %d: %s", code, a.output)
	}
}

// exitCode waits for the process to end by itself.
func (a *app) exitCode() int {
	a.t.Helper()
	select {
	case <-a.ended:
	case <-time.After(patience):
		a.t.Fatalf("the App does not end: %s", a.output)
	}
	return a.cmd.ProcessState.ExitCode()
}

// eventually looks again and again until done says yes.
func (a *app) eventually(what string, done func() bool) {
	a.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !done(); <-tick.C {
		if time.Now().After(deadline) {
			a.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// answer is what the App said to a call.
type answer struct {
	status int
	body   []byte
}

// call makes a call of the JSON routes. The body may be text, which goes out as it is, or anything that becomes JSON.
func (a *app) call(method, path string, body any) (answer, error) {
	var payload io.Reader
	switch body := body.(type) {
	case nil:
	case string:
		payload = strings.NewReader(body)
	default:
		text, err := json.Marshal(body)
		if err != nil {
			return answer{}, err
		}
		payload = bytes.NewReader(text)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, a.url+"/"+path, payload)
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Requested-With", "test")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, text}, err
}

// do makes a call that has to succeed, and reads its answer.
func (a *app) do(method, path string, body, into any) {
	a.t.Helper()
	said, err := a.call(method, path, body)
	if err != nil {
		a.t.Fatal(err)
	}
	if said.status >= 300 {
		a.t.Fatalf("%s %s: %d %s", method, path, said.status, said.body)
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal(said.body, into); err != nil {
		a.t.Fatalf("%s %s: %v in %s", method, path, err, said.body)
	}
}

// query is one line of CONFIGURE.
type query struct {
	Owners        []string `json:"owners"`
	Types         []string `json:"types"`
	TQL           string   `json:"tql"`
	SortField     string   `json:"sort_field"`
	SortDirection string   `json:"sort_direction"`
}

// job is one line of JOBS.
type job struct {
	RequestID   string    `json:"request_id"`
	JobType     string    `json:"job_type"`
	Mode        string    `json:"mode"`
	Status      string    `json:"status"`
	Message     string    `json:"message"`
	DateStarted time.Time `json:"date_started"`
	WindowStart time.Time `json:"last_modified_filter_start"`
	WindowEnd   time.Time `json:"last_modified_filter_end"`
	Downloaded  int       `json:"count_downloaded"`
	Invalid     int       `json:"count_invalid"`
	Duplicate   int       `json:"count_duplicate"`
	Unchanged   int       `json:"count_unchanged"`
	Uploaded    int       `json:"count_uploaded"`
	Rejected    int       `json:"count_rejected"`
	Retired     int       `json:"count_retired"`
	Progress    *struct {
		Uploaded   int    `json:"uploaded"`
		WaitReason string `json:"wait_reason"`
	} `json:"progress"`
}

func (j job) over() bool {
	switch j.Status {
	case "Upload Complete", "Failed", "Cancelled", "Confirmation Required":
		return true
	}
	return false
}

// save saves queries; the update that follows is a scheduled one.
func (a *app) save(queries []query) {
	a.t.Helper()
	a.do(http.MethodPost, "api/tql-config?reset=false", queries, nil)
}

// newest is the newest job, or one without a request ID where there is none.
func (a *app) newest() job {
	a.t.Helper()
	var list struct{ Data []job }
	a.do(http.MethodGet, "api/job/request?limit=1", nil, &list)
	if len(list.Data) == 0 {
		return job{}
	}
	return list.Data[0]
}

// submit asks for an update by hand.
func (a *app) submit(mode string) job {
	a.t.Helper()
	var j job
	a.do(http.MethodPost, "api/job/request", map[string]string{"mode": mode}, &j)
	return j
}

// job is one job as it stands.
func (a *app) job(requestID string) job {
	a.t.Helper()
	var list struct{ Data []job }
	a.do(http.MethodGet, "api/job/request?request_id="+requestID, nil, &list)
	if len(list.Data) != 1 {
		a.t.Fatalf("there are %d jobs %s", len(list.Data), requestID)
	}
	return list.Data[0]
}

// await waits until a job is over.
func (a *app) await(requestID string) (j job) {
	a.t.Helper()
	a.eventually("job "+requestID+" to end", func() bool {
		j = a.job(requestID)
		return j.over()
	})
	return j
}

// first waits for the update that follows the first Save.
func (a *app) first() (j job) {
	a.t.Helper()
	a.eventually("the first job", func() bool {
		j = a.newest()
		return j.RequestID != ""
	})
	return a.await(j.RequestID)
}

// update runs an update by hand to its end.
func (a *app) update(mode string) job {
	a.t.Helper()
	return a.await(a.submit(mode).RequestID)
}

// mustComplete fails the test where a job did not end well.
func (j job) mustComplete(t *testing.T) job {
	t.Helper()
	if j.Status != "Upload Complete" {
		t.Fatalf("job %s (%s) is %s: %s", j.RequestID, j.Mode, j.Status, j.Message)
	}
	return j
}

// problem is one line of REPORT.
type problem struct {
	RequestID string `json:"request_id"`
	Step      string `json:"step"`
	Code      string `json:"code"`
	Message   string `json:"message"`
	Raw       string `json:"raw"`
	Note      bool   `json:"note"`
}

// report is REPORT for one job.
func (a *app) report(requestID string) (all []problem) {
	a.t.Helper()
	for {
		var page struct {
			Data  []problem
			Total int `json:"total_count"`
		}
		a.do(http.MethodGet, fmt.Sprintf("api/report/batch-error?request_id=%s&limit=500&offset=%d", requestID, len(all)), nil, &page)
		all = append(all, page.Data...)
		if len(page.Data) == 0 || len(all) >= page.Total {
			return all
		}
	}
}

// lookForSecrets fails the test where a secret stands in the state, the log or any other file that the App wrote.
func (w *world) lookForSecrets() {
	for _, root := range []string{w.state, w.logs, w.env["tc_temp_path"]} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			text, err := os.ReadFile(path)
			if err == nil {
				w.holdsNoSecret(path, text)
			}
			return err
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			w.t.Error(err)
		}
	}
}

func (w *world) outputHoldsNoSecret(a *app) {
	w.holdsNoSecret("what the App printed", []byte(a.output.String()))
}

// holdsNoSecret fails the test without repeating the text, which would spread the secret.
func (w *world) holdsNoSecret(where string, text []byte) {
	for name, secret := range map[string]string{"client secret": clientSecret, "ThreatConnect secret key": tcSecretKey} {
		if bytes.Contains(text, []byte(secret)) {
			w.t.Errorf("the %s stands in %s", name, where)
		}
	}
}
