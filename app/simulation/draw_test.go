package simulation

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"mssentinel/app/expected"
)

// drawer draws a history from a seed. It keeps in mind what it drew, no more: a step that makes no sense when it is carried out
// does nothing.
type drawer struct {
	r       *rand.Rand
	said    *rand.Rand // draws settings of queries, so that the rest of a history does not depend on them
	saying  bool       // some histories have settings: a change of them has a query read whole, which puts right what went wrong before
	h       *History
	next    int // slot
	gone    []int
	queries []Query
	numbers int // of queries
	setting Setting
	hidden  string
	// may are the kinds of disturbance of this history: each has its own mix, so that rare ones meet.
	may []func(*drawer)
}

// many indicators are so many that the operator is asked when they leave.
const many = 170

// draw draws the history of a seed.
func draw(seed uint64) History {
	d := &drawer{r: rand.New(rand.NewPCG(seed, 12)), said: rand.New(rand.NewPCG(seed, 14)), h: &History{Seed: seed}}
	d.saying = d.said.IntN(3) == 0
	d.setting = Setting{Limit: []int{100, 30, 6, 2}[d.r.IntN(4)], TTLHours: []int{2160, 200, 30}[d.r.IntN(3)], Interval: []int{1, 6, 24}[d.r.IntN(3)], FullDays: []int{7, 1, 0}[d.r.IntN(3)], Source: "ThreatConnect-One"}
	d.h.Setting = d.setting
	d.h.Variant = Variant{StatusKeepsLastModified: d.r.IntN(5) == 0, DeletedShowsAdded: d.r.IntN(3) == 0, TrailingBlank: d.r.IntN(3) == 0, ByteOrderMark: d.r.IntN(4) == 0,
		MostRows:         []int{0, 7, 0, 25}[seed%4],
		AllInvalidStatus: pick(d.r, 0, 0, 200), MessageKey: pick(d.r, "", "validationErrorMessages", "both")}
	d.may = append(d.may, (*drawer).drawCrash)
	for _, i := range d.r.Perm(len(disturbances))[:2+d.r.IntN(len(disturbances)-2)] {
		d.may = append(d.may, disturbances[i])
	}
	items := pick(d.r, 20, 40, 70, 100)
	if d.r.IntN(5) == 0 {
		items = many
		d.may = append(d.may, (*drawer).drawExodus, (*drawer).drawAnswer)
	}
	for range items {
		d.h.Items = append(d.h.Items, d.item(d.r.IntN(20_000)))
	}
	for range d.r.IntN(4) {
		d.queries = append(d.queries, d.query())
	}
	last := d.query()
	last.Owners, last.Types, last.TQL = slices.Clone(ownerNames), slices.Clone(typeNames), ""
	d.queries = append(d.queries, last)
	d.h.Queries = slices.Clone(d.queries)
	for range 2 + d.r.IntN(3) {
		d.round()
		if d.r.IntN(30) == 0 {
			d.add(Step{Do: PutBack, Seconds: pick(d.r, 100.0, 4000, 40_000)})
		}
	}
	d.drawSituation()
	return *d.h
}

// add adds a step.
func (d *drawer) add(s Step) { d.h.Steps = append(d.h.Steps, s) }

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// round is some edits, updates and disturbances, and a check.
func (d *drawer) round() {
	for range 1 + d.r.IntN(3) {
		for range d.r.IntN(6) {
			d.edit()
		}
		if d.saying && d.said.IntN(4) == 0 {
			d.drawSettings()
		}
		for range d.r.IntN(3) {
			d.disturb()
		}
		if d.r.IntN(3) > 0 {
			d.add(Step{Do: Wait, Seconds: pick(d.r, 301.0, 400, 1000)}) // what was edited is within a window then
		}
		if d.r.IntN(4) > 0 {
			d.submit()
		}
		for range d.r.IntN(4) {
			d.add(Step{Do: Wait, Seconds: float64(d.r.IntN(6000)) / 1000})
			d.disturb()
		}
		d.add(Step{Do: Wait, Seconds: float64(d.r.IntN(40))})
	}
	if d.saying && d.said.IntN(2) == 0 {
		d.drawSettings()
	}
	again := 0
	if d.r.IntN(3) == 0 {
		again = 1
	}
	s := Step{Do: Check, Mode: pick(d.r, "delta", "delta", "reconcile", "full"), N: again}
	if len(d.h.Steps)%4 == 0 {
		s.At = events[len(d.h.Steps)/4%len(events)]
	}
	d.add(s)
	d.hidden = ""
	for i := range d.queries {
		d.queries[i].Broken = ""
	}
}

