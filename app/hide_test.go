package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// spyScript looks at the process that started it, as a mapper could.
const spyScript = `for f in environ mem maps auxv; do head -c 1 /proc/$PPID/$f >/dev/null 2>&1 && echo $f; done; ls /proc/$PPID/fd >/dev/null 2>&1 && echo fd; true`

// This test binary starts itself to be looked at.
func init() {
	switch os.Getenv("HIDE_TEST") {
	case "hidden":
		if err := hideProcess(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	case "seen":
	default:
		return
	}
	out, err := exec.Command("/bin/sh", "-c", spyScript).CombinedOutput()
	fmt.Printf("%s", out)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

// What the App starts cannot read its secrets where the kernel shows them.
func TestProcessIsHidden(t *testing.T) {
	dir, err := os.MkdirTemp("", "hide")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "app.test")
	if err := os.WriteFile(path, program, 0o755); err != nil {
		t.Fatal(err)
	}
	look := func(mode string) string {
		cmd := exec.Command(path)
		cmd.Env = append(os.Environ(), "HIDE_TEST="+mode)
		cmd.Dir = "/"
		if os.Getuid() == 0 { // root may read everything
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return strings.Join(strings.Fields(string(out)), " ")
	}
	if seen := look("seen"); !strings.Contains(seen, "environ") {
		t.Skipf("on this machine such processes cannot be looked at anyway (%q)", seen)
	}
	if seen := look("hidden"); seen != "" {
		t.Errorf("a child of the App can read: %s", seen)
	}
}

// The very first thing that run does is to hide: the source says so, since nothing later could tell.
func TestRunHidesFirst(t *testing.T) {
	source, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	_, run, found := strings.Cut(string(source), "case \"run\":\n")
	if !found || !strings.HasPrefix(strings.TrimSpace(run), "if err := hideProcess()") {
		t.Error("the command run begins with something else than hideProcess")
	}
}
