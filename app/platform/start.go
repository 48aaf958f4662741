package platform

import (
	"bufio"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// StartFacts are how the process was started.
type StartFacts struct {
	UID, GID  int    // effective
	Umask     string // such as 0022; "" where the machine does not tell
	Machine   string // as uname -m has it
	Kernel    string // its release
	Launch    Launch
	App, Temp FolderFacts // the App's own folder, and the one for temporary files
	// Output and Errors are what standard output and error lead to: "a pipe", "a terminal", "/dev/null", "a file" …
	Output, Errors string
	Variables      []string // names of the environment, sorted; at most 200
}

// Launch is what run.py tells of the start.
type Launch struct {
	Known     bool   // started by run.py
	Python    string // its version
	Way       string // how the program could be started: "in place", "as a temporary copy" …
	Arguments string // how many run.py was given
	Folder    string // the working directory of run.py: "the App's" or "another"
	RunBits   string // of the program and the mappers: "kept", "lost and set", "lost"
}

// FolderFacts are about a folder.
type FolderFacts struct {
	Path     string
	Writable bool
	Flags    []string // of its mount: noexec, nosuid, nodev, read-only
	Error    string   // why nothing is known of its mount
}

// launchVariable is how run.py tells of the start: name=value, joined by semicolons.
const launchVariable = "MS_SENTINEL_LAUNCH"

const maxVariables = 200

// ReadStart looks at the process and its surroundings. app is the App's folder, temp the one for temporary files, the
// system's if empty.
func ReadStart(app, temp string) StartFacts {
	if temp == "" {
		temp = os.TempDir()
	}
	f := StartFacts{UID: os.Geteuid(), GID: os.Getegid(), Umask: readUmask(), Launch: parseLaunch(os.Getenv(launchVariable)),
		App: readFolder(app), Temp: readFolder(temp), Output: describeOutput("/proc/self/fd/1"), Errors: describeOutput("/proc/self/fd/2")}
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		f.Machine, f.Kernel = unix.ByteSliceToString(name.Machine[:]), unix.ByteSliceToString(name.Release[:])
	}
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); name != launchVariable && len(f.Variables) < maxVariables {
			f.Variables = append(f.Variables, name)
		}
	}
	slices.Sort(f.Variables)
	return f
}

func parseLaunch(told string) Launch {
	l := Launch{Known: told != ""}
	for part := range strings.SplitSeq(told, ";") {
		switch name, value, _ := strings.Cut(part, "="); name {
		case "python":
			l.Python = value
		case "way":
			l.Way = value
		case "arguments":
			l.Arguments = value
		case "folder":
			l.Folder = value
		case "bits":
			l.RunBits = value
		}
	}
	return l
}

// readUmask reads it without changing it for a moment, as the system call does.
func readUmask() string {
	file, err := os.Open("/proc/self/status")
	if err != nil {
		return ""
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if mask, found := strings.CutPrefix(lines.Text(), "Umask:"); found {
			return strings.TrimSpace(mask)
		}
	}
	return ""
}

// mountFlags are those that decide what an App may do in a folder.
var mountFlags = []struct {
	flag int64
	name string
}{{unix.ST_NOEXEC, "noexec"}, {unix.ST_NOSUID, "nosuid"}, {unix.ST_NODEV, "nodev"}, {unix.ST_RDONLY, "read-only"}}

func readFolder(path string) FolderFacts {
	f := FolderFacts{Path: path, Writable: unix.Access(path, unix.W_OK|unix.X_OK) == nil}
	var stat unix.Statfs_t
	if err := unix.Statfs(path, &stat); err != nil {
		f.Error = err.Error()
		return f
	}
	f.Flags = nameFlags(stat.Flags)
	return f
}

func nameFlags(flags int64) []string {
	var names []string
	for _, m := range mountFlags {
		if flags&m.flag != 0 {
			names = append(names, m.name)
		}
	}
	return names
}

// describeOutput says what a descriptor of the process leads to; of a file it tells the name without its folder.
func describeOutput(descriptor string) string {
	target, err := os.Readlink(descriptor)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "closed"
	case err != nil:
		return "unknown: " + err.Error()
	case target == os.DevNull:
		return target
	case strings.HasPrefix(target, "/dev/"):
		return "a terminal or device"
	case strings.HasPrefix(target, "pipe:"):
		return "a pipe"
	case strings.HasPrefix(target, "socket:"):
		return "a socket"
	}
	return "the file " + filepath.Base(target)
}
