package mapper

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"mssentinel/app/stix"
)

var now = time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)

// words draws texts with all that is awkward in JSON, in patterns and in Sentinel's rules.
var words = rapid.Map(rapid.SliceOfN(rapid.OneOf(
	rapid.SampledFrom([]string{"State: inactive;", "State: falsepos;", "State:", `\`, `"`, "'", "\n", "\x7f", "…", "💥", "ü", "\u2028", "</", "Malware", "TLP:RED"}),
	rapid.StringN(0, 30, -1)), 0, 60), func(s []string) string { return withoutNUL(strings.Join(s, "")) })

// withoutNUL is a text as one is read.
func withoutNUL(s string) string { return strings.ReplaceAll(s, "\x00", "") }

// texts are short more often than words are, so that some of a description fits. The types are those that are useful, and others.
var (
	texts      = rapid.OneOf(rapid.Map(rapid.StringN(0, 40, -1), withoutNUL), rapid.Map(rapid.StringN(0, 200, -1), withoutNUL), words)
	groupTypes = rapid.OneOf(rapid.SampledFrom(append([]string{"Document", "REPORT", "Task"}, usefulGroups...)), words)

	attributeTypes = rapid.OneOf(rapid.SampledFrom([]string{"Description", "Source", "Phase of Intrusion", "First Seen", "description"}), words)
)

func drawIndicator(t *rapid.T) *Indicator {
	ind := &Indicator{
		Type: words.Draw(t, "type"), Summary: texts.Draw(t, "summary"), OwnerName: texts.Draw(t, "owner"), WebLink: "https://tc.example/" + texts.Draw(t, "link"),
		Confidence: rapid.Ptr(rapid.IntRange(0, 100), true).Draw(t, "confidence"), Rating: rapid.Ptr(rapid.Float64Range(0, 5), true).Draw(t, "rating"),
		ThreatAssessScore: rapid.Ptr(rapid.IntRange(0, 1000), true).Draw(t, "score"),
		DateAdded:         time.Unix(rapid.Int64Range(-1e9, 4e9).Draw(t, "added"), 0).UTC(),
	}
	few := rapid.IntRange(0, 8)
	for range few.Draw(t, "tags") {
		ind.Tags = append(ind.Tags, Tag{Name: words.Draw(t, "tag"), TechniqueID: rapid.SampledFrom([]string{"", "T1566", "T1055.005"}).Draw(t, "technique"),
			Tactics: rapid.SliceOfN(rapid.OneOf(rapid.SampledFrom([]string{"Initial Access", "Impact"}), words), 0, 3).Draw(t, "tactics")})
	}
	for range few.Draw(t, "attributes") {
		ind.Attributes = append(ind.Attributes, Attribute{Type: attributeTypes.Draw(t, "attribute type"), Value: texts.Draw(t, "value"),
			Pinned: rapid.Bool().Draw(t, "pinned"), Default: rapid.Bool().Draw(t, "default")})
	}
	for range few.Draw(t, "groups") {
		ind.AssociatedGroups = append(ind.AssociatedGroups, Group{Type: groupTypes.Draw(t, "group type"), Name: texts.Draw(t, "group"), OwnerName: texts.Draw(t, "group owner")})
	}
	for range few.Draw(t, "labels") {
		ind.SecurityLabels = append(ind.SecurityLabels, SecurityLabel{words.Draw(t, "label")})
	}
	return ind
}

// described is the description, read again.
type described struct {
	Type, OwnerName   string
	Summary           string
	Confidence        *int
	Rating            *float64
	ThreatAssessScore *int
	AssociatedGroups  []Group
	Attributes        []Attribute
	WebLink           *string
}

func TestEveryObjectCanBeSent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ind := drawIndicator(t)
		value := "v" + words.Draw(t, "value")
		o := ind.Object(Pattern(Equal("file:name", value)), value, now)
		if err := o.Check(); err != nil {
			t.Fatalf("%v: %+v", err, o)
		}
		if o.Created.After(now) || o.Name != value+" | "+ind.OwnerName {
			t.Fatalf("created %v, name %q", o.Created, o.Name)
		}
		if !json.Valid(o.AppendJSON(nil, stix.Envelope{Modified: now, ValidUntil: now.Add(time.Hour)})) {
			t.Fatalf("not JSON: %+v", o)
		}
	})
}

