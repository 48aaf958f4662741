package stix

import "slices"

// TLPLevels are the levels of TLP that Sentinel has markings for, by the names of TLP 1.0, the least strict first.
var TLPLevels = []string{"WHITE", "GREEN", "AMBER", "RED"}

// RestrictTo marks the object with one of TLPLevels, unless it has a marking that is as strict. Any other level changes nothing.
func (i *Indicator) RestrictTo(level string) {
	least := slices.Index(TLPLevels, level)
	for _, m := range i.ObjectMarkingRefs {
		if slices.Index(markings, m) >= least {
			return
		}
	}
	if least >= 0 {
		i.ObjectMarkingRefs = []string{markings[least]}
	}
}

// AddLabels appends those of more that the object does not have, and says how many labels were left out for that: where there is
// not room for all, its own give way first, the last of them at first.
func (i *Indicator) AddLabels(more []string) (leftOut int) {
	var added []string
	needed := 0
	for _, label := range more {
		if !slices.Contains(i.Labels, label) {
			added, needed = append(added, label), needed+len(label)
		}
	}
	if len(added) == 0 {
		return 0
	}
	own, room := slices.Clone(i.Labels), MaxText-i.TextSize()
	for n := len(own) - 1; n >= 0 && needed > room; n-- {
		if label := own[n]; !slices.Contains(more, label) {
			own, room, leftOut = slices.Delete(own, n, n+1), room+len(label), leftOut+1
		}
	}
	for len(added) > 0 && needed > room {
		last := len(added) - 1
		added, needed, leftOut = added[:last], needed-len(added[last]), leftOut+1
	}
	i.Labels = append(own, added...)
	return leftOut
}
