package tcplatform_test

import (
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"mssentinel/app/standin/tcplatform"
	"mssentinel/app/standin/tcserver"
)

func layout(t *testing.T) []byte {
	t.Helper()
	data, err := os.ReadFile("../../../layout.json")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func form(values map[string]string) io.Reader {
	v := url.Values{}
	for name, value := range values {
		v.Set(name, value)
	}
	return strings.NewReader(v.Encode())
}

var formType = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}

// An administrator adds what is required, turns the Service on, opens it by its API path and turns it off.
func TestServicesPage(t *testing.T) {
	p := start(t, tcplatform.Options{Layout: layout(t)})
	s := add(t, p, tcplatform.ServiceOptions{Name: "Microsoft Sentinel - Demo", Parameters: map[string]string{}})
	base := p.URL() + "/services"

	response, data := do(t, "GET", p.URL()+"/", nil, nil)
	if response.StatusCode != http.StatusFound || response.Header.Get("Location") != "/services" {
		t.Errorf("the root: %d %s", response.StatusCode, data)
	}
	_, data = do(t, "GET", base, nil, nil)
	has(t, string(data), "Microsoft Sentinel - Demo", "Service API", "Stopped", "/api/services/ms_sentinel/v1", "still needed", "Client ID, Client Secret")
	response, _ = do(t, "POST", base+"/ms_sentinel/on", nil, nil)
	_, data = do(t, "GET", p.URL()+response.Header.Get("Location"), nil, nil)
	has(t, string(data), "required parameters have no value: Client ID", "Stopped")

	_, data = do(t, "GET", base+"/ms_sentinel/parameters", nil, nil)
	has(t, string(data), "1. Microsoft Sentinel", "2. ThreatConnect", "3. Schedule", "4. Time to Live", `name="client_secret" autocomplete="off" type="password"`)
	values := parameters()
	values["tenant_id"] = " "
	response, data = do(t, "POST", base+"/ms_sentinel/parameters", form(values), formType)
	if response.StatusCode != http.StatusUnprocessableEntity || s.Parameters()["client_id"] != "" {
		t.Errorf("with a missing one: %d, %v", response.StatusCode, s.Parameters())
	}
	has(t, string(data), "Tenant ID is required.", values["client_id"])
	response, _ = do(t, "POST", base+"/ms_sentinel/parameters", form(parameters()), formType)
	if response.StatusCode != http.StatusSeeOther {
		t.Errorf("complete: %d", response.StatusCode)
	}
	_, data = do(t, "GET", base+"/ms_sentinel/parameters", nil, nil)
	if strings.Contains(string(data), parameters()["client_secret"]) {
		t.Error("the page shows a secret")
	}
	values = parameters()
	values["client_secret"], values["sentinel_source_name"] = "", "Changed"
	do(t, "POST", base+"/ms_sentinel/parameters", form(values), formType)
	if got := s.Parameters(); got["client_secret"] != parameters()["client_secret"] || got["sentinel_source_name"] != "Changed" {
		t.Errorf("got %v", got)
	}

	do(t, "POST", base+"/ms_sentinel/on", nil, nil)
	if _, err := s.Wait(within(t), func(status tcplatform.Status) bool { return status.Metrics != nil }); err != nil { // after the log line
		t.Fatal(err)
	}
	_, data = do(t, "GET", base, nil, nil)
	has(t, string(data), "Running", `<a href="/api/services/ms_sentinel/v1">`, "level=INFO msg=ready", `aria-checked="true"`)
	if _, data := do(t, "GET", p.URL()+"/api/services/ms_sentinel/v1/source", nil, nil); string(data) != "Changed" {
		t.Errorf("the Service answered %q", data)
	}
	do(t, "POST", base+"/ms_sentinel/off", nil, nil)
	_, data = do(t, "GET", base, nil, nil)
	has(t, string(data), "Stopped", "exit code 0: done")
}

