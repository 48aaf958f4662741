package expected

import (
	"slices"
)

// Settings are what a query of CONFIGURE says of the objects that it gives. A member that is not set says nothing.
type Settings struct {
	Floor    int      `json:"min_confidence,omitempty"`
	TTLHours int      `json:"ttl_hours,omitempty"`
	Labels   []string `json:"labels,omitempty"`
	TLP      string   `json:"tlp,omitempty"`
}

// Apply is an object as a query with these settings gives it. It selects none that does not reach the floor.
func (s Settings) Apply(o Object) (given Object, selected bool) {
	if s.Floor > 0 {
		if o.Confidence == nil {
			return o, false
		}
		if n, err := o.Confidence.Float64(); err != nil || n < float64(s.Floor) {
			return o, false
		}
	}
	o.Labels = slices.Clone(o.Labels)
	for _, label := range s.Labels {
		if !slices.Contains(o.Labels, label) {
			o.Labels = append(o.Labels, label)
		}
	}
	if marking, is := markingOf[s.TLP]; is && (len(o.ObjectMarkingRefs) == 0 || strictness(o.ObjectMarkingRefs[0]) < strictness(marking)) {
		o.ObjectMarkingRefs = []string{marking}
	}
	return o, true
}

// markingOf is the marking of each level that a query may have.
var markingOf = map[string]string{
	"WHITE": "marking-definition--" + tlpLevels[0], "GREEN": "marking-definition--" + tlpLevels[1],
	"AMBER": "marking-definition--" + tlpLevels[2], "RED": "marking-definition--" + tlpLevels[3],
}

func strictness(marking string) int {
	return slices.Index(tlpLevels, marking[len("marking-definition--"):])
}
