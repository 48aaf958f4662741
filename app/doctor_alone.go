package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"mssentinel/app/config"
	"mssentinel/app/doctor"
	"mssentinel/app/platform"
	"mssentinel/app/sentinel"
)

// doctorArguments are those of the command doctor.
type doctorArguments struct {
	doctor.Request
	quick bool // do not wait for what arrives late
}

// readDoctorArguments reads the arguments of the command doctor.
func readDoctorArguments(args []string) (o doctorArguments, err error) {
	flags := flag.NewFlagSet("doctor", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the error says it
	flags.BoolVar(&o.quick, "quick", false, "")
	flags.BoolVar(&o.LargeBodies, "large-bodies", false, "")
	flags.StringVar(&o.Variable, "variable", "", "")
	flags.StringVar(&o.Indicator, "indicator", "", "")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("doctor takes no argument %q", flags.Arg(0))
	}
	return o, nil
}

// runDoctor is the command doctor: it asks ThreatConnect and Microsoft alone, with the inputs of a Service and beside one
// that may run, writes the report to out and returns the exit code, which is a failure where an area is broken. What is
// being asked is said on standard error. It keeps nothing.
func runDoctor(o doctorArguments, out io.Writer) int {
	ctx, stop := signalContext()
	defer stop()
	c, err := config.LoadAlone(ctx, resolveVariables)
	if err != nil {
		return refuseDoctor(maskSecrets(c), err)
	}
	log, err := platform.OpenLog(c.LogPath, c.LogFile, c.LogLevel)
	if err != nil {
		return refuseDoctor(maskSecrets(c), err)
	}
	defer log.Close()
	log.Hide(c.Secrets()...)
	report, err := askAlone(ctx, c, log, o)
	if err != nil {
		return refuseDoctor(log.Clean, err)
	}
	if _, err := io.WriteString(out, report.Text()); err != nil {
		return refuseDoctor(log.Clean, fmt.Errorf("printing the report: %w", err))
	}
	if len(report.Broken()) > 0 {
		return platform.ExitFailure
	}
	return platform.ExitSuccess
}

// refuseDoctor says why there is no report. message.tc is the Service's and stays as it is.
func refuseDoctor(clean func(string) string, err error) int {
	fmt.Fprintln(os.Stderr, "Microsoft Sentinel App:", clean(err.Error()))
	return platform.ExitFailure
}

// askAlone runs the doctor once.
func askAlone(ctx context.Context, c config.Config, log *platform.Log, o doctorArguments) (doctor.Report, error) {
	upload, err := newSentinel(c, log, sentinel.NewPacer(nil, c.UploadRequestsPerMinute, c.UploadWindow))
	if err != nil {
		return doctor.Report{}, err
	}
	options := doctor.Options{Probes: listOutside(c, newThreatConnect(c, log), upload, nil), Version: version, Clean: log.Clean,
		Keep: func(doctor.Report) error { return nil }, Logger: log.With(feature, "doctor")}
	if !o.quick {
		options.Rechecks = rechecks
	}
	d := doctor.New(options)
	if err := d.Ask(o.Request); err != nil {
		return doctor.Report{}, err
	}
	err = d.Run(ctx, func(doing string) { fmt.Fprintln(os.Stderr, "Microsoft Sentinel App:", doing) })
	report, ok := d.Last()
	if !ok || err != nil && !errors.As(context.Cause(ctx), new(interrupted)) {
		return report, err // an interrupted run has a report that says so
	}
	return report, nil
}
