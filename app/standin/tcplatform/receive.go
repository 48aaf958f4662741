package tcplatform

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// maxStrays bounds how many wrong messages of a Service are remembered.
const maxStrays = 100

// message is what an App may send. What only some commands have is checked where it is used.
type message struct {
	Command      string           `json:"command"`
	Type         string           `json:"type"`
	RequestKey   string           `json:"requestKey"`
	StatusCode   json.RawMessage  `json:"statusCode"`
	Status       string           `json:"status"`
	Headers      []header         `json:"headers"`
	BodyVariable string           `json:"bodyVariable"`
	Metric       map[string]int64 `json:"metric"`
}

type header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// answer is a RunService acknowledgement, checked.
type answer struct {
	status       int
	headers      []header
	bodyVariable string
}

// receiveMessage takes one message of the App.
func (l *launch) receiveMessage(payload []byte) {
	var m message
	if err := json.Unmarshal(payload, &m); err != nil {
		l.recordStray("no message of the protocol: %.200s", payload)
		return
	}
	kind := m.Command
	if m.Type != "" {
		kind += "/" + m.Type
	}
	l.service.platform.log.Debug("received", "path", l.service.o.Path, "kind", kind)
	// Counted before it does anything: who waits for what it does sees it counted.
	l.service.changeStatus(func() { l.service.status.Received[kind]++ })
	switch kind {
	case "Ready":
		if !l.setReady() {
			l.recordStray("Ready came again")
		}
	case "Heartbeat":
		l.answeredHeartbeat()
		l.service.changeStatus(func() { l.service.status.Metrics = m.Metric })
	case "Acknowledged/RunService":
		l.takeAcknowledgement(m)
	case "Acknowledged/Shutdown":
	default:
		l.recordStray("unknown message: %.200s", payload)
	}
}

// takeAcknowledgement passes an answer on to the request that waits for it. A second one for the same request is a
// fault of the App.
func (l *launch) takeAcknowledgement(m message) {
	l.mu.Lock()
	wait, found := l.pending[m.RequestKey]
	delete(l.pending, m.RequestKey)
	late := l.late[m.RequestKey]
	delete(l.late, m.RequestKey)
	l.mu.Unlock()
	if late { // the App could not know
		return
	}
	if !found {
		l.recordStray("an answer to no open request: %s", m.RequestKey)
		return
	}
	var code string
	if err := json.Unmarshal(m.StatusCode, &code); err != nil {
		l.recordStray("the status code is no string: %s", m.StatusCode)
	}
	status, err := strconv.Atoi(code)
	if err != nil || status < 200 || status > 599 || m.Status == "" || m.Headers == nil || m.BodyVariable != responseBody {
		l.recordStray("an answer that is not complete: %+v", m)
	}
	wait <- answer{status: status, headers: m.Headers, bodyVariable: m.BodyVariable}
}

func (l *launch) recordStray(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	l.service.platform.log.Warn("wrong message", "path", l.service.o.Path, "what", text)
	l.service.changeStatus(func() {
		if len(l.service.status.Strays) < maxStrays {
			l.service.status.Strays = append(l.service.status.Strays, text)
		}
	})
}

// giveUp closes a request. What may still be answered is known as late.
func (l *launch) giveUp(requestKey string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, open := l.pending[requestKey]; open {
		delete(l.pending, requestKey)
		l.late[requestKey] = true
	}
}

// expectAnswer opens a request; the channel gets its answer.
func (l *launch) expectAnswer(requestKey string) <-chan answer {
	wait := make(chan answer, 1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending[requestKey] = wait
	return wait
}
