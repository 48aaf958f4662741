package sentinel

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"mssentinel/app/retry"
)

// maxProbed is how many bytes of the answer to a probe are handed on.
const maxProbed = 64 << 10

// ProbeAnswer is what Sentinel, or something before it, answered to one request of [Client.Probe].
type ProbeAnswer struct {
	Status  int
	Headers []string      // their names, in order; a value may be a secret
	Body    []byte        // the first 64 KiB, without the token
	Took    time.Duration // from the request to the end of its answer
	Code    string        // the name of the error, "" where there is none; at most 500 bytes
	Said    string        // what the answer says to people, on one line of at most 500 bytes
	// Accepted says that the answer is a success in Sentinel's form: objects that are not among Rejected were taken.
	Accepted bool
	Rejected []Rejection // the objects that the answer names
	// Refused says why the answer would be the same for any objects, and what to do: a missing role, an unknown workspace,
	// a throttle, something between that answers instead. It is nil where Sentinel looked at what was sent.
	Refused *ConfigError
	// NoRole says that Refused is a missing role, or one that has not arrived, app/docs/sentinel.md#missing-role.
	NoRole bool
}

// Probe sends these JSON objects under a source system once, as they are: neither their number nor their size is checked,
// and nothing is sent again. It waits for its turn like any other request, and obeys and passes on a wait that Sentinel
// asks for. Its error says that there was no answer: no slot, no token (a *[ConfigError] where Entra refuses it) or no
// connection.
func (c *Client) Probe(ctx context.Context, source string, objects [][]byte) (ProbeAnswer, error) {
	all := make([]int, len(objects))
	for i := range all {
		all[i] = i
	}
	turn, err := c.pacer.takeTurn(ctx, func(ctx context.Context, until time.Time, _ string) error {
		return retry.Sleep(ctx, time.Until(until))
	})
	if err != nil {
		return ProbeAnswer{}, err
	}
	answer, at, err := c.probeOnce(ctx, turn, newRequestBody(source, objects, all), len(objects))
	c.pacer.endTurn(turn, at)
	return answer, errors.Join(err, c.pacer.recordEnd(ctx, turn.slot, at))
}

// probeOnce makes the request of a probe, whose turn it is, and says when it ended.
func (c *Client) probeOnce(ctx context.Context, t turn, body requestBody, n int) (ProbeAnswer, time.Time, error) {
	token, err := c.tokens.tokenAtHand(ctx)
	if err != nil {
		return ProbeAnswer{}, time.Now(), err
	}
	started := time.Now()
	status, header, answer, err := c.postBody(ctx, body, token)
	at := time.Now()
	if err != nil {
		if ctx.Err() == nil {
			err = errors.New(networkFault("Sentinel", c.host, err).sentences())
		}
		return ProbeAnswer{}, at, fmt.Errorf("sending a probe: %w", err)
	}
	answer = redactSecret(answer, token)
	d := decide(status, header, answer, n, at)
	c.noteLimit(t, d, header, answer, at)
	c.log.Info("the doctor asked Sentinel", "status", status, "objects", n, "bytes", body.size(), "rejected", len(d.rejected),
		"said", d.text, "took", at.Sub(started).Round(time.Millisecond))
	return ProbeAnswer{
		Status: status, Headers: slices.Sorted(maps.Keys(header)), Body: answer[:min(len(answer), maxProbed)],
		Took: at.Sub(started), Code: parseAnswer(header, answer, n).code, Said: d.text,
		Accepted: d.action == actionAccept, Rejected: d.rejected, Refused: d.refusal(), NoRole: d.isMissingRole(),
	}, at, nil
}

// refusal says why an answer has nothing to do with what was sent; nil where it has.
func (d decision) refusal() *ConfigError {
	switch d.action {
	case actionAccept, actionBisect:
		return nil
	case actionThrottle:
		return &ConfigError{fmt.Sprintf("Sentinel's limit of requests is reached: %s.", strings.TrimRight(d.text, ".")),
			"Other users of the same app registration share its limit."}
	}
	return d.fault.configError()
}

// isMissingRole says that an answer to a fresh token means the role.
func (d decision) isMissingRole() bool {
	renewed := d.action == actionRenewToken && d.refused == actionAwaitRole && d.fault != audienceFault
	return d.action == actionAwaitRole || renewed
}

// HasMark says that the body begins with a byte order mark, app/docs/sentinel.md#whose-word-an-answer-is.
func (p ProbeAnswer) HasMark() bool { return len(trimMark(p.Body)) < len(p.Body) }
