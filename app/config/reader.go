package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// reader looks inputs up by parameter name and collects what is wrong with them.
type reader struct {
	inputs     map[string]field
	onPlatform bool            // a parameter file was there
	reported   map[string]bool // unresolved variables that are among the faults
	faults     Faults
}

func newReader(all []field, file paramFile) *reader {
	r := &reader{inputs: make(map[string]field, len(all)), onPlatform: file.named, reported: map[string]bool{}}
	values := make(map[string]string, len(all))
	for _, f := range all {
		raw, sent := file.values[f.name]
		if !sent || f.environmentOnly {
			continue
		}
		text, err := scalar(raw)
		if err != nil {
			r.faults = append(r.faults, Fault{f.label, err.Error()})
		}
		values[f.name] = text
	}
	overlay(all, values)
	for _, f := range all {
		r.inputs[f.name] = f
	}
	return r
}

// isReference reports whether a value holds a variable that the platform has not replaced, spec §1.5.
func isReference(value string) bool {
	return strings.Contains(value, "&{TC:") || strings.Contains(value, "&{Vault:")
}

// references returns the values with unresolved variables, by label.
func (r *reader) references() map[string]string {
	found := map[string]string{}
	for _, f := range r.inputs {
		if isReference(f.value) {
			found[f.label] = f.value
		}
	}
	return found
}

// replace takes over what references became.
func (r *reader) replace(resolved map[string]string) {
	for name, f := range r.inputs {
		if value, ok := resolved[f.label]; ok && isReference(f.value) {
			f.value = value
			r.inputs[name] = f
		}
	}
}

func (r *reader) fail(name, problem string) {
	r.faults = append(r.faults, Fault{r.inputs[name].label, problem})
}

func (r *reader) unset(name, remedy string) { r.fail(name, "is not set: "+remedy) }

// text returns an input without blanks around it. One with an unresolved variable counts as unset once it is reported.
func (r *reader) text(name string) string { return strings.TrimSpace(r.verbatim(name)) }

// verbatim returns an input with the blanks around it, which a password or a key may have.
func (r *reader) verbatim(name string) string {
	f, known := r.inputs[name]
	if !known {
		panic("config: no input is named " + name)
	}
	if !isReference(f.value) {
		return f.value
	}
	if !r.reported[name] {
		r.reported[name] = true
		r.fail(name, fmt.Sprintf("refers to a ThreatConnect variable that was not resolved (%s): choose another variable or type the value in", reference.FindString(f.value)))
	}
	return ""
}

// reference is the part of a value that may be shown: the name of the variable.
var reference = regexp.MustCompile(`&\{(TC|Vault):[A-Za-z0-9_.:\[\]-]*\}?`)

// given returns an input, and whether there is something to check: neither unset nor reported already.
func (r *reader) given(name, remedy string) (string, bool) {
	before := len(r.faults)
	value := r.text(name)
	if value == "" && remedy != "" && len(r.faults) == before {
		r.unset(name, remedy)
	}
	return value, value != ""
}

func (r *reader) required(name, remedy string) string {
	value, _ := r.given(name, remedy)
	return value
}

var guidForm = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// guid returns an id of Microsoft's. What is not one is not quoted: people paste secrets into the wrong field.
func (r *reader) guid(name, where string) string {
	value, ok := r.given(name, "enter "+where)
	if ok && !guidForm.MatchString(value) {
		r.fail(name, "must be a GUID such as 01234567-89ab-cdef-0123-456789abcdef: enter "+where)
	}
	return strings.ToLower(value)
}

func (r *reader) clientSecret() Secret {
	const remedy = "enter the Value, not the Secret ID, of a client secret of the app registration"
	value, ok := r.given("client_secret", remedy)
	if ok && guidForm.MatchString(value) {
		r.fail("client_secret", "is a GUID, and so it is the ID of the secret: "+remedy)
	}
	return NewSecret(value)
}

// reserved are the source systems of Sentinel's own, which the upload API refuses or its connector hides.
var reserved = []string{"Microsoft Sentinel", "Azure Sentinel", "SecurityGraph"}

// maxSourceSystem is how many characters the upload API takes.
const maxSourceSystem = 256

