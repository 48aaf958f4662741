package config

import (
	"context"
	"errors"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mssentinel/app/secret"
	"mssentinel/plugins/builtin"
)

const guid = "01234567-89ab-cdef-0123-456789abcdef"

// Bundles of authorities that the machine names are no part of what is tested.
func TestMain(m *testing.M) {
	if err := errors.Join(os.Unsetenv("REQUESTS_CA_BUNDLE"), os.Unsetenv("CURL_CA_BUNDLE")); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// standalone is the least that a developer's machine needs.
func standalone() map[string]string {
	set := map[string]string{
		"client_id": guid, "client_secret": "canary-client", "tenant_id": guid,
		"sentinel_workspace_id": guid, "sentinel_source_name": "Acme",
		"tc_api_access_id": "100", "tc_api_secret_key": "canary-key",
		"schedule_interval_hours": "4", "tc_api_path": "https://tc.example.com/api/", "tc_out_path": "out",
		"http_addr": "127.0.0.1:8080",
	}
	for _, p := range builtin.Types {
		set[p.TTLInput] = "24"
	}
	return set
}

// load sets the environment and nothing else. A nil change leaves the least as it is.
func load(t *testing.T, change map[string]string, resolve Resolver) (Config, error) {
	t.Helper()
	set := standalone()
	maps.Copy(set, change)
	for name, value := range set {
		t.Setenv(prefix+strings.ToUpper(name), value)
	}
	return Load(context.Background(), resolve)
}

func TestLoadStandalone(t *testing.T) {
	got, err := load(t, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	ttl := map[string]time.Duration{}
	for _, typ := range []string{"Address", "ASN", "CIDR", "EmailAddress", "Email Subject", "File", "Host", "Registry Key", "URL"} {
		ttl[typ] = 24 * time.Hour
	}
	want := Config{
		ClientID: guid, ClientSecret: secret.New("canary-client"), TenantID: guid, WorkspaceID: guid,
		SourceName: "Acme", SourceSystem: "ThreatConnect-Acme",
		TCAccessID: "100", TCSecretKey: secret.New("canary-key"), TCAPIPath: "https://tc.example.com/api",
		ScheduleInterval: 4 * time.Hour, FullUpdateInterval: 7 * 24 * time.Hour, Notifications: true, TTL: ttl,
		AzureCloud: "Public", UploadRequestsPerMinute: 100, UploadWindow: time.Minute,
		HTTPAddr: "127.0.0.1:8080", OutPath: "out",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Without the prefix a variable belongs to somebody else.
func TestEnvironmentNeedsPrefix(t *testing.T) {
	t.Setenv("AZURE_CLOUD", "China")
	t.Setenv("TC_TOKEN", "other")
	got, err := load(t, nil, nil)
	if err != nil || got.AzureCloud != "Public" || !got.TCToken.IsZero() {
		t.Errorf("got cloud %q, token %q, %v", got.AzureCloud, got.TCToken.Reveal(), err)
	}
}

// A bundle of authorities that cannot be read ends no Service: the log says so.
func TestAuthorities(t *testing.T) {
	t.Setenv("REQUESTS_CA_BUNDLE", "none.pem")
	got, err := load(t, nil, nil)
	if err != nil || got.Network.Authorities == nil || len(got.Warnings) != 1 || !strings.HasPrefix(got.Warnings[0], "REQUESTS_CA_BUNDLE has no effect") {
		t.Errorf("got %q, %v", got.Warnings, err)
	}
}

// Sentinel's and Entra's ids are the same in either case, and the ledger belongs to a workspace by its id.
func TestGUIDsAreInLowerCase(t *testing.T) {
	upper := strings.ToUpper(guid)
	got, err := load(t, map[string]string{"client_id": upper, "tenant_id": upper, "sentinel_workspace_id": upper}, nil)
	if err != nil || got.ClientID != guid || got.TenantID != guid || got.WorkspaceID != guid {
		t.Errorf("got %s, %s, %s, %v", got.ClientID, got.TenantID, got.WorkspaceID, err)
	}
}

// An input that is looked at twice has one fault.
func TestUnresolvedVariableIsReportedOnce(t *testing.T) {
	_, err := load(t, map[string]string{"tc_api_path": "&{TC:TEXT:path}"}, nil)
	var faults Faults
	if !errors.As(err, &faults) || len(faults) != 1 || !strings.Contains(err.Error(), "&{TC:TEXT:path}") {
		t.Errorf("got %v", err)
	}
}

func TestEveryField(t *testing.T) {
	long := strings.Repeat("ä", 242)
	platform := func(more map[string]string) map[string]string {
		set := map[string]string{"http_addr": "", "tc_svc_broker_host": "h", "tc_svc_broker_port": "1", "tc_svc_server_topic": "s", "tc_svc_client_topic": "c"}
		maps.Copy(set, more)
		return set
	}
	tests := []struct {
		name   string
		change map[string]string
		fault  string // begins with this; "" means none
	}{
		{"client id missing", map[string]string{"client_id": ""}, "Client ID is not set"},
		{"client id in braces", map[string]string{"client_id": "{" + guid + "}"}, "Client ID must be a GUID"},
		{"client id without hyphens", map[string]string{"client_id": strings.ReplaceAll(guid, "-", "")}, "Client ID must be a GUID"},
		{"client id in upper case", map[string]string{"client_id": " " + strings.ToUpper(guid) + "\n"}, ""},
		{"client secret missing", map[string]string{"client_secret": " "}, "Client Secret is not set"},
		{"client secret is its id", map[string]string{"client_secret": guid}, "Client Secret is a GUID"},
		{"tenant is a domain", map[string]string{"tenant_id": "acme.onmicrosoft.com"}, "Tenant ID must be a GUID"},
		{"workspace by name", map[string]string{"sentinel_workspace_id": "acme-soc"}, "Sentinel Workspace ID must be a GUID"},
		{"source name missing", map[string]string{"sentinel_source_name": ""}, "Sentinel Source Name is not set"},
		{"source name is the prefix", map[string]string{"sentinel_source_name": "threatconnect-"}, "Sentinel Source Name must say more"},
		{"source name reserved", map[string]string{"sentinel_source_name": "microsoft sentinel"}, "Sentinel Source Name is a name that Microsoft"},
		{"source name reserved behind the prefix", map[string]string{"sentinel_source_name": "ThreatConnect-SecurityGraph"}, "Sentinel Source Name is a name that Microsoft"},
		{"source name with a control character", map[string]string{"sentinel_source_name": "Ac\u0007me"}, "Sentinel Source Name contains a character"},
		{"source name with an invisible character", map[string]string{"sentinel_source_name": "Ac\u200bme"}, "Sentinel Source Name contains a character"},
		{"source name not UTF-8", map[string]string{"sentinel_source_name": "Ac\xffme"}, "Sentinel Source Name contains a character"},
		{"longest source name", map[string]string{"sentinel_source_name": long}, ""},
		{"longest source name with the prefix", map[string]string{"sentinel_source_name": "ThreatConnect-" + long}, ""},
		{"source name too long", map[string]string{"sentinel_source_name": long + "ä"}, "Sentinel Source Name has 257 characters"},
		{"access id missing", map[string]string{"tc_api_access_id": ""}, "ThreatConnect Access ID is not set"},
		{"secret key missing", map[string]string{"tc_api_secret_key": ""}, "ThreatConnect Secret Key is not set"},
		{"interval missing", map[string]string{"schedule_interval_hours": ""}, "Schedule Interval Hours is not set"},
		{"interval 0", map[string]string{"schedule_interval_hours": "0"}, "Schedule Interval Hours must be a whole number from 1 to 8760"},
		{"interval 8760", map[string]string{"schedule_interval_hours": "8760"}, ""},
		{"interval 8761", map[string]string{"schedule_interval_hours": "8761"}, "Schedule Interval Hours must"},
		{"interval 1.5", map[string]string{"schedule_interval_hours": "1.5"}, "Schedule Interval Hours must"},
		{"interval in words", map[string]string{"schedule_interval_hours": "daily"}, "Schedule Interval Hours must"},
		{"interval beyond 64 bits", map[string]string{"schedule_interval_hours": "99999999999999999999"}, "Schedule Interval Hours must"},
		{"cloud in another case", map[string]string{"azure_cloud": "us government"}, ""},
		{"cloud unknown", map[string]string{"azure_cloud": "Germany"}, "Azure Cloud must be one of: Public, US Government, China"},
		{"full update never", map[string]string{"full_update_interval_days": "0"}, ""},
		{"full update 365", map[string]string{"full_update_interval_days": "365"}, ""},
		{"full update 366", map[string]string{"full_update_interval_days": "366"}, "Full Update Interval Days must be a whole number from 0 to 365"},
		{"notifications off", map[string]string{"notifications": "off"}, ""},
		{"notifications perhaps", map[string]string{"notifications": "perhaps"}, "ThreatConnect Notifications must be one of: On, Off"},
		{"full update -1", map[string]string{"full_update_interval_days": "-1"}, "Full Update Interval Days must"},
		{"api path missing", map[string]string{"tc_api_path": ""}, "tc_api_path is not set"},
		{"api path in clear", map[string]string{"tc_api_path": "http://tc.example.com/api"}, "tc_api_path must begin with https://"},
		{"api path on loopback", map[string]string{"tc_api_path": "http://[::1]:81/api"}, ""},
		{"token expiry", map[string]string{"tc_token_expires": "soon"}, ""},
		{"out path missing", map[string]string{"tc_out_path": ""}, "tc_out_path is not set"},
		{"verify", map[string]string{"tc_verify": "perhaps"}, "tc_verify must be true or false"},
		{"proxy port", map[string]string{"tc_proxy_port": "65536"}, "tc_proxy_port must be a whole number from 0 to 65535"},
		{"proxy port 0", map[string]string{"tc_proxy_port": "0"}, ""},
		{"proxy for ThreatConnect", map[string]string{"tc_proxy_tc": "2"}, "tc_proxy_tc must be true or false"},
		{"proxy for others", map[string]string{"tc_proxy_external": "2"}, "tc_proxy_external must be true or false"},
		{"authority in clear", map[string]string{"authority_url": "http://login.example.com"}, "MS_SENTINEL_AUTHORITY_URL must begin with https://"},
		{"authority on loopback", map[string]string{"authority_url": "http://localhost:1"}, ""},
		{"authority with password", map[string]string{"authority_url": "https://u:canary-url@example.com"}, "MS_SENTINEL_AUTHORITY_URL must not contain"},
		{"upload host almost loopback", map[string]string{"upload_url": "http://127.0.0.1.example.com"}, "MS_SENTINEL_UPLOAD_URL must begin with https://"},
		{"upload host is no address", map[string]string{"upload_url": "sentinel"}, "MS_SENTINEL_UPLOAD_URL must be an address"},
		{"upload host with query", map[string]string{"upload_url": "https://example.com?a=b"}, "MS_SENTINEL_UPLOAD_URL must be an address"},
		{"query host in clear", map[string]string{"log_analytics_url": "http://api.example.com"}, "MS_SENTINEL_LOG_ANALYTICS_URL must begin with https://"},
		{"query host on loopback", map[string]string{"log_analytics_url": "http://127.0.0.1:1"}, ""},
		{"screens for everybody", map[string]string{"http_addr": "0.0.0.0:80"}, "MS_SENTINEL_HTTP_ADDR must be a loopback address"},
		{"screens on all interfaces", map[string]string{"http_addr": ":80"}, "MS_SENTINEL_HTTP_ADDR must be a loopback address"},
		{"screens without port", map[string]string{"http_addr": "127.0.0.1"}, "MS_SENTINEL_HTTP_ADDR must be a loopback address"},
		{"screens on a port of the system's choice", map[string]string{"http_addr": "localhost:0"}, ""},
		{"mappers in standalone mode", map[string]string{"mapper_dir": "more"}, ""},
		{"mappers on the platform", platform(map[string]string{"mapper_dir": "more"}), "MS_SENTINEL_MAPPER_DIR works in standalone mode alone"},
		{"fewer requests", map[string]string{"upload_requests_per_minute": "1"}, ""},
		{"more requests", map[string]string{"upload_requests_per_minute": "101"}, "MS_SENTINEL_UPLOAD_REQUESTS_PER_MINUTE must be 1 to 100"},
		{"no limit", map[string]string{"upload_requests_per_minute": "0"}, "MS_SENTINEL_UPLOAD_REQUESTS_PER_MINUTE must be 1 to 100"},
		{"no limit elsewhere", map[string]string{"upload_requests_per_minute": "0", "upload_url": "https://example.com"}, "MS_SENTINEL_UPLOAD_REQUESTS_PER_MINUTE must be 1 to 100"},
		{"no limit on loopback", map[string]string{"upload_requests_per_minute": "0", "upload_url": "http://127.0.0.1:1"}, ""},
		{"more requests on loopback", map[string]string{"upload_requests_per_minute": "5000", "upload_url": "https://[::1]:1"}, ""},
		{"negative requests", map[string]string{"upload_requests_per_minute": "-1", "upload_url": "http://127.0.0.1:1"}, "MS_SENTINEL_UPLOAD_REQUESTS_PER_MINUTE must be a whole number"},
		{"short minute", map[string]string{"upload_window_seconds": "2"}, "MS_SENTINEL_UPLOAD_WINDOW_SECONDS must be 60"},
		{"short minute on loopback", map[string]string{"upload_window_seconds": "2", "upload_url": "http://127.0.0.1:1"}, ""},
		{"neither platform nor address", map[string]string{"http_addr": ""}, "The parameter file is missing"},
		{"platform by environment", platform(nil), ""},
		{"broker port missing", platform(map[string]string{"tc_svc_broker_port": ""}), "tc_svc_broker_port is not set"},
		{"broker port", platform(map[string]string{"tc_svc_broker_port": "0"}), "tc_svc_broker_port must be a whole number"},
		{"server topic missing", platform(map[string]string{"tc_svc_server_topic": ""}), "tc_svc_server_topic is not set"},
		{"client topic missing", platform(map[string]string{"tc_svc_client_topic": ""}), "tc_svc_client_topic is not set"},
		{"broker timeout", platform(map[string]string{"tc_svc_broker_conn_timeout": "x"}), "tc_svc_broker_conn_timeout must be"},
		{"broker timeout 0", platform(map[string]string{"tc_svc_broker_conn_timeout": "0"}), ""},
		{"broker timeout that MQTT cannot tell", platform(map[string]string{"tc_svc_broker_conn_timeout": "65536"}), "tc_svc_broker_conn_timeout must be a whole number from 0 to 65535"},
		{"heartbeat timeout", platform(map[string]string{"tc_svc_hb_timeout_seconds": "-1"}), "tc_svc_hb_timeout_seconds must be"},
		{"heartbeat timeout of a day", platform(map[string]string{"tc_svc_hb_timeout_seconds": "86400"}), ""},
		{"heartbeat timeout 0", platform(map[string]string{"tc_svc_hb_timeout_seconds": "0"}), ""},
		{"broker name", platform(map[string]string{"broker_name_check": "perhaps"}), "MS_SENTINEL_BROKER_NAME_CHECK must be true or false"},
		{"store type", platform(map[string]string{"tc_kvstore_type": "Memory"}), "tc_kvstore_type must be one of: Redis, TCKeyValueAPI"},
		{"store port", platform(map[string]string{"tc_kvstore_port": "x"}), "tc_kvstore_port must be"},
		{"store ports 0", platform(map[string]string{"tc_kvstore_port": "0", "tc_kvstore_tls_port": "0"}), ""},
		{"store TLS", platform(map[string]string{"tc_kvstore_tls_enabled": "x"}), "tc_kvstore_tls_enabled must be"},
		{"store TLS port", platform(map[string]string{"tc_kvstore_tls_port": "x"}), "tc_kvstore_tls_port must be"},
		{"store database", platform(map[string]string{"tc_playbook_kvstore_id": "-1"}), "tc_playbook_kvstore_id must be"},
	}
	for _, p := range builtin.Types {
		label := "TTL Hours - " + strings.Replace(p.Name, "EmailAddress", "Email Address", 1)
		for _, value := range []string{"", "0", "-5", "87601", "ten"} {
			tests = append(tests, struct {
				name   string
				change map[string]string
				fault  string
			}{p.TTLInput + "=" + value, map[string]string{p.TTLInput: value}, label + " "})
		}
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := load(t, test.change, nil)
			var faults Faults
			switch {
			case test.fault == "" && err != nil:
				t.Errorf("got the fault %q, want none", err)
			case test.fault == "":
			case !errors.As(err, &faults) || len(faults) != 1 || !strings.HasPrefix(err.Error(), test.fault):
				t.Errorf("got %v, want the one fault %q", err, test.fault)
			}
		})
	}
}

func TestAllFaultsAtOnce(t *testing.T) {
	for _, name := range os.Environ() {
		if strings.HasPrefix(name, prefix) {
			t.Setenv(strings.SplitN(name, "=", 2)[0], "")
		}
	}
	_, err := Load(context.Background(), nil)
	var faults Faults
	if !errors.As(err, &faults) {
		t.Fatalf("got %v", err)
	}
	var labels []string
	for _, fault := range faults {
		labels = append(labels, fault.Label)
	}
	want := []string{
		"Client ID", "Client Secret", "Tenant ID", "Sentinel Workspace ID", "Sentinel Source Name",
		"ThreatConnect Access ID", "ThreatConnect Secret Key", "Schedule Interval Hours",
		"TTL Hours - Address", "TTL Hours - ASN", "TTL Hours - CIDR", "TTL Hours - Email Address", "TTL Hours - Email Subject",
		"TTL Hours - File", "TTL Hours - Host", "TTL Hours - Registry Key", "TTL Hours - URL",
		"tc_api_path", "tc_out_path", "The parameter file",
	}
	if diff := cmp.Diff(want, labels); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Error("the error is more than one line")
	}
}

// What is said about the token matters only where variables have to be resolved; nobody but the platform can put it
// right.
func TestSummary(t *testing.T) {
	faults := Faults{{"ThreatConnect Secret Key", "could not be resolved"}, {"Client ID", "is not set"}, {"Tenant ID", "is not a GUID"}}
	for limit, want := range map[int]string{
		200: "Wrong or missing: ThreatConnect Secret Key, Client ID, Tenant ID. The log says what to change.",
		90:  "Wrong or missing: ThreatConnect Secret Key and 2 more. The log says what to change.",
	} {
		if got := faults.Summary(limit); got != want || len(got) > limit {
			t.Errorf("%d: %q", limit, got)
		}
	}
}

// The key signs as it was typed.
func TestSecretKeyIsNotTrimmed(t *testing.T) {
	got, err := load(t, map[string]string{"tc_api_secret_key": " canary-key\n"}, nil)
	if err != nil || got.TCSecretKey.Reveal() != " canary-key\n" || len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "ThreatConnect Secret Key begins or ends with a blank") {
		t.Errorf("got %q, %v", got.Warnings, err)
	}
	if _, err := load(t, map[string]string{"tc_api_secret_key": " "}, nil); err == nil || !strings.Contains(err.Error(), "ThreatConnect Secret Key is not set") {
		t.Errorf("a blank key: %v", err)
	}
}

