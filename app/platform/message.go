package platform

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// text accepts a string, a number, a boolean or null: the types of scalars are not certain,
// app/docs/platform.md#commands.
type text string

func (t *text) UnmarshalJSON(data []byte) error {
	switch {
	case len(data) == 0 || string(data) == "null":
		*t = ""
		return nil
	case data[0] == '"':
		var s string
		if err := json.Unmarshal(data, &s); err != nil {
			return err
		}
		*t = text(s)
		return nil
	case data[0] == '{' || data[0] == '[':
		return fmt.Errorf("%.20s… is no scalar", data)
	}
	*t = text(data)
	return nil
}

// pair is an element of queryParams and headers.
type pair struct {
	Name  text `json:"name"`
	Value text `json:"value"`
}

// command is what every message from the platform has; the other members depend on it.
type command struct {
	Command    text `json:"command"`
	Type       text `json:"type"`       // Acknowledged
	Level      text `json:"level"`      // LoggingChange
	Reason     text `json:"reason"`     // Shutdown
	RequestKey text `json:"requestKey"` // RunService
}

// runService is a request, app/docs/platform.md#requests.
type runService struct {
	RequestKey    text   `json:"requestKey"`
	Method        text   `json:"method"`
	Path          text   `json:"path"`
	QueryParams   []pair `json:"queryParams"`
	Headers       []pair `json:"headers"`
	BodyVariable  text   `json:"bodyVariable"`
	APIToken      text   `json:"apiToken"`
	RequestURL    text   `json:"requestUrl"`
	RemoteAddress text   `json:"remoteAddress"`
	// Whether a message has either is not known, so that anything may stand there, app/docs/platform.md#the-caller.
	UserName json.RawMessage `json:"userName"`
	User     json.RawMessage `json:"user"`
}

// parseCommand returns the command in lower case: it is compared without regard to case.
func parseCommand(payload []byte) (command, error) {
	var c command
	if err := json.Unmarshal(payload, &c); err != nil {
		return c, fmt.Errorf("message is no JSON object of the protocol: %w", err)
	}
	if c.Command == "" {
		return c, errors.New("message has no command")
	}
	c.Command = text(strings.ToLower(string(c.Command)))
	return c, nil
}

// acknowledgement answers a RunService or Shutdown, app/docs/platform.md#answers. The status code is a
// text, as the vendor's framework sends it.
type acknowledgement struct {
	Command      string  `json:"command"`
	Type         string  `json:"type"`
	RequestKey   string  `json:"requestKey,omitempty"`
	StatusCode   string  `json:"statusCode,omitempty"`
	Status       string  `json:"status,omitempty"`
	Headers      *[]pair `json:"headers,omitempty"` // present, if empty, in every RunService answer
	BodyVariable string  `json:"bodyVariable,omitempty"`
}

type heartbeat struct {
	Command string  `json:"command"`
	Metric  metrics `json:"metric"`
}

// metrics are shown on the platform's Services page.
type metrics struct {
	Errors    int64
	Requests  int64
	Responses int64
}

type brokerCheck struct {
	Command  string `json:"command"`
	Date     string `json:"date"`
	Watchdog int    `json:"heartbeat_watchdog"` // seconds without a heartbeat
}

// encodeMessage turns one of the messages above into its payload; they cannot fail to marshal.
func encodeMessage(message any) []byte {
	payload, err := json.Marshal(message)
	if err != nil {
		panic(fmt.Sprintf("platform: message %T: %v", message, err))
	}
	return payload
}
