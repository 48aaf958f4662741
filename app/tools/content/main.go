// Command content makes of the files in app/sentinel/content what is deployed and what is shown: template.json, a template of
// Azure Resource Manager with all of them, and content.json, which says what each does and costs.
//
//	content -folder app/sentinel/content
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	folder := flag.String("folder", ".", "folder of the content")
	flag.Parse()
	if err := writeContent(*folder); err != nil {
		fmt.Fprintln(os.Stderr, "content:", err)
		os.Exit(1)
	}
}

func writeContent(folder string) error {
	made, err := makeContent(folder)
	if err != nil {
		return err
	}
	for name, text := range made {
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// makeContent gives the files that are made of the others, by name.
func makeContent(folder string) (map[string][]byte, error) {
	s, err := readSources(folder)
	if err != nil {
		return nil, err
	}
	made := map[string][]byte{}
	for name, value := range map[string]any{"template.json": s.makeTemplate(), "content.json": s.makeIndex()} {
		var text bytes.Buffer
		e := json.NewEncoder(&text)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		if err := e.Encode(value); err != nil {
			return nil, fmt.Errorf("writing %s: %w", name, err)
		}
		made[name] = text.Bytes()
	}
	return made, nil
}
