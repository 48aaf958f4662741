// Package daemon starts real servers for the platform stand-in, in place of its embedded ones: Mosquitto as message broker,
// Redis as key-value store. They listen on free loopback ports.
package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"mssentinel/app/standin/tcplatform"
)

// Daemon is a server that may be stopped and started again on the same port.
type Daemon struct {
	command []string
	port    int
	process *exec.Cmd
	ended   chan struct{}
	output  output
}

// startLimit is how long a server may take until it listens.
const startLimit = 20 * time.Second

// output keeps what a server prints.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// Start returns when the server listens.
func (d *Daemon) Start() error {
	d.process, d.ended = exec.Command(d.command[0], d.command[1:]...), make(chan struct{})
	d.process.Stdout, d.process.Stderr = &d.output, &d.output
	if err := d.process.Start(); err != nil {
		return err
	}
	go func(process *exec.Cmd, ended chan<- struct{}) {
		process.Wait() //nolint:errcheck // its output tells
		close(ended)
	}(d.process, d.ended)
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	var dialer net.Dialer
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := dialer.DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", d.port))
		if err == nil {
			return conn.Close()
		}
		select {
		case <-tick.C:
		case <-d.ended:
			return fmt.Errorf("%s ended: %s", d.command[0], &d.output)
		case <-ctx.Done():
			d.Stop()
			return fmt.Errorf("%s does not listen: %s", d.command[0], &d.output)
		}
	}
}

// Stop ends the server without a goodbye.
func (d *Daemon) Stop() {
	if d.process != nil {
		d.process.Process.Kill() //nolint:errcheck // it may be gone
		<-d.ended
		d.process = nil
	}
}

// freePort was free a moment ago.
func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// findCommand looks for a command, also where daemons are and no path leads.
func findCommand(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/" + name)
	}
	if err != nil {
		return "", fmt.Errorf("%s is missing: run ./package.sh test, which installs it", name)
	}
	return path, nil
}

// loginPlugin decides in place of Mosquitto, which never admits an empty user name; the plugin gets it as no name at all.
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

// Mosquitto starts a broker that admits Apps by their token. It uses TLS where there are certificates; dir is for its files.
func Mosquitto(dir string, certificates *tcplatform.Certificates) (*Daemon, *tcplatform.Broker, error) {
	program, err := findCommand("mosquitto")
	if err != nil {
		return nil, nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, nil, err
	}
	plugin, err := compilePlugin(dir)
	if err != nil {
		return nil, nil, err
	}
	at := &tcplatform.Broker{Host: "127.0.0.1", Port: port, Token: "app-token", User: "core", Secret: "core-secret"}
	lines := []string{"allow_anonymous false", "plugin " + plugin, "log_dest stdout", "user root", fmt.Sprintf("listener %d 127.0.0.1", port)}
	if certificates != nil {
		lines = append(lines, "cafile "+certificates.CAFile, "certfile "+certificates.ServerCertFile, "keyfile "+certificates.ServerKeyFile)
		at.Host, at.CAFile = certificates.Host, certificates.CAFile
	}
	config := filepath.Join(dir, "mosquitto.conf")
	if err := os.WriteFile(config, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		return nil, nil, err
	}
	d := &Daemon{command: []string{program, "-c", config}, port: port}
	return d, at, d.Start()
}

// compilePlugin builds the plugin.
func compilePlugin(dir string) (string, error) {
	source, plugin := filepath.Join(dir, "login.c"), filepath.Join(dir, "login.so")
	if err := os.WriteFile(source, []byte(loginPlugin), 0o600); err != nil {
		return "", err
	}
	if out, err := exec.Command("cc", "-shared", "-fPIC", "-o", plugin, source).CombinedOutput(); err != nil {
		return "", errors.Join(fmt.Errorf("building the plugin of Mosquitto: %w: %s", err, out),
			errors.New("mosquitto-dev and libmosquitto-dev are needed: run ./package.sh test, which installs them"))
	}
	return plugin, nil
}

// Redis starts a store with a password. Where there are certificates it uses TLS and asks for that of the clients.
func Redis(dir string, certificates *tcplatform.Certificates) (*Daemon, *tcplatform.Store, error) {
	program, err := findCommand("redis-server")
	if err != nil {
		return nil, nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, nil, err
	}
	at := &tcplatform.Store{Host: "127.0.0.1", Port: port, Password: "redis-secret"}
	command := []string{program, "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--requirepass", at.Password}
	if certificates == nil {
		command = append(command, "--port", fmt.Sprint(port))
	} else {
		at.Host, at.TLS, at.DB = certificates.Host, true, 5
		at.CAFile, at.CertFile, at.KeyFile = certificates.CAFile, certificates.ClientCertFile, certificates.ClientKeyFile
		command = append(command, "--port", "0", "--tls-port", fmt.Sprint(port), "--tls-ca-cert-file", certificates.CAFile,
			"--tls-cert-file", certificates.ServerCertFile, "--tls-key-file", certificates.ServerKeyFile)
	}
	d := &Daemon{command: command, port: port}
	return d, at, d.Start()
}
