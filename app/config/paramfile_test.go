package config

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const fileKey = "ajfmuyodhscwegea"

// seal encrypts as the platform does.
func seal(plain, key []byte) []byte {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	pad := aes.BlockSize - len(plain)%aes.BlockSize
	sealed := append(bytes.Clone(plain), bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(block, make([]byte, aes.BlockSize)).CryptBlocks(sealed, sealed)
	return sealed
}

// The vector that the vendor publishes, app/docs/platform.md#parameter-file.
func TestDecryptVector(t *testing.T) {
	sealed, _ := hex.DecodeString("308e608d259f8cdf0034c11a82bd890a")
	plain, err := decryptParams(sealed, []byte(fileKey))
	if err != nil || string(plain) != "blah" {
		t.Errorf("got %q, %v", plain, err)
	}
}

func TestDecryptEveryKeySize(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.SampledFrom([]int{16, 24, 32}).Draw(t, "size")
		key := rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, "key")
		want := rapid.SliceOf(rapid.Byte()).Draw(t, "plain")
		got, err := decryptParams(seal(want, key), key)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("got %x, %v; want %x", got, err, want)
		}
	})
}

// No input, whatever it is, makes opening panic.
func TestOpenAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sealed := rapid.SliceOf(rapid.Byte()).Draw(t, "sealed")
		if values, err := openParams(sealed, []byte(fileKey)); err == nil && values == nil {
			t.Fatal("neither values nor an error")
		}
	})
}

// onPlatform is what the platform sends for a Service whose parameters are filled in.
func onPlatform() map[string]any {
	set := map[string]any{}
	for name, value := range standalone() {
		set[name] = value
	}
	delete(set, "http_addr")
	maps.Copy(set, map[string]any{
		"tc_svc_broker_host": "broker", "tc_svc_broker_port": 61616, "tc_svc_broker_token": "canary-broker ",
		"tc_svc_broker_conn_timeout": "30", "tc_svc_server_topic": "svc-server-1", "tc_svc_client_topic": "svc-client-1",
		"tc_svc_hb_timeout_seconds": 20, "tc_svc_broker_cacert_file": "ca.pem", "tc_svc_broker_cert_file": "", "tc_svc_broker_key_file": nil,
		"tc_kvstore_type": "Redis", "tc_kvstore_host": "redis", "tc_kvstore_port": "6379", "tc_kvstore_pass": "canary-store ",
		"tc_kvstore_tls_enabled": "false", "tc_playbook_kvstore_id": 0, "tc_token_expires": 4000000000, "tc_token": "canary-token",
		"tc_proxy_password": "canary-proxy", "tc_log_level": "debug", "somebody_elses": []string{"x"},
	})
	return set
}

// launch writes the parameter file, points the environment at it, loads, and tells where the file lies.
func launch(t *testing.T, set map[string]any) (Config, string, error) {
	t.Helper()
	plain, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return launchSealed(t, seal(plain, []byte(fileKey)), fileKey)
}

