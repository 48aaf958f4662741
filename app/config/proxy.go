package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
)

// proxyVariables are those of the environment that name a proxy, each in two spellings of which the first counts.
var proxyVariables = [][2]string{{"HTTPS_PROXY", "https_proxy"}, {"HTTP_PROXY", "http_proxy"}}

var proxySchemes = []string{"http", "https", "socks5", "socks5h"}

// checkProxies tells of proxies that cannot be used as they are written. Go's own client ignores such a variable without a
// word, and connects directly. No value is quoted, since it may hold a password.
func (r *reader) checkProxies(c *Config) {
	n := c.Network
	if host := n.ProxyHost; host != "" && (n.ProxyTC || n.ProxyExternal) && !isProxyAddress("http://"+host) {
		r.addFault("tc_proxy_host", "is no host name: have it written without http:// and without a path in the settings of ThreatConnect")
	}
	if n.ProxyHost != "" && n.ProxyTC && n.ProxyExternal {
		return // the variables are not used
	}
	for _, names := range proxyVariables {
		if name, value := firstSet(names); value != "" && !isProxyAddress(value) && !isProxyAddress("http://"+value) {
			c.Warnings = append(c.Warnings, name+" of the machine is no address of a proxy, so it is ignored: write it as http://proxy.example.com:8080")
		}
	}
	name, value := firstSet([2]string{"NO_PROXY", "no_proxy"})
	for entry := range strings.SplitSeq(value, ",") {
		if entry = strings.TrimSpace(entry); strings.Contains(entry, "/") {
			if _, err := netip.ParsePrefix(entry); err != nil {
				c.Warnings = append(c.Warnings, fmt.Sprintf("%s of the machine names a block of addresses that is none, %.60q, so that entry is ignored", name, entry))
			}
		}
	}
}

// firstSet returns the variable that counts, and its value.
func firstSet(names [2]string) (name, value string) {
	for _, name := range names {
		if value := os.Getenv(name); value != "" {
			return name, value
		}
	}
	return "", ""
}

// isProxyAddress reports whether a proxy can be reached by that URL.
func isProxyAddress(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || !slices.Contains(proxySchemes, strings.ToLower(u.Scheme)) {
		return false
	}
	if slices.Contains(proxySchemes, strings.ToLower(u.Hostname())) || strings.ContainsAny(u.Hostname(), " /\\@") {
		return false // a scheme with a slash too few
	}
	if strings.HasSuffix(u.Host, ":") || u.Path != "" && u.Path != "/" {
		return false
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return false
		}
	}
	return true
}
