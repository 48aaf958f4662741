package config

import (
	"fmt"
	"strings"
)

// Fault is one input that does not serve, and what to change about it. It never quotes a secret.
type Fault struct {
	Label   string // as the screen shows it; the parameter or the variable where no screen does
	Problem string
}

func (f Fault) Error() string { return f.Label + " " + f.Problem }

// Faults are all inputs that do not serve, in the order of the screen.
type Faults []Fault

// Error returns one line.
func (f Faults) Error() string {
	texts := make([]string, len(f))
	for i, fault := range f {
		texts[i] = fault.Error()
	}
	return strings.Join(texts, "; ")
}

// Summary names as many of the inputs as fit into limit bytes.
func (f Faults) Summary(limit int) string {
	const end = ". The log says what to change."
	text := "Wrong or missing: "
	for i, fault := range f {
		label := fault.Label
		if i > 0 {
			label = ", " + label
		}
		more := fmt.Sprintf(" and %d more", len(f)-i)
		if len(text)+len(label)+len(more)+len(end) > limit {
			return text + more + end
		}
		text += label
	}
	return text + end
}
