package threatconnect

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	testID     = "12345678901234567890"
	testSecret = " example-secret-key/+="
)

// row is an indicator of the ThreatConnect of these tests.
type row struct {
	id     int64
	rating int
	owner  string
	typ    string
}

// fake is a ThreatConnect in memory. It knows of TQL what the paging of the client needs, and pages as app/docs/threatconnect.md#answers says.
type fake struct {
	rows map[int64]row
	// before is called in front of each answer to a list of indicators, and may change the rows. An answer instead of
	// nil is sent as it is.
	before func(n int, asked url.Values) *http.Response
	asked  []url.Values
	most   int // rows in an answer, whatever was asked for; 0 means as many as asked for
	// spoilt are rows that cannot be read as soon as one of these fields is asked for, "" for whatever is asked for.
	spoilt map[int64]spoilt
}

// spoilt is how a row spoils its page: it is "large", no "json", or ThreatConnect "fails" on it.
type spoilt struct{ how, field string }

func (s spoilt) strikes(asked url.Values) bool {
	return s.how != "" && (s.field == "" || slices.Contains(asked["fields"], s.field))
}

func newFake(n int) *fake {
	f := &fake{rows: map[int64]row{}}
	for i := range n {
		f.put(int64(i+1)*10, (i*7)%5)
	}
	return f
}

func (f *fake) put(id int64, rating int) {
	f.rows[id] = row{id, rating, "Demo Organization", "Host"}
}

var (
	idBeyond = regexp.MustCompile(`id ([<>]) (-?\d+)`)
	idIn     = regexp.MustCompile(`id in \(([\d,]*)\)`)
)

func (f *fake) RoundTrip(req *http.Request) (*http.Response, error) {
	asked, err := parameters(req)
	if err != nil {
		return nil, err
	}
	f.asked = append(f.asked, asked)
	if f.before != nil {
		if resp := f.before(len(f.asked), asked); resp != nil {
			return resp, nil
		}
	}
	answer := f.answer(req, asked)
	if answer == "" {
		return reply(http.StatusInternalServerError, refusal("0x1007", "Internal error")), nil
	}
	return reply(http.StatusOK, answer), nil
}

func parameters(req *http.Request) (url.Values, error) {
	if req.URL.RawQuery != "" {
		return url.ParseQuery(req.URL.RawQuery)
	}
	var body struct{ Data map[string]any }
	d := json.NewDecoder(req.Body)
	d.UseNumber()
	if err := d.Decode(&body); err != nil {
		return nil, err
	}
	asked := url.Values{}
	for name, value := range body.Data {
		if list, ok := value.([]any); ok {
			for _, v := range list {
				asked.Add(name, fmt.Sprint(v))
			}
			continue
		}
		asked.Set(name, fmt.Sprint(value))
	}
	return asked, nil
}

func (f *fake) answer(req *http.Request, asked url.Values) string {
	selected := f.selected(asked)
	start, _ := strconv.Atoi(asked.Get("resultStart"))
	limit, _ := strconv.Atoi(asked.Get("resultLimit"))
	if f.most > 0 {
		limit = min(limit, f.most)
	}
	shown := selected[min(start, len(selected)):min(start+limit, len(selected))]
	var b strings.Builder
	b.WriteString(`{`)
	if start+limit < len(selected) {
		fmt.Fprintf(&b, `"next":"https://elsewhere%s?resultStart=%d",`, req.URL.Path, start+limit)
	}
	b.WriteString(`"data":[`)
	for n, r := range shown {
		if n > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":%d,"type":%q,"ownerName":%q,"lastModified":"2024-01-16T08:30:12Z","rating":%d.00`, r.id, r.typ, r.owner, r.rating)
		if s := f.spoilt[r.id]; s.strikes(asked) {
			switch s.how {
			case "large":
				b.WriteString(`,"attributes":"`)
				b.Grow(maxAnswerBytes + 1<<20)
				for range maxAnswerBytes >> 20 {
					b.Write(padding)
				}
				b.WriteByte('"')
			case "json":
				b.WriteString(`,"attributes":{"data":[}`)
			case "fails":
				return ""
			}
		}
		b.WriteByte('}')
	}
	b.WriteString(`]`)
	if asked.Get("count") == "true" && start == 0 {
		fmt.Fprintf(&b, `,"count":%d`, len(selected))
	}
	b.WriteString(`,"status":"Success"}`)
	return b.String()
}

