package sentinel

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"mssentinel/app/standin/sentinelserver"
)

// firstWait is what a delivery says first of why it waits; then it is stopped.
func firstWait(t *testing.T, o Options) string {
	t.Helper()
	o.TenantID, o.ClientID, o.WorkspaceID = tenant, clientID, workspace
	o.Secret = func() string { return secret }
	client, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var first string
	err = client.Deliver(ctx, source, objects(0, 2), Report{
		Settle: func(Outcome) error { return errors.New("settled") },
		OnWait: func(_ time.Time, reason string) {
			if first == "" {
				first = reason
				cancel()
			}
		},
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	return first
}

// byHost sends requests for the upload one way and those for the login another.
type byHost struct {
	host   string
	upload http.RoundTripper
	login  http.RoundTripper
}

func (b byHost) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Hostname() == b.host {
		return b.upload.RoundTrip(r)
	}
	return b.login.RoundTrip(r)
}

// What only an operator can heal is named with its remedy by the first wait, at the login as at the upload.
func TestNetworkFaultsAreNamed(t *testing.T) {
	untrusted := httptest.NewUnstartedServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0)
	untrusted.StartTLS()
	t.Cleanup(untrusted.Close)
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	closed := httptest.NewServer(nil)
	closed.Close()
	// reach leads every connection to one address.
	reach := func(server *httptest.Server) *http.Transport {
		return &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, server.Listener.Addr().String())
		}}
	}
	noName := &http.Transport{DialContext: func(_ context.Context, network, address string) (net.Conn, error) {
		host, _, _ := net.SplitHostPort(address)
		return nil, &net.OpError{Op: "dial", Net: network, Err: &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}}
	}}
	proxied := func(server *httptest.Server) *http.Transport {
		to, _ := url.Parse("http://" + server.Listener.Addr().String())
		return &http.Transport{Proxy: http.ProxyURL(to)}
	}
	tests := map[string]struct {
		way  http.RoundTripper
		want []string
	}{
		"certificate":  {reach(untrusted), []string{"certificate of %s is not trusted", "CA certificate"}},
		"name":         {noName, []string{"of %s does not resolve", "name server"}},
		"refused":      {reach(closed), []string{"%s cannot be reached: dial tcp", "connection refused", "firewall"}},
		"no TLS":       {reach(plain), []string{"No TLS connection with %s", "firewall"}},
		"no proxy":     {proxied(closed), []string{"proxy does not connect us with %s", "connection refused", "proxy settings"}},
		"proxy's name": {way: noNameProxy(noName), want: []string{"proxy does not connect us with %s", "no such host", "proxy settings"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := sentinelserver.New(sentinelserver.Options{Apps: []sentinelserver.App{{TenantID: tenant, ClientID: clientID, ClientSecret: secret}}})
			far := s.ListenInMemory()
			t.Cleanup(func() { far.Close() })
			for _, who := range []string{"Microsoft Entra at login.example.com", "Sentinel at upload.example.com"} {
				o := Options{AuthorityURL: far.URL, UploadURL: "https://upload.example.com", Transport: byHost{"upload.example.com", tt.way, far.Transport}}
				if strings.Contains(who, "login") {
					o = Options{AuthorityURL: "https://login.example.com", Transport: tt.way}
				}
				said := firstWait(t, o)
				for _, want := range tt.want {
					want = strings.ReplaceAll(want, "%s", who)
					if name == "name" {
						short, host, _ := strings.Cut(who, " at ")
						want = strings.ReplaceAll(want, "of "+who, host+" of "+short)
					}
					if !strings.Contains(said, want) {
						t.Errorf("%q lacks %q", said, want)
					}
				}
			}
		})
	}
}

// noNameProxy is a way through a proxy whose name does not resolve.
func noNameProxy(t *http.Transport) *http.Transport {
	t = t.Clone()
	t.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: "proxy.example:8080"})
	return t
}

