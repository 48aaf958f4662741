package platform

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"mime"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// maxBody bounds the bodies of requests and answers, in bytes: both are held in memory.
const maxBody = 8 << 20

type tokenKey struct{}

// Token returns the API token that the platform sent with the request whose context ctx is; "" without one.
func Token(ctx context.Context) string {
	token, _ := ctx.Value(tokenKey{}).(string)
	return token
}

func withToken(ctx context.Context, token string) context.Context {
	return context.WithValue(ctx, tokenKey{}, token)
}

type sentKey struct{}

// Sent is a request as the platform's message tells it, before anything is made of it. The doctor compares it with what
// a browser asked for.
type Sent struct {
	Method     string   // as it is spelled
	Path       string   // as it is spelled
	Query      []string // name=value as they are spelled, in their order
	Headers    []string // names as they are spelled, in their order
	HasBody    bool     // the store holds a body
	RequestURL string   // as it is spelled; "" for none
}

// SentRequest returns what the platform's message said of the request whose context ctx is; ok is false for a request
// that did not come from the platform.
func SentRequest(ctx context.Context) (sent Sent, ok bool) {
	describe, ok := ctx.Value(sentKey{}).(func() Sent)
	if !ok {
		return Sent{}, false
	}
	return describe(), true
}

func (m runService) describeSent(hasBody bool) Sent {
	sent := Sent{Method: string(m.Method), Path: string(m.Path), HasBody: hasBody, RequestURL: string(m.RequestURL)}
	for _, p := range m.QueryParams {
		sent.Query = append(sent.Query, string(p.Name)+"="+string(p.Value))
	}
	for _, h := range m.Headers {
		sent.Headers = append(sent.Headers, string(h.Name))
	}
	return sent
}

// httpRequest makes the request that the handler sees. HEAD becomes GET, and the answer's body is left out.
// RequestURI is the path of requestUrl where the platform tells all of it, else empty.
func (m runService) httpRequest(ctx context.Context, body []byte) *http.Request {
	r := &http.Request{
		Method:        m.requestMethod(),
		URL:           &url.URL{Path: "/" + strings.TrimLeft(string(m.Path), "/"), RawQuery: m.encodeQuery()},
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        http.Header{},
		Body:          http.NoBody,
		ContentLength: int64(len(body)),
		RemoteAddr:    remoteAddr(string(m.RemoteAddress)),
	}
	if r.Method == http.MethodHead {
		r.Method = http.MethodGet
	}
	for _, h := range m.Headers {
		r.Header.Add(string(h.Name), string(h.Value))
	}
	r.Host = r.Header.Get("Host")
	for _, own := range []string{"Host", "Content-Length", "Transfer-Encoding"} {
		r.Header.Del(own) // the bytes in the store decide
	}
	hasBody := len(body) > 0
	if !hasBody && isForm(r) {
		body, r.URL.RawQuery = []byte(r.URL.RawQuery), ""
		r.ContentLength = int64(len(body))
	}
	if len(body) > 0 {
		r.Body = io.NopCloser(bytes.NewReader(body))
		r.Header.Set("Content-Length", strconv.Itoa(len(body)))
	}
	if full, err := url.Parse(string(m.RequestURL)); err == nil {
		r.RequestURI = m.requestURI(full)
		if r.Host == "" {
			r.Host = full.Host
		}
	}
	return r.WithContext(context.WithValue(ctx, sentKey{}, func() Sent { return m.describeSent(hasBody) }))
}

// isForm tells a request whose body is a form. Where it has none, a server in between has taken the form apart, and its
// fields are among the parameters of the request, app/docs/platform.md#requests.
func isForm(r *http.Request) bool {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && r.Method == http.MethodPost && kind == "application/x-www-form-urlencoded"
}

