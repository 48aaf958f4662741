package tcserver

import (
	"strconv"
	"strings"
	"time"
)

// DefaultCount is the number of indicators where nothing else is asked for.
const DefaultCount = 12_000

// generator makes rows from their number and nothing else. Of a row only what most queries ask for is kept; its document is
// written whenever it is needed, so that a population of a million costs a hundred bytes an indicator.
type generator struct {
	seed    uint64
	count   int
	now     time.Time
	owners  []*owner
	creator [][]byte   // createdBy by owner
	groups  [][][]byte // by owner
	tags    [][]byte
	attack  [][]byte
	labels  [][]byte
}

// What the chances of a row are drawn for: each has its own, so that a document can be written in part.
const (
	forValue = iota + 1
	forRow
	forSpelling
	forSightings
	forScores
	forExtras
	forTags
	forLabels
	forAttributes
	forGroups
	forText
	forBatch
)

func (g *generator) dice(n, purpose int) dice {
	return dice(mix(g.seed ^ mix(uint64(n)<<8|uint64(purpose))))
}

// Generate makes a population of n indicators: all types, five owners, values that stand in two or three of them, awkward
// ones (the first 1,400 hold all of them), dates within the two years before now. Equal arguments give equal populations.
// All values are harmless: names, numbers and addresses that are reserved for examples, tests and private use, and hashes
// of nothing.
func Generate(n int, seed uint64, now time.Time) *Population {
	g := &generator{seed: seed, count: n, now: now.UTC().Truncate(time.Second)}
	g.prepare()
	p := &Population{rows: make([]*row, n)}
	rows := make([]row, n)
	for i := range rows {
		rows[i] = g.row(i)
		p.rows[i] = &rows[i]
	}
	for i, o := range g.owners {
		kind := []string{"Organization", "Community", "Source"}[min(i, 2)]
		p.owners = append(p.owners, Owner{ID: o.id, Name: o.name, Type: kind})
	}
	return p
}

// source is the number of the row whose value a row has, and the owners between the two: of every 23 rows two repeat a third.
func source(n int) (original, copied int) {
	switch n % 23 {
	case 7:
		return n - 5, 1
	case 11:
		return n - 9, 2
	}
	return n, 0
}

func (g *generator) value(n int) value {
	original, copied := source(n)
	d := g.dice(original, forValue)
	var v value
	if original%23 == 3 && original/23 < len(awkward) {
		v = awkward[original/23]
	} else {
		v = newValue(&d, original)
	}
	if copied > 0 {
		spelling := g.dice(n, forSpelling)
		return v.respelled(&spelling)
	}
	if d.percent(12) && v.typ == typeFile {
		for i := range v.parts {
			v.parts[i] = strings.ToLower(v.parts[i])
		}
	}
	return v
}

// ownerShares are the owners' shares of a hundred rows.
var ownerShares = []int{7, 8, 45, 38, 2}

func (g *generator) owner(n int) int {
	original, copied := source(n)
	d := g.dice(original, forRow)
	left := d.below(100)
	for i, share := range ownerShares {
		if left -= share; left < 0 {
			return (i + copied) % len(ownerShares)
		}
	}
	return 0
}

func (g *generator) row(n int) row {
	d := g.dice(n, forRow)
	d.roll() // the owner's
	r := row{
		id: g.id(n), owner: g.owners[g.owner(n)], typ: types[g.value(n).typ].name,
		rating: -1, confidence: -1, score: -1, active: !d.percent(3),
		generator: g, number: int32(n),
	}
	r.added = g.added(n)
	r.modified = r.added
	if d.percent(45) {
		r.modified += int64(d.below(int(max(1, g.now.Unix()-r.added))))
	}
	if d.percent(90) {
		r.rating = int16(100 * d.below(6))
	}
	if d.percent(85) {
		r.confidence = int16(d.below(101))
	}
	if d.percent(92) {
		r.score = int16(d.below(1001))
	}
	return r
}

