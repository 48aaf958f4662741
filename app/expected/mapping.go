// Package expected says what Sentinel has to hold of an indicator. It is written from the documents alone and shares nothing with the
// App, so that a mistake has to be made twice, independently, to go unseen. Tests of the whole and the simulation ask it.
package expected

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"
	"golang.org/x/net/idna"
)

// namespace is that of every id the App makes.
var namespace = uuid.MustParse("3ac58c0a-736d-4021-b479-80e23ae94aa0")

// indicator is what the oracle reads of ThreatConnect's JSON.
type indicator struct {
	ID           int64        `json:"id"`
	Type         string       `json:"type"`
	OwnerName    string       `json:"ownerName"`
	Summary      string       `json:"summary"`
	WebLink      string       `json:"webLink"`
	DateAdded    date         `json:"dateAdded"`
	LastModified date         `json:"lastModified"`
	Rating       *json.Number `json:"rating"`
	Confidence   *json.Number `json:"confidence"`
	Score        *json.Number `json:"threatAssessScore"`

	Tags       collection[tag]       `json:"tags"`
	Labels     collection[label]     `json:"securityLabels"`
	Attributes collection[attribute] `json:"attributes"`
	Groups     collection[group]     `json:"associatedGroups"`

	IP        string `json:"ip"`
	Block     string `json:"Block"`
	HostName  string `json:"hostName"`
	MD5       string `json:"md5"`
	SHA1      string `json:"sha1"`
	SHA256    string `json:"sha256"`
	Text      string `json:"text"`
	ASNumber  string `json:"AS Number"`
	Address   string `json:"address"`
	Subject   string `json:"Subject"`
	KeyName   string `json:"Key Name"`
	ValueName string `json:"Value Name"`
	ValueType string `json:"Value Type"`
}

// date is a time as ThreatConnect writes it, at times with a blank at its end.
type date struct{ time.Time }

func (d *date) UnmarshalJSON(text []byte) (err error) {
	d.Time, err = time.Parse(time.RFC3339, string(bytes.Trim(text, `" `)))
	return err
}

type collection[T any] struct {
	Data []T `json:"data"`
}

type tag struct {
	Name        string             `json:"name"`
	TechniqueID string             `json:"techniqueId"`
	Tactics     collection[string] `json:"tactics"`
}

type label struct {
	Name string `json:"name"`
}

type attribute struct {
	Type    string `json:"type"`
	Value   string `json:"value"`
	Pinned  bool   `json:"pinned"`
	Default bool   `json:"default"`
}

type group struct {
	Type      string `json:"type"`
	Name      string `json:"name"`
	OwnerName string `json:"ownerName"`
}

// Object is what Sentinel has to hold of one observable, but for the times of conversion and expiry.
type Object struct {
	Members
	IndicatorType string    // ThreatConnect's
	Added         time.Time // dateAdded; zero where there is none
}

// Members are all that an object may have, but for its four times.
type Members struct {
	Type               string       `json:"type"`
	SpecVersion        string       `json:"spec_version"`
	ID                 string       `json:"id"`
	Name               string       `json:"name"`
	Description        string       `json:"description"`
	IndicatorTypes     []string     `json:"indicator_types"`
	Pattern            string       `json:"pattern"`
	PatternType        string       `json:"pattern_type"`
	PatternVersion     string       `json:"pattern_version"`
	Revoked            *bool        `json:"revoked"`
	Confidence         *json.Number `json:"confidence"`
	Labels             []string     `json:"labels"`
	KillChainPhases    []Phase      `json:"kill_chain_phases"`
	ObjectMarkingRefs  []string     `json:"object_marking_refs"`
	ExternalReferences []Reference  `json:"external_references"`
}

// Phase is a step of a kill chain.
type Phase struct {
	KillChainName string `json:"kill_chain_name"`
	PhaseName     string `json:"phase_name"`
}

// Reference leads to the indicator in ThreatConnect.
type Reference struct {
	SourceName string `json:"source_name"`
	URL        string `json:"url"`
}

// Conversion is what becomes of one indicator.
type Conversion struct {
	Summary  string
	Modified time.Time // lastModified
	Objects  []Object
	Invalid  bool // something of it cannot be mapped
	Note     bool // something of it is sent with a warning
}

