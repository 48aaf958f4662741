package platform

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"mssentinel/app/secret"
)

// proxy answers for every host and says which one was asked for.
func proxy(t *testing.T) (host string, port int) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Proxy-Authorization"); got != "Basic dXNlcjpwQDpzcw==" { // user:p@:ss
			t.Errorf("the proxy got %q", got)
		}
		io.WriteString(w, "proxy for "+r.URL.Host)
	}))
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	if port, err = strconv.Atoi(u.Port()); err != nil {
		t.Fatal(err)
	}
	return u.Hostname(), port
}

// The proxy is used where its inputs say, and only there.
func TestProxy(t *testing.T) {
	direct := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "direct") }))
	defer direct.Close()
	host, port := proxy(t)
	n := Network{ProxyHost: host, ProxyPort: port, ProxyUser: "user", ProxyPassword: secret.New("p@:ss")}
	for name, test := range map[string]struct {
		transport *http.Transport
		proxied   bool
	}{
		"ThreatConnect without":     {n.ThreatConnect(), false},
		"others without":            {n.External(), false},
		"ThreatConnect with":        {Network.ThreatConnect(with(n, true, false)), true},
		"others beside it":          {Network.External(with(n, true, false)), false},
		"others with":               {Network.External(with(n, false, true)), true},
		"ThreatConnect beside them": {Network.ThreatConnect(with(n, false, true)), false},
		"no host":                   {Network{ProxyTC: true}.ThreatConnect(), false},
	} {
		response, err := (&http.Client{Transport: test.transport}).Get(direct.URL)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		test.transport.CloseIdleConnections()
		if err != nil || strings.HasPrefix(string(body), "proxy for 127.0.0.1") != test.proxied {
			t.Errorf("%s: got %q, %v", name, body, err)
		}
	}
}

func with(n Network, tc, external bool) Network {
	n.ProxyTC, n.ProxyExternal = tc, external
	return n
}

func TestProxyURL(t *testing.T) {
	for want, n := range map[string]Network{
		"http://proxy":                       {ProxyHost: "proxy"},
		"http://proxy:3128":                  {ProxyHost: "proxy", ProxyPort: 3128},
		"http://[::1]:3128":                  {ProxyHost: "::1", ProxyPort: 3128},
		"http://us%40er:p%3Aa%2Fss@proxy:80": {ProxyHost: "proxy", ProxyPort: 80, ProxyUser: "us@er", ProxyPassword: secret.New("p:a/ss")},
	} {
		if got := n.proxyURL().String(); got != want {
			t.Errorf("got %s, not %s", got, want)
		}
	}
}

// tc_verify is about the ThreatConnect API and nothing else.
func TestVerify(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	server.Config.ErrorLog = nil
	for name, test := range map[string]struct {
		transport *http.Transport
		reached   bool
	}{
		"verified":     {Network{}.ThreatConnect(), false},
		"not verified": {Network{SkipVerifyTC: true}.ThreatConnect(), true},
		"others":       {Network{SkipVerifyTC: true}.External(), false},
	} {
		response, err := (&http.Client{Transport: test.transport}).Get(server.URL)
		if (err == nil) != test.reached {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			response.Body.Close()
		}
		test.transport.CloseIdleConnections()
	}
}

// Secrets travel over TLS 1.2 at least, even where the certificate is not looked at.
func TestOldTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	server.StartTLS()
	defer server.Close()
	for name, transport := range map[string]*http.Transport{"ThreatConnect": Network{SkipVerifyTC: true}.ThreatConnect(), "others": Network{}.External()} {
		if _, err := (&http.Client{Transport: transport}).Get(server.URL); err == nil || !strings.Contains(err.Error(), "protocol version") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Authorities that the variables of Python's requests name are trusted besides those of the machine, for ThreatConnect
// and for other hosts.
func TestBundles(t *testing.T) {
	own, other := newCertificates(t, false), newCertificates(t, false)
	cert, err := tls.LoadX509KeyPair(own.ServerCertFile, own.ServerKeyFile)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	server.StartTLS()
	defer server.Close()
	folder := t.TempDir()
	for name, source := range map[string]string{"0a1b2c3d.0": own.CAFile, "4e5f6a7b.0": other.CAFile, "README": "network_test.go"} {
		data, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		requests, curl string
		trusted        bool
		warning        string // begins with it
	}{
		"neither":              {"", "", false, ""},
		"requests":             {own.CAFile, "", true, ""},
		"curl":                 {"", own.CAFile, true, ""},
		"one of two":           {other.CAFile, own.CAFile, true, ""},
		"another authority":    {other.CAFile, "", false, ""},
		"folder":               {folder, "", true, ""},
		"file is missing":      {folder + "/none.pem", own.CAFile, true, "REQUESTS_CA_BUNDLE has no effect (open " + folder + "/none.pem: no such file"},
		"no certificate in it": {"", "network_test.go", false, "CURL_CA_BUNDLE has no effect (network_test.go holds no certificate)"},
		"none in the folder":   {t.TempDir(), "", false, "REQUESTS_CA_BUNDLE has no effect (no file in "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("REQUESTS_CA_BUNDLE", test.requests)
			t.Setenv("CURL_CA_BUNDLE", test.curl)
			roots, warnings := ReadAuthorities()
			if (test.warning != "") != (len(warnings) == 1) || len(warnings) > 0 && !strings.HasPrefix(warnings[0], test.warning) {
				t.Errorf("warnings %q", warnings)
			}
			for _, transport := range []*http.Transport{Network{Authorities: roots}.ThreatConnect(), Network{Authorities: roots}.External()} {
				response, err := (&http.Client{Transport: transport}).Get(server.URL)
				if (err == nil) != test.trusted {
					t.Errorf("got %v", err)
				}
				if err == nil {
					response.Body.Close()
				}
				transport.CloseIdleConnections()
			}
		})
	}
}

// What a variable names is added to the machine's own authorities, whose certificates ordinary hosts have.
func TestBundlesLeaveTheMachine(t *testing.T) {
	t.Setenv("REQUESTS_CA_BUNDLE", "")
	t.Setenv("CURL_CA_BUNDLE", "")
	if roots, warnings := ReadAuthorities(); roots != nil || warnings != nil {
		t.Errorf("without a variable there is a pool, or a warning: %q", warnings)
	}
	file := newCertificates(t, false).CAFile
	t.Setenv("REQUESTS_CA_BUNDLE", file)
	pem, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want, err := x509.SystemCertPool()
	if err != nil {
		t.Fatal(err)
	}
	want.AppendCertsFromPEM(pem)
	if roots, _ := ReadAuthorities(); !roots.Equal(want) {
		t.Error("the pool is another one")
	}
}

// A proxy that refuses a connection is named with its status, as one that cannot be reached is.
func TestProxyRefuses(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusProxyAuthRequired)
	}))
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	n := Network{ProxyHost: u.Host, ProxyExternal: true}
	_, err = (&http.Client{Transport: n.External()}).Get("https://login.example.com")
	var operation *net.OpError
	if !errors.As(err, &operation) || operation.Op != "proxyconnect" || !strings.Contains(err.Error(), u.Host+" answers 407 Proxy Authentication Required") {
		t.Errorf("got %v", err)
	}
}
