package main

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mssentinel/app/config"
	"mssentinel/app/doctor"
	"mssentinel/app/mapping"
	"mssentinel/app/pipeline"
	"mssentinel/app/platform"
	"mssentinel/app/sentinel"
	"mssentinel/app/store"
	"mssentinel/app/threatconnect"
	"mssentinel/app/web"
)

// feature is the attribute of a log line that names the package it comes from. Lines without it are about the process
// itself.
const feature = "feature"

// service is everything that lives as long as the process.
type service struct {
	store    *store.Store
	mappers  *mapping.Host
	runs     *platform.Runs
	recorder *platform.Recorder
	doctor   *doctor.Doctor
	pipeline *pipeline.Pipeline
	handler  http.Handler
}

// serveUntilEnd opens the parts, runs them until ctx ends or the platform says so, and closes them.
func serveUntilEnd(ctx context.Context, c config.Config, log *platform.Log) (err error) {
	s, err := openService(ctx, c, log)
	defer func() { s.endRun(log, err) }()
	if err != nil {
		if ctx.Err() != nil {
			return interruption(ctx, c) // told to end before the start was complete
		}
		return err
	}
	defer context.AfterFunc(ctx, func() { s.noteSignal(ctx) })()
	var told atomic.Bool // by the platform
	err = runTogether(ctx, log.Logger, s.pipeline.Run, func(ctx context.Context, start func(), stop func(context.Context)) error {
		if c.Platform == nil {
			return serveHTTP(ctx, c.HTTPAddr, s.handler, log, start, stop)
		}
		return platform.Run(ctx, *c.Platform, s.handler, platform.Options{
			Logger: log.With(feature, "platform"), Level: log.Level, API: platformAPI(c), Start: start, Stop: stop, Slow: web.MayTakeLong,
			Recorder: s.recorder, Shutdown: func(reason string) {
				told.Store(true)
				s.runs.Tell(platform.ToldShutdown, log.Clean(reason))
			},
		})
	}, s.closeParts)
	if err == nil && !told.Load() {
		return interruption(ctx, c)
	}
	return err
}

// endLimit bounds the end of the work, and closing, once requests are not served any more.
const endLimit = 2 * time.Second

// runTogether runs work beside serve until both have ended, and then closeAll. Work begins when serve calls start, so
// that a Service which nobody can reach sends nothing. When ctx ends, work goes on until serve calls stop or returns,
// so that a request to Sentinel can finish; stop waits for it as long as its own context lasts. Without work serve ends
// too.
func runTogether(ctx context.Context, log *slog.Logger, work func(context.Context) error,
	serve func(ctx context.Context, start func(), stop func(limit context.Context)) error, closeAll func() error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	var workErr error
	started, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-started:
			defer cancel()
			workErr = work(life)
		case <-life.Done():
		}
	}()
	err := serve(ctx, sync.OnceFunc(func() { close(started) }), func(limit context.Context) {
		end()
		select {
		case <-ended:
		case <-limit.Done():
		}
	})
	end()
	closed := make(chan error, 1)
	go func() {
		<-ended
		closed <- errors.Join(workErr, closeAll())
	}()
	select {
	case rest := <-closed:
		return errors.Join(err, rest)
	case <-time.After(endLimit):
		// What hangs must not keep the process alive. It costs no more than a crash at this moment would.
		log.Warn("work or mappers did not end in time; what was left half-done is done again")
		return err
	}
}

// openService opens the parts. With an error it returns what there is, closed but for endRun.
func openService(ctx context.Context, c config.Config, log *platform.Log) (s *service, err error) {
	s = &service{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.closeParts())
		}
	}()
	log.Info("starting", "app", "Microsoft Sentinel", "version", version, "pid", os.Getpid(), "go", runtime.Version(),
		"machine", runtime.GOOS+"/"+runtime.GOARCH, "workspace", c.WorkspaceID, "source", c.SourceSystem, "state", c.OutPath)
	if s.store, err = store.Open(ctx, c.OutPath); err != nil {
		return s, err
	}
	if err = s.beginRecord(c, log); err != nil {
		return s, err
	}
	for _, folder := range []string{c.OutPath, c.LogPath} {
		if warning := sharedFolder(folder); warning != "" {
			log.Warn(warning)
		}
	}
	if s.mappers, err = openMappers(ctx, c, log); err != nil {
		return s, err
	}
	tc := newThreatConnect(c, log)
	pacer := sentinel.NewPacer(s.store, c.UploadRequestsPerMinute, c.UploadWindow)
	upload, err := newSentinel(c, log, pacer)
	if err != nil {
		return s, err
	}
	build, err := readBuild()
	if err != nil {
		log.Warn("what indicators give is made anew in each update, as it is not known which build this is", "error", err)
	}
	s.doctor = newDoctor(c, log, s.listProbes(c, tc, upload))
	s.pipeline = pipeline.New(pipeline.Options{Store: s.store, ThreatConnect: tc, Sentinel: upload, Standing: upload,
		Mappers: s.mappers, Notifier: newNotifier(c, tc), Version: version, Build: build,
		Workspace: c.WorkspaceID, Source: c.SourceSystem, Interval: c.ScheduleInterval, FullInterval: c.FullUpdateInterval,
		TTL: c.TTL, Pace: objectsPerSecond(c), Examine: s.doctor.Run, ReleaseMemory: s.releaseMemory, Logger: log.With(feature, "pipeline")})
	key, err := deriveFormKey(c)
	if err != nil {
		return s, err
	}
	s.handler = web.New(web.Options{Store: s.store, Pipeline: s.pipeline, ThreatConnect: tc, Doctor: s.doctor, Types: typeNames(s.mappers),
		ObjectsPerSecond: objectsPerSecond(c), Settings: listSettings(c, s.mappers.Installed(), s.mappers.Refused()), Connections: listConnections(c, tc, upload),
		Version: version, Caller: platform.Caller, Source: c.SourceSystem, ThreatConnectPages: strings.TrimSuffix(c.TCAPIPath, "/api"), Key: key, Logger: log.With(feature, "web")})
	return s, nil
}

