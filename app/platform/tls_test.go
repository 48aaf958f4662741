package platform

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mssentinel/app/standin/tcplatform"
)

// handshake connects with the broker's configuration to a server that has a certificate of the authority.
func handshake(t *testing.T, in Inputs, server *tcplatform.Certificates) error {
	t.Helper()
	config, err := brokerTLS(in, Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return shakeHands(t, config, server)
}

func shakeHands(t *testing.T, config *tls.Config, server *tcplatform.Certificates) error {
	t.Helper()
	cert, err := tls.LoadX509KeyPair(server.ServerCertFile, server.ServerKeyFile)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if conn, err := listener.Accept(); err == nil {
			conn.(*tls.Conn).Handshake() //nolint:errcheck // the client tells
			conn.Close()
		}
	}()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	err = tls.Client(conn, config).HandshakeContext(t.Context())
	conn.Close()
	<-done
	return err
}

func newCertificates(t *testing.T, commonNameOnly bool) *tcplatform.Certificates {
	t.Helper()
	c, err := tcplatform.NewCertificates(t.TempDir(), commonNameOnly)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A chain may lead to an authority of the file or of the machine. The name counts in either case.
func TestAuthorities(t *testing.T) {
	own, stranger := newCertificates(t, false), newCertificates(t, false)
	pool := func(c *tcplatform.Certificates) *x509.CertPool {
		roots, err := readPool(c.CAFile)
		if err != nil {
			t.Fatal(err)
		}
		return roots
	}
	for name, test := range map[string]struct {
		file    string
		machine *x509.CertPool
		host    string
		want    string // in the log, or in the error
		refused bool
	}{
		"of the file":             {own.CAFile, pool(stranger), "127.0.0.1", "authority=tc_svc_broker_cacert_file", false},
		"of both":                 {own.CAFile, pool(own), "127.0.0.1", "authority=tc_svc_broker_cacert_file", false},
		"of the machine":          {stranger.CAFile, pool(own), "127.0.0.1", `authority="the machine's"`, false},
		"of neither":              {stranger.CAFile, x509.NewCertPool(), "127.0.0.1", "; by the machine's authorities: x509: certificate signed by unknown authority", true},
		"of the machine, no file": {"", pool(own), "localhost", `authority="the machine's"`, false},
		"of neither, no file":     {"", pool(stranger), "127.0.0.1", "certificate refused: by the machine's", true},
		"machine, another name":   {stranger.CAFile, pool(own), "broker.example.com", "name is wrong", true},
	} {
		t.Run(name, func(t *testing.T) {
			log := &logBuffer{}
			check := &certificateCheck{host: test.host, machine: test.machine, log: newLog(log, slog.LevelInfo).Logger,
				checkName: func(err error) error { return fmt.Errorf("%w: name is wrong: %w", errUntrusted, err) }}
			config, err := check.newConfig(Inputs{CAFile: test.file})
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				err = shakeHands(t, config, own)
			}
			if test.refused {
				if !errors.Is(err, errUntrusted) || !strings.Contains(err.Error(), test.want) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || strings.Count(log.String(), test.want) != 1 {
				t.Errorf("%v, and the log is\n%s", err, log.String())
			}
		})
	}
}

// The machine's authorities are those of the system: the certificate is of one that only SSL_CERT_FILE names, which is
// read once a process.
func TestAuthoritiesOfTheSystem(t *testing.T) {
	const variable = "MS_SENTINEL_TEST_SERVER"
	if dir := os.Getenv(variable); dir != "" {
		file := func(name string) string { return filepath.Join(dir, name) }
		in := Inputs{BrokerHost: "127.0.0.1", CAFile: newCertificates(t, false).CAFile}
		if err := handshake(t, in, &tcplatform.Certificates{ServerCertFile: file("server.pem"), ServerKeyFile: file("server-key.pem")}); err != nil {
			t.Error(err)
		}
		return
	}
	own := newCertificates(t, false)
	self := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	self.Env = append(os.Environ(), variable+"="+filepath.Dir(own.CAFile), "SSL_CERT_FILE="+own.CAFile, "SSL_CERT_DIR="+t.TempDir())
	if out, err := self.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if err := handshake(t, Inputs{BrokerHost: "127.0.0.1", CAFile: newCertificates(t, false).CAFile}, own); !errors.Is(err, errUntrusted) {
		t.Errorf("without the variable: %v", err)
	}
}

// OpenSSL, and so the vendor's SDK, looks at the common name as soon as no DNS name stands beside it.
func TestCommonNameBesideOtherNames(t *testing.T) {
	refuse := func(err error) error { return err }
	cert := &x509.Certificate{Subject: pkix.Name{CommonName: "broker"}, IPAddresses: []net.IP{net.IPv4(10, 0, 0, 9)}}
	for host, trusted := range map[string]bool{"broker": true, "10.0.0.9": true, "10.0.0.8": false, "other": false} {
		if _, err := (&certificateCheck{host: host, checkName: refuse, log: slog.New(slog.DiscardHandler)}).verifyName(cert); (err == nil) != trusted {
			t.Errorf("%s: %v", host, err)
		}
	}
	cert.DNSNames = []string{"other"}
	if _, err := (&certificateCheck{host: "broker", checkName: refuse}).verifyName(cert); err == nil {
		t.Errorf("with a DNS name: %v", err)
	}
}

// The switch leaves out the name and nothing else.
func TestBrokerNameUnchecked(t *testing.T) {
	own, err := tcplatform.NewCertificates(t.TempDir(), true)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := tcplatform.NewCertificates(t.TempDir(), false)
	if err != nil {
		t.Fatal(err)
	}
	in := Inputs{BrokerHost: "broker.example.com", CAFile: own.CAFile, AnyBrokerName: true}
	if err := handshake(t, in, own); err != nil {
		t.Error(err)
	}
	if err := handshake(t, in, stranger); !errors.Is(err, errUntrusted) {
		t.Errorf("of another authority: %v", err)
	}
}

// A certificate may name its host in the common name alone, app/docs/platform.md#certificates. Chain and name
// have to be right all the same.
func TestBrokerCertificate(t *testing.T) {
	certificates := map[string]*tcplatform.Certificates{}
	for name, commonNameOnly := range map[string]bool{"full": false, "common name": true, "stranger": false} {
		var err error
		if certificates[name], err = tcplatform.NewCertificates(t.TempDir(), commonNameOnly); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		ca, server, host string
		trusted          bool
	}{
		"alternative name":               {"full", "full", "localhost", true},
		"alternative address":            {"full", "full", "127.0.0.1", true},
		"another name":                   {"full", "full", "broker.example.com", false},
		"common name":                    {"common name", "common name", "localhost", true},
		"another common name":            {"common name", "common name", "127.0.0.1", false},
		"another authority":              {"full", "stranger", "127.0.0.1", false},
		"another authority, common name": {"full", "common name", "127.0.0.1", false},
	} {
		err := handshake(t, Inputs{BrokerHost: test.host, CAFile: certificates[test.ca].CAFile}, certificates[test.server])
		if test.trusted && err != nil || !test.trusted && !errors.Is(err, errUntrusted) {
			t.Errorf("%s: %v", name, err)
		}
		if test.ca == test.server && !test.trusted && !strings.Contains(err.Error(), "MS_SENTINEL_BROKER_NAME_CHECK=false") {
			t.Errorf("%s: the error has no remedy: %v", name, err)
		}
	}
}

// A certificate that is refused at the start ends it: it will not be another one a second later.
func TestRefusedCertificateIsFinal(t *testing.T) {
	own, err := tcplatform.NewCertificates(t.TempDir(), false)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := tcplatform.NewCertificates(t.TempDir(), false)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := tls.LoadX509KeyPair(stranger.ServerCertFile, stranger.ServerKeyFile)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	in, attempts := inputs(), 0
	in.BrokerHost, in.CAFile, in.BrokerTimeout = "127.0.0.1", own.CAFile, 3*time.Second
	err = Run(t.Context(), in, nil, Options{Logger: slog.New(slog.DiscardHandler), Dial: func(context.Context, string, string) (net.Conn, error) {
		attempts++
		go func() {
			if conn, err := listener.Accept(); err == nil {
				conn.(*tls.Conn).Handshake() //nolint:errcheck // the client tells
				conn.Close()
			}
		}()
		return net.Dial("tcp", listener.Addr().String())
	}})
	if !errors.Is(err, errUntrusted) || attempts != 1 {
		t.Errorf("%v after %d attempts", err, attempts)
	}
}

func TestCAFile(t *testing.T) {
	if config, err := brokerTLS(Inputs{}, Options{}); config != nil || err != nil {
		t.Errorf("without a CA file: %v, %v", config, err)
	}
	for _, file := range []string{"missing.pem", "tls_test.go"} {
		if _, err := brokerTLS(Inputs{CAFile: file}, Options{}); err == nil {
			t.Errorf("%s was accepted", file)
		}
	}
}
