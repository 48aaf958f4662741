package tcserver

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// tcexVersions are the versions of the client, where the environment names the Python that has one, and its usual folder.
var tcexVersions = []struct{ version, variable, folder string }{
	{"5.0.0", "MS_SENTINEL_TCEX5", "tcex5"},
	{"4.0.11", "MS_SENTINEL_TCEX4", "tcex4"},
}

// The vendor's own client, which nobody here wrote, reads the stand-in over TLS, signed as it signs, and sees what the
// population holds.
func TestTcEx(t *testing.T) {
	for _, c := range tcexVersions {
		t.Run(c.version, func(t *testing.T) {
			t.Parallel()
			s := New(Options{Population: Generate(1800, 1, testNow)})
			for _, r := range s.Rows()[1000:1030] {
				if err := s.Delete(r.ID); err != nil {
					t.Fatal(err)
				}
			}
			requests := readRequests(s)
			got := readByTcEx(t, s, findTcEx(t, c.variable, c.folder), requests)
			if got.Version != c.version {
				t.Errorf("the client is tcex %s, want %s", got.Version, c.version)
			}
			checkOwners(t, s, got)
			checkSelections(t, s, requests.Selections, got)
			checkRows(t, s, requests.One, got)
			checkDeleted(t, s, got.Deleted)
			checkMetadata(t, got)
			checkRefusals(t, got.Refusals)
		})
	}
}

// A blank behind a date is more than the vendor's client takes, so ThreatConnect hardly writes one: it is a switch.
func TestTcExRefusesTrailingBlank(t *testing.T) {
	for _, c := range tcexVersions {
		t.Run(c.version, func(t *testing.T) {
			t.Parallel()
			s := New(Options{Population: Generate(1000, 1, testNow), TrailingBlank: true})
			if out, err := runTcEx(t, s, findTcEx(t, c.variable, c.folder), readRequests(s)); err == nil || !strings.Contains(out, "lastModified") {
				t.Errorf("the client reads a date with a blank behind it: %v, %.1000s", err, out)
			}
		})
	}
}

// tcexRequests say what the client is to read.
type tcexRequests struct {
	Selections []tcexSelection  `json:"selections"`
	Deleted    []map[string]any `json:"deleted"` // arguments
	One        int64            `json:"one"`
}

type tcexSelection struct {
	Filters [][3]any       `json:"filters"` // path, operator and value
	Params  map[string]any `json:"params"`
	match   func(tcexRow) bool
	order   func(a, b tcexRow) int // nil for no order
}

// tcexRow is an indicator.
type tcexRow map[string]any

func (r tcexRow) text(name string) string {
	text, _ := r[name].(string)
	return text
}

// number is -1 where there is none.
func (r tcexRow) number(name string) int64 {
	if n, ok := r[name].(json.Number); ok {
		f, _ := n.Float64()
		i, err := n.Int64()
		if err != nil {
			i = int64(f)
		}
		return i
	}
	return -1
}

// has says whether a collection has an element in which the members have these values.
func (r tcexRow) has(collection string, pairs ...string) bool {
	elements, _ := r[collection].(map[string]any)
	list, _ := elements["data"].([]any)
	return slices.ContainsFunc(list, func(e any) bool {
		for i := 0; i < len(pairs); i += 2 {
			if tcexRow(e.(map[string]any)).text(pairs[i]) != pairs[i+1] {
				return false
			}
		}
		return true
	})
}

func (r tcexRow) isActive() bool { return r["active"] == true }

