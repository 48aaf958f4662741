package config

import (
	"strings"
	"testing"
)

func clearProxies(t *testing.T) {
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"} {
		t.Setenv(name, "")
	}
}

// A proxy that cannot be meant is told, and no password with it.
func TestProxyVariables(t *testing.T) {
	for value, fits := range map[string]bool{
		"http://proxy.example:8080": true, "proxy.example:8080": true, "proxy.example": true, "https://user:canary@proxy.example/": true,
		"socks5://127.0.0.1:1080": true, "[2001:db8::1]:8080": true, "http://[2001:db8::1]:8080": true, "HTTP://proxy.example": true,
		"http:/proxy.example:8080": false, "http//proxy.example:8080": false, "http://user:canary@proxy.example:80x": false, "http://[2001:db8::1": false,
		"htp://user:canary@proxy.example": false, "http://proxy.example:99999": false, "http://": false, "proxy.example:": false, "http://proxy .example": false,
		"ftp://proxy.example": false, "http://proxy.example/path": false, "\x7fcanary": false, "http://user:can%zzary@proxy.example": false,
	} {
		for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"} {
			clearProxies(t)
			t.Setenv(name, value)
			c, err := load(t, nil, nil)
			all := strings.Join(c.Warnings, "; ")
			if err != nil || (all == "") != fits || !fits && !strings.Contains(all, name+" of the machine is no address of a proxy") || strings.Contains(all, "can") {
				t.Errorf("%s=%s: %q, %v", name, value, all, err)
			}
		}
	}
}

func TestNoProxyVariable(t *testing.T) {
	clearProxies(t)
	t.Setenv("NO_PROXY", "localhost, 192.0.2.0/24,.example.com, 192.0.2.0/33 ,2001:db8::/32")
	c, err := load(t, nil, nil)
	if err != nil || len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], `"192.0.2.0/33"`) {
		t.Errorf("got %q, %v", c.Warnings, err)
	}
}

func TestProxyOfThreatConnect(t *testing.T) {
	clearProxies(t)
	for host, fits := range map[string]bool{
		"proxy.example": true, "192.0.2.1": true, "proxy.example:8080": true, "http://proxy.example": false, "proxy.example/path": false, "proxy.example:x": false, "user@": false,
	} {
		_, err := load(t, map[string]string{"tc_proxy_host": host, "tc_proxy_tc": "true"}, nil)
		if (err == nil) != fits || err != nil && !strings.Contains(err.Error(), "tc_proxy_host is no host name") {
			t.Errorf("%s: %v", host, err)
		}
		if _, err := load(t, map[string]string{"tc_proxy_host": host, "tc_proxy_tc": "false"}, nil); err != nil {
			t.Errorf("%s, not used: %v", host, err)
		}
	}
	// Where it is used for everything, the variables are not.
	t.Setenv("HTTPS_PROXY", "http:/proxy")
	c, err := load(t, map[string]string{"tc_proxy_host": "proxy.example", "tc_proxy_tc": "true", "tc_proxy_external": "true"}, nil)
	if err != nil || len(c.Warnings) > 0 {
		t.Errorf("got %q, %v", c.Warnings, err)
	}
}
