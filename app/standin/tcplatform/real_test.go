package tcplatform_test

import (
	"bytes"
	"testing"
	"time"

	"mssentinel/app/standin/daemon"
	"mssentinel/app/standin/tcplatform"
)

func mosquitto(t *testing.T, certificates *tcplatform.Certificates) (*daemon.Daemon, *tcplatform.Broker) {
	t.Helper()
	d, at, err := daemon.Mosquitto(t.TempDir(), certificates)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Stop)
	return d, at
}

func redis(t *testing.T, certificates *tcplatform.Certificates) (*daemon.Daemon, *tcplatform.Store) {
	t.Helper()
	d, at, err := daemon.Redis(t.TempDir(), certificates)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Stop)
	return d, at
}

func restart(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	d.Stop()
	if err := d.Start(); err != nil {
		t.Fatal(err)
	}
}

// The same as with the embedded ones, with a real Mosquitto and a real Redis: password, TLS, a certificate with a common name
// alone, and both of them being restarted.
func TestRealBrokerAndStore(t *testing.T) {
	for name, test := range map[string]struct{ secure, commonNameOnly bool }{
		"plain": {}, "secure": {secure: true}, "common name": {true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var certificates *tcplatform.Certificates
			if test.secure {
				var err error
				if certificates, err = tcplatform.NewCertificates(t.TempDir(), test.commonNameOnly); err != nil {
					t.Fatal(err)
				}
			}
			broker, brokerAt := mosquitto(t, certificates)
			store, storeAt := redis(t, certificates)
			_, s := running(t, tcplatform.Options{Broker: brokerAt, Store: storeAt, HeartbeatTimeout: 10 * time.Second})
			body := bytes.Repeat([]byte{0, 0xff, '\r', '\n'}, 10_000)
			if e := echo(t, "POST", s.URL()+"/x", body, nil); !bytes.Equal(e.Body, body) {
				t.Errorf("%d bytes became %d", len(body), len(e.Body))
			}

			restart(t, broker)
			beats := s.Status().Received["Heartbeat"]
			if _, err := s.Wait(within(t), func(status tcplatform.Status) bool { return status.Received["Heartbeat"] > beats+1 }); err != nil {
				t.Fatal(err)
			}
			restart(t, store)
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
	p := start(t, tcplatform.Options{Broker: where})
	s := add(t, p, tcplatform.ServiceOptions{MaxRestarts: -1, Inputs: map[string]string{"tc_svc_broker_token": "a-wrong-token"}})
	has(t, failed(t, s).Exit.Message, "refused the login: bad token (CONNACK code 5)")
}

// The vendor's own framework works with both as well; without TLS it has no password for a Redis that asks for one.
func TestVendorFrameworkOnRealBrokerAndStore(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*testing.T){}
	for _, v := range vendors {
		tests[v.version] = func(t *testing.T) {
			certificates, err := tcplatform.NewCertificates(t.TempDir(), false)
			if err != nil {
				t.Fatal(err)
			}
			_, brokerAt := mosquitto(t, certificates)
			_, storeAt := redis(t, certificates)
			s := v.vendorService(t, tcplatform.Options{Broker: brokerAt, Store: storeAt, RawQuery: true}, false)
			exchange(t, s, 70, true, false)
			endInOrder(t, s, 70)
		}
	}
	sideBySide(t, tests)
}
