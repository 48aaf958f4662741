package tcplatform_test

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	app "mssentinel/app/platform"
	"mssentinel/app/threatconnect"
)

const packageName = "TCVA_-_Microsoft_Sentinel_v1"

// tcx is the package that the tests install: the real declaration and start script, and as program this very test.
var tcx string

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "run" {
		os.Exit(runApp())
	}
	dir, err := os.MkdirTemp("", "tcx-")
	if err == nil {
		tcx = filepath.Join(dir, packageName+".tcx")
		err = pack(tcx)
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

func pack(path string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	defer out.Close()
	archive := zip.NewWriter(out)
	for name, source := range map[string]string{"install.json": "../../../install.json", "run.py": "../../platform/run.py", "app": self} {
		header := &zip.FileHeader{Name: packageName + "/" + name, Method: zip.Store}
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
	err = app.Run(ctx, *in, handler(cfg), app.Options{Logger: log.Logger, Level: log.Level, API: app.API{BaseURL: cfg.TCAPIPath},
		Shutdown: func() { told.Store(true) }})
	if err == nil && !told.Load() {
		err = context.Cause(ctx)
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
}

func handler(cfg config.Config) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(err)
		}
		w.Header().Add("X-Twice", "one")
		w.Header().Add("X-Twice", "two")
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(echoed{ //nolint:errcheck // goes to memory
			Method: r.Method, Path: r.URL.Path, RawQuery: r.URL.RawQuery, Host: r.Host, RemoteAddr: r.RemoteAddr, RequestURI: r.RequestURI,
			Header: r.Header, Query: r.URL.Query(), Body: body, Token: app.Token(r.Context()) != "",
		})
	})
	mux.HandleFunc("/source", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, cfg.SourceName) })
	mux.HandleFunc("/starttoken", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, !cfg.TCToken.IsZero()) })
	mux.HandleFunc("/form", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "token=%s, tql=%s", r.FormValue("token"), r.FormValue("tql"))
	})
	mux.HandleFunc("/end", func(http.ResponseWriter, *http.Request) { os.Exit(app.ExitSuccess) })
	mux.HandleFunc("/panic", func(http.ResponseWriter, *http.Request) { panic("on purpose") })
	mux.HandleFunc("/empty", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "other", http.StatusFound) })
	mux.HandleFunc("/bytes", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.Query().Get("n"))
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Write([]byte(strings.Repeat("\x00\xff\r\n", n/4)))
	})
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
