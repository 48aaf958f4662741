package platform_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mssentinel/app/standin/platform"
)

// Mosquitto itself never admits an empty user name; a plugin decides instead, and gets it as no name at all.
const loginPlugin = `
#include <string.h>
#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>
static int login(int event, void *data, void *user) {
	struct mosquitto_evt_basic_auth *e = data;
	if (!e->password) return MOSQ_ERR_AUTH;
	if (!e->username || !*e->username) return strcmp(e->password, "app-token") ? MOSQ_ERR_AUTH : MOSQ_ERR_SUCCESS;
	return strcmp(e->username, "core") || strcmp(e->password, "core-secret") ? MOSQ_ERR_AUTH : MOSQ_ERR_SUCCESS;
}
int mosquitto_plugin_version(int n, const int *versions) { return 5; }
int mosquitto_plugin_init(mosquitto_plugin_id_t *id, void **data, struct mosquitto_opt *options, int n) {
	return mosquitto_callback_register(id, MOSQ_EVT_BASIC_AUTH, login, NULL, NULL);
}
int mosquitto_plugin_cleanup(void *data, struct mosquitto_opt *options, int n) { return MOSQ_ERR_SUCCESS; }
`

// daemon is a real server, which may be stopped and started again.
type daemon struct {
	command []string
	port    int
	process *exec.Cmd
	output  bytes.Buffer
}

// start waits until the port is open.
func (d *daemon) start(t *testing.T) {
	t.Helper()
	d.process = exec.Command(d.command[0], d.command[1:]...)
	d.process.Stdout, d.process.Stderr = &d.output, &d.output
	if err := d.process.Start(); err != nil {
		t.Fatalf("%v: run ./package.sh test, which installs it", err)
	}
	t.Cleanup(d.stop)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		if conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", d.port)); err == nil {
			conn.Close()
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			d.stop()
			t.Fatalf("%s does not listen:\n%s", d.command[0], &d.output)
		}
	}
}

func (d *daemon) stop() {
	if d.process != nil {
		d.process.Process.Kill()
		d.process.Wait()
		d.process = nil
	}
}

// freePort is free at this moment.
func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

func command(t *testing.T, name string, more ...string) string {
	t.Helper()
	for _, candidate := range append([]string{name}, more...) {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	t.Fatalf("%s is missing: run ./package.sh test, which installs it", name)
	return ""
}

// mosquitto is a real broker that admits Apps by their token.
func mosquitto(t *testing.T, certificates *platform.Certificates) (*daemon, platform.Broker) {
	t.Helper()
	dir := t.TempDir()
	source, plugin, config := filepath.Join(dir, "login.c"), filepath.Join(dir, "login.so"), filepath.Join(dir, "mosquitto.conf")
	if err := os.WriteFile(source, []byte(loginPlugin), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(command(t, "cc"), "-shared", "-fPIC", "-o", plugin, source).CombinedOutput(); err != nil {
		t.Fatalf("building the plugin (mosquitto-dev and libmosquitto-dev are needed, which ./package.sh test installs): %v: %s", err, out)
	}
	d := &daemon{port: freePort(t)}
	where := platform.Broker{Host: "127.0.0.1", Port: d.port, Token: "app-token", User: "core", Secret: "core-secret"}
	lines := []string{"per_listener_settings false", "allow_anonymous false", "plugin " + plugin, "log_dest stdout",
		fmt.Sprintf("listener %d 127.0.0.1", d.port), "user root"}
	if certificates != nil {
		lines = append(lines, "cafile "+certificates.CAFile, "certfile "+certificates.ServerCertFile, "keyfile "+certificates.ServerKeyFile)
		where.CAFile = certificates.CAFile
	}
	if err := os.WriteFile(config, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.command = []string{command(t, "mosquitto", "/usr/sbin/mosquitto"), "-c", config}
	d.start(t)
	return d, where
}

// redis is a real store with a password and, over TLS, a client certificate.
func redis(t *testing.T, certificates *platform.Certificates) (*daemon, platform.Store) {
	t.Helper()
	d := &daemon{port: freePort(t)}
	where := platform.Store{Host: "127.0.0.1", Port: d.port, Password: "redis-secret"}
	d.command = []string{command(t, "redis-server"), "--bind", "127.0.0.1", "--dir", t.TempDir(), "--save", "", "--requirepass", "redis-secret"}
	if certificates == nil {
		d.command = append(d.command, "--port", fmt.Sprint(d.port))
	} else {
		where.TLS, where.DB = true, 5
		where.CAFile, where.CertFile, where.KeyFile = certificates.CAFile, certificates.ClientCertFile, certificates.ClientKeyFile
		d.command = append(d.command, "--port", "0", "--tls-port", fmt.Sprint(d.port), "--tls-ca-cert-file", certificates.CAFile,
			"--tls-cert-file", certificates.ServerCertFile, "--tls-key-file", certificates.ServerKeyFile)
	}
	d.start(t)
	return d, where
}

// The same as with the embedded ones, with a real Mosquitto and a real Redis: password, TLS, a certificate with a common name
// alone, and both of them being restarted.
func TestRealBrokerAndStore(t *testing.T) {
	for name, test := range map[string]struct{ secure, commonNameOnly bool }{
		"plain": {}, "secure": {secure: true}, "common name": {true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var certificates *platform.Certificates
			if test.secure {
				var err error
				if certificates, err = platform.NewCertificates(t.TempDir(), test.commonNameOnly); err != nil {
					t.Fatal(err)
				}
			}
			broker, brokerAt := mosquitto(t, certificates)
			store, storeAt := redis(t, certificates)
			_, s := running(t, platform.Options{Broker: &brokerAt, Store: &storeAt, HeartbeatTimeout: 10 * time.Second})
			body := bytes.Repeat([]byte{0, 0xff, '\r', '\n'}, 10_000)
			if e := echo(t, "POST", s.URL()+"/x", body, nil); !bytes.Equal(e.Body, body) {
				t.Errorf("%d bytes became %d", len(body), len(e.Body))
			}

			broker.stop()
			broker.start(t)
			beats := s.Status().Received["Heartbeat"]
			if _, err := s.Wait(within(t), func(status platform.Status) bool { return status.Received["Heartbeat"] > beats+1 }); err != nil {
				t.Fatal(err)
			}
			store.stop()
			store.start(t)
			if e := echo(t, "POST", s.URL()+"/x", body, nil); !bytes.Equal(e.Body, body) {
				t.Errorf("%d bytes became %d", len(body), len(e.Body))
			}
			s.TurnOff()
			if status := s.Status(); status.Exit.Code != 0 || status.Received["Ready"] != 1 || status.Restarts != 0 {
				t.Errorf("got %+v %+v", status, status.Exit)
			}
		})
	}
}

// What a real broker says to a wrong token is understood.
func TestRealBrokerRefuses(t *testing.T) {
	t.Parallel()
	_, where := mosquitto(t, nil)
	p := start(t, platform.Options{Broker: &where})
	s := add(t, p, platform.ServiceOptions{MaxRestarts: -1, Inputs: map[string]string{"tc_svc_broker_token": "a-wrong-token"}})
	has(t, failed(t, s).Exit.Message, "refused the login: bad token (CONNACK code 5)")
}