// tcexSeen is what the client saw.
type tcexSeen struct {
	Version    string    `json:"version"`
	Owners     []tcexRow `json:"owners"`
	OwnerCount int       `json:"ownerCount"`
	Selections []struct {
		TQL   string  `json:"tql"`
		Count int     `json:"count"`
		IDs   []int64 `json:"ids"`
		Pages int     `json:"pages"`
	} `json:"selections"`
	Fields         []string               `json:"fields"`
	Rows           []tcexRow              `json:"rows"`
	One            tcexRow                `json:"one"`
	Deleted        [][]tcexRow            `json:"deleted"`
	AttributeTypes []string               `json:"attributeTypes"`
	Properties     []string               `json:"properties"`
	Keywords       tcexKeywords           `json:"keywords"`
	OwnerKeywords  tcexKeywords           `json:"ownerKeywords"`
	Refusals       map[string]tcexRefusal `json:"refusals"`
}

// tcexKeywords are the keywords of the client's filters and those that the API lists, each with its type.
type tcexKeywords struct {
	Used    map[string]string `json:"used"`
	Refused []string          `json:"refused"`
	Listed  map[string]string `json:"listed"`
}

type tcexRefusal struct {
	Status int `json:"status"`
	Code   int `json:"code"` // the client's own
	Body   struct {
		Status, Message, ErrCode string
	} `json:"body"`
}

func findTcEx(t *testing.T, variable, folder string) string {
	t.Helper()
	python := os.Getenv(variable)
	if python == "" {
		python = filepath.Join("..", "..", "..", ".tools", folder, "bin", "python")
	}
	if err := exec.Command(python, "-c", "import tcex").Run(); err != nil {
		t.Fatalf("%s has no tcex (%v): run ./package.sh test once, which installs it, or name a Python that has it in %s", python, err, variable)
	}
	return python
}

// runTcEx returns what the client wrote, or what it died of.
func runTcEx(t *testing.T, s *Server, python string, requests tcexRequests) (string, error) {
	t.Helper()
	server := httptest.NewTLSServer(s)
	defer server.Close()
	authority := filepath.Join(t.TempDir(), "authority.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(authority, block, 0o600); err != nil {
		t.Fatal(err)
	}
	asked, err := json.Marshal(requests)
	if err != nil {
		t.Fatal(err)
	}
	var out, failure bytes.Buffer
	cmd := exec.Command(python, filepath.Join("testdata", "read.py"), server.URL+"/api", DefaultAccessID, DefaultSecretKey)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(asked), &out, &failure
	cmd.Env = append(os.Environ(), "REQUESTS_CA_BUNDLE="+authority, "NO_PROXY=127.0.0.1")
	if err := cmd.Run(); err != nil {
		return failure.String(), err
	}
	return out.String(), nil
}

func readByTcEx(t *testing.T, s *Server, python string, requests tcexRequests) (seen tcexSeen) {
	t.Helper()
	out, err := runTcEx(t, s, python, requests)
	if err != nil {
		t.Fatalf("the client gave up: %v\n%s", err, out)
	}
	d := json.NewDecoder(strings.NewReader(out))
	d.UseNumber()
	if err := d.Decode(&seen); err != nil {
		t.Fatal(err)
	}
	return seen
}

func parseTcExRow(t *testing.T, document []byte) (r tcexRow) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber()
	if err := d.Decode(&r); err != nil {
		t.Fatal(err)
	}
	return r
}

const (
	tcexFeeds = "Open Feeds Collection"
	tcexSince = "2025-06-01T00:00:00Z"
)

