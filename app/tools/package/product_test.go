package main

import (
	"archive/zip"
	"bytes"
	"debug/elf"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// product is the package that was built last.
func product(t *testing.T) string {
	t.Helper()
	path := os.Getenv("MS_SENTINEL_PACKAGE")
	if path == "" {
		path = filepath.Join("../../../target", name+".tcx")
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run ./package.sh build", err)
	}
	return path
}

// unzip unpacks the product and returns its folder.
func unzip(t *testing.T) string {
	t.Helper()
	archive, err := zip.OpenReader(product(t))
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	dir := t.TempDir()
	for _, f := range archive.File {
		if f.FileInfo().IsDir() {
			continue
		}
		in, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, f.Name), string(data), f.Mode())
	}
	return filepath.Join(dir, name)
}

func TestProduct(t *testing.T) {
	info, err := os.Stat(product(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the package has %.1f MiB", float64(info.Size())/(1<<20))
	if info.Size() >= maxSize {
		t.Errorf("the package has %d bytes, and %d is the most", info.Size(), maxSize)
	}
	dir := unzip(t)
	for _, file := range []string{"install.json", "tcex.json", "README.md", "LICENSE", "run.py", "app", "mappers", "checksums.txt", "THIRD-PARTY-LICENSES.txt"} {
		if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "layout.json")); err == nil {
		t.Error("layout.json is in the package, which the vendor's tool refuses")
	}
	for file, source := range map[string]string{"install.json": "install.json", "run.py": "app/platform/run.py"} {
		want, err := os.ReadFile(filepath.Join("../../..", source))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(dir, file)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not that of the repository: run ./package.sh build", file)
		}
	}
	readme, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range regexp.MustCompile(`\]\(([^)#]+)\)|(package\.sh|plugins/[a-zA-Z.]+|<!--)`).FindAllString(string(readme), -1) {
		t.Errorf("the README refers to %s, which is not in the package", link)
	}
	_, version, err := readIdentity("../../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"## Troubleshooting", "## Release Notes\n\n### " + version + "\n"} {
		if !bytes.Contains(readme, []byte(part)) {
			t.Errorf("the README lacks %q", part)
		}
	}
	check := exec.Command("sha256sum", "--check", "--strict", "checksums.txt")
	check.Dir = dir
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("sha256sum: %v: %s", err, out)
	}
}

// The executables need nothing of the machine they run on: no loader, no library, not even a file system.
func TestExecutablesAreStatic(t *testing.T) {
	dir := unzip(t)
	data, err := os.ReadFile(filepath.Join(dir, "install.json"))
	if err != nil {
		t.Fatal(err)
	}
	var install struct{ ProgramVersion string }
	if err := json.Unmarshal(data, &install); err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"app", "mappers"} {
		file, err := elf.Open(filepath.Join(dir, program))
		if err != nil {
			t.Fatal(err)
		}
		for _, segment := range file.Progs {
			if segment.Type == elf.PT_INTERP {
				t.Errorf("%s asks for a loader", program)
			}
		}
		if libraries, err := file.DynString(elf.DT_NEEDED); err == nil && len(libraries) > 0 {
			t.Errorf("%s needs %v", program, libraries)
		}
		if file.Machine != elf.EM_X86_64 {
			t.Errorf("%s is for %v", program, file.Machine)
		}
		file.Close()
		if got := strings.TrimSpace(inEmptyRoot(t, filepath.Join(dir, program), "version")); got != install.ProgramVersion {
			t.Errorf("%s says version %q, install.json %q", program, got, install.ProgramVersion)
		}
	}
}

// SQLite names the options that it is compiled with. Without these it takes longer, and nothing else shows it.
func TestSQLiteHasItsOptions(t *testing.T) {
	executable, err := os.ReadFile(filepath.Join(unzip(t), "app"))
	if err != nil {
		t.Fatal(err)
	}
	for _, option := range []string{"ENABLE_QPSG", "DEFAULT_MEMSTATUS=0", "OMIT_LOAD_EXTENSION"} {
		if !bytes.Contains(executable, []byte(option+"\x00")) {
			t.Errorf("SQLite is compiled without %s", option)
		}
	}
}

// inEmptyRoot runs a program in a root directory that holds nothing else.
func inEmptyRoot(t *testing.T, program string, args ...string) string {
	t.Helper()
	root := t.TempDir()
	data, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(root, "program"), string(data), 0o755)
	cmd := exec.Command("/program", args...)
	cmd.Dir, cmd.Env = "/", []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s in an empty root directory: %v: %s", filepath.Base(program), err, out)
	}
	return string(out)
}

// Building the executables and the package again, from nothing, gives the same bytes.
func TestProductIsReproducible(t *testing.T) {
	target := t.TempDir()
	cmd := exec.Command("./package.sh", "build")
	cmd.Dir = "../../.."
	cmd.Env = append(os.Environ(), "TARGET="+target)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	first, err := os.ReadFile(product(t))
	if err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(filepath.Join(target, name+".tcx"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, second) {
		t.Errorf("%s has other bytes than what ./package.sh build makes now: build it again; if they still differ, building is not reproducible", product(t))
	}
}

var passed = regexp.MustCompile(`^│\s+(\S+)\s+│ passed\s+│$`)

// The vendor's own tool finds nothing. Whatever it prints besides what passed counts, since its exit code means little.
func TestVendorsValidation(t *testing.T) {
	tool := os.Getenv("MS_SENTINEL_TCEX")
	if tool == "" {
		tool = "tcex"
	}
	tool, err := exec.LookPath(tool)
	if err != nil {
		t.Fatalf("%v: run ./package.sh test, which installs tcex-cli, or name its command tcex in MS_SENTINEL_TCEX", err)
	}
	cmd := exec.Command(tool, "validate")
	cmd.Dir = unzip(t)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "COLUMNS=160", "NO_COLOR=1", "TERM=dumb", "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("tcex validate: %v: %s", err, out)
	}
	var files []string
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		frame := strings.Trim(line, "╭╮╰╯─ ")
		if match := passed.FindStringSubmatch(line); match != nil {
			files = append(files, match[1])
		} else if frame != "" && frame != "File Syntax Validation" && frame != "Config Schema Validation" {
			t.Errorf("tcex validate says: %s", line)
		}
	}
	if diff := cmp.Diff([]string{"install.json", "run.py", "tcex.json", "install.json"}, files); diff != "" {
		t.Errorf("the files that passed: %s", diff)
	}
}
