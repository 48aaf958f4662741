package threatconnect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mssentinel/app/standin/tcserver"
)

var failed = Notification{Type: "Service: Microsoft Sentinel", Priority: "High", Message: "**Job Failed** <b>&\n* one"}

func TestNotifyStandin(t *testing.T) {
	s, c, _ := against(t, tcserver.Options{})
	if err := c.Notify(t.Context(), failed); err != nil {
		t.Fatal(err)
	}
	got := s.Notifications()
	if len(got) != 1 || got[0].Type != failed.Type || got[0].Priority != "High" || got[0].Message != failed.Message || !got[0].Organization {
		t.Errorf("arrived: %+v", got)
	}
	s.RefuseNotifications(true)
	err := c.Notify(t.Context(), failed)
	if err == nil || !Undelivered(err) || !strings.Contains(err.Error(), "ThreatConnect answered 403") || !strings.Contains(err.Error(), "Organization Administrator") {
		t.Errorf("got %v", err)
	}
	s.RefuseNotifications(false)
	for _, bad := range []Notification{{Type: "System", Priority: "Low", Message: "x"}, {Type: "x", Priority: "Urgent", Message: "x"}, {Type: "x", Priority: "Low"}} {
		if err := c.Notify(t.Context(), bad); err == nil || !Undelivered(err) || !strings.Contains(err.Error(), "400") {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if n := len(s.Notifications()); n != 1 {
		t.Errorf("%d arrived", n)
	}
}

// A notification is sent once: what may have arrived is not sent again. Only one 401 is worth another try.
func TestNotificationOutcomes(t *testing.T) {
	dial := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	for _, c := range []struct {
		name        string
		answer      func(*http.Request) (*http.Response, error)
		tries       int
		undelivered bool
		says        string // "" where it arrived
	}{
		{"success", status(200, `{"status":"Success"}`), 1, false, ""},
		{"created, without a word", status(201, ``), 1, false, ""},
		{"no status in the answer", status(200, `{"data":{}}`), 1, false, ""},
		{"failure with 200", status(200, `{"status":"Failure","message":"no"}`), 1, true, "no"},
		{"missing role", status(403, `{"status":"Failure","message":"no"}`), 1, true, "Organization Administrator"},
		{"missing role as 400", status(400, `{"status":"Failure","message":"no"}`), 1, true, "Organization Administrator"},
		{"missing role as 401", status(401, `{"status":"Failure","message":"Access Denied"}`), 2, true, "If updates run all the same"},
		{"not known", status(404, `{"status":"Failure","message":"no"}`), 1, true, "set ThreatConnect Notifications to Off"},
		{"a proxy's page", status(200, page), 1, true, "A proxy, a firewall or a login page"},
		{"unavailable", status(503, ``), 1, true, "503"},
		{"broken there", status(500, ``), 1, false, "500"},
		{"gateway timeout", status(504, ``), 1, false, "504"},
		{"not reached", func(*http.Request) (*http.Response, error) { return nil, dial }, 1, true, "connection refused. Check the network"},
		{"cut off", func(*http.Request) (*http.Response, error) { return nil, errors.New("connection reset") }, 1, false, "connection reset"},
		{"no answer", func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() }, 1, false, "did not answer within 1m0s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tries := 0
				err := client(roundTrip(func(r *http.Request) (*http.Response, error) {
					tries++
					return c.answer(r)
				})).Notify(t.Context(), failed)
				if tries != c.tries || (err == nil) != (c.says == "") {
					t.Fatalf("%d tries, %v", tries, err)
				}
				if err != nil && (Undelivered(err) != c.undelivered || !strings.Contains(err.Error(), c.says)) {
					t.Errorf("undelivered is %t: %v", Undelivered(err), err)
				}
			})
		})
	}
}

func TestNotifyEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := client(roundTrip(func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() })).Notify(ctx, failed)
		if !errors.Is(err, context.DeadlineExceeded) || Undelivered(err) {
			t.Errorf("got %v", err)
		}
	})
}

func TestNotificationRefusalsTellNoSecret(t *testing.T) {
	c := client(roundTrip(func(r *http.Request) (*http.Response, error) {
		resp, err := status(403, fmt.Sprintf(`{"status":"Failure","message":%q}`, r.Header.Get("Authorization")+" "+testSecret))(r)
		resp.Request = r
		return resp, err
	}))
	if err := c.Notify(t.Context(), failed); err == nil || strings.Contains(err.Error(), "example-secret") || !strings.Contains(err.Error(), "[redacted]") {
		t.Errorf("got %v", err)
	}
}