// readRequests are selections by the client's own filters: by type, owner, numbers, dates, tags, attributes, labels, groups
// and summaries; with an order; and one that is too long for a query.
func readRequests(s *Server) tcexRequests {
	rows := s.Rows()
	var summaries []string
	for _, r := range rows {
		if r.Type == "File" && len(summaries) < 60 {
			summaries = append(summaries, r.Summary())
		}
	}
	ids := []int64{rows[3].ID, rows[900].ID, rows[len(rows)-1].ID}
	all := map[string]any{"fields": []string{"tags"}, "resultLimit": 100}
	return tcexRequests{One: rows[5].ID, Deleted: []map[string]any{
		{"deleted_since": nil}, {"deleted_since": nil, "owner": tcexFeeds}, {"deleted_since": "2025-06-01", "owner": tcexFeeds, "type_": "Host"},
		{"deleted_since": "2100-01-01", "owner": tcexFeeds},
	}, Selections: []tcexSelection{
		{[][3]any{{"type_name", "IN", []string{"Host", "URL"}}}, all, func(r tcexRow) bool { return r.text("type") == "Host" || r.text("type") == "URL" }, nil},
		{[][3]any{{"owner_name", "EQ", tcexFeeds}, {"confidence", "GT", 50}, {"rating", "GEQ", 3}}, map[string]any{"result_limit": 50}, func(r tcexRow) bool {
			return r.text("ownerName") == tcexFeeds && r.number("confidence") > 50 && r.number("rating") >= 3
		}, nil},
		{[][3]any{{"last_modified", "GEQ", tcexSince}, {"date_added", "LT", tcexSince}}, map[string]any{"owner": tcexFeeds}, func(r tcexRow) bool {
			return r.text("ownerName") == tcexFeeds && r.text("lastModified") >= tcexSince && r.text("dateAdded") < tcexSince
		}, nil},
		{[][3]any{{"tag", "EQ", "Phishing"}}, nil, func(r tcexRow) bool { return r.has("tags", "name", "Phishing") }, nil},
		{[][3]any{{"has_tag.technique_id", "EQ", "T1566"}}, nil, func(r tcexRow) bool { return r.has("tags", "techniqueId", "T1566") }, nil},
		{[][3]any{{"has_attribute.type_name", "EQ", "Phase of Intrusion"}, {"has_attribute.text", "EQ", "C2"}}, nil, func(r tcexRow) bool {
			return r.has("attributes", "type", "Phase of Intrusion", "value", "C2")
		}, nil},
		{[][3]any{{"security_label", "IN", []string{"TLP:RED", "TLP:AMBER"}}}, nil, func(r tcexRow) bool {
			return r.has("securityLabels", "name", "TLP:RED") || r.has("securityLabels", "name", "TLP:AMBER")
		}, nil},
		{[][3]any{{"has_group.type_name", "EQ", "Malware"}, {"threat_assess_score", "GT", 700}}, nil, func(r tcexRow) bool {
			return r.has("associatedGroups", "type", "Malware") && r.number("threatAssessScore") > 700
		}, nil},
		{[][3]any{{"summary", "CONTAINS", "example"}, {"summary", "NOT_LIKE", "%.test%"}}, nil, func(r tcexRow) bool {
			return strings.Contains(r.text("summary"), "example") && !strings.Contains(r.text("summary"), ".test")
		}, nil},
		{[][3]any{{"id", "IN", ids}, {"indicator_active", "IN", "(true,false)"}}, nil, func(r tcexRow) bool { return slices.Contains(ids, r.number("id")) }, nil},
		{[][3]any{{"summary", "IN", summaries}}, map[string]any{"resultLimit": 25}, func(r tcexRow) bool { return slices.Contains(summaries, r.text("summary")) }, nil},
		{[][3]any{{"type_name", "EQ", "Address"}}, map[string]any{"sorting": "lastModified DESC id ASC", "resultLimit": 40},
			func(r tcexRow) bool { return r.text("type") == "Address" }, func(a, b tcexRow) int {
				if c := strings.Compare(b.text("lastModified"), a.text("lastModified")); c != 0 {
					return c
				}
				return int(a.number("id") - b.number("id"))
			}},
		{[][3]any{{"indicator_active", "EQ", false}}, nil, func(r tcexRow) bool { return !r.isActive() }, nil},
	}}
}

