package mapping

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-plugin"
	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"mssentinel/plugins/builtin"
	"mssentinel/plugins/mapper"
	"mssentinel/plugins/mapper/wire"
)

// The test's own executable plays all the mappers: what one does is decided by the name of its file, and what it does
// with a record by the record. It speaks the wire form itself, since mapper.Serve would not let it misbehave, and
// watches no parent, so that its end with the host is the host's doing alone.

const (
	hostVariable = "MAPPING_TEST_HOST"
	// secret stands for what an indicator says.
	secret = "evil.example"
)

func TestMain(m *testing.M) {
	switch {
	case len(os.Args) == 2 && os.Args[1] == "linger":
		time.Sleep(time.Hour)
	case os.Getenv(mapper.Handshake.MagicCookieKey) != "":
		play(filepath.Base(os.Args[0]))
	case os.Getenv(hostVariable) != "":
		playHost(os.Getenv(hostVariable))
	default:
		// Three processes show as much as nine, and start in a third of the time.
		builtins = []builtin.Type{{Mapper: "file"}, {Mapper: "host"}, {Mapper: "url"}}
		goleak.VerifyTestMain(m)
	}
}

func play(name string) {
	handshake := mapper.Handshake
	switch name {
	case "old":
		handshake.ProtocolVersion--
	case "newer":
		handshake.ProtocolVersion++
	case "foreign":
		fmt.Printf("1|%d|unix|/nowhere|netrpc\n", mapper.ContractVersion)
		time.Sleep(time.Hour)
	case "chatty":
		fmt.Println("Welcome!")
	case "dead":
		os.Exit(7)
	case "stuck":
		time.Sleep(time.Hour)
	}
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: handshake,
		Plugins:         plugin.PluginSet{mapper.PluginName: &actorPlugin{}},
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			if name == "small" {
				return grpc.NewServer(opts...)
			}
			return grpc.NewServer(append(opts, grpc.MaxRecvMsgSize(mapper.MaxMessage), grpc.MaxSendMsgSize(2*mapper.MaxMessage))...)
		},
	})
}

type actorPlugin struct{ plugin.NetRPCUnsupportedPlugin }

func (*actorPlugin) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	wire.RegisterMapperServer(s, &actor{})
	return nil
}

func (*actorPlugin) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, nil
}

type actor struct{ wire.UnimplementedMapperServer }

func (*actor) Describe(context.Context, *wire.DescribeRequest) (*wire.Description, error) {
	name := filepath.Base(os.Args[0])
	if len(os.Args) > 1 {
		return &wire.Description{Name: "builtin " + os.Args[1], Version: "1", Types: []*wire.TakenType{{Name: os.Args[1]}}}, nil
	}
	d := &wire.Description{Name: name, Version: "2", Types: []*wire.TakenType{{Name: "Mutex", DefaultTtlHours: 24}}}
	switch name {
	case "replacing":
		d.Types = []*wire.TakenType{{Name: "host"}, {Name: "Hashtag", DefaultTtlHours: 48}}
	case "nameless":
		d.Name = ""
	case "idle":
		d.Types = nil
	case "twice":
		d.Types = append(d.Types, d.Types[0])
	case "endless":
		d.Types[0].DefaultTtlHours = 1 << 20
	case "timeless":
		d.Types[0] = &wire.TakenType{Name: "Timeless"}
	case "blank":
		d.Types[0].Name = " "
	}
	return d, nil
}

func (*actor) Map(ctx context.Context, r *wire.MapRequest) (*wire.MapResponse, error) {
	response := &wire.MapResponse{}
	name := filepath.Base(os.Args[0])
	for _, raw := range r.GetIndicators() {
		if checked[name] != nil {
			response.Answers = append(response.Answers, actChecked(name, raw))
			continue
		}
		word, _, _ := strings.Cut(string(raw), " ")
		if word == "few" {
			return response, nil
		}
		response.Answers = append(response.Answers, act(word, string(raw)))
	}
	return response, nil
}

