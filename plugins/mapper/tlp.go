package mapper

import (
	"slices"
	"strings"
	"unicode"

	"mssentinel/app/stix"
)

// tlp has the markings that Sentinel knows, the strictest first, with the labels of TLP 1.0 and 2.0 in capitals and letters alone.
var tlp = [...]struct {
	ref    string
	labels []string
}{
	{stix.TLPRed, []string{"RED"}},
	{stix.TLPAmber, []string{"AMBER", "AMBERSTRICT"}},
	{stix.TLPGreen, []string{"GREEN"}},
	{stix.TLPWhite, []string{"WHITE", "CLEAR"}},
}

// Ranks in tlp.
const (
	rankRed = iota
	rankAmber
)

// maxUnknown is how many labels that are not understood are named.
const maxUnknown = 5

// objectMarkingRefs is the marking of the strictest TLP label, and labels that were not understood (app/docs/mapping.md#tlp).
func (i *Indicator) objectMarkingRefs() (refs, unknown []string) {
	strictest := len(tlp)
	for _, l := range i.SecurityLabels {
		rank, understood := rankLabel(l.Name)
		strictest = min(strictest, rank)
		if !understood && len(unknown) < maxUnknown && !slices.Contains(unknown, l.Name) {
			unknown = append(unknown, l.Name)
		}
	}
	if strictest == len(tlp) {
		return nil, unknown
	}
	return []string{tlp[strictest].ref}, unknown
}

// rankLabel is the rank in tlp of a security label, however its words are separated; len(tlp) for one that has nothing to do with
// TLP. A label that is not understood and begins with TLP, or has TLP and the word of a level within it, counts as amber, or as red
// if it has that word.
func rankLabel(label string) (rank int, understood bool) {
	words := strings.FieldsFunc(strings.ToUpper(label), func(r rune) bool { return !unicode.IsLetter(r) })
	at := slices.IndexFunc(words, func(w string) bool { return strings.HasPrefix(w, "TLP") })
	if at < 0 {
		return len(tlp), true
	}
	words = append([]string{strings.TrimPrefix(words[at], "TLP")}, words[at+1:]...)
	// TLP v2.0 is how some write which version is meant.
	level := strings.TrimPrefix(strings.Join(words, ""), "V")
	if rank := rankLevel(level); rank < len(tlp) {
		return rank, true
	}
	switch {
	case slices.Contains(words, tlp[rankRed].labels[0]):
		return rankRed, false
	case at > 0 && !slices.ContainsFunc(words, isLevel):
		return len(tlp), true
	}
	return rankAmber, false
}

// rankLevel is the rank in tlp of a level, len(tlp) for what is none.
func rankLevel(level string) int {
	for rank, marking := range tlp {
		if slices.Contains(marking.labels, level) {
			return rank
		}
	}
	return len(tlp)
}

func isLevel(word string) bool { return rankLevel(word) < len(tlp) }