func (d *drawer) disturb() { d.may[d.r.IntN(len(d.may))](d) }

func (d *drawer) item(age int) Item {
	d.next++
	typ := drawType(d.r)
	item := Item{Slot: d.next, Owner: ownerNames[d.r.IntN(len(ownerNames))], Type: typ, Age: age, Members: drawValue(d.r, typ), Tags: drawTags(d.r)}
	maps.Copy(item.Members, drawQualities(d.r))
	return item
}

// query draws a query.
func (d *drawer) query() Query {
	d.numbers++
	q := Query{Number: d.numbers}
	d.define(&q)
	if d.saying {
		for range d.said.IntN(4) {
			d.changeSetting(&q.Settings)
		}
	}
	return q
}

// changeSetting draws one of the settings of a query.
func (d *drawer) changeSetting(s *expected.Settings) {
	switch d.said.IntN(4) {
	case 0:
		s.Floor = pick(d.said, 0, 1, 20, 50, 80)
	case 1:
		s.TTLHours = pick(d.said, 0, 40, 100, 3000)
	case 2:
		s.Labels = nil
		for _, i := range d.said.Perm(len(labels))[:d.said.IntN(3)] {
			s.Labels = append(s.Labels, labels[i])
		}
	case 3:
		s.TLP = pick(d.said, "", "WHITE", "GREEN", "AMBER", "RED")
	}
}

// drawSettings changes a setting of a query, and no more.
func (d *drawer) drawSettings() {
	list := slices.Clone(d.queries)
	d.changeSetting(&list[d.said.IntN(len(list))].Settings)
	d.queries = list
	d.add(Step{Do: Save, Queries: slices.Clone(list), Mode: pick(d.said, "delta", "delta", "delta", "full")})
}

// labels are what queries add, two of which are tags, too.
var labels = []string{"soc", "plain", "vip, \"1\"", "Botnet"}

// define draws what a query selects.
func (d *drawer) define(q *Query) {
	owners, types := d.r.Perm(len(ownerNames)), d.r.Perm(len(typeNames))
	q.Owners, q.Types = nil, nil
	for _, i := range owners[:pick(d.r, 1, 2, 3, 4)] {
		q.Owners = append(q.Owners, ownerNames[i])
	}
	for _, i := range types[:pick(d.r, 4, 9, 9, 9)] {
		q.Types = append(q.Types, typeNames[i])
	}
	q.TQL = pick(d.r, "", "", "", fmt.Sprintf("rating >= %d", d.r.IntN(5)), fmt.Sprintf("confidence > %d", d.r.IntN(80)),
		fmt.Sprintf("rating >= %d and confidence >= %d", d.r.IntN(4), d.r.IntN(50)), `hasTag(name = "`+pick(d.r, tagNames...)+`")`)
	q.SortField, q.Direction = pick(d.r, "", "lastModified", "dateAdded", "rating", "summary", "threatAssessScore"), ""
	if q.SortField != "" {
		q.Direction = pick(d.r, "ASC", "DESC")
	}
}

// slots draws some of the slots that were ever used.
func (d *drawer) slots(n int) (list []int) {
	for range n {
		list = append(list, 1+d.r.IntN(d.next))
	}
	return list
}

