// Command dependencies checks, without a network, that everything foreign in the product is on the list of
// app/docs/dependencies.md: each Go module of go.mod with its version and where it is linked, and each script that pages load.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
)

func main() {
	root := flag.String("root", ".", "the top of the repository")
	flag.Parse()
	if err := check(*root); err != nil {
		fmt.Fprintf(os.Stderr, "dependencies: %v\n", err)
		os.Exit(1)
	}
}

// listPage is the list, from the top of the repository.
const listPage = "app/docs/dependencies.md"

// check compares the list with go.mod, what the executables link, and the scripts.
func check(root string) error {
	page, err := os.ReadFile(path.Join(root, listPage))
	if err != nil {
		return err
	}
	modules, err := usedModules(root)
	if err != nil {
		return err
	}
	scripts, err := foreignScripts(os.DirFS(path.Join(root, "templates/static")))
	if err != nil {
		return err
	}
	return compare(readList(string(page)), append(modules, scripts...))
}

// dependency is a row of the list, or what should be one.
type dependency struct {
	name, version string
	where         string // App, mappers, App and mappers, tests, pages
}

var row = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| `?([^|`]+?)`? \\| ([^|]+?) \\| ([^|]*?) \\|$")

// readList reads the rows of the page that say why a dependency is there. A row without a reason counts as none.
func readList(page string) []dependency {
	var list []dependency
	for _, m := range row.FindAllStringSubmatch(page, -1) {
		if m[4] != "" {
			list = append(list, dependency{m[1], m[2], m[3]})
		}
	}
	return list
}

// compare tells, one a line, what of the list is not used as it says, and what is used and not on it.
func compare(listed, used []dependency) error {
	var faults []error
	for _, d := range used {
		if !slices.Contains(listed, d) {
			faults = append(faults, fmt.Errorf("%s has no row for %s %s in %q: read what it is for and what changed, then write the row",
				listPage, d.name, d.version, d.where))
		}
	}
	for _, d := range listed {
		if !slices.Contains(used, d) {
			faults = append(faults, fmt.Errorf("%s lists %s %s in %q, which is not so", listPage, d.name, d.version, d.where))
		}
	}
	return errors.Join(faults...)
}

// usedModules are the modules of go.mod, each with where it is linked.
func usedModules(root string) ([]dependency, error) {
	var mod struct {
		Require []struct{ Path, Version string }
		Replace []json.RawMessage
	}
	out, err := runGo(root, "mod", "edit", "-json")
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		return nil, fmt.Errorf("reading go.mod: %w", err)
	}
	if len(mod.Replace) > 0 {
		return nil, errors.New("go.mod replaces a module: its checksum would say nothing any more")
	}
	inApp, err := linkedModules(root, "./app")
	if err != nil {
		return nil, err
	}
	inMappers, err := linkedModules(root, "./plugins")
	if err != nil {
		return nil, err
	}
	var modules []dependency
	for _, r := range mod.Require {
		where := "tests"
		switch app, mappers := inApp[r.Path], inMappers[r.Path]; {
		case app && mappers:
			where = "App and mappers"
		case app:
			where = "App"
		case mappers:
			where = "mappers"
		}
		modules = append(modules, dependency{r.Path, r.Version, where})
	}
	return modules, nil
}

// linkedModules are those of which a command links a package.
func linkedModules(root, command string) (map[string]bool, error) {
	out, err := runGo(root, "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", command)
	if err != nil {
		return nil, err
	}
	linked := map[string]bool{}
	for name := range strings.FieldsSeq(string(out)) {
		linked[name] = true
	}
	return linked, nil
}

// runGo asks the go command, which may not use the network.
func runGo(root string, args ...string) ([]byte, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir, cmd.Env = root, append(os.Environ(), "GOPROXY=off")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(said.String()))
	}
	return out, nil
}

// foreignScripts are the scripts that others wrote, which come minified. Their version is the SHA-256 of the file.
func foreignScripts(static fs.FS) ([]dependency, error) {
	names, err := fs.Glob(static, "*.min.*")
	if err != nil {
		return nil, err
	}
	var scripts []dependency
	for _, name := range names {
		f, err := static.Open(name)
		if err != nil {
			return nil, err
		}
		sum := sha256.New()
		_, err = io.Copy(sum, f)
		if err := errors.Join(err, f.Close()); err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
		scripts = append(scripts, dependency{name, hex.EncodeToString(sum.Sum(nil)), "pages"})
	}
	return scripts, nil
}
