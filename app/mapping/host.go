// Package mapping runs the mappers: programs that turn ThreatConnect indicators into STIX objects, each in a process of
// its own. It finds and verifies them, starts them when they are needed, and sees to it that a mapper that dies, hangs
// or sends what makes no sense costs no more than the record that made it do so.
package mapping

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"mssentinel/plugins/builtin"
	"mssentinel/plugins/mapper"
)

// Type is an indicator type that a mapper serves.
type Type struct {
	// Name as ThreatConnect spells it.
	Name string
	// DefaultTTL is the time to live of a type that the App has no parameter for. It is 0 only for a type that a
	// built-in mapper takes, too.
	DefaultTTL time.Duration
	// Checksum is that of the executable of a built-in mapper, the SHA-256 in hex: of the same indicator it makes the same, its dates
	// aside. Of what a mapper of someone else makes that is not known, and it is "".
	Checksum string
}

// Options say where the mappers are. Dir is required.
type Options struct {
	// Dir holds the executable of the built-in mappers, those that were packaged with it, and checksums.txt.
	Dir string
	// ExtraDir holds more mappers and a checksums.txt of its own; "" for none.
	ExtraDir string
	// TempDir takes sockets and, where the mappers' own folder does not allow execution, verified copies of them; ""
	// for the system's. A path that is too long for a socket gives way to the system's, too.
	TempDir string
	// Idle is how long a mapper without work goes on running; 0 means a minute.
	Idle time.Duration
	// Logger gets the starts and ends of mappers, and at debug level what they print; nil for none.
	Logger *slog.Logger
}

// ErrClosed says that the host was closed.
var ErrClosed = errors.New("the mappers are stopped")

// Host starts and supervises the mappers. Its methods may be called from several goroutines.
type Host struct {
	log     *slog.Logger
	limits  limits
	private *privateDir
	types   []Type
	serving map[string]*supervisor // by type
	refused []Refusal
	// printed gets what the mappers print; nil for nobody.
	printed *prints

	preparing singleflight.Group

	ctx    context.Context // of all mappers: ends with Close
	cancel context.CancelFunc

	mu     sync.Mutex
	closed bool
	// processes counts the goroutines that run one; there are no new ones once closed is set.
	processes sync.WaitGroup
}

// Open verifies the mappers and asks each which types it takes. Whatever is wrong with the built-in ones is an error
// that names the remedy; a mapper of someone else that cannot be used is left out and logged, see Refused.
func Open(ctx context.Context, o Options) (*Host, error) {
	return openWith(ctx, o, defaultLimits)
}

