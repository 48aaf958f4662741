package platform

import (
	"maps"
	"time"
)

// Given is what a process was given at its start.
type Given struct {
	Parameters   []Parameter // by name
	TokenKind    string      // of tc_token, as [TokenKind] has it
	TokenExpires time.Time   // zero: not said
	Start        StartFacts
	Runs         func() History // of the processes before; nil in tests
}

// Parameter is what came under one name of the parameter file, without its value.
type Parameter struct {
	Name string
	Type string // of JSON, as jsonscan.Kind names it; "" where it is missing
	// Form is "set", "empty", "a reference" to a variable, or "missing" where the App knows the name and the file does not.
	Form string
}

// Facts are what a [Recorder] noted.
type Facts struct {
	Given
	Attached bool // the App runs for the platform, not by itself
	// CAFile, CertFile and KeyFile are those of the inputs, HeartbeatTimeout too, with its default.
	CAFile, CertFile, KeyFile string
	HeartbeatTimeout          time.Duration
	ReadyAfter                time.Duration // from the start of [Run]; 0: not yet
	Broker                    BrokerFacts
	Heartbeats                HeartbeatFacts
	UnknownCommands           Tally
	Requests                  RequestFacts
}

// BrokerFacts are about the message broker.
type BrokerFacts struct {
	Sessions    int // that were opened: one more than were lost
	ConnectCode int // of the last CONNACK
	GrantedQoS  int // of the last SUBACK
	TLS         *TLSFacts
}

// TLSFacts are about a TLS connection and the certificate of the server.
type TLSFacts struct {
	Version    string
	CommonName string
	Names      []string // alternative names, at most 20
	Issuer     string   // its common name, or all of it
	Expires    time.Time
	Authority  string // who vouches for it: "tc_svc_broker_cacert_file", "the machine's"; "" where nobody does
	// Name is how the certificate names the host: "alternative name", "common name", or why it does not.
	Name string
}

// HeartbeatFacts are about the platform's heartbeats. The pauses are those between the last 256.
type HeartbeatFacts struct {
	Count                     int
	Shortest, Median, Longest time.Duration
	Fields                    Tally // members of the message with their types
}

// RequestFacts are about the requests that arrived. The keys of the tallies are words for people.
type RequestFacts struct {
	Count      int
	Fields     Tally // members of the message with their types
	Methods    Tally
	Paths      Tally
	URLs       Tally // how requestUrl stands to the path
	Parameters Tally // encoded, decoded
	Headers    Tally // names in lower case
	Tokens     Tally // kinds
	Addresses  Tally // kinds
	Bodies     Tally
	Forms      Tally
}

func (f RequestFacts) clone() RequestFacts {
	for _, t := range []*Tally{&f.Fields, &f.Methods, &f.Paths, &f.URLs, &f.Parameters, &f.Headers, &f.Tokens, &f.Addresses, &f.Bodies, &f.Forms} {
		*t = cloneTally(*t)
	}
	return f
}

func cloneTally(t Tally) Tally { return maps.Clone(t) }

// StoreFacts are about the key-value store. What it refused to say begins with "refused: ".
type StoreFacts struct {
	Kind     string
	Login    string // how it took the login
	TLS      *TLSFacts
	Database int
	Version  string
	User     string // who the App is there
	Length   string // whether a field may be asked for its length: "allowed"
	// Lifetimes are how long the bodies of the last requests were to stand there while they were answered; -1 is for ever.
	Lifetimes []time.Duration
	Answered  []AnsweredFacts // newest first
}

// AnsweredFacts are about a request that was answered.
type AnsweredFacts struct {
	Ago  time.Duration // since the answer
	Gone bool
	Left time.Duration // until it goes by itself; -1: never
}
