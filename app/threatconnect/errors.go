package threatconnect

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"mssentinel/app/mask"
	"mssentinel/app/retry"
	"mssentinel/app/text"
)

// Error is ThreatConnect's own refusal, or that of a proxy in its place (app/docs/threatconnect.md#errors).
type Error struct {
	// Status is the HTTP status. ThreatConnect can say no with 200 too.
	Status int
	// Code is ThreatConnect's errCode, such as 0x2001; "" where it gave none.
	Code string
	// Message is in ThreatConnect's own words, in one line of at most 500 bytes, never HTML.
	Message string
	// Remedy says what to do about it; "" where the message says it all.
	Remedy string

	foreign bool          // it was not ThreatConnect that answered
	wait    time.Duration // at least this long until the next try, as Retry-After asks
}

const tqlParseError = "0x2001"

func (e *Error) Error() string {
	says := fmt.Sprintf("ThreatConnect answered %d: %s", e.Status, strings.TrimRight(e.Message, ". "))
	if e.Remedy != "" {
		says += ". " + e.Remedy
	}
	return says
}

// IsTQL reports whether the query is at fault: it cannot be parsed, or ThreatConnect calls the request that carries it
// bad.
func (e *Error) IsTQL() bool {
	if e.foreign || e.isTimeout() {
		return false
	}
	return e.Code == tqlParseError || e.effectiveStatus() == http.StatusBadRequest
}

// Permanent reports whether the same request will be refused again until someone changes something.
func (e *Error) Permanent() bool {
	if strings.Contains(e.Message, "not been licensed") {
		return true
	}
	status := e.effectiveStatus()
	passes := status == http.StatusRequestTimeout || status == http.StatusTooManyRequests || e.isTimeout()
	return status >= 300 && status < 500 && !passes
}

// effectiveStatus is the status, or the one that the code stands for when ThreatConnect says no with 200
// (app/docs/threatconnect.md#errors).
func (e *Error) effectiveStatus() int {
	if e.Status/100 != 2 {
		return e.Status
	}
	switch e.Code {
	case "0x1002":
		return http.StatusUnauthorized
	case "0x1003":
		return http.StatusForbidden
	case "0x1004":
		return http.StatusNotFound
	case "0x1005":
		return http.StatusMethodNotAllowed
	case "0x1006":
		return http.StatusConflict
	}
	if e.Code == "0x1001" || strings.HasPrefix(e.Code, "0x2") {
		return http.StatusBadRequest
	}
	return http.StatusInternalServerError
}

// isTimeout goes by the words, since no status or code is documented for a query that takes too long
// (app/docs/threatconnect.md#time-limits).
func (e *Error) isTimeout() bool {
	if e.Status == http.StatusGatewayTimeout {
		return true
	}
	message := strings.ToLower(e.Message)
	return strings.Contains(message, "timeout") || strings.Contains(message, "timed out") || strings.Contains(message, "time out")
}

// refusesOffset reports whether an error can mean that an offset lies behind the last row, where that is no empty page
// (app/docs/threatconnect.md#paging).
func refusesOffset(err error) bool {
	var refused *Error
	if !errors.As(err, &refused) || refused.foreign || refused.isTimeout() {
		return false
	}
	status := refused.effectiveStatus()
	return status == http.StatusBadRequest || status == http.StatusNotFound
}

// maxSkew is how far ThreatConnect lets clocks differ (app/docs/threatconnect.md#authentication).
const maxSkew = 5 * time.Minute

// longestWait bounds how long ThreatConnect can make us wait at a time.
const longestWait = 5 * time.Minute

// newError describes an answer that is a refusal.
func (c *Client) newError(resp *http.Response, a answer, html bool) *Error {
	wait, _ := retry.After(resp.Header, time.Now())
	message := string(c.newMask(resp.Request).Replace([]byte(a.message), "[redacted]"))
	e := &Error{Status: resp.StatusCode, Code: a.code, Message: plainMessage(message), wait: min(wait, longestWait)}
	if e.Message == "" {
		e.Message = http.StatusText(e.Status)
	}
	if html {
		e.foreign, e.Message = true, "a web page instead of data"
	}
	e.Remedy = c.findRemedy(e, resp)
	return e
}

// newMask knows what a request was authorized with, which an answer may repeat.
func (c *Client) newMask(r *http.Request) *mask.Mask {
	secrets := mask.Credentials(r)
	if c.options.SecretKey != nil {
		secrets = append(secrets, c.options.SecretKey())
	}
	return mask.New(secrets...)
}

