package platform

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/DeRuina/timberjack"
)

// Levels beyond those of slog.
const (
	LevelTrace    = slog.LevelDebug - 4
	LevelCritical = slog.LevelError + 4
)

const (
	logFile    = "app.log" // unless tc_log_file names another
	logMiB     = 10
	logBackups = 25
)

// ParseLevel reads a level as ThreatConnect writes it, without regard to case; "" is INFO.
func ParseLevel(name string) (slog.Level, error) {
	switch strings.ToUpper(strings.TrimSpace(name)) {
	case "TRACE":
		return LevelTrace, nil
	case "DEBUG":
		return slog.LevelDebug, nil
	case "INFO", "":
		return slog.LevelInfo, nil
	case "WARNING", "WARN":
		return slog.LevelWarn, nil
	case "ERROR":
		return slog.LevelError, nil
	case "CRITICAL":
		return LevelCritical, nil
	}
	return slog.LevelInfo, fmt.Errorf("log level %q is not known", name)
}

// Log is the App's log. Each line is a list of key=value pairs; secrets are masked in the finished line, so that none
// can slip through inside a message or an error.
type Log struct {
	*slog.Logger
	Level *slog.LevelVar
	masks *masks
	out   io.Closer
}

// OpenLog writes to the file in dir, app.log if file is "", creating dir where it is missing; rotated at 10 MiB,
// compressed, 25 kept. An empty dir writes to stderr.
func OpenLog(dir, file, level string) (*Log, error) {
	start, levelErr := ParseLevel(level)
	if dir == "" {
		return newLog(os.Stderr, start), nil
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("creating the log folder: %w", err)
	}
	name := filepath.Join(dir, cmp.Or(file, logFile))
	probe, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o640)
	if errors.Is(err, syscall.ELOOP) {
		return nil, fmt.Errorf("opening the log: %s is a symbolic link: remove it, or link the folder instead", name)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the log: %w", err)
	}
	info, err := probe.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file (%s): move it away", name, info.Mode().Type())
	}
	if err := errors.Join(err, probe.Close()); err != nil {
		return nil, fmt.Errorf("opening the log: %w", err)
	}
	out := &timberjack.Logger{Filename: name, MaxSize: logMiB, MaxBackups: logBackups, Compression: "gzip"}
	l := newLog(out, start)
	l.out = out
	if levelErr != nil {
		l.Warn("the log level is INFO", "error", levelErr)
	}
	return l, nil
}

func newLog(out io.Writer, level slog.Level) *Log {
	l := &Log{Level: &slog.LevelVar{}, masks: &masks{}}
	l.Level.Set(level)
	l.Logger = slog.New(slog.NewTextHandler(&maskWriter{out: out, masks: l.masks}, &slog.HandlerOptions{
		Level: l.Level, ReplaceAttr: formatAttribute,
	}))
	return l
}

// formatAttribute names the levels as ThreatConnect does, app/docs/platform.md#log, and writes times in UTC to the
// millisecond.
func formatAttribute(groups []string, a slog.Attr) slog.Attr {
	if len(groups) > 0 {
		return a
	}
	switch a.Key {
	case slog.TimeKey:
		if t, ok := a.Value.Any().(time.Time); ok {
			a.Value = slog.StringValue(t.UTC().Format("2006-01-02T15:04:05.000Z"))
		}
	case slog.LevelKey:
		if level, ok := a.Value.Any().(slog.Level); ok {
			a.Value = slog.StringValue(levelName(level))
		}
	}
	return a
}

func levelName(level slog.Level) string {
	switch {
	case level < slog.LevelDebug:
		return "TRACE"
	case level >= LevelCritical:
		return "CRITICAL"
	}
	return level.String()
}

// Hide masks the given values wherever they appear from now on. Values below four bytes are left alone: masking
// them would spoil the log and protect nothing.
func (l *Log) Hide(secrets ...string) { l.masks.addSecrets(secrets) }

// Clean returns text with every secret masked, for stderr and message.tc.
func (l *Log) Clean(text string) string { return string(l.masks.maskSecrets([]byte(text))) }

// Close closes the log file.
func (l *Log) Close() error {
	if l.out == nil {
		return nil
	}
	return l.out.Close()
}
