package main

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"mssentinel/app/config"
	"mssentinel/app/platform"
	"mssentinel/app/secret"
	"mssentinel/app/standin/tcserver"
)

// message.tc has the whole reason, or the names of the fields, or the end of the reason: the most that fits.
func TestFail(t *testing.T) {
	dir := t.TempDir()
	fault := config.Fault{Label: "Client ID", Problem: "is not set: enter the Application (client) ID on the Overview page"}
	many := config.Faults{fault, {Label: "Tenant ID", Problem: fault.Problem}, {Label: "Client Secret", Problem: fault.Problem}, {Label: "Azure Cloud", Problem: "must be one"}}
	for name, test := range map[string]struct {
		err        error
		begin, end string
	}{
		"one fault":      {config.Faults{fault}, fault.Error(), fault.Error()},
		"many faults":    {many, "Wrong or missing: Client ID, Tenant ID, Client Secret, Azure Cloud.", "The log says what to change."},
		"another reason": {errors.New(strings.Repeat("a", 300) + "\nend"), "aaa", "a; end"},
		"a secret":       {errors.New("not hidden"), "not ***", "not ***"},
	} {
		if code := reportFailure(dir, strings.NewReplacer("hidden", "***").Replace, test.err); code != platform.ExitFailure {
			t.Errorf("%s: exit code %d", name, code)
		}
		message, err := os.ReadFile(filepath.Join(dir, "message.tc"))
		text := strings.TrimSuffix(string(message), "\n")
		if err != nil || !strings.HasPrefix(text, test.begin) || !strings.HasSuffix(text, test.end) || len(message) > platform.MaxMessage {
			t.Errorf("%s: %q, %v", name, message, err)
		}
	}
}

// The API is reached as the inputs say.
func TestPlatformAPI(t *testing.T) {
	for _, skip := range []bool{true, false} {
		api := platformAPI(config.Config{TCAPIPath: "https://tc.example/api", Network: platform.Network{SkipVerifyTC: skip}})
		if got := api.HTTP.Transport.(*http.Transport).TLSClientConfig.InsecureSkipVerify; got != skip || api.BaseURL != "https://tc.example/api" {
			t.Errorf("%s is reached, certificates are not verified: %v, want %v", api.BaseURL, got, skip)
		}
	}
}

// A Service gets no token at its start, app/docs/platform.md#tokens: variables are read as the API user then.
func TestVariablesAreReadAsTheAPIUser(t *testing.T) {
	const key = " a key/with+signs= "
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seconds, err := strconv.ParseInt(r.Header.Get("Timestamp"), 10, 64)
		if r.UserAgent() != userAgent() {
			t.Errorf("%q asks", r.UserAgent())
		}
		if want := "TC 12345:" + tcserver.Signature(key, r.RequestURI, r.Method, seconds); err != nil || r.Header.Get("Authorization") != want {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		io.WriteString(w, `{"data":"value"}`)
	}))
	defer server.Close()
	for name, test := range map[string]struct {
		token, accessID, key string
		resolved             bool
	}{
		"no token":                    {"", "12345", key, true},
		"a token that is refused":     {"SVC:1", "12345", key, true},
		"another key":                 {"", "12345", "key", false},
		"the Access ID is a variable": {"", "", key, false},
		"the key is a variable":       {"", "12345", "", false},
		"a refused token alone":       {"SVC:1", "", "", false},
	} {
		known := config.Config{TCAPIPath: server.URL + "/api", TCToken: secret.New(test.token), TCAccessID: test.accessID, TCSecretKey: secret.New(test.key)}
		values, failures := resolveVariables(t.Context(), known, map[string]string{"Client Secret": "&{TC:KEYCHAIN:a[0].b-c}"})
		if test.resolved != (values["Client Secret"] == "value") || test.resolved != (failures["Client Secret"] == nil) {
			t.Errorf("%s: %q, %v", name, values, failures)
		}
	}
}
