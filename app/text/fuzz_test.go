package text

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// FuzzLine makes texts fit to be shown: within their bound, UTF-8, on one line, without what does not show, and the same
// again when that is done twice.
func FuzzLine(f *testing.F) {
	f.Fuzz(func(t *testing.T, s string, size uint16) {
		most := 3 + int(size)%500
		line, cut := Line(s, most), Cut(s, most)
		if len(line) > most || len(cut) > most || !utf8.ValidString(line) || !utf8.ValidString(cut) {
			t.Fatalf("%q and %q of %d bytes", line, cut, most)
		}
		if strings.ContainsFunc(line, func(r rune) bool { return unicode.IsControl(r) || isHidden(r) }) || strings.ContainsFunc(cut, isHidden) {
			t.Fatalf("%q and %q have what does not show", line, cut)
		}
		if Line(line, most) != line || Cut(cut, most) != cut {
			t.Fatalf("%q and %q are not left as they are", line, cut)
		}
	})
}
