package tcplatform_test

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"mssentinel/app/config"
	"mssentinel/app/doctor"
	app "mssentinel/app/platform"
	"mssentinel/app/threatconnect"
)

// tcx is the package that the tests install: the real declaration and start script, and as program this very test.
var tcx string

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "run" {
		os.Exit(runApp())
	}
	dir, err := os.MkdirTemp("", "tcx-")
	if err == nil {
		tcx = filepath.Join(dir, "TCVA_-_Microsoft_Sentinel_v1.tcx")
		err = packSelf(tcx)
	}
	code := 1
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

func packSelf(path string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return pack(path, map[string]string{"install.json": "../../../install.json", "run.py": "../../platform/run.py", "app": self})
}

// pack writes a package of the files in sources, which are named as in the package.
func pack(path string, sources map[string]string) error {
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	defer out.Close()
	archive := zip.NewWriter(out)
	for name, source := range sources {
		header := &zip.FileHeader{Name: strings.TrimSuffix(filepath.Base(path), ".tcx") + "/" + name, Method: zip.Store}
		header.SetMode(0o755)
		w, err := archive.CreateHeader(header)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(source)
		if err != nil {
			return err
		}
		if _, err := w.Write(data); err != nil {
			return err
		}
	}
	return errors.Join(archive.Close(), out.Close())
}

// runApp is a small App on the real protocol code.
func runApp() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var told atomic.Bool
	cfg, err := config.Load(ctx, resolve)
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, err)
		app.WriteMessage(cfg.OutPath, err.Error()) //nolint:errcheck // said on stderr
		return app.ExitFailure
	}
	if err != nil {
		return fail(err)
	}
	log, err := app.OpenLog(cfg.LogPath, cfg.LogFile, cfg.LogLevel)
	if err != nil {
		return fail(err)
	}
	defer log.Close()
	in := cfg.Platform
	log.Hide(in.BrokerToken.Reveal(), in.StorePassword.Reveal(), cfg.TCToken.Reveal(), cfg.ClientSecret.Reveal(), cfg.TCSecretKey.Reveal())
	runs, err := app.BeginRuns(cfg.OutPath, "1.0.0")
	if err != nil {
		return fail(err)
	}
	folder, err := os.Getwd()
	if err != nil {
		return fail(err)
	}
	recorder := app.NewRecorder(app.Given{Parameters: cfg.Parameters, TokenKind: app.TokenKind(cfg.TCToken.Reveal()), TokenExpires: cfg.TCTokenExpires,
		Start: app.ReadStart(folder, cfg.TempPath), Runs: runs.History})
	err = app.Run(ctx, *in, handler(cfg, recorder), app.Options{Logger: log.Logger, Level: log.Level, API: app.API{BaseURL: cfg.TCAPIPath},
		Recorder: recorder, Shutdown: func(reason string) {
			told.Store(true)
			runs.Tell(app.ToldShutdown, reason)
		}})
	if err == nil && !told.Load() {
		err = context.Cause(ctx)
		runs.Tell(app.ToldSignal, "terminated")
	}
	if err := runs.End(err != nil); err != nil {
		return fail(err)
	}
	if err != nil {
		return fail(errors.New(log.Clean(err.Error())))
	}
	app.WriteMessage(cfg.OutPath, "done") //nolint:errcheck // nothing depends on it
	return app.ExitSuccess
}

func resolve(ctx context.Context, known config.Config, references map[string]string) (map[string]string, map[string]error) {
	api := app.API{BaseURL: known.TCAPIPath}
	var credentials []app.Credential
	if !known.TCToken.IsZero() {
		credentials = append(credentials, app.NewTokenSource(api, known.TCToken.Reveal(), known.TCTokenExpires).Credential())
	}
	if known.TCAccessID != "" && !known.TCSecretKey.IsZero() {
		credentials = append(credentials, app.Credential{Name: "the API user's key", Authorize: func(req *http.Request) error {
			threatconnect.SignRequest(req, known.TCAccessID, known.TCSecretKey.Reveal())
			return nil
		}})
	}
	return app.Resolve(ctx, references, api, credentials...)
}

