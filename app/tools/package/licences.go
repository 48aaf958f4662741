package main

import (
	"bytes"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
)

// thirdParty returns the licences of Go and of every module that the executables link, one after the other.
func thirdParty(executables ...string) ([]byte, error) {
	var versions []string
	for _, path := range executables {
		info, err := buildinfo.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("reading what %s is made of: %w", path, err)
		}
		for _, module := range info.Deps {
			versions = append(versions, module.Path+"@"+module.Version)
		}
	}
	slices.Sort(versions)
	root, cache, err := goFolders()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := appendLicences(&out, "Go and its standard library", root); err != nil {
		return nil, err
	}
	for _, version := range slices.Compact(versions) {
		if err := appendLicences(&out, version, filepath.Join(cache, escapePath(version))); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}

// goFolders returns where Go itself and the modules lie.
func goFolders() (root, cache string, err error) {
	out, err := exec.Command("go", "env", "GOROOT", "GOMODCACHE").Output()
	if err != nil {
		return "", "", fmt.Errorf("asking go for its folders: %w", err)
	}
	root, cache, _ = strings.Cut(strings.TrimSpace(string(out)), "\n")
	return root, cache, nil
}

// appendLicences adds the licence texts that lie in a folder.
func appendLicences(out *bytes.Buffer, title, folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("looking for the licence of %s: %w", title, err)
	}
	found := false
	for _, entry := range entries {
		if !entry.Type().IsRegular() || !isLicence(entry.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(folder, entry.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "==== %s: %s ====\n\n%s\n\n", title, entry.Name(), bytes.TrimSpace(text))
		found = true
	}
	if !found {
		return errors.New("no licence stands with " + title + ": it must not be shipped")
	}
	return nil
}

func isLicence(name string) bool {
	upper := strings.ToUpper(name)
	for _, word := range []string{"LICENSE", "LICENCE", "COPYING", "NOTICE"} {
		if strings.HasPrefix(upper, word) && filepath.Ext(upper) != ".GO" {
			return true
		}
	}
	return false
}

// escapePath is the name of a module's folder: the module cache writes an upper-case letter as ! and the lower-case one.
func escapePath(version string) string {
	var b strings.Builder
	for _, r := range version {
		if unicode.IsUpper(r) {
			b.WriteByte('!')
			r = unicode.ToLower(r)
		}
		b.WriteRune(r)
	}
	return b.String()
}
