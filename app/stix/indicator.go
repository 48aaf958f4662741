// Package stix holds what the product needs of STIX 2.1: the indicator, pattern literals and stable ids.
package stix

import "time"

// Indicator is a STIX 2.1 indicator as a mapper decides it. What is the same for every
// object (id, spec_version, modified, valid_until) is added when it is written.
type Indicator struct {
	// Pattern identifies the observable: the same pattern has the same id for ever.
	Pattern string
	// Name is what Sentinel lists; for our mappers "value | owner".
	Name string
	// Description is a JSON object of at most 1,000 bytes.
	Description string
	// Created is also valid_from.
	Created time.Time
	// Confidence is 0 to 100, or nil where ThreatConnect has none.
	Confidence         *int
	Labels             []string
	KillChainPhases    []KillChainPhase
	ObjectMarkingRefs  []string
	ExternalReferences []ExternalReference
	// IndicatorTypes has one value of the table in the mapping rules.
	IndicatorTypes []string
}

// KillChainPhase is STIX 2.1 section 2.6.
type KillChainPhase struct {
	KillChainName string
	PhaseName     string
}

// ExternalReference is STIX 2.1 section 2.5; empty members are not written.
type ExternalReference struct {
	SourceName string
	URL        string
	ExternalID string
}
