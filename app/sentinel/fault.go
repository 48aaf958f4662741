package sentinel

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"mssentinel/app/text"
)

// fault is what to tell an operator of something that does not work.
type fault struct {
	message string // what is wrong, a sentence
	remedy  string // what to do about it; "" where it passes by itself
}

func (f fault) configError() *ConfigError {
	return &ConfigError{text.Sentence(f.message), text.Sentence(f.remedy)}
}

// sentences are the fault and its remedy.
func (f fault) sentences() string {
	return strings.TrimSpace(text.Sentence(f.message) + " " + text.Sentence(f.remedy))
}

// roleFault is a role that is missing, or has not arrived yet, app/docs/sentinel.md#missing-role.
func roleFault(said string) fault {
	return fault{
		"Sentinel does not let the application upload: " + said,
		"Give it the role Microsoft Sentinel Contributor on the workspace, under Access control (IAM); a new role takes " +
			"minutes to arrive. Check Sentinel Workspace ID and Azure Cloud, and the permissions in Microsoft Defender " +
			"where its Unified RBAC is active for Sentinel.",
	}
}

// audienceFault is how a token for another cloud is answered, app/docs/sentinel.md#missing-role.
var audienceFault = fault{
	"Sentinel does not take the token and gives no reason.",
	"Check Azure Cloud: a token for another cloud is answered like this. If it is right, give the application the role " +
		"Microsoft Sentinel Contributor on the workspace, under Access control (IAM).",
}

var workspaceFault = fault{
	"Sentinel does not find the workspace.",
	"Compare Sentinel Workspace ID with the Log Analytics workspace's Overview, and check Azure Cloud.",
}

// checkNetwork is the remedy where it is not known what stands in the way.
const checkNetwork = "Check the network, the firewall and the proxy settings of ThreatConnect."

// foreignFault is an answer that is not that of who was asked.
func foreignFault(who string, status int, header http.Header, said string) fault {
	f := fault{message: "A proxy, a firewall or a page to log in answers in place of " + who + ": " + said}
	to, err := url.Parse(header.Get("Location"))
	switch {
	case status == http.StatusProxyAuthRequired:
		f.remedy = "The proxy wants a user name and a password: check the proxy settings of ThreatConnect."
	case status/100 == 3 && err == nil && to.Host != "":
		f.remedy = fmt.Sprintf("It sends us to %q: let this machine reach %s without that.", to.Host, who)
	default:
		f.remedy = "Let this machine reach " + who + " through it, and check the proxy settings of ThreatConnect."
	}
	return f
}

// networkFault says why there was no answer of who at host.
func networkFault(who, host string, err error) fault {
	var failed *url.Error
	if errors.As(err, &failed) {
		err = failed.Err // without the address
	}
	var (
		lookup      *net.DNSError
		operation   *net.OpError
		certificate *tls.CertificateVerificationError
		noTLS       tls.RecordHeaderError
		alert       tls.AlertError
		timeout     net.Error
	)
	said := text.Line(err.Error(), maxLine)
	switch {
	case errors.As(err, &operation) && operation.Op == "proxyconnect":
		return fault{fmt.Sprintf("The proxy does not connect us with %s at %s: %s", who, host, said),
			"Check the proxy settings of ThreatConnect, and have the proxy let this machine reach it."}
	case errors.As(err, &lookup):
		return fault{fmt.Sprintf("The name %s of %s does not resolve: %s", host, who, said),
			"Check the name server of this machine and the proxy settings of ThreatConnect."}
	case errors.As(err, &certificate):
		return certificateFault(who, host, said, certificate)
	case errors.As(err, &noTLS), errors.As(err, &alert), strings.Contains(said, "HTTP response to HTTPS client"):
		return fault{fmt.Sprintf("No TLS connection with %s at %s: %s", who, host, said), checkNetwork}
	case errors.Is(err, errTooSlow), errors.As(err, &timeout) && timeout.Timeout():
		return fault{fmt.Sprintf("%s at %s does not answer in time: %s", who, host, said), checkNetwork}
	case errors.As(err, &operation) && operation.Op == "dial":
		return fault{fmt.Sprintf("%s at %s cannot be reached: %s", who, host, said), checkNetwork}
	}
	return fault{fmt.Sprintf("The connection with %s at %s broke off: %s", who, host, said), ""}
}

// certificateFault tells a certificate of somebody in between from one that is expired, or a clock that is wrong.
func certificateFault(who, host, said string, err error) fault {
	f := fault{fmt.Sprintf("The certificate of %s at %s is not trusted: %s", who, host, said),
		"Have the CA certificate of the proxy or firewall that opens TLS installed on this machine, " +
			"or name it in REQUESTS_CA_BUNDLE."}
	var invalid x509.CertificateInvalidError
	var name x509.HostnameError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		f.remedy = "Check the clock of this machine, and the proxy or firewall that opens TLS."
	case errors.As(err, &name):
		f.remedy = "It is that of another host: check the name server of this machine, the proxy and the firewall."
	}
	return f
}
