package threatconnect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"mssentinel/app/retry"
)

const (
	// maxQueryBytes is the length of an encoded query from which on the parameters travel in the body
	// (app/docs/threatconnect.md#long-queries).
	maxQueryBytes = 2000
	// maxAnswerBytes bounds the body of an answer.
	maxAnswerBytes = 32 << 20
	// tryTimeout bounds a single try, from the connection to the last byte of the answer.
	tryTimeout = 4 * time.Minute
)

// retryPolicy says how many tries a request has, and for how long after the first one another may begin.
type retryPolicy struct {
	tries  int
	budget time.Duration
}

var (
	// interactive is for what someone waits for in front of a screen.
	interactive = retryPolicy{tries: 4, budget: time.Minute}
	// background outlasts a restart of ThreatConnect, which must not cost a long download.
	background = retryPolicy{tries: 10, budget: 15 * time.Minute}
)

// backoff is the pause before another try, where ThreatConnect does not ask for a longer one.
var backoff = retry.Backoff{First: 500 * time.Millisecond, Longest: time.Minute}

// retryRequest repeats a try until it succeeds, fails for good, or the policy allows no other. It returns what the last
// try returned, or the error of ctx once that has ended.
func (c *Client) retryRequest(ctx context.Context, policy retryPolicy, try func(context.Context) error) error {
	began, authorizedAgain := time.Now(), false
	for n := 1; ; n++ {
		err := try(ctx)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		}
		wait, worthwhile := planRetry(err, n, &authorizedAgain)
		if !worthwhile || n >= policy.tries || time.Since(began)+wait > policy.budget {
			return err
		}
		if end, bounded := ctx.Deadline(); bounded && time.Until(end) <= wait {
			return err // it says more than the end of ctx, which the wait would not outlast
		}
		c.options.Logger.Warn("ThreatConnect is asked again", "try", n+1, "wait", wait, "error", err)
		if retry.Sleep(ctx, wait) != nil {
			return ctx.Err()
		}
	}
}

// planRetry decides whether the nth try that failed is worth another one, and after which wait. One 401 is: the token,
// or the second that was signed, may have run out on the way. authorizedAgain remembers that one.
func planRetry(err error, n int, authorizedAgain *bool) (wait time.Duration, worthwhile bool) {
	wait = backoff.Jittered(n)
	var refused *Error
	var certificate untrustedCertificate
	var lone loneRow
	switch {
	case errors.As(err, &certificate), errors.As(err, &lone):
		return 0, false
	case !errors.As(err, &refused):
		return wait, true
	case refused.effectiveStatus() == http.StatusUnauthorized && !refused.foreign && !*authorizedAgain:
		*authorizedAgain = true
		return wait, true
	}
	return max(wait, refused.wait), !refused.Permanent()
}

// request is one GET of the API.
type request struct {
	path  string // below the base
	query string // encoded; it is never encoded again, since it is signed
	body  []byte // the parameters, when they are too long for a query
}

// newRequest puts parameters into the query, or into the body when they are long.
func newRequest(path string, params url.Values) request {
	if encoded := params.Encode(); len(encoded) < maxQueryBytes {
		return request{path: path, query: encoded}
	}
	data := make(map[string]any, len(params))
	for name, values := range params {
		data[name] = bodyValue(name, values)
	}
	body, err := json.Marshal(map[string]any{"data": data})
	if err != nil {
		panic(err) // texts, numbers and truth values can always be written
	}
	return request{path: path, body: body}
}

// bodyValue has the JSON type that ThreatConnect's own clients give to the parameter.
func bodyValue(name string, values []string) any {
	switch name {
	case "fields":
		return values
	case "resultStart", "resultLimit":
		return json.Number(values[0])
	case "count", "createActivityLog":
		return values[0] == "true"
	}
	return values[0]
}

// tryRequest makes one try, and explains why there is no answer. The answer shares the memory of body.
func (c *Client) tryRequest(ctx context.Context, r request, body *bytes.Buffer) (answer, error) {
	try, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	a, err := c.sendRequest(try, r, body)
	if err == nil {
		return a, nil
	}
	var refused *Error
	switch {
	case ctx.Err() != nil:
		return a, ctx.Err()
	case try.Err() != nil:
		err = errTooSlow
	case errors.As(err, &refused):
		return a, err
	}
	return a, c.explainFailure(err)
}

// tryList makes one try for an answer whose data is a list. No list at all must not pass for an empty one.
func (c *Client) tryList(ctx context.Context, r request, body *bytes.Buffer) (answer, error) {
	a, err := c.tryRequest(ctx, r, body)
	if err == nil && !a.hasList {
		err = c.explainFailure(errDamaged)
	}
	return a, err
}

// buildRequest makes a request that only lacks the proof of who asks.
func (c *Client) buildRequest(ctx context.Context, r request) (*http.Request, error) {
	target := c.base + r.path
	if r.query != "" {
		target += "?" + r.query
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, bytes.NewReader(r.body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.options.UserAgent != "" {
		req.Header.Set("User-Agent", c.options.UserAgent)
	}
	return req, nil
}

func (c *Client) sendRequest(ctx context.Context, r request, body *bytes.Buffer) (answer, error) {
	req, err := c.buildRequest(ctx, r)
	if err != nil {
		return answer{}, err
	}
	if err := c.authorizeRequest(req); err != nil {
		return answer{}, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := readBody(resp, body)
	if err != nil {
		return answer{}, err
	}
	return c.checkAnswer(resp, text)
}

// byteOrderMark stands before the JSON of some servers and proxies. It is no part of the text
// (app/docs/threatconnect.md#answers).
var byteOrderMark = []byte("\uFEFF")

// readBody reads a body into a buffer, whose memory the text shares. A byte order mark is skipped.
func readBody(resp *http.Response, body *bytes.Buffer) (text []byte, err error) {
	body.Reset()
	body.Grow(min(max(int(resp.ContentLength), 4<<10), maxAnswerBytes) + bytes.MinRead)
	if _, err := body.ReadFrom(io.LimitReader(resp.Body, maxAnswerBytes+1)); err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if body.Len() > maxAnswerBytes {
		return nil, newUnreadable(errTooLarge, body.Bytes())
	}
	return bytes.TrimPrefix(body.Bytes(), byteOrderMark), nil
}

// checkAnswer tells an answer from a refusal. Both a status of 2xx and the word Success must be there
// (app/docs/threatconnect.md#errors).
func (c *Client) checkAnswer(resp *http.Response, body []byte) (answer, error) {
	html := isHTML(resp.Header, body)
	a, readable := parseAnswer(body)
	switch {
	case html || resp.StatusCode/100 != 2:
		return answer{}, c.newError(resp, a, html)
	case !readable:
		return answer{}, newUnreadable(errDamaged, body)
	case a.status != "Success":
		return answer{}, c.newError(resp, a, false)
	}
	return a, nil
}

func isHTML(h http.Header, body []byte) bool {
	return strings.HasPrefix(h.Get("Content-Type"), "text/html") || bytes.HasPrefix(bytes.TrimSpace(body), []byte("<"))
}
