package retry

import (
	"net/http"
	"testing"
	"time"
)

// FuzzAfter reads headers: whatever a server asks for, a wait is neither negative nor longer than a day.
func FuzzAfter(f *testing.F) {
	now := time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, after, date string) {
		wait, ok := After(http.Header{"Retry-After": {after}, "Date": {date}}, now)
		if wait < 0 || wait > longestAfter || !ok && wait != 0 {
			t.Fatalf("%q, %q: %v, %t", after, date, wait, ok)
		}
	})
}
