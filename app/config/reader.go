package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"mssentinel/app/secret"
)

// reader looks inputs up by parameter name and collects what is wrong with them.
type reader struct {
	inputs     map[string]input
	onPlatform bool             // a parameter file was there
	alone      bool             // nothing is served
	unresolved map[string]error // why a variable has no value, by label, where that was asked
	reported   map[string]bool  // unresolved variables that are among the faults
	faults     Faults
}

func newReader(all []input, file paramFile, alone bool) *reader {
	r := &reader{inputs: make(map[string]input, len(all)), onPlatform: file.named, alone: alone, reported: map[string]bool{}}
	values := make(map[string]string, len(all))
	for _, f := range all {
		raw, sent := file.values[f.name]
		if !sent || f.environmentOnly {
			continue
		}
		text, err := scalarText(raw)
		if err != nil {
			r.faults = append(r.faults, Fault{f.label, err.Error()})
		}
		values[f.name] = text
	}
	overlayFile(all, values)
	for _, f := range all {
		r.inputs[f.name] = f
	}
	return r
}

// hasReference reports whether a value holds a variable that the platform has not replaced,
// app/docs/platform.md#variables.
func hasReference(value string) bool {
	return strings.Contains(value, "&{TC:") || strings.Contains(value, "&{Vault:")
}

// findReferences returns the values with unresolved variables, by label.
func (r *reader) findReferences() map[string]string {
	found := map[string]string{}
	for _, f := range r.inputs {
		if hasReference(f.value) {
			found[f.label] = f.value
		}
	}
	return found
}

// replaceReferences takes over what the values with references became, by label.
func (r *reader) replaceReferences(resolved map[string]string) {
	for name, f := range r.inputs {
		if value, ok := resolved[f.label]; ok && hasReference(f.value) {
			f.value = value
			r.inputs[name] = f
		}
	}
}

func (r *reader) addFault(name, problem string) {
	r.faults = append(r.faults, Fault{r.inputs[name].label, problem})
}

// readText returns an input without blanks around it. One with an unresolved variable counts as unset once it is
// reported.
func (r *reader) readText(name string) string { return strings.TrimSpace(r.readVerbatim(name)) }

// readVerbatim returns an input with the blanks around it, which a password or a key may have.
func (r *reader) readVerbatim(name string) string {
	f, known := r.inputs[name]
	if !known {
		panic("config: no input is named " + name)
	}
	if !hasReference(f.value) {
		return f.value
	}
	if !r.reported[name] {
		r.reported[name] = true
		r.addFault(name, r.explainUnresolved(f))
	}
	return ""
}

// explainUnresolved says in one line why an input has no value.
func (r *reader) explainUnresolved(f input) string {
	if reason := r.unresolved[f.label]; reason != nil {
		return strings.ReplaceAll(reason.Error(), "\n", "; ")
	}
	return fmt.Sprintf("refers to a ThreatConnect variable that was not resolved (%s): choose another variable or type the value in", shownReference.FindString(f.value))
}

// shownReference is the part of a value that may be shown: the name of the variable.
var shownReference = regexp.MustCompile(`&\{(TC|Vault):[A-Za-z0-9_.:\[\]-]*\}?`)

// readGiven returns an input, and whether there is something to check: neither unset nor reported already.
func (r *reader) readGiven(name, remedy string) (string, bool) {
	before := len(r.faults)
	value := r.readText(name)
	if value == "" && remedy != "" && len(r.faults) == before {
		r.addFault(name, "is not set: "+remedy)
	}
	return value, value != ""
}

func (r *reader) readRequired(name, remedy string) string {
	value, _ := r.readGiven(name, remedy)
	return value
}

var guidForm = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// readGUID returns an id of Microsoft's. What is not one is not quoted: people paste secrets into the wrong field.
func (r *reader) readGUID(name, where string) string {
	value, ok := r.readGiven(name, "enter "+where)
	if ok && !guidForm.MatchString(value) {
		r.addFault(name, "must be a GUID such as 01234567-89ab-cdef-0123-456789abcdef: enter "+where)
	}
	return strings.ToLower(value)
}

func (r *reader) readClientSecret() secret.Text {
	const remedy = "enter the Value, not the Secret ID, of a client secret of the app registration"
	value, ok := r.readGiven("client_secret", remedy)
	if ok && guidForm.MatchString(value) {
		r.addFault("client_secret", "is a GUID, and so it is the ID of the secret: "+remedy)
	}
	return secret.New(value)
}

// reserved are the source systems of Sentinel's own, which the upload API refuses or its connector hides.
var reserved = []string{"Microsoft Sentinel", "Azure Sentinel", "SecurityGraph"}

// maxSourceSystem is how many characters the upload API takes.
const maxSourceSystem = 256