// A description is whole JSON of at most 1,000 bytes, and says nothing that is not so. What stands in it of groups and attributes
// is what the order of their usefulness gives, whole and in ThreatConnect's order, and nothing else would fit.
func TestDescription(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ind := drawIndicator(t)
		text := ind.writeDescription(ind.Summary)
		var d described
		if err := json.Unmarshal([]byte(text), &d); err != nil || len(text) > stix.MaxDescription {
			t.Fatalf("%d bytes, %v: %s", len(text), err, text)
		}
		if strings.Contains(text, "State: inactive;") || strings.Contains(text, "State: falsepos;") {
			t.Fatalf("switches the indicator off: %s", text)
		}
		cut, shortened := strings.CutSuffix(d.Summary, "…")
		switch {
		case d.Summary == ind.Summary:
		case !shortened || !strings.HasPrefix(ind.Summary, cut) || len(d.AssociatedGroups)+len(d.Attributes) > 0:
			t.Fatalf("%q became %q in %s", ind.Summary, d.Summary, text)
		case len(text) < stix.MaxDescription-maxEscape-utf8.UTFMax-5:
			t.Fatalf("cut to %d bytes: %s", len(text), text)
		}
		bare := *ind
		bare.AssociatedGroups, bare.Attributes = nil, nil
		room := stix.MaxDescription - len(bare.writeDescription(ind.Summary))
		groups, room := takeInOrder(room, ownedGroups(ind), compareGroups, writtenGroup)
		attributes, room := takeInOrder(room, ind.Attributes, compareAttributes, writtenAttribute)
		if want := joinWritten(groups, writtenGroup); joinWritten(d.AssociatedGroups, writtenGroup) != want {
			t.Fatalf("groups: want %s in %s", want, text)
		}
		if want := joinWritten(attributes, writtenAttribute); joinWritten(d.Attributes, writtenAttribute) != want {
			t.Fatalf("attributes: want %s in %s", want, text)
		}
		if room != stix.MaxDescription-len(text) {
			t.Fatalf("%d bytes with %d of room", len(text), room)
		}
		wantNoneFits(t, room, ownedGroups(ind), groups, writtenGroup)
		wantNoneFits(t, room, ind.Attributes, attributes, writtenAttribute)
	})
}

// ownedGroups are the groups of an indicator; one without an owner belongs to the indicator's.
func ownedGroups(ind *Indicator) []Group {
	owned := slices.Clone(ind.AssociatedGroups)
	for n, g := range owned {
		if g.OwnerName == "" {
			owned[n].OwnerName = ind.OwnerName
		}
	}
	return owned
}

func compareGroups(a, b Group) int {
	order := map[string]int{"intrusion set": -13, "adversary": -12, "campaign": -11, "malware": -10, "tool": -9, "threat": -8, "vulnerability": -7,
		"attack pattern": -6, "incident": -5, "event": -4, "course of action": -3, "signature": -2, "report": -1}
	return order[strings.ToLower(a.Type)] - order[strings.ToLower(b.Type)]
}

func compareAttributes(a, b Attribute) int {
	switch {
	case a.Pinned && !b.Pinned:
		return -1
	case b.Pinned && !a.Pinned:
		return 1
	}
	order := map[string]int{"description": -3, "source": -2, "phase of intrusion": -1}
	switch typeOf := order[strings.ToLower(a.Type)] - order[strings.ToLower(b.Type)]; {
	case typeOf != 0:
		return typeOf
	case a.Default && !b.Default:
		return -1
	case b.Default && !a.Default:
		return 1
	}
	return 0
}

func writtenGroup(g Group) string {
	return fmt.Sprintf(`{"type": %s, "name": %s, "ownerName": %s}`, appendQuoted(nil, g.Type), appendQuoted(nil, g.Name), appendQuoted(nil, g.OwnerName))
}

func writtenAttribute(a Attribute) string {
	return fmt.Sprintf(`{"type": %s, "value": %s}`, appendQuoted(nil, a.Type), appendQuoted(nil, a.Value))
}

