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

func (w *writer) name(name string) {
	if w.b[len(w.b)-1] != '{' {
		w.b = append(w.b, ',')
	}
	w.b = append(append(append(w.b, '"'), name...), '"', ':')
}

func (w *writer) text(name, value string) { w.name(name); w.b = appendText(w.b, value) }

func (w *writer) number(name string, value int64) {
	w.name(name)
	w.b = strconv.AppendInt(w.b, value, 10)
}

func (w *writer) bool(name string, value bool) { w.name(name); w.b = strconv.AppendBool(w.b, value) }

func (w *writer) raw(name string, value string) { w.name(name); w.b = append(w.b, value...) }

func (w *writer) date(name string, seconds int64) {
	w.name(name)
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

// append writes the document of a row with the members of the wanted fields.
func (g *generator) append(dst []byte, r *row, want fields) []byte {
	w := &writer{append(dst, '{')}
	text := g.text(r)
	if want&nothingElse != 0 {
		g.scores(w, r, want)
		g.collections(w, r, text, want)
		return append(w.b, '}')
	}
	v := g.value(int(r.number))
	id := strconv.FormatInt(r.id, 10)
	g.head(w, r, id)
	g.scores(w, r, want)
	if text.description != "" {
		w.text("description", text.description)
	}
	if text.source != "" {
		w.text("source", text.source)
	}
	w.text("summary", v.summary())
	g.valueMembers(w, int(r.number), v)
	w.bool("privateFlag", r.number%331 == 5 && !types[v.typ].custom)
	w.bool("active", r.active)
	w.bool("activeLocked", r.number%211 == 9)
	g.collections(w, r, text, want)
	w.text("legacyLink", legacyLink(id, v, r.owner.name))
	return append(w.b, '}')
}

func (g *generator) head(w *writer, r *row, id string) {
	w.raw("id", id)
	w.number("ownerId", r.owner.id)
	w.text("ownerName", r.owner.name)
	w.date("dateAdded", r.added)
	w.text("webLink", webBase+"/#/details/indicators/"+id+"/overview")
	w.text("type", r.typ)
	w.date("lastModified", r.modified)
	if r.number%400 == 13 { // as some samples of the documentation have it
		w.b = append(w.b[:len(w.b)-1], ' ', '"')
	}
	if r.rating >= 0 {
		w.raw("rating", strconv.Itoa(int(r.rating/100))+".00")
	}
	if r.confidence >= 0 {
		w.number("confidence", int64(r.confidence))
	}
}

func (g *generator) valueMembers(w *writer, n int, v value) {
	for i, name := range types[v.typ].members {
		if v.typ != typeFile || v.parts[i] != "" {
			w.text(name, v.parts[i])
		}
	}
	switch {
	case v.typ == typeHost:
		w.bool("dnsActive", n%2 == 0)
		w.bool("whoisActive", n%5 == 0)
	case v.typ == typeFile && n%4 == 0:
		w.number("size", int64(1024+n))
	case v.typ == typeFile && n%4 == 1: // documented as a string, too
		w.text("size", strconv.Itoa(1024+n))
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

// scores writes what has to be asked for and is no collection.
func (g *generator) scores(w *writer, r *row, want fields) {
	n := int(r.number)
	if d := g.dice(n, forSightings); want&wantSightings != 0 && d.percent(32) {
		w.date("firstSeen", r.added-int64(d.below(60*86400)))
		w.date("lastSeen", r.added+int64(d.below(86400)))
	}
	if d := g.dice(n, forScores); want&wantScores != 0 && r.score >= 0 {
		w.raw("threatAssessRating", "3.0")
		w.raw("threatAssessConfidence", "50.0")
		w.number("threatAssessScore", int64(r.score))
		w.number("threatAssessScoreObserved", 0)
		w.number("threatAssessScoreFalsePositive", 0)
		if d.percent(19) {
			w.number("calScore", int64(d.below(1001)))
		}
	}
	d := g.dice(n, forExtras)
	external, observed, doubted := d.percent(10), d.percent(15), d.percent(5)
	if external && want&wantExternal != 0 {
		w.date("externalDateAdded", r.added-86400)
		w.date("externalDateExpires", r.added+90*86400)
		w.date("externalLastModified", r.added-3600)
	}
	if observed && want&wantObserved != 0 {
		w.number("observations", int64(1+d.below(50)))
		w.date("lastObserved", r.modified)
	}
	if doubted && want&wantFalse != 0 {
		w.number("falsePositives", int64(1+d.below(5)))
		w.date("lastFalsePositive", r.modified)
		w.bool("falsePositiveReportedByUser", false)
	}
}

// text is the description and source of a row, which are attributes, too.
type text struct{ description, source string }

func (g *generator) text(r *row) (t text) {
	d := g.dice(int(r.number), forText)
	if d.percent(30) {
		t.description = r.typ + " seen with " + family(d.below(300)) + "; taken over by " + r.owner.name + "."
	}
	if d.percent(0.6) { // beyond what Sentinel keeps
		t.description += strings.Repeat(" It was seen “again”, größer than before, on the same\ninfrastructure.", 14+d.below(30))
	}
	if d.percent(18) {
		t.source = "https://reports.example/" + base36(d.below(100_000))
	}
	return t
}

func (g *generator) collections(w *writer, r *row, text text, want fields) {
	if want&wantTags != 0 {
		w.name("tags")
		g.tagList(w, int(r.number))
	}
	if want&wantLabels != 0 {
		w.name("securityLabels")
		g.labelList(w, int(r.number))
	}
	if want&wantAttributes != 0 {
		w.name("attributes")
		g.attributeList(w, r, text)
	}
	if want&wantGroups != 0 {
		w.name("associatedGroups")
		g.groupList(w, int(r.number))
	}
}

// list writes a collection; an empty one has no data.
func (w *writer) list(elements ...[]byte) {
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

func (g *generator) tagList(w *writer, n int) {
	d := g.dice(n, forTags)
	var some [5][]byte
	list := some[:0]
	if !d.percent(8) {
		start, count := d.below(len(g.tags)), d.below(3)
		for i := range count {
			list = append(list, g.tags[(start+i*5)%len(g.tags)])
		}
		start, count = d.below(len(g.attack)), d.below(3)
		for i := range count {
			list = append(list, g.attack[(start+i*3)%len(g.attack)])
		}
	}
	w.list(list...)
}

func (g *generator) labelList(w *writer, n int) {
	d := g.dice(n, forLabels)
	switch {
	case d.percent(42):
		w.list()
	case d.percent(3):
		start := d.below(len(g.labels))
		w.list(g.labels[start], g.labels[(start+1)%len(g.labels)])
	default:
		w.list(g.labels[min(d.below(len(g.labels)), d.below(len(g.labels)))])
	}
}

func (g *generator) groupList(w *writer, n int) {
	d := g.dice(n, forGroups)
	var some [4][]byte
	list := some[:0]
	if !d.percent(38) {
		groups := g.groups[g.owner(n)]
		start := d.below(len(groups))
		for i := range 1 + d.below(3) {
			list = append(list, groups[(start+i*7)%len(groups)])
		}
	}
	w.list(list...)
}

// attributeList writes the attributes of a row, one after the other, with ids of their own.
func (g *generator) attributeList(w *writer, r *row, text text) {
	d := g.dice(int(r.number), forAttributes)
	start, count := len(w.b), 0
	w.b = append(w.b, `{"data":[`...)
	add := func(typ, value string, standard bool) {
		if count > 0 {
			w.b = append(w.b, ',')
		}
		w.b = append(w.b, '{')
		w.number("id", 40_000+8*int64(r.number)+int64(count))
		w.date("dateAdded", r.added)
		w.text("type", typ)
		w.text("value", value)
		w.name("createdBy")
		w.b = append(w.b, g.creator[g.owner(int(r.number))]...)
		w.date("lastModified", r.added)
		w.bool("pinned", false)
		w.bool("default", standard)
		w.b = append(w.b, '}')
		count++
	}
	if text.description != "" {
		add("Description", text.description, true)
	}
	if text.source != "" {
		add("Source", text.source, true)
	}
	for range d.below(3) {
		add("Phase of Intrusion", pick(&d, phases), false)
	}
	if d.percent(20) {
		add("First Seen", string(appendTime(nil, r.added-86400)), false)
	}
	if d.percent(0.5) {
		add("Additional Analysis and Context", strings.Repeat("0123456789", 100+d.below(300)), false)
	}
	if count == 0 {
		w.b = append(w.b[:start], "{}"...)
		return
	}
	w.b = append(w.b, `],"count":`...)
	w.b = strconv.AppendInt(w.b, int64(count), 10)
	w.b = append(w.b, '}')
}
