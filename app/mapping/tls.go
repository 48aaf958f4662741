package mapping

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"
)

// clientCertVariable is where go-plugin, and so a mapper in any language, looks for the certificate of the App.
const clientCertVariable = "PLUGIN_CLIENT_CERT"

// newClientTLS makes the App's side of the mutual TLS with one process of a mapper: a key that never leaves this process,
// and its certificate as PEM, the only one that the mapper has to accept. go-plugin adds the mapper's own certificate, from
// the line by which that says that it serves, as the only root. go-plugin could make the key as well (AutoMTLS), but on the
// curve P-521, which the TLS of gRPC in Python, C++, Ruby and PHP refuses; P-256 is accepted by all of them.
func newClientTLS(now time.Time) (config *tls.Config, certificate string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, "", fmt.Errorf("making a key for the connection with a mapper: %w", err)
	}
	const host = "localhost"
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(30, 0, 0),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true, IsCA: true, // it is the root that the mapper checks it by
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, "", fmt.Errorf("making a certificate for the connection with a mapper: %w", err)
	}
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		RootCAs:      x509.NewCertPool(), // nobody is trusted before the mapper has named its certificate
		ServerName:   host,
		MinVersion:   tls.VersionTLS12,
	}, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), nil
}
