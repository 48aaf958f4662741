package platform

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A pipe in the place of a certificate does not keep the start waiting.
func TestPipesAreNotRead(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe.pem")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "none.pem"), []byte("none"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, says := range map[string]string{pipe: "is no regular file", dir: "holds a certificate"} {
		if err := addBundle(x509.NewCertPool(), path); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
