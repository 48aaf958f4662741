package retry

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestBackoffGrowsTwofoldUpToTheLongest(t *testing.T) {
	b := Backoff{First: 2 * time.Second, Longest: 15 * time.Second}
	var got []time.Duration
	for _, n := range []int{1, 2, 3, 4, 5, 1 << 30} {
		got = append(got, b.Pause(n))
	}
	want := []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second, 15 * time.Second, 15 * time.Second, 15 * time.Second}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if (Backoff{First: time.Minute, Longest: time.Second}).Pause(1) != time.Second {
		t.Error("the first pause is longer than the longest")
	}
}

func TestJitterKeepsToTheUpperHalf(t *testing.T) {
	b := Backoff{First: time.Second, Longest: time.Minute}
	seen := map[time.Duration]bool{}
	for range 1000 {
		pause := b.Jittered(3)
		if pause < 2*time.Second || pause > 4*time.Second {
			t.Fatalf("a pause of %v, want 2 to 4 s", pause)
		}
		seen[pause] = true
	}
	if len(seen) < 100 {
		t.Errorf("%d different pauses among 1000", len(seen))
	}
	if (Backoff{}).Jittered(1) != 0 {
		t.Error("no backoff, and yet a pause")
	}
}

func TestAfter(t *testing.T) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		after, date string
		want        time.Duration
		unread      bool
	}{
		"missing":                    {unread: true},
		"words":                      {after: "soon", unread: true},
		"fraction":                   {after: "1.5", unread: true},
		"seconds":                    {after: " 37 ", want: 37 * time.Second},
		"negative":                   {after: "-5"},
		"far too long":               {after: "99999999", want: 24 * time.Hour},
		"date by the server's clock": {after: "Sat, 28 Nov 2026 13:00:30 GMT", date: "Sat, 28 Nov 2026 13:00:00 GMT", want: 30 * time.Second},
		"date by ours":               {after: "Sat, 28 Nov 2026 12:00:30 GMT", want: 30 * time.Second},
		"date that is past":          {after: "Sat, 28 Nov 2026 11:00:00 GMT"},
		"date of another year":       {after: "Mon, 01 Jan 2035 00:00:00 GMT", want: 24 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := After(http.Header{"Retry-After": {tt.after}, "Date": {tt.date}}, now)
			if got != tt.want || ok == tt.unread {
				t.Errorf("got %v, %v; want %v, %v", got, ok, tt.want, !tt.unread)
			}
		})
	}
}

func TestSleepEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		if err := Sleep(t.Context(), time.Minute); err != nil || time.Since(start) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		reason := errors.New("told to")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(reason) })
		if err := Sleep(ctx, time.Hour); !errors.Is(err, reason) || time.Since(start) != 61*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}
