package tcserver

import (
	"strconv"
	"strings"
	"time"
)

// DefaultCount is the number of indicators where nothing else is asked for.
const DefaultCount = 12_000

// generator makes rows from their number and nothing else. Of a row only what most queries ask for is kept; its
// document is written whenever it is needed, so that a population of a million costs a hundred bytes an indicator.
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

func (g *generator) diceFor(n, purpose int) dice {
	return dice(mixBits(g.seed ^ mixBits(uint64(n)<<8|uint64(purpose))))
}

// Generate makes a population of n indicators: all types, five owners, values that stand in two or three of them,
// awkward ones (the first 1,800 hold all of them), dates within the two years before now. Equal arguments give equal
// populations. All values are harmless: names, numbers and addresses that are reserved for examples, tests and private
// use, and hashes of nothing.
func Generate(n int, seed uint64, now time.Time) *Population {
	g := &generator{seed: seed, count: n, now: now.UTC().Truncate(time.Second)}
	g.prepareParts()
	p := &Population{rows: make([]*row, n)}
	rows := make([]row, n)
	for i := range rows {
		rows[i] = g.makeRow(i)
		p.rows[i] = &rows[i]
	}
	for i, o := range g.owners {
		kind := []string{"Organization", "Community", "Source"}[min(i, 2)]
		p.owners = append(p.owners, Owner{ID: o.id, Name: o.name, Type: kind})
	}
	return p
}

// sourceOf is the number of the row whose value a row has, and the owners between the two: of every 23 rows two repeat
// a third.
func sourceOf(n int) (original, copied int) {
	switch n % 23 {
	case 7:
		return n - 5, 1
	case 11:
		return n - 9, 2
	}
	return n, 0
}

func (g *generator) makeValue(n int) value {
	original, copied := sourceOf(n)
	d := g.diceFor(original, forValue)
	var v value
	if original%23 == 3 && original/23 < len(awkward) {
		v = awkward[original/23]
	} else {
		v = newValue(&d, original)
	}
	if copied > 0 {
		spelling := g.diceFor(n, forSpelling)
		return v.respellValue(&spelling)
	}
	if d.rollPercent(12) && v.typ == typeFile {
		for i := range v.parts {
			v.parts[i] = strings.ToLower(v.parts[i])
		}
	}
	return v
}

// ownerShares are the owners' shares of a hundred rows.
var ownerShares = []int{7, 8, 45, 38, 2}

func (g *generator) ownerIndex(n int) int {
	original, copied := sourceOf(n)
	d := g.diceFor(original, forRow)
	left := d.rollBelow(100)
	for i, share := range ownerShares {
		if left -= share; left < 0 {
			return (i + copied) % len(ownerShares)
		}
	}
	return 0
}

func (g *generator) makeRow(n int) row {
	d := g.diceFor(n, forRow)
	d.rollBits() // the owner's
	r := row{
		id: g.idOf(n), owner: g.owners[g.ownerIndex(n)], typ: types[g.makeValue(n).typ].name,
		rating: -1, confidence: -1, score: -1, active: !d.rollPercent(3),
		generator: g, number: int32(n),
	}
	r.added = g.addedAt(n)
	r.modified = r.added
	if d.rollPercent(45) {
		r.modified += int64(d.rollBelow(int(max(1, g.now.Unix()-r.added))))
	}
	if d.rollPercent(90) {
		r.rating = int16(100 * d.rollBelow(6))
	}
	if d.rollPercent(85) {
		r.confidence = int16(d.rollBelow(101))
	}
	if d.rollPercent(92) {
		r.score = int16(d.rollBelow(1001))
	}
	return r
}

// idOf grows with the number; the last twentieth lies above 2^53, where neighbours differ by one.
func (g *generator) idOf(n int) int64 {
	if n >= g.count-g.count/20 {
		return 1<<53 + 1 + int64(n)
	}
	return 700_000 + 3*int64(n) + int64(mixBits(uint64(n))%3)
}

// addedAt is the same for the rows of a batch, as an import makes it.
func (g *generator) addedAt(n int) int64 {
	const batch, span = 37, 2 * 365 * 24 * 3600
	d := g.diceFor(n/batch, forBatch)
	batches := g.count/batch + 1
	step := span / batches
	return g.now.Unix() - span + int64(n/batch*step) + int64(d.rollBelow(max(1, step)))
}

// prepareParts writes what many documents share.
func (g *generator) prepareParts() {
	for i := range generatedOwners {
		o := &generatedOwners[i]
		g.owners = append(g.owners, o)
		g.creator = append(g.creator, writeObject(func(w *writer) {
			w.writeNumber("id", int64(10+i))
			w.writeText("userName", strconv.Itoa(40_000_000+i))
			w.writeText("firstName", "Feed")
			w.writeText("lastName", "Importer")
			w.writeText("pseudonym", "importer-"+strconv.Itoa(i))
			w.writeText("owner", o.name)
		}))
		g.groups = append(g.groups, g.ownerGroups(i))
	}
	for i, name := range plainTags {
		g.tags = append(g.tags, writeObject(func(w *writer) {
			w.writeNumber("id", int64(300+i))
			w.writeText("name", name)
			w.writeDate("lastUsed", g.now.Unix())
		}))
	}
	for i, t := range techniques {
		g.attack = append(g.attack, writeObject(func(w *writer) {
			w.writeNumber("id", int64(900+i))
			w.writeText("name", t.name)
			w.writeText("techniqueId", t.id)
			w.writeWords("platforms", t.platforms)
			w.writeWords("tactics", t.tactics)
			w.writeDate("lastUsed", g.now.Unix())
		}))
	}
	for i, l := range labels {
		g.labels = append(g.labels, writeObject(func(w *writer) {
			w.writeNumber("id", int64(3+i))
			w.writeText("name", l.name)
			w.writeText("description", l.description)
			w.writeText("color", l.color)
			w.writeText("owner", l.owner)
			w.writeText("dateAdded", l.added)
		}))
	}
}

func writeObject(members func(*writer)) []byte {
	w := &writer{[]byte{'{'}}
	members(w)
	return append(w.b, '}')
}

// writeWords writes a collection of texts that commas separate.
func (w *writer) writeWords(name, list string) {
	words := strings.Split(list, ",")
	w.writeName(name)
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
		groups[i] = writeObject(func(w *writer) {
			w.writeNumber("id", id)
			w.writeDate("dateAdded", added)
			w.writeNumber("ownerId", g.owners[o].id)
			w.writeText("ownerName", g.owners[o].name)
			w.writeText("webLink", webBase+"/#/details/groups/"+number+"/overview")
			w.writeText("type", typ.name)
			w.writeText("name", groupName(i, typ.name))
			w.writeRaw("createdBy", string(g.creator[o]))
			w.writeText("upVoteCount", "0")
			w.writeText("downVoteCount", "0")
			w.writeDate("lastModified", added)
			w.writeText("legacyLink", webBase+"/auth/"+typ.page+"/"+typ.page+".xhtml?"+typ.page+"="+number)
			w.b = append(w.b, typ.extra...)
		})
	}
	return groups
}

func groupName(i int, typ string) string {
	name := familyName(i)
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

func familyName(i int) string {
	return familyFirst[i%len(familyFirst)] + " " + familySecond[i/2%len(familySecond)]
}
