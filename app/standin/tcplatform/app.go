package tcplatform

import (
	"archive/zip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// App is an installed package.
type App struct {
	Name     string // its folder, by which the platform knows it across upgrades
	Dir      string
	Manifest Manifest
	Steps    []Step // how the screen groups the parameters
}

// Manifest is what the platform reads of install.json.
type Manifest struct {
	AppID           string      `json:"appId"`
	DisplayName     string      `json:"displayName"`
	DisplayPath     string      `json:"displayPath"`
	Features        []string    `json:"features"`
	Params          []Parameter `json:"params"`
	ProgramLanguage string      `json:"programLanguage"`
	ProgramMain     string      `json:"programMain"`
	ProgramName     string      `json:"programName"`
	ProgramVersion  string      `json:"programVersion"`
	RuntimeLevel    string      `json:"runtimeLevel"`
}

// Parameter is one of an App's own inputs.
type Parameter struct {
	Name          string   `json:"name"`
	Label         string   `json:"label"`
	Type          string   `json:"type"`
	Note          string   `json:"note"`
	Default       any      `json:"default"`
	Required      bool     `json:"required"`
	Encrypt       bool     `json:"encrypt"`
	ServiceConfig bool     `json:"serviceConfig"`
	Sequence      int      `json:"sequence"`
	ValidValues   []string `json:"validValues"`
}

// Step is one group of parameters on the screen.
type Step struct {
	Title      string
	Parameters []Parameter
}

var displayPath = regexp.MustCompile(`^[a-zA-Z0-9_.]+$`)

// checkManifest refuses what the platform would refuse.
func (m Manifest) checkManifest(folder string) error {
	version := strings.Split(m.ProgramVersion, ".")
	switch {
	case m.RuntimeLevel != "ApiService":
		return fmt.Errorf("runtimeLevel is %q, not ApiService", m.RuntimeLevel)
	case m.ProgramLanguage != "PYTHON" || m.ProgramMain == "":
		return errors.New("programLanguage must be PYTHON and programMain name the script")
	case !displayPath.MatchString(m.DisplayPath) || len(m.DisplayPath) < 3:
		return fmt.Errorf("displayPath %q must be letters, digits, '_' and '.', three or more", m.DisplayPath)
	case len(version) != 3 || !strings.HasSuffix(folder, "_v"+version[0]):
		return fmt.Errorf("programVersion %q must be N.N.N, and the folder %s end in its major version", m.ProgramVersion, folder)
	case m.ProgramName != strings.ReplaceAll(folder, "_", " "):
		return fmt.Errorf("programName %q must be the folder's name with spaces for '_'", m.ProgramName)
	case !slices.Contains(m.Features, "fileParams"):
		return errors.New("features lacks fileParams, and so the parameters would come as arguments")
	}
	return nil
}

// majorVersion is the part of the version that stands in URLs.
func (m Manifest) majorVersion() string {
	major, _, _ := strings.Cut(m.ProgramVersion, ".")
	return "v" + major
}

// Install unpacks a .tcx as ThreatConnect does: run bits do not survive.
func (p *Platform) Install(tcx string) (*App, error) {
	archive, err := zip.OpenReader(tcx)
	if err != nil {
		return nil, fmt.Errorf("opening the package %s: %w", tcx, err)
	}
	defer archive.Close()
	app := &App{Name: strings.TrimSuffix(filepath.Base(tcx), ".tcx")}
	app.Dir = filepath.Join(p.dir, "apps", app.Name)
	if err := os.RemoveAll(app.Dir); err != nil {
		return nil, fmt.Errorf("removing the version before: %w", err)
	}
	for _, file := range archive.File {
		if err := app.unpackFile(file); err != nil {
			return nil, fmt.Errorf("unpacking %s: %w", file.Name, err)
		}
	}
	data, err := os.ReadFile(filepath.Join(app.Dir, "install.json"))
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &app.Manifest); err != nil {
		return nil, fmt.Errorf("reading install.json: %w", err)
	}
	if err := app.Manifest.checkManifest(app.Name); err != nil {
		return nil, fmt.Errorf("install.json: %w", err)
	}
	app.Steps, err = parameterSteps(app.Manifest.Params, p.o.Layout)
	return app, err
}

func (a *App) unpackFile(file *zip.File) error {
	name := path.Clean(file.Name)
	inside, found := strings.CutPrefix(name, a.Name)
	if !found || inside != "" && inside[0] != '/' || !filepath.IsLocal(name) {
		return fmt.Errorf("it is not in the folder %s", a.Name)
	}
	target := filepath.Join(a.Dir, filepath.FromSlash(inside))
	if file.FileInfo().IsDir() {
		return os.MkdirAll(target, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	source, err := file.Open()
	if err != nil {
		return err
	}
	defer source.Close()
	out, err := os.OpenFile(target, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, source)
	return errors.Join(err, out.Close())
}

// parameterSteps groups the parameters as a layout.json says; without one they are a single step in their own order.
// What the layout forgets comes last.
func parameterSteps(params []Parameter, layout []byte) ([]Step, error) {
	rest := slices.DeleteFunc(slices.Clone(params), func(p Parameter) bool { return !p.ServiceConfig })
	slices.SortStableFunc(rest, func(a, b Parameter) int { return a.Sequence - b.Sequence })
	if layout == nil {
		return []Step{{"Parameters", rest}}, nil
	}
	var wanted struct {
		Inputs []struct {
			Title      string
			Parameters []struct{ Name string }
		}
	}
	if err := json.Unmarshal(layout, &wanted); err != nil {
		return nil, fmt.Errorf("reading the layout: %w", err)
	}
	var list []Step
	for _, input := range wanted.Inputs {
		step := Step{Title: input.Title}
		for _, want := range input.Parameters {
			i := slices.IndexFunc(rest, func(p Parameter) bool { return p.Name == want.Name })
			if i < 0 {
				return nil, fmt.Errorf("the layout names %s, which is no parameter or stands there twice", want.Name)
			}
			step.Parameters = append(step.Parameters, rest[i])
			rest = slices.Delete(rest, i, i+1)
		}
		list = append(list, step)
	}
	if len(rest) > 0 {
		list = append(list, Step{"More", rest})
	}
	return list, nil
}
