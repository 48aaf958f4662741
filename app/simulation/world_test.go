package simulation

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mssentinel/app/pipeline"
	"mssentinel/app/standin/sentinelserver"
	"mssentinel/app/standin/tcserver"
)

// Credentials. None of the secrets may come out anywhere.
const (
	tenant    = "11111111-2222-4333-8444-555555555555"
	clientID  = "66666666-7777-4888-9999-aaaaaaaaaaaa"
	secret    = "Very/Secret+Value~1"
	secretKey = "Another/Secret+Value~2"
	accessID  = "11112222333344445555"
)

var workspaces = []string{"bbbbbbbb-cccc-4ddd-8eee-ffffffffffff", "bbbbbbbb-cccc-4ddd-8eee-000000000000"}

// world is the product without its screens between the stand-ins, in memory and in simulated time.
type world struct {
	history History
	setting Setting
	dir     string // one folder a process below it
	tc      *tcserver.Server
	far     *sentinelserver.Server
	served  []*served
	mappers *mappers
	watch   *watch
	delays  atomic.Int64
	retries atomic.Int64 // of updates by the operator
	// dieAt is the event at which the process dies in the next update that is checked, "" for none.
	dieAt string
	log   lockedText
	disk  diskFault
	trap  trap

	process   *process
	processes int
	winding   *sync.WaitGroup // dead processes that are not over yet

	// left is the folder and leftRows what is in ThreatConnect when the clock was put back, "" and nil before.
	left     string
	leftRows [][]byte

	// slots are ThreatConnect's ids by slot, gone what was deleted.
	slots map[int]int64
	gone  map[int]tcserver.Row
	// commands are when which was given, confirmed the jobs whose question was answered with yes, looked the last job looked at.
	commands  map[Kind][]time.Time
	confirmed map[string]bool
	looked    int64
	// saved are the queries as they stand on CONFIGURE.
	saved []Query
	// ids are the identities of the queries by number.
	ids map[int]string

	secretsMu sync.Mutex
	secrets   []string

	failedMu sync.Mutex
	failures []failure
}

// failure is a promise that was not kept. Its check names the promise.
type failure struct{ check, text string }

func (f failure) String() string { return f.check + ": " + f.text }

// fail notes a failure.
func (w *world) fail(check, format string, args ...any) {
	w.failedMu.Lock()
	defer w.failedMu.Unlock()
	w.failures = append(w.failures, failure{check, fmt.Sprintf(format, args...)})
}

func (w *world) failed() bool {
	w.failedMu.Lock()
	defer w.failedMu.Unlock()
	return len(w.failures) > 0
}

// must is for errors of the simulation itself.
func (w *world) must(err error) {
	if err != nil {
		panic(fmt.Errorf("the simulation: %w", err))
	}
}

// lockedText is a log that may be read while it is written.
type lockedText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// newWorld makes the outside of a history. Nothing of the product runs yet.
func newWorld(h History, dir string) *world {
	w := &world{history: h, setting: h.Setting, dir: dir, slots: map[int]int64{}, gone: map[int]tcserver.Row{}, ids: map[int]string{}, secrets: []string{secret, secretKey},
		commands: map[Kind][]time.Time{}, confirmed: map[string]bool{}}
	w.watch = newWatch(w)
	w.openOutside(0)
	for _, item := range h.Items {
		w.add(item)
	}
	return w
}

// openOutside begins the stand-ins, with what was in them when the clock was put back.
func (w *world) openOutside(back time.Duration) {
	v := w.history.Variant
	empty, err := tcserver.Read(strings.NewReader(""))
	w.must(err)
	owners := make([]tcserver.Owner, len(ownerNames))
	for i, name := range ownerNames {
		owners[i] = tcserver.Owner{ID: int64(i + 1), Name: name, Type: "Source"}
	}
	owners[0].Type = "Organization"
	w.tc = tcserver.New(tcserver.Options{Population: empty, MoreOwners: owners, Users: []tcserver.User{{AccessID: accessID, SecretKey: secretKey}}, Seed: w.history.Seed,
		TrailingBlank: v.TrailingBlank, StatusKeepsLastModified: v.StatusKeepsLastModified, DeletedShowsAdded: v.DeletedShowsAdded, MostRows: v.MostRows})
	for _, row := range w.leftRows {
		_, err := w.tc.Put(row)
		w.must(err)
	}
	w.far = sentinelserver.New(sentinelserver.Options{Limit: sentinelserver.Unlimited, Workspaces: workspaces, Seed: w.history.Seed, ByteOrderMark: v.ByteOrderMark,
		MessageKey: sentinelserver.MessageKey(v.MessageKey), Unknowns: sentinelserver.Unknowns{AllInvalidStatus: v.AllInvalidStatus},
		Apps: []sentinelserver.App{{TenantID: tenant, ClientID: clientID, ClientSecret: secret}}})
	if slices.ContainsFunc(w.history.Steps, func(s Step) bool { return s.Do == PutBack }) {
		w.must(w.far.Journal(filepath.Join(w.dir, "sentinel.journal")))
		w.far.PutBack(back)
	}
	w.served = []*served{serve(w.tc), serve(w.far)}
	w.mappers = newMappers(w)
	w.winding = new(sync.WaitGroup)
}

