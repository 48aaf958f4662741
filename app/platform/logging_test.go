package platform

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"
)

// Secrets are masked wherever a line carries them: registered ones in every form that quoting gives them, others by
// their shape.
func TestMasks(t *testing.T) {
	var out bytes.Buffer
	l := newLog(&out, slog.LevelInfo)
	const secret = "s3cr\"et +ä<\\/rest"
	l.Hide(secret, "abc", "", "s3cr\"et")
	l.Error("failed with "+secret, "error", errors.New("Get \"https://x/?key="+secret+"\": gone"), "value", secret)
	inJSON, _ := json.Marshal(map[string]string{"key": secret})
	l.Error("quoted", "json", string(inJSON), "error", fmt.Errorf("no value %q", secret), "query", url.QueryEscape(secret), "path", url.PathEscape(secret))
	l.Error("a token by itself", "value", "JOB:5:f1fth-secret:1596670377509")
	l.Error("json", "body", `{"client_secret":"first-secret-value","grant":"x"}`)
	l.Error("headers", "Authorization", "TC-Token SVC:5:RgIo6v:1596670377509:95:abcdef", "basic", "Basic dXNlcjpwYXNzd29yZA==")
	l.Error("form", "body", "client_secret=second-secret&grant_type=x", "url", "/appAuth?expiredToken=third-secret")
	l.Error("hmac TC 1234:8lIq8fO8pCf51RNiJ56Bmw4n3BmRI1bzh2MhVqWm59o=", "Cookie", "JSESSIONID=fourth-secret")
	l.Error("abc stays")
	text := out.String()
	for _, leak := range []string{"s3cr", "/rest", "%2Frest", "first-secret", "RgIo6v", "dXNlcjpw", "second-secret", "third-secret", "8lIq8f", "fourth-secret", "f1fth-secret"} {
		if strings.Contains(text, leak) {
			t.Errorf("%q is in the log:\n%s", leak, text)
		}
	}
	for _, kept := range []string{"failed with ***", "grant_type=x", "abc stays"} {
		if !strings.Contains(text, kept) {
			t.Errorf("%q is not in the log:\n%s", kept, text)
		}
	}
	for text, want := range map[string]string{"wrong " + secret + "!": "wrong ***!", string(inJSON): `{"key":"***"}`} {
		if got := l.Clean(text); got != want {
			t.Errorf("got %q", got)
		}
	}
}

func TestLines(t *testing.T) {
	var out bytes.Buffer
	l := newLog(&out, LevelTrace)
	l.Log(t.Context(), LevelTrace, "quiet", "feature", "x")
	l.Log(t.Context(), LevelCritical, "two\nlines")
	l.Warn("warned")
	form := regexp.MustCompile(`^time=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z level=(TRACE|CRITICAL|WARN) msg=`)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 3 {
		t.Errorf("%d lines:\n%s", len(lines), out.String())
	}
	for _, line := range lines {
		if !form.MatchString(line) {
			t.Errorf("the line is %s", line)
		}
	}
}

func TestParseLevel(t *testing.T) {
	for name, want := range map[string]slog.Level{
		"": slog.LevelInfo, " info ": slog.LevelInfo, "Debug": slog.LevelDebug, "TRACE": LevelTrace, "warn": slog.LevelWarn, "WARNING": slog.LevelWarn,
		"error": slog.LevelError, "critical": LevelCritical,
	} {
		if got, err := ParseLevel(name); got != want || err != nil {
			t.Errorf("%q is %v, %v", name, got, err)
		}
	}
	if _, err := ParseLevel("loud"); err == nil {
		t.Error("loud is a level")
	}
}

// A log that has grown is put aside and compressed, and nothing of it is lost.
func TestRotation(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "there", "yet")
	l, err := OpenLog(dir, "", "debug")
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Repeat("x", 4000)
	const size, lines = 10 << 20, (10<<20)/4000 + 100
	for i := range lines {
		l.Debug(line, "i", i)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var old []string
	deadline := time.After(time.Minute)
	for tick := time.NewTicker(10 * time.Millisecond); len(old) == 0; {
		select { // compressing goes on for a while
		case <-tick.C:
			if old, err = filepath.Glob(filepath.Join(dir, "*.gz")); err != nil {
				t.Fatal(err)
			}
		case <-deadline:
			t.Fatal("nothing was compressed")
		}
	}
	current, err := os.ReadFile(filepath.Join(dir, "app.log"))
	if err != nil {
		t.Fatal(err)
	}
	aside := gunzip(t, old[0])
	if total := bytes.Count(current, []byte("\n")) + bytes.Count(aside, []byte("\n")); total != lines {
		t.Errorf("%d of %d lines are left", total, lines)
	}
	if len(aside) > size || len(aside) < size-2*len(line) {
		t.Errorf("%d bytes were put aside", len(aside))
	}
}

