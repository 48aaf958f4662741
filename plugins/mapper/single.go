package mapper

import "time"

// Single maps a type whose observable stands in one member: all that a mapper of such a type has to say.
type Single struct {
	Version string
	Type    Type
	// Member holds the observable, for example "hostName". Where it is missing the summary stands in.
	Member string
	// Pattern is the STIX pattern of a value, without the margins that [Trim] takes off, or an error that says what is wrong with it.
	Pattern func(value string) (string, error)
	// Note, which may be nil, says what is odd about a value that is sent all the same, beyond what [Notes] finds; "" for nothing.
	Note func(value string) string
}

// Describe implements Mapper.
func (s Single) Describe() Description {
	return Description{Name: s.Type.Name, Version: s.Version, Types: []Type{s.Type}}
}

// Map implements Mapper.
func (s Single) Map(ind *Indicator, now time.Time) Answer {
	value, err := ind.Value(s.Member)
	if err != nil {
		return Problem("%s", err)
	}
	pattern, err := s.Pattern(value)
	if err != nil {
		return Problem("%s", err)
	}
	ind.object[0] = ind.Object(pattern, ind.Written(s.Member), now)
	answer := Answer{Objects: ind.object[:], Notes: notesOn(value, pattern)}
	if s.Note != nil {
		if note := s.Note(value); note != "" {
			answer.Notes = append(answer.Notes, note)
		}
	}
	return answer
}
