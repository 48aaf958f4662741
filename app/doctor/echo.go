package doctor

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"mssentinel/app/platform"
	"mssentinel/app/retry"
	"mssentinel/app/text"
)

// EchoPath is where the App serves an [Echo], relative to the Service's root.
const EchoPath = "api/doctor/echo"

const (
	// MaxWait bounds what an [Echo] waits before it answers.
	MaxWait = 45 * time.Second
	// MaxEchoBody bounds the bodies that an Echo takes and gives, in bytes: what the App takes and gives of the platform.
	MaxEchoBody = 8 << 20

	maxListed     = 100 // names and parameters that an Echo repeats
	maxListedText = 300 // bytes of each
)

// dummyCookie is set by a probe, to see whether it arrives, and taken back by the page.
const dummyCookie = "ms_sentinel_doctor"

// Seen is what the App saw of a request to an [Echo]: names, lengths and what the page itself wrote into the address, and
// no header's value.
type Seen struct {
	Method string `json:"method"`
	// Path and Query are as the platform told them, or as the request line has them where there is no platform. Query is a
	// list of name=value.
	Path  string   `json:"path"`
	Query []string `json:"query"`
	// Params and Fields are what the App understands of the address and of a form, as name=value.
	Params []string `json:"params"`
	Fields []string `json:"fields"`
	// Headers are the names of the headers that arrived, in lower case.
	Headers []string `json:"headers"`
	// Body says that a body arrived as one; Length is its length in bytes, and Checksum its CRC-32 in hexadecimal digits.
	Body     bool   `json:"body"`
	Length   int64  `json:"length"`
	Checksum string `json:"checksum"`
	// Address is what the platform tells of the browser's address: whole (it ends in Path), host, other, or none.
	Address string `json:"address"`
	// Platform is false where the App serves its pages itself.
	Platform bool `json:"platform"`
	// Cookie says that the cookie came back which a probe had set.
	Cookie bool `json:"cookie"`
	// Given are the headers that the answer left the App with, by their names in lower case.
	Given map[string]string `json:"given"`
}

// Echo answers requests of the doctor's page with what it saw of them. It keeps nothing and changes nothing, whatever the
// method. The zero Echo is ready; it may be used by several goroutines at once.
//
// Parameters of the address ask for another answer: wait (seconds, up to [MaxWait]), bytes (a binary body of that length,
// up to [MaxEchoBody]), answer (cookie, etag, gzip, 204, 301, 302 or 307). One request at a time gets one of the first two,
// so that neither the workers of the screens nor memory run out; another one gets 429. A method that could change something needs the header X-Requested-With, but for a form; without it the status is
// 403, and the body what was seen.
type Echo struct{ busy atomic.Bool }

// ServeHTTP answers one request. Its body must be bounded by the caller.
func (e *Echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	seen, err := describeRequest(r)
	if err != nil {
		var tooLong *http.MaxBytesError
		status := http.StatusBadRequest
		if errors.As(err, &tooLong) {
			status = http.StatusRequestEntityTooLarge
		}
		writeJSON(w, status, map[string]string{"message": text.Sentence(err.Error())})
		return
	}
	if mayBeForeign(r) {
		writeJSON(w, http.StatusForbidden, seen)
		return
	}
	query := r.URL.Query()
	wait, _ := parseWait(query.Get("wait")) // what is no length of time asks for none
	length, err := strconv.Atoi(query.Get("bytes"))
	isLarge := err == nil && length >= 0 && length <= MaxEchoBody
	if wait > 0 || isLarge {
		if !e.busy.CompareAndSwap(false, true) {
			writeJSON(w, http.StatusTooManyRequests, map[string]string{"message": "Another request of this kind is under way. Try again when it has ended."})
			return
		}
		defer e.busy.Store(false)
	}
	_ = retry.Sleep(r.Context(), wait) // at the end of ctx the answer reaches nobody
	if isLarge {
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Write(patternBytes(length)) //nolint:errcheck // the reader may have gone
		return
	}
	writeEcho(w, r, query, seen)
}

// mayBeForeign says that a page of another site could have made the request, other than by a link: it changes nothing, and
// is refused all the same. A form has no header of its own, which is what its probe is about.
func mayBeForeign(r *http.Request) bool {
	return r.Method != http.MethodGet && r.Method != http.MethodHead && !isForm(r) && r.Header.Get("X-Requested-With") == ""
}

func isForm(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
}

// parseWait reads a number of seconds from 0 to MaxWait.
func parseWait(seconds string) (time.Duration, error) {
	n, err := strconv.ParseFloat(strings.TrimSpace(seconds), 64)
	if err != nil || !(n >= 0 && n <= MaxWait.Seconds()) {
		return 0, fmt.Errorf("%q is no number of seconds from 0 to %.0f", text.Line(seconds, 20), MaxWait.Seconds())
	}
	return time.Duration(n * float64(time.Second)), nil
}

// echoTag is the ETag of an Echo.
const echoTag = `"doctor"`

// gzipText is what the probe for gzip unpacks.
const gzipText = "packed by the App, unpacked by whoever reads it"

