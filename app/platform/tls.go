package platform

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
)

// errUntrusted marks a server whose certificate was looked at and refused: trying again does not help.
var errUntrusted = errors.New("certificate refused")

// brokerTLS returns nil without a CA file: then the broker is spoken to in plain text.
func brokerTLS(in Inputs, log *slog.Logger) (*tls.Config, error) {
	if in.CAFile == "" {
		return nil, nil
	}
	roots, err := readPool(in.CAFile)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         in.BrokerHost,
		InsecureSkipVerify: true, // replaced by VerifyConnection, which also knows common names
		VerifyConnection: func(state tls.ConnectionState) error {
			if err := verifyChain(state, roots); err != nil {
				return err
			}
			if in.AnyBrokerName {
				return nil
			}
			return verifyName(state.PeerCertificates[0], in.BrokerHost, log)
		},
	}, nil
}

// redisTLS verifies the chain and not the name, app/docs/platform.md#certificates. The client certificate is sent if
// both of its files exist.
func redisTLS(in Inputs) (*tls.Config, error) {
	var roots *x509.CertPool // nil: the system's
	if in.CAFile != "" {
		var err error
		if roots, err = readPool(in.CAFile); err != nil {
			return nil, err
		}
	}
	config := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         in.StoreHost,
		InsecureSkipVerify: true, // replaced by VerifyConnection
		VerifyConnection:   func(state tls.ConnectionState) error { return verifyChain(state, roots) },
	}
	if !fileExists(in.CertFile) || !fileExists(in.KeyFile) {
		return config, nil
	}
	cert, err := tls.LoadX509KeyPair(in.CertFile, in.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("reading the client certificate (tc_svc_broker_cert_file, tc_svc_broker_key_file): %w", err)
	}
	config.Certificates = []tls.Certificate{cert}
	return config, nil
}

func readPool(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the CA file (tc_svc_broker_cacert_file): %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("the CA file %s (tc_svc_broker_cacert_file) holds no certificate", file)
	}
	return pool, nil
}

func verifyChain(state tls.ConnectionState, roots *x509.CertPool) error {
	intermediates := x509.NewCertPool()
	for _, cert := range state.PeerCertificates[1:] {
		intermediates.AddCert(cert)
	}
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates})
	if err != nil {
		return fmt.Errorf("%w: %w", errUntrusted, err)
	}
	return nil
}

// verifyName falls back to the common name where a certificate carries no DNS name, as Python and hence the vendor's
// framework do, app/docs/platform.md#certificates; Go by itself never does.
func verifyName(cert *x509.Certificate, host string, log *slog.Logger) error {
	err := cert.VerifyHostname(host)
	if err == nil {
		return nil
	}
	if name := cert.Subject.CommonName; len(cert.DNSNames) == 0 && certificateNaming(name).VerifyHostname(host) == nil {
		log.Info("broker certificate accepted by its common name", "common_name", name)
		return nil
	}
	return fmt.Errorf("%w: %w; if that is the broker of ThreatConnect all the same, set MS_SENTINEL_BROKER_NAME_CHECK=false on the launch server", errUntrusted, err)
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
