// Package mapper is the contract between the App and the programs that turn ThreatConnect
// indicators into STIX objects, and everything such a program needs: the parsed indicator,
// the mapping that is the same for every type, pattern literals, and Serve.
package mapper

import (
	"fmt"
	"strings"
	"time"

	"mssentinel/app/stix"
)

// A Mapper turns indicators of the types it names into STIX objects. Map may be called from
// several goroutines at once. What cannot be mapped is a problem in the answer, in words for
// the person who looks after the indicators; a panic becomes one too.
type Mapper interface {
	Describe() Description
	// Map answers for one indicator, at the time of conversion. The indicator, its texts and the objects that it makes are good until
	// the answer is taken, right after Map returns: a mapper that keeps a text for later keeps a clone of it, see [strings.Clone].
	Map(ind *Indicator, now time.Time) Answer
}

// Description says who a mapper is and what it takes.
type Description struct {
	Name    string
	Version string
	Types   []Type
}

// Type is a ThreatConnect indicator type that a mapper takes.
type Type struct {
	// Name as ThreatConnect spells it, for example "Email Subject".
	Name string
	// DefaultTTLHours is the time to live, in hours, of a type that has no parameter of its own;
	// 0 for the nine that have one.
	DefaultTTLHours int
}

// Answer is what one indicator became: objects, problems, or both (a File with one bad hash).
type Answer struct {
	Objects []Object
	// Problems say what could not be mapped and why.
	Problems []string
	// Notes say what the reader should know about the objects, which are sent all the same.
	Notes []string
	// Failed says that what the indicator gives is not known, so that what stands in Sentinel
	// because of it is left alone. It is set for a mapper that panics, dies or says nothing.
	Failed bool
}

// Problem answers that the indicator gives no object, and why.
func Problem(format string, args ...any) Answer {
	return Answer{Problems: []string{fmt.Sprintf(format, args...)}}
}

// Object is a STIX 2.1 indicator. Indicator.Object fills in all that is the same for every type.
type Object = stix.Indicator

// KillChainPhase is a part of an Object.
type KillChainPhase = stix.KillChainPhase

// ExternalReference is a part of an Object.
type ExternalReference = stix.ExternalReference

// Pattern is a STIX pattern that asks for all the comparisons, for example
// Pattern(Equal("mutex:name", value)).
func Pattern(comparisons ...string) string { return stix.Pattern(comparisons...) }

// Equal compares an object path with a value, which is quoted as a STIX string literal.
func Equal(path, value string) string { return stix.Equal(path, value) }

// Lower is a value in lower case. [strings.ToLower] makes a plain i of İ, and so another host or address of the value;
// here it becomes an i and a combining dot, as in the DNS.
func Lower(value string) string { return strings.ToLower(strings.ReplaceAll(value, "İ", "i\u0307")) }