func checkOwners(t *testing.T, s *Server, got tcexSeen) {
	t.Helper()
	var want []string
	for _, o := range s.Owners() {
		want = append(want, fmt.Sprint(o.ID, o.Name, o.Type, "FULL"))
	}
	var seen []string
	for _, o := range got.Owners {
		seen = append(seen, fmt.Sprint(o.number("id"), o.text("name"), o.text("type"), o.text("permIndicator")))
	}
	if !slices.Equal(seen, want) || got.OwnerCount != len(want) {
		t.Errorf("%d owners, %q; want %q", got.OwnerCount, seen, want)
	}
}

func checkSelections(t *testing.T, s *Server, asked []tcexSelection, got tcexSeen) {
	t.Helper()
	var rows []tcexRow
	for _, r := range s.Rows() {
		rows = append(rows, parseTcExRow(t, r.JSON()))
	}
	for i, a := range asked {
		seen, limit := got.Selections[i], 100
		for _, name := range []string{"resultLimit", "result_limit"} {
			if n, ok := a.Params[name].(int); ok {
				limit = n
			}
		}
		both := strings.Contains(seen.TQL, "indicatorActive")
		found := slices.DeleteFunc(slices.Clone(rows), func(r tcexRow) bool { return !a.match(r) || !both && !r.isActive() })
		if a.order != nil {
			slices.SortFunc(found, a.order)
		} else {
			slices.Sort(seen.IDs)
		}
		want := make([]int64, len(found))
		for i, r := range found {
			want[i] = r.number("id")
		}
		pages := (len(want) + limit - 1) / limit
		if len(want) == 0 || !slices.Equal(seen.IDs, want) || seen.Count != len(want) || seen.Pages != pages {
			t.Errorf("%.200s: the client saw %d in %d pages and counted %d, want %d in %d pages", seen.TQL, len(seen.IDs), seen.Pages, seen.Count, len(want), pages)
		}
	}
}

// checkRows compares every active row with all its members.
func checkRows(t *testing.T, s *Server, one int64, got tcexSeen) {
	t.Helper()
	if !slices.Equal(got.Fields, fieldNames) {
		t.Errorf("the client found the fields %q", got.Fields)
	}
	held := map[int64]tcexRow{}
	for _, r := range s.Rows() {
		if row := parseTcExRow(t, renameValues(r.JSON(), 0, r.Type)); row.isActive() {
			held[r.ID] = row
		}
	}
	if len(got.Rows) != len(held) {
		t.Errorf("the client saw %d rows, want %d", len(got.Rows), len(held))
	}
	for _, seen := range append(got.Rows, got.One) {
		want, ok := held[seen.number("id")]
		if problem := differ("", map[string]any(want), map[string]any(seen)); !ok || problem != "" {
			t.Errorf("the indicator %d is another one to the client: %s", seen.number("id"), problem)
		}
	}
	if got.One.number("id") != one {
		t.Errorf("asked for %d, the client got %d", one, got.One.number("id"))
	}
}

// differ names the first member of held that was seen otherwise, "" for none. The client gives each value the type of its
// model, writes dates in its own way, and fills empty collections.
func differ(path string, held, seen any) string {
	switch held := held.(type) {
	case map[string]any:
		other, ok := seen.(map[string]any)
		if !ok {
			return fmt.Sprintf("%s is %v", path, seen)
		}
		for name, value := range held {
			if name == "count" && held["data"] != nil {
				continue // the client counts by itself
			}
			if problem := differ(path+"."+name, value, other[name]); problem != "" {
				return problem
			}
		}
		return ""
	case []any:
		other, ok := seen.([]any)
		if !ok || len(held) != len(other) {
			return fmt.Sprintf("%s is %v", path, seen)
		}
		for i := range held {
			if problem := differ(path+"["+strconv.Itoa(i)+"]", held[i], other[i]); problem != "" {
				return problem
			}
		}
		return ""
	}
	if sameScalar(fmt.Sprint(held), fmt.Sprint(seen)) {
		return ""
	}
	return fmt.Sprintf("%s is %v, not %v", path, seen, held)
}

