package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"
	"github.com/gorilla/websocket"
)

// firefox is a tab of a Firefox of its own, driven by WebDriver BiDi, which Firefox speaks itself.
type firefox struct {
	b    *browser
	conn *websocket.Conn
	tab  string

	mu      sync.Mutex
	last    int
	waiting map[int]chan bidiAnswer // by number of the command
}

type bidiParams map[string]any

type bidiAnswer struct {
	ID      int             `json:"id"`
	Type    string          `json:"type"`
	Method  string          `json:"method"`
	Params  json.RawMessage `json:"params"`
	Result  json.RawMessage `json:"result"`
	Error   string          `json:"error"`
	Message string          `json:"message"`
}

// tellBreaches has a page write breaches of its Content-Security-Policy on the console, where Firefox tells of them too.
const tellBreaches = `() => addEventListener("securitypolicyviolation", (e) => console.error("policy: " + e.violatedDirective + " " + e.blockedURI + " at " + e.documentURI))`

// openOtherBrowser is openBrowser for Firefox.
func openOtherBrowser(t *testing.T, allowed ...string) *browser {
	t.Helper()
	b := watchTab(t, allowed)
	b.engine = openFirefox(t, b)
	return b
}

func openFirefox(t *testing.T, b *browser) *firefox {
	t.Helper()
	conn, _, err := websocket.DefaultDialer.DialContext(t.Context(), startFirefox(t)+"/session", nil)
	if err != nil {
		t.Fatalf("calling Firefox: %v", err)
	}
	t.Cleanup(func() { conn.Close() })
	f := &firefox{b: b, conn: conn, waiting: map[int]chan bidiAnswer{}}
	go f.readAnswers()
	var tree struct {
		Contexts []struct{ Context string }
	}
	for _, step := range []struct {
		method string
		params any
		into   any
	}{
		{"session.new", bidiParams{"capabilities": bidiParams{}}, nil},
		{"session.subscribe", bidiParams{"events": []string{"log.entryAdded", "network.beforeRequestSent", "network.fetchError"}}, nil},
		{"script.addPreloadScript", bidiParams{"functionDeclaration": tellBreaches}, nil},
		{"browsingContext.getTree", bidiParams{}, &tree},
	} {
		if err := f.command(step.method, step.params, step.into); err != nil {
			t.Fatal(err)
		}
	}
	f.tab = tree.Contexts[0].Context
	if err := f.command("browsingContext.setViewport", bidiParams{"context": f.tab, "viewport": bidiParams{"width": 1280, "height": 800}}, nil); err != nil {
		t.Fatal(err)
	}
	return f
}

// startFirefox says where a new Firefox listens.
func startFirefox(t *testing.T) string {
	t.Helper()
	cmd := exec.Command("firefox-esr", "--headless", "--no-remote", "--profile", t.TempDir(), "--remote-debugging-port", "0", "about:blank")
	cmd.Env = append(cmd.Environ(), "HOME="+t.TempDir(), "MOZ_CRASHREPORTER_DISABLE=1")
	cmd.WaitDelay = time.Second
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting Firefox: %v; package.sh test installs firefox-esr", err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill() //nolint:errcheck // it may be gone already
		cmd.Wait()         //nolint:errcheck // it was killed
	})
	found := make(chan string, 1)
	go func() {
		lines := bufio.NewReader(said)
		for {
			line, err := lines.ReadString('\n')
			if at := regexp.MustCompile(`ws://\S+`).FindString(line); at != "" {
				found <- at
				io.Copy(io.Discard, lines)
				return
			}
			if err != nil {
				return
			}
		}
	}()
	select {
	case at := <-found:
		return at
	case <-time.After(glance):
		t.Fatal("Firefox does not say where it listens")
		return ""
	}
}

// command has Firefox do something, and waits until it has.
func (f *firefox) command(method string, params, into any) error {
	answered := make(chan bidiAnswer, 1)
	f.mu.Lock()
	f.last++
	id := f.last
	f.waiting[id] = answered
	err := f.conn.WriteJSON(map[string]any{"id": id, "method": method, "params": params})
	f.mu.Unlock()
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	select {
	case a, open := <-answered:
		if !open {
			return fmt.Errorf("%s: Firefox is gone", method)
		}
		if a.Type == "error" {
			return fmt.Errorf("%s: %s: %s", method, a.Error, a.Message)
		}
		if into == nil {
			return nil
		}
		return json.Unmarshal(a.Result, into)
	case <-time.After(glance):
		return fmt.Errorf("%s: no answer", method)
	}
}

