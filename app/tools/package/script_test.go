package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// What package.sh says to those who do not know it yet, or lack something. All of it ends before anything is built.
func TestScript(t *testing.T) {
	for _, c := range []struct {
		name, environment string
		arguments         []string
		code              int
		says              string
	}{
		{"help", "", []string{"-h"}, 0, "./package.sh demo"},
		{"long help", "", []string{"--help"}, 0, "./package.sh build"},
		{"no command", "", nil, 2, "./package.sh test"},
		{"a wrong command", "", []string{"biuld"}, 2, "./package.sh bench"},
		{"a wrong argument", "", []string{"build", "extra"}, 1, `build takes no more arguments, and "extra" is one`},
		{"an argument of lint", "", []string{"lint", "./app"}, 1, `lint takes no more arguments, and "./app" is one`},
		{"no compiler", "CC=no-such-compiler", []string{"build"}, 1, "no-such-compiler is missing: install a C compiler"},
		{"no static library", "CC=false", []string{"build"}, 1, "cannot link statically"},
	} {
		t.Run(c.name, func(t *testing.T) {
			script := exec.Command("./package.sh", c.arguments...)
			script.Dir = "../../.."
			script.Env = append(os.Environ(), "TARGET="+t.TempDir(), c.environment)
			said, stderr := &strings.Builder{}, &strings.Builder{}
			script.Stdout, script.Stderr = said, stderr
			if c.code != 0 {
				said = stderr // what went wrong does not get lost in a pipe
			}
			script.Run() //nolint:errcheck // the exit code says it
			if code := script.ProcessState.ExitCode(); code != c.code || !strings.Contains(said.String(), c.says) {
				t.Errorf("exit code %d, want %d, with %q:\n%s", code, c.code, c.says, said)
			}
		})
	}
}
