// Package mappertest tests mappers over the contract, as the App would use them, without a process.
package mappertest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"mssentinel/app/stix"
	"mssentinel/plugins/mapper"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// Now is the time of conversion in golden files.
var Now = time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)

// TTL is the time to live of the objects in golden files.
const TTL = 30 * 24 * time.Hour

// Dial serves the mapper in memory until the test ends.
func Dial(t testing.TB, m mapper.Mapper) *mapper.Client {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer(grpc.MaxRecvMsgSize(mapper.MaxMessage), grpc.MaxSendMsgSize(mapper.MaxMessage))
	mapper.Register(server, m)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///mapper", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := conn.Close()
		server.Stop()
		if err := errors.Join(err, <-served); err != nil {
			t.Error(err)
		}
	})
	return mapper.NewClient(conn)
}

// input is a case of a file in testdata.
type input struct {
	Case      string          `json:"case"`
	Indicator json.RawMessage `json:"indicator"`
}

// output is what the mapper made of it.
type output struct {
	Case     string            `json:"case"`
	Objects  []json.RawMessage `json:"objects,omitempty"`
	Problems []string          `json:"problems,omitempty"`
	Notes    []string          `json:"notes,omitempty"`
}

// Golden maps the cases of every testdata/NAME.json and compares what comes out, whole STIX objects,
// problems and notes, with testdata/NAME.golden.json. The flag -update writes those files.
func Golden(t *testing.T, m mapper.Mapper) {
	t.Helper()
	client := Dial(t, m)
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		t.Fatal(err)
	}
	tested := 0
	for _, file := range files {
		if strings.HasSuffix(file, ".golden.json") {
			continue
		}
		tested++
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) { compareGolden(t, client, file) })
	}
	if tested == 0 {
		t.Error("testdata has no cases")
	}
}

func compareGolden(t *testing.T, client *mapper.Client, file string) {
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var cases []input
	if err := json.Unmarshal(raw, &cases); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	got := encodeOutputs(t, mapCases(t, client, cases))
	// A mapper that keeps texts of an indicator finds others in their place by now.
	if diff := cmp.Diff(string(got), string(encodeOutputs(t, mapCases(t, client, cases)))); diff != "" {
		t.Errorf("%s is mapped otherwise the second time (-first +second):\n%s", file, diff)
	}
	name := strings.TrimSuffix(file, ".json") + ".golden.json"
	if *update {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs (-want +got); run with -update if the change is meant:\n%s", name, diff)
	}
}

func mapCases(t *testing.T, client *mapper.Client, cases []input) []output {
	batch := make([][]byte, len(cases))
	for n, c := range cases {
		batch[n] = c.Indicator
	}
	answers, err := client.Map(t.Context(), batch, Now)
	if err != nil {
		t.Fatal(err)
	}
	outputs := make([]output, len(cases))
	for n, a := range answers {
		outputs[n] = output{Case: cases[n].Case, Problems: a.Problems, Notes: a.Notes}
		for _, o := range a.Objects {
			if err := o.Check(); err != nil {
				t.Errorf("%s: the App will not send the object %q: %v", cases[n].Case, o.Pattern, err)
			}
			outputs[n].Objects = append(outputs[n].Objects, o.AppendJSON(nil, stix.Envelope{Modified: Now, ValidUntil: Now.Add(TTL)}))
		}
	}
	return outputs
}

func encodeOutputs(t *testing.T, outputs []output) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(outputs); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
