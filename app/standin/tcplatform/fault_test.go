package tcplatform_test

import (
	"bytes"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mssentinel/app/standin/tcplatform"
)

func logOf(t *testing.T, s *tcplatform.Service) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(s.Folder(), "log", "app.log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// waitForLog waits until the App's log says text.
func waitForLog(t *testing.T, s *tcplatform.Service, text string) {
	t.Helper()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for ctx := within(t); !strings.Contains(logOf(t, s), text); {
		select {
		case <-poll.C:
		case <-ctx.Done():
			t.Fatalf("the log does not say %q:\n%s", text, logOf(t, s))
		}
	}
}

func has(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is missing in:\n%s", part, text)
		}
	}
}

// failed waits until the Service has failed for good.
func failed(t *testing.T, s *tcplatform.Service) tcplatform.Status {
	t.Helper()
	if err := s.TurnOn(); err != nil {
		t.Fatal(err)
	}
	status, err := s.Wait(within(t), func(status tcplatform.Status) bool { return status.State == tcplatform.Failed })
	if err != nil {
		t.Fatal(err)
	}
	return status
}

// What was asked before the connection broke is answered after it is back, once.
func TestBrokerDroppedUnderLoad(t *testing.T) {
	t.Parallel()
	p, s := running(t, tcplatform.Options{})
	release := filepath.Join(t.TempDir(), "release")
	var group sync.WaitGroup
	for range 100 {
		group.Go(func() {
			if response, data := do(t, "GET", s.URL()+"/held?until="+release, nil, nil); response.StatusCode != http.StatusOK || string(data) != "done" {
				t.Errorf("got %d %s", response.StatusCode, data)
			}
		})
	}
	if _, err := s.Wait(within(t), func(status tcplatform.Status) bool { return status.Metrics["Requests"] == 100 }); err != nil {
		t.Fatal(err)
	}
	p.DropConnections()
	waitForLog(t, s, "connection to the broker lost") // an answer that is on its way at that moment would be lost: QoS 0
	if err := os.WriteFile(release, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	group.Wait()
	if got := s.Status().Received; got["Ready"] != 1 || got["Acknowledged/RunService"] != 100 {
		t.Errorf("received %v", got)
	}
	has(t, logOf(t, s), "connection to the broker lost", "connected to the broker again")
}

// The broker may stay away for a while, as long as heartbeats are not missed for too long.
func TestBrokerRestarted(t *testing.T) {
	t.Parallel()
	p, s := running(t, tcplatform.Options{HeartbeatTimeout: 10 * time.Second})
	p.StopBroker()
	<-time.After(1500 * time.Millisecond) // how long it is away
	if err := p.StartBroker(); err != nil {
		t.Fatal(err)
	}
	beats := s.Status().Received["Heartbeat"]
	if _, err := s.Wait(within(t), func(status tcplatform.Status) bool { return status.Received["Heartbeat"] > beats+1 }); err != nil {
		t.Fatal(err)
	}
	echo(t, "POST", s.URL()+"/x", []byte("after"), nil)
	if got := s.Status(); got.Received["Ready"] != 1 || got.Restarts != 0 {
		t.Errorf("received %v, %d restarts", got.Received, got.Restarts)
	}
}

func TestStoreRestarted(t *testing.T) {
	t.Parallel()
	p, s := running(t, tcplatform.Options{})
	echo(t, "POST", s.URL()+"/x", []byte("before"), nil)
	p.StopStore()
	asked := make(chan int, 1)
	go func() {
		response, _ := do(t, "GET", s.URL()+"/slow?for=500ms", nil, nil) // has its answer ready while the store is away
		asked <- response.StatusCode
	}()
	if _, err := s.Wait(within(t), func(status tcplatform.Status) bool { return status.Metrics["Requests"] == 2 }); err != nil {
		t.Fatal(err)
	}
	<-time.After(time.Second) // how long the store is away
	if err := p.StartStore(); err != nil {
		t.Fatal(err)
	}
	if status := <-asked; status != http.StatusOK {
		t.Errorf("the request in between got %d", status)
	}
	if e := echo(t, "POST", s.URL()+"/x", []byte("after"), nil); string(e.Body) != "after" {
		t.Errorf("got %q", e.Body)
	}
}

func TestStoreAway(t *testing.T) {
	t.Parallel()
	p, s := running(t, tcplatform.Options{})
	p.StopStore()
	if response, _ := do(t, "GET", s.URL()+"/x", nil, nil); response.StatusCode < 500 {
		t.Errorf("without a store: %d", response.StatusCode)
	}
	has(t, logOf(t, s), "answer not stored", "connecting to Redis at")
	if err := p.StartStore(); err != nil {
		t.Fatal(err)
	}
	echo(t, "POST", s.URL()+"/x", []byte("after"), nil)
}

func TestWrongBrokerToken(t *testing.T) {
	t.Parallel()
	p := start(t, tcplatform.Options{})
	s := add(t, p, tcplatform.ServiceOptions{MaxRestarts: 2, Inputs: map[string]string{"tc_svc_broker_token": "a-wrong-token"}})
	status := failed(t, s)
	if status.Restarts != 2 || status.Exit.Code != 1 || status.Received["Ready"] != 0 {
		t.Errorf("got %+v %+v", status, status.Exit)
	}
	has(t, status.Exit.Message, "refused the login", "Turn the Service off and on")
	has(t, status.Exit.Output, "refused the login")
	if strings.Contains(status.Exit.Message+status.Exit.Output+strings.Join(s.LogTail(100), ""), "a-wrong-token") {
		t.Error("the token is told")
	}
	s.TurnOff()
	if got := s.Status().State; got != tcplatform.Stopped {
		t.Errorf("after turning it off it is %s", got)
	}
}

// An App that hears nothing ends, and runs again when it is started again.
func TestHeartbeatSilence(t *testing.T) {
	t.Parallel()
	_, s := running(t, tcplatform.Options{})
	s.Silence(true)
	status, err := s.Wait(within(t), func(status tcplatform.Status) bool { return status.Exit != nil })
	if err != nil {
		t.Fatal(err)
	}
	s.Silence(false)
	if status.Exit.Code != 1 || status.Received["BrokerCheck"] != 0 { // it goes to the App's own topic
		t.Errorf("got %+v %+v", status, status.Exit)
	}
	has(t, status.Exit.Message, "missed heartbeat commands", "look at the ThreatConnect server")
	if _, err := s.Wait(within(t), func(status tcplatform.Status) bool {
		return status.State == tcplatform.Running && status.Restarts == 1
	}); err != nil {
		t.Fatal(err)
	}
	echo(t, "GET", s.URL()+"/x", nil, nil)
}

// The platform puts up with no App that does not answer its heartbeats.
func TestHeartbeatsUnanswered(t *testing.T) {
	t.Parallel()
	_, s := running(t, tcplatform.Options{})
	if err := syscall.Kill(s.Status().PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	status, err := s.Wait(within(t), func(status tcplatform.Status) bool { return status.State == tcplatform.Running && status.Restarts == 1 })
	if err != nil || status.Exit.Code != -1 || len(status.Strays) != 1 || !strings.Contains(status.Strays[0], "no heartbeat was answered") {
		t.Errorf("got %+v %+v, %v", status, status.Exit, err)
	}
	s.ForgetStrays()
	echo(t, "GET", s.URL()+"/x", nil, nil)
}

// The request in flight is answered although the Service is being turned off.
func TestTurnedOffDuringARequest(t *testing.T) {
	t.Parallel()
	_, s := running(t, tcplatform.Options{})
	answered := make(chan int, 1)
	go func() {
		response, _ := do(t, "GET", s.URL()+"/slow?for=1500ms", nil, nil)
		answered <- response.StatusCode
	}()
	if _, err := s.Wait(within(t), func(status tcplatform.Status) bool { return status.Metrics["Requests"] == 1 }); err != nil {
		t.Fatal(err)
	}
	s.TurnOff()
	if status := <-answered; status != http.StatusOK {
		t.Errorf("the request got %d", status)
	}
	if exit := s.Status().Exit; exit.Code != 0 {
		t.Errorf("got %+v", exit)
	}
}

// An App that something else than the platform ends says so by its exit code, and is started again even by a platform
// that starts failures alone again.
func TestTerminated(t *testing.T) {
	t.Parallel()
	for _, failuresAlone := range []bool{false, true} {
		_, s := running(t, tcplatform.Options{RestartFailures: failuresAlone})
		if err := syscall.Kill(s.Status().PID, syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		status, err := s.Wait(within(t), func(status tcplatform.Status) bool { return status.State == tcplatform.Running && status.Restarts == 1 })
		if err != nil || status.Exit.Code != 1 || status.Received["Acknowledged/Shutdown"] != 1 {
			t.Errorf("got %+v %+v, %v", status, status.Exit, err)
		}
	}
}

// Whether the platform starts an App again that ended by itself with code 0 is not known.
func TestEndedByItself(t *testing.T) {
	t.Parallel()
	for failuresAlone, state := range map[bool]tcplatform.State{false: tcplatform.Running, true: tcplatform.Stopped} {
		_, s := running(t, tcplatform.Options{RestartFailures: failuresAlone})
		do(t, "GET", s.URL()+"/end", nil, nil)
		status, err := s.Wait(within(t), func(status tcplatform.Status) bool { return status.Exit != nil && status.State == state })
		if err != nil || status.Exit.Code != 0 || (status.Restarts == 1) == failuresAlone {
			t.Errorf("got %+v %+v, %v", status, status.Exit, err)
		}
	}
}

// A crash leads to a restart, as the administrator allowed.
func TestKilled(t *testing.T) {
	t.Parallel()
	_, s := running(t, tcplatform.Options{})
	if err := syscall.Kill(s.Status().PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	status, err := s.Wait(within(t), func(status tcplatform.Status) bool { return status.State == tcplatform.Running && status.Restarts == 1 })
	if err != nil || status.Exit.Code != -1 {
		t.Errorf("got %+v %+v, %v", status, status.Exit, err)
	}
}

// Nothing that arrives does more harm than a line in the log.
func TestBadMessages(t *testing.T) {
	t.Parallel()
	_, s := running(t, tcplatform.Options{})
	for _, message := range []string{"", "{", "[]", "\xff", `{"command":"Launch"}`, `{"command":"RunService","requestKey":7,"headers":{}}`, `{"command":"RunService"}`} {
		if err := s.Send([]byte(message)); err != nil {
			t.Fatal(err)
		}
	}
	response, data := do(t, "POST", s.URL()+"/x", bytes.NewReader(make([]byte, 50<<20)), nil)
	if response.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("50 MiB: %d %s", response.StatusCode, data)
	}
	echo(t, "POST", s.URL()+"/x", make([]byte, 5<<20), nil)
	has(t, logOf(t, s), "message ignored", "unknown command ignored", "command=launch", "request not understood", "request without requestKey ignored", "value is too large")
	status := s.Status()
	if len(status.Strays) != 1 || !strings.Contains(status.Strays[0], "no open request: 7") {
		t.Errorf("got %v", status.Strays)
	}
	s.ForgetStrays()
}

func TestLogLevelChanges(t *testing.T) {
	t.Parallel()
	_, s := running(t, tcplatform.Options{})
	echo(t, "GET", s.URL()+"/quiet", nil, nil)
	if _, err := s.Wait(within(t), func(status tcplatform.Status) bool { return status.Metrics["Responses"] == 1 }); err != nil {
		t.Fatal(err)
	}
	if err := s.Send([]byte(`{"command":"LoggingChange","level":"DEBUG"}`)); err != nil {
		t.Fatal(err)
	}
	echo(t, "GET", s.URL()+"/loud", nil, http.Header{"Authorization": {"TC-Token SVC:1:abcdefgh"}, "Cookie": {"session=abcdefgh"}})
	s.TurnOff()
	text := logOf(t, s)
	has(t, text, "log level changed", "loud status=200") // with a slash before it or without
	if strings.Contains(text, "quiet status") || strings.Contains(text, "abcdefgh") {
		t.Errorf("the log tells too much:\n%s", text)
	}
}

func TestLogFile(t *testing.T) {
	t.Parallel()
	_, s := running(t, tcplatform.Options{Inputs: map[string]string{"tc_log_file": "sentinel.log"}})
	s.TurnOff()
	data, err := os.ReadFile(filepath.Join(s.Folder(), "log", "sentinel.log"))
	if err != nil || !strings.Contains(string(data), "msg=ready") {
		t.Errorf("%s, %v", data, err)
	}
	if _, err := os.Stat(filepath.Join(s.Folder(), "log", "app.log")); err == nil {
		t.Error("there is an app.log as well")
	}
}

func TestTwoServices(t *testing.T) {
	t.Parallel()
	p, one := running(t, tcplatform.Options{})
	values := parameters()
	values["sentinel_source_name"] = "Other"
	two := add(t, p, tcplatform.ServiceOptions{Name: "Other", Path: "ms_sentinel_other", Parameters: values})
	turnOn(t, two)
	for s, want := range map[*tcplatform.Service]string{one: "Demo", two: "Other"} {
		if _, data := do(t, "GET", s.URL()+"/source", nil, nil); string(data) != want {
			t.Errorf("%s answered %q", s.URL(), data)
		}
	}
	if _, err := p.AddService(one.App, tcplatform.ServiceOptions{Path: "ms_sentinel"}); err == nil {
		t.Error("two Services have the same path")
	}
	one.TurnOff()
	if _, data := do(t, "GET", two.URL()+"/source", nil, nil); string(data) != "Other" {
		t.Errorf("turning one off silenced the other: %q", data)
	}
}

// A parameter file that nobody can read ends every start, and says so to the administrator.
func TestDamagedParameters(t *testing.T) {
	t.Parallel()
	p := start(t, tcplatform.Options{})
	for path, test := range map[string]struct {
		damage func(sealed []byte) []byte
		want   string
	}{
		"truncated": {func(sealed []byte) []byte { return sealed[:len(sealed)-5] }, "a part is missing"},
		"other_key": {func(sealed []byte) []byte { return bytes.Repeat([]byte{7}, len(sealed)) }, "TC_APP_PARAM_KEY does not fit"},
	} {
		s := add(t, p, tcplatform.ServiceOptions{Path: path, MaxRestarts: 1, Damage: test.damage})
		status := failed(t, s)
		has(t, status.Exit.Message, test.want)
		has(t, status.Exit.Output, test.want)
		if status.Exit.Code != 1 || status.Restarts != 1 || len(status.Received) > 0 {
			t.Errorf("%s: got %+v %+v", path, status, status.Exit)
		}
	}
}

// The certificates of broker and store may be of an authority that only the machine knows, and that of the store may be
// for another name.
func TestCertificates(t *testing.T) {
	t.Parallel()
	const ofStore = `server="key-value store"`
	for name, test := range map[string]struct {
		o    tcplatform.Options
		told []string
	}{
		"of the file":    {tcplatform.Options{}, []string{"server=broker authority=tc_svc_broker_cacert_file", ofStore + " authority=tc_svc_broker_cacert_file"}},
		"of the machine": {tcplatform.Options{MachineCA: true}, []string{`server=broker authority="the machine's"`, ofStore + ` authority="the machine's"`}},
		"another name": {tcplatform.Options{CommonNameOnly: true, Inputs: map[string]string{"tc_kvstore_host": "127.0.0.1"}},
			[]string{"server=broker common_name=localhost", "the certificate of the key-value store is for another host"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.o.Secure = true
			_, s := running(t, test.o)
			echo(t, "POST", s.URL()+"/x", []byte("body"), nil)
			has(t, logOf(t, s), test.told...)
		})
	}
}

// References to ThreatConnect's variables are resolved at start, with a token or without, or named.
func TestVariables(t *testing.T) {
	t.Parallel()
	variables := map[string]string{"TC/source": "Named", "Vault/secret": "a-secret-from-the-vault"}
	users := map[string]string{parameters()["tc_api_access_id"]: parameters()["tc_api_secret_key"]}
	ownKey := map[string]string{"tc_api_secret_key": "&{TC:KEYCHAIN:source}"}
	for name, test := range map[string]struct {
		o       tcplatform.Options
		change  map[string]string
		refused []string // parts of the output; nil: it starts
	}{
		"no token":                {o: tcplatform.Options{APIUsers: users}},
		"token and no such user":  {o: tcplatform.Options{StartToken: true}},
		"token that opens none":   {o: tcplatform.Options{StartToken: true, NoTokenForVariables: true, APIUsers: users}},
		"token for the key":       {o: tcplatform.Options{StartToken: true}, change: ownKey},
		"neither":                 {o: tcplatform.Options{}, refused: []string{"Sentinel Source Name", "Client Secret"}},
		"key that is a variable":  {o: tcplatform.Options{APIUsers: users}, change: ownKey, refused: []string{"Client Secret", "ThreatConnect Secret Key"}},
		"variable does not exist": {o: tcplatform.Options{APIUsers: users}, change: map[string]string{"client_secret": "&{TC:TEXT:x}"}, refused: []string{"Client Secret refers to", "&{TC:TEXT:x}", "with the API user's key: ThreatConnect answered 404"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.o.Variables = variables
			values := parameters()
			values["sentinel_source_name"], values["client_secret"] = "&{TC:TEXT:source}", "&{Vault:KEYCHAIN:secret}"
			maps.Copy(values, test.change)
			s := add(t, start(t, test.o), tcplatform.ServiceOptions{Parameters: values, MaxRestarts: -1})
			if test.refused != nil {
				status := failed(t, s)
				has(t, status.Exit.Output, test.refused...)
				if status.Exit.Code != 1 {
					t.Errorf("got %+v", status.Exit)
				}
				return
			}
			turnOn(t, s)
			if _, data := do(t, "GET", s.URL()+"/source", nil, nil); string(data) != "Named" {
				t.Errorf("the source is %q", data)
			}
		})
	}
}

// Without a token at its start a Service starts, as long as it needs none; the vendor says not to expect one.
func TestNoTokenAtStart(t *testing.T) {
	t.Parallel()
	for _, given := range []bool{false, true} {
		_, s := running(t, tcplatform.Options{StartToken: given})
		if _, data := do(t, "GET", s.URL()+"/starttoken", nil, nil); string(data) != strconv.FormatBool(given) {
			t.Errorf("a token at the start: %s, want %v", data, given)
		}
	}
}
