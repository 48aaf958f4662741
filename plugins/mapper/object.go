package mapper

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"mssentinel/app/stix"
	"mssentinel/app/text"
)

// Object is the STIX object of one observable of the indicator. The pattern and the value, as
// ThreatConnect writes it (see [Indicator.Written]), are the mapper's; the rest is the same for every type. now is the
// time of conversion. What has to be said about the rest is added to the answer as notes.
func (i *Indicator) Object(pattern, value string, now time.Time) Object {
	summary := i.Summary
	if summary == "" {
		summary = value
	}
	refs, unknown := i.objectMarkingRefs()
	o := Object{
		Pattern:            pattern,
		Name:               value + " | " + i.OwnerName,
		Description:        i.writeDescription(summary),
		Created:            i.creationTime(now),
		Confidence:         i.Confidence,
		KillChainPhases:    i.killChainPhases(),
		ObjectMarkingRefs:  refs,
		ExternalReferences: i.externalReferences(),
		IndicatorTypes:     []string{i.indicatorType()},
	}
	all := i.tagLabels()
	o.Labels = fitLabels(all, stix.MaxText-o.TextSize())
	i.labelsLeftOut, i.unknownLabels = len(all)-len(o.Labels), unknown
	return o
}

// notes say what a person should know about the objects that were made of this indicator, whatever its mapper.
func (i *Indicator) notes() []string {
	var notes []string
	if i.unreadDate != "" {
		quoted := text.Cut(i.unreadDate, maxQuoted)
		notes = append(notes, fmt.Sprintf("dateAdded %q is no date that can be read: the time of conversion stands in", quoted))
	}
	for _, label := range i.unknownLabels {
		notes = append(notes, fmt.Sprintf("the security label %q is not understood: it counts as TLP:AMBER at least", text.Cut(label, maxQuoted)))
	}
	if i.labelsLeftOut > 0 {
		notes = append(notes, fmt.Sprintf("the object has no room for %d of its tags, which are left out", i.labelsLeftOut))
	}
	return notes
}

// maxQuoted bounds what a note quotes, in bytes.
const maxQuoted = 100

// creationTime is when the indicator was added. STIX wants no date in the future, and no object goes without one.
func (i *Indicator) creationTime(now time.Time) time.Time {
	if i.DateAdded.IsZero() || i.DateAdded.After(now) {
		return now
	}
	return i.DateAdded
}

// tagLabels are the names of the tags, those of ATT&CK as ThreatConnect shows them, each once.
func (i *Indicator) tagLabels() []string {
	start := len(i.labels)
	seen := make(map[string]bool, len(i.Tags))
	for _, t := range i.Tags {
		label := t.Name
		switch {
		case isBlank(label):
			label = t.TechniqueID
		case !isBlank(t.TechniqueID) && !strings.HasPrefix(label, t.TechniqueID):
			label = t.TechniqueID + " - " + label
		}
		if !isBlank(label) && !seen[label] {
			seen[label] = true
			i.labels = append(i.labels, label)
		}
	}
	return slices.Clip(i.labels[start:])
}

// fitLabels are the labels, in their order, for which there is room, in bytes.
func fitLabels(labels []string, room int) []string {
	fitting := labels[:0]
	for _, label := range labels {
		if len(label) <= room {
			room -= len(label)
			fitting = append(fitting, label)
		}
	}
	return fitting
}

// killChainPhases are those of every "Phase of Intrusion" that Lockheed Martin's kill chain knows, and behind them the tactics
// of every technique that ATT&CK knows, each once. What a chain does not know is no phase of it.
func (i *Indicator) killChainPhases() []KillChainPhase {
	start := len(i.phases)
	var letters [64]byte
	add := func(chain string, names map[string]string, written string) {
		name, known := names[string(appendLetters(letters[:0], written))]
		phase := KillChainPhase{KillChainName: chain, PhaseName: name}
		if known && !slices.Contains(i.phases[start:], phase) {
			i.phases = append(i.phases, phase)
		}
	}
	for _, a := range i.Attributes {
		if strings.EqualFold(a.Type, phaseOfIntrusion) {
			add("lockheed-martin-cyber-kill-chain", phaseNames, a.Value)
		}
	}
	for _, t := range i.Tags {
		if isBlank(t.TechniqueID) {
			continue
		}
		for _, tactic := range t.Tactics {
			add("mitre-attack", tacticNames, tactic)
		}
	}
	return slices.Clip(i.phases[start:])
}

// phaseOfIntrusion is the type of the attributes that name a phase.
const phaseOfIntrusion = "Phase of Intrusion"

