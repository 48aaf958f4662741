package tcplatform_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mssentinel/app/standin/tcplatform"
)

// vendor is a version of TcEx, ThreatConnect's own framework for Apps. Nobody here wrote it, so it judges the stand-in:
// what it dies of, the stand-in does not send.
type vendor struct{ version, variable, folder string }

var vendors = []vendor{{"5.0.0", "MS_SENTINEL_TCEX5", "tcex5"}, {"4.0.11", "MS_SENTINEL_TCEX4", "tcex4"}}

// python is the interpreter that has this version.
func (v vendor) python(t *testing.T) string {
	t.Helper()
	python := os.Getenv(v.variable)
	if python == "" {
		python = filepath.Join("..", "..", "..", ".tools", v.folder, "bin", "python")
	}
	python, err := filepath.Abs(python) // it runs in the App's folder
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(python, "-c", "from importlib.metadata import version; print(version('tcex'))").CombinedOutput()
	if got := strings.TrimSpace(string(out)); err != nil || got != v.version {
		t.Fatalf("%s has no tcex %s (%v, %s): run ./package.sh test once, which installs it, or name a Python that has it in %s",
			python, v.version, err, got, v.variable)
	}
	return python
}

// sideBySide runs tests at the same time, however many: they wait for the other side more than they work.
func sideBySide(t *testing.T, tests map[string]func(*testing.T)) {
	t.Helper()
	var group sync.WaitGroup
	for name, test := range tests {
		group.Go(func() { t.Run(name, test) })
	}
	group.Wait()
}

// vendorService turns the App on TcEx on, and waits until it has answered a heartbeat: it may say Ready before it
// subscribes, and what is sent in between is lost.
func (v vendor) vendorService(t *testing.T, o tcplatform.Options, quiet bool) *tcplatform.Service {
	t.Helper()
	_, s := v.addVendorService(t, o, vendorParameters(quiet))
	turnOn(t, s)
	if _, err := s.Wait(within(t), func(status tcplatform.Status) bool { return status.Received["Heartbeat"] > 0 }); err != nil {
		t.Fatal(err)
	}
	return s
}

// vendorParameters are the parameters of the App on TcEx, with the key of an API user. If it is quiet it writes errors
// alone to its log: for each line TcEx searches the source of all that called it, which takes longer than the request.
func vendorParameters(quiet bool) map[string]string {
	return map[string]string{"quiet": fmt.Sprint(quiet), "tc_api_access_id": "12345", "tc_api_secret_key": "a-key"}
}

func (v vendor) addVendorService(t *testing.T, o tcplatform.Options, parameters map[string]string) (*tcplatform.Platform, *tcplatform.Service) {
	t.Helper()
	o.Python, o.APIUsers = v.python(t), map[string]string{"12345": "a-key"}
	if o.HeartbeatTimeout == 0 {
		o.HeartbeatTimeout = 20 * time.Second
	}
	p := start(t, o)
	file := filepath.Join(t.TempDir(), "TCVA_-_Vendor_Framework_v1.tcx")
	err := pack(file, map[string]string{"install.json": "testdata/vendorapp/install.json", "run.py": "testdata/vendorapp/run.py"})
	if err != nil {
		t.Fatal(err)
	}
	app, err := p.Install(file)
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.AddService(app, tcplatform.ServiceOptions{MaxRestarts: -1, Parameters: parameters})
	if err != nil {
		t.Fatal(err)
	}
	return p, s
}

// seen is what the App on TcEx says that it saw of a request.
type seen struct {
	Method, Path, Query, Type, Length, Token string
	Body                                     string // the type of what WSGI hands over
	Headers                                  map[string]string
	Inputs                                   []any
}

// sent is a request of which the App tells.
type sent struct {
	method, path, query, contentType string
	header                           http.Header
	body                             []byte // nil for none
	chunked                          bool
}

// newSent makes up a request.
func newSent(r *rand.Rand) sent {
	pick := func(from ...string) string { return from[r.IntN(len(from))] }
	s := sent{
		method: pick("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"),
		path:   pick("", "x", "items/42", "a b", "ä/€/😀", "a/b%c", "made", "missing", "tail/", "a+b", "q?r#s", strings.Repeat("long", 300)),
		header: http.Header{"X-One": {pick("1", "", "a, b", "ä €", `quoted "text"`)}},
	}
	var query []string
	for range r.IntN(4) {
		value := pick("", "1", "a b", "ä€😀", "a&b=c", "100%", "%41", "1+1", "typeName in (\"Host\")", strings.Repeat("v", 2000))
		query = append(query, pick("a", "b", "ä", "a&b")+"="+value)
	}
	for i, pair := range query {
		name, value, _ := strings.Cut(pair, "=")
		query[i] = url.QueryEscape(name) + "=" + url.QueryEscape(value)
	}
	s.query = strings.Join(query, "&")
	if r.IntN(4) == 0 {
		s.header["X-Many"] = []string{"first", "second"}
	}
	if s.method != "HEAD" {
		s.addBody(r)
	}
	return s
}

