// Package stix holds what the product needs of STIX 2.1: the indicator, pattern literals and stable ids.
package stix

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"
	"github.com/tidwall/gjson"
)

// Bounds of an object.
const (
	// MaxDescription is how many bytes of a description Sentinel keeps in its tables, app/docs/sentinel.md#cut-texts.
	MaxDescription = 1000
	// MaxMatched is how many bytes of a pattern Sentinel keeps there: its rules may not match a longer one.
	MaxMatched = 1000
	// MaxText bounds the text of all members together, in bytes. JSON takes at most six bytes
	// for one, so an object always fits into a request of 1 MiB.
	MaxText = 160 << 10
)

// Indicator is a STIX 2.1 indicator as a mapper decides it. What is the same for every
// object (id, spec_version, modified, valid_until) is added when it is written.
type Indicator struct {
	// Pattern identifies the observable: the same pattern has the same id for ever.
	Pattern string
	// Name is what Sentinel lists; for our mappers "value | owner".
	Name string
	// Description is a JSON object of at most MaxDescription bytes.
	Description string
	// Created is also valid_from.
	Created time.Time
	// Confidence is 0 to 100, or nil where ThreatConnect has none.
	Confidence         *int
	Labels             []string
	KillChainPhases    []KillChainPhase
	ObjectMarkingRefs  []string
	ExternalReferences []ExternalReference
	// IndicatorTypes is never empty; for our mappers it is one of Botnet, Phishing, Malware and unknown.
	IndicatorTypes []string
}

// KillChainPhase is a kill-chain-phase of STIX 2.1; both members are needed.
type KillChainPhase struct {
	KillChainName string
	PhaseName     string
}

// ExternalReference is an external-reference of STIX 2.1. It needs a source name, and a URL or an id; empty members are
// not written.
type ExternalReference struct {
	SourceName string
	URL        string
	ExternalID string
}

// The TLP markings that Sentinel knows, app/docs/sentinel.md#markings, as STIX 2.1 section 7.2.1.4 fixes them.
const (
	TLPWhite = "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9"
	TLPGreen = "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da"
	TLPAmber = "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82"
	TLPRed   = "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed"
)

var markings = []string{TLPWhite, TLPGreen, TLPAmber, TLPRed}

// Check reports what makes the object unfit to be sent, or nil. Every object of every mapper, built-in or not, has to
// pass it.
func (i *Indicator) Check() error {
	switch {
	case i.Pattern == "":
		return errors.New("the object has no pattern")
	case strings.IndexByte(i.Pattern, 0) >= 0:
		return errors.New("the pattern contains a NUL character")
	case i.Name == "":
		return errors.New("the object has no name")
	case i.Created.IsZero() || i.Created.Year() < 0 || i.Created.Year() > 9999:
		return errors.New("the object has no usable date of creation")
	case i.Confidence != nil && (*i.Confidence < 0 || *i.Confidence > 100):
		return fmt.Errorf("the confidence is %d, not 0 to 100", *i.Confidence)
	case len(i.IndicatorTypes) == 0:
		return errors.New("the object has no indicator type")
	}
	if err := CheckPattern(i.Pattern); err != nil {
		return err
	}
	if err := checkDescription(i.Description); err != nil {
		return err
	}
	return i.checkLists()
}

func checkDescription(s string) error {
	switch {
	case len(s) > MaxDescription:
		return fmt.Errorf("the description has %d bytes, more than %d", len(s), MaxDescription)
	case s == "" || s[0] != '{' || !gjson.Valid(s):
		return errors.New("the description is not a JSON object")
	}
	return nil
}

func (i *Indicator) checkLists() error {
	for _, p := range i.KillChainPhases {
		if p.KillChainName == "" || p.PhaseName == "" {
			return errors.New("a kill chain phase lacks a name")
		}
	}
	for _, m := range i.ObjectMarkingRefs {
		if !slices.Contains(markings, m) {
			return fmt.Errorf("%q is none of the TLP markings that Sentinel knows", m)
		}
	}
	for _, r := range i.ExternalReferences {
		if r.SourceName == "" || r.URL == "" && r.ExternalID == "" {
			return errors.New("an external reference lacks a source name, or both a URL and an id")
		}
	}
	for s := range i.allTexts {
		if !utf8.ValidString(s) {
			return errors.New("a member is not valid UTF-8")
		}
	}
	if size := i.TextSize(); size > MaxText {
		return fmt.Errorf("the object has %d bytes of text, more than %d", size, MaxText)
	}
	if slices.Contains(i.Labels, "") || slices.Contains(i.IndicatorTypes, "") {
		return errors.New("a label or an indicator type is empty")
	}
	return nil
}

// TextSize is the text of all members together, in bytes; an object with more than MaxText cannot be sent.
func (i *Indicator) TextSize() int {
	size := 0
	for s := range i.allTexts {
		size += len(s)
	}
	return size
}

// allTexts goes through the text of all members.
func (i *Indicator) allTexts(yield func(string) bool) {
	for _, s := range [...]string{i.Pattern, i.Name, i.Description} {
		if !yield(s) {
			return
		}
	}
	for _, list := range [...][]string{i.IndicatorTypes, i.Labels, i.ObjectMarkingRefs} {
		for _, s := range list {
			if !yield(s) {
				return
			}
		}
	}
	for _, p := range i.KillChainPhases {
		if !yield(p.KillChainName) || !yield(p.PhaseName) {
			return
		}
	}
	for _, r := range i.ExternalReferences {
		if !yield(r.SourceName) || !yield(r.URL) || !yield(r.ExternalID) {
			return
		}
	}
}

// ContentHash tells whether two objects differ in anything but their times: the XXH64 of all other members. Nobody gains by making two
// that have the same: who can choose what an object says can leave it as it is.
func (i *Indicator) ContentHash() uint64 {
	b := make([]byte, 0, 2048)
	for _, n := range [...]int{len(i.IndicatorTypes), len(i.Labels), len(i.ObjectMarkingRefs), len(i.KillChainPhases)} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	confidence := -1
	if i.Confidence != nil {
		confidence = *i.Confidence
	}
	b = binary.AppendVarint(b, int64(confidence))
	for s := range i.allTexts {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	return xxhash.Sum64(b)
}
