package platform

import (
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

// WriteMessage overwrites message.tc in outPath (the working directory if empty) with text, which ThreatConnect shows
// to the administrator. Of a longer text the end is kept. It must hold no secret.
func WriteMessage(outPath, text string) error {
	text = strings.TrimSpace(text)
	if cut := len(text) + 1 - MaxMessage; cut > 0 {
		text = text[cut:]
		for len(text) > 0 && !utf8.RuneStart(text[0]) {
			text = text[1:]
		}
	}
	if err := os.WriteFile(filepath.Join(outPath, "message.tc"), []byte(text+"\n"), 0o644); err != nil {
		return fmt.Errorf("writing the exit message: %w", err)
	}
	return nil
}
