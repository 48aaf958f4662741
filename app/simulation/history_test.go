package simulation

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"

	"mssentinel/app/expected"
)

// History is all that a run does. The same history does the same, but for the order of goroutines that are ready at the same
// instant, and for the pauses that the product draws before it tries again.
type History struct {
	Seed    uint64  `json:"seed"` // of the latencies
	Variant Variant `json:"variant"`
	Setting Setting `json:"setting"`
	Items   []Item  `json:"items"`   // what is in ThreatConnect at the beginning
	Queries []Query `json:"queries"` // what is saved first
	Steps   []Step  `json:"steps"`
}

// Variant is how ThreatConnect and Sentinel behave where that is not known: switches of the stand-ins.
type Variant struct {
	StatusKeepsLastModified bool   `json:"status_keeps_last_modified,omitempty"`
	DeletedShowsAdded       bool   `json:"deleted_shows_added,omitempty"`
	TrailingBlank           bool   `json:"trailing_blank,omitempty"`
	ByteOrderMark           bool   `json:"byte_order_mark,omitempty"`
	AllInvalidStatus        int    `json:"all_invalid_status,omitempty"`
	MessageKey              string `json:"message_key,omitempty"`
	MostRows                int    `json:"most_rows,omitempty"` // of a page of ThreatConnect; 0 for as many as are asked for
}

// Setting is how the Service is set up. A restart may change it.
type Setting struct {
	Limit     int    `json:"limit"` // requests a minute
	TTLHours  int    `json:"ttl_hours"`
	Interval  int    `json:"interval_hours"`
	FullDays  int    `json:"full_days"` // 0 for never
	Source    string `json:"source"`
	Workspace int    `json:"workspace"` // which of the workspaces
}

// Item is an indicator. Its slot is its name for the steps, whatever ids ThreatConnect gives it.
type Item struct {
	Slot    int            `json:"slot"`
	Owner   string         `json:"owner"`
	Type    string         `json:"type"`
	Age     int            `json:"age_hours"` // when the history begins
	Members map[string]any `json:"members"`
	Tags    []string       `json:"tags,omitempty"`
}

// Query is a line of CONFIGURE. Its number is its identity, from 1.
type Query struct {
	Number    int      `json:"number"`
	Owners    []string `json:"owners"`
	Types     []string `json:"types"`
	TQL       string   `json:"tql,omitempty"`
	SortField string   `json:"sort_field,omitempty"`
	Direction string   `json:"sort_direction,omitempty"`
	// Settings are what it says of the objects that it gives.
	Settings expected.Settings `json:"settings,omitzero"`
	// Broken is what stands there in place of the TQL, and what ThreatConnect refuses; "" for a query that can be read.
	Broken string `json:"broken,omitempty"`
}

// Kind is what a step does.
type Kind string

// The kinds of steps.
const (
	// In ThreatConnect, about slots.
	Modify     Kind = "modify"           // changes Members, and lastModified
	Amend      Kind = "amend"            // changes Members and Tags, and leaves lastModified
	Delete     Kind = "delete"           // takes indicators away
	Recreate   Kind = "recreate"         // adds again what was deleted
	Deactivate Kind = "deactivate"       // sets inactive
	Activate   Kind = "activate"         // sets active
	Add        Kind = "add"              // adds Item
	Move       Kind = "move"             // deletes in one owner and adds in Owner
	Forget     Kind = "forget-deletions" // the lists of what was deleted end with today
	HideOwner  Kind = "hide-owner"       // the API user does not see Owner any more
	ShowOwner  Kind = "show-owner"

	// By the analyst and the operator.
	Save         Kind = "save"   // Queries, and Mode for the next update
	Submit       Kind = "submit" // an ad hoc update of Mode; with From and To, hours ago, one for that range
	RunTask      Kind = "run"
	PauseTask    Kind = "pause"
	ResumeTask   Kind = "resume"
	KillTask     Kind = "kill"
	Cancel       Kind = "cancel" // the update that runs or waits
	Retry        Kind = "retry"  // the update that failed or was cancelled last
	Confirm      Kind = "confirm"
	Dismiss      Kind = "dismiss"
	RetryRecords Kind = "retry-records"
	Verify       Kind = "verify"

	// Outside.
	Inject  Kind = "inject" // Fault
	Heal    Kind = "heal"   // ends all faults
	Crash   Kind = "crash"  // at the N-th event At from now on; at once where At is ""
	Restart Kind = "restart"
	Wait    Kind = "wait"
	PutBack Kind = "put-back" // the clock is put back while the product is away, after a full update

	// Check brings everything to rest, runs an update of Mode, and looks at everything.
	Check Kind = "check"
)