func TestTokenExpiryThatCannotBeRead(t *testing.T) {
	got, err := load(t, map[string]string{"tc_token_expires": "2026-01-01", "tc_token": "canary-token"}, nil)
	if err != nil || !got.TCTokenExpires.IsZero() || len(got.Warnings) != 1 || !strings.HasPrefix(got.Warnings[0], "tc_token_expires ") {
		t.Errorf("got %v, %q, %v", got.TCTokenExpires, got.Warnings, err)
	}
}

// The log stays in its folder, whatever it is called.
func TestLogFile(t *testing.T) {
	for name, want := range map[string]string{
		"": "", "app.log": "app.log", " sentinel.log ": "sentinel.log", "a b.log": "a b.log",
		"../app.log": "", "/tmp/app.log": "", "logs/app.log": "", ".": "", "..": "", "a\nb": "", "a/": "",
	} {
		got, err := load(t, map[string]string{"tc_log_file": name}, nil)
		if err != nil || got.LogFile != want || (len(got.Warnings) == 1) != (want == "" && name != "") {
			t.Errorf("%q became %q with the warnings %q, %v", name, got.LogFile, got.Warnings, err)
		}
	}
}

func TestSourceSystem(t *testing.T) {
	for name, want := range map[string]string{
		"Acme":                       "ThreatConnect-Acme",
		"ThreatConnect-Acme":         "ThreatConnect-Acme",
		"threatconnect-Acme":         "ThreatConnect-Acme",
		"ThreatConnect Acme":         "ThreatConnect-ThreatConnect Acme",
		"Zürich – ☂ 'quotes' \\ end": "ThreatConnect-Zürich – ☂ 'quotes' \\ end",
	} {
		got, err := load(t, map[string]string{"sentinel_source_name": name}, nil)
		if err != nil || got.SourceSystem != want || got.SourceName != name {
			t.Errorf("%q: got %q (%q), %v; want %q", name, got.SourceSystem, got.SourceName, err, want)
		}
	}
}