// writeEcho gives the kind of answer that the address asks for; by itself what was seen.
func writeEcho(w http.ResponseWriter, r *http.Request, query url.Values, seen Seen) {
	header := w.Header()
	switch answer := query.Get("answer"); answer {
	case "cookie":
		if root := query.Get("root"); cookiePath.MatchString(root) {
			http.SetCookie(w, &http.Cookie{Name: dummyCookie, Value: "1", Path: root, MaxAge: 60, SameSite: http.SameSiteStrictMode})
		}
	case "etag":
		header.Set("ETag", echoTag)
		if r.Header.Get("If-None-Match") == echoTag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	case "gzip":
		header.Set("Content-Encoding", "gzip")
		header.Set("Content-Type", "text/plain; charset=utf-8")
		w.Write(packText(gzipText)) //nolint:errcheck // the reader may have gone
		return
	case "204":
		w.WriteHeader(http.StatusNoContent)
		return
	case "301", "302", "307":
		status, _ := strconv.Atoi(answer)
		header["Location"] = []string{"arrived?from=" + answer} // relative; http.Redirect would complete it
		w.WriteHeader(status)
		return
	}
	seen.Given = listGiven(header)
	writeJSON(w, http.StatusOK, seen)
}

// listGiven lists the headers that every answer of the App has, and what a probe added. A page cannot read a cookie's.
func listGiven(header http.Header) map[string]string {
	given := map[string]string{}
	for name := range header {
		if name != "Set-Cookie" {
			given[strings.ToLower(name)] = header.Get(name)
		}
	}
	return given
}

// cookiePath is the path of a Service, as the page knows it.
var cookiePath = regexp.MustCompile(`^/[A-Za-z0-9_./-]{0,200}$`)

func packText(s string) []byte {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	io.WriteString(z, s) //nolint:errcheck // goes to memory
	z.Close()            //nolint:errcheck // goes to memory
	return packed.Bytes()
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(value) //nolint:errcheck // the reader may have gone
}

// describeRequest reads the whole request, and keeps of it what a Seen tells.
func describeRequest(r *http.Request) (Seen, error) {
	sum := crc32.NewIEEE()
	var form bytes.Buffer // its beginning, for the fields
	length, err := io.Copy(io.MultiWriter(sum, &beginning{Buffer: &form, limit: 16 << 10}), r.Body)
	if err != nil {
		return Seen{}, fmt.Errorf("reading the body: %w", err)
	}
	seen := Seen{Method: r.Method, Params: listParams(r.URL.Query()), Headers: []string{}, Fields: []string{}, Body: length > 0,
		Length: length, Checksum: fmt.Sprintf("%08x", sum.Sum32())}
	if isForm(r) {
		fields, _ := url.ParseQuery(form.String()) // what is no field is none of ours
		seen.Fields = listParams(fields)
	}
	_, err = r.Cookie(dummyCookie)
	seen.Cookie = err == nil
	if sent, ok := platform.SentRequest(r.Context()); ok {
		seen.takeMessage(sent)
	} else {
		seen.takeRequestLine(r)
	}
	seen.Path = text.Cut(seen.Path, maxListedText)
	slices.Sort(seen.Headers)
	seen.Headers = boundList(slices.Compact(seen.Headers))
	seen.Query = boundList(seen.Query)
	return seen, nil
}

// takeMessage notes what the platform's message says.
func (s *Seen) takeMessage(sent platform.Sent) {
	s.Platform, s.Method, s.Path, s.Query, s.Body = true, strings.ToUpper(sent.Method), sent.Path, sent.Query, sent.HasBody
	for _, name := range sent.Headers {
		s.Headers = append(s.Headers, strings.ToLower(name))
	}
	full, err := url.Parse(sent.RequestURL)
	switch {
	case sent.RequestURL == "":
		s.Address = "none"
	case err != nil:
		s.Address = "other"
	case strings.Trim(full.Path, "/") == "":
		s.Address = "host"
	case strings.HasSuffix(full.EscapedPath(), strings.TrimLeft(sent.Path, "/")), strings.HasSuffix(full.Path, strings.TrimLeft(sent.Path, "/")):
		s.Address = "whole"
	default:
		s.Address = "other"
	}
}

// takeRequestLine notes what a browser sent to the App itself.
func (s *Seen) takeRequestLine(r *http.Request) {
	path, query, _ := strings.Cut(r.RequestURI, "?")
	s.Path, s.Address = path, "whole"
	if query != "" {
		s.Query = strings.Split(query, "&")
	}
	for name := range r.Header {
		s.Headers = append(s.Headers, strings.ToLower(name))
	}
	s.Headers = append(s.Headers, "host")
}

// listParams lists parameters by name, the values of one name in their order.
func listParams(params url.Values) []string {
	list := []string{}
	for name, values := range params {
		for _, value := range values {
			list = append(list, name+"="+value)
		}
	}
	slices.SortStableFunc(list, func(a, b string) int {
		a, _, _ = strings.Cut(a, "=")
		b, _, _ = strings.Cut(b, "=")
		return strings.Compare(a, b)
	})
	return boundList(list)
}

// boundList keeps what an Echo repeats of a list.
func boundList(list []string) []string {
	bounded := []string{}
	for _, s := range list[:min(len(list), maxListed)] {
		bounded = append(bounded, text.Cut(s, maxListedText))
	}
	return bounded
}

// beginning keeps the first bytes that are written to it, and takes the rest.
type beginning struct {
	*bytes.Buffer
	limit int
}

func (b *beginning) Write(p []byte) (int, error) {
	b.Buffer.Write(p[:max(0, min(len(p), b.limit-b.Len()))])
	return len(p), nil
}

// patternBytes are bytes of every value, which the page makes in the same way.
func patternBytes(length int) []byte {
	data := make([]byte, length)
	for i := range data {
		data[i] = byte(i*31 + i>>8)
	}
	return data
}