// encodeQuery encodes the parameters of the request. Whether they arrive decoded is not known,
// app/docs/platform.md#requests. They are taken for decoded unless every one of them could be what a browser sends,
// where a + or %20 stands for a blank. That is wrong for a decoded search for C++ and the like, but right for a mail
// address or a URL, since browsers encode : / @ ? and = as well.
func (m runService) encodeQuery() string {
	decode := func(p text) string { return string(p) }
	if !slices.ContainsFunc(m.QueryParams, func(p pair) bool { return !mayBeEncoded(p.Name) || !mayBeEncoded(p.Value) }) {
		decode = func(p text) string {
			plain, _ := url.QueryUnescape(string(p)) // its escapes are whole
			return plain
		}
	}
	query := url.Values{}
	for _, p := range m.QueryParams {
		query.Add(decode(p.Name), decode(p.Value))
	}
	return query.Encode()
}

var rawForm = regexp.MustCompile(`^(?:[A-Za-z0-9._~!'()*+-]|%[0-9A-Fa-f]{2})*$`)

// mayBeEncoded reports whether a name or a value may be in the form that browsers send.
func mayBeEncoded(p text) bool { return rawForm.MatchString(string(p)) }

// requestURI returns the path of an address that ends in the request's own path. Some senders tell the host alone,
// app/docs/platform.md#requests.
func (m runService) requestURI(full *url.URL) string {
	whole := strings.Trim(full.Path, "/")
	if whole == "" || !strings.HasSuffix(whole, strings.Trim(string(m.Path), "/")) {
		return ""
	}
	return full.EscapedPath()
}

func (m runService) requestMethod() string {
	if m.Method == "" {
		return http.MethodGet
	}
	return strings.ToUpper(string(m.Method))
}

// remoteAddr gives net/http's form, host:port; the platform tells no port.
func remoteAddr(address string) string {
	if _, _, err := net.SplitHostPort(address); err == nil || address == "" {
		return address
	}
	return net.JoinHostPort(strings.Trim(address, "[]"), "0")
}

// response is a whole answer, ready for the store and the acknowledgement.
type response struct {
	status int
	header http.Header
	body   []byte
}

// newMessage is an answer of this package itself, in the form of the App's JSON errors.
func newMessage(status int, format string, args ...any) response {
	body := encodeMessage(map[string]string{"message": fmt.Sprintf(format, args...)})
	return response{status: status, header: http.Header{"Content-Type": {"application/json"}, "Cache-Control": {"no-store"}}, body: body}
}

// headerPairs lists the headers sorted by name, repeated ones in their order.
func (r response) headerPairs() []pair {
	list := []pair{}
	for name, values := range r.header {
		for _, value := range values {
			list = append(list, pair{Name: text(name), Value: text(value)})
		}
	}
	slices.SortStableFunc(list, func(a, b pair) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return list
}

// withLength adds the length of the body to the headers, and leaves out the body that method asks to leave out.
func (r response) withLength(method string) response {
	header := http.Header{}
	maps.Copy(header, r.header)
	r.header = header
	if !mayHaveBody(r.status) {
		header.Del("Content-Length")
		return r
	}
	header.Set("Content-Length", strconv.Itoa(len(r.body)))
	if method == http.MethodHead {
		r.body = nil
	}
	return r
}

func mayHaveBody(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}

// recorder is the http.ResponseWriter of one request. The protocol knows no streaming: Flush does nothing.
type recorder struct {
	header  http.Header // what the handler changes
	written response    // as it stood at the first WriteHeader
	body    bytes.Buffer
	full    bool // more than maxBody was written
}

func newRecorder() *recorder { return &recorder{header: http.Header{}} }

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) {
	if r.written.status != 0 || status < 200 { // informational answers cannot be carried
		return
	}
	r.written = response{status: status, header: r.header.Clone()}
}

func (r *recorder) Write(p []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	if r.body.Len()+len(p) > maxBody {
		r.full = true
		return 0, errAnswerTooLarge
	}
	return r.body.Write(p)
}

func (r *recorder) Flush() {}

// finishResponse completes the answer as net/http does: status 200 by default, a content type where there is a body.
func (r *recorder) finishResponse() (response, error) {
	if r.full {
		return response{}, errAnswerTooLarge
	}
	r.WriteHeader(http.StatusOK)
	answer := r.written
	if !mayHaveBody(answer.status) {
		return answer, nil
	}
	answer.body = r.body.Bytes()
	if _, set := answer.header["Content-Type"]; !set && len(answer.body) > 0 {
		answer.header.Set("Content-Type", http.DetectContentType(answer.body))
	}
	return answer, nil
}
