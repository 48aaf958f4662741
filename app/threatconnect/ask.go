package threatconnect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// maxQuery is the length in bytes from which on a query travels in the body (spec §2.1).
	maxQuery = 2000
	// maxAnswer bounds an answer in bytes.
	maxAnswer = 32 << 20
	// tryLimit bounds a single try.
	tryLimit = 4 * time.Minute
)

// patience says how often a question is asked, and after how long it is not asked once more.
type patience struct {
	tries  int
	budget time.Duration
}

var (
	// briefly: someone waits in front of a screen.
	briefly = patience{tries: 4, budget: time.Minute}
	// patiently: a restart of ThreatConnect must not cost a long download.
	patiently = patience{tries: 10, budget: 15 * time.Minute}
)

const (
	firstPause = 500 * time.Millisecond
	maxPause   = time.Minute
)

// insist repeats a try until it succeeds, fails for good, or patience ends. A 401 is worth one more try: a token or a
// second may have ended on the way.
func (c *Client) insist(ctx context.Context, p patience, try func(context.Context) error) error {
	began, renewed := time.Now(), false
	for n := 1; ; n++ {
		err := try(ctx)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		}
		wait, again := c.again(err, n, &renewed)
		if !again || n >= p.tries || time.Since(began)+wait > p.budget {
			return err
		}
		if end, bounded := ctx.Deadline(); bounded && time.Until(end) <= wait {
			return err // the reason says more than a deadline that passes in sleep
		}
		c.options.Logger.Warn("ThreatConnect is asked again", "try", n+1, "wait", wait, "error", err)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// again decides whether and when a failed try is repeated.
func (c *Client) again(err error, tries int, renewed *bool) (wait time.Duration, again bool) {
	wait = pause(tries)
	var refused *Error
	var certificate untrusted
	switch {
	case errors.As(err, &certificate):
		return 0, false
	case !errors.As(err, &refused):
		return wait, true
	case refused.kind() == http.StatusUnauthorized && !refused.foreign && !*renewed:
		*renewed = true
		return wait, true
	}
	return max(wait, refused.wait), !refused.Permanent()
}

// pause grows twofold with each try. The jitter keeps Services that failed together from returning together.
func pause(tries int) time.Duration {
	longest := min(firstPause<<min(tries-1, 16), maxPause)
	return longest/2 + rand.N(longest/2)
}

// question is one GET of the API.
type question struct {
	path  string // below the base
	query string // encoded; it is never encoded again, since it is signed
	body  []byte // the parameters, when they are too long for a query
}

// ask puts parameters into the query, or into the body when they are long.
func ask(path string, params url.Values) question {
	if encoded := params.Encode(); len(encoded) < maxQuery {
		return question{path: path, query: encoded}
	}
	data := make(map[string]any, len(params))
	for name, values := range params {
		data[name] = bodyValue(name, values)
	}
	body, err := json.Marshal(map[string]any{"data": data})
	if err != nil {
		panic(err) // texts, numbers and truth values can always be written
	}
	return question{path: path, body: body}
}

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

// get makes one try. expect is the size of the answer in bytes as far as it can be foreseen.
func (c *Client) get(ctx context.Context, q question, expect int) (envelope, error) {
	attempt, cancel := context.WithTimeout(ctx, tryLimit)
	defer cancel()
	said, err := c.once(attempt, q, expect)
	if err == nil {
		return said, nil
	}
	var refused *Error
	switch {
	case ctx.Err() != nil:
		return said, ctx.Err()
	case attempt.Err() != nil:
		err = errTooSlow
	case errors.As(err, &refused):
		return said, err
	}
	return said, c.unreachable(err)
}

func (c *Client) once(ctx context.Context, q question, expect int) (envelope, error) {
	target := c.base + q.path
	if q.query != "" {
		target += "?" + q.query
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, bytes.NewReader(q.body))
	if err != nil {
		return envelope{}, err
	}
	req.Header.Set("Accept", "application/json")
	if q.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.options.UserAgent != "" {
		req.Header.Set("User-Agent", c.options.UserAgent)
	}
	if err := c.authorize(req); err != nil {
		return envelope{}, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return envelope{}, err
	}
	defer resp.Body.Close()
	body, err := read(resp, expect)
	if err != nil {
		return envelope{}, err
	}
	return c.judge(resp, body)
}

// read reads a body into one buffer, which a page of indicators then shares.
func read(resp *http.Response, expect int) ([]byte, error) {
	expect = max(expect, int(resp.ContentLength), 4<<10)
	body := bytes.NewBuffer(make([]byte, 0, min(expect, maxAnswer)+bytes.MinRead))
	if _, err := body.ReadFrom(io.LimitReader(resp.Body, maxAnswer+1)); err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if body.Len() > maxAnswer {
		return nil, errTooLarge
	}
	return body.Bytes(), nil
}

// judge tells an answer from a refusal. Both a status of 2xx and the word Success must be there.
func (c *Client) judge(resp *http.Response, body []byte) (envelope, error) {
	html := isHTML(resp.Header, body)
	said, readable := open(body)
	switch {
	case html || resp.StatusCode/100 != 2:
		return envelope{}, c.refused(resp, said, html)
	case !readable:
		return envelope{}, errDamaged
	case said.status != "Success":
		return envelope{}, c.refused(resp, said, false)
	}
	return said, nil
}

func isHTML(h http.Header, body []byte) bool {
	return strings.HasPrefix(h.Get("Content-Type"), "text/html") || bytes.HasPrefix(bytes.TrimSpace(body), []byte("<"))
}
