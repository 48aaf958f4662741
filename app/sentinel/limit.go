package sentinel

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"mssentinel/app/jsonscan"
	"mssentinel/app/text"
)

// LimitFacts are what is known of the answers with status 429. How Sentinel tells its limit is not documented,
// app/docs/sentinel.md#throttling, and nobody provokes such an answer to find out: so the first one is noted.
type LimitFacts struct {
	Count      int       // of such answers since the start
	At         time.Time // of the first one
	Headers    []string  // its names, sorted, at most 40; the rest of the facts is of the first one, too
	RetryAfter string    // "missing", or its form: "seconds", "a date", "of another form"
	Body       string    // what its body is made of, as jsonscan.Shape has it; at most 300 bytes
}

// limitLog keeps them. It may be used by several goroutines.
type limitLog struct {
	mu    sync.Mutex
	facts LimitFacts
}

// maxHeaderNames bounds how many names of headers are noted.
const maxHeaderNames = 40

// note notes an answer with status 429.
func (l *limitLog) note(header http.Header, body []byte, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.facts.Count++; l.facts.Count > 1 {
		return
	}
	names := slices.Sorted(maps.Keys(header))
	l.facts.At, l.facts.Headers = at.UTC(), names[:min(len(names), maxHeaderNames)]
	l.facts.RetryAfter, l.facts.Body = retryAfterForm(header.Get("Retry-After")), text.Line(jsonscan.Shape(body), 300)
}

func retryAfterForm(value string) string {
	if value == "" {
		return "missing"
	}
	if _, err := strconv.Atoi(value); err == nil {
		return "seconds"
	}
	if _, err := http.ParseTime(value); err == nil {
		return "a date"
	}
	return "of another form"
}

// Limit tells what is known of the answers that said the limit of requests is reached.
func (c *Client) Limit() LimitFacts {
	c.limit.mu.Lock()
	defer c.limit.mu.Unlock()
	facts := c.limit.facts
	facts.Headers = slices.Clone(facts.Headers)
	return facts
}
