package sentinelserver

import (
	"strings"
	"testing"
)

// Brackets count as deep as they lie in each other, and within strings not at all.
func TestDepth(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for body, want := range map[string]bool{
		nested(maxDepth): false, nested(maxDepth + 1): true, "[" + nested(maxDepth-1) + "," + nested(maxDepth-1) + "]": false,
		`{"a":` + nested(maxDepth-1) + `}`: false, `{"a":` + nested(maxDepth) + `}`: true,
		`["\"` + strings.Repeat("[", maxDepth) + `"]`: false, `["\\",` + nested(maxDepth) + `]`: true,
	} {
		if got := tooDeep([]byte(body)); got != want {
			t.Errorf("%s: %t", body, got)
		}
	}
}