func gunzip(t *testing.T, path string) []byte {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	reader, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestOpenLog(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenLog(file, "", "info"); err == nil {
		t.Error("a file served as folder")
	}
	if err := os.Mkdir(filepath.Join(dir, "app.log"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenLog(dir, "", "info"); err == nil {
		t.Error("a folder served as log")
	}
	l, err := OpenLog("", "", "loud")
	if err != nil || l.Level.Level() != slog.LevelInfo || l.Close() != nil {
		t.Errorf("standard error: %v", err)
	}
}

// A level that nobody knows is INFO, and the log says so.
func TestUnknownLevelAtStart(t *testing.T) {
	dir := t.TempDir()
	l, err := OpenLog(dir, "", "LOUD")
	if err != nil || l.Level.Level() != slog.LevelInfo || l.Close() != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "app.log"))
	if err != nil || !strings.Contains(string(text), `log level \"LOUD\" is not known`) {
		t.Errorf("got %s, %v", text, err)
	}
}

func TestWriteMessage(t *testing.T) {
	dir := t.TempDir()
	for _, test := range []struct{ text, want string }{
		{"one line", "one line\n"},
		{"shorter\n\n", "shorter\n"},
		{"", "\n"},
		{strings.Repeat("a", 300) + "end", strings.Repeat("a", 251) + "end\n"},
		{strings.Repeat("ä", 200), strings.Repeat("ä", 127) + "\n"},
		{strings.Repeat("ä", 200) + "e", strings.Repeat("ä", 126) + "e\n"},
	} {
		if err := WriteMessage(dir, test.text); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(dir, "message.tc"))
		if err != nil || string(got) != test.want || len(got) > 255 || !utf8.Valid(got) {
			t.Errorf("%.20q became %q, %v", test.text, got, err)
		}
	}
	if err := WriteMessage(filepath.Join(dir, "none"), "x"); err == nil {
		t.Error("a missing folder was no error")
	}
	t.Chdir(dir)
	if err := WriteMessage("", "here"); err != nil {
		t.Error(err)
	}
}

// A link in the place of a file of ours leads to a file of somebody else: nothing is written through it.
func TestLinksAreNotFollowed(t *testing.T) {
	dir := t.TempDir()
	theirs := filepath.Join(dir, "theirs")
	if err := os.WriteFile(theirs, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"message.tc", "app.log"} {
		if err := os.Symlink(theirs, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := WriteMessage(dir, "said"); err != nil {
		t.Error(err)
	}
	if said, err := os.ReadFile(filepath.Join(dir, "message.tc")); err != nil || string(said) != "said\n" {
		t.Errorf("the message is %q, %v", said, err)
	}
	if info, err := os.Lstat(filepath.Join(dir, "message.tc")); err != nil || info.Mode() != 0o644 {
		t.Errorf("the message has the mode %v, %v", info.Mode(), err)
	}
	if _, err := OpenLog(dir, "", ""); err == nil || !strings.Contains(err.Error(), "is a symbolic link") {
		t.Errorf("a log through a link: %v", err)
	}
	if kept, err := os.ReadFile(theirs); err != nil || string(kept) != "kept" {
		t.Errorf("the other file has %q, %v", kept, err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".message.tc-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
	// Nor does a pipe keep the start waiting, whether or not somebody reads it.
	pipe := filepath.Join(t.TempDir(), "app.log")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenLog(filepath.Dir(pipe), "", ""); err == nil {
		t.Error("a pipe served as log")
	}
	reader, err := os.OpenFile(pipe, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if _, err := OpenLog(filepath.Dir(pipe), "", ""); err == nil || !strings.Contains(err.Error(), "is no regular file") {
		t.Errorf("a pipe with a reader: %v", err)
	}
	// A link to the folder is another matter.
	if err := os.Remove(filepath.Join(dir, "app.log")); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	l, err := OpenLog(link, "", "")
	if err != nil || l.Close() != nil {
		t.Errorf("through a linked folder: %v", err)
	}
}
