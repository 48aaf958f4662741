package main

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
)

// versusReport is what two packages took for the same work, round by round.
type versusReport struct {
	Comparisons []comparison `json:"comparisons"`
	Newer       []report     `json:"newer"`
	Older       []report     `json:"older"`
}

// comparison is one measure of both packages. Ratio is of the newer to the older in each round; a round in
// which the older has 0 gives none.
type comparison struct {
	Stage   string `json:"stage"`
	Measure string `json:"measure"`
	Newer   spread `json:"newer"`
	Older   spread `json:"older"`
	Ratio   spread `json:"ratio"`
}

// spread is of some figures.
type spread struct {
	Median float64 `json:"median"`
	Least  float64 `json:"least"`
	Most   float64 `json:"most"`
}

// measureVersus measures both packages in turn, with the same population, and each time with an empty database and stand-ins of their
// own. They take turns at being first, so that what else changes on the machine meanwhile favours neither. Of the older package it
// uses only what every package offers: what a standalone App is set by, and the routes for queries, jobs and tasks.
func measureVersus(ctx context.Context, o options) (r versusReport, err error) {
	switch {
	case o.rounds < 1:
		return r, fmt.Errorf("-rounds %d: use a number from 1", o.rounds)
	case o.state != "" || o.cpu != "" || o.mem != "":
		return r, errors.New("-state, -cpuprofile and -memprofile are of one package alone: leave them out with -vs; TMPDIR says where the databases are")
	}
	population, err := readPopulation(o)
	if err != nil {
		return r, err
	}
	folder, err := os.MkdirTemp("", "bench-vs")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	older := o
	if older.app, err = unpackPackage(o.versus, folder); err != nil {
		return r, fmt.Errorf("unpacking %s: %w", o.versus, err)
	}
	for round := range o.rounds {
		sides := []struct {
			name    string
			options options
			reports *[]report
		}{{"this package", o, &r.Newer}, {"the other", older, &r.Older}}
		if round%2 == 1 {
			slices.Reverse(sides)
		}
		for _, side := range sides {
			fmt.Fprintf(os.Stderr, "round %d of %d: %s\n", round+1, o.rounds, side.name)
			one, err := measurePackage(ctx, side.options, population)
			if err != nil {
				return r, fmt.Errorf("%s: %w", side.name, err)
			}
			*side.reports = append(*side.reports, one)
		}
	}
	r.Comparisons = compareReports(r.Newer, r.Older)
	return r, nil
}

// unpackPackage returns the folder that the package brings.
func unpackPackage(tcx, folder string) (string, error) {
	archive, err := zip.OpenReader(tcx)
	if err != nil {
		return "", err
	}
	defer archive.Close()
	if err := os.CopyFS(folder, archive); err != nil {
		return "", err
	}
	apps, err := filepath.Glob(filepath.Join(folder, "*", "app"))
	if err != nil || len(apps) != 1 {
		return "", errors.Join(err, errors.New("it is not a package of this App"))
	}
	return filepath.Dir(apps[0]), nil
}

// compareReports goes through the stages, of which every report has the same.
func compareReports(newer, older []report) (all []comparison) {
	for i, u := range newer[0].Updates {
		stage := func(r report) update { return r.Updates[i] }
		all = append(all, compareStage(u.Name, measures, selectEach(newer, stage), selectEach(older, stage))...)
	}
	stage := func(r report) idle { return r.Idle }
	return append(all, compareStage("idle", idleMeasures, selectEach(newer, stage), selectEach(older, stage))...)
}

// compareStage takes each measure of one round after the other.
func compareStage[T any](stage string, measures []measure[T], newer, older []T) (all []comparison) {
	for _, m := range measures {
		all = append(all, compare(stage, m.name, selectEach(newer, m.of), selectEach(older, m.of)))
	}
	return all
}

func selectEach[T, U any](list []T, of func(T) U) []U {
	all := make([]U, len(list))
	for i, one := range list {
		all[i] = of(one)
	}
	return all
}

func compare(stage, measure string, newer, older []float64) comparison {
	var ratios []float64
	for i, n := range newer {
		if older[i] != 0 {
			ratios = append(ratios, n/older[i])
		}
	}
	return comparison{stage, measure, newSpread(newer), newSpread(older), newSpread(ratios)}
}

// newSpread is of any number of figures; of none it is 0.
func newSpread(list []float64) spread {
	if len(list) == 0 {
		return spread{}
	}
	sorted := slices.Sorted(slices.Values(list))
	middle := len(sorted) / 2
	s := spread{Median: sorted[middle], Least: sorted[0], Most: sorted[len(sorted)-1]}
	if len(sorted)%2 == 0 {
		s.Median = (sorted[middle-1] + sorted[middle]) / 2
	}
	return s
}

func (r versusReport) printTables(w io.Writer) error {
	fmt.Fprintf(w, "%d indicators, %d rounds; medians, and the ratios new/old\n", r.Newer[0].Indicators, len(r.Newer))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	stage := ""
	for _, c := range r.Comparisons {
		if c.Stage != stage {
			stage = c.Stage
			fmt.Fprintf(t, "\n%s\tnew\told\tnew/old\tleast\tmost\t\n", stage)
		}
		fmt.Fprintf(t, "%s\t%.1f\t%.1f\t", c.Measure, c.Newer.Median, c.Older.Median)
		if c.Older.Most == 0 {
			fmt.Fprintln(t, "–\t–\t–\t")
			continue
		}
		fmt.Fprintf(t, "%.2f\t%.2f\t%.2f\t\n", c.Ratio.Median, c.Ratio.Least, c.Ratio.Most)
	}
	return t.Flush()
}