func launchSealed(t *testing.T, sealed []byte, key string) (Config, string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), ".app_params.json")
	if err := os.WriteFile(path, sealed, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv(paramFileVariable, path)
	t.Setenv(paramKeyVariable, key)
	c, err := Load(context.Background(), nil)
	for _, name := range []string{paramFileVariable, paramKeyVariable} {
		if _, set := os.LookupEnv(name); set {
			t.Errorf("%s is still set", name)
		}
	}
	return c, path, err
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

func TestLoadOnPlatform(t *testing.T) {
	got, path, err := launch(t, onPlatform())
	if err != nil {
		t.Fatal(err)
	}
	if exists(path) {
		t.Error("the parameter file is still there")
	}
	p := got.Platform
	if p == nil || p.BrokerHost != "broker" || p.BrokerPort != 61616 || p.BrokerTimeout != 30*time.Second ||
		p.HeartbeatTimeout != 20*time.Second || p.CAFile != "ca.pem" || p.KeyFile != "" || p.StoreType != "Redis" || p.StorePort != 6379 || p.StoreTLS {
		t.Errorf("got %+v", p)
	}
	if p.BrokerToken.Reveal() != "canary-broker " || p.StorePassword.Reveal() != "canary-store " || got.TCToken.Reveal() != "canary-token" {
		t.Error("a secret arrived otherwise than it was sent")
	}
	if !got.TCTokenExpires.Equal(time.Unix(4000000000, 0)) || got.LogLevel != "debug" || len(got.Warnings) != 0 {
		t.Errorf("got %v, %q, %q", got.TCTokenExpires, got.LogLevel, got.Warnings)
	}
}

func TestFileWinsOverEnvironment(t *testing.T) {
	t.Setenv("MS_SENTINEL_AZURE_CLOUD", "China")
	t.Setenv("MS_SENTINEL_SCHEDULE_INTERVAL_HOURS", "9")
	set := onPlatform()
	set["azure_cloud"] = ""                              // unset: the environment speaks
	set["upload_url"] = "http://127.0.0.1:1"             // only the environment may say so
	set["upload_requests_per_minute"] = map[string]any{} // likewise, whatever it is
	got, _, err := launch(t, set)
	if err != nil || got.AzureCloud != "China" || got.ScheduleInterval != 4*time.Hour || got.UploadURL != "" {
		t.Errorf("got %q, %v, %q, %v", got.AzureCloud, got.ScheduleInterval, got.UploadURL, err)
	}
}

// The name of the broker is checked, unless the environment says otherwise.
func TestBrokerNameCheck(t *testing.T) {
	set := onPlatform()
	set["broker_name_check"] = "false" // means nothing in the file
	if got, _, err := launch(t, set); err != nil || got.Platform.AnyBrokerName {
		t.Errorf("got %+v, %v", got.Platform, err)
	}
	t.Setenv("MS_SENTINEL_BROKER_NAME_CHECK", "false")
	if got, _, err := launch(t, set); err != nil || !got.Platform.AnyBrokerName {
		t.Errorf("got %+v, %v", got.Platform, err)
	}
}

func TestTolerantScalars(t *testing.T) {
	tests := []struct {
		json  string // of schedule_interval_hours
		hours int    // 0: refused
	}{
		{`5`, 5}, {`"5"`, 5}, {`" 5 "`, 5}, {`5.0`, 5}, {`5e0`, 5}, {`0.5e1`, 5}, {`"+5"`, 5},
		{`5.5`, 0}, {`"5.5"`, 0}, {`true`, 0}, {`null`, 0}, {`""`, 0}, {`[5]`, 0}, {`{}`, 0}, {`1e999999999`, 0}, {`1e99999999`, 0}, {`-5`, 0},
	}
	for _, test := range tests {
		set := onPlatform()
		set["schedule_interval_hours"] = json.RawMessage(test.json)
		got, _, err := launch(t, set)
		switch {
		case test.hours == 0 && (err == nil || !strings.HasPrefix(err.Error(), "Schedule Interval Hours ")):
			t.Errorf("%s: got %v, want a fault", test.json, err)
		case test.hours != 0 && (err != nil || got.ScheduleInterval != time.Duration(test.hours)*time.Hour):
			t.Errorf("%s: got %v, %v", test.json, got.ScheduleInterval, err)
		}
	}
	for text, want := range map[string]bool{`true`: true, `"true"`: true, `"TRUE"`: true, `1`: true, `false`: false, `"False"`: false, `0`: false, `null`: true, `""`: true} {
		set := onPlatform()
		set["tc_verify"] = json.RawMessage(text)
		if got, _, err := launch(t, set); err != nil || got.Network.SkipVerifyTC == want {
			t.Errorf("%s: skips the check: %v, %v", text, got.Network.SkipVerifyTC, err)
		}
	}
}

func TestBadParameterFile(t *testing.T) {
	plain, _ := json.Marshal(onPlatform())
	sealed := seal(plain, []byte(fileKey))
	tests := []struct {
		name   string
		sealed []byte
		key    string
		want   string
	}{
		{"truncated inside a block", sealed[:len(sealed)-3], fileKey, "a part is missing"},
		{"truncated after a block", sealed[:len(sealed)-16], fileKey, "damaged"},
		{"empty", nil, fileKey, "a part is missing"},
		{"wrong key", sealed, "bjfmuyodhscwegea", "damaged or TC_APP_PARAM_KEY does not fit"},
		{"short key", sealed, "short", "TC_APP_PARAM_KEY has 5 bytes"},
		{"a list", seal([]byte(`["canary"]`), []byte(fileKey)), fileKey, "damaged"},
		{"null", seal([]byte(`null`), []byte(fileKey)), fileKey, "damaged"},
		{"not JSON", seal([]byte(`client_secret=canary`), []byte(fileKey)), fileKey, "damaged"},
		{"padding that does not fit", seal([]byte("{\"a\":1}\x00\x00\x00\x00\x00\x00\x00\x00\x09"), []byte(fileKey))[:16], fileKey, "damaged"},
		{"huge", make([]byte, maxParamFile+16), fileKey, "larger than"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, path, err := launchSealed(t, test.sealed, test.key)
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "canary") {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if strings.Contains(err.Error(), "\n") || !exists(path) {
				t.Error("the error is more than one line, or the unread file is gone")
			}
		})
	}
}

