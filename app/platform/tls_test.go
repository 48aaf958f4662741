package platform

import (
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"testing"

	standin "mssentinel/app/standin/platform"
)

// handshake connects with the broker's configuration to a server that has a certificate of the authority.
func handshake(t *testing.T, in Inputs, server *standin.Certificates) error {
	t.Helper()
	cert, err := tls.LoadX509KeyPair(server.ServerCertFile, server.ServerKeyFile)
	if err != nil {
		t.Fatal(err)
	}
	config, err := brokerTLS(in, slog.New(slog.NewTextHandler(io.Discard, nil)))
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

// A certificate may name its host in the common name alone, spec §2.1; chain and name have to be right all the same.
func TestBrokerCertificate(t *testing.T) {
	certificates := map[string]*standin.Certificates{}
	for name, commonNameOnly := range map[string]bool{"full": false, "common name": true, "stranger": false} {
		var err error
		if certificates[name], err = standin.NewCertificates(t.TempDir(), commonNameOnly); err != nil {
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
		"common name":                    {"common name", "common name", "127.0.0.1", true},
		"another common name":            {"common name", "common name", "localhost", false},
		"another authority":              {"full", "stranger", "127.0.0.1", false},
		"another authority, common name": {"full", "common name", "127.0.0.1", false},
	} {
		err := handshake(t, Inputs{BrokerHost: test.host, CAFile: certificates[test.ca].CAFile}, certificates[test.server])
		if test.trusted && err != nil || !test.trusted && !errors.Is(err, errUntrusted) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCAFile(t *testing.T) {
	if config, err := brokerTLS(Inputs{}, nil); config != nil || err != nil {
		t.Errorf("without a CA file: %v, %v", config, err)
	}
	for _, file := range []string{"missing.pem", "tls_test.go"} {
		if _, err := brokerTLS(Inputs{CAFile: file}, nil); err == nil {
			t.Errorf("%s was accepted", file)
		}
	}
}