func TestPageRefusals(t *testing.T) {
	p := start(t, tcplatform.Options{})
	s := add(t, p, tcplatform.ServiceOptions{})
	response, _ := do(t, "POST", p.URL()+"/services/ms_sentinel/on", nil, http.Header{"Sec-Fetch-Site": {"cross-site"}})
	if response.StatusCode != http.StatusForbidden || s.Status().State != tcplatform.Stopped {
		t.Errorf("from another site: %d", response.StatusCode)
	}
	for _, path := range []string{"/services/none/parameters", "/api/services/none/v1/x", "/api/services/ms_sentinel/v2/x", "/api/v3/indicators", "/other"} {
		if response, _ := do(t, "GET", p.URL()+path, nil, nil); response.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d", path, response.StatusCode)
		}
	}
}

// The rest of ThreatConnect stands beside the platform on the same server.
func TestAPIBeside(t *testing.T) {
	p := start(t, tcplatform.Options{API: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.RequestURI) })})
	for _, path := range []string{"/api/v3/indicators?tql=a%20b", "/api/v2/owners", "/_standin/stats"} {
		if _, data := do(t, "GET", p.URL()+path, nil, nil); string(data) != path {
			t.Errorf("%s: %q", path, data)
		}
	}
}

func TestInternalAPIWantsProof(t *testing.T) {
	p := start(t, tcplatform.Options{Variables: map[string]string{"TC/x": "y"}, APIUsers: map[string]string{"1": "key"}})
	target := "/api/internal/variable/runtime/TC/x"
	sign := func(key string, at time.Time) http.Header {
		return http.Header{"Authorization": {"TC 1:" + tcserver.Signature(key, target, "GET", at.Unix())}, "Timestamp": {strconv.FormatInt(at.Unix(), 10)}}
	}
	token := http.Header{"Authorization": {"TC-Token API:1"}}
	for name, test := range map[string]struct {
		method, path string
		header       http.Header
		status       int
	}{
		"variable, unknown token":  {"GET", target, token, http.StatusUnauthorized},
		"variable, nothing":        {"GET", target, nil, http.StatusUnauthorized},
		"variable, signed":         {"GET", target, sign("key", time.Now()), http.StatusOK},
		"variable, another key":    {"GET", target, sign("other", time.Now()), http.StatusUnauthorized},
		"variable, old signature":  {"GET", target, sign("key", time.Now().Add(-6*time.Minute)), http.StatusUnauthorized},
		"variable, early":          {"GET", target, sign("key", time.Now().Add(6*time.Minute)), http.StatusUnauthorized},
		"variable, another target": {"GET", "/api/internal/variable/runtime/TC/z", sign("key", time.Now()), http.StatusUnauthorized},
		"value, unknown token":     {"PUT", "/api/internal/playbooks/keyValue/a/b", token, http.StatusUnauthorized},
		"value, signed":            {"GET", "/api/internal/playbooks/keyValue/a/b", sign("key", time.Now()), http.StatusUnauthorized},
	} {
		if response, _ := do(t, test.method, p.URL()+test.path, nil, test.header); response.StatusCode != test.status {
			t.Errorf("%s: %d", name, response.StatusCode)
		}
	}
	if _, data := do(t, "GET", p.URL()+"/api/appAuth?expiredToken=x", nil, nil); !strings.Contains(string(data), `"success":false`) {
		t.Errorf("got %s", data)
	}
}

// Run bits do not survive the installation.
func TestInstall(t *testing.T) {
	p := start(t, tcplatform.Options{})
	app, err := p.Install(tcx)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"app", "run.py", "install.json"} {
		if info, err := os.Stat(filepath.Join(app.Dir, name)); err != nil || info.Mode() != 0o644 {
			t.Errorf("%s has mode %v, %v", name, info.Mode(), err)
		}
	}
	other := filepath.Join(t.TempDir(), "TCVA_-_Other_v1.tcx")
	data, err := os.ReadFile(tcx)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(other, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Install(other); err == nil || !strings.Contains(err.Error(), "not in the folder") {
		t.Errorf("with another folder inside: %v", err)
	}
	if _, err := p.Install("missing.tcx"); err == nil {
		t.Error("a missing package was installed")
	}
}