// echoed is what /echo says of the request that arrived.
type echoed struct {
	Method, Path, RawQuery, Host, RemoteAddr, RequestURI string
	Header                                               http.Header
	Query                                                map[string][]string
	Body                                                 []byte
	Token                                                bool
	Caller                                               string
	Sent                                                 app.Sent
}

// answerRecorded answers as testdata/vendorapp/run.py does.
func answerRecorded(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	name := filepath.Base(r.URL.Path)
	if name == "fixed" {
		body = []byte("fixed \x00\xff")
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header()["X-Twice"] = []string{"one", "two"}
	switch name {
	case "missing":
		w.WriteHeader(http.StatusNotFound)
	case "made":
		w.WriteHeader(http.StatusCreated)
	}
	w.Write(body)
}

// answerOnceThere holds its answer back until the file that the request names is there.
func answerOnceThere(w http.ResponseWriter, r *http.Request) {
	for poll := time.NewTicker(10 * time.Millisecond); ; {
		if _, err := os.Stat(r.URL.Query().Get("until")); err == nil {
			io.WriteString(w, "done")
			return
		}
		select {
		case <-poll.C:
		case <-r.Context().Done():
			return
		}
	}
}

func handler(cfg config.Config, recorder *app.Recorder) http.Handler {
	mux := http.NewServeMux()
	examiner := doctor.New(doctor.Options{Clean: func(s string) string { return s }, Keep: func(doctor.Report) error { return nil }, Logger: slog.Default(),
		Probes: []doctor.Probe{doctor.PlatformProbe(recorder.Facts), doctor.BrokerProbe(recorder.Facts), doctor.StoreProbe(recorder.AskStore)}})
	mux.HandleFunc("/doctor", func(w http.ResponseWriter, r *http.Request) {
		if err := examiner.Run(r.Context(), func(string) {}); err != nil {
			panic(err)
		}
		report, _ := examiner.Last()
		json.NewEncoder(w).Encode(report) //nolint:errcheck // goes to memory
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		sent, _ := app.SentRequest(r.Context())
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(err)
		}
		w.Header().Add("X-Twice", "one")
		w.Header().Add("X-Twice", "two")
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(echoed{ //nolint:errcheck // goes to memory
			Method: r.Method, Path: r.URL.Path, RawQuery: r.URL.RawQuery, Host: r.Host, RemoteAddr: r.RemoteAddr, RequestURI: r.RequestURI,
			Header: r.Header, Query: r.URL.Query(), Body: body, Token: app.Token(r.Context()) != "", Caller: app.Caller(r.Context()), Sent: sent,
		})
	})
	mux.HandleFunc("/recorded/", answerRecorded)
	mux.HandleFunc("/source", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, cfg.SourceName) })
	mux.HandleFunc("/starttoken", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, !cfg.TCToken.IsZero()) })
	mux.HandleFunc("/form", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "token=%s, tql=%s", r.FormValue("token"), r.FormValue("tql"))
	})
	mux.HandleFunc("/end", func(http.ResponseWriter, *http.Request) { os.Exit(app.ExitSuccess) })
	mux.HandleFunc("/panic", func(http.ResponseWriter, *http.Request) { panic("on purpose") })
	mux.HandleFunc("/empty", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("/away", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "other") // http.Redirect makes it absolute
		w.WriteHeader(http.StatusFound)
	})
	mux.HandleFunc("/bytes", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.Query().Get("n"))
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Write([]byte(strings.Repeat("\x00\xff\r\n", n/4)))
	})
	mux.HandleFunc("/held", answerOnceThere)
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		d, _ := time.ParseDuration(r.URL.Query().Get("for"))
		select {
		case <-time.After(d):
			io.WriteString(w, "done")
		case <-r.Context().Done():
		}
	})
	return mux
}
