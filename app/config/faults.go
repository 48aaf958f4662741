package config

import (
	"slices"
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

// unresolved replaces the faults of inputs whose variables could not be resolved by the reason why.
func (f Faults) unresolved(references map[string]string, reason error) Faults {
	others := slices.DeleteFunc(slices.Clone(f), func(fault Fault) bool { return references[fault.Label] != "" })
	text := strings.ReplaceAll(reason.Error(), "\n", "; ")
	return append(Faults{{"Variables of ThreatConnect:", text}}, others...)
}