func openWith(ctx context.Context, o Options, limits limits) (*Host, error) {
	h, err := newHost(o, limits)
	if err != nil {
		return nil, err
	}
	if err := h.findMappers(ctx, o); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

// newHost makes a host that knows no mapper yet.
func newHost(o Options, limits limits) (*Host, error) {
	if o.Idle > 0 {
		limits.idle = o.Idle
	}
	h := &Host{log: o.Logger, limits: limits, serving: map[string]*supervisor{}}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if h.private, err = makePrivateDir(o.TempDir); err != nil {
		return nil, err
	}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	return h, nil
}

// Types lists the types that are served, by name.
func (h *Host) Types() []Type { return slices.Clone(h.types) }

// Installed is the mapper that serves a type.
type Installed struct {
	Type string
	// Name and Version are as the mapper tells them, File is its executable and Checksum the SHA-256 of that in hex.
	Name, Version, File, Checksum string
	Builtin                       bool
}

// Installed lists which mapper serves which type, in the order of the types.
func (h *Host) Installed() []Installed {
	list := make([]Installed, len(h.types))
	for i, t := range h.types {
		s := h.serving[t.Name]
		list[i] = Installed{Type: t.Name, Name: s.description.Name, Version: s.description.Version, File: s.file.path,
			Checksum: hex.EncodeToString(s.file.sum[:]), Builtin: s.builtin}
	}
	return list
}

// Refusal is a mapper that was left out, or a folder of mappers that cannot be read.
type Refusal struct {
	// Path of the executable, or of the folder.
	Path string
	// Reason is a sentence that says why, and what to do about it.
	Reason string
}

// Refused lists the mappers that were left out, in the order in which they were looked at.
func (h *Host) Refused() []Refusal { return slices.Clone(h.refused) }

// StartJob gives every mapper a fresh start: deaths are counted by job, and what was parked may run again.
func (h *Host) StartJob() {
	for _, s := range h.serving {
		s.resetFailures()
	}
}

// Map answers a batch of one type, in the order of the batch; each indicator is the JSON that ThreatConnect wrote. It
// never fails because of a record: one that its mapper dies of, hangs on, or cannot take gets a problem and is marked
// as failed, and so is every record of a type that no mapper serves or whose mapper is parked. The error is that of
// ctx, or ErrClosed.
func (h *Host) Map(ctx context.Context, typ string, indicators [][]byte, now time.Time) ([]mapper.Answer, error) {
	s, found := h.serving[typ]
	if !found {
		return repeatAnswer(failedAnswer("no mapper takes the type %q", typ), len(indicators)), nil
	}
	answers := make([]mapper.Answer, 0, len(indicators))
	for len(indicators) > 0 {
		n := countFitting(indicators)
		if n == 0 {
			answers = append(answers, failedAnswer("the indicator has %d bytes, more than the %d MiB that a mapper takes", len(indicators[0]), mapper.MaxMessage>>20))
			indicators = indicators[1:]
			continue
		}
		part, err := s.mapBatch(ctx, indicators[:n], now)
		if err != nil {
			return nil, err
		}
		answers = append(answers, part...)
		indicators = indicators[n:]
	}
	return answers, nil
}

// Close ends every mapper, waits for that, and removes what was written for them. Calls in flight get ErrClosed.
func (h *Host) Close() error {
	h.mu.Lock()
	closedBefore := h.closed
	h.closed = true
	h.mu.Unlock()
	h.cancel()
	h.processes.Wait()
	if closedBefore {
		return nil
	}
	return h.private.removeDir()
}

// prepareExecutable verifies an executable and makes it runnable, once for all who start it at the same moment.
func (h *Host) prepareExecutable(e executable) (path string, err error) {
	v, err, _ := h.preparing.Do(e.path, func() (any, error) { return e.prepareFile(h.ctx, h.private.path) })
	return v.(string), err
}

// goProcess runs a process in a goroutine that Close waits for, or returns ErrClosed.
func (h *Host) goProcess(run func()) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return ErrClosed
	}
	h.processes.Go(run)
	return nil
}

// findMappers starts all mappers there are, to learn from each which types it takes.
func (h *Host) findMappers(ctx context.Context, o Options) error {
	mappers, err := h.packagedMappers(o.Dir)
	if err != nil {
		return fmt.Errorf("%w; install the App's package again", err)
	}
	mappers = append(mappers, h.extraMappers(o.ExtraDir)...)
	h.describeAll(ctx, mappers)
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("starting the mappers: %w", err)
	}
	for _, s := range mappers {
		if err := h.admitMapper(s); err != nil {
			return err
		}
	}
	h.types = h.listTypes()
	return nil
}

// builtins are the types that the executable builtinName serves; tests shorten the list.
var builtins = builtin.Types

// packagedMappers returns the mappers of the App's own folder, the built-in ones first.
func (h *Host) packagedMappers(dir string) ([]*supervisor, error) {
	list, err := readList(dir)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(list, func(e executable) bool { return filepath.Base(e.path) == builtinName })
	if i < 0 {
		return nil, fmt.Errorf("%s does not name %s, the executable of the built-in mappers", filepath.Join(dir, listName), builtinName)
	}
	var mappers []*supervisor
	for _, t := range builtins {
		s := h.newSupervisor(list[i], t.Mapper)
		s.builtin = true
		mappers = append(mappers, s)
	}
	for _, e := range slices.Delete(list, i, i+1) {
		mappers = append(mappers, h.newSupervisor(e))
	}
	return mappers, nil
}

