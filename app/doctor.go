package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"mssentinel/app/config"
	"mssentinel/app/doctor"
	"mssentinel/app/platform"
	"mssentinel/app/regular"
	"mssentinel/app/sentinel"
	"mssentinel/app/threatconnect"
)

const (
	reportFile = "doctor.json" // in the folder of the state
	maxReport  = 1 << 20       // bytes; a report has some hundred lines of at most 2 kB
)

// rechecks are how long after a run what arrives late is asked about again.
var rechecks = doctor.AzureRechecks

// beginRecord notes that a process begins, and begins to note how the platform behaves. It costs no start.
func (s *service) beginRecord(c config.Config, log *platform.Log) error {
	folder, err := packageFolder()
	if err != nil {
		return err
	}
	if s.runs, err = platform.BeginRuns(c.OutPath, version); err != nil {
		log.Warn("how earlier runs ended is not known, or how this one ends will not be", "error", err)
	}
	s.recorder = platform.NewRecorder(platform.Given{Parameters: c.Parameters, TokenKind: platform.TokenKind(c.TCToken.Reveal()),
		TokenExpires: c.TCTokenExpires, Start: platform.ReadStart(folder, c.TempPath), Runs: s.runs.History})
	return nil
}

// noteSignal notes that a signal told the process to end, if one did.
func (s *service) noteSignal(ctx context.Context) {
	var by interrupted
	if errors.As(context.Cause(ctx), &by) {
		s.runs.Tell(platform.ToldSignal, by.signal.String())
	}
}

// endRun notes that the process ends, with err.
func (s *service) endRun(log *platform.Log, err error) {
	if s.runs == nil {
		return
	}
	if noteErr := s.runs.End(err != nil); noteErr != nil {
		log.Warn("how this run ended is not noted", "error", noteErr)
	}
}

// listProbes are the probes of a Service, in the order of the report.
func (s *service) listProbes(c config.Config, tc *threatconnect.Client, upload *sentinel.Client) []doctor.Probe {
	probes := []doctor.Probe{doctor.PlatformProbe(s.recorder.Facts), doctor.BrokerProbe(s.recorder.Facts), doctor.StoreProbe(s.recorder.AskStore)}
	return append(append(probes, listOutside(c, tc, upload, s.countLive)...), doctor.PagesProbe())
}

// listOutside are the probes of what is neither the App's nor the platform's. live returns how many objects the ledger takes
// for live; nil where there is no ledger.
func listOutside(c config.Config, tc *threatconnect.Client, upload *sentinel.Client, live func(context.Context) (int64, error)) []doctor.Probe {
	return []doctor.Probe{
		doctor.NewThreatConnectProbe(tc, apiCredentials(platformAPI(c), c)),
		doctor.AzureProbe(doctor.AzureOptions{Client: upload, Source: c.SourceSystem, Live: live}),
	}
}

// countLive counts what the ledger takes for live.
func (s *service) countLive(ctx context.Context) (int64, error) {
	return s.store.CountLive(ctx, time.Now())
}

// newDoctor makes the Doctor with the report of the last run. One that cannot be read harms nothing.
func newDoctor(c config.Config, log *platform.Log, probes []doctor.Probe) *doctor.Doctor {
	path := filepath.Join(c.OutPath, reportFile)
	last, err := readReport(path)
	if err != nil {
		log.Warn("the doctor's last report is lost, run the doctor again", "error", err)
	}
	return doctor.New(doctor.Options{Probes: probes, Version: version, Rechecks: rechecks, Clean: log.Clean, Last: last,
		Keep:   func(r doctor.Report) error { return keepReport(path, r) },
		Logger: log.With(feature, "doctor")})
}

// readReport reads a kept report; it is zero where there is none.
func readReport(path string) (doctor.Report, error) {
	var report doctor.Report
	data, err := regular.ReadOwn(path, maxReport)
	if errors.Is(err, fs.ErrNotExist) {
		return report, nil
	}
	if err != nil {
		return report, fmt.Errorf("reading the report: %w", err)
	}
	if err := json.Unmarshal(data, &report); err != nil {
		return doctor.Report{}, fmt.Errorf("%s holds no report: %w", path, err)
	}
	return report, nil
}

// keepReport takes the place of the report that was kept before.
func keepReport(path string, report doctor.Report) error {
	var data bytes.Buffer
	encoder := json.NewEncoder(&data)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(report); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return platform.ReplaceFile(path, data.Bytes(), 0o600)
}