// addBody adds a body, or none.
func (s *sent) addBody(r *rand.Rand) {
	size := []int{-1, -1, 0, 1, 100, 10_000, 100_000}[r.IntN(7)]
	if r.IntN(200) == 0 {
		size = 3 << 20
	}
	if size < 0 {
		return
	}
	s.body = make([]byte, size)
	for i := range s.body {
		s.body[i] = byte(r.Uint32())
	}
	s.contentType = []string{"", "application/octet-stream", "application/json; charset=utf-8"}[r.IntN(3)]
	s.chunked = r.IntN(3) == 0
}

// send sends the request, and returns what the App saw and the body of its answer.
func (s sent) send(t *testing.T, base string) (saw seen, body []byte, err error) {
	var reader io.Reader
	if s.body != nil {
		reader = bytes.NewReader(s.body)
		if s.chunked {
			reader = struct{ io.Reader }{reader} // a length that is not known
		}
	}
	address := base + "/" + (&url.URL{Path: s.path}).EscapedPath()
	if s.query != "" {
		address += "?" + s.query
	}
	request, err := http.NewRequestWithContext(within(t), s.method, address, reader)
	if err != nil {
		return saw, nil, err
	}
	request.Header = s.header.Clone()
	if s.contentType != "" {
		request.Header.Set("Content-Type", s.contentType)
	}
	response, err := client.Do(request)
	if err != nil {
		return saw, nil, err
	}
	defer response.Body.Close()
	if body, err = io.ReadAll(response.Body); err != nil {
		return saw, nil, err
	}
	want := map[string]int{"missing": 404, "made": 201}[s.path]
	if want == 0 {
		want = 200
	}
	if response.StatusCode != want || !slices.Equal(response.Header["X-Twice"], []string{"one", "two"}) {
		return saw, nil, fmt.Errorf("answered %d %v %.200q", response.StatusCode, response.Header, body)
	}
	return saw, body, json.Unmarshal([]byte(response.Header.Get("X-Seen")), &saw)
}

// check compares the request with what the App saw of it. misread reports a query that TcEx makes another one of: it
// joins the parameters as they are, so that those which arrive decoded lose the difference between a & and a separator.
func (s sent) check(saw seen, body []byte, raw, storeByAPI bool) (misread bool, err error) {
	var wrong []string
	expect := func(what string, got, want any) {
		if fmt.Sprint(got) != fmt.Sprint(want) {
			wrong = append(wrong, fmt.Sprintf("%s %.200q, want %.200q", what, fmt.Sprint(got), fmt.Sprint(want)))
		}
	}
	expect("method", saw.Method, s.method)
	expect("path", strings.TrimPrefix(saw.Path, "/"), s.path)
	expect("content type", saw.Type, s.contentType)
	expect("X-One", saw.Headers["X-ONE"], s.header.Get("X-One"))
	expect("first X-Many", saw.Headers["X-MANY"], s.header.Get("X-Many")) // TcEx keeps the first of several
	expect("token", saw.Token, "SVC:")
	expect("an input of digits", saw.Inputs[0], "12345")
	expect("an input without a value", cmp.Or(saw.Inputs[1], any("")), "")
	switch {
	case storeByAPI: // TcEx takes what it gets from there for text, be it the answer that there is no body, and stumbles over it
		if saw.Body == "BytesIO" {
			wrong = append(wrong, "it has read a body")
		}
	case len(s.body) > 0:
		expect("body", saw.Body, "BytesIO")
		if !bytes.Equal(body, s.body) {
			wrong = append(wrong, fmt.Sprintf("%d bytes of a body of %d", len(body), len(s.body)))
		}
	default:
		expect("body", saw.Body, "NoneType")
	}
	if len(s.body) > 0 && !s.chunked {
		expect("length", saw.Length, len(s.body))
	}
	query := s.query
	if !raw {
		var decoded []string
		for part := range strings.SplitSeq(s.query, "&") {
			name, value, _ := strings.Cut(part, "=")
			name, _ = url.QueryUnescape(name)
			value, _ = url.QueryUnescape(value)
			if name != "" {
				decoded = append(decoded, name+"="+value)
			}
		}
		query = strings.Join(decoded, "&")
	}
	expect("query", saw.Query, query)
	meant, _ := url.ParseQuery(s.query)
	understood, err := url.ParseQuery(saw.Query)
	misread = err != nil || fmt.Sprint(meant) != fmt.Sprint(understood)
	if len(wrong) > 0 {
		return misread, fmt.Errorf("%s %.80q: %s", s.method, s.path, strings.Join(wrong, "; "))
	}
	return misread, nil
}