var padding = bytes.Repeat([]byte("x"), 1<<20)

func (f *fake) selected(asked url.Values) []row {
	beyond, in := idBeyond.FindStringSubmatch(asked.Get("tql")), idIn.FindStringSubmatch(asked.Get("tql"))
	edge, named := int64(0), map[string]bool{}
	if beyond != nil {
		edge, _ = strconv.ParseInt(beyond[2], 10, 64)
	}
	if in != nil {
		for _, id := range strings.Split(in[1], ",") {
			named[id] = true
		}
	}
	var list []row
	for _, r := range f.rows {
		switch {
		case beyond != nil && beyond[1] == ">" && r.id <= edge, beyond != nil && beyond[1] == "<" && r.id >= edge:
		case in != nil && !named[strconv.FormatInt(r.id, 10)]:
		default:
			list = append(list, r)
		}
	}
	sorting := asked.Get("sorting")
	slices.SortFunc(list, func(a, b row) int {
		switch sorting {
		case "rating DESC id ASC":
			return cmp.Or(cmp.Compare(b.rating, a.rating), cmp.Compare(a.id, b.id))
		case "rating ASC id ASC":
			return cmp.Or(cmp.Compare(a.rating, b.rating), cmp.Compare(a.id, b.id))
		case "id ASC":
			return cmp.Compare(a.id, b.id)
		case "id DESC":
			return cmp.Compare(b.id, a.id)
		}
		panic("sorted by " + sorting)
	})
	return list
}

func reply(status int, body string, headers ...string) *http.Response {
	h := http.Header{}
	for i := 0; i+1 < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body))}
}

// roundTrip is a Transport that needs no network.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func client(t http.RoundTripper) *Client {
	return New(Options{BaseURL: "https://tc.example/api", AccessID: testID, SecretKey: func() string { return testSecret }, Transport: t})
}

// serve starts a real server that checks each signature over the raw target, and gives a client of it.
func serve(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seconds, err := strconv.ParseInt(r.Header.Get("Timestamp"), 10, 64)
		if want := "TC " + testID + ":" + computeSignature(testSecret, r.Method, r.RequestURI, seconds); err != nil || r.Header.Get("Authorization") != want {
			w.WriteHeader(http.StatusUnauthorized)
			io.WriteString(w, `{"message":"Signature data did not match expected result","status":"Error"}`)
			return
		}
		h(w, r)
	}))
	t.Cleanup(server.Close)
	return New(Options{BaseURL: server.URL, AccessID: testID, SecretKey: func() string { return testSecret }})
}

var hosts = Query{Owners: []string{"Demo Organization"}, Types: []string{"Host"}, TQL: "rating >= 0"}

func sorted(field, direction string) Query {
	q := hosts
	q.SortField, q.SortDirection = field, direction
	return q
}

// ledger remembers what a download handed over, as the store does.
type ledger struct {
	order []int64
	seen  map[int64]int
	pages int
}

func newLedger() *ledger { return &ledger{seen: map[int64]int{}} }

func (l *ledger) handle(p Page) error {
	l.pages++
	for _, i := range p.Indicators {
		if i.ID != 0 && !bytes.Contains(i.Raw, []byte(strconv.FormatInt(i.ID, 10))) {
			return fmt.Errorf("raw of %d is %s", i.ID, i.Raw)
		}
		l.order = append(l.order, i.ID)
		l.seen[i.ID]++
	}
	return nil
}

func (l *ledger) unseen(ids []int64) ([]int64, error) {
	var missing []int64
	for _, id := range ids {
		if l.seen[id] == 0 {
			missing = append(missing, id)
		}
	}
	return missing, nil
}

func (l *ledger) download(c *Client, s Selection) error {
	return c.Download(context.Background(), s, l.handle, l.unseen)
}
