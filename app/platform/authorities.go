package platform

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"mssentinel/app/regular"
)

// bundleVariables name more authorities on machines where HTTPS goes through a proxy that inspects it, or where
// ThreatConnect has a certificate of a private authority, app/docs/platform.md#http-to-the-outside.
var bundleVariables = []string{"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}

// ReadAuthorities returns the authorities of the machine together with those of the files or folders that
// REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE name; nil, which stands for those of the machine, where neither is set. The
// warnings say what could not be read; it is left out.
func ReadAuthorities() (roots *x509.CertPool, warnings []string) {
	for _, variable := range bundleVariables {
		path := os.Getenv(variable)
		if path == "" {
			continue
		}
		if roots == nil {
			roots = machineAuthorities()
		}
		if err := addBundle(roots, path); err != nil {
			warnings = append(warnings, fmt.Sprintf("%s has no effect (%v): let it name a file or a folder of certificates in PEM form, or unset it", variable, err))
		}
	}
	return roots, warnings
}

func machineAuthorities() *x509.CertPool {
	pool, err := x509.SystemCertPool()
	if err != nil {
		return x509.NewCertPool() // a machine without any
	}
	return pool
}

// maxBundle bounds a file of certificates, in bytes: some hundred times what machines come with.
const maxBundle = 32 << 20

// addBundle adds the certificates of a file, or of all files in a folder that hold some.
func addBundle(pool *x509.CertPool, path string) error {
	entries, err := os.ReadDir(path)
	if errors.Is(err, syscall.ENOTDIR) {
		pem, err := regular.Read(path, maxBundle)
		if err == nil && !pool.AppendCertsFromPEM(pem) {
			err = fmt.Errorf("%s holds no certificate", path)
		}
		return err
	}
	found := false
	for _, entry := range entries {
		if pem, err := regular.Read(filepath.Join(path, entry.Name()), maxBundle); err == nil {
			found = pool.AppendCertsFromPEM(pem) || found
		}
	}
	if err == nil && !found {
		err = fmt.Errorf("no file in %s holds a certificate", path)
	}
	return err
}
