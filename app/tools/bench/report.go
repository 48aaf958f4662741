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
	Idle         idle     `json:"idle"`
}

// update is what one update took, and the Cleaner after it. Sizes are in bytes.
type update struct {
	Name     string  `json:"name"`
	Objects  int     `json:"objects"`  // that the mappers gave
	Uploaded int     `json:"uploaded"` // of them, those that Sentinel took
	Seconds  float64 `json:"seconds"`  // from the first request to the last answer
	Live     int     `json:"live"`     // objects in Sentinel
	consumption
	Cleaner    consumption `json:"cleaner"`
	CleanBytes int64       `json:"clean_bytes"` // of the database after the Cleaner
	Processes  []process   `json:"processes"`
}

// measures are what is compared of updates. Memory is the largest sum of all processes, the database's size that while the update
// and the Cleaner work.
var measures = []measure[update]{
	{"objects/s", func(u update) float64 { return float64(u.Objects) / max(u.Seconds, 1e-3) }},
	{"CPU µs/object", func(u update) float64 { return amountPer(u.CPUSeconds*1e6, u.Objects) }},
	{"CPU with Cleaner", func(u update) float64 { return amountPer((u.CPUSeconds+u.Cleaner.CPUSeconds)*1e6, u.Objects) }},
	{"written B/object", func(u update) float64 { return amountPer(float64(u.WrittenBytes), u.Objects) }},
	{"written with Cleaner", func(u update) float64 { return amountPer(float64(u.WrittenBytes+u.Cleaner.WrittenBytes), u.Objects) }},
	{"memory MB", func(u update) float64 { return float64(max(u.PSSBytes, u.Cleaner.PSSBytes)) / mega }},
	{"database B/live object", func(u update) float64 {
		return amountPer(float64(max(u.DatabaseBytes, u.Cleaner.DatabaseBytes)), u.Live)
	}},
	{"after Cleaner", func(u update) float64 { return amountPer(float64(u.CleanBytes), u.Live) }},
}

// measure is a figure of what was measured.
type measure[T any] struct {
	name string
	of   func(T) float64
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
	fmt.Fprint(t, "update\tobjects\tuploaded\ts\t")
	for _, m := range measures {
		fmt.Fprintf(t, "%s\t", m.name)
	}
	for _, u := range r.Updates {
		fmt.Fprintf(t, "\n%s\t%d\t%d\t%.2f\t", u.Name, u.Objects, u.Uploaded, u.Seconds)
		for _, m := range measures {
			fmt.Fprintf(t, "%.1f\t", m.of(u))
		}
	}
	fmt.Fprintln(t)
	for _, u := range r.Updates {
		fmt.Fprintf(t, "\n%s\tCPU s\tCPU µs/object\tpeak MB\tshare MB\t\n", u.Name)
		for _, p := range u.Processes {
			fmt.Fprintf(t, "%s\t%.2f\t%.1f\t%.1f\t%.1f\t\n", p.Name, p.CPUSeconds, amountPer(p.CPUSeconds*1e6, u.Objects),
				float64(p.PeakBytes)/mega, float64(p.PSSBytes)/mega)
		}
	}
	fmt.Fprintf(t, "\nidle for %.0f s\t", r.Idle.Seconds)
	for _, m := range idleMeasures {
		fmt.Fprintf(t, "%s\t", m.name)
	}
	fmt.Fprint(t, "\n\t")
	for _, m := range idleMeasures {
		fmt.Fprintf(t, "%.1f\t", m.of(r.Idle))
	}
	fmt.Fprintln(t)
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