func TestResolver(t *testing.T) {
	change := map[string]string{
		"client_secret": "&{TC:TEXT:sentinel.secret}", "tenant_id": "&{Vault:KEYCHAIN:a[b]}", "tc_verify": "false", "tc_token": "canary-token",
	}
	t.Run("resolved", func(t *testing.T) {
		got, err := load(t, change, func(_ context.Context, known Config, references map[string]string) (map[string]string, map[string]error) {
			want := map[string]string{"Client Secret": "&{TC:TEXT:sentinel.secret}", "Tenant ID": "&{Vault:KEYCHAIN:a[b]}"}
			if diff := cmp.Diff(want, references); diff != "" {
				t.Error(diff)
			}
			if known.TCAPIPath != "https://tc.example.com/api" || !known.Network.SkipVerifyTC || known.TCToken.Reveal() != "canary-token" {
				t.Errorf("the resolver does not learn how to ask ThreatConnect: %+v", known)
			}
			return map[string]string{"Client Secret": "canary-resolved", "Tenant ID": guid}, nil
		})
		if err != nil || got.ClientSecret.Reveal() != "canary-resolved" || got.TenantID != guid {
			t.Errorf("got %q, %q, %v", got.ClientSecret.Reveal(), got.TenantID, err)
		}
	})
	t.Run("without a resolver", func(t *testing.T) {
		_, err := load(t, change, nil)
		var faults Faults
		if !errors.As(err, &faults) || len(faults) != 2 ||
			!strings.HasPrefix(faults[0].Error(), "Client Secret refers to a ThreatConnect variable that was not resolved (&{TC:TEXT:sentinel.secret})") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("failing", func(t *testing.T) {
		bad := maps.Clone(change)
		bad["client_id"] = "x"
		_, err := load(t, bad, func(_ context.Context, _ Config, references map[string]string) (map[string]string, map[string]error) {
			return map[string]string{"Client Secret": references["Client Secret"], "Tenant ID": "y"},
				map[string]error{"Client Secret": errors.Join(errors.New("has no value"), errors.New("type it in"))}
		})
		want := "Client ID must be a GUID … Client Secret has no value; type it in; Tenant ID must be a GUID"
		begin, end, _ := strings.Cut(want, " … ")
		if err == nil || !strings.HasPrefix(err.Error(), begin) || !strings.Contains(err.Error(), "; "+end) {
			t.Errorf("got %v, want %s …", err, want)
		}
	})
	t.Run("left as it was", func(t *testing.T) {
		_, err := load(t, change, func(_ context.Context, _ Config, references map[string]string) (map[string]string, map[string]error) {
			return references, nil
		})
		if err == nil || !strings.Contains(err.Error(), "Tenant ID refers to a ThreatConnect variable") {
			t.Errorf("got %v", err)
		}
	})
}