// newNotifier gives what sends notifications to people, nil where they shall not be notified.
func newNotifier(c config.Config, tc *threatconnect.Client) pipeline.Notifier {
	if !c.Notifications {
		return nil
	}
	return tc
}

// newThreatConnect makes the client of ThreatConnect's API.
func newThreatConnect(c config.Config, log *platform.Log) *threatconnect.Client {
	return threatconnect.New(threatconnect.Options{BaseURL: c.TCAPIPath, AccessID: c.TCAccessID, SecretKey: c.TCSecretKey.Reveal,
		Transport: log.MaskErrors(c.Network.ThreatConnect()), UserAgent: userAgent(), Logger: log.With(feature, "threatconnect")})
}

// newSentinel makes the client of Sentinel.
func newSentinel(c config.Config, log *platform.Log, pacer *sentinel.Pacer) (*sentinel.Client, error) {
	client, err := sentinel.New(sentinel.Options{Cloud: c.AzureCloud, AuthorityURL: c.AuthorityURL, UploadURL: c.UploadURL,
		LogAnalyticsURL: c.LogAnalyticsURL, TenantID: c.TenantID, ClientID: c.ClientID, Secret: c.ClientSecret.Reveal, WorkspaceID: c.WorkspaceID,
		Transport: log.MaskErrors(c.Network.External()), Pacer: pacer, UserAgent: userAgent(), Logger: log.With(feature, "sentinel")})
	if err != nil {
		return nil, fmt.Errorf("reaching Sentinel: %w", err)
	}
	return client, nil
}

// sharedFolder says that others can write to a folder of ours; "" where they cannot. Who can exchanges the database. It is
// no error, since the platform makes these folders as it likes.
func sharedFolder(path string) string {
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm()&0o022 == 0 {
		return ""
	}
	return fmt.Sprintf("other users of the machine may write to the folder %s (mode %04o): take that right away with chmod go-w", path, info.Mode().Perm())
}

// deriveFormKey makes the key that signs forms and unsaved lists from the secrets of the Service. So it is the same after
// a restart, when open pages go on to work, and nothing has to keep it.
func deriveFormKey(c config.Config) ([]byte, error) {
	key, err := hkdf.Key(sha256.New, []byte(c.ClientSecret.Reveal()+"\x00"+c.TCSecretKey.Reveal()), nil, "forms of the screens", sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("making the key of the forms: %w", err)
	}
	return key, nil
}

// objectsPerSecond is how many objects a second the limit on requests allows; 0 where there is none.
func objectsPerSecond(c config.Config) float64 {
	return float64(c.UploadRequestsPerMinute*sentinel.MaxObjects) / c.UploadWindow.Seconds()
}

func openMappers(ctx context.Context, c config.Config, log *platform.Log) (*mapping.Host, error) {
	dir, err := packageFolder()
	if err != nil {
		return nil, err
	}
	host, err := mapping.Open(ctx, mapping.Options{Dir: dir, ExtraDir: c.MapperDir, TempDir: c.TempPath, Logger: log.With(feature, "mapping")})
	if err != nil {
		return nil, fmt.Errorf("starting the mappers: %w", err)
	}
	return host, nil
}

// packageFolder is where the package was unpacked. run.py names it even where it had to start a copy of the executable.
func packageFolder() (string, error) {
	if filepath.IsAbs(os.Args[0]) {
		return filepath.Dir(os.Args[0]), nil
	}
	executable, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("finding the App's own folder: %w", err)
	}
	return filepath.Dir(executable), nil
}

func typeNames(host *mapping.Host) []string {
	var names []string
	for _, t := range host.Types() {
		names = append(names, t.Name)
	}
	slices.Sort(names)
	return names
}

// closeParts ends the parts in the reverse order of their opening.
func (s *service) closeParts() error {
	var errs []error
	if s.mappers != nil {
		errs = append(errs, s.mappers.Close())
	}
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	return errors.Join(errs...)
}