// edit changes something in ThreatConnect.
func (d *drawer) edit() {
	switch d.r.IntN(15) {
	case 14:
		if d.r.IntN(4) == 0 {
			d.add(Step{Do: Forget})
		}
	case 0, 1:
		d.add(Step{Do: Modify, Slots: d.slots(1 + d.r.IntN(3)), Members: drawQualities(d.r)})
	case 2, 3:
		d.modifyValue()
	case 4:
		d.add(Step{Do: Modify, Slots: d.slots(1 + d.r.IntN(4)), Members: map[string]any{}}) // confirmed again
	case 5:
		d.add(Step{Do: Amend, Slots: d.slots(1), Members: drawQualities(d.r), Tags: drawTags(d.r)})
	case 6, 7:
		slots := d.slots(1 + d.r.IntN(3))
		d.gone = append(d.gone, slots...)
		d.add(Step{Do: Delete, Slots: slots})
	case 8:
		if len(d.gone) > 0 {
			i := d.r.IntN(len(d.gone))
			d.add(Step{Do: Recreate, Slots: d.gone[i : i+1 : i+1]})
		}
	case 9:
		d.add(Step{Do: Deactivate, Slots: d.slots(1 + d.r.IntN(3))})
	case 10:
		d.add(Step{Do: Activate, Slots: d.slots(8)})
	case 11, 12:
		item := d.item(0)
		d.add(Step{Do: Add, Item: &item})
	case 13:
		d.add(Step{Do: Move, Slots: d.slots(1 + d.r.IntN(2)), Owner: pick(d.r, ownerNames...)})
	}
}

// modifyValue gives an indicator another value. The step is for one slot, whose type is known where it is an item's.
func (d *drawer) modifyValue() {
	i := d.r.IntN(len(d.h.Items))
	item := d.h.Items[i]
	members := drawValue(d.r, item.Type)
	if item.Type == "File" {
		for _, hash := range []string{"md5", "sha1", "sha256"} {
			if _, is := members[hash]; !is {
				members[hash] = nil
			}
		}
	}
	d.add(Step{Do: Modify, Slots: []int{item.Slot}, Members: members})
}

func (d *drawer) submit() {
	s := Step{Do: Submit, Mode: pick(d.r, "delta", "delta", "full", "reconcile")}
	if s.Mode == "delta" && d.r.IntN(4) == 0 {
		s.To = float64(d.r.IntN(100)) / 10
		s.From = s.To + 0.1 + float64(d.r.IntN(400))/10
	}
	d.add(s)
}

// tasks are those that can be paused and killed.
var tasks = []string{"schedule-downloads", "download", "convert", "upload", "cleaner"}

// disturbances are what a history may have beside edits and updates.
var disturbances = []func(*drawer){
	(*drawer).drawQueryEdit, (*drawer).drawOwner, (*drawer).drawCommand, (*drawer).drawPause, (*drawer).drawThreatConnectFault,
	(*drawer).drawSentinelFault, (*drawer).drawRefusal, (*drawer).drawMapperFault, (*drawer).drawDiskFault, (*drawer).drawCrash, (*drawer).drawRestart,
	(*drawer).drawExodus, (*drawer).drawAnswer,
}

// drawQueryEdit edits the list of queries, now and then with one that cannot be read.
func (d *drawer) drawQueryEdit() {
	list := slices.Clone(d.queries)
	i := d.r.IntN(len(list))
	switch d.r.IntN(7) {
	case 0:
		d.r.Shuffle(len(list), func(a, b int) { list[a], list[b] = list[b], list[a] })
	case 1:
		list = slices.Insert(list, i, d.query())
	case 2:
		if len(list) > 1 {
			list = slices.Delete(list, i, i+1)
		}
	case 3, 4:
		d.define(&list[i])
	case 5:
		list[i].Broken = pick(d.r, "nonsense = 1", "rating >=")
	case 6:
		list[i].Broken = ""
	}
	if d.saying && d.said.IntN(3) == 0 {
		d.changeSetting(&list[d.said.IntN(len(list))].Settings)
	}
	d.queries = list
	d.add(Step{Do: Save, Queries: slices.Clone(list), Mode: pick(d.r, "delta", "delta", "full")})
}