// phaseNames by what ThreatConnect's instances call the phases, see [appendLetters].
var phaseNames = map[string]string{
	"reconnaissance":      "reconnaissance",
	"weaponization":       "weaponization",
	"weaponisation":       "weaponization",
	"delivery":            "delivery",
	"exploitation":        "exploitation",
	"installation":        "installation",
	"c2":                  "command-and-control",
	"c2commandcontrol":    "command-and-control",
	"c2commandandcontrol": "command-and-control",
	"commandcontrol":      "command-and-control",
	"commandandcontrol":   "command-and-control",
	"commandcontrolc2":    "command-and-control",
	"commandandcontrolc2": "command-and-control",
	"actiononobjective":   "actions-on-objectives",
	"actiononobjectives":  "actions-on-objectives",
	"actionsonobjective":  "actions-on-objectives",
	"actionsonobjectives": "actions-on-objectives",
}

// tacticNames by the names of ATT&CK's tactics, see [appendLetters]: those of Enterprise in all versions, then those that Mobile and
// ICS alone have.
var tacticNames = map[string]string{
	"reconnaissance":          "reconnaissance",
	"resourcedevelopment":     "resource-development",
	"initialaccess":           "initial-access",
	"execution":               "execution",
	"persistence":             "persistence",
	"privilegeescalation":     "privilege-escalation",
	"defenseevasion":          "defense-evasion",
	"stealth":                 "stealth",
	"defenseimpairment":       "defense-impairment",
	"credentialaccess":        "credential-access",
	"discovery":               "discovery",
	"lateralmovement":         "lateral-movement",
	"collection":              "collection",
	"commandandcontrol":       "command-and-control",
	"exfiltration":            "exfiltration",
	"impact":                  "impact",
	"networkeffects":          "network-effects",
	"remoteserviceeffects":    "remote-service-effects",
	"evasion":                 "evasion",
	"inhibitresponsefunction": "inhibit-response-function",
	"impairprocesscontrol":    "impair-process-control",
}

// appendLetters appends what spellings of a phase or a tactic have in common: its letters and digits, in small letters.
func appendLetters(dst []byte, s string) []byte {
	for _, r := range s {
		if !separatesWords(r) {
			dst = utf8.AppendRune(dst, unicode.ToLower(r))
		}
	}
	return dst
}

func (i *Indicator) externalReferences() []ExternalReference {
	if !strings.HasPrefix(i.WebLink, "https://") && !strings.HasPrefix(i.WebLink, "http://") {
		return nil
	}
	return []ExternalReference{{SourceName: "ThreatConnect", URL: i.WebLink}}
}

// indicatorType is the first of threatTypes of which a word stands in a tag or a group.
func (i *Indicator) indicatorType() string {
	first := len(threatTypes)
	look := func(s string) {
		for s != "" {
			var word string
			word, s = cutWord(s)
			first = min(first, rankThreat(word))
		}
	}
	for _, t := range i.Tags {
		look(t.Name)
		look(t.TechniqueID)
	}
	for _, g := range i.AssociatedGroups {
		look(g.Name)
		look(g.Type)
	}
	if first == len(threatTypes) {
		return "unknown"
	}
	return threatTypes[first].name
}

// cutWord gives the characters before the first that separates words, and what follows it.
func cutWord(s string) (word, rest string) {
	for n, r := range s {
		if separatesWords(r) {
			_, size := utf8.DecodeRuneInString(s[n:])
			return s[:n], s[n+size:]
		}
	}
	return s, ""
}

// rankThreat is where the type that a word stands for is in threatTypes, or their number.
func rankThreat(word string) int {
	if len(word) >= len(threatLengths) || !threatLengths[len(word)] {
		return len(threatTypes)
	}
	for n, t := range &threatTypes {
		for _, w := range t.words {
			if len(w) == len(word) && strings.EqualFold(w, word) {
				return n
			}
		}
	}
	return len(threatTypes)
}

// threatLengths are the lengths of the words of threatTypes, in bytes.
var threatLengths = func() (lengths [16]bool) {
	for _, t := range &threatTypes {
		for _, w := range t.words {
			lengths[len(w)] = true
		}
	}
	return lengths
}()

// threatTypes in the spelling for which Sentinel's ThreatConnect workbook has icons.
var threatTypes = [...]struct {
	name  string
	words []string
}{
	{"Botnet", []string{"botnet"}},
	{"Phishing", []string{"phishing", "spearphishing", "T1566"}},
	{"Malware", []string{"malware", "ransomware", "trojan"}},
}

// separatesWords reports whether a character is part of no word.
func separatesWords(r rune) bool {
	switch {
	case '0' <= r && r <= '9', 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z':
		return false
	}
	return r < utf8.RuneSelf || !unicode.IsLetter(r) && !unicode.IsDigit(r)
}
