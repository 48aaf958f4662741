package platform

import (
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// child makes this test binary behave as the program that run.py starts.
const child = "MS_SENTINEL_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(child) == "" {
		os.Exit(m.Run())
	}
	folder, _ := os.Getwd()
	program, _ := os.Executable()
	input, _ := io.ReadAll(os.Stdin)
	said := started{os.Getpid(), os.Args, folder, program, string(input), os.Getenv("TC_APP_PARAM_KEY"), parseLaunch(os.Getenv(launchVariable))}
	if err := json.NewEncoder(os.Stdout).Encode(said); err != nil {
		os.Exit(8)
	}
	os.Exit(7)
}

// started is what the program saw of its start.
type started struct {
	PID     int
	Args    []string
	Folder  string
	Program string
	Input   string
	Key     string
	Launch  Launch
}

func python() string {
	if path := os.Getenv("MS_SENTINEL_PYTHON"); path != "" {
		return path
	}
	return "python3"
}

// unpackedApp is a folder with run.py and the programs, all without run bits.
func unpackedApp(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, source := range map[string]string{"run.py": "run.py", "app": self, "mappers": "run.py"} {
		data, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// launch runs run.py from another folder, with more Python before it.
func launch(t *testing.T, dir, before string) (_ started, pid, code int, stderr string) {
	t.Helper()
	var errors strings.Builder
	script := filepath.Join(dir, "run.py")
	cmd := exec.Command(python(), script)
	if before != "" {
		cmd = exec.Command(python(), "-c", before+"import runpy\nrunpy.run_path('"+script+"', run_name='__main__')")
	}
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), child+"=1", "TC_APP_PARAM_KEY=key", "TMPDIR="+t.TempDir())
	cmd.Stdin = strings.NewReader("input")
	cmd.Stderr = &errors
	out, _ := cmd.Output()
	var s started
	if len(out) > 0 {
		if err := json.Unmarshal(out, &s); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	if left, err := os.ReadDir(strings.TrimPrefix(cmd.Env[len(cmd.Env)-1], "TMPDIR=")); err != nil || len(left) > 0 {
		t.Errorf("the temporary folder holds %v, %v", left, err)
	}
	return s, cmd.Process.Pid, cmd.ProcessState.ExitCode(), errors.String()
}

// The program takes the place of Python: same process, its own exit code, wherever it can be executed.
func TestRunPy(t *testing.T) {
	const (
		inPlaceFails = "import os\ndef refuse(*a, **k): raise PermissionError(13, 'Permission denied')\nos.execv = refuse\n"
		copyFails    = inPlaceFails + "import tempfile\ntempfile.mkdtemp = refuse\n"
		noTempFolder = "import tempfile\ndef none(): raise FileNotFoundError(2, 'No usable temporary directory found')\ntempfile.gettempdir = none\n"
		noExecInTemp = inPlaceFails + "import tempfile\nreal = os.execve\ndef picky(program, *a):\n" +
			"    if os.readlink('/proc/self/fd/%d' % program).startswith(tempfile.gettempdir()): refuse()\n    real(program, *a)\nos.execve = picky\n"
	)
	for name, test := range map[string]struct{ before, program, way string }{
		"in place":                       {"", "/001/app", "in place"},
		"as a copy":                      {inPlaceFails, "/ms-sentinel-", "as a temporary copy"},
		"as a copy beside the original":  {noExecInTemp, "/001/ms-sentinel-", "as a copy in the App's folder"},
		"from memory":                    {copyFails, "/memfd:app", "from memory"},
		"without any temporary folder":   {noTempFolder, "/001/app", "in place"},
		"without one and not executable": {inPlaceFails + noTempFolder, "/001/ms-sentinel-", "as a copy in the App's folder"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := unpackedApp(t)
			got, pid, code, stderr := launch(t, dir, test.before)
			if code != 7 || stderr != "" || got.PID != pid || got.Input != "input" || got.Key != "key" {
				t.Errorf("exit code %d, process %d of %d, input %q, key %q, %s", code, got.PID, pid, got.Input, got.Key, stderr)
			}
			if got.Folder != dir || !slices.Equal(got.Args, []string{filepath.Join(dir, "app"), "run"}) || !strings.Contains(got.Program, test.program) {
				t.Errorf("it ran as %q %q in %q", got.Program, got.Args, got.Folder)
			}
			python := got.Launch.Python
			if want := (Launch{true, python, test.way, "0", "another", "lost and set"}); got.Launch != want || !strings.HasPrefix(python, "3.") {
				t.Errorf("the program was told %+v", got.Launch)
			}
			if info, err := os.Stat(filepath.Join(dir, "mappers")); err != nil || info.Mode()&0o111 != 0o111 {
				t.Errorf("the mappers have mode %v, %v", info.Mode(), err)
			}
		})
	}
}

// Where nothing helps, one sentence says why.
func TestRunPyFails(t *testing.T) {
	for name, test := range map[string]struct{ before, want string }{
		"another processor": {"import platform\nplatform.machine = lambda: 'aarch64'\n", "runs on Linux on x86-64 only, and this machine is Linux/aarch64"},
		"another system":    {"import platform\nplatform.system = lambda: 'Darwin'\n", "runs on Linux on x86-64 only, and this machine is Darwin/"},
		"no program":        {"import os\nos.path.isfile = lambda p: False\n", "the program is missing"},
		"nothing executes": {"import os\ndef refuse(*a, **k): raise PermissionError(13, 'Permission denied')\nos.execv = os.execve = refuse\n",
			"could not be started (in place: [Errno 13] Permission denied; as a temporary copy: [Errno 13]"},
		"an old Python where nothing executes": {"import os\ndef refuse(*a, **k): raise PermissionError(13, 'Permission denied')\nos.execv = os.execve = refuse\nvars(os).pop('memfd_create', None)\n",
			"from memory: this Python cannot execute from memory"},
	} {
		t.Run(name, func(t *testing.T) {
			got, _, code, stderr := launch(t, unpackedApp(t), test.before)
			if code != 1 || got.PID != 0 || !strings.Contains(stderr, test.want) || strings.Count(stderr, "\n") != 1 {
				t.Errorf("exit code %d, %+v, %s", code, got, stderr)
			}
		})
	}
}

// Old launch servers have old Pythons.
func TestRunPyForPython36(t *testing.T) {
	parse := exec.Command(python(), "-c", "import ast; ast.parse(open('run.py').read(), feature_version=(3, 6))")
	if out, err := parse.CombinedOutput(); err != nil {
		t.Errorf("the grammar is not that of Python 3.6: %v: %s", err, out)
	}
	vermin, err := exec.LookPath(filepath.Join(filepath.Dir(python()), "vermin"))
	if err != nil {
		t.Fatalf("there is no vermin beside the Python %q: run ./package.sh test, which installs it, or name a Python that has it in MS_SENTINEL_PYTHON", python())
	}
	if out, err := exec.Command(vermin, "--no-tips", "-t=3.6-", "run.py").CombinedOutput(); err != nil {
		t.Errorf("vermin: %v: %s", err, out)
	}
}
