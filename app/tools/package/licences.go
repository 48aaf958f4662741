package main

import (
	"bytes"
	"cmp"
	"debug/buildinfo"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// thirdParty returns the licences of Go, of every module that the executables link, and of the C library, one after the
// other.
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
	version, err := libraryVersion()
	if err != nil {
		return nil, err
	}
	appendLibrary(&out, version)
	return out.Bytes(), nil
}

// The C library is linked statically. Its licence, LGPL 2.1, wants its text beside the executables, and that whoever has
// them can link them again with another version of the library.
var (
	//go:embed glibc/lgpl-2.1.txt
	libraryLicence []byte
	//go:embed glibc/notices.txt
	libraryNotices []byte
)

const libraryNotice = `The executables "app" and "mappers" of this package contain parts of the GNU C Library (glibc), %s, and
of the runtime library of GCC, linked statically and unchanged. The GNU C Library is free software under the GNU Lesser
General Public License, version 2.1 or later, whose text follows. GCC's runtime library may be linked into any program by
the GCC Runtime Library Exception.

The source of the GNU C Library: https://ftp.gnu.org/gnu/glibc/ and, with the changes of a distribution, the source package
"glibc" of that distribution in the version named above.

You may change the GNU C Library and link the executables again with it, and take apart this program as far as finding faults
in such a change needs it. You need the source of this App, which whoever gave you this package gives you on request, and on
Linux on x86-64 Go, Python 3 and a C compiler. Build your version of the GNU C Library with its static libraries (libc.a and
the others), then, in the top folder of the source:

    CC='cc -L/folder/of/your/static/libraries' ./package.sh build

This writes the package anew, with a list of checksums that fits the new executables.
`

// appendLibrary adds what has to be said about the C library.
func appendLibrary(out *bytes.Buffer, version string) {
	fmt.Fprintf(out, "==== The GNU C Library ====\n\n%s\n", fmt.Sprintf(libraryNotice, version))
	fmt.Fprintf(out, "==== The GNU C Library: LGPL-2.1 ====\n\n%s\n\n", bytes.TrimSpace(libraryLicence))
	fmt.Fprintf(out, "==== The GNU C Library: notices of its parts ====\n\n%s\n", bytes.TrimSpace(libraryNotices))
}

// libraryForm is how the library names itself.
var libraryForm = regexp.MustCompile(`GNU C Library (\([^)\n]*\)) \w+ release version ([0-9.]*[0-9])`)

// libraryVersion asks the compiler for the static C library that it links, and that for its version.
func libraryVersion() (string, error) {
	compiler := strings.Fields(cmp.Or(os.Getenv("CC"), "cc"))
	out, err := exec.Command(compiler[0], append(compiler[1:], "-print-file-name=libc.a")...).Output()
	if err != nil {
		return "", fmt.Errorf("asking the compiler for its C library: %w", err)
	}
	library, err := os.ReadFile(strings.TrimSpace(string(out)))
	if err != nil {
		return "", fmt.Errorf("looking at the static C library: %w", err)
	}
	found := libraryForm.FindSubmatch(library)
	if found == nil {
		return "", errors.New("the static C library is not glibc: add its licence to app/tools/package/licences.go before it is shipped")
	}
	return fmt.Sprintf("version %s %s", found[2], found[1]), nil
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
