package sentinel

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mssentinel/app/standin/sentinelserver"
)

const (
	tenant    = "11111111-2222-4333-8444-555555555555"
	clientID  = "66666666-7777-4888-9999-aaaaaaaaaaaa"
	secret    = "Very/Secret+Value"
	workspace = "bbbbbbbb-cccc-4ddd-8eee-ffffffffffff"
	source    = "ThreatConnect-Test"
)

// object is a JSON object that Sentinel takes.
func object(n int) []byte {
	return fmt.Appendf(nil, `{"type":"indicator","spec_version":"2.1","id":"indicator--00000000-0000-5000-8000-%012d",`+
		`"created":"2026-01-02T03:04:05.000Z","modified":"2026-01-02T03:04:05.000Z","name":"one",`+
		`"pattern":"[domain-name:value = 'host-%06d.example']","pattern_type":"stix",`+
		`"valid_from":"2026-01-02T03:04:05.000Z","valid_until":"2099-01-02T03:04:05.000Z"}`, n, n)
}

// named is the part of an object's pattern that a fault of the stand-in can match.
func named(n int) string { return fmt.Sprintf("host-%06d.", n) }

func objects(from, n int) [][]byte {
	list := make([][]byte, n)
	for i := range list {
		list[i] = object(from + i)
	}
	return list
}

// lab is a client of a stand-in that runs in memory, in simulated time.
type lab struct {
	t      *testing.T
	far    *sentinelserver.Server
	client *Client
	slots  *memorySlots
	log    *bytes.Buffer
	as     Options // of the client

	mu     sync.Mutex
	waited []wait
}

type setup struct {
	standin sentinelserver.Options
	options Options
	limit   int // requests a minute; 0 means no limit on either side
}

func newLab(t *testing.T, s setup) *lab {
	l := &lab{t: t, slots: &memorySlots{}, log: &bytes.Buffer{}}
	s.standin.Apps = []sentinelserver.App{{TenantID: tenant, ClientID: clientID, ClientSecret: secret}}
	s.standin.Workspaces = []string{workspace}
	s.standin.Limit = s.limit
	if s.limit == 0 {
		s.standin.Limit = sentinelserver.Unlimited
	}
	l.far = sentinelserver.New(s.standin)
	far := l.far.ListenInMemory()
	t.Cleanup(func() { far.Close() })
	o := s.options
	o.AuthorityURL, o.UploadURL, o.LogAnalyticsURL, o.Transport = far.URL, far.URL, far.URL, far.Transport
	o.TenantID, o.ClientID, o.WorkspaceID = tenant, clientID, workspace
	if o.Secret == nil {
		o.Secret = func() string { return secret }
	}
	o.Logger = slog.New(slog.NewTextHandler(l.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	l.as = o
	l.connect(s.limit)
	return l
}

// connect makes the client, with a pacer of its own.
func (l *lab) connect(limit int) {
	l.t.Helper()
	if l.as.Pacer = nil; limit > 0 {
		l.as.Pacer = NewPacer(l.slots, limit, time.Minute)
	}
	var err error
	if l.client, err = New(l.as); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) onWait(until time.Time, reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waited = append(l.waited, wait{until, reason})
}

func (l *lab) inject(faults ...sentinelserver.Fault) {
	l.t.Helper()
	for _, f := range faults {
		if err := l.far.Inject(f); err != nil {
			l.t.Fatal(err)
		}
	}
}

// ledger is what settle was told.
type ledger struct {
	slots    *memorySlots
	accepted []int
	rejected map[int]Rejection
	calls    int
}

func (g *ledger) settle(o Outcome) error {
	g.calls++
	g.accepted = append(g.accepted, o.Accepted...)
	for _, r := range o.Rejected {
		if _, twice := g.rejected[r.Index]; twice {
			return fmt.Errorf("object %d is rejected twice", r.Index)
		}
		g.rejected[r.Index] = r
	}
	if o.At.IsZero() {
		return fmt.Errorf("an outcome without time")
	}
	return g.slots.EndSlot(context.Background(), o.Slot, o.At)
}

// deliver sends objects and returns what was settled.
func (l *lab) deliver(ctx context.Context, objects [][]byte) (*ledger, error) {
	g := &ledger{slots: l.slots, rejected: map[int]Rejection{}}
	err := l.client.Deliver(ctx, source, objects, Report{Settle: g.settle, OnWait: l.onWait})
	slices.Sort(g.accepted)
	return g, err
}

// waysToSend are an update and the doctor, each with one object.
var waysToSend = map[string]func(context.Context, *lab) error{
	"update": func(ctx context.Context, l *lab) error { _, err := l.deliver(ctx, objects(0, 1)); return err },
	"doctor": func(ctx context.Context, l *lab) error {
		_, err := l.client.Probe(ctx, source, objects(0, 1))
		return err
	},
}

// all checks that every object was settled once, the given ones as rejected, and that Sentinel holds exactly the
// others.
func (l *lab) all(g *ledger, err error, objects [][]byte, rejected ...int) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(g.rejected)); !slices.Equal(got, rejected) {
		l.t.Fatalf("rejected %v, want %v", got, rejected)
	}
	var good []int
	for i := range objects {
		if !slices.Contains(rejected, i) {
			good = append(good, i)
		}
	}
	if !slices.Equal(g.accepted, good) {
		l.t.Fatalf("accepted %v, want %v", g.accepted, good)
	}
	held := l.far.Objects(source)
	if len(held) != len(good) {
		l.t.Fatalf("Sentinel holds %d objects, want %d", len(held), len(good))
	}
	l.quiet()
}

// quiet checks that nothing secret was written, no slot is open and no wait is shown.
func (l *lab) quiet() {
	l.t.Helper()
	if text := l.log.String(); strings.Contains(text, secret) || strings.Contains(text, "Bearer") || strings.Contains(text, "eyJ") {
		l.t.Fatalf("the log shows a secret: %s", text)
	}
	if open := l.slots.open(); open > 0 {
		l.t.Fatalf("%d slots were never ended", open)
	}
	if n := len(l.waited); n > 0 && !l.waited[n-1].until.IsZero() {
		l.t.Fatalf("a wait is still shown: %v", l.waited[n-1])
	}
}

// memorySlots are Slots in memory. What is noted after the end of a context is lost.
type memorySlots struct {
	mu     sync.Mutex
	slots  []slot
	failed error
}

type slot struct{ started, ended time.Time }

func (m *memorySlots) LoadSlots(_ context.Context, now time.Time) (ended []time.Time, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.slots {
		if m.slots[i].ended.IsZero() {
			m.slots[i].ended = now
		}
		ended = append(ended, m.slots[i].ended)
	}
	return ended, m.failed
}

func (m *memorySlots) BeginSlot(ctx context.Context, started time.Time) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := cmp.Or(context.Cause(ctx), m.failed); err != nil {
		return 0, err
	}
	m.slots = append(m.slots, slot{started: started})
	return int64(len(m.slots)), nil
}

func (m *memorySlots) EndSlot(ctx context.Context, id int64, ended time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if id > 0 {
		m.slots[id-1].ended = ended
	}
	return m.failed
}

func (m *memorySlots) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failed = err
}

func (m *memorySlots) open() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, s := range m.slots {
		if s.ended.IsZero() {
			n++
		}
	}
	return n
}
