package tcplatform_test

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	redigo "github.com/gomodule/redigo/redis"

	"mssentinel/app/standin/tcplatform"
)

// `go test ./app/standin/tcplatform -run TestVendorRecordings -update` makes the recordings anew, from TcEx itself.
var update = flag.Bool("update", false, "write testdata/recordings anew")

// bodies are in the store before the requests come that name them.
var bodies = map[string]string{"00000000-0000-4000-8000-000000000002": "\x00\xff\r\n body ä", "00000000-0000-4000-8000-000000000004": "other"}

// stages are what the platform says in a recording. Each is done when the App has published as much as it should.
var stages = []struct {
	name, message string
	published     int
}{
	{"heartbeat", `{"command":"Heartbeat","metric":{},"memoryPercent":0,"cpuPercent":0}`, 1},
	{"request without a body", runService(1, "GET", "recorded/echo", ""), 1},
	{"request with a body", runService(2, "POST", "recorded/echo", `"bodyVariable":"request.body",`), 1},
	{"request with a body that is not there", runService(3, "PUT", "recorded/fixed", `"bodyVariable":"request.body",`), 1},
	{"request for what is missing", runService(4, "POST", "recorded/missing", `"bodyVariable":"request.body",`), 1},
	{"another status", runService(5, "DELETE", "recorded/made", `"bodyVariable":null,`), 1},
	{"change of the log level", `{"command":"LoggingChange","level":"DEBUG"}`, 0},
	{"acknowledgement", `{"command":"Acknowledged","type":"FireEvent"}`, 0},
	{"unknown command", `{"command":"ListServices"}`, 0},
	{"no JSON", `Heartbeat`, 0},
	{"end", `{"command":"Shutdown","appId":95,"reason":"Service disabled by user."}`, 1},
}

func runService(key int, method, path, body string) string {
	return fmt.Sprintf(`{"command":"RunService","requestKey":"00000000-0000-4000-8000-%012d","method":%q,"path":%q,%s"apiToken":"SVC:t","expireSeconds":1893456000,`+
		`"queryParams":[{"name":"a","value":"b"}],"headers":[{"name":"Host","value":"tc.example.com"}]}`, key, method, path, body)
}

// addFunc adds the Service of the App that is recorded to a platform of these options.
type addFunc func(tcplatform.Options) (*tcplatform.Platform, *tcplatform.Service)

// recordings are what is recorded; each stands in a file of its name. All versions of TcEx send the same.
var recordings = map[string]func(*testing.T, addFunc) []string{
	"messages": recordMessages, "silence": recordSilence, "store-by-api": recordStoreByAPI, "no-token": recordNoToken,
}

// tapped adds a Service whose way to broker, store and API leads over a recorder.
func tapped(t *testing.T, o tcplatform.Options, add addFunc) (*recorder, *tcplatform.Platform, *tcplatform.Service) {
	t.Helper()
	r := newRecorder()
	o.Inputs = map[string]string{}
	p, s := add(o)
	broker, store := tcplatform.BrokerOf(p), tcplatform.StoreOf(p)
	o.Inputs["tc_svc_broker_port"] = strconv.Itoa(tap(t, net.JoinHostPort(broker.Host, strconv.Itoa(broker.Port)), r.notePacket, r.noteAnswers))
	if o.KeyValueAPI {
		server := httptest.NewServer(r.handler(t, p.URL()))
		t.Cleanup(server.Close)
		o.Inputs["tc_api_path"] = server.URL + "/api"
	} else {
		o.Inputs["tc_kvstore_port"] = strconv.Itoa(tap(t, net.JoinHostPort(store.Host, strconv.Itoa(store.Port)), r.noteCommand, drain))
	}
	if err := s.TurnOn(); err != nil {
		t.Fatal(err)
	}
	r.await(t, "CONNECT", 1)
	return r, p, s
}

// drain passes over what nobody looks at.
func drain(reader io.Reader) { io.Copy(io.Discard, reader) }