func joinWritten[T any](list []T, written func(T) string) string {
	var all []string
	for _, e := range list {
		all = append(all, written(e))
	}
	return strings.Join(all, ", ")
}

// takeInOrder tries one element after the other, the first of the order first, and gives those that fit together in the list's
// own order, and the room that is left.
func takeInOrder[T any](room int, list []T, compare func(a, b T) int, written func(T) string) (taken []T, left int) {
	var tried []int
	for n := range list {
		tried = append(tried, n)
	}
	slices.SortStableFunc(tried, func(a, b int) int { return compare(list[a], list[b]) })
	fits := map[int]bool{}
	size := 0
	for _, n := range tried {
		fits[n] = true
		all := joinWritten(subset(list, fits), written)
		if len(all) > room {
			delete(fits, n)
			continue
		}
		size = len(all)
	}
	return subset(list, fits), room - size
}

func subset[T any](list []T, in map[int]bool) (some []T) {
	for n, e := range list {
		if in[n] {
			some = append(some, e)
		}
	}
	return some
}

// wantNoneFits holds every element of a list that was not taken against the room that is left in the description.
func wantNoneFits[T any](t *rapid.T, room int, list, taken []T, written func(T) string) {
	size := len(joinWritten(taken, written))
	for _, e := range list {
		if all := joinWritten(append(slices.Clone(taken), e), written); len(all)-size <= room && !strings.Contains(joinWritten(taken, written), written(e)) {
			t.Fatalf("%s fits into %d bytes and was left out", written(e), room)
		}
	}
}

// Where there is room for one of two, the more useful stays, whichever ThreatConnect lists first; of two that are as useful as each
// other the first.
func TestTheMoreUsefulStays(t *testing.T) {
	long := strings.Repeat("x", 400)
	var groups []Group
	for _, typ := range []string{"Intrusion Set", "Adversary", "CAMPAIGN", "Malware", "Tool", "Threat", "Vulnerability", "Attack Pattern", "Incident",
		"Event", "Course of Action", "Signature", "Report", "Document"} {
		groups = append(groups, Group{Type: typ, Name: long, OwnerName: "Owner"})
	}
	attributes := []Attribute{
		{Type: "Description", Pinned: true, Default: true}, {Type: "Description", Pinned: true}, {Type: "First Seen", Pinned: true},
		{Type: "description", Default: true}, {Type: "Description"}, {Type: "Source", Default: true}, {Type: "Source"},
		{Type: "Phase of Intrusion"}, {Type: "Additional Analysis and Context"},
	}
	for n := range attributes {
		attributes[n].Value = long
	}
	for n := range groups[1:] {
		pair := groups[n : n+2]
		wantOne(t, &Indicator{AssociatedGroups: pair}, pair[0].Type, pair[1].Type)
		wantOne(t, &Indicator{AssociatedGroups: []Group{pair[1], pair[0]}}, pair[0].Type, pair[1].Type)
	}
	for n := range attributes {
		attributes[n].Value += fmt.Sprintf("number %d.", n)
	}
	for n := range attributes[1:] {
		pair := attributes[n : n+2]
		wantOne(t, &Indicator{Attributes: pair}, pair[0].Value, pair[1].Value)
		wantOne(t, &Indicator{Attributes: []Attribute{pair[1], pair[0]}}, pair[0].Value, pair[1].Value)
	}
	wantOne(t, &Indicator{AssociatedGroups: []Group{{Type: "Document", Name: long + "one"}, {Type: "Email", Name: long + "two"}}}, "xone", "xtwo")
	wantOne(t, &Indicator{AssociatedGroups: groups[13:], Attributes: attributes[:1]}, "Document", "number 0")
}

func wantOne(t *testing.T, ind *Indicator, kept, left string) {
	t.Helper()
	if text := ind.writeDescription("a.example"); !strings.Contains(text, kept) || strings.Contains(text, left) {
		t.Errorf("%q stays, not %q: %s", left, kept, text)
	}
}

