package doctor

import (
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"sync"
	"time"
)

// The page of the doctor asks the platform's front from the operator's browser: it makes the requests of [PageRequests] to
// an [Echo], and tells what came back as [PageResult]s. What is known of the front stands in
// app/docs/platform.md#requests, app/docs/platform.md#answers and app/docs/platform.md#time-limits.

// PageRequest is one request that the page makes.
type PageRequest struct {
	Name   string            `json:"name"`
	Method string            `json:"method"`
	URL    string            `json:"url"` // relative to the Service's root; {root} stands for the path of that
	Header map[string]string `json:"header,omitempty"`
	Text   string            `json:"text,omitempty"`  // the body
	Bytes  int               `json:"bytes,omitempty"` // or the length of a body of bytes of every value
	// Anonymous leaves out cookies and whatever else a browser proves a session with.
	Anonymous bool `json:"anonymous,omitempty"`
	// Series names requests of which the rest are not made once one of them failed.
	Series string `json:"series,omitempty"`

	wait time.Duration // of the App, before it answers
}

// PageResult is what came back.
type PageResult struct {
	Name string `json:"name"`
	// Status is 0 where there was no answer that the page may read.
	Status int `json:"status"`
	// Redirected says that the browser followed a redirection.
	Redirected   bool  `json:"redirected"`
	Milliseconds int64 `json:"milliseconds"`
	// Length is the length of the answer's body in bytes, Checksum its CRC-32 in hexadecimal digits.
	Length   int64  `json:"length"`
	Checksum string `json:"checksum"`
	// Packed says that the answer came with Content-Encoding.
	Packed bool `json:"packed"`
	// Cookie says that the page has the cookie that a probe had set.
	Cookie bool `json:"cookie"`
	// Seen is what the App saw, nil where somebody else answered.
	Seen *Seen `json:"seen"`
	// Got are the headers of the answer as the browser has them, of those that Seen lists as given.
	Got map[string]string `json:"got"`
}

// Waits are what the page asks the App to wait for by default, one after the other.
var Waits = []time.Duration{5 * time.Second, 20 * time.Second, 28 * time.Second, 40 * time.Second}

const maxWaits = 10

// ParseWaits reads a list of numbers of seconds, separated by commas: at most ten, each from 0 to [MaxWait].
func ParseWaits(list string) ([]time.Duration, error) {
	var waits []time.Duration
	for part := range strings.SplitSeq(list, ",") {
		wait, err := parseWait(part)
		if err != nil {
			return nil, err
		}
		waits = append(waits, wait)
	}
	if len(waits) > maxWaits {
		return nil, fmt.Errorf("these are %d waits, and at most %d may be asked for", len(waits), maxWaits)
	}
	return waits, nil
}

// formBody is what the probe for forms sends.
const formBody = "a=1&b=x+y&b=%26"

var (
	pageMethods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
	// pagePaths are what a path may end in, as it is sent and decoded.
	pagePaths = []struct{ name, sent, decoded string }{
		{"path-slash", "a%2Fb", "a/b"}, {"path-plus", "a+b", "a+b"}, {"path-blank", "a%20b", "a b"},
		{"path-accent", "%C3%A9", "é"}, {"path-ampersand", "a%26b", "a&b"},
	}
	// pageQuery are the values of a parameter that is repeated, as they are sent and decoded.
	pageQuery = []struct{ sent, decoded string }{
		{"a%2Fb", "a/b"}, {"a+b", "a b"}, {"a%20b", "a b"}, {"%C3%A9", "é"}, {"%26", "&"},
	}
	// pageValues are single parameters that only one reading gets right.
	pageValues = []struct{ name, sent, decoded string }{{"query-plus", "a%2Bb", "a+b"}, {"query-percent", "%2541", "%41"}}
	pageSizes  = []struct {
		name, label string
		length      int // bytes
	}{{"1k", "1 KB", 1_000}, {"1m", "1 MB", 1_000_000}, {"8m", "8 MB", 8_000_000}}
	pageRedirects = []string{"301", "302", "307"}
	// pageHeaders are those of a request that the App relies on.
	pageHeaders = []string{"content-type", "x-requested-with", "x-form-token"}
)

// PageRequests lists what the page asks, in this order and one at a time. waits are how long the App is to wait, ascending.
func PageRequests(waits []time.Duration) []PageRequest {
	all := slices.Concat(listMethods(), listAddresses(), listBodies(), listAnswers())
	anonymous := newGet("no-session", "anonymous")
	anonymous.Anonymous = true
	all = append(all, anonymous)
	for i, wait := range waits {
		r := newGet(fmt.Sprintf("wait-%d", i+1), fmt.Sprintf("wait?wait=%g", wait.Seconds()))
		r.Series, r.wait = "wait", wait
		all = append(all, r)
	}
	return all
}

