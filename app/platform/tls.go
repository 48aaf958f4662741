package platform

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"

	"mssentinel/app/regular"
)

// What a certificate belongs to, for the log.
const (
	serverBroker = "broker"
	serverStore  = "key-value store"
)

// errUntrusted marks a server whose certificate was looked at and refused: trying again does not help.
var errUntrusted = errors.New("certificate refused")

// brokerTLS returns nil without a CA file: then the broker is spoken to in plain text.
func brokerTLS(in Inputs, o Options) (*tls.Config, error) {
	if in.CAFile == "" {
		return nil, nil
	}
	check := &certificateCheck{server: serverBroker, host: in.BrokerHost, log: o.Logger, notes: o.Recorder, checkName: func(err error) error {
		if in.AnyBrokerName {
			return nil
		}
		return fmt.Errorf("%w: %w; if that is the broker of ThreatConnect all the same, set MS_SENTINEL_BROKER_NAME_CHECK=false on the launch server", errUntrusted, err)
	}}
	return check.newConfig(in)
}

// redisTLS sends the client certificate if both of its files exist. A certificate for another name is taken, with a
// warning: whether the platform's always names tc_kvstore_host is not known, app/docs/platform.md#certificates.
func redisTLS(in Inputs, o Options) (*tls.Config, error) {
	check := &certificateCheck{server: serverStore, host: in.StoreHost, log: o.Logger, notes: o.Recorder}
	check.checkName = func(err error) error {
		check.sayOnce(slog.LevelWarn, "the certificate of the key-value store is for another host, and taken all the same because its chain is good",
			"reason", err)
		return nil
	}
	config, err := check.newConfig(in)
	if err != nil || !fileExists(in.CertFile) || !fileExists(in.KeyFile) {
		return config, err
	}
	cert, err := tls.LoadX509KeyPair(in.CertFile, in.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("reading the client certificate (tc_svc_broker_cert_file, tc_svc_broker_key_file): %w", err)
	}
	config.Certificates = []tls.Certificate{cert}
	return config, nil
}

// certificateCheck verifies what a server of the platform shows, as the vendor's framework does in Python,
// app/docs/platform.md#certificates. Go's own check knows one set of authorities and no common names.
type certificateCheck struct {
	server    string // serverBroker or serverStore
	host      string
	file      *x509.CertPool        // authorities of tc_svc_broker_cacert_file; nil where there is no such file
	machine   *x509.CertPool        // authorities of the machine; nil means the system's
	checkName func(err error) error // says whether a certificate for another name is refused; err is why it is for another
	log       *slog.Logger
	notes     *Recorder
	said      sync.Map // what was logged
}

func (c *certificateCheck) newConfig(in Inputs) (*tls.Config, error) {
	if in.CAFile != "" {
		var err error
		if c.file, err = readPool(in.CAFile); err != nil {
			return nil, err
		}
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         c.host,
		InsecureSkipVerify: true, // replaced by VerifyConnection
		VerifyConnection:   c.verifyConnection,
	}, nil
}

func (c *certificateCheck) verifyConnection(state tls.ConnectionState) error {
	facts := newTLSFacts(state)
	defer func() { c.notes.noteCertificate(c.server, facts) }()
	var err error
	if facts.Authority, err = c.verifyChain(state); err != nil {
		return err
	}
	if facts.Name, err = c.verifyName(state.PeerCertificates[0]); err != nil {
		return err
	}
	c.sayOnce(slog.LevelInfo, "certificate accepted", "server", c.server, "authority", facts.Authority)
	return nil
}

// maxNames bounds the alternative names that are noted of a certificate.
const maxNames = 20

func newTLSFacts(state tls.ConnectionState) TLSFacts {
	cert := state.PeerCertificates[0]
	names := slices.Clone(cert.DNSNames)
	for _, ip := range cert.IPAddresses {
		names = append(names, ip.String())
	}
	return TLSFacts{Version: tls.VersionName(state.Version), CommonName: cert.Subject.CommonName, Names: names[:min(len(names), maxNames)],
		Issuer: cmp.Or(cert.Issuer.CommonName, cert.Issuer.String()), Expires: cert.NotAfter}
}

// verifyChain accepts a chain that leads to an authority of the file or of the machine, and says which.
func (c *certificateCheck) verifyChain(state tls.ConnectionState) (authority string, err error) {
	if c.file != nil {
		if err = verifyAgainst(c.file, state); err == nil {
			return AuthorityFile, nil
		}
	}
	machineErr := verifyAgainst(c.machine, state)
	switch {
	case machineErr == nil:
		return AuthorityMachine, nil
	case err == nil:
		return "", fmt.Errorf("%w: by the machine's authorities: %w", errUntrusted, machineErr)
	}
	return "", fmt.Errorf("%w: by tc_svc_broker_cacert_file: %w; by the machine's authorities: %w", errUntrusted, err, machineErr)
}

// Who vouches for a certificate, and how it names its host: values of [TLSFacts].
const (
	AuthorityFile      = "tc_svc_broker_cacert_file"
	AuthorityMachine   = "the machine's"
	NamedAlternatively = "alternative name"
	NamedCommonly      = "common name"
)

// verifyName falls back to the common name where a certificate carries no DNS name, as Python does; Go by itself never
// does.
func (c *certificateCheck) verifyName(cert *x509.Certificate) (how string, err error) {
	err = cert.VerifyHostname(c.host)
	if err == nil {
		return NamedAlternatively, nil
	}
	if name := cert.Subject.CommonName; len(cert.DNSNames) == 0 && certificateNaming(name).VerifyHostname(c.host) == nil {
		c.sayOnce(slog.LevelInfo, "certificate accepted by its common name", "server", c.server, "common_name", name)
		return NamedCommonly, nil
	}
	return err.Error(), c.checkName(err)
}

// sayOnce logs a message at its first time: Redis is connected to again and again.
func (c *certificateCheck) sayOnce(level slog.Level, message string, args ...any) {
	if _, said := c.said.LoadOrStore(message, true); !said {
		c.log.Log(context.Background(), level, message, args...)
	}
}

func readPool(file string) (*x509.CertPool, error) {
	pem, err := regular.Read(file, maxBundle)
	if err != nil {
		return nil, fmt.Errorf("reading the CA file (tc_svc_broker_cacert_file): %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("the CA file %s (tc_svc_broker_cacert_file) holds no certificate", file)
	}
	return pool, nil
}

func verifyAgainst(roots *x509.CertPool, state tls.ConnectionState) error {
	intermediates := x509.NewCertPool()
	for _, cert := range state.PeerCertificates[1:] {
		intermediates.AddCert(cert)
	}
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates})
	return err
}

// certificateNaming is a certificate with the name in the place where Go looks for it.
func certificateNaming(commonName string) *x509.Certificate {
	if ip := net.ParseIP(commonName); ip != nil {
		return &x509.Certificate{IPAddresses: []net.IP{ip}}
	}
	return &x509.Certificate{DNSNames: []string{commonName}}
}

func fileExists(name string) bool {
	if name == "" {
		return false
	}
	_, err := os.Stat(name)
	return err == nil
}
