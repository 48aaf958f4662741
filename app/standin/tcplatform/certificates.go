package tcplatform

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
	"net"
	"os"
	"path/filepath"
	"time"
)

// Certificates are the files of an authority of our own: one certificate for servers on this machine, one for clients.
type Certificates struct {
	Host                          string // of the servers, as their certificate names it
	CAFile                        string
	ServerCertFile, ServerKeyFile string
	ClientCertFile, ClientKeyFile string
	authority                     *x509.Certificate
	authorityKey                  *ecdsa.PrivateKey
	dir                           string
}

// serverAddress is where broker and store listen.
const serverAddress = "127.0.0.1"

// NewCertificates writes the files to dir. commonNameOnly leaves the alternative names out of the server's, as many an
// internal authority does; the host is then a name, since Python takes no address from a common name.
func NewCertificates(dir string, commonNameOnly bool) (*Certificates, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	c := &Certificates{dir: dir, Host: serverAddress}
	if commonNameOnly {
		c.Host = "localhost"
	}
	if err := c.createAuthority(); err != nil {
		return nil, fmt.Errorf("making a certificate authority: %w", err)
	}
	server := &x509.Certificate{Subject: pkix.Name{CommonName: c.Host}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if !commonNameOnly {
		server.IPAddresses, server.DNSNames = []net.IP{net.ParseIP(serverAddress)}, []string{"localhost"}
	}
	client := &x509.Certificate{Subject: pkix.Name{CommonName: "service"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	var err error
	if c.ServerCertFile, c.ServerKeyFile, err = c.issueCertificate("server", server); err != nil {
		return nil, fmt.Errorf("making the certificate of the servers: %w", err)
	}
	if c.ClientCertFile, c.ClientKeyFile, err = c.issueCertificate("client", client); err != nil {
		return nil, fmt.Errorf("making the certificate of the clients: %w", err)
	}
	return c, nil
}

// createAuthority makes the authority.
func (c *Certificates) createAuthority() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	c.authorityKey = key
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Platform stand-in"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:  x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	if c.authority, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	c.CAFile = filepath.Join(c.dir, "ca.pem")
	return writePEM(c.CAFile, "CERTIFICATE", der)
}

// issueCertificate completes and signs a certificate.
func (c *Certificates) issueCertificate(name string, template *x509.Certificate) (certFile, keyFile string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return "", "", err
	}
	template.SerialNumber, template.KeyUsage = serial, x509.KeyUsageDigitalSignature
	template.NotBefore, template.NotAfter = c.authority.NotBefore, c.authority.NotAfter
	der, err := x509.CreateCertificate(rand.Reader, template, c.authority, &key.PublicKey, c.authorityKey)
	if err != nil {
		return "", "", err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", "", err
	}
	certFile, keyFile = filepath.Join(c.dir, name+".pem"), filepath.Join(c.dir, name+"-key.pem")
	if err := writePEM(certFile, "CERTIFICATE", der); err != nil {
		return "", "", err
	}
	return certFile, keyFile, writePEM(keyFile, "PRIVATE KEY", keyDER)
}

func writePEM(file, kind string, der []byte) error {
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

// serverTLS is the configuration of a server; verifyClients makes it ask for the client certificate.
func (c *Certificates) serverTLS(verifyClients bool) (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(c.ServerCertFile, c.ServerKeyFile)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	if verifyClients {
		config.ClientAuth = tls.RequireAndVerifyClientCert
		config.ClientCAs = x509.NewCertPool()
		config.ClientCAs.AddCert(c.authority)
	}
	return config, nil
}

// clientTLS is how the platform itself reaches broker and store. It is on the same machine and checks nothing.
func clientTLS(certFile, keyFile string) (*tls.Config, error) {
	config := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}
	if certFile == "" {
		return config, nil
	}
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, err
	}
	config.Certificates = []tls.Certificate{cert}
	return config, nil
}