// newGet is a request for an address below [EchoPath].
func newGet(name, address string) PageRequest {
	return PageRequest{Name: name, Method: "GET", URL: EchoPath + "/" + address, Header: map[string]string{"X-Requested-With": "doctor"}}
}

func listMethods() []PageRequest {
	var all []PageRequest
	for _, method := range pageMethods {
		r := newGet("method-"+strings.ToLower(method), "method")
		r.Method = method
		if method == "POST" {
			r.Text, r.Header["X-Form-Token"], r.Header["Content-Type"] = "{}", "doctor", "application/json"
		}
		all = append(all, r)
	}
	return all
}

func listAddresses() []PageRequest {
	var all []PageRequest
	for _, p := range pagePaths {
		all = append(all, newGet(p.name, p.sent))
	}
	all = append(all, newGet("path-end", "end/"))
	var many []string
	for _, q := range pageQuery {
		many = append(many, "v="+q.sent)
	}
	all = append(all, newGet("query-many", "query?"+strings.Join(many, "&")))
	for _, v := range pageValues {
		all = append(all, newGet(v.name, "query?v="+v.sent))
	}
	return all
}

// listBodies begins with the form that no script could have sent: like those of the screens it has no header of its own.
func listBodies() []PageRequest {
	all := []PageRequest{{Name: "form", Method: "POST", URL: EchoPath + "/form", Text: formBody,
		Header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}}}
	for _, size := range pageSizes {
		r := newGet("request-"+size.name, "request")
		r.Method, r.Bytes, r.Header["Content-Type"] = "POST", size.length, "application/octet-stream"
		all = append(all, r, newGet("answer-"+size.name, fmt.Sprintf("answer?bytes=%d", size.length)))
	}
	return all
}

func listAnswers() []PageRequest {
	tagged := newGet("not-modified", "tag?answer=etag")
	tagged.Header["If-None-Match"] = echoTag
	all := []PageRequest{newGet("cookie-set", "cookie?answer=cookie&root={root}"), newGet("cookie-back", "cookie"), tagged,
		newGet("gzip", "gzip?answer=gzip"), newGet("no-content", "nothing?answer=204")}
	for _, status := range pageRedirects {
		all = append(all, newGet("redirect-"+status, "from?answer="+status))
	}
	return all
}

// PagesProbe is the probe whose answers the page in the browser finds.
func PagesProbe() Probe {
	p := Probe{Area: Pages}
	for _, q := range pageQuestions {
		p.Questions = append(p.Questions, q.Question)
	}
	return p
}

// ErrForeign says that results were not made by the requests that are asked about.
var ErrForeign = errors.New("these are no results of the requests of this page")

// RecordPages takes what the page found, with the waits that it asked for. Its error says what is wrong with the results, or
// that the report could not be kept.
func (d *Doctor) RecordPages(waits []time.Duration, results []PageResult) error {
	f := pageFindings{results: map[string]PageResult{}, requests: PageRequests(waits)}
	known := map[string]bool{}
	for _, r := range f.requests {
		known[r.Name] = true
	}
	for _, r := range results {
		if _, twice := f.results[r.Name]; twice || !known[r.Name] {
			return ErrForeign
		}
		f.results[r.Name] = r
	}
	return d.Record(Pages, func(a *Answers) string {
		differ := []string{}
		for _, q := range pageQuestions {
			answer := q.answer(f)
			a.Set(q.ID, answer)
			if answer.Differs {
				differ = append(differ, strings.TrimPrefix(q.ID, "pages."))
			}
		}
		return summarizePages(f, differ)
	})
}

func summarizePages(f pageFindings, differ []string) string {
	summary := "ok"
	switch len(differ) {
	case 0:
	case 1:
		summary = "1 warning (" + differ[0] + ")"
	default:
		summary = fmt.Sprintf("%d warnings (%s)", len(differ), strings.Join(differ, ", "))
	}
	if !f.onPlatform() {
		summary += ", without a platform"
	}
	return summary
}

// patternSums are the checksums of the bodies of bytes of every value, by their length.
var patternSums = sync.OnceValue(func() map[int]string {
	sums := map[int]string{}
	for _, size := range pageSizes {
		sums[size.length] = fmt.Sprintf("%08x", crc32.ChecksumIEEE(patternBytes(size.length)))
	}
	return sums
})
