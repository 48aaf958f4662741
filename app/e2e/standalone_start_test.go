package e2e

import (
	"bytes"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mssentinel/app/standin/sentinelserver"
	"mssentinel/app/standin/tcplatform"
	"mssentinel/app/standin/tcserver"
)

// database is the file that the state lives in.
func (w *world) database() string { return filepath.Join(w.state, "ms_sentinel.db") }

// refusesToStart starts the App, which has to end with code 1 and a sentence that has these parts, printed and in message.tc.
func (w *world) refusesToStart(says ...string) {
	w.t.Helper()
	a := w.launch()
	if code := a.exitCode(); code != 1 {
		w.t.Errorf("the App ended with code %d", code)
	}
	printed := a.output.String()
	for _, part := range says {
		if !strings.Contains(printed, part) {
			w.t.Errorf("the App does not say %q: %s", part, printed)
		}
	}
	if info, err := os.Stat(w.state); err != nil || !info.IsDir() {
		return // nowhere to put the message
	}
	if strings.Count(strings.TrimSpace(printed), "\n") > 0 {
		w.t.Errorf("the App says more than a line: %s", printed)
	}
	message, err := os.ReadFile(filepath.Join(w.state, "message.tc"))
	if err != nil || len(bytes.TrimSpace(message)) == 0 || len(message) > 255 {
		w.t.Errorf("message.tc: %q, %v", message, err)
	}
}

func quiet(t *testing.T) *world {
	t.Helper()
	return newWorld(t, tcserver.Generate(200, 3, time.Now().Add(-time.Hour)), sentinelserver.Options{Limit: sentinelserver.Unlimited})
}

// A database that cannot be used is named with a remedy, and left as it is. It never passes for a first run.
func TestUnusableDatabases(t *testing.T) {
	t.Parallel()
	overwrite := func(at int, with ...byte) func([]byte) []byte {
		return func(db []byte) []byte {
			copy(db[at:], with)
			return db
		}
	}
	for name, c := range map[string]struct {
		spoil func([]byte) []byte
		says  string
	}{
		"not a database":       {func([]byte) []byte { return []byte(strings.Repeat("no database at all\n", 1000)) }, "damaged or not a database"},
		"damaged head":         {overwrite(0, make([]byte, 100)...), "damaged or not a database"},
		"damaged schema":       {overwrite(100, bytes.Repeat([]byte{0xff}, 3000)...), "damaged or not a database"},
		"cut short":            {func(db []byte) []byte { return db[:len(db)/2] }, "damaged or not a database"},
		"a newer version's":    {overwrite(60, 0, 0, 0x27, 0x0f), "newer version"},
		"of another program's": {overwrite(68, 1, 2, 3, 4), "another program"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := quiet(t)
			a := w.start()
			a.save(overlapping(tcserver.Generate(200, 3, time.Now()))[4:])
			a.first().mustComplete(t)
			a.stop()
			db, err := os.ReadFile(w.database())
			if err != nil {
				t.Fatal(err)
			}
			spoiled := c.spoil(db)
			if err := os.WriteFile(w.database(), spoiled, 0o600); err != nil {
				t.Fatal(err)
			}
			w.refusesToStart(c.says, w.database())
			if left, err := os.ReadFile(w.database()); err != nil || !bytes.Equal(left, spoiled) {
				t.Errorf("the file was touched: %d bytes of %d, %v", len(left), len(spoiled), err)
			}
		})
	}
}

