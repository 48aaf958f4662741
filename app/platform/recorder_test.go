package platform

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/gomodule/redigo/redis"

	"mssentinel/app/secret"
	"mssentinel/app/standin/daemon"
	"mssentinel/app/standin/tcplatform"
)

// What the broker and the platform's messages show is noted while the Service runs.
func TestRecorderNotesMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		r := startRun(t, b, inputs(), nil, nil)
		b.expect(t, "Ready")
		for i := range 5 {
			time.Sleep(time.Duration(1+i) * time.Second)
			b.push(`{"command":"Heartbeat","memoryPercent":0,"metric":{}}`)
			b.expect(t, "Heartbeat")
		}
		b.push(`{"command":"Dance","with":"me"}`)
		b.push(`{"command":"RunService","requestKey":"k","method":"post","path":null,"queryParams":[],"headers":[{"name":"Cookie","value":"x"}],"apiToken":"SVC:8:x"}`)
		b.expect(t, "Acknowledged")
		synctest.Wait()
		f := r.notes.Facts()
		beats := HeartbeatFacts{Count: 5, Shortest: 2 * time.Second, Median: 4 * time.Second, Longest: 5 * time.Second,
			Fields: Tally{"command: text": 5, "memoryPercent: number": 5, "metric: object": 5}}
		if !reflect.DeepEqual(f.Heartbeats, beats) {
			t.Errorf("heartbeats: %+v", f.Heartbeats)
		}
		if !f.Attached || f.Broker != (BrokerFacts{Sessions: 1}) || f.UnknownCommands["dance"] != 1 || f.HeartbeatTimeout != 20*time.Second {
			t.Errorf("%+v", f)
		}
		if q := f.Requests; q.Count != 1 || q.Fields["path: null"] != 1 || q.Paths[`root as ""`] != 1 || q.Methods["post"] != 1 ||
			q.Headers["cookie"] != 1 || q.Tokens["SVC"] != 1 || q.Addresses["none"] != 1 || q.URLs["missing"] != 1 {
			t.Errorf("requests: %+v", q)
		}
		b.drop()
		time.Sleep(10 * time.Second)
		if got := r.notes.Facts().Broker.Sessions; got != 2 {
			t.Errorf("%d sessions after one was lost", got)
		}
		if _, err := r.notes.AskStore(t.Context()); !errors.Is(err, ErrNoStore) {
			t.Errorf("asking the store TCKeyValueAPI: %v", err)
		}
		r.cancel()
		r.end(t) //nolint:errcheck // not asked for
	})
}

