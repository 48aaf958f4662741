package tcplatform

import (
	"bytes"
	"io"
	"net"
	"strconv"
	"testing"
)

// text is a string as MQTT writes it.
func text(s string) string { return string([]byte{byte(len(s) >> 8), byte(len(s))}) + s }

// packet is an MQTT packet, up to 127 bytes of it.
func packet(kind byte, content string) []byte {
	return append([]byte{kind, byte(len(content))}, content...)
}

// connect logs in byte by byte, and returns the code of the CONNACK; 255 when the broker hangs up instead.
func connect(t *testing.T, where Broker, login []byte) (net.Conn, byte) {
	t.Helper()
	conn, err := net.Dial("tcp", net.JoinHostPort(where.Host, strconv.Itoa(where.Port)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := conn.Write(login); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 4)
	if _, err := io.ReadFull(conn, answer); err != nil {
		return conn, 255
	}
	return conn, answer[3]
}

// The login of the platform's brokers, app/docs/platform.md#message-broker, and nothing near it: a user name that is there and
// empty, and the token.
func TestLogins(t *testing.T) {
	b, err := startBroker(Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.stopServer()
	const mqtt311, mqtt31 = "\x00\x04MQTT\x04", "\x00\x06MQIsdp\x03"
	id, token := text("a"), text(b.where.Token)
	for name, test := range map[string]struct {
		login    string
		admitted bool
	}{
		"as it should be":     {mqtt311 + "\xc2\x00\x3c" + id + text("") + token, true},
		"the platform itself": {mqtt311 + "\xc2\x00\x3c" + id + text(b.where.User) + text(b.where.Secret), true},
		"MQTT 3.1":            {mqtt31 + "\xc2\x00\x3c" + id + text("") + token, false},
		"no user name":        {mqtt311 + "\x42\x00\x3c" + id + token, false},
		"no password":         {mqtt311 + "\x82\x00\x3c" + id + text(""), false},
		"nothing":             {mqtt311 + "\x02\x00\x3c" + id, false},
		"wrong token":         {mqtt311 + "\xc2\x00\x3c" + id + text("") + text("x"), false},
		"another user":        {mqtt311 + "\xc2\x00\x3c" + id + text("x") + token, false},
		"token as user":       {mqtt311 + "\xc2\x00\x3c" + id + token + text(""), false},
		"platform and token":  {mqtt311 + "\xc2\x00\x3c" + id + text(b.where.User) + token, false},
	} {
		if _, code := connect(t, b.where, packet(0x10, test.login)); (code == 0) != test.admitted {
			t.Errorf("%s: CONNACK code %d", name, code)
		}
	}
}

// An App reads the messages to it, and none of others' answers.
func TestTopicsOfAnApp(t *testing.T) {
	b, err := startBroker(Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.stopServer()
	conn, code := connect(t, b.where, packet(0x10, "\x00\x04MQTT\x04\xc2\x00\x3c"+text("a")+text("")+text(b.where.Token)))
	if code != 0 {
		t.Fatalf("CONNACK code %d", code)
	}
	server, client := newTopics()
	for topic, granted := range map[string]byte{server: 0, client: 0x80, "#": 0x80} {
		if _, err := conn.Write(packet(0x82, "\x00\x01"+text(topic)+"\x00")); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, 5)
		if _, err := io.ReadFull(conn, answer); err != nil || !bytes.Equal(answer, []byte{0x90, 3, 0, 1, granted}) {
			t.Errorf("%s: %x, %v", topic, answer, err)
		}
	}
}
