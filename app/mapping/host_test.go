package mapping

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"mssentinel/app/retry"
	"mssentinel/plugins/mapper"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// patient limits let nothing end by itself but what a test wants to: the machine may be busy.
func patient() limits {
	l := defaultLimits
	l.start, l.call = time.Minute, time.Minute
	l.restart = retry.Backoff{}
	return l
}

func openHost(t testing.TB, o Options, l limits) *Host {
	t.Helper()
	h, err := openWith(t.Context(), o, l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// expected are the records that a mapper answers with a problem, and has not failed on.
var expected = map[string]bool{"pid": true, "linger": true, "unfit": true}

// mapped maps records and puts each answer into a word or a sentence.
func mapped(t testing.TB, h *Host, typ string, records ...string) []string {
	t.Helper()
	answers, err := h.Map(t.Context(), typ, raw(records), now)
	if err != nil {
		t.Fatal(err)
	}
	said := make([]string, len(answers))
	for i, a := range answers {
		for _, o := range a.Objects {
			said[i] += o.Name
		}
		said[i] += strings.Join(a.Problems, "; ")
		word, _, _ := strings.Cut(records[i], " ")
		if a.Failed != (len(a.Objects) == 0 && !expected[word]) {
			t.Errorf("%s: failed is %v", word, a.Failed)
		}
	}
	return said
}

func raw(records []string) [][]byte {
	batch := make([][]byte, len(records))
	for i, r := range records {
		batch[i] = []byte(r)
	}
	return batch
}

func equal(t testing.TB, got, want []string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// gone waits for the end of a process, whoever reaps it.
func gone(t testing.TB, pid int) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, 30_000)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			t.Fatalf("process %d lives: %v", pid, err)
		}
		return
	}
}

