package mapper

import (
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"mssentinel/app/stix"
)

// Object is the STIX object of one observable of the indicator. The pattern and the value, as
// ThreatConnect writes it, are the mapper's; the rest is the same for every type. now is the
// time of conversion.
func (i *Indicator) Object(pattern, value string, now time.Time) Object {
	summary := i.Summary
	if summary == "" {
		summary = value
	}
	return Object{
		Pattern:            pattern,
		Name:               value + " | " + i.OwnerName,
		Description:        i.writeDescription(summary),
		Created:            i.creationTime(now),
		Confidence:         i.Confidence,
		Labels:             i.tagLabels(),
		KillChainPhases:    i.killChainPhases(),
		ObjectMarkingRefs:  i.objectMarkingRefs(),
		ExternalReferences: i.externalReferences(),
		IndicatorTypes:     []string{i.indicatorType()},
	}
}

// creationTime is when the indicator was added. STIX wants no date in the future, and no object goes without one.
func (i *Indicator) creationTime(now time.Time) time.Time {
	if i.DateAdded.IsZero() || i.DateAdded.After(now) {
		return now
	}
	return i.DateAdded
}

// tagLabels are the names of the tags, those of ATT&CK as ThreatConnect shows them.
func (i *Indicator) tagLabels() []string {
	var labels []string
	for _, t := range i.Tags {
		label := t.Name
		if t.TechniqueID != "" && !strings.HasPrefix(t.Name, t.TechniqueID) {
			label = t.TechniqueID + " - " + t.Name
		}
		if !isBlank(label) && !slices.Contains(labels, label) {
			labels = append(labels, label)
		}
	}
	return labels
}

// killChainPhases are those of every "Phase of Intrusion" that Lockheed Martin's kill chain knows.
func (i *Indicator) killChainPhases() []KillChainPhase {
	var phases []KillChainPhase
	for _, a := range i.Attributes {
		if !strings.EqualFold(a.Type, "Phase of Intrusion") {
			continue
		}
		name, known := phaseNames[strings.ToLower(strings.Join(strings.FieldsFunc(a.Value, separatesWords), ""))]
		phase := KillChainPhase{KillChainName: "lockheed-martin-cyber-kill-chain", PhaseName: name}
		if known && !slices.Contains(phases, phase) {
			phases = append(phases, phase)
		}
	}
	return phases
}

// phaseNames by what ThreatConnect's instances call the phases, in small letters and digits alone.
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

// objectMarkingRefs is the marking of the strictest TLP label.
func (i *Indicator) objectMarkingRefs() []string {
	strictest := len(tlp)
	for _, l := range i.SecurityLabels {
		name := strings.ToUpper(strings.ReplaceAll(l.Name, " ", ""))
		for rank, marking := range tlp[:strictest] {
			if slices.Contains(marking.labels, name) {
				strictest = rank
				break
			}
		}
	}
	if strictest == len(tlp) {
		return nil
	}
	return []string{tlp[strictest].ref}
}

// tlp has the markings that Sentinel knows, the strictest first, with the labels of TLP 1.0 and 2.0.
var tlp = [...]struct {
	ref    string
	labels []string
}{
	{stix.TLPRed, []string{"TLP:RED"}},
	{stix.TLPAmber, []string{"TLP:AMBER", "TLP:AMBER+STRICT"}},
	{stix.TLPGreen, []string{"TLP:GREEN"}},
	{stix.TLPWhite, []string{"TLP:WHITE", "TLP:CLEAR"}},
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
		for word := range strings.FieldsFuncSeq(s, separatesWords) {
			for n, t := range threatTypes[:first] {
				if slices.ContainsFunc(t.words, func(w string) bool { return strings.EqualFold(w, word) }) {
					first = n
					break
				}
			}
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
