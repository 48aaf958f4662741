// Command app is the Microsoft Sentinel App for ThreatConnect.
//
//	app run [-cpuprofile FILE] [-memprofile FILE]   runs the Service: for ThreatConnect, or by itself where
//	                                                MS_SENTINEL_HTTP_ADDR is set
//	app doctor [-quick] [-large-bodies] [-variable NAME] [-indicator VALUE]
//	                                                asks ThreatConnect and Microsoft what the doctor of a Service asks,
//	                                                and prints the report
//	app mapper check [-indicators FILE] MAPPER [ARGUMENT …]
//	                                                checks a mapper that somebody wrote, as the App would use it
//	app version                                     prints the version
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"mssentinel/app/config"
	"mssentinel/app/mask"
	"mssentinel/app/platform"
	"mssentinel/app/text"
	"mssentinel/app/threatconnect"
)

// version is set by the build to programVersion of install.json.
var version = "dev"

const usage = `usage: app run [-cpuprofile FILE] [-memprofile FILE]
       app doctor [-quick] [-large-bodies] [-variable NAME] [-indicator VALUE]
       app mapper check [-indicators FILE] MAPPER [ARGUMENT …]
       app version

  run      run the Service: for ThreatConnect, or by itself where MS_SENTINEL_HTTP_ADDR is set;
           for developers: write what it used processor time or memory for to a file that go tool pprof reads
  doctor   ask ThreatConnect, Microsoft Entra and Microsoft Sentinel how they behave, with the same inputs as run, print
           the report and end with code 0 if nothing is broken, 1 otherwise; it takes some 12 minutes, since Sentinel
           shows late what it was sent, and with -quick it does not wait for that. -large-bodies sends up to 4 MiB at once.
           -variable tries to look up a ThreatConnect variable, -indicator notes the lastModified of an indicator
  mapper   check: start the mapper as the App does, ask it about indicators, awkward ones and those of the files named by
           -indicators (a JSON list, or an answer of ThreatConnect), print what is wrong with it, and end with code 0 if
           the App can use it, 1 otherwise
  version  print the version`

func main() {
	command, args := "run", []string{}
	if len(os.Args) > 1 {
		command, args = os.Args[1], os.Args[2:]
	}
	switch command {
	case "run":
		if err := hideProcess(); err != nil {
			fmt.Fprintln(os.Stderr, "Microsoft Sentinel App:", err)
		}
		p, err := readProfiles(args)
		if err != nil {
			refuseArguments(err)
		}
		os.Exit(runProfiled(p))
	case "doctor":
		if err := hideProcess(); err != nil {
			fmt.Fprintln(os.Stderr, "Microsoft Sentinel App:", err)
		}
		o, err := readDoctorArguments(args)
		if err != nil {
			refuseArguments(err)
		}
		os.Exit(runDoctor(o, os.Stdout))
	case "mapper":
		o, err := readMapperArguments(args)
		if err != nil {
			refuseArguments(err)
		}
		os.Exit(runMapperCheck(o, os.Stdout))
	case "version":
		fmt.Println(version)
	default:
		refuseArguments(fmt.Errorf("there is no command %q", command))
	}
}

// refuseArguments ends a process that was started with arguments it does not know.
func refuseArguments(err error) {
	fmt.Fprintf(os.Stderr, "app: %v\n\n%s\n", err, usage)
	os.Exit(2)
}

// runService runs the Service until its end and returns the exit code. What went wrong is one line on stderr and in
// message.tc.
func runService() int {
	debug.SetMemoryLimit(memoryLimit)
	ctx, stop := signalContext()
	defer stop()
	c, err := config.Load(ctx, resolveVariables)
	log, logErr := platform.OpenLog(c.LogPath, c.LogFile, c.LogLevel)
	if log == nil {
		return reportFailure(c.OutPath, maskSecrets(c), errors.Join(err, logErr))
	}
	defer log.Close()
	log.Hide(c.Secrets()...)
	for _, warning := range c.Warnings {
		log.Warn(warning)
	}
	switch {
	case err == nil:
		err = serveUntilEnd(ctx, c, log)
	case ctx.Err() != nil:
		err = interruption(ctx, c) // told to end before the inputs were complete
	}
	if err != nil {
		if c.LogPath != "" { // else the log is stderr, which gets the reason below
			log.Error("the Service ends", "error", err)
		}
		return reportFailure(c.OutPath, log.Clean, err)
	}
	// It replaces the message of an earlier failure.
	if err := platform.WriteMessage(c.OutPath, "The Service ended in order."); err != nil {
		log.Warn("no message for the administrator", "error", err)
	}
	return platform.ExitSuccess
}

