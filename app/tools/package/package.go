package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"mssentinel/app/tools/readme"
)

// maxSize bounds the archive, in bytes; larger ones would be a burden on TC Exchange.
const maxSize = 60 << 20

// checksumList names the mappers that the App may start, in the form of sha256sum.
const checksumList = "checksums.txt"

// content is one file of the package.
type content struct {
	name       string
	data       []byte
	executable bool
}

// buildPackage writes the folder and the archive to target and returns the archive's path and size in bytes. root is the
// top folder of the repository, more are executables of mappers that join the built-in ones.
func buildPackage(root, executables, target string, more []string) (string, int, error) {
	name, version, err := readIdentity(root)
	if err != nil {
		return "", 0, err
	}
	files, err := collectFiles(root, executables, version, more)
	if err != nil {
		return "", 0, err
	}
	archive, err := zipFiles(name, files)
	if err != nil {
		return "", 0, fmt.Errorf("writing the archive: %w", err)
	}
	if len(archive) > maxSize {
		return "", 0, fmt.Errorf("the archive has %d bytes, and %d is the most: leave mappers out", len(archive), maxSize)
	}
	if err := writeFolder(filepath.Join(target, name), files); err != nil {
		return "", 0, err
	}
	path := filepath.Join(target, name+".tcx")
	return path, len(archive), os.WriteFile(path, archive, 0o644)
}

// readIdentity reads the name by which the platform knows the App across upgrades, which ends in the major version, and the
// version.
func readIdentity(root string) (name, version string, err error) {
	var tcex struct {
		Package struct {
			AppName    string `json:"app_name"`
			AppVersion string `json:"app_version"`
		} `json:"package"`
	}
	var install struct {
		ProgramName    string `json:"programName"`
		ProgramVersion string `json:"programVersion"`
	}
	for file, into := range map[string]any{"tcex.json": &tcex, "install.json": &install} {
		data, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			return "", "", err
		}
		if err := json.Unmarshal(data, into); err != nil {
			return "", "", fmt.Errorf("reading %s: %w", file, err)
		}
	}
	name = tcex.Package.AppName + "_" + tcex.Package.AppVersion
	major, _, _ := strings.Cut(install.ProgramVersion, ".")
	if tcex.Package.AppVersion != "v"+major {
		return "", "", fmt.Errorf("app_version of tcex.json is %s, but programVersion of install.json is %s: the first must be v and the major version", tcex.Package.AppVersion, install.ProgramVersion)
	}
	if want := strings.ReplaceAll(name, "_", " "); install.ProgramName != want {
		return "", "", fmt.Errorf("programName of install.json is %q, but the names of tcex.json make it %q", install.ProgramName, want)
	}
	return name, install.ProgramVersion, nil
}

// collectFiles reads everything that belongs into the package, sorted by name.
func collectFiles(root, executables, version string, more []string) ([]content, error) {
	var files []content
	add := func(name, path string, executable bool) error {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files = append(files, content{name, data, executable})
		return nil
	}
	for name, path := range map[string]string{
		"install.json": "install.json", "tcex.json": "tcex.json", "LICENSE": "LICENSE", "run.py": "app/platform/run.py",
	} {
		if err := add(name, filepath.Join(root, path), false); err != nil {
			return nil, err
		}
	}
	text, err := readme.Read(root, version)
	if err != nil {
		return nil, err
	}
	files = append(files, content{"README.md", text, false})
	for _, name := range []string{"app", "mappers"} {
		if err := add(name, filepath.Join(executables, name), true); err != nil {
			return nil, fmt.Errorf("%w: build the executables first, as ./package.sh build does", err)
		}
	}
	for _, path := range more {
		if err := checkMapper(path, files); err != nil {
			return nil, err
		}
		if err := add(filepath.Base(path), path, true); err != nil {
			return nil, err
		}
	}
	licences, err := thirdParty(filepath.Join(executables, "app"), filepath.Join(executables, "mappers"))
	if err != nil {
		return nil, err
	}
	files = append(files, content{"THIRD-PARTY-LICENSES.txt", licences, false}, listChecksums(files))
	slices.SortFunc(files, func(a, b content) int { return strings.Compare(a.name, b.name) })
	return files, nil
}

var mapperName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)

// checkMapper refuses what could not be started later, or would take the place of a file of ours.
func checkMapper(path string, files []content) error {
	name := filepath.Base(path)
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return fmt.Errorf("the mapper %s: %w", path, err)
	case !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0:
		return fmt.Errorf("the mapper %s is no executable file: build it, or set its run bit with chmod +x", path)
	case !mapperName.MatchString(name):
		return fmt.Errorf("the mapper %s needs a name of letters, digits, '.', '_' and '-'", path)
	case name == checksumList || name == "THIRD-PARTY-LICENSES.txt" || slices.ContainsFunc(files, func(f content) bool { return f.name == name }):
		return fmt.Errorf("the mapper %s has a name that the package already uses: rename it", path)
	}
	return nil
}

// listChecksums lists every mapper.
func listChecksums(files []content) content {
	var lines []string
	for _, f := range files {
		if f.executable && f.name != "app" {
			lines = append(lines, fmt.Sprintf("%x  %s\n", sha256.Sum256(f.data), f.name))
		}
	}
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[sha256.Size*2:], b[sha256.Size*2:]) })
	return content{checksumList, []byte(strings.Join(lines, "")), false}
}
