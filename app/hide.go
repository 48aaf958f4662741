package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// hideProcess keeps the memory and the environment of this process, where secrets stand, from other processes of the same
// user: mappers, which it starts, could read them in /proc or attach to it as debuggers do. No core file is written
// either. It does not keep out root.
func hideProcess() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("hiding the process from others of its user: %w", err)
	}
	return nil
}
