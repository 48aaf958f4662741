package tcserver

import (
	"net/url"
	"strconv"
	"strings"
	"time"
)

// webBase is where the links of generated rows lead: nowhere.
const webBase = "https://tc.demo.example"

var (
	wantSightings  = mustField("sightings")
	wantScores     = mustField("threatAssess")
	wantExternal   = mustField("externalDates")
	wantObserved   = mustField("observations")
	wantFalse      = mustField("falsePositives")
	wantTags       = mustField("tags")
	wantLabels     = mustField("securityLabels")
	wantAttributes = mustField("attributes")
	wantGroups     = mustField("associatedGroups")
)

// writer appends the members of one document.
type writer struct{ b []byte }

func (w *writer) writeName(name string) {
	if w.b[len(w.b)-1] != '{' {
		w.b = append(w.b, ',')
	}
	w.b = append(append(append(w.b, '"'), name...), '"', ':')
}

func (w *writer) writeText(name, value string) { w.writeName(name); w.b = appendText(w.b, value) }

func (w *writer) writeNumber(name string, value int64) {
	w.writeName(name)
	w.b = strconv.AppendInt(w.b, value, 10)
}

func (w *writer) writeBool(name string, value bool) {
	w.writeName(name)
	w.b = strconv.AppendBool(w.b, value)
}

func (w *writer) writeRaw(name string, value string) { w.writeName(name); w.b = append(w.b, value...) }

func (w *writer) writeDate(name string, seconds int64) {
	w.writeName(name)
	w.b = append(w.b, '"')
	w.b = appendTime(w.b, seconds)
	w.b = append(w.b, '"')
}

// appendTime writes a date of the years 0 to 9999.
func appendTime(b []byte, seconds int64) []byte {
	t := time.Unix(seconds, 0).UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	b = twoDigits(twoDigits(b, year/100), year%100)
	b = twoDigits(append(b, '-'), int(month))
	b = twoDigits(append(b, '-'), day)
	b = twoDigits(append(b, 'T'), hour)
	b = twoDigits(append(b, ':'), minute)
	b = twoDigits(append(b, ':'), second)
	return append(b, 'Z')
}

func twoDigits(b []byte, n int) []byte { return append(b, '0'+byte(n/10), '0'+byte(n%10)) }

// appendText writes a JSON string.
func appendText(b []byte, s string) []byte {
	b = append(b, '"')
	from := 0
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' {
			b = appendEscaped(append(b, s[from:i]...), c)
			from = i + 1
		}
	}
	return append(append(b, s[from:]...), '"')
}

func appendEscaped(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\n':
		return append(b, '\\', 'n')
	case '\t':
		return append(b, '\\', 't')
	}
	return append(b, `\u00`+strconv.FormatUint(uint64(c)+0x100, 16)[1:]...)
}

// appendDocument writes the document of a row with the members of the wanted fields.
func (g *generator) appendDocument(dst []byte, r *row, want fields) []byte {
	w := &writer{append(dst, '{')}
	text := g.makeText(r)
	if want&nothingElse != 0 {
		g.writeScores(w, r, want)
		g.writeCollections(w, r, text, want)
		return append(w.b, '}')
	}
	v := g.makeValue(int(r.number))
	id := strconv.FormatInt(r.id, 10)
	g.writeHead(w, r, id)
	g.writeScores(w, r, want)
	if text.description != "" {
		w.writeText("description", text.description)
	}
	if text.source != "" {
		w.writeText("source", text.source)
	}
	w.writeText("summary", v.joinParts())
	g.writeValueMembers(w, int(r.number), v)
	w.writeBool("privateFlag", r.number%331 == 5 && !types[v.typ].custom)
	w.writeBool("active", r.active)
	w.writeBool("activeLocked", r.number%211 == 9)
	g.writeCollections(w, r, text, want)
	w.writeText("legacyLink", legacyLink(id, v, r.owner.name))
	return append(w.b, '}')
}

