package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"mssentinel/app/config"
	"mssentinel/app/mapping"
	"mssentinel/app/secret"
)

// SETTINGS says what was given, and of a secret no more than that there is one.
func TestSettings(t *testing.T) {
	c := config.Config{WorkspaceID: "bbbbbbbb-cccc-4ddd-8eee-ffffffffffff", SourceName: "Demo", SourceSystem: "ThreatConnect-Demo", AzureCloud: "China",
		TenantID: "a-tenant", ClientID: "a-client", ClientSecret: secret.New("hush-client"), TCAccessID: "hush-access", TCSecretKey: secret.New("hush-key"),
		TCToken: secret.New("hush-token"), TCAPIPath: "https://tc.example/api", ScheduleInterval: 6 * time.Hour, TTL: map[string]time.Duration{"Host": 720 * time.Hour, "Address": 24 * time.Hour},
		UploadRequestsPerMinute: 100, UploadWindow: time.Minute, OutPath: "/state"}
	shown := fmt.Sprintf("%+v", listSettings(c, []mapping.Installed{{Type: "Host", Name: "host", Version: "1", File: "/app/mappers", Checksum: "c0ffee", Builtin: true}}, []mapping.Refusal{{Path: "/more/stranger", Reason: "it is on no list"}}))
	for _, want := range []string{c.WorkspaceID, "ThreatConnect-Demo", "China", "a-tenant", "a-client", "https://tc.example/api", "6 h", "never by itself", "{Label:Address Value:24 h} {Label:Host Value:720 h}",
		"at most 100 in 60 s", "Client Secret Value:set", "Secret Key Value:set", "[Host host (built in) 1 mappers c0ffee]", "[stranger It is on no list.]", "standard error"} {
		if !strings.Contains(shown, want) {
			t.Errorf("%q is missing: %s", want, shown)
		}
	}
	if strings.Contains(shown, "hush") {
		t.Errorf("a secret is shown: %s", shown)
	}
	c.ClientSecret, c.UploadRequestsPerMinute, c.FullUpdateInterval = secret.Text{}, 0, 7*24*time.Hour
	if shown = fmt.Sprintf("%+v", listSettings(c, nil, nil)); !strings.Contains(shown, "Client Secret Value:not set") || !strings.Contains(shown, "no limit") || !strings.Contains(shown, "7 d") {
		t.Errorf("without a secret and a limit: %s", shown)
	}
}