// Convert maps an indicator, as ThreatConnect's JSON has it, as README and app/docs say, by code of its own. Its error is that of
// JSON that is none.
func Convert(raw []byte) (c Conversion, err error) {
	var i indicator
	if err := json.Unmarshal(raw, &i); err != nil {
		return c, err
	}
	c.Summary, c.Modified = i.Summary, i.LastModified.Time
	values := listObservables(&i)
	for _, v := range values {
		if v.pattern == "" {
			c.Invalid = true
			continue
		}
		c.Note = c.Note || len(v.pattern) > 1000
		c.Objects = append(c.Objects, newObject(&i, v))
	}
	c.Invalid = c.Invalid || len(values) == 0
	return c, nil
}

// observable is one value of an indicator; without a pattern it cannot be mapped.
type observable struct{ name, pattern string }

func listObservables(i *indicator) []observable {
	one := func(name, path, value string, ok bool) []observable {
		if !ok {
			return []observable{{name: name}}
		}
		return []observable{{name, "[" + path + " = " + quoteLiteral(value) + "]"}}
	}
	switch i.Type {
	case "Address":
		path, value, ok := canonicalAddress(i.IP)
		return one(i.IP, path, value, ok)
	case "CIDR":
		path, value, ok := canonicalBlock(i.Block)
		return one(i.Block, path, value, ok)
	case "Host":
		value, ok := hostName(i.HostName)
		return one(i.HostName, "domain-name:value", value, ok)
	case "URL":
		return one(i.Text, "url:value", canonicalURL(trimMargins(i.Text)), trimMargins(i.Text) != "")
	case "ASN":
		return one(i.ASNumber, "autonomous-system:name", canonicalASN(trimMargins(i.ASNumber)), trimMargins(i.ASNumber) != "")
	case "EmailAddress":
		value, ok := emailAddress(trimMargins(i.Address))
		return one(i.Address, "email-addr:value", value, ok)
	case "Email Subject":
		return one(i.Subject, "email-message:subject", trimMargins(i.Subject), trimMargins(i.Subject) != "")
	case "Registry Key":
		return registryKey(i)
	case "File":
		return fileObservables(i)
	}
	return nil
}

// trimMargins is a value without the blanks, control characters and characters that do not show around it.
func trimMargins(s string) string {
	return strings.TrimFunc(s, func(r rune) bool {
		return r != 0 && (unicode.IsSpace(r) || unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point))
	})
}

// quoteLiteral writes a STIX string literal.
func quoteLiteral(s string) string {
	return "'" + escaped.Replace(s) + "'"
}

var escaped = strings.NewReplacer(`\`, `\\`, `'`, `\'`)

func canonicalAddress(text string) (path, value string, ok bool) {
	a, err := netip.ParseAddr(strings.Trim(trimMargins(text), "[]"))
	if err != nil || a.Zone() != "" {
		return "", "", false
	}
	return addressFamily(a.Unmap()), a.Unmap().String(), true
}

func addressFamily(a netip.Addr) string {
	if a.Is4() {
		return "ipv4-addr:value"
	}
	return "ipv6-addr:value"
}

// canonicalBlock keeps the bits of the host. One of a single address is that address.
func canonicalBlock(text string) (path, value string, ok bool) {
	text = trimMargins(text)
	before, after, _ := strings.Cut(text, "/")
	a, err := netip.ParseAddr(before)
	bits, err2 := strconv.Atoi(after)
	if err != nil || err2 != nil || a.Zone() != "" || bits < 0 || bits > a.BitLen() {
		return "", "", false
	}
	if bits == a.BitLen() {
		return addressFamily(a), a.String(), true
	}
	return addressFamily(a), a.String() + "/" + after, true
}

func hostName(text string) (string, bool) {
	name := strings.TrimSuffix(trimMargins(text), ".")
	name, err := idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(false),
		idna.VerifyDNSLength(true), idna.CheckHyphens(false)).ToASCII(name)
	if err != nil || name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" {
		return "", false
	}
	return name, !endsInNumber.MatchString(name) // an address, in whatever form
}

var endsInNumber = regexp.MustCompile(`(^|\.)([0-9]+|0x[0-9a-f]*)$`)

var asNumber = regexp.MustCompile(`^(?i:asn?)?[ #:_.-]*(\d+)$`)

