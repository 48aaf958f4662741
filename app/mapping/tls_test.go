package mapping

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"testing"
	"time"
)

// The App trusts no process before that has named its certificate, not even one that a public authority vouches for, and has a
// key that gRPC in any language accepts.
func TestOnlyTheNamedMapperIsTrusted(t *testing.T) {
	client, _, err := newClientTLS(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if key := client.Certificates[0].PrivateKey.(*ecdsa.PrivateKey); key.Curve != elliptic.P256() {
		t.Errorf("the key is on %s", key.Curve.Params().Name)
	}
	if client.RootCAs == nil || !client.RootCAs.Equal(x509.NewCertPool()) || client.InsecureSkipVerify {
		t.Error("somebody is trusted from the beginning")
	}
}