// extraMappers returns the listed mappers of a folder that is not the App's.
func (h *Host) extraMappers(dir string) []*supervisor {
	if dir == "" {
		return nil
	}
	list, err := readList(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		h.refuseMapper(dir, err)
		return nil
	}
	unlisted, err := findUnlisted(dir, list)
	if err != nil {
		h.refuseMapper(dir, err)
	}
	for _, path := range unlisted {
		h.refuseMapper(path, fmt.Errorf("it is on no list: if you trust it, go to its folder and run sha256sum %s >> %s", filepath.Base(path), listName))
	}
	var mappers []*supervisor
	for _, e := range list {
		mappers = append(mappers, h.newSupervisor(e))
	}
	return mappers
}

// describeAll asks all mappers at the same time for their description; what goes wrong is kept in err of each.
func (h *Host) describeAll(ctx context.Context, mappers []*supervisor) {
	var asked sync.WaitGroup
	for _, s := range mappers {
		asked.Go(func() { s.learnDescription(ctx) })
	}
	asked.Wait()
}

// admitMapper lets a mapper serve the types it takes. Built-in mappers come first, so that one of someone else replaces
// them.
func (h *Host) admitMapper(s *supervisor) error {
	if s.builtin {
		if s.err != nil {
			return fmt.Errorf("the built-in mapper %s cannot be used: %w", s.label, s.err)
		}
	} else if err := h.checkForeign(s); err != nil {
		h.refuseMapper(s.file.path, err)
		s.stopProcess()
		return nil
	}
	for _, t := range s.description.Types {
		if replaced := h.serving[t.Name]; replaced != nil {
			h.log.Info("a mapper takes the place of a built-in one", "type", t.Name, "mapper", s.description.Name, "version", s.description.Version, "file", s.file.path)
			replaced.stopProcess()
		}
		h.serving[t.Name] = s
	}
	return nil
}

// checkForeign says why a mapper of someone else cannot be used.
func (h *Host) checkForeign(s *supervisor) error {
	if s.err != nil {
		return s.err
	}
	for _, t := range s.description.Types {
		other := h.serving[t.Name]
		if other != nil && !other.builtin {
			return fmt.Errorf("it takes the type %q, and so does %s: remove one of the two", t.Name, other.file.path)
		}
		if err := checkTTL(t, other != nil); err != nil {
			return err
		}
	}
	return nil
}

// checkTTL says whether it is known how long objects of a type live: parameter says that the App has one for that.
func checkTTL(t mapper.Type, parameter bool) error {
	if t.DefaultTTLHours == 0 && !parameter {
		return fmt.Errorf("the App has no parameter for the time to live of the type %q, so the mapper has to give DefaultTTLHours (default_ttl_hours in mapper.proto)", t.Name)
	}
	return nil
}

func (h *Host) refuseMapper(path string, reason error) {
	h.refused = append(h.refused, Refusal{Path: path, Reason: reason.Error()})
	h.log.Warn("a mapper is refused", "mapper", path, "error", reason)
}

func (h *Host) listTypes() []Type {
	var types []Type
	for name, s := range h.serving {
		i := slices.IndexFunc(s.description.Types, func(t mapper.Type) bool { return t.Name == name })
		t := Type{Name: name, DefaultTTL: time.Duration(s.description.Types[i].DefaultTTLHours) * time.Hour}
		if s.builtin {
			t.Checksum = hex.EncodeToString(s.file.sum[:])
		}
		types = append(types, t)
	}
	slices.SortFunc(types, func(a, b Type) int { return strings.Compare(a.Name, b.Name) })
	return types
}
