package simulation

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
)

// A situation is what histories seldom come to by chance: one thing after another happens to an indicator, or to two of different owners,
// each at its time. It ends a history, and is drawn apart from it, so that it changes nothing before. Its indicators have slots and values
// of their own, and it begins with an update that reads everything, so that nothing is blurred.
type situation struct {
	r *rand.Rand
	d *drawer
	// first is in one of the owners of the first query, second in the only owner of the second one.
	first, second Item
}

// situations are those that may be drawn.
var situations = []func(*situation){(*situation).drawHeir, (*situation).drawSuccession, (*situation).drawMapperFailure, (*situation).drawUnlisted,
	(*situation).drawLostAnswer, (*situation).drawRefusedRetirement}

// firstOwnSlot is the first slot of situations: no other step is about them.
const firstOwnSlot = 10_001

// drawSituation ends every third history with a situation.
func (d *drawer) drawSituation() {
	r := rand.New(rand.NewPCG(d.h.Seed, 16))
	if r.IntN(3) > 0 {
		return
	}
	apart := 1 + r.IntN(2)
	s := &situation{r: r, d: d, first: drawHost(r, firstOwnSlot, ownerNames[0]), second: drawHost(r, firstOwnSlot+1, ownerNames[apart])}
	one := Query{Number: d.numbers + 1, Owners: slices.Delete(slices.Clone(ownerNames), apart, apart+1), Types: slices.Clone(typeNames)}
	other := Query{Number: d.numbers + 2, Owners: ownerNames[apart : apart+1 : apart+1], Types: one.Types}
	d.add(Step{Do: Save, Queries: []Query{one, other}, Mode: "delta"})
	if len(d.h.Items) == many && r.IntN(2) == 0 {
		s.drawDismissal()
	} else {
		situations[r.IntN(len(situations))](s)
	}
	d.add(Step{Do: Check, Mode: "delta"})
}

// drawHost draws a Host that is like no other.
func drawHost(r *rand.Rand, slot int, owner string) Item {
	item := Item{Slot: slot, Owner: owner, Type: "Host", Members: drawQualities(r), Tags: drawTags(r)}
	maps.Copy(item.Members, hostName(slot))
	return item
}

// hostName is a value that nothing else has.
func hostName(n int) map[string]any {
	name := fmt.Sprintf("situation-%d.example", n)
	return map[string]any{"hostName": name, "summary": name}
}

// begin adds indicators, and has all be read long after: a delta update does not read them again.
func (s *situation) begin(items ...*Item) {
	for _, item := range items {
		s.d.add(Step{Do: Add, Item: item})
	}
	s.d.add(Step{Do: Wait, Seconds: 1200})
	s.d.add(Step{Do: Check, Mode: pick(s.r, "reconcile", "full")})
}

// leave has an indicator go.
func (s *situation) leave(item *Item) {
	s.d.add(Step{Do: pick(s.r, Delete, Deactivate), Slots: []int{item.Slot}})
}

// fail has requests to ThreatConnect fail from now on.
func (s *situation) fail(f Fault) {
	f.Of, f.Kind, f.Status, f.Count = "threatconnect", pick(s.r, "status", "tql"), 500, -1
	s.d.add(Step{Do: Inject, Fault: &f})
}

// update has a delta update run, which sees what is older than the seconds that it waits before.
func (s *situation) update(after float64) {
	s.d.add(Step{Do: Wait, Seconds: after})
	s.d.add(Step{Do: Submit, Mode: "delta"})
	s.d.add(Step{Do: Wait, Seconds: 1000})
}

// drawHeir has the winner of an object leave that another query gives as well, whose indicator has to be asked for by its id then. In half of
// them that fails.
func (s *situation) drawHeir() {
	maps.Copy(s.second.Members, hostName(s.first.Slot))
	s.begin(&s.first, &s.second)
	s.leave(&s.first)
	if s.r.IntN(2) == 0 {
		s.fail(Fault{Match: "id in (", After: 1}) // the first asks whether what left is still selected
		s.update(301)
	}
}

// drawSuccession has an indicator take over the value of another one before that gets a new one, while its query cannot be read.
func (s *situation) drawSuccession() {
	s.begin(&s.first, &s.second)
	s.fail(Fault{Match: s.second.Owner})
	s.d.add(Step{Do: Modify, Slots: []int{s.second.Slot}, Members: hostName(s.first.Slot)})
	s.d.add(Step{Do: Modify, Slots: []int{s.first.Slot}, Members: hostName(firstOwnSlot + 2)})
	s.update(301)
}

// drawMapperFailure has a mapper fail on an indicator that has changed, until no window reaches back to it.
func (s *situation) drawMapperFailure() {
	s.begin(&s.first)
	s.d.add(Step{Do: Inject, Fault: &Fault{Of: "mapper", Kind: "dies", Slot: s.first.Slot}})
	s.d.add(Step{Do: Modify, Slots: []int{s.first.Slot}, Members: hostName(firstOwnSlot + 2)})
	s.update(301)
	s.update(1200)
}

// drawUnlisted has an indicator leave while ThreatConnect does not list what has gone, until the day after.
func (s *situation) drawUnlisted() {
	s.begin(&s.first)
	s.fail(Fault{Path: "/api/v3/indicators/deleted"})
	s.fail(Fault{Match: "indicatorActive = false"})
	s.leave(&s.first)
	s.update(100_000)
}

// drawLostAnswer has an object change its winner after it was sent for the first time and nobody knows whether it arrived.
func (s *situation) drawLostAnswer() {
	maps.Copy(s.second.Members, hostName(s.first.Slot))
	s.begin()
	s.d.add(Step{Do: Add, Item: &s.first})
	s.d.add(Step{Do: Wait, Seconds: 10}) // another created
	s.d.add(Step{Do: Add, Item: &s.second})
	s.d.add(Step{Do: Inject, Fault: &Fault{Of: "sentinel", Kind: "cut-after", Count: 9, Slot: s.first.Slot}})
	s.d.add(Step{Do: Wait, Seconds: 301})
	s.d.add(Step{Do: Submit, Mode: "delta"})
	s.d.add(Step{Do: Wait, Seconds: pick(s.r, 5.0, 15, 60)})
	s.d.add(pick(s.r, Step{Do: Crash}, Step{Do: Cancel}, Step{Do: KillTask, Task: "upload"}))
	s.leave(&s.first)
	s.update(301)
}

// drawRefusedRetirement has Sentinel refuse to retire an object.
func (s *situation) drawRefusedRetirement() {
	s.begin(&s.first)
	s.d.add(Step{Do: Inject, Fault: &Fault{Of: "sentinel", Kind: "refuse-record", Slot: s.first.Slot, Count: -1}})
	s.leave(&s.first)
	s.update(301)
}

// drawDismissal has an operator dismiss the question about all that there ever was, and the next update run.
func (s *situation) drawDismissal() {
	var slots []int
	for slot := 1; slot <= s.d.next; slot++ {
		slots = append(slots, slot)
	}
	s.d.add(Step{Do: Recreate, Slots: slots})
	s.d.add(Step{Do: Activate, Slots: slots})
	s.begin()
	s.d.add(Step{Do: pick(s.r, Delete, Deactivate), Slots: slots})
	s.update(301)
	s.d.add(Step{Do: Dismiss})
	s.update(301)
}
