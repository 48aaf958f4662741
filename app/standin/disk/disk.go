// Package disk imitates what a disk holds after a power cut. It notes what a process does to the files of a folder, and leaves
// there what was synced and, of the rest, what chance had reach the disk.
//
// SQLite's steps are noted one by one by a library that is loaded before the C library, so that the process has to be linked
// dynamically. What the process writes without the C library is never taken for synced.
package disk

import (
	"bytes"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

//go:embed testdata/powercut.c
var source string

// Compile writes the library that notes the steps of a process.
func Compile(library string) error {
	cc := exec.Command("cc", "-shared", "-fPIC", "-O1", "-x", "c", "-o", library, "-")
	cc.Stdin = strings.NewReader(source)
	if out, err := cc.CombinedOutput(); err != nil {
		return fmt.Errorf("compiling what notes the steps: %w: %s", err, out)
	}
	return nil
}

// Disk is a folder on a disk that may lose its power once.
type Disk struct {
	folder, log, library string
	before               map[string][]byte
}

// New takes what the folder holds for synced. log is where the steps are noted: a path where nothing is.
func New(folder, log, library string) (*Disk, error) {
	before, err := readFolder(folder)
	return &Disk{folder, log, library, before}, err
}

// readFolder reads the files of a folder, but for shared memory, of which a disk knows nothing.
func readFolder(folder string) (map[string][]byte, error) {
	files := map[string][]byte{}
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return files, nil
	}
	for _, e := range entries {
		if isShared(e.Name()) {
			continue
		}
		content, readErr := os.ReadFile(filepath.Join(folder, e.Name()))
		files[e.Name()] = content
		err = errors.Join(err, readErr)
	}
	return files, err
}

func isShared(name string) bool { return strings.HasSuffix(name, "-shm") }

// Env is what the environment of the process needs. The process ends by itself after so many steps, or does not: -1.
func (d *Disk) Env(after int) []string {
	return []string{"LD_PRELOAD=" + d.library, "POWERCUT_FOLDER=" + d.folder, "POWERCUT_LOG=" + d.log, "POWERCUT_AFTER=" + strconv.Itoa(after)}
}

// Step is one thing that SQLite did to a file: it wrote ('w'), cut ('t'), synced ('s') or removed ('u') it.
type Step struct {
	Kind   byte
	Name   string
	Offset int64
	Data   []byte
}

// Steps are those that the process took so far, but for the one within which it ended.
func (d *Disk) Steps() (steps []Step, err error) {
	log, err := os.ReadFile(d.log)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for in := bytes.NewReader(log); ; {
		var head struct{ Kind, Name, Offset, Size uint64 }
		if binary.Read(in, binary.NativeEndian, &head) != nil {
			return steps, nil
		}
		text := make([]byte, head.Name+head.Size)
		if _, err := io.ReadFull(in, text); err != nil {
			return steps, nil
		}
		steps = append(steps, Step{byte(head.Kind), string(text[:head.Name]), int64(head.Offset), text[head.Name:]})
	}
}

// Cut leaves in the folder what is found there after the power cut that ended the process: what was synced, and of the rest
// each step by the chance kept, the last of which may have been written in part.
func (d *Disk) Cut(random *rand.Rand, kept float64) error {
	steps, err := d.Steps()
	if err != nil {
		return err
	}
	now, err := readFolder(d.folder)
	if err != nil {
		return err
	}
	files := d.replay(steps, random, kept)
	noted := map[string]bool{}
	for _, s := range steps {
		noted[s.Name] = true
	}
	for name, content := range now {
		if noted[name] || bytes.Equal(content, files[name]) && files[name] != nil {
			continue
		}
		switch { // renamed in place, so that half of it is never there
		case random.Float64() < kept:
			files[name] = content
		case random.IntN(2) == 0:
			files[name] = nil
		}
	}
	if err := os.RemoveAll(d.folder); err != nil {
		return err
	}
	if err := os.MkdirAll(d.folder, 0o700); err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(d.folder, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// replay repeats the steps that reached the disk. What was removed stays so once anything was synced later: file systems keep
// such changes in order. SQLite counts on that, and takes a journal that is back for one of a transaction that was cut.
func (d *Disk) replay(steps []Step, random *rand.Rand, kept float64) map[string][]byte {
	synced, lastSync := map[string]int{}, -1
	for i, s := range steps {
		if s.Kind == 's' {
			synced[s.Name], lastSync = i, i
		}
	}
	files := map[string][]byte{}
	for name, content := range d.before {
		files[name] = bytes.Clone(content)
	}
	for i, s := range steps {
		last, wasSynced := synced[s.Name]
		if s.Kind == 'u' {
			last, wasSynced = lastSync, true
		}
		if (!wasSynced || i > last) && random.Float64() >= kept {
			continue
		}
		if i == len(steps)-1 && s.Kind == 'w' && kept < 1 {
			s.Data = s.Data[:random.IntN(len(s.Data)+1)/512*512]
		}
		s.do(files)
	}
	return files
}

// do repeats a step.
func (s Step) do(files map[string][]byte) {
	content := files[s.Name]
	switch s.Kind {
	case 'u':
		delete(files, s.Name)
		return
	case 't':
		content = append(content[:min(int64(len(content)), s.Offset):min(int64(len(content)), s.Offset)], make([]byte, max(0, s.Offset-int64(len(content))))...)
	case 'w':
		end := s.Offset + int64(len(s.Data))
		content = append(content, make([]byte, max(0, end-int64(len(content))))...)
		copy(content[s.Offset:end], s.Data)
	default:
		return
	}
	files[s.Name] = content
}
