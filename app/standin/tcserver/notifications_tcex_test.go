package tcserver

import (
	"bytes"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The vendor's own module notifies the stand-in, signed as it signs.
func TestTcExNotifies(t *testing.T) {
	for _, c := range tcexVersions {
		t.Run(c.version, func(t *testing.T) {
			t.Parallel()
			s := New(Options{Population: small})
			server := httptest.NewTLSServer(s)
			defer server.Close()
			authority := filepath.Join(t.TempDir(), "authority.pem")
			block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
			if err := os.WriteFile(authority, block, 0o600); err != nil {
				t.Fatal(err)
			}
			var out, failure bytes.Buffer
			cmd := exec.Command(findTcEx(t, c.variable, c.folder), filepath.Join("testdata", "notify.py"), server.URL+"/api", DefaultAccessID, DefaultSecretKey)
			cmd.Stdout, cmd.Stderr = &out, &failure
			cmd.Env = append(os.Environ(), "REQUESTS_CA_BUNDLE="+authority, "NO_PROXY=127.0.0.1")
			if err := cmd.Run(); err != nil {
				t.Fatalf("the module gave up: %v\n%s", err, failure.String())
			}
			answers := strings.Split(strings.TrimSpace(out.String()), "\n")
			if len(answers) != 3 || answers[0] != `{"status": "Success"}` || answers[1] != answers[0] || !strings.Contains(answers[2], `"Failure"`) {
				t.Errorf("answered %q", answers)
			}
			got := s.Notifications()
			for i := range got {
				got[i].Time = time.Time{}
			}
			want := []Notification{{Type: "Import Failed", Priority: "High", Message: "To **all** & everyone", Organization: true},
				{Type: "Import Failed", Priority: "Low", Message: "To two", Recipients: "jsmith,devops"}}
			if !slices.Equal(got, want) {
				t.Errorf("arrived: %+v", got)
			}
		})
	}
}
