package sentinelserver

import (
	"os"
	"path/filepath"
	"testing"
	"time"

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

// What became older, and the rows that Sentinel adds by itself, are as they were when a stand-in is started again, and again.
func TestJournalKeepsTheAgeOfRows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	var want []Row
	for range 3 {
		far := New(testOptions())
		if err := far.Journal(path); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, far.Rows()); diff != "" {
			t.Error(diff)
		}
		upload(t, far, indicator(1))
		far.Republish()
		far.Age(time.Hour)
		far.PutBack(time.Hour)
		want = far.Rows()
	}
	if len(want) != 6 {
		t.Errorf("%d rows", len(want))
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