// exchange sends n requests, some at a time, and returns how many queries TcEx made others of.
func exchange(t *testing.T, s *tcplatform.Service, n int, raw, storeByAPI bool) (misread int64) {
	t.Helper()
	levels := []string{"DEBUG", "error", "TRACE", "WARNING", "Info", "ERROR"}
	source := rand.New(rand.NewPCG(uint64(n), 7))
	var group sync.WaitGroup
	var others atomic.Int64
	slots := make(chan struct{}, 8)
	for i := range n {
		request := newSent(source)
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			saw, body, err := request.send(t, s.URL())
			if err == nil {
				var other bool
				if other, err = request.check(saw, body, raw, storeByAPI); other {
					others.Add(1)
				}
			}
			if err != nil {
				t.Errorf("request %d: %v", i, err)
			}
		})
		if i < 10*len(levels) && i%10 == 0 {
			if err := s.Send(fmt.Appendf(nil, `{"command":"LoggingChange","level":%q}`, levels[i/10])); err != nil {
				t.Error(err)
			}
		}
	}
	group.Wait()
	return others.Load()
}

// endInOrder turns the App on TcEx off, which must not have been disturbed by anything.
func endInOrder(t *testing.T, s *tcplatform.Service, requests int64) {
	t.Helper()
	_, err := s.Wait(within(t), func(status tcplatform.Status) bool {
		return status.Metrics["Requests"] == requests && status.Metrics["Responses"] == requests
	})
	if err != nil {
		t.Error(err)
	}
	s.TurnOff()
	status := s.Status()
	if status.Exit.Code != 0 || status.Exit.Message != "ended in order" || status.Exit.Output != "" || status.Restarts != 0 ||
		status.Received["Ready"] != 1 || status.Received["Acknowledged/Shutdown"] != 1 || status.Metrics["Errors"] != 0 {
		t.Errorf("got %+v %+v", status, status.Exit)
	}
	for line := range strings.Lines(logOf(t, s)) {
		if strings.Contains(line, "ERROR - ") || strings.Contains(line, "Traceback") || strings.Contains(line, "WARNING - feature=service") {
			t.Errorf("in the App's log: %s", line)
			break
		}
	}
}

// An App on the vendor's own framework lives through all that the stand-in sends, and reads it as it was meant.
func TestVendorFramework(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*testing.T){}
	for _, v := range vendors {
		tests[v.version] = func(t *testing.T) {
			s := v.vendorService(t, tcplatform.Options{Seed: 1}, true)
			if misread := exchange(t, s, 1000, false, false); misread == 0 {
				t.Error("TcEx reads every query right that arrives decoded: app/docs/platform.md#requests says otherwise")
			}
			endInOrder(t, s, 1000)
		}
	}
	sideBySide(t, tests)
}

// The same by every other road.
func TestVendorFrameworkVariants(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*testing.T){}
	for _, v := range vendors {
		for name, o := range map[string]tcplatform.Options{
			"secure":        {Secure: true, CommonNameOnly: true, StartToken: true, RawQuery: true},
			"key-value API": {KeyValueAPI: true, RawQuery: true},
		} {
			tests[name+" "+v.version] = func(t *testing.T) {
				o.Seed = uint64(len(name))
				s := v.vendorService(t, o, false)
				if misread := exchange(t, s, 70, true, o.KeyValueAPI); misread > 0 {
					t.Errorf("TcEx made others of %d queries that arrived as they were written", misread)
				}
				if !o.KeyValueAPI {
					endInOrder(t, s, 70)
				}
			}
		}
	}
	sideBySide(t, tests)
}