func (d *drawer) drawOwner() {
	if d.hidden != "" {
		d.add(Step{Do: ShowOwner, Owner: d.hidden})
		d.hidden = ""
		return
	}
	d.hidden = pick(d.r, ownerNames[1:]...)
	d.add(Step{Do: HideOwner, Owner: d.hidden})
	if d.r.IntN(2) == 0 {
		d.add(Step{Do: Wait, Seconds: float64(d.r.IntN(60))})
		d.drawOwner()
	}
}

func (d *drawer) drawCommand() {
	switch d.r.IntN(6) {
	case 0, 1:
		d.add(Step{Do: Cancel})
	case 2:
		d.add(Step{Do: Retry})
	case 3, 4:
		d.add(Step{Do: KillTask, Task: pick(d.r, tasks[1:4]...)})
	case 5:
		d.add(Step{Do: RunTask, Task: pick(d.r, "schedule-downloads", "download", "cleaner")})
	}
}

func (d *drawer) drawPause() {
	task := pick(d.r, tasks...)
	d.add(Step{Do: PauseTask, Task: task})
	if d.r.IntN(3) > 0 {
		d.add(Step{Do: Wait, Seconds: float64(d.r.IntN(3000)) / 10})
		d.add(Step{Do: ResumeTask, Task: task})
	}
}

func (d *drawer) drawThreatConnectFault() {
	f := Fault{Of: "threatconnect", Count: pick(d.r, 1, 2, 5, 12, -1), After: d.r.IntN(8)}
	f.Kind = pick(d.r, "status", "throttle", "hang", "cut-before", "truncated", "malformed", "soft-error", "html", "repeated-page", "empty-page", "damaged-row", "tql")
	switch f.Kind {
	case "status":
		f.Status, f.Form = pick(d.r, 500, 502, 503, 401, 403, 404), pick(d.r, "", "html", "empty")
	case "throttle":
		f.Seconds = float64(5 + d.r.IntN(90))
	case "hang":
		f.Count, f.Seconds = 1, pick(d.r, 0.0, 100)
	case "damaged-row", "empty-page", "repeated-page":
		f.Count = 1 + d.r.IntN(2)
	}
	f.Path = pick(d.r, "", "/api/v3/indicators", "/api/v3/indicators/deleted", "/api/v3/security/owners")
	d.add(Step{Do: Inject, Fault: &f})
}

func (d *drawer) drawSentinelFault() {
	f := Fault{Of: "sentinel", Count: pick(d.r, 1, 1, 2, 4, 9), After: d.r.IntN(4)}
	f.Kind = pick(d.r, "status", "throttle", "hang", "slow", "cut-before", "cut-after", "unauthorized", "forbidden", "reply", "token-status", "token-error", "token-cut", "token-short")
	switch f.Kind {
	case "status":
		f.Status, f.Form = pick(d.r, 500, 503, 504), pick(d.r, "", "html", "empty")
	case "throttle":
		f.Seconds, f.Form = float64(5+d.r.IntN(120)), pick(d.r, "", "message", "date", "empty")
	case "hang":
		f.Count = 1
	case "slow":
		f.Seconds = float64(1 + d.r.IntN(50))
	case "reply":
		f.Status, f.Body = 200, pick(d.r, "<html>Sign in</html>", `{"value":1}`, `{"errors":`, "null", "{}")
	case "token-status":
		f.Status = 503
	case "token-error":
		f.Code = pick(d.r, 7000215, 700016, 90002)
	case "token-short":
		f.Seconds = 5
	}
	d.add(Step{Do: Inject, Fault: &f})
}

