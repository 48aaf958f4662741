package threatconnect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Notification is a message to the people of the API user's Organization
// (app/docs/threatconnect.md#notifications).
type Notification struct {
	// Type is a name of at most 50 characters, by which people choose how they are notified. "System" is ThreatConnect's own.
	Type string
	// Priority is Low, Medium or High.
	Priority string
	// Message is Markdown of at most 64 KB.
	Message string
}

// notifyTimeout bounds a try to send a notification.
const notifyTimeout = time.Minute

var errNotifyTooSlow = fmt.Errorf("it did not answer within %s", notifyTimeout)

// notificationBody is the body of the request.
type notificationBody struct {
	Type           string `json:"notificationType"`
	Priority       string `json:"priority"`
	IsOrganization bool   `json:"isOrganization"`
	Message        string `json:"message"`
}

// Notify sends a notification to all people of the API user's Organization, once: what ThreatConnect may have taken is not
// sent again here, see [Undelivered]. The error is an *Error where ThreatConnect refused.
func (c *Client) Notify(ctx context.Context, n Notification) error {
	body, err := json.Marshal(notificationBody{n.Type, n.Priority, true, n.Message})
	if err != nil {
		return fmt.Errorf("send a notification: %w", err)
	}
	try, cancel := context.WithTimeout(ctx, notifyTimeout)
	defer cancel()
	err = c.postNotification(try, body)
	var refused *Error
	if errors.As(err, &refused) && refused.effectiveStatus() == http.StatusUnauthorized && !refused.foreign {
		err = c.postNotification(try, body) // the signed second may have run out on the way
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &refused):
		refused.Remedy = notificationRemedy(refused)
	case errors.Is(err, context.DeadlineExceeded):
		err = c.explainFailure(errNotifyTooSlow)
	default:
		err = c.explainFailure(err)
	}
	return fmt.Errorf("send a notification: %w", err)
}

func (c *Client) postNotification(ctx context.Context, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/v2/notifications", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Content-Type", "application/json")
	if c.options.UserAgent != "" {
		req.Header.Set("User-Agent", c.options.UserAgent)
	}
	if err := c.authorizeRequest(req); err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := readBody(resp, new(bytes.Buffer))
	if err != nil {
		return err
	}
	return c.checkNotified(resp, text)
}

// checkNotified goes by the status, as the vendor's engines do, unless the answer itself says no
// (app/docs/threatconnect.md#notifications).
func (c *Client) checkNotified(resp *http.Response, body []byte) error {
	html := isHTML(resp.Header, body)
	a, readable := parseAnswer(body)
	if html || resp.StatusCode/100 != 2 || readable && a.status != "" && a.status != "Success" {
		return c.newError(resp, a, html)
	}
	return nil
}

// notificationRemedy says what the sender of notifications needs, where the other calls of the API need something else.
func notificationRemedy(e *Error) string {
	const role = "give the API user the Organization role Organization Administrator, which ThreatConnect asks of those who " +
		"notify, or set ThreatConnect Notifications to Off"
	switch status := e.effectiveStatus(); {
	case e.foreign:
		return e.Remedy
	case status == http.StatusForbidden:
		return "Do one of two: " + role + "."
	case status == http.StatusUnauthorized:
		return e.Remedy + " If updates run all the same, " + role + "."
	case status == http.StatusBadRequest:
		return "If the API user lacks it, " + role + "."
	case status == http.StatusNotFound || status == http.StatusMethodNotAllowed:
		return "This ThreatConnect takes no notifications: set ThreatConnect Notifications to Off."
	}
	return e.Remedy
}

// Undelivered reports that ThreatConnect has certainly not taken what [Client.Notify] sent: it refused, or was not
// reached. Any other error leaves that open.
func Undelivered(err error) bool {
	var refused *Error
	if errors.As(err, &refused) {
		return refused.Status < http.StatusInternalServerError || refused.Status == http.StatusServiceUnavailable
	}
	var dial *net.OpError
	var lookup *net.DNSError
	var certificate untrustedCertificate
	return errors.As(err, &dial) && dial.Op == "dial" || errors.As(err, &lookup) || errors.As(err, &certificate)
}
