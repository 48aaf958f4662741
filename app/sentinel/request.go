package sentinel

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// grace is what a request in flight gets to end in when its job is stopped, so that its outcome is known: the process has
// 5 s in all.
const grace = 3500 * time.Millisecond

var (
	errTooSlow = errors.New("no answer in time")
	errStopped = errors.New("stopped")
)

// envelope is what stands before, between and after the objects of a request body.
const (
	envelopeOpen  = `{"sourcesystem":`
	envelopeList  = `,"stixobjects":[`
	envelopeClose = `]}`
)

// requestBody joins the objects of a part. They are not looked into.
func requestBody(source string, objects [][]byte, part []int) []byte {
	name, _ := json.Marshal(source) // a string always encodes
	size := len(envelopeOpen) + len(name) + len(envelopeList) + len(envelopeClose)
	for _, i := range part {
		size += len(objects[i]) + 1
	}
	body := make([]byte, 0, size)
	body = append(body, envelopeOpen...)
	body = append(body, name...)
	body = append(body, envelopeList...)
	for n, i := range part {
		if n > 0 {
			body = append(body, ',')
		}
		body = append(body, objects[i]...)
	}
	return append(body, envelopeClose...)
}

// Room is how many bytes of objects, each with a comma behind it, fit into a request under a source system.
func Room(source string) int {
	return MaxBytes - len(requestBody(source, nil, nil)) + 1 // the last object has no comma
}

// exchange is one request that was made, and the answer to it.
type exchange struct {
	decision
	slot  int64
	at    time.Time // when the answer arrived
	token string
}

// exchange sends a body once, when there is a turn for it. Its error is final; a broken connection is a decision like others.
func (c *Client) exchange(ctx context.Context, body []byte, n int, sleep sleeper) (exchange, error) {
	slot, err := c.pacer.begin(ctx, sleep)
	if err != nil {
		return exchange{}, err
	}
	x := exchange{slot: slot}
	if x.token, err = c.tokens.get(ctx, sleep); err != nil {
		return x, errors.Join(err, c.pacer.end(ctx, slot, c.pacer.done()))
	}
	started := time.Now()
	status, header, answer, err := c.post(ctx, body, x.token)
	x.at = c.pacer.done()
	if err != nil {
		x.decision = decision{action: retry, text: oneLine(err.Error())}
	} else {
		x.decision = decide(status, header, redact(answer, x.token), n, x.at)
	}
	c.record(x, status, header, n, started)
	return x, nil
}

func (c *Client) post(ctx context.Context, body []byte, token string) (int, http.Header, []byte, error) {
	ctx, cancel := lingering(ctx)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, nil, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	if c.userAgent != "" {
		request.Header.Set("User-Agent", c.userAgent)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return 0, nil, nil, because(ctx, err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return 0, nil, nil, because(ctx, fmt.Errorf("reading the answer: %w", err))
	}
	return response.StatusCode, response.Header, answer, nil
}

// lingering is the context of one request: it ends by itself, and outlives ctx for a while.
func lingering(ctx context.Context) (context.Context, context.CancelFunc) {
	call, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	tooSlow := time.AfterFunc(uploadTimeout, func() { cancel(errTooSlow) })
	release := context.AfterFunc(ctx, func() {
		stopped := time.AfterFunc(grace, func() { cancel(errStopped) })
		context.AfterFunc(call, func() { stopped.Stop() })
	})
	return call, func() {
		release()
		tooSlow.Stop()
		cancel(nil)
	}
}

// because names our own reason for ending a request instead of "context canceled".
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// record logs an exchange with what Microsoft's support would ask for.
func (c *Client) record(x exchange, status int, header http.Header, n int, started time.Time) {
	if x.action == accept && len(x.refused) == 0 {
		c.log.Debug("Sentinel accepted a batch", "objects", n, "took", x.at.Sub(started).Round(time.Millisecond))
		return
	}
	c.log.Warn("Sentinel did not accept all of a batch", "status", status, "objects", n, "refused", len(x.refused),
		"said", x.text, "error_code", header.Get("x-ms-error-code"), "request_id", header.Get("x-ms-request-id"),
		"activity_id", x.support, "took", x.at.Sub(started).Round(time.Millisecond))
}