// drawRefusal has Sentinel refuse some objects.
func (d *drawer) drawRefusal() {
	for range 1 + d.r.IntN(3) {
		f := Fault{Of: "sentinel", Kind: pick(d.r, "refuse-record", "refuse-record", "refuse-batch", "refuse-stored"), Count: pick(d.r, 1, 3, -1), Slot: 1 + d.r.IntN(d.next)}
		if f.Kind == "refuse-batch" {
			f.Status = pick(d.r, 400, 413)
		}
		d.add(Step{Do: Inject, Fault: &f})
	}
}

func (d *drawer) drawMapperFault() {
	d.add(Step{Do: Inject, Fault: &Fault{Of: "mapper", Kind: pick(d.r, "dies", "dies", "hangs"), Slot: 1 + d.r.IntN(d.next)}})
}

func (d *drawer) drawDiskFault() {
	d.add(Step{Do: Inject, Fault: &Fault{Of: "disk", Kind: pick(d.r, "full", "readonly", "failing"), After: d.r.IntN(30), Count: pick(d.r, 1, 2, 7, -1)}})
	if d.r.IntN(2) == 0 {
		d.add(Step{Do: Wait, Seconds: float64(d.r.IntN(100))})
		d.add(Step{Do: Inject, Fault: &Fault{Of: "disk"}})
	}
}

// events are those at which a process may die.
var events = []string{"commit before", "commit before", "commit after", "commit after", "commit after", "threatconnect before", "threatconnect after",
	"sentinel before", "sentinel after", "sentinel after", "entra after", "mapper before", "mapper after"}

func (d *drawer) drawCrash() {
	event := pick(d.r, append(events, "")...)
	n := 1 + d.r.IntN(4)
	if d.r.IntN(3) == 0 {
		n += d.r.IntN(25)
	}
	d.add(Step{Do: Crash, At: event, N: n})
	if event != "" && d.r.IntN(2) == 0 {
		d.submit()
	}
}

func (d *drawer) drawRestart() {
	s := Step{Do: Restart, Seconds: pick(d.r, 0.0, 0, 100, 20_000, 200_000, 3e6)}
	switch d.r.IntN(6) {
	case 0:
		d.setting.TTLHours = pick(d.r, 2160, 200, 30)
	case 1:
		d.setting.Source = pick(d.r, "ThreatConnect-One", "ThreatConnect-Two")
	case 2:
		if d.r.IntN(2) == 0 {
			d.setting.Workspace = d.r.IntN(len(workspaces))
		}
	case 3:
		d.setting.Limit = pick(d.r, 100, 30, 6, 2)
	}
	setting := d.setting
	s.Setting = &setting
	d.add(s)
}

// drawExodus lets much depart at once, so that the operator is asked.
func (d *drawer) drawExodus() {
	kind := pick(d.r, Delete, Deactivate)
	var slots []int
	for slot := 1; slot <= d.next; slot++ {
		if d.r.IntN(4) > 0 {
			slots = append(slots, slot)
		}
	}
	d.gone = append(d.gone, slots...)
	d.add(Step{Do: kind, Slots: slots})
	if d.r.IntN(2) == 0 {
		d.disturb()
	}
	d.add(Step{Do: Wait, Seconds: 301})
	d.add(Step{Do: Submit, Mode: pick(d.r, "delta", "reconcile")})
	d.add(Step{Do: Wait, Seconds: float64(d.r.IntN(60))})
	if d.r.IntN(3) == 0 {
		d.disturb()
	}
	d.drawAnswer()
	if d.r.IntN(3) > 0 {
		d.add(Step{Do: pick(d.r, Recreate, Activate), Slots: slots})
	}
}

func (d *drawer) drawAnswer() {
	d.add(Step{Do: pick(d.r, Confirm, Dismiss, Dismiss, RetryRecords)})
}