// readAnswers hands answers to whoever waits for them, and events to the test, until Firefox ends.
func (f *firefox) readAnswers() {
	for {
		var a bidiAnswer
		err := f.conn.ReadJSON(&a)
		f.mu.Lock()
		if err != nil {
			for _, answered := range f.waiting {
				close(answered)
			}
			f.waiting = map[int]chan bidiAnswer{}
			f.mu.Unlock()
			return
		}
		answered := f.waiting[a.ID]
		delete(f.waiting, a.ID)
		f.mu.Unlock()
		if a.Type == "event" {
			f.listen(a)
		} else if answered != nil {
			answered <- a
		}
	}
}

// listen takes down what Firefox complains about, and where it asks.
func (f *firefox) listen(a bidiAnswer) {
	var event struct {
		Level, Text, ErrorText string
		Request                struct{ URL string }
	}
	if err := json.Unmarshal(a.Params, &event); err != nil {
		f.b.fault("an event of Firefox: %v", err)
	}
	switch a.Method {
	case "log.entryAdded":
		f.b.fault("console: %s %s", event.Level, event.Text)
	case "network.beforeRequestSent":
		f.b.check(event.Request.URL)
	case "network.fetchError":
		if event.ErrorText != "NS_BINDING_ABORTED" { // a poll that a click on a link overtakes
			f.b.fault("failed: %s %s", event.ErrorText, event.Request.URL)
		}
	}
}

func (f *firefox) open(address string) error {
	return f.command("browsingContext.navigate", bidiParams{"context": f.tab, "url": address, "wait": "interactive"}, nil)
}

func (f *firefox) evaluate(script string) (string, error) {
	var said struct {
		Type             string
		Result           struct{ Value string }
		ExceptionDetails struct{ Text string }
	}
	err := f.command("script.evaluate", bidiParams{"expression": asJSON(script), "target": bidiParams{"context": f.tab}, "awaitPromise": true}, &said)
	if err == nil && said.Type != "success" {
		err = fmt.Errorf("the script fails: %s", said.ExceptionDetails.Text)
	}
	return said.Result.Value, err
}

func (f *firefox) mouse(act mouseAct, x, y float64) error {
	acts := []bidiParams{{"type": "pointerMove", "x": int(x), "y": int(y)}}
	switch act {
	case pressMouse:
		acts = append(acts, bidiParams{"type": "pointerDown", "button": 0})
	case releaseMouse:
		acts = append(acts, bidiParams{"type": "pointerUp", "button": 0})
	}
	return f.perform(bidiParams{"type": "pointer", "id": "mouse", "parameters": bidiParams{"pointerType": "mouse"}, "actions": acts})
}

// bidiKeys are the keys that have another name in WebDriver.
var bidiKeys = strings.NewReplacer(kb.Backspace, "\ue003", kb.Tab, "\ue004", kb.Enter, "\ue007", kb.Escape, "\ue00c", kb.End, "\ue010",
	kb.Home, "\ue011", kb.ArrowUp, "\ue013", kb.ArrowDown, "\ue015")

func (f *firefox) keys(text string) error {
	var acts []bidiParams
	for _, key := range bidiKeys.Replace(text) {
		acts = append(acts, bidiParams{"type": "keyDown", "value": string(key)}, bidiParams{"type": "keyUp", "value": string(key)})
	}
	return f.perform(bidiParams{"type": "key", "id": "keyboard", "actions": acts})
}

func (f *firefox) perform(source bidiParams) error {
	err := f.command("input.performActions", bidiParams{"context": f.tab, "actions": []bidiParams{source}}, nil)
	if err != nil && strings.Contains(err.Error(), "NS_ERROR_FAILURE") {
		return fmt.Errorf("%w: %w", errLeft, err)
	}
	return err
}
