package doctor

import (
	"encoding/json"
	"log/slog"
	"testing"
	"time"
	"unicode/utf8"
)

// FuzzPages takes what a script in a browser says that it found. Whatever that is, the report stays within its bounds.
func FuzzPages(f *testing.F) {
	f.Fuzz(func(t *testing.T, body []byte) {
		var results []PageResult
		if json.Unmarshal(body, &results) != nil {
			return
		}
		d := New(Options{Version: "1.0", Probes: []Probe{PagesProbe()}, Clean: func(s string) string { return s },
			Keep: func(Report) error { return nil }, Logger: slog.New(slog.DiscardHandler)})
		if err := d.RecordPages([]time.Duration{time.Second, 7 * time.Second}, results); err != nil {
			return
		}
		report, ok := d.Last()
		if !ok || len(report.Lines) != len(pageQuestions) {
			t.Fatalf("%d lines", len(report.Lines))
		}
		for _, line := range report.Lines {
			if len(line.Evidence) > maxEvidence || len(line.Effect) > maxEffect || !utf8.ValidString(line.Evidence+line.Effect) || line.Verdict == "" {
				t.Fatalf("%+v", line)
			}
		}
	})
}
