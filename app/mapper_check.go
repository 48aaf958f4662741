package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"mssentinel/app/mapping"
	"mssentinel/app/platform"
	"mssentinel/app/regular"
	"mssentinel/app/text"
)

// maxSampleFile bounds a file of indicators for the command mapper check, in bytes.
const maxSampleFile = 64 << 20

// readMapperArguments reads the arguments of the command mapper, of which there is one kind: check.
func readMapperArguments(args []string) (o mapping.CheckOptions, err error) {
	if len(args) == 0 || args[0] != "check" {
		return o, errors.New("the command is: mapper check")
	}
	flags := flag.NewFlagSet("mapper check", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the error says it
	flags.Func("indicators", "", func(path string) error {
		samples, err := readSamples(path)
		o.Samples = append(o.Samples, samples...)
		return err
	})
	if err := flags.Parse(args[1:]); err != nil {
		return o, err
	}
	if flags.NArg() == 0 {
		return o, errors.New("mapper check needs the path of a mapper")
	}
	o.Path, o.Args = flags.Arg(0), flags.Args()[1:]
	return o, nil
}

// readSamples reads a list of indicators, or of cases as mappertest has them, or the answer of ThreatConnect to GET /v3/indicators.
func readSamples(path string) ([]mapping.Sample, error) {
	raw, err := regular.Read(path, maxSampleFile)
	if err != nil {
		return nil, fmt.Errorf("reading indicators: %w", err)
	}
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		var page struct{ Data []json.RawMessage }
		if json.Unmarshal(raw, &page) != nil || page.Data == nil {
			return nil, fmt.Errorf(`%s is no JSON list of indicators, and no answer of ThreatConnect ({"data":[…]}): %w`, path, err)
		}
		list = page.Data
	}
	samples := make([]mapping.Sample, len(list))
	for i, raw := range list {
		known := struct {
			Case      string
			Indicator json.RawMessage
		}{}
		samples[i] = mapping.Sample{Case: fmt.Sprintf("%s, number %d", filepath.Base(path), i+1), Indicator: raw}
		if json.Unmarshal(raw, &known) == nil && known.Indicator != nil {
			samples[i] = mapping.Sample{Case: filepath.Base(path) + ", " + known.Case, Indicator: known.Indicator}
		}
	}
	return samples, nil
}

// runMapperCheck is the command mapper check: it writes what it found to out, and the exit code says whether the mapper is fit.
func runMapperCheck(o mapping.CheckOptions, out io.Writer) int {
	ctx, stop := signalContext()
	defer stop()
	report, err := mapping.Check(ctx, o)
	if err == nil {
		_, err = io.WriteString(out, formatCheck(report))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "Microsoft Sentinel App:", err)
		return platform.ExitFailure
	}
	if report.Violations() > 0 {
		return platform.ExitFailure
	}
	return platform.ExitSuccess
}

// formatCheck is a report to be read in a terminal.
func formatCheck(r mapping.CheckReport) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\nSHA-256 %s\n\n", text.Visible(r.File), r.Checksum)
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%-5s  %-10s  %s\n", f.Verdict, f.Rule, text.Visible(f.Text))
		for _, detail := range f.Details {
			fmt.Fprintf(&b, "%21s%s\n", "- ", text.Line(detail, 500))
		}
	}
	verdict := "The App can use this mapper."
	if n := r.Violations(); n > 0 {
		verdict = fmt.Sprintf("This mapper is not fit for the App: see what is WRONG above (%d).", n)
	}
	return b.String() + "\n" + verdict + "\n"
}