// Step is one thing that happens. Which members it has depends on its kind.
type Step struct {
	Do      Kind           `json:"do"`
	Slots   []int          `json:"slots,omitempty"`
	Members map[string]any `json:"members,omitempty"`
	Tags    []string       `json:"tags,omitempty"`
	Item    *Item          `json:"item,omitempty"`
	Owner   string         `json:"owner,omitempty"`
	Queries []Query        `json:"queries,omitempty"`
	Mode    string         `json:"mode,omitempty"`
	From    float64        `json:"from_hours,omitempty"`
	To      float64        `json:"to_hours,omitempty"`
	Task    string         `json:"task,omitempty"`
	Fault   *Fault         `json:"fault,omitempty"`
	At      string         `json:"at,omitempty"`
	N       int            `json:"n,omitempty"`
	Seconds float64        `json:"seconds,omitempty"` // of Wait and PutBack; how long the process is away in Restart
	Setting *Setting       `json:"setting,omitempty"` // of Restart
}

// Fault is a fault of one of the parts outside, or of the disk. Its kinds are those of the stand-ins.
type Fault struct {
	Of      string  `json:"of"` // threatconnect, sentinel, mapper, disk
	Kind    string  `json:"kind"`
	After   int     `json:"after,omitempty"`
	Count   int     `json:"count,omitempty"` // negative: until everything is healed
	Status  int     `json:"status,omitempty"`
	Form    string  `json:"form,omitempty"`
	Body    string  `json:"body,omitempty"`
	Path    string  `json:"path,omitempty"`
	Match   string  `json:"match,omitempty"` // what requests to ThreatConnect have in their TQL or owner
	Seconds float64 `json:"seconds,omitempty"`
	Code    int     `json:"code,omitempty"`
	Slot    int     `json:"slot,omitempty"` // the indicator whose objects it strikes; 0 for none
}

// String is the history as a file has it.
func (h History) String() string {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	fmt.Fprintf(&text, "{\"seed\":%d,\n\"variant\":", h.Seed)
	enc.Encode(h.Variant) //nolint:errcheck // plain data
	text.WriteString(",\"setting\":")
	enc.Encode(h.Setting) //nolint:errcheck // plain data
	text.WriteString(",\"items\":[\n")
	writeList(&text, enc, h.Items)
	text.WriteString("],\n\"queries\":[\n")
	writeList(&text, enc, h.Queries)
	text.WriteString("],\n\"steps\":[\n")
	writeList(&text, enc, h.Steps)
	text.WriteString("]}\n")
	return text.String()
}

// writeList writes one element a line.
func writeList[T any](text *bytes.Buffer, enc *json.Encoder, list []T) {
	for i, e := range list {
		enc.Encode(e) //nolint:errcheck // plain data
		if i < len(list)-1 {
			text.Truncate(text.Len() - 1)
			text.WriteString(",\n")
		}
	}
}

// loadHistory reads a history from a file. It refuses members that are none.
func loadHistory(path string) (h History, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return h, fmt.Errorf("reading a history: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&h); err != nil {
		return h, fmt.Errorf("reading the history %s: %w", path, err)
	}
	return h, nil
}

// clone is a copy that shares nothing with the history.
func (h History) clone() (c History) {
	data, err := json.Marshal(h)
	if err == nil {
		err = json.Unmarshal(data, &c)
	}
	if err != nil {
		panic(err) // plain data
	}
	return c
}