func (g *generator) writeHead(w *writer, r *row, id string) {
	w.writeRaw("id", id)
	w.writeNumber("ownerId", r.owner.id)
	w.writeText("ownerName", r.owner.name)
	w.writeDate("dateAdded", r.added)
	w.writeText("webLink", webBase+"/#/details/indicators/"+id+"/overview")
	w.writeText("type", r.typ)
	w.writeDate("lastModified", r.modified)
	if r.rating >= 0 {
		w.writeRaw("rating", strconv.Itoa(int(r.rating/100))+".00")
	}
	if r.confidence >= 0 {
		w.writeNumber("confidence", int64(r.confidence))
	}
}

func (g *generator) writeValueMembers(w *writer, n int, v value) {
	for i, name := range types[v.typ].members {
		if v.typ != typeFile || v.parts[i] != "" {
			w.writeText(name, v.parts[i])
		}
	}
	switch {
	case v.typ == typeHost:
		w.writeBool("dnsActive", n%2 == 0)
		w.writeBool("whoisActive", n%5 == 0)
	case v.typ == typeFile && n%4 == 0:
		w.writeNumber("size", int64(1024+n))
	case v.typ == typeFile && n%4 == 1: // documented as a string, too
		w.writeText("size", strconv.Itoa(1024+n))
	}
}

func legacyLink(id string, v value, owner string) string {
	t := types[v.typ]
	what := id
	if !t.custom && v.typ != typeURL {
		what = url.QueryEscape(v.parts[0])
		if v.typ == typeFile {
			what = strings.TrimSpace(v.parts[0] + " " + v.parts[1] + " " + v.parts[2])
			what, _, _ = strings.Cut(what, " ")
		}
	}
	return webBase + "/auth/indicators/details/" + t.link + what + "&owner=" + strings.ReplaceAll(owner, " ", "+")
}

// writeScores writes what has to be asked for and is no collection.
func (g *generator) writeScores(w *writer, r *row, want fields) {
	n := int(r.number)
	if d := g.diceFor(n, forSightings); want&wantSightings != 0 && d.rollPercent(32) {
		w.writeDate("firstSeen", r.added-int64(d.rollBelow(60*86400)))
		w.writeDate("lastSeen", r.added+int64(d.rollBelow(86400)))
	}
	if d := g.diceFor(n, forScores); want&wantScores != 0 && r.score >= 0 {
		w.writeRaw("threatAssessRating", "3.0")
		w.writeRaw("threatAssessConfidence", "50.0")
		w.writeNumber("threatAssessScore", int64(r.score))
		w.writeNumber("threatAssessScoreObserved", 0)
		w.writeNumber("threatAssessScoreFalsePositive", 0)
		if d.rollPercent(19) {
			w.writeNumber("calScore", int64(d.rollBelow(1001)))
		}
	}
	d := g.diceFor(n, forExtras)
	external, observed, doubted := d.rollPercent(10), d.rollPercent(15), d.rollPercent(5)
	observations, falsePositives := 1+d.rollBelow(50), 1+d.rollBelow(5) // rolled whatever is asked for
	if external && want&wantExternal != 0 {
		w.writeDate("externalDateAdded", r.added-86400)
		w.writeDate("externalDateExpires", r.added+90*86400)
		w.writeDate("externalLastModified", r.added-3600)
	}
	if observed && want&wantObserved != 0 {
		w.writeNumber("observations", int64(observations))
		w.writeDate("lastObserved", r.modified)
	}
	if doubted && want&wantFalse != 0 {
		w.writeNumber("falsePositives", int64(falsePositives))
		w.writeDate("lastFalsePositive", r.modified)
		w.writeBool("falsePositiveReportedByUser", false)
	}
}

// text is the description and source of a row, which are attributes, too.
type text struct{ description, source string }

func (g *generator) makeText(r *row) (t text) {
	d := g.diceFor(int(r.number), forText)
	if d.rollPercent(30) {
		t.description = r.typ + " seen with " + familyName(d.rollBelow(300)) + "; taken over by " + r.owner.name + "."
	}
	if d.rollPercent(0.6) { // beyond what Sentinel keeps
		t.description += strings.Repeat(" It was seen “again”, größer than before, on the same\ninfrastructure.", 14+d.rollBelow(30))
	}
	if d.rollPercent(18) {
		t.source = "https://reports.example/" + base36(d.rollBelow(100_000))
	}
	return t
}