func pid(t testing.TB, h *Host, typ string) int {
	t.Helper()
	n, err := strconv.Atoi(mapped(t, h, typ, "pid")[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestTypes(t *testing.T) {
	dir := folder(t, builtinName)
	h := openHost(t, Options{Dir: dir}, patient())
	types := h.Types()
	if len(types) != len(builtins) || len(h.Refused()) != 0 {
		t.Fatalf("types %v, refused %v", types, h.Refused())
	}
	if want := (Type{Name: "file", Checksum: fmt.Sprintf("%x", checksum(t))}); types[0] != want {
		t.Errorf("got %+v, want %+v", types[0], want)
	}
	if s := h.serving["file"]; s.description.Name != "builtin file" || s.description.Version != "1" || s.file.path != filepath.Join(dir, builtinName) || s.file.sum != checksum(t) {
		t.Errorf("it is served by %+v of %s", s.description, s.file.path)
	}
}

// Who serves a type is told with the checksum that was verified.
func TestInstalled(t *testing.T) {
	dir := folder(t, builtinName)
	h := openHost(t, Options{Dir: dir}, patient())
	all := h.Installed()
	want := Installed{Type: "file", Name: "builtin file", Version: "1", File: filepath.Join(dir, builtinName), Checksum: fmt.Sprintf("%x", checksum(t)), Builtin: true}
	if len(all) != len(builtins) || all[0] != want {
		t.Errorf("got %+v, want %+v", all, want)
	}
}

func TestMapKeepsOrder(t *testing.T) {
	h := openHost(t, Options{Dir: folder(t, builtinName)}, patient())
	records := make([]string, 2*maxRecords+500)
	for i := range records {
		records[i] = fmt.Sprintf("record %d", i)
	}
	equal(t, mapped(t, h, "url", records...), records)
	equal(t, mapped(t, h, "url"), []string{})
	equal(t, mapped(t, h, "Mutex", "a", "b"), []string{`no mapper takes the type "Mutex"`, `no mapper takes the type "Mutex"`})
}

// A call is given 10 s and 40 ms a record: with 1,000 of them it stays within a minute.
func TestCallsStayWithinAMinute(t *testing.T) {
	n := countFitting(make([][]byte, 2000))
	if limit := defaultLimits.call + time.Duration(n)*defaultLimits.perRecord; n != 1000 || limit > time.Minute {
		t.Errorf("%d records may take %v", n, limit)
	}
}

func TestRequestsStayBelowTheBound(t *testing.T) {
	h := openHost(t, Options{Dir: folder(t, builtinName)}, patient())
	filler := strings.Repeat(" ", mapper.MaxMessage/3)
	records := []string{"nothing" + filler, "unfit" + filler, "nothing" + filler, "nothing" + strings.Repeat(" ", mapper.MaxMessage), "nothing"}
	const empty = "the mapper gave neither an object nor a reason"
	equal(t, mapped(t, h, "url", records...), []string{empty, `the mapper made an object that cannot be sent: the pattern is not one of STIX 2.1: at byte 0 stands "none" instead of [`, empty, "the indicator has 16777223 bytes, more than the 16 MiB that a mapper takes", empty})
}

// Each of these costs the record that caused it, and no other.
func TestCulprits(t *testing.T) {
	h := openHost(t, Options{Dir: folder(t, builtinName)}, patient())
	for _, c := range []struct{ record, want string }{
		{"exit", "the mapper builtin host failed on this indicator: it ended (exit status 3)"},
		{"panic", "the mapper builtin host failed on this indicator: it ended (exit status 2)"},
		{"kill", "the mapper builtin host failed on this indicator: it ended (signal: killed)"},
		{"few", "the mapper builtin host failed on this indicator: it gave more or fewer answers than it was asked for"},
		{"huge", "the mapper builtin host gave an answer of more than 16 MiB for this indicator"},
		{"nothing", "the mapper gave neither an object nor a reason"},
		{"unfit", `the mapper made an object that cannot be sent: the pattern is not one of STIX 2.1: at byte 0 stands "none" instead of [`},
		{"many", "the mapper made 101 objects of this indicator, more than 100"},
	} {
		t.Run(c.record, func(t *testing.T) {
			h.StartJob()
			equal(t, mapped(t, h, "host", "a", c.record, "b", c.record, "c"), []string{"a", c.want, "b", c.want, "c"})
		})
	}
}

// A mapper that hangs is ended, even where it is stopped and cannot hear go-plugin's request.
func TestHanging(t *testing.T) {
	limits := patient()
	limits.call, limits.perRecord = 3*time.Second, 0
	h := openHost(t, Options{Dir: folder(t, builtinName)}, limits)
	for _, record := range []string{"hang", "stop"} {
		t.Run(record, func(t *testing.T) {
			want := "the mapper builtin file failed on this indicator: it did not answer within 3s"
			equal(t, mapped(t, h, "file", "a", record, "b"), []string{"a", want, "b"})
		})
	}
}

func TestRemarksAreBounded(t *testing.T) {
	h := openHost(t, Options{Dir: folder(t, builtinName)}, patient())
	answers, err := h.Map(t.Context(), "url", raw([]string{"talk"}), now)
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range [][]string{answers[0].Problems, answers[0].Notes} {
		if len(list) != maxRemarks || len(list[0]) > maxRemark || !strings.HasSuffix(list[0], "é…") {
			t.Errorf("%d remarks, the first of %d bytes", len(list), len(list[0]))
		}
	}
}

// A caller that gives up gets its own error, and the mapper goes on.
func TestCallerGivesUp(t *testing.T) {
	h := openHost(t, Options{Dir: folder(t, builtinName)}, patient())
	before := pid(t, h, "file")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := h.Map(ctx, "file", raw([]string{"hang"}), now); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if after := pid(t, h, "file"); after != before {
		t.Errorf("process %d took the place of %d", after, before)
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("MS_SENTINEL_CLIENT_SECRET", "hidden")
	h := openHost(t, Options{Dir: folder(t, builtinName)}, patient())
	answers, err := h.Map(t.Context(), "host", raw([]string{"env", "stdin"}), now)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, variable := range answers[0].Problems {
		// The certificate is one variable of several lines.
		name, value, _ := strings.Cut(variable, "=")
		names = append(names, name)
		if strings.Contains(value, "hidden") {
			t.Errorf("%s carries a secret", name)
		}
	}
	equal(t, names, []string{"GODEBUG", "GOGC", "GOMAXPROCS", "MS_SENTINEL_MAPPER", "PLUGIN_CLIENT_CERT", "PLUGIN_MAX_PORT", "PLUGIN_MIN_PORT",
		"PLUGIN_PROTOCOL_VERSIONS", "PLUGIN_UNIX_SOCKET_DIR", "TMPDIR"})
	equal(t, answers[1].Problems, []string{`"" <nil>`})
}

func TestKilledBetweenBatches(t *testing.T) {
	h := openHost(t, Options{Dir: folder(t, builtinName)}, patient())
	for range 3 {
		victim := pid(t, h, "url")
		if err := syscall.Kill(victim, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		gone(t, victim)
		equal(t, mapped(t, h, "url", "a", "b"), []string{"a", "b"})
	}
}

func TestParked(t *testing.T) {
	h := openHost(t, Options{Dir: folder(t, builtinName)}, patient())
	records := make([]string, 30)
	for i := range records {
		records[i] = "exit"
	}
	said := mapped(t, h, "file", records...)
	const parked = "the mapper builtin file failed 21 times in this job (at last: it ended (exit status 3)) and is left out until the next one: retry this indicator then"
	// The first death was that of the batch, so 20 records have one each.
	for i, s := range said {
		if (s == parked) != (i >= 20) {
			t.Errorf("%d: %s", i, s)
		}
	}
	equal(t, mapped(t, h, "file", "a"), []string{parked})
	equal(t, mapped(t, h, "host", "a"), []string{"a"})
	h.StartJob() // which forgets the deaths, too
	equal(t, mapped(t, h, "file", "a"), []string{"a"})
	equal(t, mapped(t, h, "file", "exit", "b"), []string{"the mapper builtin file failed on this indicator: it ended (exit status 3)", "b"})
}

func TestBackoff(t *testing.T) {
	s := &supervisor{host: &Host{limits: defaultLimits}}
	for inARow, want := range []time.Duration{0, 0, 100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond,
		1600 * time.Millisecond, 2 * time.Second, 2 * time.Second} {
		if s.deathsInRow = inARow; s.startPause() != want {
			t.Errorf("after %d deaths %s, want %s", inARow, s.startPause(), want)
		}
	}
	if s.deathsInRow = 1000; s.startPause() != 2*time.Second {
		t.Errorf("after 1000 deaths %s", s.startPause())
	}
}

func TestIdle(t *testing.T) {
	h := openHost(t, Options{Dir: folder(t, builtinName), Idle: 50 * time.Millisecond}, patient())
	first := pid(t, h, "url")
	gone(t, first)
	if second := pid(t, h, "url"); second == first {
		t.Errorf("process %d was to be stopped", first)
	}
	if s := h.serving["url"]; s.deaths != 0 {
		t.Errorf("%d deaths", s.deaths)
	}
}

// Several batches of several types at once, each with something wrong in it.
func TestParallel(t *testing.T) {
	limits := patient()
	limits.deaths = 1000
	h := openHost(t, Options{Dir: folder(t, builtinName)}, limits)
	var callers sync.WaitGroup
	for caller := range 9 {
		callers.Go(func() {
			typ := builtins[caller%3].Mapper
			for round := range 2 {
				good := fmt.Sprintf("good %d %d", caller, round)
				records, want := []string{good, good, good}, []string{good, good, good}
				if (caller+round)%3 == 0 {
					records[1], want[1] = "exit", "the mapper builtin "+typ+" failed on this indicator: it ended (exit status 3)"
				}
				equal(t, mapped(t, h, typ, records...), want)
			}
		})
	}
	callers.Wait()
}

func TestClose(t *testing.T) {
	h, err := openWith(t.Context(), Options{Dir: folder(t, builtinName)}, patient())
	if err != nil {
		t.Fatal(err)
	}
	running := pid(t, h, "host")
	left, err := strconv.Atoi(mapped(t, h, "url", "linger")[0])
	if err != nil {
		t.Fatal(err)
	}
	begun := make(chan error)
	go func() {
		begun <- nil
		_, err := h.Map(context.Background(), "host", raw([]string{"hang"}), now)
		begun <- err
	}()
	<-begun
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	if err := <-begun; !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
	gone(t, running)
	gone(t, left)
	if _, err := os.Stat(h.private.path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the private folder: %v", err)
	}
	if _, err := h.Map(t.Context(), "host", raw([]string{"a"}), now); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}

// A mapper that cannot hear that it is to end is ended.
func TestCloseOfAStoppedMapper(t *testing.T) {
	h := openHost(t, Options{Dir: folder(t, builtinName)}, patient())
	stopped := pid(t, h, "host")
	if err := syscall.Kill(stopped, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var state syscall.WaitStatus
	if _, err := syscall.Wait4(stopped, &state, syscall.WUNTRACED, nil); err != nil || !state.Stopped() {
		t.Fatalf("%v, stopped: %v", err, state.Stopped())
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	gone(t, stopped)
}

// Nobody waits for a mapper that does not come up when the App ends.
func TestCloseWhileStarting(t *testing.T) {
	h := openHost(t, Options{Dir: folder(t, builtinName)}, patient())
	s := h.newSupervisor(executable{path: filepath.Join(folder(t, "stuck"), "stuck"), sum: checksum(t)})
	joined := make(chan error)
	go func() {
		_, err := s.awaitProcess(context.Background())
		joined <- err
	}()
	for started := false; !started; runtime.Gosched() {
		s.mu.Lock()
		started = s.process != nil
		s.mu.Unlock()
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	if err := <-joined; err == nil {
		t.Error("a process that was never up is handed out")
	}
}

// Nobody but the host is let in, with or without TLS.
func TestMutualTLS(t *testing.T) {
	h := openHost(t, Options{Dir: folder(t, builtinName)}, patient())
	sockets, err := filepath.Glob(filepath.Join(h.private.path, "plugin-dir*", "plugin*"))
	if err != nil || len(sockets) != len(builtins) {
		t.Fatal(sockets, err)
	}
	for name, c := range map[string]credentials.TransportCredentials{
		"none":           insecure.NewCredentials(),
		"no certificate": credentials.NewTLS(&tls.Config{InsecureSkipVerify: true}),
	} {
		conn, err := grpc.NewClient("unix:"+sockets[0], grpc.WithTransportCredentials(c))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if d, err := mapper.NewClient(conn).Describe(t.Context()); err == nil {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// The start can be interrupted, whatever a mapper makes of it.
func TestStartCanBeInterrupted(t *testing.T) {
	dir, extra := folder(t, builtinName), folder(t, "stuck")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	began := time.Now()
	h, err := openWith(ctx, Options{Dir: dir, ExtraDir: extra}, patient())
	if err == nil {
		err = h.Close()
		t.Fatalf("it started in spite of the mapper that does not, %v", err)
	}
	if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took > 12*time.Second {
		t.Errorf("after %s: %v", took, err)
	}
}

// What a mapper starts ends with it, however that comes about.
func TestNothingOutlivesItsMapper(t *testing.T) {
	limits := patient()
	limits.call, limits.perRecord = 3*time.Second, 0
	h := openHost(t, Options{Dir: folder(t, builtinName)}, limits)
	for _, record := range []string{"abandon fail", "abandon end", "abandon crash", "abandon hang", "abandon fail loud"} {
		t.Run(record, func(t *testing.T) {
			h.StartJob()
			path := filepath.Join(h.private.path, "abandoned")
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
			mapped(t, h, "host", record)
			pids, err := os.ReadFile(path)
			if err != nil || len(strings.Fields(string(pids))) != 20 {
				t.Fatalf("%q, %v", pids, err)
			}
			for field := range strings.FieldsSeq(string(pids)) {
				left, err := strconv.Atoi(field)
				if err != nil {
					t.Fatal(err)
				}
				gone(t, left)
			}
		})
	}
}

// A mapper that left a process behind and died does not hold anything up.
func TestLingering(t *testing.T) {
	h := openHost(t, Options{Dir: folder(t, builtinName)}, patient())
	left, err := strconv.Atoi(mapped(t, h, "url", "linger")[0])
	if err != nil {
		t.Fatal(err)
	}
	equal(t, mapped(t, h, "url", "exit", "a"), []string{"the mapper builtin url failed on this indicator: it ended (exit status 3)", "a"})
	gone(t, left)
}

// Nothing that a mapper prints shows at info level.
func TestLog(t *testing.T) {
	for _, level := range []slog.Level{slog.LevelInfo, slog.LevelDebug} {
		var out buffer
		h := openHost(t, Options{Dir: folder(t, builtinName), Logger: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level}))}, patient())
		mapped(t, h, "host", "print", "panic "+secret)
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		log := out.String()
		if !strings.Contains(log, `level=WARN msg="a mapper ended" mapper="builtin host" reason="it ended (exit status 2)"`) {
			t.Errorf("the death is not told:\n%.2000s", log)
		}
		if strings.Contains(log, secret) != (level == slog.LevelDebug) {
			t.Errorf("at %s:\n%.2000s", level, log)
		}
		for line := range strings.Lines(log) {
			if len(line) > maxLine+200 {
				t.Errorf("a line of %d bytes", len(line))
			}
		}
	}
}

// buffer is written to from several goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// playHost says which processes and folder it has, stops one of the processes, and waits for its own end.
func playHost(dir string) {
	h, err := openWith(context.Background(), Options{Dir: dir, TempDir: dir}, patient())
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for _, typ := range []string{"host", "url"} {
		answers, err := h.Map(context.Background(), typ, raw([]string{"pid"}), now)
		fmt.Println(answers[0].Problems[0], err)
	}
	fmt.Println(h.private.path)
	_, _ = h.Map(context.Background(), "host", raw([]string{"stop"}), now)
}

// A host that is killed takes its mappers with it, even one that cannot see for itself, and the next one clears up.
func TestHostIsKilled(t *testing.T) {
	dir := folder(t, builtinName)
	host := exec.Command(self(t))
	host.Env = append(os.Environ(), hostVariable+"="+dir)
	host.Stderr = os.Stderr
	out, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	var pids [2]int
	var private string
	lines := bufio.NewReader(out)
	if _, err := fmt.Fscanf(lines, "%d <nil>\n%d <nil>\n%s\n", &pids[0], &pids[1], &private); err != nil {
		t.Fatal(err)
	}
	if err := host.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, lines)
	_ = host.Wait()
	for _, pid := range pids {
		gone(t, pid)
	}
	if _, err := os.Stat(private); err != nil {
		t.Fatal("the host cleared up although it was killed:", err)
	}
	openHost(t, Options{Dir: dir, TempDir: dir}, patient())
	if _, err := os.Stat(private); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what the killed host left: %v", err)
	}
}