func act(word, record string) *wire.Answer {
	object := &wire.Object{Pattern: "[x:y = '" + record + "']", Name: record, Description: "{}", CreatedMs: 1, IndicatorTypes: []string{"unknown"}}
	answer := &wire.Answer{Objects: []*wire.Object{object}}
	switch word {
	case "exit":
		os.Exit(3)
	case "panic":
		panic("cannot take " + secret)
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "hang":
		select {}
	case "stop":
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		select {}
	case "linger":
		child := exec.Command(os.Args[0], "linger")
		child.Stdout, child.Stderr = os.NewFile(1, "stdout"), os.NewFile(2, "stderr")
		if err := child.Start(); err != nil {
			return said(err.Error())
		}
		return said(strconv.Itoa(child.Process.Pid))
	case "abandon":
		abandon(record)
	case "huge":
		return said(strings.Repeat("x", mapper.MaxMessage))
	case "print":
		fmt.Println(secret + strings.Repeat("-", 5000))
		fmt.Fprintln(os.Stderr, secret)
		println(secret)
	case "env":
		env := os.Environ()
		slices.Sort(env)
		return said(env...)
	case "stdin":
		in, err := io.ReadAll(os.Stdin)
		return said(fmt.Sprintf("%q %v", in, err))
	case "pid":
		return said(strconv.Itoa(os.Getpid()))
	case "nothing":
		return &wire.Answer{}
	case "unfit":
		object.Pattern = "none"
	case "many":
		answer.Objects = slices.Repeat(answer.Objects, maxObjects+1)
	case "talk":
		text := slices.Repeat([]string{strings.Repeat("é", maxRemark)}, maxRemarks+1)
		return &wire.Answer{Objects: answer.Objects, Problems: text, Notes: text}
	}
	return answer
}

// abandon starts processes, writes down which, and ends as the record says.
func abandon(record string) {
	var pids []string
	for range 20 {
		child := exec.Command(os.Args[0], "linger")
		if strings.HasSuffix(record, "loud") { // they keep the mapper's pipes open
			child.Stdout, child.Stderr = os.NewFile(1, "stdout"), os.NewFile(2, "stderr")
		}
		if err := child.Start(); err != nil {
			panic(err)
		}
		pids = append(pids, strconv.Itoa(child.Process.Pid))
	}
	if err := os.WriteFile(filepath.Join(os.Getenv("TMPDIR"), "abandoned"), []byte(strings.Join(pids, " ")), 0o600); err != nil {
		panic(err)
	}
	switch strings.Fields(record)[1] {
	case "fail":
		os.Exit(3)
	case "end":
		os.Exit(0)
	case "crash":
		_ = syscall.Kill(os.Getpid(), syscall.SIGSEGV)
		select {}
	case "hang":
		select {}
	}
}

func said(text ...string) *wire.Answer { return &wire.Answer{Problems: text} }

// folder makes a folder with executables of the given names, all of them listed.
func folder(t testing.TB, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		install(t, dir, name)
	}
	return dir
}

// install adds an executable to a folder and to its list.
func install(t testing.TB, dir, name string) {
	t.Helper()
	link(t, filepath.Join(dir, name))
	list, err := os.OpenFile(filepath.Join(dir, listName), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer list.Close()
	if _, err := fmt.Fprintf(list, "%x  %s\n", checksum(t), name); err != nil {
		t.Fatal(err)
	}
}

// link puts the test's executable there, as a file that must not be written to.
func link(t testing.TB, path string) {
	t.Helper()
	if err := os.Link(self(t), path); err != nil {
		copyFile(t, path)
	}
}

func copyFile(t testing.TB, path string) {
	t.Helper()
	data, err := os.ReadFile(self(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o755); err != nil {
		t.Fatal(err)
	}
}

func self(t testing.TB) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func checksum(t testing.TB) [sha256.Size]byte {
	t.Helper()
	sum, err := ownSum()
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

var ownSum = sync.OnceValues(func() (sum [sha256.Size]byte, err error) {
	path, err := os.Executable()
	if err != nil {
		return sum, err
	}
	data, err := os.ReadFile(path)
	return sha256.Sum256(data), err
})
