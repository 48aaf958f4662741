package platform

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"mssentinel/app/secret"
)

// Network says how HTTP leaves the machine. Broker and Redis use no proxy. Its tags are those of [Inputs].
type Network struct {
	ProxyHost     string      `input:"tc_proxy_host"`
	ProxyPort     int         `input:"tc_proxy_port" max:"65535"` // 0 means that the host says it, or the scheme
	ProxyUser     string      `input:"tc_proxy_username"`
	ProxyPassword secret.Text `input:"tc_proxy_password"`
	ProxyTC       bool        `input:"tc_proxy_tc"`               // use the proxy for the ThreatConnect API
	ProxyExternal bool        `input:"tc_proxy_external"`         // use it for other hosts
	SkipVerifyTC  bool        `input:"tc_verify" inverted:"true"` // do not verify the certificate of the ThreatConnect API

	Authorities *x509.CertPool // whose certificates are trusted; nil means those of the machine
}

// ThreatConnect returns a new transport for the ThreatConnect API.
func (n Network) ThreatConnect() *http.Transport {
	t := n.newTransport(n.ProxyTC)
	if n.SkipVerifyTC {
		t.TLSClientConfig.InsecureSkipVerify = true
	}
	return t
}

// External returns a new transport for every other host; it always verifies certificates.
func (n Network) External() *http.Transport { return n.newTransport(n.ProxyExternal) }

// newTransport falls back to the proxy variables of the environment, as the vendor's own Apps do.
func (n Network) newTransport(useProxy bool) *http.Transport {
	t := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: n.Authorities},
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           32,
		MaxIdleConnsPerHost:    8,
		IdleConnTimeout:        90 * time.Second,
		TLSHandshakeTimeout:    dialTimeout,
		ExpectContinueTimeout:  time.Second,
		OnProxyConnectResponse: checkProxyAnswer,
	}
	if useProxy && n.ProxyHost != "" {
		t.Proxy = http.ProxyURL(n.proxyURL())
	}
	return t
}

func (n Network) proxyURL() *url.URL {
	u := &url.URL{Scheme: "http", Host: n.ProxyHost}
	if n.ProxyPort != 0 {
		u.Host = net.JoinHostPort(n.ProxyHost, strconv.Itoa(n.ProxyPort))
	}
	if n.ProxyUser != "" {
		u.User = url.UserPassword(n.ProxyUser, n.ProxyPassword.Reveal())
	}
	return u
}

// checkProxyAnswer makes a proxy that refuses a connection look like one that cannot be reached, with its status. All
// that net/http tells of it otherwise is the text of the status, such as "Forbidden".
func checkProxyAnswer(_ context.Context, proxy *url.URL, _ *http.Request, answer *http.Response) error {
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	return &net.OpError{Op: "proxyconnect", Net: "tcp", Err: fmt.Errorf("proxy %s answers %s", proxy.Host, answer.Status)}
}
