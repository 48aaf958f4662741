package main

import (
	"debug/elf"
	"fmt"
)

// readBuild gives what tells this build of the App from any other: the build ID that the linker wrote into the executable.
func readBuild() (string, error) {
	f, err := elf.Open("/proc/self/exe")
	if err != nil {
		return "", fmt.Errorf("reading the build ID: %w", err)
	}
	defer f.Close()
	const name = ".note.go.buildid"
	section := f.Section(name)
	if section == nil {
		return "", fmt.Errorf("reading the build ID: the executable has no section %s", name)
	}
	id, err := section.Data()
	if err != nil {
		return "", fmt.Errorf("reading the build ID: %w", err)
	}
	return string(id), nil
}