func (c *Client) findRemedy(e *Error, resp *http.Response) string {
	status := e.effectiveStatus()
	switch {
	case e.isTimeout():
		return "The query takes ThreatConnect too long: narrow it, or have the API user's Custom TQL Timeout raised."
	case status/100 == 3:
		return fmt.Sprintf("It sends us to %q: set the API path (tc_api_path) to the address of the API itself, with https.",
			redirectHost(resp))
	case status == http.StatusProxyAuthRequired:
		return "The proxy wants a user name and a password: check the proxy settings of ThreatConnect."
	case e.foreign:
		return "A proxy, a firewall or a login page answered in ThreatConnect's place: " +
			"check the API path (tc_api_path) and the proxy settings."
	case status == http.StatusUnauthorized:
		return c.unauthorizedRemedy(resp)
	case status == http.StatusForbidden:
		return "Give the API user access to the owners of the query and the permission to read indicators."
	case status == http.StatusNotFound:
		return "Check the API path (tc_api_path)."
	case status == http.StatusTooManyRequests:
		return "ThreatConnect takes no more requests for now."
	}
	return ""
}

func (c *Client) unauthorizedRemedy(resp *http.Response) string {
	if theirs, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		if skew := time.Since(theirs).Round(time.Second); skew.Abs() > maxSkew {
			return fmt.Sprintf("The clock of this machine differs from ThreatConnect's by %s, and 5 minutes are allowed: "+
				"set it right.", skew.Abs())
		}
	}
	if c.options.Token != nil {
		return "The API token is not accepted any more: restart the Service, so that it gets a new one."
	}
	return "Check ThreatConnect Access ID and ThreatConnect Secret Key, and that the API user is not locked."
}

func redirectHost(resp *http.Response) string {
	if to, err := resp.Location(); err == nil {
		return text.Line(to.Host, maxHostBytes)
	}
	return ""
}

// maxHostBytes bounds what is shown of a host: no name is longer, and a port.
const maxHostBytes = 260

// maxMessageBytes bounds what is repeated of a message.
const maxMessageBytes = 500

// plainMessage makes a message fit to be shown and logged: one line, bounded; "" for a page that a proxy put there.
func plainMessage(message string) string {
	lower := strings.ToLower(message)
	if strings.Contains(lower, "</") || strings.Contains(lower, "<html") || strings.Contains(lower, "<!doctype") {
		return ""
	}
	return text.Line(message, maxMessageBytes)
}

// Faults of an answer that are worth another try.
var (
	errTooSlow    = fmt.Errorf("it did not answer within %s", tryTimeout)
	errTooLarge   = fmt.Errorf("its answer is too large, longer than %d MiB", maxAnswerBytes>>20)
	errDamaged    = errors.New("its answer breaks off or is no JSON")
	errEmptyPage  = errors.New("it sent an empty page and says that more follow")
	errNoRows     = errors.New("it counts indicators and sends none")
	errUncounted  = errors.New("it counts no indicators and sends some")
	errWrongOrder = errors.New("it does not keep to the order of the ids")
	errNoIDs      = errors.New("it sent a page without ids and says that more follow")
	errOtherIDs   = errors.New("it sent other indicators than it was asked for")
)

// untrustedCertificate marks a certificate that was looked at and refused: trying again does not help.
type untrustedCertificate struct{ error }

func (u untrustedCertificate) Unwrap() error { return u.error }

// explainFailure says why there is no answer, and what can be done about it. The error given stays in its chain.
func (c *Client) explainFailure(err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		err = failed.Err // without the address, which holds the whole query
	}
	// What net/http says may repeat a header of the answer, of any length.
	err = mask.HideInError(err, func(said string) string { return text.Line(said, maxMessageBytes) })
	remedy := "Check the network, the firewall and the proxy settings."
	var lookup *net.DNSError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, errTooSlow):
		remedy = "ThreatConnect is overloaded, or the query is too wide."
	case errors.Is(err, errTooLarge):
		remedy = "Even a single indicator may be too large: leave it out by the TQL, " +
			"or take some of what is associated with it away."
	case errors.Is(err, errDamaged):
		remedy = "Something on the way may cut answers short: check the proxy settings."
	case errors.Is(err, errEmptyPage), errors.Is(err, errNoRows), errors.Is(err, errUncounted), errors.Is(err, errWrongOrder),
		errors.Is(err, errNoIDs), errors.Is(err, errOtherIDs):
		remedy = "Like this a selection cannot be read completely: if it stays so, report it to ThreatConnect."
	case errors.As(err, &lookup):
		remedy = "Check the host name of the API path (tc_api_path), and the name server of this machine."
	case errors.As(err, &certificate):
		remedy = "Its certificate is not trusted: have the proxy's or ThreatConnect's CA certificate installed on this machine, or its file named in REQUESTS_CA_BUNDLE."
		err = untrustedCertificate{err}
	}
	return fmt.Errorf("ThreatConnect at %s gives no usable answer: %w. %s", c.host, err, remedy)
}
