package templates

import (
	"strings"
	"testing"
	"time"
)

func TestFormats(t *testing.T) {
	noon := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	running := &Progress{Title: "Full update", Stages: []StageBar{{"Download", "", 100}, {"Convert", "", 90}, {"Upload", "", -1}}}
	for got, want := range map[string]string{
		Number(0):                                  "0",
		Number(999):                                "999",
		Number(1000):                               "1,000",
		Number(-1234567):                           "-1,234,567",
		Amount(1, "object", "objects"):             "1 object",
		Amount(0, "object", "objects"):             "0 objects",
		Amount(12345, "object", "objects"):         "12,345 objects",
		Duration(400 * time.Millisecond):           "1 s",
		Duration(59 * time.Second):                 "59 s",
		Duration(59*time.Second + 1):               "1 min 0 s",
		Duration(65 * time.Minute):                 "1 h 5 min",
		Duration(49 * time.Hour):                   "2 d 1 h",
		formatRate(0.04):                           "0.0",
		formatRate(9.94):                           "9.9",
		formatRate(1666.6):                         "1,667",
		barText(Bar{"", "objects", 999, 1000}):     "999 of 1,000 objects · 99 %",
		barText(Bar{"", "objects", 7, 0}):          "7 objects",
		className("Upload In Progress"):            "upload-in-progress",
		shortID("5f0c6a52-4c1b"):                   "5f0c6a52",
		formatMinutes(90 * time.Second):            "1.5",
		Instant(time.Time{}):                       "–",
		Instant(noon.In(time.FixedZone("", 3600))): "2026-11-24 12:00:00\u00a0UTC",
		summarizeChoices([]Choice{{"a", "a", false}, {"b", "b", false}}):                                                                "All",
		summarizeChoices([]Choice{{"a", "a", true}, {"b", "b", true}}):                                                                  "All",
		summarizeChoices([]Choice{{"a", "a", false}, {"Failed", "Failed", true}}):                                                       "Failed",
		summarizeChoices([]Choice{{"a", "a", true}, {"b", "b", true}, {"c", "c", true}, {"d", "d", false}}):                             "3 of 4",
		JoinWithVerb([]string{"A"}, "is", "are"):                                                                                        "A is",
		JoinWithVerb([]string{"A", "B", "C"}, "is", "are"):                                                                              "A, B and C are",
		announceProgress(running):                                                                                                       "Full update, Download 100 %, Convert 90 %",
		announceProgress(&Progress{Title: "Full update", Stages: []StageBar{{"Up", "", 95}}}):                                           "Full update, Up 90 %",
		announceProgress(&Progress{Title: "Full update", Blocked: true, Wait: "Upload is paused.", Stages: []StageBar{{"Up", "", 95}}}): "Full update waits. Upload is paused.",
		describeTimeLeft(&Progress{Blocked: true}):                                                                                      "not known",
		describeTimeLeft(&Progress{}):                                                                                                   "not known yet",
		describeTimeLeft(&Progress{Remaining: time.Minute}):                                                                             "about 1 min 0 s",
		describeTimeLeft(&Progress{Remaining: time.Minute, AtLeast: true}):                                                              "at least 1 min 0 s",
		announceProgress(nil): "",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// A runtime fits the two instants as they are shown.
func TestRuntime(t *testing.T) {
	at := func(s string) time.Time {
		t.Helper()
		at, err := time.Parse(time.TimeOnly, s)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	for _, tt := range []struct{ from, to, want string }{
		{"08:04:15", "08:04:15.999", "under 1 s"},
		{"08:04:15.1", "08:04:16.9", "1 s"},
		{"08:04:15.9", "08:04:16.1", "1 s"},
		{"08:04:15", "08:06:16", "2 min 1 s"},
		{"08:04:16", "08:04:15", "under 1 s"},
	} {
		if got := Runtime(at(tt.from), at(tt.to)); got != tt.want {
			t.Errorf("%s to %s: %q, want %q", tt.from, tt.to, got, tt.want)
		}
	}
}

// Names of right-to-left scripts stay in their order, however many there are.
func TestIsolatedNames(t *testing.T) {
	arabic := "شركة"
	for _, tt := range []struct {
		names []string
		want  string
	}{
		{nil, ""},
		{[]string{"a", "b"}, "a, b"},
		{[]string{arabic, "b <b>"}, "<bdi>" + arabic + "</bdi>, <bdi>b &lt;b&gt;</bdi>"},
		{[]string{arabic + strings.Repeat("a", maxShort-len(arabic)-2), "b", "c"}, "<bdi>" + arabic + strings.Repeat("a", maxShort-len(arabic)-2) + "</bdi>, <bdi>…</bdi>"},
	} {
		var drawn strings.Builder
		if err := isolatedNames(tt.names).Render(t.Context(), &drawn); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(strings.Fields(drawn.String()), " "); got != tt.want {
			t.Errorf("%q is drawn as %s", tt.names, got)
		}
	}
}
