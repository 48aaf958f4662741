package templates

import (
	"testing"
	"time"
)

func TestFormats(t *testing.T) {
	for got, want := range map[string]string{
		Number(0):                                       "0",
		Number(999):                                     "999",
		Number(1000):                                    "1,000",
		Number(-1234567):                                "-1,234,567",
		Amount(1, "object", "objects"):                  "1 object",
		Amount(0, "object", "objects"):                  "0 objects",
		Amount(12345, "object", "objects"):              "12,345 objects",
		Duration(400 * time.Millisecond):                "1 s",
		Duration(59 * time.Second):                      "59 s",
		Duration(59*time.Second + 1):                    "1 min 0 s",
		Duration(65 * time.Minute):                      "1 h 5 min",
		Duration(49 * time.Hour):                        "2 d 1 h",
		formatRate(0.04):                                "0.0",
		formatRate(9.94):                                "9.9",
		formatRate(1666.6):                              "1,667",
		barText(Bar{"", "objects", 999, 1000}):          "999 of 1,000 objects · 99 %",
		barText(Bar{"", "objects", 7, 0}):               "7 objects",
		className("Upload In Progress"):                 "upload-in-progress",
		shortID(jobID):                                  "5f0c6a52",
		formatMinutes(90 * time.Second):                 "1.5",
		formatTime(time.Time{}):                         "–",
		formatTime(noon.In(time.FixedZone("", 3600))):   "2026-11-24 12:00:00\u00a0UTC",
		summarizeChoices(statuses()):                    "All",
		summarizeChoices(statuses("Pending", "Failed")): "All",
		summarizeChoices(statuses("Failed")):            "Failed",
		summarizeChoices([]Choice{{"a", "a", true}, {"b", "b", true}, {"c", "c", true}, {"d", "d", false}}): "3 of 4",
		joinWithVerb([]string{"A"}, "is", "are"):                                                            "A is",
		joinWithVerb([]string{"A", "B", "C"}, "is", "are"):                                                  "A, B and C are",
		announceProgress(progressed()):                                                                      "Upload, Download 100 %, Upload 0 %",
		announceProgress(&Progress{Stage: "Upload", Bars: []Bar{{"Up", "", 19, 20}}}):                       "Upload, Up 90 %",
		announceProgress(nil): "",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
