package platform

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// Exit codes that the platform knows, app/docs/platform.md#exit-code-and-exit-message.
const (
	ExitSuccess = 0
	ExitFailure = 1
)

// MaxMessage is the size of message.tc in bytes, its newline included.
const MaxMessage = 255

// WriteMessage puts a message.tc with text into outPath (the working directory if empty), which ThreatConnect shows to the
// administrator. Of a longer text the end is kept. It must hold no secret. The file takes the place of what stands there,
// whole: nobody reads half of it, and a link that stands there is not followed.
func WriteMessage(outPath, text string) error {
	text = strings.TrimSpace(text)
	if cut := len(text) + 1 - MaxMessage; cut > 0 {
		text = text[cut:]
		for len(text) > 0 && !utf8.RuneStart(text[0]) {
			text = text[1:]
		}
	}
	if err := ReplaceFile(filepath.Join(outPath, "message.tc"), []byte(text+"\n"), 0o644); err != nil { // everybody may read it
		return fmt.Errorf("writing the exit message: %w", err)
	}
	return nil
}

// ReplaceFile writes a file of that mode under another name in the same folder, and renames it: nobody reads half of it,
// and a link that stands there is not followed.
func ReplaceFile(path string, content []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Chmod(mode), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
