package mask

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"
)

// FuzzMask hides a secret that up to three layers wrote in their own ways: it is found, and nothing of what stands around it
// is taken for a part of it.
func FuzzMask(f *testing.F) {
	const by, fence = "***", "\n|\n"
	names := slices.Sorted(maps.Keys(layers))
	f.Fuzz(func(t *testing.T, secret, around string, first, second byte) {
		if len(secret) < minSecret || len(secret) > 60 || strings.ContainsAny(secret, "*|") {
			return
		}
		one, two := names[int(first)%len(names)], names[int(second)%len(names)]
		written := layers[two](layers[one](secret))
		if core := strings.TrimSpace(secret); len(core) < minSecret || strings.Contains(around, core) {
			return
		}
		masked := New(secret).Replace([]byte(fence+written+fence), by)
		if !bytes.Equal(masked, []byte(fence+by+fence)) {
			t.Fatalf("%q in %s in %s, %q, became %q", secret, one, two, written, masked)
		}
		inside := New(secret).Replace([]byte(around+written+around), by)
		if bytes.Contains(inside, []byte(secret)) {
			t.Fatalf("%q is left in %q", secret, inside)
		}
	})
}

// FuzzShapes hides what has the shape of a secret. It ends, keeps what is none, and does not find more in its own answer.
func FuzzShapes(f *testing.F) {
	f.Fuzz(func(t *testing.T, text []byte) {
		masked := Shapes(bytes.Clone(text))
		if len(masked) > len(text)+len(Masked)*(1+len(text)/4) {
			t.Fatalf("%d bytes became %d", len(text), len(masked))
		}
		for _, shape := range secretShapes[:3] { // what the last ones hide may end where another value begins
			for _, found := range shape.FindAllSubmatch(masked, -1) {
				t.Fatalf("%q still has %q", masked, found[1])
			}
		}
	})
}