func (g *generator) writeCollections(w *writer, r *row, text text, want fields) {
	if want&wantTags != 0 {
		w.writeName("tags")
		g.writeTags(w, int(r.number))
	}
	if want&wantLabels != 0 {
		w.writeName("securityLabels")
		g.writeLabels(w, int(r.number))
	}
	if want&wantAttributes != 0 {
		w.writeName("attributes")
		g.writeAttributes(w, r, text)
	}
	if want&wantGroups != 0 {
		w.writeName("associatedGroups")
		g.writeGroups(w, int(r.number))
	}
}

// writeList writes a collection; an empty one has no data.
func (w *writer) writeList(elements ...[]byte) {
	if len(elements) == 0 {
		w.b = append(w.b, "{}"...)
		return
	}
	w.b = append(w.b, `{"data":[`...)
	for i, e := range elements {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.b = append(w.b, e...)
	}
	w.b = append(w.b, "]}"...)
}

func (g *generator) writeTags(w *writer, n int) {
	d := g.diceFor(n, forTags)
	var some [5][]byte
	list := some[:0]
	if !d.rollPercent(8) {
		start, count := d.rollBelow(len(g.tags)), d.rollBelow(3)
		for i := range count {
			list = append(list, g.tags[(start+i*5)%len(g.tags)])
		}
		start, count = d.rollBelow(len(g.attack)), d.rollBelow(3)
		for i := range count {
			list = append(list, g.attack[(start+i*3)%len(g.attack)])
		}
	}
	w.writeList(list...)
}

func (g *generator) writeLabels(w *writer, n int) {
	d := g.diceFor(n, forLabels)
	switch {
	case d.rollPercent(42):
		w.writeList()
	case d.rollPercent(3):
		start := d.rollBelow(len(g.labels))
		w.writeList(g.labels[start], g.labels[(start+1)%len(g.labels)])
	default:
		w.writeList(g.labels[min(d.rollBelow(len(g.labels)), d.rollBelow(len(g.labels)))])
	}
}

func (g *generator) writeGroups(w *writer, n int) {
	d := g.diceFor(n, forGroups)
	var some [4][]byte
	list := some[:0]
	if !d.rollPercent(38) {
		groups := g.groups[g.ownerIndex(n)]
		start := d.rollBelow(len(groups))
		for i := range 1 + d.rollBelow(3) {
			list = append(list, groups[(start+i*7)%len(groups)])
		}
	}
	w.writeList(list...)
}

// writeAttributes writes the attributes of a row, one after the other, with ids of their own.
func (g *generator) writeAttributes(w *writer, r *row, text text) {
	d := g.diceFor(int(r.number), forAttributes)
	start, count := len(w.b), 0
	w.b = append(w.b, `{"data":[`...)
	add := func(typ, value string, standard bool) {
		if count > 0 {
			w.b = append(w.b, ',')
		}
		w.b = append(w.b, '{')
		w.writeNumber("id", 40_000+8*int64(r.number)+int64(count))
		w.writeDate("dateAdded", r.added)
		w.writeText("type", typ)
		w.writeText("value", value)
		w.writeName("createdBy")
		w.b = append(w.b, g.creator[g.ownerIndex(int(r.number))]...)
		w.writeDate("lastModified", r.added)
		w.writeBool("pinned", false)
		w.writeBool("default", standard)
		w.b = append(w.b, '}')
		count++
	}
	if text.description != "" {
		add("Description", text.description, true)
	}
	if text.source != "" {
		add("Source", text.source, true)
	}
	for range d.rollBelow(3) {
		add("Phase of Intrusion", pickOne(&d, phases), false)
	}
	if d.rollPercent(20) {
		add("First Seen", string(appendTime(nil, r.added-86400)), false)
	}
	if d.rollPercent(0.5) {
		add("Additional Analysis and Context", strings.Repeat("0123456789", 100+d.rollBelow(300)), false)
	}
	if count == 0 {
		w.b = append(w.b[:start], "{}"...)
		return
	}
	w.b = append(w.b, `],"count":`...)
	w.b = strconv.AppendInt(w.b, int64(count), 10)
	w.b = append(w.b, '}')
}