func TestDescriptionIsNullWhereThreatConnectHasNothing(t *testing.T) {
	want := `{"type": "Host", "summary": "a.example", "confidence": null, "rating": null, "threatAssessScore": null, ` +
		`"ownerName": "Owner", "associatedGroups": [], "attributes": [], "webLink": null}`
	if got := (&Indicator{Type: "Host", Summary: "a.example", OwnerName: "Owner"}).writeDescription("a.example"); got != want {
		t.Errorf("got %s", got)
	}
}

// A link that takes more than its bound once it is written leaves no less room to the rest.
func TestLinkIsBoundAsWritten(t *testing.T) {
	for _, link := range []string{strings.Repeat("\x01", maxWebLink), strings.Repeat(`"`, maxWebLink), strings.Repeat("x", maxWebLink), strings.Repeat("x", maxWebLink+1)} {
		ind := &Indicator{Type: strings.Repeat("t", 200), OwnerName: strings.Repeat("o", 300), WebLink: link}
		text := ind.writeDescription(strings.Repeat("s", 300))
		var d described
		if err := json.Unmarshal([]byte(text), &d); err != nil || len(text) > stix.MaxDescription {
			t.Fatalf("%d bytes, %v: %s", len(text), err, text)
		}
		if whole := d.WebLink != nil && *d.WebLink == link; whole != (link == strings.Repeat("x", maxWebLink)) || !whole && d.WebLink != nil {
			t.Errorf("%q is written in %s", link, text)
		}
	}
}

// As much of a summary stays as fits: every length around the bound is tried.
func TestSummaryIsCutAtTheBound(t *testing.T) {
	for _, character := range []string{"x", "ü", "語", "💥", `"`, "\x01", "State: inactive;"} {
		for n := range 1200 {
			summary := strings.Repeat(character, n/len(character)) + strings.Repeat("y", n%len(character))
			text := (&Indicator{Type: "URL", OwnerName: "Owner"}).writeDescription(summary)
			var d described
			if err := json.Unmarshal([]byte(text), &d); err != nil || len(text) > stix.MaxDescription {
				t.Fatalf("%d bytes, %v: %s", len(text), err, text)
			}
			if d.Summary == summary {
				continue
			}
			kept := strings.TrimSuffix(d.Summary, "…")
			_, size := utf8.DecodeRuneInString(summary[len(kept):])
			if room := stix.MaxDescription - len(text); !strings.HasPrefix(summary, kept) || len(appendQuoted(nil, summary[:len(kept)+size]))-len(appendQuoted(nil, kept)) <= room {
				t.Fatalf("%d of %d bytes of %q kept with %d to spare", len(kept), len(summary), character, room)
			}
		}
	}
}

