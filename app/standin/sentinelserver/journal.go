package sentinelserver

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/tidwall/gjson"
)

// maxLine bounds a line of the journal: one request.
const maxLine = 8 << 20

// Journal takes up what an earlier stand-in noted in the file at path, and notes there what is accepted from now on. So
// a demonstration can be stopped and started again, as Sentinel itself goes on. Call it before serving.
func (s *Server) Journal(path string) error {
	if err := s.replayJournal(path); err != nil {
		return fmt.Errorf("reading the journal %s: %w", path, err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("opening the journal: %w", err)
	}
	// What a stand-in that was killed left of its last line must not run into the next one.
	if _, err := file.WriteString("\n"); err != nil {
		return fmt.Errorf("writing the journal: %w", err)
	}
	s.table.mu.Lock()
	defer s.table.mu.Unlock()
	s.table.journal = file
	return nil
}

// replayJournal puts back every request that was noted whole. The last line of a stand-in that was killed may break
// off.
func (s *Server) replayJournal(path string) error {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	check := checker{seed: contentSeed}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		line := gjson.Parse(lines.Text())
		if !gjson.ValidBytes(lines.Bytes()) {
			continue
		}
		s.replayLine(line, &check)
	}
	return lines.Err()
}

// replayLine does once more what a line of the journal notes.
func (s *Server) replayLine(line gjson.Result, check *checker) {
	switch {
	case line.Get("aged").Exists():
		s.table.age(time.Duration(line.Get("aged").Int()))
	case line.Get("put_back").Exists():
		s.table.putBack(time.Duration(line.Get("put_back").Int()))
	case line.Get("republished").Exists():
		s.table.republish(line.Get("republished").Time())
	default:
		var records []record
		for _, object := range line.Get("stixobjects").Array() {
			r, _ := check.checkRecord(elementOf(value(object.Raw)))
			records = append(records, r)
		}
		s.table.putRecords(line.Get("workspace").Str, line.Get("sourcesystem").Str, line.Get("at").Time(), records)
	}
}

// noteRequest writes one request to the journal in one call, so that no line mixes with another.
func (t *table) noteRequest(p place, at time.Time, records []record) {
	if t.journal == nil {
		return
	}
	line := fmt.Appendf(nil, `{"workspace":%q,"sourcesystem":%q,"at":%q,"stixobjects":[`, p.workspace, p.source, at.UTC().Format(time.RFC3339Nano))
	for i, r := range records {
		if i > 0 {
			line = append(line, ',')
		}
		line = append(line, r.raw...)
	}
	t.noteLine(append(line, "]}\n"...))
}

// noteAged writes to the journal that all before it became older.
func (t *table) noteAged(by time.Duration) {
	t.noteLine(fmt.Appendf(nil, "{\"aged\":%d}\n", by))
}

// notePutBack writes to the journal that the clock was put back after all before it.
func (t *table) notePutBack(by time.Duration) {
	t.noteLine(fmt.Appendf(nil, "{\"put_back\":%d}\n", by))
}

// noteRepublished writes to the journal when rows of all that stands were added.
func (t *table) noteRepublished(at time.Time) {
	t.noteLine(fmt.Appendf(nil, "{\"republished\":%q}\n", at.UTC().Format(time.RFC3339Nano)))
}

func (t *table) noteLine(line []byte) {
	if t.journal == nil {
		return
	}
	if _, err := t.journal.Write(line); err != nil {
		panic(fmt.Errorf("writing the journal: %w", err))
	}
}
