package sentinel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"time"

	"mssentinel/app/text"
)

// grace is how long a request under way may go on when its job is stopped, so that its outcome is known. The process
// has 5 s in all.
const grace = 3500 * time.Millisecond

var (
	errTooSlow = errors.New("no answer in time")
	errStopped = errors.New("stopped")
)

// What stands before, between and after the parts of a request body, app/docs/sentinel.md#body.
const (
	bodyStart = `{"sourcesystem":`
	bodyList  = `,"stixobjects":[`
	bodyEnd   = `]}`
)

// requestBody is what a request sends, one piece after the other. They are sent as they are: joining them would cost as much memory again.
type requestBody [][]byte

// newRequestBody is the body with the objects that have these indexes.
func newRequestBody(source string, objects [][]byte, part []int) requestBody {
	name, _ := json.Marshal(source) // a string always encodes
	b := make(requestBody, 0, 2*len(part)+4)
	b = append(b, []byte(bodyStart), name, []byte(bodyList))
	comma := []byte{','}
	for n, i := range part {
		if n > 0 {
			b = append(b, comma)
		}
		b = append(b, objects[i])
	}
	return append(b, []byte(bodyEnd))
}

// size is the length in bytes.
func (b requestBody) size() int {
	size := 0
	for _, piece := range b {
		size += len(piece)
	}
	return size
}

// open begins to read the body.
func (b requestBody) open() (io.ReadCloser, error) {
	left := net.Buffers(slices.Clone(b))
	return io.NopCloser(&left), nil
}

// MaxPayload is how many bytes of objects fit into a request under a source system, where each object counts one byte
// more than it has, for the comma behind it.
func MaxPayload(source string) int {
	return MaxBytes - newRequestBody(source, nil, nil).size() + 1 // the last object has no comma
}

// exchange is one request that was made, and what its answer means.
type exchange struct {
	decision
	slot    int64
	at      time.Time // when the answer arrived
	token   string
	between bool // with actionBisect: it was something between that refused the request
}

// sendOnce waits for a slot and sends a body of n objects once. A broken connection is a decision like any answer. Its
// error is final: no slot or no token could be had.
func (c *Client) sendOnce(ctx context.Context, body requestBody, n int, d *delivery) (exchange, error) {
	turn, err := c.pacer.takeTurn(ctx, d.sleepReported)
	if err != nil {
		return exchange{}, err
	}
	x := exchange{slot: turn.slot}
	if x.token, err = c.tokens.validToken(ctx, d.sleepOutage); err != nil {
		x.at = time.Now()
		c.pacer.endTurn(turn, x.at)
		return x, errors.Join(err, c.pacer.recordEnd(ctx, x.slot, x.at))
	}
	if d.report.OnSend != nil {
		d.report.OnSend()
	}
	started := time.Now()
	status, header, answer, err := c.postBody(ctx, body, x.token)
	x.at = time.Now()
	if err != nil {
		broken := networkFault("Sentinel", c.host, err)
		x.decision = decision{action: actionRetry, text: text.Line(err.Error(), maxLine), foreign: true, fault: broken}
	} else {
		answer = redactSecret(answer, x.token)
		x.decision = decide(status, header, answer, n, x.at)
		c.noteLimit(turn, x.decision, header, answer, x.at)
	}
	c.pacer.endTurn(turn, x.at)
	c.logExchange(x, status, header, n, started)
	return x, nil
}

// noteLimit notes what an answer says of the limit of requests.
func (c *Client) noteLimit(t turn, d decision, header http.Header, answer []byte, at time.Time) {
	if d.action != actionThrottle {
		c.pacer.pass(t)
		return
	}
	c.limit.note(header, answer, at)
	c.pacer.throttle(t, d.wait)
}

// postBody makes the request and reads the answer.
func (c *Client) postBody(ctx context.Context, body requestBody, token string) (int, http.Header, []byte, error) {
	ctx, cancel := requestContext(ctx)
	defer cancel()
	return c.post(ctx, c.url, http.Header{}, body, token, maxAnswer)
}

// post sends JSON with a token and reads the answer: up to limit bytes, and one more where it is longer. Its error is the
// cause of the end of ctx where that has ended.
func (c *Client) post(ctx context.Context, address string, header http.Header, body requestBody, token string, limit int64) (int, http.Header, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, nil)
	if err != nil {
		return 0, nil, nil, err
	}
	request.ContentLength, request.GetBody = int64(body.size()), body.open
	request.Body, _ = body.open() // has no error
	request.Header = header
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	if c.userAgent != "" {
		request.Header.Set("User-Agent", c.userAgent)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return 0, nil, nil, preferCause(ctx, err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	if err != nil {
		return 0, nil, nil, preferCause(ctx, fmt.Errorf("reading the answer: %w", err))
	}
	return response.StatusCode, response.Header, answer, nil
}

// requestContext is the context of one request. It ends after uploadTimeout, or grace after ctx does.
func requestContext(ctx context.Context) (context.Context, context.CancelFunc) {
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

// preferCause is the reason for which we ended a request, where we did, instead of "context canceled".
func preferCause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// logExchange logs an exchange with what Microsoft's support asks for, app/docs/sentinel.md#error-bodies.
func (c *Client) logExchange(x exchange, status int, header http.Header, n int, started time.Time) {
	if n > 0 && x.action == actionAccept && len(x.rejected) == 0 {
		c.log.Debug("Sentinel accepted a batch", "objects", n, "took", x.at.Sub(started).Round(time.Millisecond))
		return
	}
	if n == 0 {
		c.log.Info("Sentinel was asked without objects, to see what gets through", "status", status, "said", x.text)
		return
	}
	c.log.Warn("Sentinel did not accept all of a batch", "status", status, "objects", n, "rejected", len(x.rejected),
		"said", x.text, "error_code", header.Get("x-ms-error-code"), "request_id", header.Get("x-ms-request-id"),
		"activity_id", x.activityID, "took", x.at.Sub(started).Round(time.Millisecond))
}