func canonicalASN(text string) string {
	if m := asNumber.FindStringSubmatch(text); m != nil {
		return "ASN" + m[1]
	}
	return strings.ToUpper(text)
}

// emailAddress is the address out of "Name <address>" and "mailto:address".
func emailAddress(text string) (string, bool) {
	if open := strings.IndexByte(text, '<'); open >= 0 {
		text = strings.TrimSuffix(text[open+1:], ">")
	}
	text = regexp.MustCompile(`(?i)^mailto:`).ReplaceAllString(text, "")
	at := strings.LastIndexByte(text, '@')
	if at < 1 {
		return "", false
	}
	name, quoted := text[:at], strings.HasPrefix(text, `"`)
	if !quoted && strings.ContainsAny(name, " \t<>()[],;:\"@\\") {
		return "", false
	}
	host, ok := hostName(text[at+1:])
	return strings.ToLower(name) + "@" + host, ok
}

// canonicalURL lowers scheme and host and leaves the rest alone.
func canonicalURL(text string) string {
	scheme, rest, found := strings.Cut(text, "://")
	if !found || scheme == "" || strings.IndexFunc(scheme, func(r rune) bool {
		return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("+-.", r)
	}) >= 0 {
		return text
	}
	end := strings.IndexAny(rest, `/?#`)
	if end < 0 {
		end = len(rest)
	}
	user := strings.LastIndexByte(rest[:end], '@') + 1
	return strings.ToLower(scheme) + "://" + rest[:user] + strings.ToLower(rest[user:end]) + rest[end:]
}

// hives in full, by what is written for them at the start of a key.
var (
	hive  = regexp.MustCompile(`(?i)^(HKLM|HKCU|HKCR|HKCC|HKU)\b`)
	hives = map[string]string{"HKLM": "HKEY_LOCAL_MACHINE", "HKCU": "HKEY_CURRENT_USER", "HKCR": "HKEY_CLASSES_ROOT", "HKCC": "HKEY_CURRENT_CONFIG", "HKU": "HKEY_USERS"}
)

func registryKey(i *indicator) []observable {
	var parts []string
	for _, p := range []struct{ path, value string }{
		{"windows-registry-key:key", hive.ReplaceAllStringFunc(trimMargins(i.KeyName), func(short string) string { return hives[strings.ToUpper(short)] })}, {"windows-registry-key:values[*].name", i.ValueName},
		{"windows-registry-key:values[*].data_type", i.ValueType},
	} {
		if trimMargins(p.value) != "" {
			parts = append(parts, p.path+" = "+quoteLiteral(trimMargins(p.value)))
		}
	}
	if trimMargins(i.KeyName) == "" {
		return []observable{{name: i.Summary}}
	}
	return []observable{{i.Summary, "[" + strings.Join(parts, " AND ") + "]"}}
}

func fileObservables(i *indicator) (all []observable) {
	for _, h := range []struct {
		hash, path string
		length     int
	}{{i.MD5, "file:hashes.MD5", 32}, {i.SHA1, "file:hashes.'SHA-1'", 40}, {i.SHA256, "file:hashes.'SHA-256'", 64}} {
		value := strings.ToLower(trimMargins(h.hash))
		switch {
		case value == "":
		case len(value) != h.length || strings.Trim(value, "0123456789abcdef") != "":
			all = append(all, observable{name: h.hash})
		default:
			all = append(all, observable{h.hash, "[" + h.path + " = '" + value + "']"})
		}
	}
	return all
}

func newObject(i *indicator, v observable) Object {
	m := Members{
		Type: "indicator", SpecVersion: "2.1", ID: ID(v.pattern),
		Name: v.name + " | " + i.OwnerName, Description: writeDescription(i), IndicatorTypes: []string{indicatorType(i)},
		Pattern: v.pattern, PatternType: "stix", PatternVersion: "2.1", Revoked: new(bool), Confidence: i.Confidence,
		Labels: tagNames(i), KillChainPhases: killChainPhases(i), ObjectMarkingRefs: tlpMarkings(i),
	}
	if i.WebLink != "" {
		m.ExternalReferences = []Reference{{"ThreatConnect", i.WebLink}}
	}
	return Object{m, i.Type, i.DateAdded.Time}
}

// ID is the STIX id of a pattern.
func ID(pattern string) string {
	return "indicator--" + uuid.NewSHA1(namespace, []byte(pattern)).String()
}

