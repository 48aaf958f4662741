package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// report is what was measured.
type report struct {
	Indicators   int      `json:"indicators"`
	ReadySeconds float64  `json:"ready_seconds"` // from the App's start until it answered
	Updates      []update `json:"updates"`
}

// update is what one update took. Sizes are in bytes, the database's with its log.
type update struct {
	Name          string    `json:"name"`
	Objects       int       `json:"objects"`  // that the mappers gave
	Uploaded      int       `json:"uploaded"` // of them, those that Sentinel took
	Seconds       float64   `json:"seconds"`  // from the first request to the last answer
	CPUSeconds    float64   `json:"cpu_seconds"`
	Live          int       `json:"live"` // objects in Sentinel
	DatabaseBytes int64     `json:"database_bytes"`
	CleanBytes    int64     `json:"clean_bytes"` // after the Cleaner
	Processes     []process `json:"processes"`
}

// amountPer is the amount for one of n; 0 where n is 0.
func amountPer(amount float64, n int) float64 {
	if n == 0 {
		return 0
	}
	return amount / float64(n)
}

const mega = 1 << 20

func (r report) printTables(w io.Writer) error {
	fmt.Fprintf(w, "%d indicators; the App was ready after %.2f s\n\n", r.Indicators, r.ReadySeconds)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "update\tobjects\tuploaded\ts\tobjects/s\tCPU s\tCPU µs/object\tdatabase MB\tB/live object\tafter Cleaner\t")
	for _, u := range r.Updates {
		fmt.Fprintf(t, "%s\t%d\t%d\t%.2f\t%.0f\t%.2f\t%.1f\t%.1f\t%.0f\t%.0f\t\n", u.Name, u.Objects, u.Uploaded, u.Seconds,
			float64(u.Objects)/max(u.Seconds, 1e-3), u.CPUSeconds, amountPer(u.CPUSeconds*1e6, u.Objects), float64(u.DatabaseBytes)/mega,
			amountPer(float64(u.DatabaseBytes), u.Live), amountPer(float64(u.CleanBytes), u.Live))
	}
	for _, u := range r.Updates {
		fmt.Fprintf(t, "\n%s\tCPU s\tCPU µs/object\tpeak MB\tshare MB\t\n", u.Name)
		for _, p := range u.Processes {
			fmt.Fprintf(t, "%s\t%.2f\t%.1f\t%.1f\t%.1f\t\n", p.Name, p.CPUSeconds, amountPer(p.CPUSeconds*1e6, u.Objects),
				float64(p.PeakBytes)/mega, float64(p.PSSBytes)/mega)
		}
	}
	return t.Flush()
}