// id grows with the number; the last twentieth lies above 2^53, where neighbours differ by one.
func (g *generator) id(n int) int64 {
	if n >= g.count-g.count/20 {
		return 1<<53 + 1 + int64(n)
	}
	return 700_000 + 3*int64(n) + int64(mix(uint64(n))%3)
}

// added is the same for the rows of a batch, as an import makes it.
func (g *generator) added(n int) int64 {
	const batch, span = 37, 2 * 365 * 24 * 3600
	d := g.dice(n/batch, forBatch)
	batches := g.count/batch + 1
	step := span / batches
	return g.now.Unix() - span + int64(n/batch*step) + int64(d.below(max(1, step)))
}

// prepare writes what many documents share.
func (g *generator) prepare() {
	for i := range generatedOwners {
		o := &generatedOwners[i]
		g.owners = append(g.owners, o)
		g.creator = append(g.creator, object(func(w *writer) {
			w.number("id", int64(10+i))
			w.text("userName", strconv.Itoa(40_000_000+i))
			w.text("firstName", "Feed")
			w.text("lastName", "Importer")
			w.text("pseudonym", "importer-"+strconv.Itoa(i))
			w.text("owner", o.name)
		}))
		g.groups = append(g.groups, g.ownerGroups(i))
	}
	for i, name := range plainTags {
		g.tags = append(g.tags, object(func(w *writer) {
			w.number("id", int64(300+i))
			w.text("name", name)
			w.date("lastUsed", g.now.Unix())
		}))
	}
	for i, t := range techniques {
		g.attack = append(g.attack, object(func(w *writer) {
			w.number("id", int64(900+i))
			w.text("name", t.name)
			w.text("techniqueId", t.id)
			w.words("platforms", t.platforms)
			w.words("tactics", t.tactics)
			w.date("lastUsed", g.now.Unix())
		}))
	}
	for i, l := range labels {
		g.labels = append(g.labels, object(func(w *writer) {
			w.number("id", int64(3+i))
			w.text("name", l.name)
			w.text("description", l.description)
			w.text("color", l.color)
			w.text("owner", l.owner)
			w.text("dateAdded", l.added)
		}))
	}
}

func object(members func(*writer)) []byte {
	w := &writer{[]byte{'{'}}
	members(w)
	return append(w.b, '}')
}

// words writes a collection of texts that commas separate.
func (w *writer) words(name, list string) {
	words := strings.Split(list, ",")
	w.name(name)
	w.b = append(w.b, `{"data":[`...)
	for i, word := range words {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.b = appendText(w.b, word)
	}
	w.b = append(strconv.AppendInt(append(w.b, `],"count":`...), int64(len(words)), 10), '}')
}

const groupsPerOwner = 150

func (g *generator) ownerGroups(o int) [][]byte {
	groups := make([][]byte, groupsPerOwner)
	for i := range groups {
		typ := groupTypes[i%len(groupTypes)]
		id := int64(8_000_000 + 1000*o + i)
		added := g.now.AddDate(-2, 0, -i).Unix()
		number := strconv.FormatInt(id, 10)
		groups[i] = object(func(w *writer) {
			w.number("id", id)
			w.date("dateAdded", added)
			w.number("ownerId", g.owners[o].id)
			w.text("ownerName", g.owners[o].name)
			w.text("webLink", webBase+"/#/details/groups/"+number+"/overview")
			w.text("type", typ.name)
			w.text("name", groupName(i, typ.name))
			w.raw("createdBy", string(g.creator[o]))
			w.text("upVoteCount", "0")
			w.text("downVoteCount", "0")
			w.date("lastModified", added)
			w.text("legacyLink", webBase+"/auth/"+typ.page+"/"+typ.page+".xhtml?"+typ.page+"="+number)
			w.b = append(w.b, typ.extra...)
		})
	}
	return groups
}

func groupName(i int, typ string) string {
	name := family(i)
	switch typ {
	case "Report", "Document":
		return name + ": what was seen"
	case "Incident":
		return "Case " + strconv.Itoa(100+i)
	case "Campaign":
		return name + " campaign"
	}
	return name
}

func family(i int) string {
	return familyFirst[i%len(familyFirst)] + " " + familySecond[i/2%len(familySecond)]
}
