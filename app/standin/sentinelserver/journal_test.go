package sentinelserver

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	first, whole := New(testOptions()), New(testOptions())
	if err := first.Journal(path); err != nil {
		t.Fatal(err)
	}
	upload(t, first, indicator(1), indicator(2))
	upload(t, first, indicator(1))
	breakOff(t, path)

	second := New(testOptions())
	if err := second.Journal(path); err != nil {
		t.Fatal(err)
	}
	upload(t, second, indicator(3))
	upload(t, whole, indicator(2), indicator(3), indicator(1))
	third := New(testOptions())
	if err := third.Journal(path); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(whole.Objects(source), third.Objects(source)); diff != "" {
		t.Error(diff)
	}
	if sent := third.Sent(source)["indicator--00000000-0000-5000-8000-000000000001"]; sent != 2 {
		t.Errorf("the object that was sent twice was sent %d times", sent)
	}
}

// breakOff leaves half a line at the end, as a stand-in that is killed may.
func breakOff(t *testing.T, path string) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteString(`{"workspace":"breaks o`); err != nil {
		t.Fatal(err)
	}
}
