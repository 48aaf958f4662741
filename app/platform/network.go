package platform

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Network says how HTTP leaves the machine (tc_proxy_*, tc_verify). Broker and Redis use no proxy.
type Network struct {
	ProxyHost     string
	ProxyPort     int
	ProxyUser     string
	ProxyPassword string
	ProxyTC       bool // tc_proxy_tc: use the proxy for the ThreatConnect API
	ProxyExternal bool // tc_proxy_external: use it for other hosts
	SkipVerifyTC  bool // tc_verify is false: do not verify the certificate of the ThreatConnect API
}

// ThreatConnect returns a new transport for the ThreatConnect API.
func (n Network) ThreatConnect() *http.Transport {
	t := n.transport(n.ProxyTC)
	if n.SkipVerifyTC {
		t.TLSClientConfig.InsecureSkipVerify = true
	}
	return t
}

// External returns a new transport for every other host; it always verifies certificates.
func (n Network) External() *http.Transport { return n.transport(n.ProxyExternal) }

// transport falls back to the proxy variables of the environment, as the vendor's own Apps do.
func (n Network) transport(useProxy bool) *http.Transport {
	t := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          32,
		MaxIdleConnsPerHost:   8,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   dialTimeout,
		ExpectContinueTimeout: time.Second,
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
		u.User = url.UserPassword(n.ProxyUser, n.ProxyPassword)
	}
	return u
}
