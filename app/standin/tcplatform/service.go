package tcplatform

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"mssentinel/app/retry"
)

// State is what the Services page shows of a Service.
type State string

// What a State may be.
const (
	Stopped    State = "Stopped"
	Starting   State = "Starting" // launched, and not Ready yet
	Running    State = "Running"
	Stopping   State = "Stopping"
	Restarting State = "Restarting" // failed, and waiting to be started again
	Failed     State = "Failed"     // as often as it may
)

// ServiceOptions describe a Service as an administrator does when adding it.
type ServiceOptions struct {
	Name        string            // the App's display name
	Path        string            // API Path; the App's own
	Parameters  map[string]string // by name; what is missing gets its default
	Inputs      map[string]string // as Options.Inputs, for this one
	MaxRestarts int               // on failure; 10, and none when negative

	Damage func(sealed []byte) []byte // changes the encrypted parameter file; may be nil
}

// Service is one configured instance of an App.
type Service struct {
	App      *App
	platform *Platform
	o        ServiceOptions
	dir      string // holds in, out, log and tmp

	mu         sync.Mutex
	parameters map[string]string
	status     Status
	silent     bool          // sends no heartbeats
	changed    chan struct{} // closed at each change of status
	current    *launch       // nil while no process runs
	off        context.CancelFunc
	done       chan struct{} // closed when the Service is off
}

// Status is a Service at one moment.
type Status struct {
	State    State
	PID      int // of the process that was launched; 0 while there is none
	Restarts int // since it was turned on
	Exit     *Exit
	Metrics  map[string]int64 // as the last heartbeat told them
	Received map[string]int   // messages since the Service was added, such as Ready or Acknowledged/RunService
	Strays   []string         // messages that the protocol has no place for
}

// Exit is how a process ended.
type Exit struct {
	Code    int    // -1: by a signal
	Message string // of message.tc
	Output  string // the end of standard output and error
}

// AddService adds a Service that is off.
func (p *Platform) AddService(app *App, o ServiceOptions) (*Service, error) {
	o.Name = cmp.Or(o.Name, app.Manifest.DisplayName)
	o.Path = cmp.Or(o.Path, app.Manifest.DisplayPath)
	o.MaxRestarts = cmp.Or(o.MaxRestarts, 10)
	if !displayPath.MatchString(o.Path) {
		return nil, fmt.Errorf("the API path %q must be letters, digits, '_' and '.'", o.Path)
	}
	s := &Service{
		App: app, platform: p, o: o, dir: filepath.Join(p.dir, "services", o.Path),
		parameters: app.defaultValues(), status: Status{State: Stopped, Received: map[string]int{}}, changed: make(chan struct{}),
	}
	maps.Copy(s.parameters, o.Parameters)
	for _, name := range []string{"in", "out", "log", "tmp"} {
		if err := os.MkdirAll(filepath.Join(s.dir, name), 0o755); err != nil {
			return nil, err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if slices.ContainsFunc(p.services, func(other *Service) bool { return other.o.Path == o.Path }) {
		return nil, fmt.Errorf("there is a Service with the API path %s: choose another one", o.Path)
	}
	p.services = append(p.services, s)
	return s, nil
}

func (a *App) defaultValues() map[string]string {
	values := map[string]string{}
	for _, parameter := range a.Manifest.Params {
		if parameter.Default != nil {
			values[parameter.Name] = fmt.Sprint(parameter.Default)
		}
	}
	return values
}

// URL is the root of what the Service offers, without a slash at its end.
func (s *Service) URL() string { return s.platform.URL() + s.rootPath() }

func (s *Service) rootPath() string {
	return "/api/services/" + s.o.Path + "/" + s.App.Manifest.majorVersion()
}

// Folder is where the Service's in, out, log and tmp are.
func (s *Service) Folder() string { return s.dir }

// SetParameters changes parameters, from the next start on.
func (s *Service) SetParameters(values map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.Copy(s.parameters, values)
}

// Parameters returns the parameters by name.
func (s *Service) Parameters() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.parameters)
}

// missingLabels returns the labels of required parameters that have no value among values.
func (a *App) missingLabels(values map[string]string) []string {
	var labels []string
	for _, step := range a.Steps {
		for _, parameter := range step.Parameters {
			if parameter.Required && strings.TrimSpace(values[parameter.Name]) == "" {
				labels = append(labels, parameter.Label)
			}
		}
	}
	return labels
}

