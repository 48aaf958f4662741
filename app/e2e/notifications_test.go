package e2e

import (
	"strings"
	"testing"
)

// tasks are the names of the tasks, each with what TASKS says of it.
func (a *app) tasks() map[string]string {
	a.t.Helper()
	var list struct {
		Data []struct{ Slug, Detail string }
	}
	a.do("GET", "api/task", nil, &list)
	tasks := map[string]string{}
	for _, t := range list.Data {
		tasks[t.Slug] = t.Detail
	}
	return tasks
}

func TestPeopleAreNotifiedOfAFailure(t *testing.T) {
	t.Parallel()
	d := newDelivery(t)
	d.w.tc.RefuseNotifications(true)
	d.w.cloud.SetSecret(clientID, "another")
	requestID := d.run()
	d.a.await(requestID)
	d.a.do("PUT", "api/task/notifications?run=true", nil, nil)
	d.a.eventually("the refusal on TASKS", func() bool {
		return strings.Contains(d.a.tasks()["notifications"], "Organization Administrator")
	})
	d.w.tc.RefuseNotifications(false)
	d.a.do("PUT", "api/task/notifications?run=true", nil, nil)
	d.a.eventually("the notification", func() bool { return len(d.w.tc.Notifications()) == 1 })
	n := d.w.tc.Notifications()[0]
	for _, part := range []string{"Microsoft Sentinel v", source, "**Job Failed.**", requestID, "Client Secret", "JOBS"} {
		if !strings.Contains(n.Message, part) {
			t.Errorf("%q is not in\n%s", part, n.Message)
		}
	}
	if n.Type != "Service: Microsoft Sentinel" || n.Priority != "High" || !n.Organization {
		t.Errorf("sent as %+v", n)
	}
	d.w.holdsNoSecret("the notification", []byte(n.Message))
	d.w.outputHoldsNoSecret(d.a)
}

func TestNobodyIsNotifiedWhereThatIsOff(t *testing.T) {
	t.Parallel()
	d := newDelivery(t)
	d.w.env["notifications"] = "Off"
	d.w.cloud.SetSecret(clientID, "another")
	d.a = d.w.start()
	if _, there := d.a.tasks()["notifications"]; there {
		t.Error("TASKS has Notifications")
	}
}
