package sentinelserver

import (
	"encoding/json"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const uploadPath = "/workspaces/" + workspace + "/threat-intelligence-stix-objects:upload"

// Microsoft's own libraries, which nobody here wrote, log in and deliver. Their POST carries no Content-Type.
func TestAzureLibraries(t *testing.T) {
	for _, c := range []struct {
		name   string
		taken  bool
		want   string
		stored int
	}{
		{"taken without Content-Type", true, "200 200 200", 250},
		{"refused without Content-Type", false, "400 400 400", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := testOptions()
			o.NoContentType = c.taken
			s := New(o)
			if got := deliverByAzure(t, s); got != c.want {
				t.Errorf("azure-core got %s, want %s", got, c.want)
			}
			if got := len(s.ObjectsIn(workspace, source)); got != c.stored || s.RequestCount() != 3 {
				t.Errorf("%d objects in %d requests, want %d in 3", got, s.RequestCount(), c.stored)
			}
		})
	}
}

// deliverByAzure delivers 250 objects in 3 requests over TLS, and gives the statuses of the answers.
func deliverByAzure(t *testing.T, s *Server) string {
	t.Helper()
	var lines strings.Builder
	for first := 0; first < 250; first += 100 {
		var objects []map[string]any
		for n := first; n < min(first+100, 250); n++ {
			objects = append(objects, indicator(n))
		}
		lines.WriteString(bodyOf(objects...) + "\n")
	}
	out := runAzure(t, s, lines.String(), "deliver.py", tenant, clientID, secret, uploadPath)
	return strings.Join(strings.Fields(out), " ")
}

// runAzure serves the stand-in over TLS to a program that uses Microsoft's libraries, and gives what it writes.
func runAzure(t *testing.T, s *Server, input, program string, arguments ...string) string {
	t.Helper()
	python := os.Getenv("MS_SENTINEL_PYTHON")
	if python == "" {
		python = filepath.Join("..", "..", "..", ".tools", "venv", "bin", "python")
	}
	if err := exec.Command(python, "-c", "import azure.core, azure.identity, azure.monitor.query").Run(); err != nil {
		t.Fatalf("%s has no azure-core, azure-identity and azure-monitor-query (%v): run ./package.sh test once, which installs them, "+
			"or name a Python that has them in MS_SENTINEL_PYTHON", python, err)
	}
	server := httptest.NewTLSServer(s)
	defer server.Close()
	authority := filepath.Join(t.TempDir(), "authority.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(authority, block, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, append([]string{filepath.Join("testdata", program), server.URL}, arguments...)...)
	cmd.Stdin, cmd.Stderr = strings.NewReader(input), os.Stderr
	cmd.Env = append(os.Environ(), "REQUESTS_CA_BUNDLE="+authority, "SSL_CERT_FILE="+authority, "NO_PROXY=127.0.0.1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// An unknown tenant has no document; a known one leads to its own token endpoint.
func TestOpenIDDocument(t *testing.T) {
	const document = "/v2.0/.well-known/openid-configuration"
	for name, want := range map[string]string{
		tenant: `"token_endpoint":"http://example.com/` + tenant + `/oauth2/v2.0/token"`, workspace: "AADSTS90002",
	} {
		w := httptest.NewRecorder()
		New(testOptions()).ServeHTTP(w, httptest.NewRequest("GET", "/"+name+document, nil))
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s, want %s", name, w.Code, w.Body, want)
		}
	}
}

// A Content-Type that is there has to be right, whether a missing one is taken or not.
func TestContentType(t *testing.T) {
	for _, taken := range []bool{false, true} {
		o := testOptions()
		o.NoContentType = taken
		s := New(o)
		if got := (call{kind: "text/plain"}).do(s).Code; got != 400 {
			t.Errorf("text/plain, NoContentType %v: %d, want 400", taken, got)
		}
		if got := (call{}).do(s).Code; got != 200 {
			t.Errorf("application/json, NoContentType %v: %d, want 200", taken, got)
		}
		r := call{}.request(s)
		r.Header.Del("Content-Type")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if want := map[bool]int{false: 400, true: 200}[taken]; w.Code != want {
			t.Errorf("no Content-Type, NoContentType %v: %d, want %d", taken, w.Code, want)
		}
	}
}

// Microsoft's own client of the query API reads the answers of the stand-in: the values of each type, a part of an answer,
// and errors.
func TestAzureQueryLibrary(t *testing.T) {
	s := New(testOptions())
	call{body: bodyOf(indicator(1, "confidence", 7), indicator(2))}.do(s)
	page := strings.NewReplacer("‹after›", "''", "‹limit›", "5", "‹source›", "'"+source+"'").Replace(knownQueries[1].text)
	said := queryByAzure(t, s, countsOfTest, page, "ThreatIntelIndicators | count")
	want := []string{
		`{"status": "success", "name": "PrimaryResult", "rows": 1, "kinds": {"PatternType": ["str"], "Active": ["int"], ` +
			`"Expired": ["int"], "Newest": ["datetime"]}, "first": "ipv4-addr"}`,
		`{"status": "success", "name": "PrimaryResult", "rows": 2, "kinds": {"StixId": ["str"], "TimeGenerated": ["datetime"], ` +
			`"Pattern": ["str"], "Name": ["str"], "Labels": ["str"], "Confidence": ["int"], "Created": ["datetime"], ` +
			`"Modified": ["datetime"], "ValidFrom": ["datetime"], "ValidUntil": ["datetime"], "Revoked": ["bool"], "IsActive": ["bool"], ` +
			`"IsDeleted": ["bool"], "LastUpdateMethod": ["str"], "Standing": ["bool"]}, "first": "indicator--00000000-0000-5000-8000-000000000001"}`,
		`{"status": 400, "code": "BadArgumentError"}`,
	}
	if diff := cmp.Diff(want, said); diff != "" {
		t.Error(diff)
	}
	if err := s.Inject(Fault{Kind: QueryPartial}); err != nil {
		t.Fatal(err)
	}
	if got := queryByAzure(t, s, page)[0]; got != `{"status": "partial", "code": "PartialError", "rows": 1}` {
		t.Error(got)
	}
	s.SetReadRight(clientID, false)
	if got := queryByAzure(t, s, page)[0]; got != `{"status": 403, "code": "InsufficientAccessError"}` {
		t.Error(got)
	}
	if queries := s.Queries(); queries[0].Prefer != "wait=20" {
		t.Errorf("Prefer %q", queries[0].Prefer)
	}
}

// queryByAzure sends queries over TLS, and gives what came of each.
func queryByAzure(t *testing.T, s *Server, queries ...string) []string {
	t.Helper()
	var lines strings.Builder
	for _, query := range queries {
		line, _ := json.Marshal(query) // a text always encodes
		lines.Write(append(line, '\n'))
	}
	out := runAzure(t, s, lines.String(), "query.py", tenant, clientID, secret, workspace)
	return strings.Split(strings.TrimSpace(out), "\n")
}
