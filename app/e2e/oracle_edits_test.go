package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// editor changes ThreatConnect as people and feeds do, and tells the oracle which indicators it changed.
type editor struct {
	*oracle
	when string // lastModified of what it changes: behind the last window, and before the end of the next
	used map[int64]bool
}

// edit makes an editor. The App's windows end five minutes behind now.
func (o *oracle) edit() *editor {
	return &editor{oracle: o, when: stamp(time.Now().Add(-6 * time.Minute)), used: map[int64]bool{}}
}

// kind of an observable, by what gives it.
type kind func(e *entry) bool

// single is given by one indicator alone, contested by several.
func single(e *entry) bool    { return len(e.givers()) == 1 }
func contested(e *entry) bool { return len(e.givers()) > 1 }

func (e *entry) givers() []int64 {
	var ids []int64
	for c := range e.claims {
		ids = append(ids, c.indicator)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// pick finds n observables that stand, of a type ("" for any) and kind, with objects of them in the winner, whose indicators
// were not picked before.
func (d *editor) pick(n int, typ string, objects int, of kind) (picked []*entry) {
	d.t.Helper()
	for _, id := range slices.Sorted(maps.Keys(d.entries)) {
		e := d.entries[id]
		if len(picked) == n {
			return picked
		}
		if !e.stands || e.winner.indicator == 0 || typ != "" && e.object.IndicatorType != typ || !of(e) ||
			slices.ContainsFunc(e.givers(), func(id int64) bool { return d.used[id] }) || d.gives(e.winner.indicator) != objects {
			continue
		}
		for _, id := range e.givers() {
			d.used[id] = true
		}
		picked = append(picked, e)
	}
	d.t.Fatalf("the population has not enough indicators to edit (%d of type %q)", n, typ)
	return nil
}

// gives is how many objects an indicator gives; 0 where it is gone.
func (d *editor) gives(id int64) int {
	row, err := d.tc.Row(id)
	if err != nil {
		return 0
	}
	return len(d.convert(row).Objects)
}

// must fails the test for an error of the stand-in.
func (d *editor) must(id int64, err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
	d.changed(id)
}

// modify changes members and moves lastModified.
func (d *editor) modify(id int64, members map[string]any) {
	d.t.Helper()
	members["lastModified"] = d.when
	d.must(id, d.tc.Modify(id, members))
}

func (d *editor) remove(id int64) {
	d.t.Helper()
	row, err := d.tc.Row(id)
	if err != nil {
		d.t.Fatal(err)
	}
	gone := deletion{at: time.Now(), owner: row.Owner}
	for _, obj := range d.convert(row).Objects {
		gone.ids = append(gone.ids, obj.ID)
	}
	d.deleted = append(d.deleted, gone)
	d.must(id, d.tc.Delete(id))
	d.gone = append(d.gone, id)
}

func (d *editor) deactivate(id int64) {
	d.t.Helper()
	d.must(id, d.tc.SetActive(id, false))
	d.gone = append(d.gone, id)
}

func (d *editor) document(id int64) map[string]any {
	d.t.Helper()
	row, err := d.tc.Row(id)
	if err != nil {
		d.t.Fatal(err)
	}
	var m map[string]any
	dec := json.NewDecoder(bytes.NewReader(row.JSON()))
	dec.UseNumber()
	if err := dec.Decode(&m); err != nil {
		d.t.Fatal(err)
	}
	return m
}

// add puts a new indicator that is like another.
func (d *editor) add(like map[string]any) {
	d.t.Helper()
	delete(like, "id")
	like["dateAdded"], like["lastModified"] = d.when, d.when
	text, err := json.Marshal(like)
	if err != nil {
		d.t.Fatal(err)
	}
	id, err := d.tc.Put(text)
	d.must(id, err)
}

// value gives members a value that nothing else has, not in the form in which it is sent.
func (d *editor) value(m map[string]any) {
	d.made++
	n := d.made
	set := func(name, value string) { m[name], m["summary"] = value, value }
	switch m["type"] {
	case "Address":
		set("ip", fmt.Sprintf("2001:DB8:ffff::%x", n))
	case "CIDR":
		set("Block", fmt.Sprintf("2001:DB8:fffe::%x/128", n))
	case "Host":
		set("hostName", fmt.Sprintf("\ufeffNew-%d.Example.\u00a0", n))
	case "URL":
		set("text", fmt.Sprintf(" HTTP://User:Pass@New.Example:80/It's\\%d\t", n))
	case "ASN":
		set("AS Number", fmt.Sprintf("as 4199%06d", n))
	case "EmailAddress":
		set("address", fmt.Sprintf("New One <mailto:New.%d@Bücher.Example>", n))
	case "Email Subject":
		set("Subject", fmt.Sprintf("\u200bIt's \"new\" : \\%d \u200c", n))
	case "Registry Key":
		set("Key Name", fmt.Sprintf(`HKU\.DEFAULT\New\%d`, n))
		m["Value Name"], m["Value Type"] = " ", "REG_SZ"
		m["summary"] = fmt.Sprint(m["Key Name"]) + " :   : REG_SZ"
	case "File":
		for _, name := range []string{"md5", "sha1"} {
			delete(m, name)
		}
		set("sha256", fmt.Sprintf("%064X", n))
	}
}

// labels1 are labels of which the looser one is in the usual spelling.
var labels1 = map[string]any{"data": []any{map[string]any{"id": 1, "name": "TLP:GREEN"}, map[string]any{"id": 2, "name": "TLP_AMBER STRICT"}}}

var description1 = map[string]any{"data": []any{map[string]any{"id": 1, "type": "Description", "value": `Edited: "it's" \ done`}}}

// unremarkable takes away what the queries ask for.
func unremarkable() map[string]any {
	return map[string]any{"rating": 0, "confidence": 0, "threatAssessScore": 0, "tags": map[string]any{}}
}

// everything makes every kind of change that an update has to tell from the others.
func (d *editor) everything() {
	d.t.Helper()
	for _, typ := range allTypes {
		d.modify(d.pick(1, typ, 1, single)[0].winner.indicator, map[string]any{"attributes": description1, "securityLabels": labels1})
		d.remove(d.pick(1, typ, 1, single)[0].winner.indicator)
		like := d.document(d.pick(1, typ, 1, single)[0].winner.indicator)
		d.value(like)
		d.add(like)
	}
	for _, e := range d.pick(5, "", 1, single) { // confirmed again
		d.modify(e.winner.indicator, map[string]any{})
	}
	for _, e := range d.pick(4, "", 1, contested) { // a lower copy changes
		d.modify(e.lower(), map[string]any{"attributes": description1})
	}
	for _, e := range d.pick(4, "", 1, contested) { // the next one takes over
		d.remove(e.winner.indicator)
	}
	for _, e := range d.pick(2, "", 1, contested) {
		d.remove(e.lower())
	}
	for _, of := range []kind{single, contested} {
		for _, e := range d.pick(3, "", 1, of) {
			d.deactivate(e.winner.indicator)
		}
		for _, e := range d.pick(3, "", 1, of) { // another value: the old one goes
			m := d.document(e.winner.indicator)
			d.value(m)
			d.modify(e.winner.indicator, m)
		}
		for _, e := range d.pick(3, "", 1, of) { // the queries let it fall
			d.modify(e.winner.indicator, unremarkable())
		}
		for _, e := range d.pick(3, "", 1, of) { // a higher query takes it
			d.modify(e.winner.indicator, map[string]any{"rating": 5, "confidence": 99, "threatAssessScore": 999})
		}
		for _, e := range d.pick(4, "", 1, of) { // tags alone: lastModified stays
			d.must(e.winner.indicator, d.tc.SetTags(e.winner.indicator, "Edited elsewhere", "Botnet"))
		}
	}
	for _, e := range d.pick(3, "", 1, single) { // deleted and created again
		again := d.document(e.winner.indicator)
		d.remove(e.winner.indicator)
		d.add(again)
	}
	for _, e := range d.pick(3, "File", 2, single) { // a hash is edited away
		path, _, _ := strings.Cut(e.object.Pattern, " =")
		name := map[string]string{"[file:hashes.MD5": "md5", "[file:hashes.'SHA-1'": "sha1", "[file:hashes.'SHA-256'": "sha256"}[path]
		d.modify(e.winner.indicator, map[string]any{name: nil})
	}
	unusable := d.pick(1, "Address", 1, single)[0].winner.indicator
	d.modify(unusable, map[string]any{"ip": "not an address", "summary": "not an address"})
}

// lower is an indicator that gives the observable and is not its winner.
func (e *entry) lower() int64 {
	givers := e.givers()
	return givers[slices.IndexFunc(givers, func(id int64) bool { return id != e.winner.indicator })]
}