func TestPatternsQuote(t *testing.T) {
	if got, want := Pattern(Equal("mutex:name", `a'b\`), Equal("mutex:name", "c")), `[mutex:name = 'a\'b\\' AND mutex:name = 'c']`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// The first row of the table of types wins, wherever its word stands.
func TestIndicatorType(t *testing.T) {
	for want, list := range map[string][]Indicator{
		"Botnet": {{Tags: []Tag{{Name: "BOTNET"}, {Name: "Malware"}}}, {Tags: []Tag{{Name: "phishing"}}, AssociatedGroups: []Group{{Name: "a botnet"}}}},
		"Phishing": {{Tags: []Tag{{Name: "Ransomware"}, {Name: "SpearPhishing Link"}, {Name: "Trojan"}}}, {Tags: []Tag{{Name: "Malware", TechniqueID: "T1566.002"}}},
			{AssociatedGroups: []Group{{Type: "Campaign", Name: "t1566"}}}},
		"Malware": {{Tags: []Tag{{Name: "x", TechniqueID: "T1055"}, {Name: "a trojan"}}}, {AssociatedGroups: []Group{{Type: "Malware", Name: "Emotet"}}}},
		"unknown": {{}, {Tags: []Tag{{Name: "botnets"}, {Name: "T15661"}}, Attributes: []Attribute{{Type: "Description", Value: "Malware"}}}},
	} {
		for _, ind := range list {
			if got := ind.indicatorType(); got != want {
				t.Errorf("%+v is taken for %s, not %s", ind, got, want)
			}
		}
	}
}

// Words end at the punctuation and the blanks of any script.
func TestWordsBeyondASCII(t *testing.T) {
	for name, want := range map[string]string{"“Botnet”": "Botnet", "Emotet–Trojan": "Malware", "Mirai\u00a0botnet": "Botnet", "フィッシング、Phishing": "Phishing", "\xffMalware\xff": "Malware", "\uFFFDMalware": "Malware",
		"Übermalware": "unknown", "botnetз": "unknown"} {
		if got := (&Indicator{Tags: []Tag{{Name: name}}}).indicatorType(); got != want {
			t.Errorf("%s is taken for %s", name, got)
		}
	}
	phase := Attribute{Type: "Phase of Intrusion", Value: "Actions\u00a0on Objectives"}
	if got := (&Indicator{Attributes: []Attribute{phase}}).killChainPhases(); len(got) != 1 {
		t.Errorf("the phase %q is not known", phase.Value)
	}
}

// Every tactic is written as MITRE writes it, in the chain "mitre-attack", however an instance spells it.
func TestTactics(t *testing.T) {
	for tactic, want := range map[string]string{
		"Reconnaissance": "reconnaissance", "Resource Development": "resource-development", "Initial Access": "initial-access", "Execution": "execution",
		"Persistence": "persistence", "Privilege Escalation": "privilege-escalation", "Defense Evasion": "defense-evasion", "Stealth": "stealth",
		"Defense Impairment": "defense-impairment", "Credential Access": "credential-access", "Discovery": "discovery", "Lateral Movement": "lateral-movement",
		"Collection": "collection", "Command and Control": "command-and-control", "Exfiltration": "exfiltration", "Impact": "impact",
		"Network Effects": "network-effects", "Remote Service Effects": "remote-service-effects",
		"Evasion": "evasion", "Inhibit Response Function": "inhibit-response-function", "Impair Process Control": "impair-process-control",
		"COMMAND AND CONTROL": "command-and-control", "command-and-control": "command-and-control", " initial\u00a0access\n": "initial-access",
		"Weaponization": "", "Delivery": "", "TA0001": "", "Defense": "", "": "", "-": "", "Initial Access, Impact": "",
	} {
		var chain []KillChainPhase
		if want != "" {
			chain = []KillChainPhase{{KillChainName: "mitre-attack", PhaseName: want}}
		}
		ind := &Indicator{Tags: []Tag{{Name: "x", TechniqueID: "T1", Tactics: []string{tactic}}}}
		if got := ind.killChainPhases(); !slices.Equal(got, chain) {
			t.Errorf("%q is written as %v", tactic, got)
		}
	}
}

// The phases of Lockheed Martin's chain come first, then the tactics in the order of tags; each once, though both chains have
// one of the same name, and of techniques alone.
func TestPhasesOfBothChains(t *testing.T) {
	ind := &Indicator{
		Tags: []Tag{{"no technique", "", []string{"Discovery"}}, {"blank", "\u200b ", []string{"Discovery"}},
			{"a", "T1071", []string{"Command and Control", "unheard of"}}, {"", "T1055", []string{"Privilege Escalation", "command and control", "Execution"}},
			{"b", "T1059", []string{"Execution"}}, {"c", "T1", nil}},
		Attributes: []Attribute{{Type: "Description", Value: "Delivery"}, {Type: phaseOfIntrusion, Value: "C2"}},
	}
	var got []string
	for _, p := range ind.killChainPhases() {
		got = append(got, p.KillChainName+": "+p.PhaseName)
	}
	want := []string{"lockheed-martin-cyber-kill-chain: command-and-control", "mitre-attack: command-and-control",
		"mitre-attack: privilege-escalation", "mitre-attack: execution"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// The phases take their room before the labels do, and there are no more of them than both chains have.
func TestPhasesLeaveLabelsTheirRoom(t *testing.T) {
	ind := &Indicator{}
	tactics := slices.Sorted(maps.Values(tacticNames))
	for n := range 20_000 {
		ind.Tags = append(ind.Tags, Tag{Name: fmt.Sprint("tag ", n), TechniqueID: "T1", Tactics: tactics})
		ind.Attributes = append(ind.Attributes, Attribute{Type: phaseOfIntrusion, Value: []string{"C2", "Delivery"}[n%2]})
	}
	o := ind.Object("[a:b = 'c']", "c", now)
	if err := o.Check(); err != nil || len(o.KillChainPhases) != 2+len(tactics) || ind.labelsLeftOut == 0 || o.TextSize() < stix.MaxText-20 {
		t.Errorf("%d phases, %d labels left out of %d bytes: %v", len(o.KillChainPhases), ind.labelsLeftOut, o.TextSize(), err)
	}
}

// As many tags as an object has room for become labels, each once and in order; the rest gets a note. With 300,000 tags anything
// that looks at each pair of them would not come to its end.
func TestVeryManyTags(t *testing.T) {
	for _, tt := range []struct{ tags, length int }{{3, 10}, {1000, 126}, {12_000, 126}, {300_000, 20}, {5, 100_000}} {
		t.Run(fmt.Sprintf("%d of %d bytes", tt.tags, tt.length), func(t *testing.T) {
			var raw strings.Builder
			raw.WriteString(`{"type":"Host","hostName":"a.example","tags":{"data":[`)
			for n := range tt.tags {
				fmt.Fprintf(&raw, `{"name":"%0*d"},{"name":"%0*d"},`, tt.length, n, tt.length, n/2)
			}
			raw.WriteString(`{}]}}`)
			s := &server{mapper: Single{Type: Type{Name: "Host"}, Member: "hostName", Pattern: func(v string) (string, error) { return Pattern(Equal("domain-name:value", v)), nil }}}
			a := s.mapRecord(new(Indicator), []byte(raw.String()), now)
			if len(a.Objects) != 1 || len(a.Problems) > 0 {
				t.Fatalf("%d objects, problems %q", len(a.Objects), a.Problems)
			}
			labels, size := a.Objects[0].Labels, a.Objects[0].TextSize()
			for n, label := range labels {
				if want := fmt.Sprintf("%0*d", tt.length, n); label != want {
					t.Fatalf("label %d is %s", n, label)
				}
			}
			left := tt.tags - len(labels)
			if note := fmt.Sprintf("no room for %d of its tags", left); left > 0 != strings.Contains(strings.Join(a.Notes, ""), note) {
				t.Errorf("%d labels, notes %q", len(labels), a.Notes)
			}
			if size > stix.MaxText || left > 0 && size <= stix.MaxText-tt.length {
				t.Errorf("%d bytes of text with %d labels left out", size, left)
			}
		})
	}
}

// A label that does not fit keeps none behind it out.
func TestTagThatIsTooLongAlone(t *testing.T) {
	long := strings.Repeat("x", stix.MaxText)
	ind := &Indicator{Tags: []Tag{{Name: "first"}, {Name: long}, {Name: "last"}}}
	if o := ind.Object("[a:b = 'c']", "c", now); !slices.Equal(o.Labels, []string{"first", "last"}) {
		t.Errorf("%d labels, %v", len(o.Labels), o.Check())
	}
}

// Very many security labels, attributes and groups cost no more than reading them.
func TestVeryManyOfTheRest(t *testing.T) {
	ind := &Indicator{Summary: "a.example"}
	for n := range 200_000 {
		name := fmt.Sprint("TLP:", n)
		ind.SecurityLabels = append(ind.SecurityLabels, SecurityLabel{name + "x"})
		ind.Attributes = append(ind.Attributes, Attribute{Type: "Phase of Intrusion", Value: name}, Attribute{Type: "Phase of Intrusion", Value: "C2"})
		ind.AssociatedGroups = append(ind.AssociatedGroups, Group{Name: name})
	}
	o := ind.Object("[a:b = 'c']", "c", now)
	if len(o.KillChainPhases) != 1 || len(o.ObjectMarkingRefs) != 1 || len(o.Description) > stix.MaxDescription || len(ind.notes()) > maxUnknown {
		t.Errorf("%d phases, %d markings, notes %q", len(o.KillChainPhases), len(o.ObjectMarkingRefs), ind.notes())
	}
}