func sameScalar(a, b string) bool {
	if a == b {
		return true
	}
	if at, err := time.Parse(time.RFC3339, a); err == nil {
		other, err := time.Parse(time.RFC3339, b)
		return err == nil && at.Equal(other)
	}
	x, err := strconv.ParseFloat(a, 64)
	y, other := strconv.ParseFloat(b, 64)
	return err == nil && other == nil && x == y && x < 1<<53
}

func checkDeleted(t *testing.T, s *Server, got [][]tcexRow) {
	t.Helper()
	var own, feeds, hosts []string
	for _, d := range s.Deletions() {
		line := fmt.Sprint(d.Owner, d.Type, d.Summary, d.Deleted.Unix())
		if d.Owner == s.Owners()[0].Name {
			own = append(own, line)
		}
		if d.Owner == tcexFeeds {
			feeds = append(feeds, line)
		}
		if d.Owner == tcexFeeds && d.Type == "Host" {
			hosts = append(hosts, line)
		}
	}
	for i, want := range [][]string{own, feeds, hosts, nil} {
		var seen []string
		for _, r := range got[i] {
			at, err := time.Parse(time.RFC3339, r.text("dateAdded"))
			if err != nil {
				t.Fatal(err)
			}
			seen = append(seen, fmt.Sprint(r.text("ownerName"), r.text("type"), r.text("summary"), at.Unix()))
		}
		if !slices.Equal(seen, want) || i < 3 && len(want) == 0 {
			t.Errorf("deleted list %d is %q, want %q", i, seen, want)
		}
	}
}

// checkMetadata holds the listed keywords to the client's filters, which were generated from the lists of a real
// ThreatConnect.
func checkMetadata(t *testing.T, got tcexSeen) {
	t.Helper()
	for name, k := range map[string]tcexKeywords{"indicators": got.Keywords, "owners": got.OwnerKeywords} {
		if len(k.Refused) > 0 {
			t.Errorf("%s: refused are the client's own keywords %q", name, k.Refused)
		}
		for keyword, typ := range k.Used {
			if k.Listed[keyword] != typ {
				t.Errorf("%s: %s is listed as %q, the client knows it as %s", name, keyword, k.Listed[keyword], typ)
			}
		}
		for _, keyword := range []string{"associatedGroupSource", "associatedIndicatorSource", "threatAssessLastUpdated"} { // newer than the client
			delete(k.Listed, keyword)
		}
		if len(k.Used) == 0 || len(k.Listed) != len(k.Used) {
			t.Errorf("%s: listed are %q, the client knows %q", name, slices.Sorted(maps.Keys(k.Listed)), slices.Sorted(maps.Keys(k.Used)))
		}
	}
	if len(got.AttributeTypes) != 6 || !slices.Contains(got.AttributeTypes, "Phase of Intrusion") || !slices.Contains(got.Properties, "webLink") {
		t.Errorf("attribute types %q, members %q", got.AttributeTypes, got.Properties)
	}
}

func checkRefusals(t *testing.T, got map[string]tcexRefusal) {
	t.Helper()
	for name, want := range map[string]struct {
		status        int
		code, message string
	}{
		"query":   {400, "0x2001", "Syntax error"},
		"owner":   {403, "0x1003", "owner was not found"},
		"field":   {400, "0x1001", "nothing"},
		"limit":   {400, "0x1001", "resultLimit"},
		"sorting": {400, "0x1001", "nope"},
		"key":     {401, "", "Signature data did not match expected result"},
		"user":    {401, "", "Access Denied"},
		"clock":   {401, "", "Timestamp out of acceptable time range"},
	} {
		r := got[name]
		if r.Status != want.status || r.Body.ErrCode != want.code || !strings.Contains(r.Body.Message, want.message) || r.Body.Status != "Error" || r.Code != 950 {
			t.Errorf("refused %s: %+v, want %+v", name, r, want)
		}
	}
}
