package threatconnect

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Error is ThreatConnect's own refusal, or that of a proxy in its place.
type Error struct {
	// Status is the HTTP status. ThreatConnect can say no with 200 too.
	Status int
	// Code is ThreatConnect's errCode, such as 0x2001; "" where it gave none.
	Code string
	// Message is in ThreatConnect's own words, in one line, never HTML.
	Message string
	// Remedy says what to do about it; "" where the message says it all.
	Remedy string

	foreign bool          // it was not ThreatConnect that answered
	wait    time.Duration // as asked for by Retry-After
}

const tqlParseError = "0x2001"

func (e *Error) Error() string {
	text := fmt.Sprintf("ThreatConnect answered %d: %s", e.Status, strings.TrimRight(e.Message, ". "))
	if e.Remedy != "" {
		text += ". " + e.Remedy
	}
	return text
}

// IsTQL reports whether the query is at fault: it cannot be parsed, or ThreatConnect calls the request that carries it bad.
func (e *Error) IsTQL() bool {
	if e.foreign || e.isTimeout() {
		return false
	}
	return e.Code == tqlParseError || e.kind() == http.StatusBadRequest
}

// Permanent reports whether the same request will be refused again until someone changes something.
func (e *Error) Permanent() bool {
	if strings.Contains(e.Message, "not been licensed") {
		return true
	}
	kind := e.kind()
	return kind >= 300 && kind < 500 && kind != http.StatusRequestTimeout && kind != http.StatusTooManyRequests && !e.isTimeout()
}

// kind is the status, or the one that the code stands for when ThreatConnect says no with 200 (spec §1.4).
func (e *Error) kind() int {
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

// isTimeout: the form in which ThreatConnect reports that a query took too long is not documented, its word is.
func (e *Error) isTimeout() bool {
	if e.Status == http.StatusGatewayTimeout {
		return true
	}
	message := strings.ToLower(e.Message)
	return strings.Contains(message, "timeout") || strings.Contains(message, "timed out") || strings.Contains(message, "time out")
}

// maxSkew is how far ThreatConnect lets clocks differ (spec §1.2).
const maxSkew = 5 * time.Minute

// refused makes an Error of an answer that is none.
func (c *Client) refused(resp *http.Response, said envelope, html bool) *Error {
	e := &Error{Status: resp.StatusCode, Code: said.code, Message: plain(said.message), wait: retryAfter(resp.Header)}
	if e.Message == "" {
		e.Message = http.StatusText(e.Status)
	}
	if html {
		e.foreign, e.Message = true, "a web page instead of data"
	}
	e.Remedy = c.remedy(e, resp)
	return e
}

func (c *Client) remedy(e *Error, resp *http.Response) string {
	kind := e.kind()
	switch {
	case e.isTimeout():
		return "The query takes ThreatConnect too long: narrow it, or have the API user's Custom TQL Timeout raised."
	case kind/100 == 3:
		return fmt.Sprintf("It sends us to %q: set the API path (tc_api_path) to the address of the API itself, with https.", redirectHost(resp))
	case kind == http.StatusProxyAuthRequired:
		return "The proxy wants a user name and a password: check the proxy settings of ThreatConnect."
	case e.foreign:
		return "A proxy, a firewall or a login page answered in ThreatConnect's place: check the API path (tc_api_path) and the proxy settings."
	case kind == http.StatusUnauthorized:
		return c.unauthorized(resp)
	case kind == http.StatusForbidden:
		return "Give the API user access to the owners of the query and the permission to read indicators."
	case kind == http.StatusNotFound:
		return "Check the API path (tc_api_path)."
	case kind == http.StatusTooManyRequests:
		return "ThreatConnect takes no more requests for now."
	}
	return ""
}

func (c *Client) unauthorized(resp *http.Response) string {
	if theirs, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		if skew := time.Since(theirs).Round(time.Second); skew.Abs() > maxSkew {
			return fmt.Sprintf("The clock of this machine differs from ThreatConnect's by %s, and 5 minutes are allowed: set it right.", skew.Abs())
		}
	}
	if c.options.Token != nil {
		return "The API token is not accepted any more: restart the Service, so that it gets a new one."
	}
	return "Check ThreatConnect Access ID and ThreatConnect Secret Key, and that the API user is not locked."
}

func redirectHost(resp *http.Response) string {
	if to, err := resp.Location(); err == nil {
		return to.Host
	}
	return ""
}

// maxMessage bounds, in bytes, what is repeated of a message.
const maxMessage = 500

// plain makes a message fit to be shown and logged: one line, bounded, and no page of a proxy.
func plain(message string) string {
	if lower := strings.ToLower(message); strings.Contains(lower, "</") || strings.Contains(lower, "<html") || strings.Contains(lower, "<!doctype") {
		return ""
	}
	message = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(message, "\uFFFD"), func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage], "") + "…"
	}
	return message
}

// maxRetryAfter bounds how long ThreatConnect can make us wait at a time.
const maxRetryAfter = 5 * time.Minute

// retryAfter reads Retry-After in both its forms; 0 when it is missing or cannot be read.
func retryAfter(h http.Header) time.Duration {
	value := strings.TrimSpace(h.Get("Retry-After"))
	var wait time.Duration
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		wait = time.Until(at)
	}
	return min(max(wait, 0), maxRetryAfter)
}

// Faults of an answer that are worth another try.
var (
	errTooSlow  = fmt.Errorf("it did not answer within %s", tryLimit)
	errTooLarge = fmt.Errorf("its answer is longer than %d MiB", maxAnswer>>20)
	errDamaged  = errors.New("its answer breaks off or is no JSON")
	errGap      = errors.New("it sent an empty page and says that more follow")
	errMissing  = errors.New("it counts indicators and sends none")
	errDisorder = errors.New("it does not keep to the order of the ids")
	errNameless = errors.New("it sent a page without ids and says that more follow")
)

// untrusted marks a certificate that was looked at and refused: trying again does not help.
type untrusted struct{ error }

func (u untrusted) Unwrap() error { return u.error }

// unreachable explains why there is no answer.
func (c *Client) unreachable(err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		err = failed.Err // without the address, which holds the whole query
	}
	remedy := "Check the network, the firewall and the proxy settings."
	var name *net.DNSError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, errTooSlow):
		remedy = "ThreatConnect is overloaded, or the query is too wide."
	case errors.Is(err, errTooLarge), errors.Is(err, errDamaged):
		remedy = "Something on the way may cut answers short: check the proxy settings."
	case errors.Is(err, errGap), errors.Is(err, errMissing), errors.Is(err, errDisorder), errors.Is(err, errNameless):
		remedy = "Like this a selection cannot be read completely: if it stays so, report it to ThreatConnect."
	case errors.As(err, &name):
		remedy = "Check the host name of the API path (tc_api_path), and the name server of this machine."
	case errors.As(err, &certificate):
		remedy = "Its certificate is not trusted: have the proxy's or ThreatConnect's CA certificate installed on this machine."
		err = untrusted{err}
	}
	return fmt.Errorf("ThreatConnect at %s gives no usable answer: %w. %s", c.host, err, remedy)
}