// leave keeps what goes on when the clock was put back.
func (w *world) leave() {
	w.left, w.leftRows = w.process.dir, nil
	rows := w.tc.Rows()
	for _, row := range rows {
		w.leftRows = append(w.leftRows, row.JSON())
	}
	w.watch.putBack(rows)
}

// close ends everything. What is left after it is a leak, which the bubble reports.
func (w *world) close() {
	w.tc.Close()
	w.far.Close()
	w.stop()
	w.winding.Wait()
	w.mappers.close()
	for _, s := range w.served {
		s.close()
	}
}

// add puts an item into ThreatConnect.
func (w *world) add(item Item) {
	at := time.Now().UTC().Add(-time.Duration(item.Age) * time.Hour).Format(time.RFC3339)
	all := map[string]any{"type": item.Type, "ownerName": item.Owner, "ownerId": 1 + slices.Index(ownerNames, item.Owner), "active": true,
		"dateAdded": at, "lastModified": at, "webLink": fmt.Sprintf("https://tc.example/%d", item.Slot)}
	maps.Copy(all, item.Members)
	raw, err := json.Marshal(all)
	w.must(err)
	id, err := w.tc.Put(raw)
	w.must(err)
	w.slots[item.Slot] = id
	delete(w.gone, item.Slot)
	if len(item.Tags) > 0 {
		w.must(w.tc.SetTags(id, item.Tags...))
	}
}

// transport leads one process to one of the stand-ins.
func (w *world) transport(s *served) *http.Transport {
	return &http.Transport{MaxIdleConnsPerHost: 16, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return s.pipes.dial(ctx) }}
}

// trap ends the process at one event.
type trap struct {
	mu    sync.Mutex
	of    *process
	event string
	left  int
}

// set sets the trap for one process; an empty event takes it away.
func (t *trap) set(of *process, event string, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.of, t.event, t.left = of, event, n
}

// springs says that this event is the one.
func (t *trap) springs(p *process, event string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of != p || t.event != event {
		return false
	}
	t.left--
	if t.left > 0 {
		return false
	}
	t.event = ""
	return true
}

// diskFault is how the disk fails at present.
type diskFault struct {
	mu          sync.Mutex
	kind        string
	after, left int // left is negative until the disk is healed
}

func (d *diskFault) set(kind string, after, count int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.kind, d.after, d.left = kind, after, count
}

// strikes says how a transaction fails, "" for not at all.
func (d *diskFault) strikes() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.kind == "":
		return ""
	case d.after > 0:
		d.after--
		return ""
	case d.left == 0:
		d.kind = ""
		return ""
	}
	d.left--
	return d.kind
}

// noteSecrets remembers what must not come out.
func (w *world) noteSecrets(authorization string) {
	token, isBearer := strings.CutPrefix(authorization, "Bearer ")
	if !isBearer || len(token) < 20 {
		return
	}
	w.secretsMu.Lock()
	defer w.secretsMu.Unlock()
	if !slices.Contains(w.secrets, token) {
		w.secrets = append(w.secrets, token)
	}
}

var tokenMember = regexp.MustCompile(`"access_token"\s*:\s*"([^"]+)"`)

func (w *world) noteTokens(answer []byte) {
	if m := tokenMember.FindSubmatch(answer); m != nil {
		w.noteSecrets("Bearer " + string(m[1]))
	}
}

// findSecrets looks for secrets in all that the product wrote.
func (w *world) findSecrets() {
	texts := map[string]string{"the log": w.log.String()}
	files, err := filepath.Glob(filepath.Join(w.dir, "*", "*"))
	w.must(err)
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			continue // a dead process has just been cleared away
		}
		texts[filepath.Base(path)] = string(data)
	}
	w.secretsMu.Lock()
	defer w.secretsMu.Unlock()
	for where, text := range texts {
		for _, s := range w.secrets {
			if i := strings.Index(text, s); i >= 0 {
				w.fail("secret", "%s holds a secret: …%q", where, text[max(0, i-80):i])
			}
		}
	}
}

// ttl is the time to live of every type: longer for some, so that a mix-up shows.
func ttl(typ string, hours int) time.Duration {
	return time.Duration(hours+slices.Index(typeNames, typ)) * time.Hour
}

func ttls(hours int) map[string]time.Duration {
	all := map[string]time.Duration{}
	for _, name := range typeNames {
		all[name] = ttl(name, hours)
	}
	return all
}

// options are those of a pipeline under the present setting.
func (w *world) options(log *slog.Logger) pipeline.Options {
	s := w.setting
	return pipeline.Options{Workspace: workspaces[s.Workspace], Source: s.Source, Interval: time.Duration(s.Interval) * time.Hour,
		FullInterval: time.Duration(s.FullDays) * 24 * time.Hour, TTL: ttls(s.TTLHours), Logger: log, Version: "1.2.3", Build: "this"}
}