func tagNames(i *indicator) (names []string) {
	for _, t := range i.Tags.Data {
		name := t.Name
		if t.TechniqueID != "" {
			name = strings.TrimSuffix(t.TechniqueID+" - "+name, " - ")
		}
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

var phaseNames = map[string]string{
	"reconnaissance": "reconnaissance", "weaponization": "weaponization", "delivery": "delivery", "exploitation": "exploitation",
	"installation": "installation", "c2": "command-and-control", "c2 (command & control)": "command-and-control",
	"command and control": "command-and-control", "actions on objectives": "actions-on-objectives",
	"action on objectives": "actions-on-objectives",
}

// tactic is one of ATT&CK, of whichever matrix and version.
var tactic = regexp.MustCompile(`^(?i:reconnaissance|resource development|initial access|execution|persistence|privilege escalation|` +
	`(?:defense )?evasion|stealth|defense impairment|credential access|discovery|lateral movement|collection|command and control|` +
	`exfiltration|impact|network effects|remote service effects|inhibit response function|impair process control)$`)

// killChainPhases are those of the attributes, then the tactics of the techniques.
func killChainPhases(i *indicator) (all []Phase) {
	for _, a := range i.Attributes.Data {
		if name := phaseNames[strings.ToLower(strings.TrimSpace(a.Value))]; a.Type == "Phase of Intrusion" && name != "" {
			all = append(all, Phase{"lockheed-martin-cyber-kill-chain", name})
		}
	}
	for _, t := range i.Tags.Data {
		for _, name := range t.Tactics.Data {
			if t.TechniqueID != "" && tactic.MatchString(name) {
				all = append(all, Phase{"mitre-attack", strings.ReplaceAll(strings.ToLower(name), " ", "-")})
			}
		}
	}
	var once []Phase
	for _, p := range all {
		if !slices.Contains(once, p) {
			once = append(once, p)
		}
	}
	return once
}

// tlpMarkings is the strictest of the labels, whatever separates their words; Sentinel knows the four of TLP 1. What begins with
// TLP and is none of them counts as amber.
func tlpMarkings(i *indicator) []string {
	strictest := -1
	for _, l := range i.Labels.Data {
		rest, isTLP := strings.CutPrefix(regexp.MustCompile(`[-:_+ ]+`).ReplaceAllString(strings.ToUpper(l.Name), ""), "TLP")
		if !isTLP {
			continue
		}
		level, known := map[string]int{"WHITE": 0, "CLEAR": 0, "GREEN": 1, "AMBER": 2, "AMBERSTRICT": 2, "RED": 3}[rest]
		if !known {
			level = 2
		}
		strictest = max(strictest, level)
	}
	if strictest < 0 {
		return nil
	}
	return []string{"marking-definition--" + tlpLevels[strictest]}
}

// tlpLevels are the markings that Sentinel knows, the least strict first.
var tlpLevels = []string{"613f2e26-407d-48c7-9eca-b8e91df99dc9", "34098fce-860f-48ae-8e50-ebd3cc5e41da",
	"f88d31f6-486f-44da-b317-01333bde0b82", "5e57c739-391a-4eb3-b6be-7d15ca92d5ed"}

func indicatorType(i *indicator) string {
	var texts []string
	techniques, malware := false, false
	for _, t := range i.Tags.Data {
		texts = append(texts, t.Name)
		techniques = techniques || t.TechniqueID == "T1566" || strings.HasPrefix(t.TechniqueID, "T1566.")
	}
	for _, g := range i.Groups.Data {
		texts = append(texts, g.Name, g.Type)
		malware = malware || g.Type == "Malware"
	}
	has := func(words ...string) bool {
		for _, text := range texts {
			for _, word := range strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
				if slices.Contains(words, word) {
					return true
				}
			}
		}
		return false
	}
	switch {
	case has("botnet"):
		return "Botnet"
	case techniques || has("phishing", "spearphishing"):
		return "Phishing"
	case malware || has("malware", "ransomware", "trojan"):
		return "Malware"
	}
	return "unknown"
}

const descriptionLimit = 1000

// writeDescription is the guide's object, shortened to what Sentinel keeps: what is most useful is tried first, and stays if the whole
// is still short enough.
func writeDescription(i *indicator) string {
	summary := i.Summary
	for len(writeMembers(i, summary, nil, nil)) > descriptionLimit {
		runes := []rune(strings.TrimSuffix(summary, "…"))
		summary = string(runes[:len(runes)-1]) + "…"
	}
	groups, attributes := make([]bool, len(i.Groups.Data)), make([]bool, len(i.Attributes.Data))
	write := func() string {
		return writeMembers(i, summary, chosen(i.Groups.Data, groups), chosen(i.Attributes.Data, attributes))
	}
	for n := range byUse(i.Groups.Data, func(g group) []bool { return among(g.Type, groupTypes) }) {
		groups[n] = true
		groups[n] = len(write()) <= descriptionLimit
	}
	for n := range byUse(i.Attributes.Data, func(a attribute) []bool {
		return append(append([]bool{a.Pinned}, among(a.Type, attributeTypes)...), a.Default)
	}) {
		attributes[n] = true
		attributes[n] = len(write()) <= descriptionLimit
	}
	return write()
}

// groupTypes and attributeTypes are those that an analyst wants most, from the first.
var (
	groupTypes = strings.Split("Intrusion Set,Adversary,Campaign,Malware,Tool,Threat,Vulnerability,Attack Pattern,Incident,Event,"+
		"Course of Action,Signature,Report", ",")
	attributeTypes = []string{"Description", "Source", "Phase of Intrusion"}
)

// among tells of each type whether it is this one.
func among(typ string, types []string) (is []bool) {
	for _, t := range types {
		is = append(is, t == typ)
	}
	return is
}

// byUse gives the places of a list in the order of what is true of the elements: the earlier in its list something true stands, the
// earlier the element comes.
func byUse[T any](list []T, truths func(T) []bool) func(yield func(int) bool) {
	places := make([]int, len(list))
	for n := range places {
		places[n] = n
	}
	slices.SortStableFunc(places, func(a, b int) int {
		ta, tb := truths(list[a]), truths(list[b])
		for k := range ta {
			if ta[k] && !tb[k] {
				return -1
			}
			if tb[k] && !ta[k] {
				return 1
			}
		}
		return 0
	})
	return slices.Values(places)
}

func chosen[T any](list []T, which []bool) (some []T) {
	for n, e := range list {
		if which[n] {
			some = append(some, e)
		}
	}
	return some
}

// writeMembers writes the object in the form of the guide's examples, with a blank after each colon and comma.
func writeMembers(i *indicator, summary string, groups []group, attributes []attribute) string {
	var b strings.Builder
	b.WriteString(`{"type": ` + jsonLiteral(i.Type) + `, "summary": ` + jsonLiteral(summary))
	rating := i.Rating
	if rating != nil {
		f, _ := rating.Float64()
		n := json.Number(strconv.FormatFloat(f, 'f', -1, 64))
		rating = &n
	}
	for _, m := range []struct {
		name  string
		value *json.Number
	}{{"confidence", i.Confidence}, {"rating", rating}, {"threatAssessScore", i.Score}} {
		b.WriteString(`, "` + m.name + `": ` + jsonLiteral(m.value))
	}
	b.WriteString(`, "ownerName": ` + jsonLiteral(i.OwnerName) + `, "associatedGroups": [`)
	for k, g := range groups {
		b.WriteString(commaBefore(k) + `{"type": ` + jsonLiteral(g.Type) + `, "name": ` + jsonLiteral(g.Name) + `, "ownerName": ` + jsonLiteral(g.OwnerName) + `}`)
	}
	b.WriteString(`], "attributes": [`)
	for k, a := range attributes {
		b.WriteString(commaBefore(k) + `{"type": ` + jsonLiteral(a.Type) + `, "value": ` + jsonLiteral(a.Value) + `}`)
	}
	b.WriteString(`], "webLink": ` + jsonLiteral(i.WebLink) + `}`)
	return b.String()
}

func commaBefore(k int) string {
	if k == 0 {
		return ""
	}
	return ", "
}

// jsonLiteral is JSON that escapes no more than it has to.
func jsonLiteral(v any) string {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err) // texts and numbers alone
	}
	return unescaped.Replace(strings.TrimSpace(text.String()))
}

var unescaped = strings.NewReplacer(`\u2028`, "\u2028", `\u2029`, "\u2029")
