package threatconnect

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"mssentinel/app/jsonscan"
	"mssentinel/app/standin/tcserver/tql"
)

// FuzzPage compares the reading of an answer with that of encoding/json: what is taken for an answer has its elements, and
// each indicator the members that say which one it is.
func FuzzPage(f *testing.F) {
	f.Fuzz(func(t *testing.T, body []byte) {
		a, ok := parseAnswer(body)
		members, valid := readObject(body)
		if valid && !ok {
			t.Fatalf("%q is an object, and was not read", body)
		}
		list := a.parseIndicators()
		if len(list) != len(a.items) {
			t.Fatalf("%d items became %d indicators", len(a.items), len(list))
		}
		if !ok || !valid {
			return
		}
		compareItems(t, a, members)
		for i := range list {
			compareIndicator(t, &list[i])
		}
	})
}

// objectMember is a member of an object, by a name without its escapes.
type objectMember struct {
	name  string
	value json.RawMessage
}

// readObject reads an object by encoding/json; false for anything else, and for what is nested deeper than we read or has
// an escape in a name, which we take for another name.
func readObject(text []byte) (members []objectMember, ok bool) {
	if !json.Valid(text) || !utf8.Valid(text) || bytes.Count(text, []byte("{"))+bytes.Count(text, []byte("[")) > jsonscan.MaxDepth {
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return nil, false
	}
	for d.More() {
		name, err := d.Token()
		var value json.RawMessage
		if err != nil || d.Decode(&value) != nil || !bytes.Contains(text, []byte(strconv.Quote(name.(string)))) {
			return nil, false
		}
		members = append(members, objectMember{name.(string), value})
	}
	return members, true
}

func compareItems(t *testing.T, a answer, members []objectMember) {
	var want []json.RawMessage
	for _, m := range members {
		var list []json.RawMessage
		if m.name == "data" && json.Unmarshal(m.value, &list) == nil {
			want = append(want, list...)
		}
	}
	if !slices.EqualFunc(a.items, want, func(got []byte, want json.RawMessage) bool { return bytes.Equal(got, want) }) {
		t.Fatalf("the items are %q, want %q", a.items, want)
	}
}

// compareIndicator compares an indicator that has each of its members once, as texts and numbers.
func compareIndicator(t *testing.T, i *Indicator) {
	members, ok := readObject(i.Raw)
	if !ok {
		return
	}
	values := map[string]any{}
	for _, m := range members {
		if _, twice := values[m.name]; twice {
			return
		}
		d := json.NewDecoder(bytes.NewReader(m.value))
		d.UseNumber()
		var value any
		if err := d.Decode(&value); err != nil {
			t.Fatal(err)
		}
		values[m.name] = value
	}
	for name, got := range map[string]string{"type": i.Type, "ownerName": i.Owner} {
		if want, isText := values[name].(string); isText && got != want {
			t.Fatalf("%s of %q is %q, want %q", name, i.Raw, got, want)
		}
	}
	if number, ok := values["id"].(json.Number); ok {
		if want, err := number.Int64(); err == nil && i.ID != want {
			t.Fatalf("the id of %q is %d", i.Raw, i.ID)
		}
	}
}

// answering is a server that gives one answer to whatever it is asked.
type answering struct {
	status int
	header http.Header
	body   []byte
}

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: a.status, Header: a.header, Body: io.NopCloser(bytes.NewReader(a.body)), Request: r, ContentLength: -1}, nil
}

// FuzzRefusal has ThreatConnect, or what stands in its place, answer anything. Only a list with the word Success is one;
// what is told of anything else is short, one line, and without the secrets of the request, which SECRET in an answer and
// "SECRET" in its JSON stand for. The status counts from 200.
func FuzzRefusal(f *testing.F) {
	secret := []byte(testSecret)
	quoted, _ := json.Marshal(testSecret)
	f.Fuzz(func(t *testing.T, status int, contentType, location string, body []byte) {
		status = 200 + (status%400+400)%400
		body = bytes.ReplaceAll(bytes.ReplaceAll(body, []byte(`"SECRET"`), quoted), []byte("SECRET"), secret)
		header := http.Header{"Content-Type": {contentType}, "Location": {location}}
		c := New(Options{BaseURL: "https://example.com/api", AccessID: testID, SecretKey: func() string { return testSecret },
			Transport: answering{status, header, body}})
		a, err := c.tryList(t.Context(), newRequest("/v3/indicators", nil), new(bytes.Buffer))
		if err == nil {
			if status/100 != 2 || !a.hasList || a.status != "Success" {
				t.Fatalf("status %d and %q passed for a list", status, body)
			}
			return
		}
		says := err.Error()
		if strings.Contains(says, strings.TrimSpace(testSecret)) || strings.Contains(says, string(quoted)) {
			t.Fatalf("the error %q has the secret", says)
		}
		if len(says) > 2000 || !utf8.ValidString(says) || strings.ContainsAny(says, "\r\n\x00") {
			t.Fatalf("the error cannot be shown: %q", says)
		}
		var refused *Error
		if errors.As(err, &refused) {
			refused.IsTQL()
			refused.Permanent()
			if fault, found := (Query{TQL: "rating = 3"}).LocateFault(err); found && fault.Offset+fault.Length > len("rating = 3") {
				t.Fatalf("%q is said to be about %+v", says, fault)
			}
		}
	})
}

// FuzzTQL composes queries. TQL that passes cannot reach beyond its parentheses, as the stand-in's parser of TQL reads
// them, and a name of an owner stays one name.
func FuzzTQL(f *testing.F) {
	f.Fuzz(func(t *testing.T, written, owner string) {
		q := Query{Owners: []string{owner, "Other"}, Types: []string{"Host"}, TQL: written}
		if err := q.Check(); err != nil {
			checkFault(t, written, err)
			return
		}
		composed := Selection{Query: q, From: time.Unix(0, 0)}.composeTQL(idCondition([]int64{5}))
		whole, err := tql.Parse(composed)
		if err != nil {
			return // the user's part is wrong in itself, and ThreatConnect says so
		}
		var conditions []tql.Node
		for {
			and, ok := whole.(*tql.And)
			if !ok {
				break
			}
			conditions, whole = append(conditions, and.Right), and.Left
			if len(conditions) == 4 {
				break
			}
		}
		if strings.TrimSpace(written) == "" {
			return
		}
		alone, err := tql.Parse(written)
		if err != nil || len(conditions) != 4 || tql.Format(whole) != tql.Format(alone) {
			t.Fatalf("%q reaches beyond its parentheses in %q (%v)", written, composed, err)
		}
		if tql.Mentions(alone, "ownerName") || tql.Mentions(alone, "typeName") {
			t.Fatalf("%q names what is set elsewhere", written)
		}
		owners, ok := conditions[3].(*tql.Term)
		if !ok || len(owners.Values) != 2 || owners.Values[0].Text != owner {
			t.Fatalf("the owner %q is %#v in %q", owner, conditions[3], composed)
		}
	})
}

// checkFault has a fault lie within the TQL.
func checkFault(t *testing.T, written string, err error) {
	var fault *TQLFault
	if !errors.As(err, &fault) {
		t.Fatalf("%q: %v has no place", written, err)
	}
	if fault.Offset < 0 || fault.Length < 0 || fault.Offset+fault.Length > len(written) || fault.Reason == "" {
		t.Fatalf("%q: the fault lies at %d, %d: %s", written, fault.Offset, fault.Length, fault.Reason)
	}
}