// TurnOn starts the Service and does not wait until it runs.
func (s *Service) TurnOn() error {
	if missing := s.App.missingLabels(s.Parameters()); len(missing) > 0 {
		return fmt.Errorf("required parameters have no value: %s", strings.Join(missing, ", "))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.off != nil {
		return nil
	}
	ctx, off := context.WithCancel(context.Background())
	done := make(chan struct{})
	s.off, s.done = off, done
	s.status.Restarts, s.status.Exit = 0, nil
	s.setState(Starting)
	go func() {
		defer close(done)
		s.runUntilOff(ctx)
	}()
	return nil
}

// TurnOff tells the Service to end and waits until its process has.
func (s *Service) TurnOff() {
	s.mu.Lock()
	off, done := s.off, s.done
	if off == nil {
		s.setState(Stopped)
	}
	s.mu.Unlock()
	if off != nil {
		off()
		<-done
	}
}

// runUntilOff starts the process again when it ends by itself, as often as it may.
func (s *Service) runUntilOff(ctx context.Context) {
	final := Stopped
	for attempt := 0; ; attempt++ {
		exit := s.runOnce(ctx)
		s.changeStatus(func() { s.status.Exit, s.status.PID, s.current = &exit, 0, nil })
		s.platform.log.Info("service ended", "path", s.o.Path, "code", exit.Code, "message", exit.Message)
		if ctx.Err() != nil || exit.Code == 0 && s.platform.o.RestartFailures {
			break
		}
		if attempt >= s.o.MaxRestarts {
			final = Failed
			break
		}
		s.changeStatus(func() { s.status.State = Restarting })
		if retry.Sleep(ctx, s.platform.o.RestartPause) != nil {
			break
		}
		s.changeStatus(func() { s.status.State, s.status.Restarts = Starting, attempt+1 })
	}
	s.changeStatus(func() { s.status.State, s.off = final, nil })
}

// changeStatus alters the status and lets Wait look at it.
func (s *Service) changeStatus(alter func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	alter()
	s.signalChange()
}

func (s *Service) setState(state State) {
	s.status.State = state
	s.signalChange()
}

func (s *Service) signalChange() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// Status returns a copy.
func (s *Service) Status() Status {
	status, _ := s.statusAndChange()
	return status
}

func (s *Service) statusAndChange() (Status, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	status := s.status
	status.Metrics, status.Received, status.Strays = maps.Clone(status.Metrics), maps.Clone(status.Received), slices.Clone(status.Strays)
	return status, s.changed
}

// Wait returns when the status is as wanted. The error says what it was instead when ctx ended.
func (s *Service) Wait(ctx context.Context, wanted func(Status) bool) (Status, error) {
	for {
		status, changed := s.statusAndChange()
		if wanted(status) {
			return status, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return status, fmt.Errorf("the Service is %s (%+v): %w", status.State, status, ctx.Err())
		}
	}
}

// WaitRunning waits until the App is Ready. It fails as soon as the Service has.
func (s *Service) WaitRunning(ctx context.Context) error {
	status, err := s.Wait(ctx, func(status Status) bool {
		return status.State == Running || status.State == Failed || status.State == Stopped
	})
	if err == nil && status.State != Running {
		err = fmt.Errorf("the Service is %s: %+v", status.State, *cmp.Or(status.Exit, &Exit{}))
	}
	return err
}

// ForgetStrays empties Status.Strays, for what was provoked.
func (s *Service) ForgetStrays() { s.changeStatus(func() { s.status.Strays = nil }) }

// Silence makes the platform send no heartbeats to the Service, or send them again.
func (s *Service) Silence(silent bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silent = silent
}

// Send publishes a message of any content to the Service, as the platform would.
func (s *Service) Send(payload []byte) error {
	l := s.currentLaunch()
	if l == nil {
		return errors.New("the Service does not run")
	}
	return s.platform.bus.publishMessage(l.server, payload)
}

func (s *Service) currentLaunch() *launch {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

// LogTail returns the last lines of the App's log.
func (s *Service) LogTail(lines int) []string {
	file, err := os.Open(filepath.Join(s.dir, "log", "app.log"))
	if err != nil {
		return nil
	}
	defer file.Close()
	const most = 32 << 10
	info, err := file.Stat()
	if err != nil {
		return nil
	}
	data := make([]byte, min(most, info.Size()))
	n, _ := file.ReadAt(data, info.Size()-int64(len(data)))
	text := strings.TrimSpace(string(data[:n]))
	if text == "" {
		return nil
	}
	all := strings.Split(text, "\n")
	return all[max(0, len(all)-lines):]
}
