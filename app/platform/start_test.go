package platform

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestReadStart(t *testing.T) {
	t.Setenv(launchVariable, "python=3.11.2;way=from memory;arguments=2;folder=another;bits=lost;more=later")
	t.Setenv("MS_SENTINEL_TEST_SECRET", "hunter2")
	dir := t.TempDir()
	f := ReadStart(dir, "")
	if want := (Launch{true, "3.11.2", "from memory", "2", "another", "lost"}); f.Launch != want {
		t.Errorf("the launch: %+v", f.Launch)
	}
	if f.UID != os.Geteuid() || f.GID != os.Getegid() || len(f.Umask) != 4 || f.Machine == "" || f.Kernel == "" || f.Output == "" || f.Errors == "" {
		t.Errorf("%+v", f)
	}
	if !f.App.Writable || f.App.Path != dir || f.App.Error != "" || f.Temp.Path != os.TempDir() {
		t.Errorf("folders: %+v, %+v", f.App, f.Temp)
	}
	if !slices.Contains(f.Variables, "MS_SENTINEL_TEST_SECRET") || slices.Contains(f.Variables, launchVariable) || strings.Contains(strings.Join(f.Variables, " "), "hunter2") {
		t.Errorf("variables: %q", f.Variables)
	}
	if missing := ReadStart(filepath.Join(dir, "nowhere"), dir); missing.App.Error == "" || missing.App.Writable {
		t.Errorf("a folder that does not exist: %+v", missing.App)
	}
	if flags := nameFlags(unix.ST_NOEXEC | unix.ST_RDONLY | unix.ST_RELATIME); !slices.Equal(flags, []string{"noexec", "read-only"}) {
		t.Errorf("the flags of a mount: %q", flags)
	}
	t.Setenv(launchVariable, "")
	if l := ReadStart(dir, "").Launch; l.Known {
		t.Errorf("without run.py: %+v", l)
	}
}

func TestDescribeOutput(t *testing.T) {
	dir := t.TempDir()
	for target, want := range map[string]string{
		"/dev/null": "/dev/null", "/dev/pts/3": "a terminal or device", "pipe:[12]": "a pipe", "socket:[12]": "a socket",
		"/var/log/service.out": "the file service.out",
	} {
		link := filepath.Join(dir, strings.NewReplacer("/", "_").Replace(target))
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
		if got := describeOutput(link); got != want {
			t.Errorf("%s: %q", target, got)
		}
	}
	if got := describeOutput(filepath.Join(dir, "none")); got != "closed" {
		t.Error(got)
	}
}
