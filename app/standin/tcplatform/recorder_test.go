package tcplatform_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// recorder stands between an App and the platform's broker, store and API, and writes down what the App sends, one line
// each. What differs from run to run stands there in one form.
type recorder struct {
	mu      sync.Mutex
	lines   []string
	changed chan struct{} // closed at the next line or subscription
	// subscriptions counts those that the broker has taken.
	subscriptions int
}

func newRecorder() *recorder { return &recorder{changed: make(chan struct{})} }

func (r *recorder) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
	close(r.changed)
	r.changed = make(chan struct{})
}

// await waits until as many lines as wanted begin with prefix.
func (r *recorder) await(t *testing.T, prefix string, wanted int) {
	t.Helper()
	ctx := within(t)
	for {
		r.mu.Lock()
		found := 0
		for _, line := range r.lines {
			if strings.HasPrefix(line, prefix) {
				found++
			}
		}
		changed := r.changed
		r.mu.Unlock()
		if found >= wanted {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("%d of %d lines %q:\n%s", found, wanted, prefix, strings.Join(r.lines, "\n"))
		}
	}
}

// noteAnswers reads what the broker sends, and counts the subscriptions that it has taken.
func (r *recorder) noteAnswers(reader io.Reader) {
	for {
		packet, err := packets.ReadPacket(reader)
		if err != nil {
			io.Copy(io.Discard, reader) // the one who copies must not wait
			return
		}
		if _, taken := packet.(*packets.SubackPacket); taken {
			r.mu.Lock()
			r.subscriptions++
			close(r.changed)
			r.changed = make(chan struct{})
			r.mu.Unlock()
		}
	}
}

// awaitSubscription waits until the broker has taken a subscription: what is sent before that is lost.
func (r *recorder) awaitSubscription(t *testing.T) {
	t.Helper()
	ctx := within(t)
	for {
		r.mu.Lock()
		subscribed, changed := r.subscriptions > 0, r.changed
		r.mu.Unlock()
		if subscribed {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatal("the broker took no subscription")
		}
	}
}

// take returns the lines so far and forgets them.
func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	lines := r.lines
	r.lines = nil
	return lines
}

// tap listens in place of the server at upstream. noteNext reads one message and notes it; the server gets it after that,
// so that the order of the lines is that of the messages, over several connections too. noteAnswers reads what comes back, to its end.
func tap(t *testing.T, upstream string, noteNext func(io.Reader) error, noteAnswers func(io.Reader)) (port int) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", upstream)
			if err != nil {
				client.Close()
				return
			}
			seen, answers := io.Pipe()
			go noteAnswers(seen)
			go func() {
				io.Copy(client, io.TeeReader(server, answers))
				answers.Close()
				client.Close()
			}()
			go func() {
				defer server.Close()
				var message bytes.Buffer
				for reader := io.TeeReader(bufio.NewReader(client), &message); noteNext(reader) == nil; message.Reset() {
					if _, err := server.Write(message.Bytes()); err != nil {
						return
					}
				}
			}()
		}
	}()
	return listener.Addr().(*net.TCPAddr).Port
}

var topic = regexp.MustCompile(`svc-(server|client)-[0-9a-f]{32}`)

// notePacket notes what an App sends to the broker. The numbers of packets are left out: they count what QoS 0 needs not.
func (r *recorder) notePacket(reader io.Reader) error {
	var raw bytes.Buffer
	packet, err := packets.ReadPacket(io.TeeReader(reader, &raw))
	if err != nil {
		return err
	}
	switch p := packet.(type) {
	case *packets.ConnectPacket:
		token := bytes.Repeat([]byte("T"), len(p.Password))
		r.note("CONNECT %s", hex.EncodeToString(bytes.ReplaceAll(raw.Bytes(), p.Password, token)))
	case *packets.SubscribePacket:
		r.note("SUBSCRIBE %s qos %v", topic.ReplaceAllString(strings.Join(p.Topics, " "), "svc-$1"), p.Qoss)
	case *packets.UnsubscribePacket:
		r.note("UNSUBSCRIBE %s", topic.ReplaceAllString(strings.Join(p.Topics, " "), "svc-$1"))
	case *packets.PublishPacket:
		r.note("PUBLISH %s qos %d retain %v %s", topic.ReplaceAllString(p.TopicName, "svc-$1"), p.Qos, p.Retain, normalizeMessage(p.Payload))
	case *packets.DisconnectPacket:
		r.note("DISCONNECT")
	}
	return nil
}

var digit = regexp.MustCompile(`\d`)

// normalizeMessage writes a message with its members in order. The time of a BrokerCheck becomes its form, its count a 1, and
// the header with which the App on TcEx tells what it saw goes.
func normalizeMessage(payload []byte) string {
	var message map[string]any
	if err := json.Unmarshal(payload, &message); err != nil {
		return fmt.Sprintf("%q: %v", payload, err)
	}
	if date, is := message["date"].(string); is {
		message["date"] = digit.ReplaceAllString(date, "9")
	}
	if _, is := message["heartbeat_watchdog"].(float64); is {
		message["heartbeat_watchdog"] = 1
	}
	if headers, is := message["headers"].([]any); is {
		message["headers"] = slices.DeleteFunc(headers, func(h any) bool { return h.(map[string]any)["name"] == "X-Seen" })
	}
	data, err := json.Marshal(message)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// noteCommand notes what an App asks of the store, but for what belongs to the connection.
func (r *recorder) noteCommand(reader io.Reader) error {
	count, err := readSize(reader, '*')
	if err != nil {
		return err
	}
	parts := make([]string, count)
	for i := range parts {
		size, err := readSize(reader, '$')
		if err != nil {
			return err
		}
		data := make([]byte, size+2)
		if _, err := io.ReadFull(reader, data); err != nil {
			return err
		}
		parts[i] = string(data[:size])
	}
	switch command := strings.ToUpper(parts[0]); command {
	case "HELLO", "AUTH", "CLIENT", "PING", "SELECT", "QUIT":
	default:
		r.note("%s %q", command, parts[1:])
	}
	return nil
}

func readSize(reader io.Reader, kind byte) (int, error) {
	var line []byte
	for char := make([]byte, 1); !bytes.HasSuffix(line, []byte("\r\n")); line = append(line, char[0]) {
		if _, err := io.ReadFull(reader, char); err != nil {
			return 0, err
		}
	}
	if line[0] != kind {
		return 0, fmt.Errorf("%q instead of %c", line, kind)
	}
	return strconv.Atoi(string(line[1 : len(line)-2]))
}

var (
	uuidForm  = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
	tokenForm = regexp.MustCompile(`^TC-Token SVC:[\w:]+$`)
)

// handler stands in place of ThreatConnect's API, and notes what an App asks of the store there.
func (r *recorder) handler(t *testing.T, upstream string) http.Handler {
	t.Helper()
	address, err := url.Parse(upstream)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(address)
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		if err != nil {
			t.Error(err)
		}
		request.Body = io.NopCloser(bytes.NewReader(body))
		r.note("%s %s authorization %s, type %q, body %q", request.Method, uuidForm.ReplaceAllString(request.RequestURI, "key"),
			tokenForm.ReplaceAllString(request.Header.Get("Authorization"), "TC-Token token"), request.Header.Get("Content-Type"), body)
		proxy.ServeHTTP(w, request)
	})
}
