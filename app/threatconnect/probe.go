package threatconnect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"time"
)

// Probe is one GET whose answer is looked at rather than relied on, to find out how this ThreatConnect behaves. The zero
// values of all but Path make an ordinary request.
type Probe struct {
	// Path is below the base, such as /v3/indicators, already escaped.
	Path string
	// Params travel in the body where they are long, as those of any request (app/docs/threatconnect.md#long-queries).
	Params url.Values
	// WrongKey signs with another key than that of the API user.
	WrongKey bool
	// Clock is added to the time of the signature.
	Clock time.Duration
	// Authorize, if set, proves who asks in place of the client.
	Authorize func(*http.Request) error
}

// Reply is what came back to a probe. Nothing of the request is in it, whatever the answer repeats: see [Client.Ask].
type Reply struct {
	Status int
	// MediaType is that of the body, without parameters.
	MediaType string
	// Headers are the lengths of the values in bytes, by name.
	Headers map[string]int
	// Date is the time by ThreatConnect's clock, in whole seconds; zero where it is not told.
	Date time.Time
	// Took is the time from the request to the end of the body.
	Took time.Duration
	// Length of the body in bytes, at most maxReplyBytes; Cut says that there was more.
	Length int
	Cut    bool
	// JSON says that the body is a JSON object. The rest is empty where it is not.
	JSON bool
	// Word, Code and Message are the members status, errCode and message; the message is one line of at most 500 bytes,
	// without secrets, and "" for a page for people.
	Word, Code, Message string
	// Rows are the elements of data as they stand in the body; List says that it is a list.
	List bool
	Rows [][]byte
	// Count is the member count, -1 where there is none.
	Count int64
	// Next is the address of the next page, "" for none.
	Next string
}

// Succeeded reports whether ThreatConnect gave what was asked for (app/docs/threatconnect.md#answers).
func (r Reply) Succeeded() bool { return r.Status/100 == 2 && r.Word == "Success" }

const (
	// maxReplyBytes bounds what is read of the answer to a probe.
	maxReplyBytes = 4 << 20
	// probeTimeout bounds a probe, from the connection to the last byte.
	probeTimeout = 30 * time.Second
)

// Ask sends a probe once. A refusal is a reply as any other. The error says why there is none, with a remedy, or is that
// of ctx.
func (c *Client) Ask(ctx context.Context, p Probe) (Reply, error) {
	limited, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	reply, err := c.sendProbe(limited, p)
	switch {
	case err == nil:
		return reply, nil
	case ctx.Err() != nil:
		return Reply{}, ctx.Err()
	case errors.Is(limited.Err(), context.DeadlineExceeded):
		return Reply{}, fmt.Errorf("ThreatConnect at %s did not answer within %v. It is overloaded, or the request is too wide", c.host, probeTimeout)
	}
	return Reply{}, c.explainFailure(err)
}

func (c *Client) sendProbe(ctx context.Context, p Probe) (Reply, error) {
	req, err := c.buildRequest(ctx, newRequest(p.Path, p.Params))
	if err != nil {
		return Reply{}, err
	}
	if err := c.authorizeProbe(req, p); err != nil {
		return Reply{}, err
	}
	began := time.Now()
	resp, err := c.http.Do(req)
	if err != nil {
		return Reply{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxReplyBytes+1))
	if err != nil {
		return Reply{}, fmt.Errorf("read the answer: %w", err)
	}
	reply := c.describeReply(resp, body)
	reply.Took = time.Since(began)
	return reply, nil
}

func (c *Client) authorizeProbe(req *http.Request, p Probe) error {
	switch {
	case p.Authorize != nil:
		return p.Authorize(req)
	case p.WrongKey:
		SignRequest(req, c.options.AccessID, "not the key of "+c.options.AccessID)
	case p.Clock != 0:
		signAt(req, c.options.AccessID, c.options.SecretKey(), time.Now().Add(p.Clock))
	default:
		return c.authorizeRequest(req)
	}
	return nil
}

func (c *Client) describeReply(resp *http.Response, body []byte) Reply {
	r := Reply{Status: resp.StatusCode, Headers: map[string]int{}, Length: min(len(body), maxReplyBytes), Cut: len(body) > maxReplyBytes, Count: -1}
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err == nil {
		r.MediaType = kind
	}
	for name := range resp.Header {
		r.Headers[name] = len(resp.Header.Get(name))
	}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		r.Date = date
	}
	if isHTML(resp.Header, body) {
		return r
	}
	a, readable := parseAnswer(body)
	if !readable {
		return r
	}
	message := c.newMask(resp.Request).Replace([]byte(a.message), "[redacted]")
	r.JSON, r.Word, r.Code, r.Message = true, a.status, a.code, plainMessage(string(message))
	r.List, r.Rows, r.Count, r.Next = a.hasList, a.items, a.count, a.next
	return r
}
