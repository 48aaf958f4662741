package main

import (
	"os/exec"
	"strings"
	"testing"
)

func TestTimersOfThreadsAndMappersHaveSlack(t *testing.T) {
	// A process has the slack of the thread that started it.
	printed, err := exec.Command("cat", "/proc/self/timerslack_ns").CombinedOutput()
	if slack := strings.TrimSpace(string(printed)); err != nil || slack != "2000000" {
		t.Errorf("a process that this one starts has a slack of %s ns, %v; want 2 ms", slack, err)
	}
}
