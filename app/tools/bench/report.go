package main

import (
	"fmt"
	"io"
	"strings"
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

// screenReport is what was measured of the screens.
type screenReport struct {
	State        screenState   `json:"state"`
	Pages        []visit       `json:"pages"`
	Interactions []interaction `json:"interactions"`
}

// checkBars names what is above its bars.
func (r screenReport) checkBars() error {
	var above []string
	for _, v := range r.Pages {
		if v.Above != "" {
			above = append(above, v.Name+" ("+v.Above+")")
		}
	}
	for _, i := range r.Interactions {
		if i.Above {
			above = append(above, i.Name)
		}
	}
	if len(above) == 0 {
		return nil
	}
	return fmt.Errorf("above the bars: %s", strings.Join(above, ", "))
}

func (r screenReport) printTables(w io.Writer) error {
	fmt.Fprintf(w, "%d queries, %d jobs, %d errors, %d live objects; a full update runs\n\n", r.State.Queries, r.State.Jobs, r.State.Errors, r.State.Live)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "bytes\tp50 ms\tp99 ms\tmax ms\tabove\t page")
	for _, v := range r.Pages {
		fmt.Fprintf(t, "%d\t%.1f\t%.1f\t%.1f\t%s\t %s\n", v.Bytes, v.P50, v.P99, v.Max, v.Above, v.Name)
	}
	fmt.Fprintln(t, "\nleast ms\tmedian ms\tmost ms\tabove\t interaction in the browser, nothing else running")
	for _, i := range r.Interactions {
		above := ""
		if i.Above {
			above = "yes"
		}
		fmt.Fprintf(t, "%.0f\t%.0f\t%.0f\t%s\t %s\n", i.Least, i.Median, i.Most, above, i.Name)
	}
	return t.Flush()
}
