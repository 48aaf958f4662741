package tcserver

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestNotifications(t *testing.T) {
	s := newTest(t, Options{MoreOwners: []Owner{{ID: 4711, Name: "Somebody", Type: "Source"}}})
	const rest = `"notificationType":"t","message":"m"`
	for body, want := range map[string]int{
		`{` + rest + `,"priority":"High","isOrganization":true}`:                                                      200,
		`{` + rest + `,"priority":"medium","recipients":"jsmith,devops"}`:                                             200,
		`{` + rest + `,"priority":"LOW","isOrganization":false,"ownerId":4711}`:                                       200,
		`{` + rest + `,"priority":"LOW","isOrganization":false,"ownerId":4712}`:                                       400,
		`{` + rest + `,"priority":"Low"}`:                                                                             400,
		`{` + rest + `,"priority":"Low","isOrganization":false}`:                                                      400,
		`{` + rest + `,"priority":"Urgent","isOrganization":true}`:                                                    400,
		`{` + rest + `,"priority":"Low","isOrganization":"true"}`:                                                     400,
		`{` + rest + `,"isOrganization":true}`:                                                                        400,
		`{"notificationType":"t","priority":"Low","isOrganization":true}`:                                             400,
		`{"message":"m","priority":"Low","isOrganization":true}`:                                                      400,
		`{"message":"","notificationType":"t","priority":"Low","recipients":"x"}`:                                     400,
		`{"message":"m","notificationType":"sYstem","priority":"Low","recipients":"x"}`:                               400,
		`{"message":"m","notificationType":"` + strings.Repeat("x", 51) + `","priority":"Low","isOrganization":true}`: 400,
		`{"message":"` + strings.Repeat("m", 65<<10) + `","notificationType":"t","priority":"Low","recipients":"x"}`:  400,
		`{"data":{}}`: 400, `[]`: 400, `{`: 400, ``: 400,
	} {
		before := len(s.Notifications())
		w := call(s, "POST", "/api/v2/notifications", body, "Content-Type", "application/json")
		var answer struct{ Status, Message string }
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != want || (answer.Status == "Success") != (want == 200) {
			t.Errorf("%.90s: %d %+v, %v", body, w.Code, answer, err)
		}
		if kept := len(s.Notifications()) - before; kept != map[int]int{200: 1}[want] {
			t.Errorf("%.90s: %d kept", body, kept)
		}
	}
	good := `{` + rest + `,"priority":"High","isOrganization":true}`
	for name, w := range map[string]*httptest.ResponseRecorder{
		"no credentials": call(s, "POST", "/api/v2/notifications", good, "Content-Type", "application/json", "Authorization", ""),
		"no JSON":        call(s, "POST", "/api/v2/notifications", good, "Content-Type", "text/plain"),
		"no POST":        call(s, "GET", "/api/v2/notifications", ""),
	} {
		if want := map[string]int{"no credentials": 401, "no JSON": 400, "no POST": 405}[name]; w.Code != want {
			t.Errorf("%s: %d, want %d", name, w.Code, want)
		}
	}
	for _, n := range s.Notifications() {
		if n.Priority != "High" && n.Priority != "Medium" && n.Priority != "Low" {
			t.Errorf("kept as %+v", n)
		}
	}
}

func TestNotificationsAreRefused(t *testing.T) {
	s := newTest(t, Options{RefuseNotifications: true})
	send := func(want int) {
		t.Helper()
		body := `{"notificationType":"t","message":"m","priority":"High","isOrganization":true}`
		if w := call(s, "POST", "/api/v2/notifications", body, "Content-Type", "application/json"); w.Code != want {
			t.Errorf("%d, want %d", w.Code, want)
		}
	}
	send(403)
	call(s, "POST", "/_standin/notifications?refuse=false", "")
	send(200)
	if w := call(s, "GET", "/_standin/notifications", ""); !strings.Contains(w.Body.String(), `"message":"m"`) {
		t.Errorf("the control says %s", w.Body)
	}
	call(s, "POST", "/_standin/notifications?refuse=true", "")
	send(403)
	for range maxNotifications + 5 {
		s.keepNotification(Notification{})
	}
	if n := len(s.Notifications()); n != maxNotifications {
		t.Errorf("%d kept", n)
	}
}