func TestUnusableFolders(t *testing.T) {
	t.Parallel()
	w := quiet(t)
	if err := os.WriteFile(w.state, []byte("a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.refusesToStart(w.state)

	w.state = filepath.Join(t.TempDir(), "state")
	w.env["tc_out_path"] = w.state
	if err := os.MkdirAll(w.database(), 0o700); err != nil {
		t.Fatal(err)
	}
	w.refusesToStart(w.database())
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	w := quiet(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	w.env["http_addr"] = l.Addr().String()
	w.refusesToStart(l.Addr().String(), "MS_SENTINEL_HTTP_ADDR", "in use")
}

func TestSecondProcess(t *testing.T) {
	t.Parallel()
	w := quiet(t)
	a := w.start()
	first := w.env["http_addr"]
	w.env["http_addr"] = freeAddress(t)
	w.refusesToStart("another process", w.state)
	w.env["http_addr"] = first
	a.save(overlapping(tcserver.Generate(200, 3, time.Now()))[4:])
	a.first().mustComplete(t)
	a.stop()
	w.start().stop()
}

// labels are the required fields as the screen shows them.
var labels = []string{"Client ID", "Client Secret", "Tenant ID", "Sentinel Workspace ID", "Sentinel Source Name", "ThreatConnect Access ID",
	"ThreatConnect Secret Key", "Schedule Interval Hours", "TTL Hours - Address", "TTL Hours - ASN", "TTL Hours - CIDR",
	"TTL Hours - Email Address", "TTL Hours - Email Subject", "TTL Hours - File", "TTL Hours - Host", "TTL Hours - Registry Key", "TTL Hours - URL"}

func TestParameters(t *testing.T) {
	t.Parallel()
	w := quiet(t)
	if err := os.MkdirAll(w.state, 0o700); err != nil { // the platform makes it
		t.Fatal(err)
	}
	all := maps.Clone(w.env)
	maps.DeleteFunc(w.env, func(name, _ string) bool {
		return !slices.Contains([]string{"http_addr", "tc_out_path", "tc_log_path", "tc_api_path"}, name)
	})
	w.refusesToStart(labels...)
	message, err := os.ReadFile(filepath.Join(w.state, "message.tc"))
	if text := string(message); err != nil || !strings.HasPrefix(text, "Wrong or missing: Client ID, Client Secret, ") ||
		!strings.HasSuffix(text, " more. The log says what to change.\n") {
		t.Errorf("message.tc: %q, %v", message, err)
	}

	for _, wrong := range []struct{ name, value, says string }{
		{"client_id", "not-a-guid", "Client ID"},
		{"tenant_id", "11111111-2222-4333-8444", "Tenant ID"},
		{"sentinel_source_name", strings.Repeat("long", 70), "Sentinel Source Name"},
		{"schedule_interval_hours", "0", "Schedule Interval Hours"},
		{"schedule_interval_hours", "8761", "Schedule Interval Hours"},
		{"schedule_interval_hours", "1.5", "Schedule Interval Hours"},
		{"ttl_hours_url", "87601", "TTL Hours - URL"},
		{"ttl_hours_file", "a day", "TTL Hours - File"},
		{"azure_cloud", "Mars", "US Government"},
		{"full_update_interval_days", "366", "Full Update Interval Days"},
		{"upload_url", "http://sentinel.example", "MS_SENTINEL_UPLOAD_URL"},
		{"http_addr", "0.0.0.0:8080", "MS_SENTINEL_HTTP_ADDR"},
	} {
		w.env = maps.Clone(all)
		w.env[wrong.name] = wrong.value
		w.refusesToStart(wrong.says)
	}
}

// A Service that is killed while it makes its database starts all the same.
func TestKilledAtItsFirstStart(t *testing.T) {
	t.Parallel()
	w := quiet(t)
	for range 3 {
		a := w.launch()
		a.eventually("a database", func() bool {
			_, err := os.Stat(w.database())
			return err == nil
		})
		a.kill()
	}
	w.start().stop()
}

// ThreatConnect, the login and Sentinel may have certificates of a private authority, as behind a proxy that inspects
// HTTPS, which the machine names in a variable.
func TestPrivateAuthority(t *testing.T) {
	population := population(t)
	for _, variable := range []string{"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"} {
		t.Run(variable, func(t *testing.T) {
			t.Parallel()
			certificates, err := tcplatform.NewCertificates(t.TempDir(), false)
			if err != nil {
				t.Fatal(err)
			}
			w := newWorld(t, population, sentinelserver.Options{Limit: sentinelserver.Unlimited, Keep: sentinelserver.KeepHashes})
			w.env["tc_api_path"] = serveTLS(t, asksByName(t, w.tc), certificates) + "/api"
			w.env["authority_url"] = serveTLS(t, w.cloud, certificates)
			w.env["upload_url"] = w.env["authority_url"]
			w.also = []string{variable + "=" + certificates.CAFile}
			a := w.start()
			a.save(overlapping(population)[:1])
			a.first().mustComplete(t)
		})
	}
}