// started waits for the end of a start and returns its lines in an order of their own: TcEx may say Ready before it
// subscribes.
func started(t *testing.T, r *recorder) []string {
	t.Helper()
	r.awaitSubscription(t)
	r.await(t, "PUBLISH", 1)
	lines := r.take()
	slices.Sort(lines)
	return lines
}

func recordMessages(t *testing.T, add addFunc) []string {
	t.Helper()
	r, p, s := tapped(t, tcplatform.Options{HeartbeatEvery: time.Hour, HeartbeatTimeout: time.Minute}, add)
	putBodies(t, tcplatform.StoreOf(p))
	lines := append([]string{"## start"}, started(t, r)...)
	for _, stage := range stages {
		if err := s.Send([]byte(stage.message)); err != nil {
			t.Fatal(err)
		}
		r.await(t, "PUBLISH", stage.published)
		if stage.name == "end" {
			r.await(t, "DISCONNECT", 1)
		}
		lines = append(append(lines, "## "+stage.name), r.take()...)
	}
	return append(lines, exitOf(t, s))
}

func putBodies(t *testing.T, where tcplatform.Store) {
	t.Helper()
	conn, err := redigo.Dial("tcp", net.JoinHostPort(where.Host, strconv.Itoa(where.Port)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for key, body := range bodies {
		if _, err := conn.Do("HSET", key, "request.body", body); err != nil {
			t.Fatal(err)
		}
	}
}

// exitOf is how the App has ended.
func exitOf(t *testing.T, s *tcplatform.Service) string {
	t.Helper()
	status, err := s.Wait(within(t), func(status tcplatform.Status) bool { return status.Exit != nil })
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("EXIT %d", status.Exit.Code)
}

// recordSilence: the platform sends no heartbeat.
func recordSilence(t *testing.T, add addFunc) []string {
	t.Helper()
	r, _, s := tapped(t, tcplatform.Options{HeartbeatEvery: time.Hour, HeartbeatTimeout: 4 * time.Second}, add)
	lines := started(t, r)
	exit := exitOf(t, s)
	// Whether DISCONNECT still leaves before the process ends is left to chance, with TcEx as with this App.
	rest := slices.DeleteFunc(r.take(), func(line string) bool { return line == "DISCONNECT" })
	return append(append(lines, rest...), exit)
}

// recordStoreByAPI: the store can be reached by ThreatConnect's API alone.
func recordStoreByAPI(t *testing.T, add addFunc) []string {
	t.Helper()
	r, _, s := tapped(t, tcplatform.Options{HeartbeatEvery: time.Hour, HeartbeatTimeout: time.Minute, KeyValueAPI: true}, add)
	started(t, r)
	if err := s.Send([]byte(stages[0].message)); err != nil {
		t.Fatal(err)
	}
	r.await(t, "PUBLISH", 1)
	r.take()
	response, data := do(t, "POST", s.URL()+"/recorded/fixed", bytes.NewReader([]byte("body \xff")), nil)
	if response.StatusCode != 200 || string(data) != "fixed \x00\xff" {
		t.Errorf("answered %d %q", response.StatusCode, data)
	}
	lines := r.take()
	s.TurnOff()
	return slices.DeleteFunc(lines, func(line string) bool { return strings.HasPrefix(line, "PUBLISH") })
}

// recordNoToken: there is no token for the broker, which refuses such a login.
func recordNoToken(t *testing.T, add addFunc) []string {
	t.Helper()
	o := tcplatform.Options{HeartbeatEvery: time.Hour, HeartbeatTimeout: time.Minute, StopTimeout: time.Second, Omit: []string{"tc_svc_broker_token"}}
	r, _, _ := tapped(t, o, add)
	return r.take()[:1]
}

// recorded reads a recording.
func recorded(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(recordingFile(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func recordingFile(name string) string { return filepath.Join("testdata", "recordings", name+".txt") }

// The recordings are what both versions of TcEx do today.
func TestVendorRecordings(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*testing.T){}
	for name, record := range recordings {
		for i, v := range vendors {
			if *update && i > 0 {
				break // without the flag it is compared with what is written now
			}
			tests[name+" "+v.version] = func(t *testing.T) {
				got := strings.Join(record(t, func(o tcplatform.Options) (*tcplatform.Platform, *tcplatform.Service) {
					return v.addVendorService(t, o, nil)
				}), "\n") + "\n"
				if *update {
					if err := os.WriteFile(recordingFile(name), []byte(got), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want := recorded(t, name)
				if name == "silence" {
					want = cutFarewell(got, want)
				}
				compareLines(t, got, want)
			}
		}
	}
	sideBySide(t, tests)
}

// cutFarewell is a recording of silence without what did not leave TcEx any more: its process ends while its client still
// has to send the last two messages, and which of them leave is left to chance.
func cutFarewell(got, want string) string {
	ours, theirs := strings.Split(got, "\n"), strings.Split(want, "\n")
	exit := len(theirs) - 2 // the last line is empty
	if missing := len(theirs) - len(ours); missing == 1 || missing == 2 {
		theirs = slices.Delete(theirs, exit-missing, exit)
	}
	return strings.Join(theirs, "\n")
}

// differences are where this App goes another way than TcEx, on purpose: what it sends, as a regular expression, and what
// would stand there of TcEx. Each has to occur.
var differences = map[string][]struct{ ours, vendors, why string }{
	"messages": {
		{`^HSTRLEN \["ms-sentinel-check" "request.body"\]\n`, "", "a store that cannot be used is told of in the log at once, and not by the first request"},
		{`^HSTRLEN (\[.*\])\nHGET`, "HGET", "a body that is too large is refused before it is read; TcEx knows no bound"},
		{`^HSTRLEN (\[.*\])\n`, "HGET $1\n", "a length of 0 says already that there is no body"},
		{`^TTL \[.*\]\n`, "", "the doctor tells how long a body stands there: it is noted of the first few"},
	},
	"no-token": {
		{`^CONNECT 100e00044d5154540482003c00000000$`, "CONNECT 100c00044d5154540402003c0000", "the flag of a user name is set with a token and without: a broker that asks for no token looks at neither"},
	},
	"silence": {
		{`^HSTRLEN \["ms-sentinel-check" "request.body"\]\n`, "", "as above"},
		{`(Ready.*\nSUBSCRIBE .*\n)CONNECT .*\nSUBSCRIBE .*\n`, "$1", "a new connection may bring the heartbeats back; TcEx goes on with the old one"},
		{`^EXIT 1$`, "EXIT 0", "a platform that restarts what failed restarts this one, too"},
	},
}

// This App's client of the platform sends what TcEx sends, message by message, but for the differences above.
func TestClientAgainstVendorRecordings(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*testing.T){}
	for name, record := range recordings {
		tests[name] = func(t *testing.T) {
			got := strings.Join(record(t, func(o tcplatform.Options) (*tcplatform.Platform, *tcplatform.Service) {
				p := start(t, o)
				return p, add(t, p, tcplatform.ServiceOptions{MaxRestarts: -1})
			}), "\n") + "\n"
			for _, d := range differences[name] {
				pattern := regexp.MustCompile(`(?m)` + d.ours)
				if !pattern.MatchString(got) {
					t.Errorf("%s: does not occur (%s)", d.ours, d.why)
				}
				got = pattern.ReplaceAllString(got, d.vendors)
			}
			compareLines(t, got, recorded(t, name))
		}
	}
	sideBySide(t, tests)
}

// compareLines names the lines that are in one text alone.
func compareLines(t *testing.T, got, want string) {
	t.Helper()
	if got == want {
		return
	}
	ours, theirs := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(ours), len(theirs)) {
		if i >= len(ours) || i >= len(theirs) || ours[i] != theirs[i] {
			t.Errorf("line %d of the recording, from which on:\ngot\n%s\nwant\n%s", i+1,
				strings.Join(ours[min(i, len(ours)):min(i+6, len(ours))], "\n"), strings.Join(theirs[min(i, len(theirs)):min(i+6, len(theirs))], "\n"))
			return
		}
	}
}
