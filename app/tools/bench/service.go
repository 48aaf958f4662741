package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"mssentinel/app/standin/tcplatform"
	"mssentinel/app/standin/tcserver"
)

// service is the package as a Service behind the stand-in of the platform, with its broker, its store and its heartbeats.
type service struct {
	bench
	platform *tcplatform.Platform
	service  *tcplatform.Service
	printed  printed
}

// printed is what the App printed: nothing, until it is made to tell of its goroutines.
type printed struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (p *printed) Write(data []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(data)
}

// takeText returns what was printed since the last time.
func (p *printed) takeText() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.text.Reset()
	return p.text.String()
}

// startService starts the stand-ins and installs the package. The Service is off.
func startService(o options, heartbeat time.Duration) (_ *service, err error) {
	population, err := readPopulation(o)
	if err != nil {
		return nil, err
	}
	s := &service{bench: bench{options: o, tc: tcserver.New(tcserver.Options{Population: population}), cloud: newSentinel(o)}}
	endpoint, err := s.cloud.Listen("127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.platform, err = tcplatform.Start(tcplatform.Options{API: s.tc, Output: &s.printed, HeartbeatEvery: heartbeat,
		Environ: cloudVariables(endpoint.URL, o.limit)})
	if err != nil {
		return nil, err
	}
	if s.service, err = addService(s.platform, o.app); err != nil {
		return nil, errors.Join(err, s.platform.Close())
	}
	s.app = &app{url: s.service.URL() + "/"}
	return s, nil
}

// cloudVariables lead the App to Sentinel's stand-in. limit is that of requests a minute, 0 for none.
func cloudVariables(url string, limit int) []string {
	return []string{"MS_SENTINEL_AUTHORITY_URL=" + url, "MS_SENTINEL_UPLOAD_URL=" + url, "MS_SENTINEL_LOG_ANALYTICS_URL=" + url,
		fmt.Sprint("MS_SENTINEL_UPLOAD_REQUESTS_PER_MINUTE=", limit)}
}

// addService installs the package beside the unpacked one in folder, and makes a Service of it, which is off and is never
// restarted.
func addService(p *tcplatform.Platform, folder string) (*tcplatform.Service, error) {
	installed, err := p.Install(filepath.Clean(folder) + ".tcx")
	if err != nil {
		return nil, err
	}
	return p.AddService(installed, tcplatform.ServiceOptions{Name: "Bench", MaxRestarts: -1, Parameters: serviceParameters()})
}

// serviceParameters are what the administrator of the Service types in.
func serviceParameters() map[string]string {
	values := map[string]string{
		"client_id": clientID, "client_secret": clientSecret, "tenant_id": tenantID, "sentinel_workspace_id": workspaceID,
		"sentinel_source_name": "Bench", "tc_api_access_id": tcserver.DefaultAccessID, "tc_api_secret_key": tcserver.DefaultSecretKey,
		"schedule_interval_hours": "8760", "full_update_interval_days": "0",
	}
	for _, kind := range []string{"address", "asn", "cidr", "email_address", "email_subject", "file", "host", "registry_key", "url"} {
		values["ttl_hours_"+kind] = "720"
	}
	return values
}

// turnOn returns when the Service is Ready.
func turnOn(ctx context.Context, service *tcplatform.Service) error {
	if err := service.TurnOn(); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	if err := service.WaitRunning(limited); err != nil {
		return fmt.Errorf("the Service did not start: %w", err)
	}
	return nil
}

// runUpdate has an update done, and returns when it is over.
func (s *service) runUpdate(ctx context.Context, queue func(context.Context) error) error {
	if err := queue(ctx); err != nil {
		return err
	}
	_, err := s.awaitJob(ctx)
	return err
}

// usage is what the App holds of the machine at an instant.
type usage struct {
	At          time.Duration `json:"at"` // since the beginning
	MemoryBytes int64         `json:"memory_bytes"`
	Descriptors int           `json:"descriptors"`
	Threads     int           `json:"threads"`
	Mappers     int           `json:"mappers"`
	Files       int           `json:"files"` // in the folders of the Service
	DiskBytes   int64         `json:"disk_bytes"`
	Lines       int           `json:"lines"` // on REPORT, which keeps them for 30 days however many they are
}

// measureUsage looks at the process of the App, and at the folders of its Service.
func (s *service) measureUsage(ctx context.Context, began time.Time) (u usage, err error) {
	pid := s.service.Status().PID
	u = usage{At: time.Since(began), MemoryBytes: readAmount(fmt.Sprintf("/proc/%d/status", pid), "VmRSS:"), Mappers: len(childProcesses(pid))}
	for name, n := range map[string]*int{"fd": &u.Descriptors, "task": &u.Threads} {
		entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/%s", pid, name))
		if err != nil {
			return u, fmt.Errorf("the App is gone: %w", err)
		}
		*n = len(entries)
	}
	var report struct {
		Total int `json:"total_count"`
	}
	if err := s.app.callRoute(ctx, http.MethodGet, "api/report/batch-error?limit=1", nil, &report); err != nil {
		return u, err
	}
	u.Lines = report.Total
	err = filepath.WalkDir(s.service.Folder(), func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return ignoreMissing(err)
		}
		info, err := entry.Info()
		if err != nil {
			return ignoreMissing(err)
		}
		u.Files++
		u.DiskBytes += info.Size()
		return nil
	})
	return u, err
}

// ignoreMissing lets go of a file that went away while the folder was read.
func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// countGoroutines has the App end and tell on its way out which goroutines it has.
func (s *service) countGoroutines(ctx context.Context) (int, error) {
	s.printed.takeText()
	if err := syscall.Kill(s.service.Status().PID, syscall.SIGQUIT); err != nil {
		return 0, fmt.Errorf("asking the App for its goroutines: %w", err)
	}
	limited, cancel := context.WithTimeout(ctx, stopLimit)
	defer cancel()
	if _, err := s.service.Wait(limited, func(status tcplatform.Status) bool { return status.State == tcplatform.Failed }); err != nil {
		return 0, fmt.Errorf("the App does not end: %w", err)
	}
	n := strings.Count(s.printed.takeText(), "\ngoroutine ")
	if n == 0 {
		return 0, errors.New("the App told of no goroutine")
	}
	return n, nil
}

// explainEnd adds to an error how the App ended, if it has.
func (s *service) explainEnd(err error) error {
	if exit := s.service.Status().Exit; exit != nil {
		return fmt.Errorf("%w; the App ended with code %d: %s %s", err, exit.Code, exit.Message, exit.Output)
	}
	return fmt.Errorf("%w; the App runs, and its log ends in %q", err, s.service.LogTail(3))
}

// closeService ends everything.
func (s *service) closeService() error {
	s.service.TurnOff()
	err := s.platform.Close()
	s.tc.Close()
	s.cloud.Close()
	return err
}