func TestRequestFacts(t *testing.T) {
	const start = `{"command":"RunService","requestKey":"k","method":"GET",`
	for name, test := range map[string]struct {
		message string
		pick    func(RequestFacts) Tally
		want    Tally
	}{
		"path with a slash":        {`"path":"/ui/jobs"`, func(f RequestFacts) Tally { return f.Paths }, Tally{"begins with a slash": 1}},
		"path without":             {`"path":"ui/jobs"`, func(f RequestFacts) Tally { return f.Paths }, Tally{"begins without a slash": 1}},
		"path with an escape":      {`"path":"a%2Fb"`, func(f RequestFacts) Tally { return f.Paths }, Tally{"begins without a slash": 1, "holds percent escapes": 1}},
		"path decoded":             {`"path":"a b/é"`, func(f RequestFacts) Tally { return f.Paths }, Tally{"begins without a slash": 1, "holds what an address has to escape": 1}},
		"path with a lone percent": {`"path":"100%"`, func(f RequestFacts) Tally { return f.Paths }, Tally{"begins without a slash": 1}},
		"root as a slash":          {`"path":"/"`, func(f RequestFacts) Tally { return f.Paths }, Tally{`root as "/"`: 1}},

		"address ends in the path":  {`"path":"/ui/","requestUrl":"https://tc/api/services/x/v1/ui/"`, urls, Tally{"ends in the path": 1}},
		"address of the root":       {`"path":"","requestUrl":"https://tc/api/services/x/v1"`, urls, Tally{"ends in the path": 1}},
		"address with parameters":   {`"path":"ui","requestUrl":"https://tc/api/services/x/v1/ui?a=b"`, urls, Tally{"ends in the path": 1, "with the parameters": 1}},
		"address with escapes":      {`"path":"a%2Fb","requestUrl":"https://tc/v1/a%2Fb"`, urls, Tally{"ends in the path": 1}},
		"path decoded, address not": {`"path":"a b","requestUrl":"https://tc/v1/a%20b"`, urls, Tally{"ends in the path, which is decoded": 1}},
		"host alone":                {`"path":"ui","requestUrl":"https://tc"`, urls, Tally{"host alone": 1}},
		"another address":           {`"path":"ui","requestUrl":"https://tc/v1/jobs"`, urls, Tally{"ends in something else": 1}},
		"no address":                {`"path":"ui","requestUrl":"%%%"`, urls, Tally{"no address": 1}},

		"encoded parameters": {`"queryParams":[{"name":"a","value":"x%20y"},{"name":"b","value":"plain"}]`, func(f RequestFacts) Tally { return f.Parameters },
			Tally{"encoded": 1, "the same in either form": 1}},
		"decoded parameters": {`"queryParams":[{"name":"a","value":"x y"}]`, func(f RequestFacts) Tally { return f.Parameters }, Tally{"decoded": 1}},

		"headers":        {`"headers":[{"name":"X-Forwarded-For","value":"1"},{"name":"x-forwarded-for","value":"2"}]`, func(f RequestFacts) Tally { return f.Headers }, Tally{"x-forwarded-for": 2}},
		"token":          {`"apiToken":"APIV2:8:x"`, func(f RequestFacts) Tally { return f.Tokens }, Tally{"APIV2": 1}},
		"another token":  {`"apiToken":"eyJhbGciOiJIUzI1NiJ9.e30.sig:x"`, func(f RequestFacts) Tally { return f.Tokens }, Tally{"of another kind": 1}},
		"address":        {`"remoteAddress":"10.0.0.9"`, addresses, Tally{"IPv4": 1}},
		"address IPv6":   {`"remoteAddress":"[2001:db8::1]"`, addresses, Tally{"IPv6": 1}},
		"with a port":    {`"remoteAddress":"10.0.0.9:99"`, addresses, Tally{"IPv4 with a port": 1}},
		"several":        {`"remoteAddress":"10.0.0.9, 10.0.0.8"`, addresses, Tally{"a list": 1}},
		"members, types": {`"appId":95,"triggerId":null,"x":[1]`, func(f RequestFacts) Tally { return f.Fields }, Tally{"command: text": 1, "requestKey: text": 1, "method: text": 1, "appId: number": 1, "triggerId: null": 1, "x: list": 1}},
	} {
		t.Run(name, func(t *testing.T) {
			payload := []byte(start + test.message + `}`)
			var m runService
			if err := json.Unmarshal(payload, &m); err != nil {
				t.Fatal(err)
			}
			r := NewRecorder(Given{})
			r.noteRequest(payload, &m)
			if got := test.pick(r.Facts().Requests); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func urls(f RequestFacts) Tally      { return f.URLs }
func addresses(f RequestFacts) Tally { return f.Addresses }

func TestBodyFacts(t *testing.T) {
	const form = `{"name":"content-type","value":"application/x-www-form-urlencoded"}`
	for name, test := range map[string]struct {
		variable, headers string
		size              int
		bodies, forms     Tally
	}{
		"none":                        {"null", "", 0, Tally{"none, and bodyVariable is not set": 1}, nil},
		"none, but a variable":        {`"request.body"`, "", 0, Tally{"none, and bodyVariable names a field that does not exist": 1}, nil},
		"as long as said":             {`"request.body"`, `{"name":"Content-Length","value":"5"}`, 5, Tally{"with as many bytes as Content-Length says": 1}, nil},
		"changed on the way":          {`"request.body"`, `{"name":"Content-Length","value":"5"}`, 7, Tally{"with other bytes than Content-Length says": 1}, nil},
		"without a length":            {`"request.body"`, "", 7, Tally{"with bytes, without Content-Length": 1}, nil},
		"a form":                      {`"request.body"`, form, 7, Tally{"with bytes, without Content-Length": 1}, Tally{"as a body": 1}},
		"a form that was taken apart": {"null", form, 0, Tally{"none, and bodyVariable is not set": 1}, Tally{"among the parameters": 1}},
	} {
		t.Run(name, func(t *testing.T) {
			var m runService
			if err := json.Unmarshal([]byte(`{"bodyVariable":`+test.variable+`,"headers":[`+test.headers+`]}`), &m); err != nil {
				t.Fatal(err)
			}
			r := NewRecorder(Given{})
			r.noteBody(&m, test.size)
			if f := r.Facts().Requests; !reflect.DeepEqual(f.Bodies, test.bodies) || !reflect.DeepEqual(f.Forms, test.forms) {
				t.Errorf("got %v and %v", f.Bodies, f.Forms)
			}
		})
	}
}

// Whatever the platform sends, memory stays bounded and nothing is noted but names, kinds and numbers.
func TestRecorderKeepsNoValues(t *testing.T) {
	f := newFixture(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hunter2-answer") })
	f.notes = NewRecorder(Given{})
	for i := range 500 {
		key := fmt.Sprint("key", i)
		f.store.values[key+"/request.body"] = []byte("hunter2-body")
		f.dispatchMessage([]byte(fmt.Sprintf(`{"command":"RunService","requestKey":%q,"method":"GET","path":"hunter2/path%d","requestUrl":"https://hunter2/hunter2/path%d?a=hunter2",
			"queryParams":[{"name":"hunter2","value":"hunter2 x"}],"headers":[{"name":"Authorization","value":"hunter2"},{"name":"x-%d-%s","value":"hunter2"}],
			"apiToken":"SVC:8:hunter2","remoteAddress":"hunter2","bodyVariable":"request.body","member%d":"hunter2"}`, key, i, i, i, strings.Repeat("long", 100), i)))
		f.dispatchMessage([]byte(fmt.Sprintf(`{"command":"dance\u0000%d","x":"hunter2"}`, i)))
		f.dispatchMessage([]byte(fmt.Sprintf(`{"command":"heartbeat","x%d":"hunter2"}`, i)))
		f.ack(t, key)
	}
	said := fmt.Sprintf("%+v", f.notes.Facts())
	if strings.Contains(said, "hunter2") {
		t.Errorf("a value was noted: %s", said)
	}
	if len(said) > 50_000 {
		t.Errorf("%d bytes were noted", len(said))
	}
	if q := f.notes.Facts().Requests; q.Count != 500 || len(q.Headers) > maxTally+1 || q.Headers["others"] == 0 || q.Fields["others"] == 0 {
		t.Errorf("%+v", q)
	}
}

// Noting a request costs next to nothing beside handling it.
func TestRecorderIsCheap(t *testing.T) {
	payload := []byte(`{"command":"RunService","requestKey":"k","method":"GET","path":"ui/jobs","requestUrl":"https://tc/api/services/x/v1/ui/jobs","queryParams":[],` +
		`"headers":[{"name":"Host","value":"tc"},{"name":"Cookie","value":"x"}],"apiToken":"SVC:8:x","remoteAddress":"10.0.0.9"}`)
	var m runService
	if err := json.Unmarshal(payload, &m); err != nil {
		t.Fatal(err)
	}
	r := NewRecorder(Given{})
	beat := []byte(`{"command":"Heartbeat","metric":{}}`)
	if allocs := testing.AllocsPerRun(100, func() { r.noteRequest(payload, &m) }); allocs > 60 {
		t.Errorf("%v allocations a request", allocs)
	}
	if allocs := testing.AllocsPerRun(1000, func() { r.noteHeartbeat(beat) }); allocs > 10 {
		t.Errorf("%v allocations a heartbeat", allocs)
	}
	var none *Recorder
	none.noteRequest(payload, &m)
	none.noteHeartbeat(beat)
}

// The store is asked about itself with commands that it may refuse.
func TestAskStore(t *testing.T) {
	for name, test := range map[string]struct {
		refuse []string
		life   time.Duration
		remove bool
		want   StoreFacts
		gone   bool
		left   time.Duration
	}{
		"all is told": {life: time.Minute, remove: true, gone: true,
			want: StoreFacts{Kind: storeRedis, Login: "user name and password were taken", Version: "7.2.4", User: "app", Length: "allowed", Lifetimes: []time.Duration{time.Minute}}},
		"nothing is told": {refuse: []string{"INFO", "ACL", "HSTRLEN", "TTL"},
			want: StoreFacts{Kind: storeRedis, Login: "user name and password were taken", Version: "refused: NOPERM no", User: "refused: NOPERM no", Length: "refused: NOPERM no"}},
		"bodies stay": {left: -1,
			want: StoreFacts{Kind: storeRedis, Login: "user name and password were taken", Version: "7.2.4", User: "app", Length: "allowed", Lifetimes: []time.Duration{-1}}},
	} {
		t.Run(name, func(t *testing.T) {
			m := miniredis.RunT(t)
			m.RequireUserAuth("app", "secret")
			m.Server().SetPreHook(func(c *server.Peer, command string, args ...string) bool {
				for _, refused := range test.refuse {
					if command == refused {
						c.WriteError("NOPERM no")
						return true
					}
				}
				switch command {
				case "INFO":
					c.WriteBulk("# Server\r\nredis_version:7.2.4\r\nos:Linux\r\n")
				case "ACL":
					c.WriteBulk("app")
				}
				return command == "INFO" || command == "ACL"
			})
			in := redisInputs(t, m.Port())
			in.StoreUser, in.StorePassword = "app", secret.New("secret")
			r := NewRecorder(Given{})
			store, err := newRedisStore(in, Options{Dial: (&net.Dialer{}).DialContext, Logger: slog.New(slog.DiscardHandler), Recorder: r})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { store.Close() })
			r.attach(in, store)
			f := newFixture(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "answer") })
			f.service.store, f.notes = store, r
			if err := store.Put(t.Context(), "k", requestBody, []byte("body")); err != nil {
				t.Fatal(err)
			}
			if test.life > 0 {
				m.SetTTL("k", test.life)
			}
			f.request("k", `,"bodyVariable":"request.body"`)
			f.ack(t, "k")
			if test.remove {
				m.Del("k")
			}
			got, err := r.AskStore(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(test.refuse) == 0 {
				if len(got.Answered) != 1 || got.Answered[0].Gone != test.gone || got.Answered[0].Left != test.left {
					t.Errorf("what became of the answer: %+v", got.Answered)
				}
			}
			if got.Answered = nil; !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}

func TestAskStoreThatIsGone(t *testing.T) {
	m := miniredis.RunT(t)
	in := redisInputs(t, m.Port())
	store := openRedis(t, in)
	m.Close()
	r := NewRecorder(Given{})
	r.attach(in, store)
	if facts, err := r.AskStore(t.Context()); err == nil || facts.Kind != storeRedis {
		t.Errorf("%+v, %v", facts, err)
	}
}

// A certificate is noted whether it is taken or not.
func TestRecorderNotesCertificates(t *testing.T) {
	good, err := tcplatform.NewCertificates(filepath.Join(t.TempDir(), "good"), false)
	if err != nil {
		t.Fatal(err)
	}
	other, err := tcplatform.NewCertificates(filepath.Join(t.TempDir(), "other"), true)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		in              Inputs
		server          *tcplatform.Certificates
		authority, name string
		trusted         bool
	}{
		"alternative name": {Inputs{CAFile: good.CAFile, BrokerHost: "127.0.0.1"}, good, AuthorityFile, NamedAlternatively, true},
		"common name":      {Inputs{CAFile: other.CAFile, BrokerHost: "localhost"}, other, AuthorityFile, NamedCommonly, true},
		"of nobody":        {Inputs{CAFile: good.CAFile, BrokerHost: "127.0.0.1"}, other, "", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			r := NewRecorder(Given{})
			config, err := brokerTLS(test.in, Options{Logger: slog.New(slog.DiscardHandler), Recorder: r})
			if err != nil {
				t.Fatal(err)
			}
			if err := shakeHands(t, config, test.server); (err == nil) != test.trusted {
				t.Errorf("the handshake: %v", err)
			}
			c := r.Facts().Broker.TLS
			if c == nil || c.Version != "TLS 1.3" || c.Authority != test.authority || c.Name != test.name || c.Issuer == "" || c.Expires.IsZero() ||
				c.CommonName == "" && len(c.Names) == 0 {
				t.Errorf("noted: %+v", c)
			}
		})
	}
}

// A real Redis tells what it is asked, except where the App's user has no right to ask.
func TestAskRealStore(t *testing.T) {
	d, at, err := daemon.Redis(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Stop)
	conn, err := redis.Dial("tcp", net.JoinHostPort(at.Host, strconv.Itoa(at.Port)), redis.DialPassword(at.Password))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, command := range [][]any{{"SETUSER", "few", "on", ">secret", "~*", "+hget", "+hset"}, {"SETUSER", "all", "on", ">secret", "~*", "+@all"}} {
		if _, err := conn.Do("ACL", command...); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.Do("HSET", "gone soon", responseBody, "x"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Do("EXPIRE", "gone soon", 300); err != nil {
		t.Fatal(err)
	}
	ask := func(user string) StoreFacts {
		in := redisInputs(t, strconv.Itoa(at.Port))
		in.StoreUser, in.StorePassword = user, secret.New("secret")
		r := NewRecorder(Given{})
		r.attach(in, openRedis(t, in))
		r.noteAnswered("never there")
		r.noteAnswered("gone soon")
		facts, err := r.AskStore(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return facts
	}
	if f := ask("all"); !strings.Contains(f.Version, ".") || f.User != "all" || f.Length != "allowed" || len(f.Answered) != 2 ||
		f.Answered[0].Gone || f.Answered[0].Left < 290*time.Second || !f.Answered[1].Gone {
		t.Errorf("all is allowed: %+v", f)
	}
	if f := ask("few"); !strings.HasPrefix(f.Version, "refused: NOPERM") || !strings.HasPrefix(f.User, "refused: NOPERM") ||
		!strings.HasPrefix(f.Length, "refused: NOPERM") || len(f.Answered) != 0 {
		t.Errorf("few things are allowed: %+v", f)
	}
}