// Where the file cannot be read it does not say where the failure is to be written down; its own place does.
func TestPathsBesideADamagedFile(t *testing.T) {
	session := t.TempDir()
	for _, name := range []string{"in", "out", "log"} {
		if err := os.Mkdir(filepath.Join(session, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	load := func(folder string) Config {
		path := filepath.Join(session, folder, ".app_params.json")
		if err := os.WriteFile(path, []byte("damaged"), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv(paramFileVariable, path)
		t.Setenv(paramKeyVariable, fileKey)
		c, err := Load(context.Background(), nil)
		if err == nil {
			t.Error("a damaged file was read")
		}
		return c
	}
	if c := load("in"); c.OutPath != filepath.Join(session, "out") || c.LogPath != filepath.Join(session, "log") {
		t.Errorf("got %q, %q", c.OutPath, c.LogPath)
	}
	if err := os.Remove(filepath.Join(session, "log")); err != nil {
		t.Fatal(err)
	}
	if c := load("out"); c.OutPath != "" {
		t.Errorf("beside a file that lies in another folder: %q", c.OutPath)
	}
	if c := load("in"); c.OutPath == "" || c.LogPath != "" {
		t.Errorf("got %q, %q", c.OutPath, c.LogPath)
	}
}

func TestHalfTheVariables(t *testing.T) {
	for _, name := range []string{paramFileVariable, paramKeyVariable} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, "x")
			_, err := Load(context.Background(), nil)
			if err == nil || !strings.Contains(err.Error(), name+" is set but") || os.Getenv(name) != "" {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A pipe in the place of the parameter file does not keep the start waiting.
func TestParameterPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv(paramFileVariable, path)
	t.Setenv(paramKeyVariable, fileKey)
	if _, err := Load(context.Background(), nil); err == nil || !strings.Contains(err.Error(), "is no regular file") {
		t.Errorf("got %v", err)
	}
}

func TestMissingParameterFile(t *testing.T) {
	t.Setenv(paramFileVariable, filepath.Join(t.TempDir(), "none"))
	t.Setenv(paramKeyVariable, fileKey)
	if _, err := Load(context.Background(), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// A failed start is written down where the platform looks for it.
func TestPathsAreKnownInFailure(t *testing.T) {
	set := onPlatform()
	set["client_id"] = "x"
	set["tc_log_path"] = "log"
	got, _, err := launch(t, set)
	if err == nil || got.OutPath != "out" || got.LogPath != "log" {
		t.Errorf("got %q, %q, %v", got.OutPath, got.LogPath, err)
	}
}