func (r *reader) sourceName() string {
	const name = "sentinel_source_name"
	value, ok := r.given(name, "enter the name under which Microsoft Sentinel shows the indicators")
	if !ok {
		return value
	}
	system := sourceSystem(value)
	bare := strings.TrimSpace(strings.TrimPrefix(system, "ThreatConnect-"))
	switch {
	case !utf8.ValidString(value) || strings.ContainsFunc(value, func(c rune) bool { return !unicode.IsGraphic(c) }):
		r.fail(name, "contains a character that cannot be seen: type it in afresh")
	case bare == "":
		r.fail(name, "must say more than ThreatConnect-, which is put before it anyway")
	case slices.ContainsFunc(reserved, func(word string) bool { return strings.EqualFold(word, bare) }):
		r.fail(name, "is a name that Microsoft keeps to itself: choose another, such as the name of your organization")
	case utf8.RuneCountInString(system) > maxSourceSystem:
		r.fail(name, fmt.Sprintf("has %d characters with ThreatConnect- before it, and Microsoft Sentinel takes %d: shorten it", utf8.RuneCountInString(system), maxSourceSystem))
	}
	return value
}

func (r *reader) whole(name string, low, high int64) int64 {
	value, ok := r.given(name, fmt.Sprintf("enter a whole number from %d to %d", low, high))
	if !ok {
		return 0
	}
	return r.parseWhole(name, value, low, high)
}

func (r *reader) wholeOr(name string, otherwise, low, high int64) int64 {
	value := r.text(name)
	if value == "" {
		return otherwise
	}
	return r.parseWhole(name, value, low, high)
}

func (r *reader) parseWhole(name, value string, low, high int64) int64 {
	number, err := strconv.ParseInt(value, 10, 64)
	if err != nil || number < low || number > high {
		r.fail(name, fmt.Sprintf("must be a whole number from %d to %d", low, high))
		return low
	}
	return number
}

// port returns 0 for what the platform leaves unset, however it does so.
func (r *reader) port(name string) int { return int(r.wholeOr(name, 0, 0, 65535)) }

// seconds returns 0 like port.
func (r *reader) seconds(name string, most int64) time.Duration {
	return time.Duration(r.wholeOr(name, 0, 0, most)) * time.Second
}

func (r *reader) boolean(name string, otherwise bool) bool {
	value := r.text(name)
	if value == "" {
		return otherwise
	}
	parsed, err := strconv.ParseBool(value)
	if err != nil {
		r.fail(name, "must be true or false")
		return otherwise
	}
	return parsed
}

// choice returns the spelling of one of the choices; unset means the first.
func (r *reader) choice(name string, choices ...string) string {
	value := r.text(name)
	if value == "" {
		return choices[0]
	}
	for _, choice := range choices {
		if strings.EqualFold(choice, value) {
			return choice
		}
	}
	r.fail(name, "must be one of: "+strings.Join(choices, ", "))
	return choices[0]
}

// address returns the base of an HTTP service without a slash at its end, or "".
func (r *reader) address(name string) string {
	value := strings.TrimRight(r.text(name), "/")
	if value == "" {
		return ""
	}
	u, err := url.Parse(value)
	switch {
	case err != nil || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "":
		r.fail(name, "must be an address such as https://example.com, without ? and #")
	case u.User != nil:
		r.fail(name, "must not contain a user name or a password")
	case u.Scheme != "https" && !(u.Scheme == "http" && isLoopback(u.Hostname())):
		r.fail(name, "must begin with https://, because secrets travel there; http:// is for a loopback address alone")
	default:
		return value
	}
	return ""
}

func (r *reader) loopbackAddress(name string) string {
	value := r.text(name)
	if value == "" {
		return ""
	}
	host, port, err := net.SplitHostPort(value)
	if _, portErr := strconv.ParseUint(port, 10, 16); err != nil || portErr != nil || !isLoopback(host) {
		r.fail(name, "must be a loopback address with a port, such as 127.0.0.1:8080: the screens ask for no password there")
	}
	return value
}

func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.Unmap().IsLoopback()
}

func isLoopbackURL(address string) bool {
	u, err := url.Parse(address)
	return err == nil && isLoopback(u.Hostname())
}