func (r *reader) readSourceName() string {
	const name = "sentinel_source_name"
	value, ok := r.readGiven(name, "enter the name under which Microsoft Sentinel shows the indicators")
	if !ok {
		return value
	}
	system := sourceSystem(value)
	bare := strings.TrimSpace(strings.TrimPrefix(system, "ThreatConnect-"))
	switch {
	case !utf8.ValidString(value) || strings.ContainsFunc(value, func(c rune) bool { return !unicode.IsGraphic(c) }):
		r.addFault(name, "contains a character that cannot be seen: type it in afresh")
	case bare == "":
		r.addFault(name, "must say more than ThreatConnect-, which is put before it anyway")
	case slices.ContainsFunc(reserved, func(word string) bool { return strings.EqualFold(word, bare) }):
		r.addFault(name, "is a name that Microsoft keeps to itself: choose another, such as the name of your organization")
	case utf8.RuneCountInString(system) > maxSourceSystem:
		r.addFault(name, fmt.Sprintf("has %d characters with ThreatConnect- before it, and Microsoft Sentinel takes %d: shorten it", utf8.RuneCountInString(system), maxSourceSystem))
	}
	return value
}

func (r *reader) readWhole(name string, low, high int64) int64 {
	value, ok := r.readGiven(name, fmt.Sprintf("enter a whole number from %d to %d", low, high))
	if !ok {
		return 0
	}
	return r.parseWhole(name, value, low, high)
}

func (r *reader) readWholeOr(name string, otherwise, low, high int64) int64 {
	value := r.readText(name)
	if value == "" {
		return otherwise
	}
	return r.parseWhole(name, value, low, high)
}

func (r *reader) parseWhole(name, value string, low, high int64) int64 {
	number, err := strconv.ParseInt(value, 10, 64)
	if err != nil || number < low || number > high {
		r.addFault(name, fmt.Sprintf("must be a whole number from %d to %d", low, high))
		return low
	}
	return number
}

func (r *reader) readBool(name string, otherwise bool) bool {
	value := r.readText(name)
	if value == "" {
		return otherwise
	}
	parsed, err := strconv.ParseBool(value)
	if err != nil {
		r.addFault(name, "must be true or false")
		return otherwise
	}
	return parsed
}

// readChoice returns the spelling of one of the choices; unset means the first.
func (r *reader) readChoice(name string, choices ...string) string {
	value := r.readText(name)
	if value == "" {
		return choices[0]
	}
	for _, choice := range choices {
		if strings.EqualFold(choice, value) {
			return choice
		}
	}
	r.addFault(name, "must be one of: "+strings.Join(choices, ", "))
	return choices[0]
}

// readURL returns the base of an HTTP service without a slash at its end, or "".
func (r *reader) readURL(name string) string {
	value := strings.TrimRight(r.readText(name), "/")
	if value == "" {
		return ""
	}
	u, err := url.Parse(value)
	switch {
	case err != nil || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "":
		r.addFault(name, "must be an address such as https://example.com, without ? and #")
	case u.User != nil:
		r.addFault(name, "must not contain a user name or a password")
	case u.Scheme != "https" && !(u.Scheme == "http" && isLoopback(u.Hostname())):
		r.addFault(name, "must begin with https://, because secrets travel there; http:// is for a loopback address alone")
	default:
		return value
	}
	return ""
}

func (r *reader) readLoopbackAddress(name string) string {
	value := r.readText(name)
	if value == "" {
		return ""
	}
	host, port, err := net.SplitHostPort(value)
	if _, portErr := strconv.ParseUint(port, 10, 16); err != nil || portErr != nil || !isLoopback(host) {
		r.addFault(name, "must be a loopback address with a port, such as 127.0.0.1:8080: the screens ask for no password there")
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

// fillStruct reads each field of a struct, given by pointer, that is declared as an input. Its type and its tags say how:
//
//	required  a parameter without which no Service runs
//	min, max  bounds of a whole number; for a duration, in seconds. 0 without the first
//	choices   all values there are, of which the first is the default
//	inverted  the field is true where the parameter is false; unset, the parameter is true
//
// The zero value stands for what is not set.
func (r *reader) fillStruct(structure any) {
	fields := reflect.ValueOf(structure).Elem()
	for i := range fields.NumField() {
		tag := fields.Type().Field(i).Tag
		name := tag.Get("input")
		if name == "" {
			continue
		}
		if tag.Get("required") != "" {
			r.readRequired(name, "ThreatConnect sends it when the Service is turned on")
		}
		switch field := fields.Field(i).Addr().Interface().(type) {
		case *string:
			*field = r.readText(name)
			if choices := tag.Get("choices"); choices != "" {
				*field = r.readChoice(name, strings.Split(choices, ",")...)
			}
		case *secret.Text:
			*field = secret.New(r.readVerbatim(name))
		case *bool:
			inverted := tag.Get("inverted") != ""
			*field = r.readBool(name, inverted) != inverted
		case *int:
			*field = int(r.readWholeOr(name, 0, tagNumber(tag, "min"), tagNumber(tag, "max")))
		case *time.Duration:
			*field = time.Duration(r.readWholeOr(name, 0, 0, tagNumber(tag, "max"))) * time.Second
		default:
			panic(fmt.Sprintf("config: the input %s has a type that cannot be read, %T", name, field))
		}
	}
}

func tagNumber(tag reflect.StructTag, key string) int64 {
	text, found := tag.Lookup(key)
	if !found {
		return 0
	}
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		panic("config: a bound of an input is no number: " + err.Error())
	}
	return number
}
