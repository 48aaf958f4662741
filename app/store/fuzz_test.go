package store

import (
	"strings"
	"testing"
	"unicode/utf8"

	"mssentinel/app/job"
)

// FuzzFilter filters by texts from outside. SQL takes each for a value, whatever stands in it: what contains it is found, as
// letters of ASCII compare without regard to case, and nothing else.
func FuzzFilter(f *testing.F) {
	s, err := Open(ctx(), f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close() })
	if err := s.AddProblems(ctx(), 0, []job.Problem{{Step: job.StepUpload, Code: "one", Message: "one"}}); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, part, whole string) {
		for _, filter := range []ProblemFilter{{Text: part}, {Type: part}, {Owner: part}, {RequestID: part}, {Code: job.Code(part)}, {Step: job.Step(part)}} {
			if list, total, err := s.Problems(ctx(), filter); err != nil || int64(len(list)) != total || total > 1 {
				t.Fatalf("%+v: %d of %d lines, %v", filter, len(list), total, err)
			}
		}
		if !utf8.ValidString(part+"|"+whole) || strings.Contains(part+whole, "\x00") {
			return // no text of ours: what comes from outside is made visible before it is kept
		}
		var found bool
		if err := s.read.GetContext(ctx(), &found, `SELECT ? LIKE ? ESCAPE '\'`, whole, likePart(part)); err != nil {
			t.Fatal(err)
		}
		if want := strings.Contains(lowerASCII(whole), lowerASCII(part)); found != want {
			t.Fatalf("%q is found in %q: %t", part, whole, found)
		}
	})
}

func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}
