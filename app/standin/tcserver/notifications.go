package tcserver

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Notification is one that people were sent.
type Notification struct {
	Time         time.Time `json:"time"`
	Type         string    `json:"notificationType"`
	Priority     string    `json:"priority"` // Low, Medium or High, however it was written
	Message      string    `json:"message"`
	Organization bool      `json:"isOrganization"`
	Recipients   string    `json:"recipients,omitempty"`
	OwnerID      int64     `json:"ownerId,omitempty"`
}

// Bounds of a notification that the API documents, and of those that are kept; the oldest go first.
const (
	maxNotificationType    = 50       // characters
	maxNotificationMessage = 64 << 10 // bytes
	maxNotifications       = 1000
)

const pathNotifications = "/api/v2/notifications"

// postNotification takes a notification as app/docs/threatconnect.md#notifications has it. It refuses in the form of
// version 2.
func (s *Server) postNotification(r *http.Request, p parameters, _ *Request) (answer, error) {
	if s.refusesNotifications() {
		return notificationRefusal(http.StatusForbidden, "You do not have permission to create notifications"), nil
	}
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		return notificationRefusal(http.StatusBadRequest, "The request was not properly formed"), nil
	}
	var sent struct {
		Type           *string `json:"notificationType"`
		Priority       *string `json:"priority"`
		Message        *string `json:"message"`
		IsOrganization *bool   `json:"isOrganization"`
		Recipients     *string `json:"recipients"`
		OwnerID        *int64  `json:"ownerId"`
	}
	if err := json.Unmarshal(p.body, &sent); err != nil {
		return notificationRefusal(http.StatusBadRequest, "The request was not properly formed"), nil
	}
	for _, required := range []struct {
		name  string
		value *string
	}{{"notificationType", sent.Type}, {"priority", sent.Priority}, {"message", sent.Message}} {
		if required.value == nil || *required.value == "" {
			return notificationRefusal(http.StatusBadRequest, required.name+" is required"), nil
		}
	}
	n := Notification{Time: time.Now(), Type: *sent.Type, Priority: *sent.Priority, Message: *sent.Message,
		Organization: sent.IsOrganization != nil && *sent.IsOrganization}
	if sent.Recipients != nil {
		n.Recipients = *sent.Recipients
	}
	if sent.OwnerID != nil {
		n.OwnerID = *sent.OwnerID
	}
	if err := s.checkNotification(&n); err != nil {
		return notificationRefusal(http.StatusBadRequest, err.Error()), nil
	}
	s.keepNotification(n)
	return jsonAnswer(http.StatusOK, map[string]string{"status": "Success"}), nil
}

// checkNotification checks what was sent, and spells the priority as the API does.
func (s *Server) checkNotification(n *Notification) error {
	priorities := []string{"Low", "Medium", "High"}
	i := slices.IndexFunc(priorities, func(word string) bool { return strings.EqualFold(word, n.Priority) })
	switch {
	case i < 0:
		return fmt.Errorf("priority must be one of %s", strings.Join(priorities, ", "))
	case strings.EqualFold(n.Type, "System"):
		return fmt.Errorf("notificationType %s is reserved", n.Type)
	case utf8.RuneCountInString(n.Type) > maxNotificationType:
		return fmt.Errorf("notificationType must have at most %d characters", maxNotificationType)
	case len(n.Message) > maxNotificationMessage:
		return fmt.Errorf("message must have at most %d bytes", maxNotificationMessage)
	case !n.Organization && n.OwnerID == 0 && n.Recipients == "":
		return fmt.Errorf("recipients is required")
	case n.OwnerID != 0 && !slices.ContainsFunc(s.Owners(), func(o Owner) bool { return o.ID == n.OwnerID }):
		return fmt.Errorf("The requested owner was not found") //nolint:staticcheck // as the API says it
	}
	n.Priority = priorities[i]
	return nil
}

func notificationRefusal(status int, message string) answer {
	return jsonAnswer(status, map[string]string{"status": "Failure", "message": message})
}

func (s *Server) refusesNotifications() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.options.RefuseNotifications
}

// RefuseNotifications has every notification answered with 403, as for an API user without the role for it, or no more.
func (s *Server) RefuseNotifications(refuse bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.options.RefuseNotifications = refuse
}

func (s *Server) keepNotification(n Notification) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notifications = append(s.notifications, n)
	if extra := len(s.notifications) - maxNotifications; extra > 0 {
		s.notifications = slices.Delete(s.notifications, 0, extra)
	}
}

// Notifications returns what people were sent (the last 1,000).
func (s *Server) Notifications() []Notification {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Notification{}, s.notifications...)
}

func (s *Server) controlNotifications(controlCall) (any, error) { return s.Notifications(), nil }

func (s *Server) controlRefuseNotifications(c controlCall) (any, error) {
	s.RefuseNotifications(c.queryValue("refuse") == "true")
	return nil, nil
}