func TestNetworkFault(t *testing.T) {
	expired := x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.Expired}
	otherName := x509.HostnameError{Certificate: &x509.Certificate{DNSNames: []string{"other.example"}}, Host: "h"}
	for name, tt := range map[string]struct {
		err  error
		want []string
	}{
		"expired":      {&tls.CertificateVerificationError{Err: expired}, []string{"is not trusted", "Check the clock"}},
		"no authority": {&tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.NotAuthorizedToSign}}, []string{"is not trusted", "CA certificate"}},
		"another name": {&tls.CertificateVerificationError{Err: otherName}, []string{"other.example", "of another host"}},
		"reset":        {&net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}, []string{"broke off", "connection reset"}},
		"no route":     {&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EHOSTUNREACH)}, []string{"cannot be reached", "firewall"}},
		"proxy":        {&net.OpError{Op: "proxyconnect", Err: errors.New("407 Proxy Authentication Required")}, []string{"407", "proxy settings"}},
		"silence":      {errTooSlow, []string{"does not answer in time", "firewall"}},
		"handshake":    {&net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, []string{"does not answer in time", "firewall"}},
	} {
		said := networkFault("Sentinel", "h", &url.Error{Op: "Post", URL: "https://h/secret-path", Err: fmt.Errorf("w: %w", tt.err)}).sentences()
		for _, want := range tt.want {
			if !strings.Contains(said, want) || strings.Contains(said, "secret-path") {
				t.Errorf("%s: %q lacks %q", name, said, want)
			}
		}
	}
}

// A redirection is told with where it leads, which is another host alone: nothing else is followed, nor told.
func TestRedirectionIsTold(t *testing.T) {
	for _, tt := range []struct {
		status   int
		location string
		told     bool
	}{
		{302, "https://portal.example/login?token=1", true}, {399, "//portal.example", true}, {300, "http://portal.example", true},
		{302, "/login", false}, {302, "https://portal.example/%zz", false}, {302, "", false},
		{299, "https://portal.example", false}, {400, "https://portal.example", false}, {403, "https://portal.example", false},
	} {
		said := foreignFault("Sentinel", tt.status, http.Header{"Location": {tt.location}}, "odd").sentences()
		if told := strings.Contains(said, `sends us to "portal.example": let this machine reach Sentinel without that`); told != tt.told ||
			!told && !strings.Contains(said, "Let this machine reach Sentinel through it") || strings.Contains(said, "token") {
			t.Errorf("%d to %s: says %s", tt.status, tt.location, said)
		}
	}
}

// A page in place of the login is named likewise.
func TestLoginAnsweredByAStranger(t *testing.T) {
	for name, tt := range map[string]struct {
		fault sentinelserver.Fault
		want  string
	}{
		"page to log in": {sentinelserver.Fault{Status: 200, Form: "html"}, `the web page "200 OK"`},
		"blocked":        {sentinelserver.Fault{Status: 403, Form: "html"}, `the web page "403 Forbidden" (HTTP status 403)`},
		"policy":         {sentinelserver.Fault{Status: 403, Form: "foreign"}, "The request was blocked by policy."},
		"OAuth-like":     {sentinelserver.Fault{Status: 400, Body: `{"error":"blocked"}`}, "in place of Microsoft Entra: blocked."},
		"success":        {sentinelserver.Fault{Status: 200, Body: `{"success":false}`}, "there is no token in its answer"},
		"proxy":          {sentinelserver.Fault{Status: 407, Form: "html"}, "wants a user name and a password"},
		"page missing":   {sentinelserver.Fault{Status: 404, Form: "text"}, "error code: 1020"},
		"outage":         {sentinelserver.Fault{Status: 503}, "Microsoft Entra is out of order: status 503, Service Unavailable."},
	} {
		t.Run(name, func(t *testing.T) {
			s := sentinelserver.New(sentinelserver.Options{Apps: []sentinelserver.App{{TenantID: tenant, ClientID: clientID, ClientSecret: secret}}})
			far := s.ListenInMemory()
			t.Cleanup(func() { far.Close() })
			tt.fault.Kind, tt.fault.Count = sentinelserver.TokenStatus, -1
			if err := s.Inject(tt.fault); err != nil {
				t.Fatal(err)
			}
			said := firstWait(t, Options{AuthorityURL: far.URL, UploadURL: far.URL, Transport: far.Transport})
			if !strings.Contains(said, tt.want) || !strings.Contains(said, "proxy") && name != "outage" {
				t.Errorf("says %q", said)
			}
		})
	}
}