// maskSecrets takes the secrets out of a text where there is no log that does.
func maskSecrets(c config.Config) func(string) string {
	known := mask.New(c.Secrets()...)
	return func(said string) string { return string(known.Replace([]byte(said), "***")) }
}

// interrupted is the cause of the end of a context that a signal ended.
type interrupted struct{ signal os.Signal }

func (i interrupted) Error() string {
	return fmt.Sprintf("the Service was ended by a signal (%v), and not by ThreatConnect", i.signal)
}

// signalContext returns a context that ends with the first signal that asks the process to end; interrupted is its
// cause then. Under nohup SIGHUP does not.
func signalContext() (context.Context, context.CancelFunc) {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	arrived := make(chan os.Signal, 1)
	signal.Notify(arrived, signals...)
	go func() {
		select {
		case s := <-arrived:
			cancel(interrupted{s})
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(arrived)
		cancel(context.Canceled)
	}
}

// interruption is what went wrong when a signal ended a Service that ThreatConnect did not tell to end: like the vendor's
// own Apps it fails on SIGTERM and SIGINT, so that it is started again, app/docs/platform.md#exit-code-and-exit-message.
// In standalone mode a signal is the way to end the process.
func interruption(ctx context.Context, c config.Config) error {
	var by interrupted
	if c.HTTPAddr != "" || !errors.As(context.Cause(ctx), &by) || by.signal == syscall.SIGHUP {
		return nil
	}
	return by
}

// reportFailure tells the administrator why the process ends: on standard error and in message.tc. clean takes secrets
// out of the text.
func reportFailure(outPath string, clean func(string) string, err error) int {
	said := clean(text.Visible(strings.ReplaceAll(err.Error(), "\n", "; ")))
	fmt.Fprintln(os.Stderr, "Microsoft Sentinel App:", said)
	var faults config.Faults
	if errors.As(err, &faults) && len(said) >= platform.MaxMessage {
		said = clean(faults.Summary(platform.MaxMessage - 1))
	}
	if err := platform.WriteMessage(outPath, said); err != nil {
		fmt.Fprintln(os.Stderr, "Microsoft Sentinel App:", clean(err.Error()))
	}
	return platform.ExitFailure
}

func platformAPI(c config.Config) platform.API {
	return platform.API{BaseURL: c.TCAPIPath, HTTP: &http.Client{Transport: c.Network.ThreatConnect()}, UserAgent: userAgent()}
}

// userAgent is how the App names itself to ThreatConnect and Microsoft.
func userAgent() string { return "ThreatConnect-Microsoft-Sentinel/" + version }

// resolveVariables asks ThreatConnect for the variables among the inputs.
func resolveVariables(ctx context.Context, known config.Config, references map[string]string) (map[string]string, map[string]error) {
	api := platformAPI(known)
	return platform.Resolve(ctx, references, api, apiCredentials(api, known)...)
}

// apiCredentials are the ways to prove to ThreatConnect who asks that are among the inputs, the Service's own token
// first. A Service must not expect that token, app/docs/platform.md#tokens.
func apiCredentials(api platform.API, c config.Config) []platform.Credential {
	var all []platform.Credential
	if !c.TCToken.IsZero() {
		all = append(all, platform.NewTokenSource(api, c.TCToken.Reveal(), c.TCTokenExpires).Credential())
	}
	if c.TCAccessID != "" && !c.TCSecretKey.IsZero() {
		all = append(all, platform.Credential{Name: "the API user's key", Authorize: func(req *http.Request) error {
			threatconnect.SignRequest(req, c.TCAccessID, c.TCSecretKey.Reveal())
			return nil
		}})
	}
	return all
}
