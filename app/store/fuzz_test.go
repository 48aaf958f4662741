package store

import (
	"cmp"
	"errors"
	"slices"
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

// FuzzSends reads the sends of an object as they stand in the database, damaged or not. What can be read is as many as are kept at most, in the
// order in which they were made, and the same after it was written again, which takes no more room.
func FuzzSends(f *testing.F) {
	f.Fuzz(func(t *testing.T, newest, indicator int64, earlier []byte) {
		r := sendRow{keptSend: keptSend{max(newest, 1), indicator}, Earlier: earlier}
		sends, err := r.unpackSends(nil)
		if err != nil && !errors.Is(err, errSends) {
			t.Fatal(err)
		}
		if len(sends) > keptSends || sends[0] != r.keptSend || sends[len(sends)-1].Delivery < 1 ||
			!slices.IsSortedFunc(sends, func(a, b keptSend) int { return cmp.Compare(b.Delivery, a.Delivery) }) {
			t.Fatal(sends)
		}
		if r.Earlier = packSends(sends); len(r.Earlier) > len(earlier) {
			t.Fatalf("%d bytes became %d", len(earlier), len(r.Earlier))
		}
		if again, err := r.unpackSends(nil); err != nil || !slices.Equal(again, sends) {
			t.Fatal(again, err)
		}
	})
}
