package sentinelserver

import (
	"encoding/pem"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
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
	python := os.Getenv("MS_SENTINEL_PYTHON")
	if python == "" {
		python = filepath.Join("..", "..", "..", ".tools", "venv", "bin", "python")
	}
	if err := exec.Command(python, "-c", "import azure.core, azure.identity").Run(); err != nil {
		t.Fatalf("%s has no azure-core and azure-identity (%v): run ./package.sh test once, which installs them, "+
			"or name a Python that has them in MS_SENTINEL_PYTHON", python, err)
	}
	server := httptest.NewTLSServer(s)
	defer server.Close()
	authority := filepath.Join(t.TempDir(), "authority.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(authority, block, 0o600); err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	for first := 0; first < 250; first += 100 {
		var objects []map[string]any
		for n := first; n < min(first+100, 250); n++ {
			objects = append(objects, indicator(n))
		}
		lines.WriteString(bodyOf(objects...) + "\n")
	}
	cmd := exec.Command(python, filepath.Join("testdata", "deliver.py"), server.URL, tenant, clientID, secret, uploadPath)
	cmd.Stdin, cmd.Stderr = strings.NewReader(lines.String()), os.Stderr
	cmd.Env = append(os.Environ(), "REQUESTS_CA_BUNDLE="+authority, "SSL_CERT_FILE="+authority, "NO_PROXY=127.0.0.1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(strings.Fields(string(out)), " ")
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