// Whatever form the parameters take, TcEx takes them.
func TestVendorFrameworkTakesParameters(t *testing.T) {
	t.Parallel()
	const judge = `
import json, sys
from tcex.input.model.common_advanced_model import CommonAdvancedModel
from tcex.input.model.module_app_model import ModuleAppModel
from tcex.input.model.module_requests_session_model import ModuleRequestsSessionModel
for number, line in enumerate(sys.stdin):
    for model in CommonAdvancedModel, ModuleAppModel, ModuleRequestsSessionModel:
        model(**{k: v for k, v in json.loads(line).items() if k in getattr(model, 'model_fields', model.__fields__)})
print(number + 1)
`
	tests := map[string]func(*testing.T){}
	for _, v := range vendors {
		tests[v.version] = func(t *testing.T) {
			var lines bytes.Buffer
			for _, o := range []tcplatform.Options{{}, {StartToken: true}, {Secure: true}, {KeyValueAPI: true}} {
				_, s := v.addVendorService(t, o, vendorParameters(false))
				for range 100 {
					if err := json.NewEncoder(&lines).Encode(tcplatform.InputsOf(s)); err != nil {
						t.Fatal(err)
					}
				}
			}
			command := exec.CommandContext(within(t), v.python(t), "-W", "ignore", "-c", judge)
			command.Dir, command.Stdin = filepath.Join("testdata", "vendorapp"), &lines
			if out, err := command.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "400" {
				t.Errorf("%s%v", out, err)
			}
		}
	}
	sideBySide(t, tests)
}

// What TcEx dies of the stand-in does not send, app/docs/platform.md#values-in-the-parameter-file. If TcEx takes it one
// day, the stand-in may send it again.
func TestVendorFrameworkRefusesParameters(t *testing.T) {
	t.Parallel()
	const judge = `
import json, sys
from tcex.input.model.module_app_model import ModuleAppModel
for line in sys.stdin:
    try:
        ModuleAppModel(**json.loads(line))
    except Exception:
        print(line, end='')
`
	const both = `{"tc_proxy_port":""}
{"tc_token_expires":""}
{"tc_kvstore_tls_enabled":""}
{"tc_proxy_tc":null}
{"tc_svc_hb_timeout_seconds":null}
`
	const taken = `{"tc_proxy_host":"","tc_token":"","tc_kvstore_user":null,"tc_proxy_port":null,"tc_svc_broker_port":"1883","tc_proxy_tc":"false"}
`
	const number = `{"tc_api_access_id":12345}
`
	tests := map[string]func(*testing.T){}
	for _, v := range vendors {
		tests[v.version] = func(t *testing.T) {
			command := exec.CommandContext(within(t), v.python(t), "-W", "ignore", "-c", judge)
			command.Dir, command.Stdin = filepath.Join("testdata", "vendorapp"), strings.NewReader(taken+both+number)
			want := both
			if strings.HasPrefix(v.version, "5.") {
				want += number
			}
			if out, err := command.CombinedOutput(); err != nil || string(out) != want {
				t.Errorf("it refuses\n%s, %v, want\n%s", out, err, want)
			}
		}
	}
	sideBySide(t, tests)
}

// A request whose handler fails gets no answer, app/docs/platform.md#requests, and a triggerId of "" is the last message
// that TcEx reads, app/docs/platform.md#commands.
func TestVendorFrameworkFallsSilent(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*testing.T){}
	for _, v := range vendors {
		tests[v.version] = func(t *testing.T) {
			s := v.vendorService(t, tcplatform.Options{AnswerTimeout: 2 * time.Second, HeartbeatTimeout: 4 * time.Second}, false)
			if response, data := do(t, "GET", s.URL()+"/fail", nil, nil); response.StatusCode != http.StatusGatewayTimeout {
				t.Errorf("answered %d %s", response.StatusCode, data)
			}
			if err := s.Send([]byte(`{"command":"Heartbeat","triggerId":""}`)); err != nil {
				t.Fatal(err)
			}
			status, err := s.Wait(within(t), func(status tcplatform.Status) bool { return status.State == tcplatform.Failed })
			if err != nil {
				t.Fatal(err)
			}
			if len(status.Strays) != 1 || !strings.Contains(status.Strays[0], "no heartbeat was answered") {
				t.Errorf("got %+v", status)
			}
			s.ForgetStrays()
		}
	}
	sideBySide(t, tests)
}

// The authority of the broker's certificate may be one that the machine alone knows: version 4 takes that, and version 5
// ends at once and without an error, app/docs/platform.md#certificates.
func TestVendorFrameworkTrust(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*testing.T){}
	for _, v := range vendors {
		tests[v.version] = func(t *testing.T) {
			_, s := v.addVendorService(t, tcplatform.Options{Secure: true, MachineCA: true}, nil)
			if err := s.TurnOn(); err != nil {
				t.Fatal(err)
			}
			status, err := s.Wait(within(t), func(status tcplatform.Status) bool {
				return status.State == tcplatform.Running || status.Exit != nil
			})
			if err != nil || (status.State == tcplatform.Running) != strings.HasPrefix(v.version, "4.") || status.Exit != nil && status.Exit.Code != 0 {
				t.Errorf("got %+v %+v, %v", status, status.Exit, err)
			}
		}
	}
	sideBySide(t, tests)
}
