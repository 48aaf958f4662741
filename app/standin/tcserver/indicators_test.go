package tcserver

import (
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const listPath = "/api/v3/indicators"

func listOfIDs(t *testing.T, s *Server, q Query) []string {
	t.Helper()
	rows, err := s.Select(q)
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = strconv.FormatInt(r.ID, 10)
	}
	return ids
}

// followed reads all pages by their next links.
func followed(t *testing.T, s *Server, target string) (ids []string) {
	t.Helper()
	for target != "" {
		l := get(t, s, target)
		ids = append(ids, l.ids()...)
		target = l.Next
	}
	return ids
}

func TestPaging(t *testing.T) {
	s := newTest(t, Options{})
	for _, sorting := range []string{"", "id asc", "id desc", "lastModified DESC id DESC", "rating nullslast summary asc", "ownerName asc confidence desc id asc"} {
		want := listOfIDs(t, s, Query{Sorting: sorting})
		if got := followed(t, s, listPath+"?resultLimit=700&sorting="+url.QueryEscape(sorting)); !slices.Equal(got, want) {
			t.Errorf("%q: %d rows, or in another order, want %d", sorting, len(got), len(want))
		}
	}
}

func TestKeysetPaging(t *testing.T) {
	s := newTest(t, Options{})
	want := listOfIDs(t, s, Query{TQL: `typeName in ("Host","URL") and rating >= 2`})
	var got []string
	for highest := "0"; ; highest = got[len(got)-1] {
		tql := `(typeName in ("Host","URL") and rating >= 2) AND id > ` + highest
		page := get(t, s, listPath+"?resultLimit=100&sorting=id+ASC&tql="+url.QueryEscape(tql))
		got = append(got, page.ids()...)
		if len(page.Data) < 100 {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d rows, want %d", len(got), len(want))
	}
	if last, _ := strconv.ParseInt(got[len(got)-1], 10, 64); last <= 1<<53 {
		t.Error("no id beyond 2^53")
	}
}

func TestLinksAndCount(t *testing.T) {
	s := newTest(t, Options{})
	query := "tql=typeName%20in%20(%22Host%22)&count=true&fields=tags&fields=attributes&createActivityLog=false"
	l := get(t, s, listPath+"?resultStart=5&resultLimit=10&"+query)
	if want := "https://example.com" + listPath + "?resultStart=15&resultLimit=10&" + query; l.Next != want {
		t.Errorf("next %s\nwant %s", l.Next, want)
	}
	if want := "https://example.com" + listPath + "?resultStart=0&resultLimit=10&" + query; l.Prev != want {
		t.Errorf("prev %s\nwant %s", l.Prev, want)
	}
	if l.Count != nil {
		t.Error("a count after the first page")
	}
	if l = get(t, s, listPath+"?resultLimit=10&"+query); l.Count == nil || *l.Count != len(listOfIDs(t, s, Query{TQL: `typeName="Host"`})) || l.Prev != "" {
		t.Errorf("count %v, prev %q", l.Count, l.Prev)
	}
	if l = get(t, s, listPath+"?resultLimit=10"); l.Count != nil || len(l.Data) != 10 {
		t.Error("a count that nobody asked for")
	}
	if l = get(t, s, listPath); len(l.Data) != 100 {
		t.Errorf("%d rows without a limit", len(l.Data))
	}
	if w := call(s, "GET", listPath+"?tql=id+%3D+1", ""); w.Body.String() != `{"data":[],"status":"Success"}` {
		t.Errorf("nothing: %s", w.Body)
	}
	if l = get(t, s, listPath+"?resultStart=100000"); len(l.Data) != 0 || l.Next != "" || l.Prev == "" {
		t.Errorf("beyond the end: %d rows, next %q, prev %q", len(l.Data), l.Next, l.Prev)
	}
	if l = get(t, s, listPath+"?resultLimit=1&tql=id+%3D+"+listOfIDs(t, s, Query{})[0]); len(l.Data) != 1 || l.Next != "" {
		t.Errorf("a last page that is full: %d rows, next %q", len(l.Data), l.Next)
	}
	other := newTest(t, Options{LinkBase: "https://inner.example:8443"})
	if l = get(t, other, listPath+"?resultLimit=1"); !strings.HasPrefix(l.Next, "https://inner.example:8443"+listPath+"?") {
		t.Errorf("next %s", l.Next)
	}
}

func TestBadRequests(t *testing.T) {
	s := newTest(t, Options{})
	tests := map[string]struct {
		status int
		code   string
		words  string
	}{
		"tql=foo+%3D+1": {400, codeTQL, tqlMessage + " unknown keyword foo at position 1."},
		"tql=(id+%3D+1": {400, codeTQL, "position 8"},
		"tql=lastModified+%3E+%222026-01-01T00:00:00.5Z%22": {400, codeTQL, "fraction of a second"},
		"tql=hasTag(foo+%3D+1)":                             {400, codeTQL, "unknown keyword foo at position 8"},
		"sorting=foo+asc":                                   {400, codeBadRequest, `"foo"`},
		"sorting=id":                                        {400, codeBadRequest, "pairs"},
		"sorting=id+up":                                     {400, codeBadRequest, `"up"`},
		"sorting=hasTag+asc":                                {400, codeBadRequest, "hasTag"},
		"owner=Nobody":                                      {403, codeForbidden, "The requested owner was not found"},
		"resultLimit=10001":                                 {400, codeBadRequest, "10000"},
		"resultLimit=x":                                     {400, codeBadRequest, "resultLimit"},
		"resultStart=-1":                                    {400, codeBadRequest, "resultStart"},
		"fields=nothing":                                    {400, codeBadRequest, "nothing"},
		"fields=associatedGroups.attributes.securityLabels": {400, codeBadRequest, "link limit"},
	}
	for query, want := range tests {
		w := call(s, "GET", listPath+"?"+query, "")
		l := decode(t, w.Body.String())
		if w.Code != want.status || l.ErrCode != want.code || !strings.Contains(l.Message, want.words) || l.Status != "Error" {
			t.Errorf("%s: %d %s", query, w.Code, w.Body)
		}
	}
}

func TestSwitches(t *testing.T) {
	s := newTest(t, Options{ClampLimit: true, LinkLimit: -1, LinkLimitStatus: 403})
	if l := get(t, s, listPath+"?resultLimit=20000"); len(l.Data) < 2000 {
		t.Errorf("%d rows", len(l.Data))
	}
	if w := call(s, "GET", listPath+"?fields=associatedGroups.tags", ""); w.Code != 403 {
		t.Errorf("a dotted field: %d", w.Code)
	}
	if s := newTest(t, Options{LinkLimit: 2}); call(s, "GET", listPath+"?fields=associatedGroups.attributes.securityLabels", "").Code != 200 {
		t.Error("a deep field is refused")
	}
}

func TestParametersInBody(t *testing.T) {
	s := newTest(t, Options{})
	body := `{"data":{"tql":"typeName in (\"Host\")","fields":["tags","attributes"],"resultLimit":3,"resultStart":0,"count":true,"createActivityLog":false}}`
	w := call(s, "GET", listPath, body, "Content-Type", "application/json")
	l := decode(t, w.Body.String())
	if len(l.Data) != 3 || l.Count == nil || l.Data[0]["type"] != "Host" || l.Data[0]["tags"] == nil || l.Data[0]["attributes"] == nil {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if next := get(t, s, l.Next); len(next.Data) != 3 || next.Data[0]["id"] == l.Data[0]["id"] || next.Data[0]["tags"] == nil {
		t.Errorf("next of it: %v", next)
	}
	for name, header := range map[string][]string{"no type": {}, "form": {"Content-Type", "application/x-www-form-urlencoded"}} {
		if w := call(s, "GET", listPath, body, header...); w.Code != 400 {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
	if w := call(s, "GET", listPath+"?resultLimit=1", body, "Content-Type", "application/json"); w.Code != 400 {
		t.Errorf("query and body: %d", w.Code)
	}
	if w := call(s, "GET", listPath, `[1]`, "Content-Type", "application/json"); w.Code != 400 {
		t.Errorf("no object: %d", w.Code)
	}
	if l := decode(t, call(newTest(t, Options{NoBody: true}), "GET", listPath, body, "Content-Type", "application/json").Body.String()); len(l.Data) != 100 {
		t.Errorf("a body that is not understood changes the answer: %d rows", len(l.Data))
	}
}

func TestFieldsAddMembers(t *testing.T) {
	s := newTest(t, Options{})
	optional := map[string]bool{}
	for name := range memberField {
		optional[name] = true
	}
	for _, row := range get(t, s, listPath+"?resultLimit=3000").Data {
		for name := range row {
			if optional[name] {
				t.Fatalf("%s is there without being asked for", name)
			}
		}
	}
	for _, field := range []string{"tags", "attributes", "securityLabels", "associatedGroups", "threatAssess", "sightings", "externalDates", "observations", "falsePositives", "TAGS", "attributes.securityLabels"} {
		seen := map[string]bool{}
		for _, row := range get(t, s, listPath+"?resultLimit=3000&fields="+field).Data {
			for name := range row {
				if optional[name] {
					seen[name] = true
				}
			}
		}
		first, _, _ := strings.Cut(field, ".")
		bit, _ := fieldNamed(first)
		for name, index := range memberField {
			if bit.hasField(index) != seen[name] {
				t.Errorf("fields=%s and %s: %v", field, name, seen[name])
			}
		}
	}
}

func TestGenericValues(t *testing.T) {
	s := newTest(t, Options{})
	l := get(t, s, listPath+"?resultLimit=1&fields=genericCustomIndicatorValues&tql=typeName+%3D+%22Registry+Key%22")
	row := l.Data[0]
	if row["Key Name"] != nil || row["value1"] == nil || row["value3"] == nil {
		t.Errorf("%v", row)
	}
	l = get(t, s, listPath+"?resultLimit=1&fields=genericCustomIndicatorValues&tql=typeName+%3D+%22Host%22")
	if l.Data[0]["hostName"] == nil {
		t.Errorf("%v", l.Data[0])
	}
}

func TestOnlyActiveUnlessAsked(t *testing.T) {
	s := newTest(t, Options{})
	all := s.Rows()
	active := 0
	for _, r := range all {
		active += int(toInt(r.Active))
	}
	for tql, want := range map[string]int{
		``: active, `id > 0`: active, `indicatorActive = true`: active, `INDICATORACTIVE = false`: len(all) - active,
		`indicatorActive in (true,false)`: len(all), `(indicatorActive = true or indicatorActive = false)`: len(all),
	} {
		if got := len(listOfIDs(t, s, Query{TQL: tql})); got != want {
			t.Errorf("%s: %d, want %d", tql, got, want)
		}
	}
}

// decoded is a row as an independent reader sees it.
type decoded struct {
	ID           int64
	OwnerName    string
	Type         string
	Summary      string
	Description  *string
	DateAdded    string
	LastModified string
	Rating       *float64
	Confidence   *int
	Score        *int `json:"threatAssessScore"`
	CalScore     *int
	Active       bool
	FirstSeen    *string
	IP           string
	Key          string `json:"Key Name"`
	ValueName    string `json:"Value Name"`
	Tags         struct {
		Data []struct{ Name, TechniqueID string }
	}
	Labels struct {
		Data []struct{ Name, Color string }
	} `json:"securityLabels"`
	Attributes struct {
		Data []struct{ Type, Value string }
	}
	Groups struct {
		Data []struct {
			ID         int64
			Type, Name string
		}
	} `json:"associatedGroups"`
}

func decodedRows(t *testing.T, s *Server) []decoded {
	t.Helper()
	rows := s.Rows()
	all := make([]decoded, len(rows))
	for i, r := range rows {
		if err := json.Unmarshal(r.JSON(), &all[i]); err != nil {
			t.Fatalf("row %d: %v in %s", r.ID, err, r.JSON())
		}
	}
	return all
}

func TestSelectAgreesWithWhatRowsSay(t *testing.T) {
	s := newTest(t, Options{})
	rows := decodedRows(t, s)
	tagged := func(d decoded, name string) bool {
		return slices.ContainsFunc(d.Tags.Data, func(tag struct{ Name, TechniqueID string }) bool { return tag.Name == name })
	}
	tests := map[string]func(decoded) bool{
		`ownerName in ("Open Feeds Collection", "Mail Abuse Watch")`: func(d decoded) bool {
			return d.OwnerName == "Open Feeds Collection" || d.OwnerName == "Mail Abuse Watch"
		},
		`typeName = "File" and rating >= 3`: func(d decoded) bool { return d.Type == "File" && d.Rating != nil && *d.Rating >= 3 },
		`type = 4`:                          func(d decoded) bool { return d.Type == "Host" },
		`owner = 1201`:                      func(d decoded) bool { return d.OwnerName == "Demo Organization" },
		`rating is null`:                    func(d decoded) bool { return d.Rating == nil },
		`confidence > 50`:                   func(d decoded) bool { return d.Confidence != nil && *d.Confidence > 50 },
		`threatAssessScore >= 500`:          func(d decoded) bool { return d.Score != nil && *d.Score >= 500 },
		`calScore < 300`:                    func(d decoded) bool { return d.CalScore != nil && *d.CalScore < 300 },
		`lastModified >= "2025-06-01T00:00:00Z" and lastModified < "2025-09-01"`: func(d decoded) bool {
			return strings.TrimSpace(d.LastModified) >= "2025-06-01T00:00:00Z" && d.LastModified < "2025-09-01T00:00:00Z"
		},
		`dateAdded < "2025-01-01 00:00:00"`: func(d decoded) bool { return d.DateAdded < "2025-01-01T00:00:00Z" },
		`firstSeen is not null`:             func(d decoded) bool { return d.FirstSeen != nil },
		`summary like "%.example.com"`:      func(d decoded) bool { return strings.HasSuffix(d.Summary, ".example.com") },
		`summary contains "ü"`:              func(d decoded) bool { return strings.Contains(d.Summary, "ü") },
		`description is null`:               func(d decoded) bool { return d.Description == nil },
		`tag = "Phishing"`:                  func(d decoded) bool { return tagged(d, "Phishing") },
		`tag in ("Botnet","検体")`:            func(d decoded) bool { return tagged(d, "Botnet") || tagged(d, "検体") },
		`tag not in ("Botnet")`:             func(d decoded) bool { return !tagged(d, "Botnet") },
		`hasTag(techniqueId startswith "T1566")`: func(d decoded) bool {
			return slices.ContainsFunc(d.Tags.Data, func(tag struct{ Name, TechniqueID string }) bool { return strings.HasPrefix(tag.TechniqueID, "T1566") })
		},
		`attackTag = "Phishing"`: func(d decoded) bool {
			return slices.ContainsFunc(d.Tags.Data, func(tag struct{ Name, TechniqueID string }) bool {
				return tag.Name == "Phishing" && tag.TechniqueID != ""
			})
		},
		`hasSecurityLabel(name in ("TLP:RED","TLP:AMBER"))`: func(d decoded) bool {
			return slices.ContainsFunc(d.Labels.Data, func(l struct{ Name, Color string }) bool { return l.Name == "TLP:RED" || l.Name == "TLP:AMBER" })
		},
		`securityLabel is null`: func(d decoded) bool { return len(d.Labels.Data) == 0 },
		`hasAttribute(typeName="Phase of Intrusion" and text="C2")`: func(d decoded) bool {
			return slices.ContainsFunc(d.Attributes.Data, func(a struct{ Type, Value string }) bool { return a.Type == "Phase of Intrusion" && a.Value == "C2" })
		},
		`hasGroup(typeName = "Malware" and name like "%Ransomware")`: func(d decoded) bool {
			for _, g := range d.Groups.Data {
				if g.Type == "Malware" && strings.HasSuffix(g.Name, "Ransomware") {
					return true
				}
			}
			return false
		},
		`associatedGroup in (8002000, 8003009)`: func(d decoded) bool {
			for _, g := range d.Groups.Data {
				if g.ID == 8002000 || g.ID == 8003009 {
					return true
				}
			}
			return false
		},
		`value1 startswith "HKEY_LOCAL" and value2 is null`:      func(d decoded) bool { return strings.HasPrefix(d.Key, "HKEY_LOCAL") && d.ValueName == "" },
		`addressCidr = "192.0.2.0/24"`:                           func(d decoded) bool { return strings.HasPrefix(d.IP, "192.0.2.") && d.IP != "192.0.2.999" },
		`addressIsIpv6 = true`:                                   func(d decoded) bool { return strings.Contains(d.IP, ":") },
		`id > 9007199254740993 and id not in (9007199254743992)`: func(d decoded) bool { return d.ID > 1<<53+1 && d.ID != 9007199254743992 },
		`(id <= 700100 or id >= 9007199254743990) and typeName != "Host"`: func(d decoded) bool {
			return (d.ID <= 700100 || d.ID >= 9007199254743990) && d.Type != "Host"
		},
		`id in (700001, 700004, 700004, 5) and id in (700001)`: func(d decoded) bool { return d.ID == 700001 },
		`vtMaliciousCount > 0`:                                 func(decoded) bool { return false },
	}
	for tql, matches := range tests {
		t.Run(tql, func(t *testing.T) {
			want := []string{}
			for _, d := range rows {
				if d.Active && matches(d) {
					want = append(want, strconv.FormatInt(d.ID, 10))
				}
			}
			if len(want) == 0 && !strings.HasPrefix(tql, "vt") {
				t.Fatal("the population has no such row")
			}
			for range 2 { // the second time from what was kept
				if got := listOfIDs(t, s, Query{TQL: tql}); !slices.Equal(got, want) {
					t.Fatalf("%d rows, want %d", len(got), len(want))
				}
			}
		})
	}
}

func TestSortingWithNulls(t *testing.T) {
	s := newTest(t, Options{})
	rating := func(row map[string]any) float64 {
		if row["rating"] == nil {
			return math.NaN()
		}
		f, _ := row["rating"].(json.Number).Float64()
		return f
	}
	for sorting, want := range map[string]struct {
		nullsFirst bool
		sign       float64
	}{
		"rating asc": {true, 1}, "rating desc": {false, -1}, "rating nullsfirst": {true, 1}, "RATING NULLSLAST": {false, 1},
	} {
		data := get(t, s, listPath+"?resultLimit=3000&sorting="+url.QueryEscape(sorting)).Data
		for i := 1; i < len(data); i++ {
			a, b := rating(data[i-1]), rating(data[i])
			misplaced := math.IsNaN(a) != math.IsNaN(b) && math.IsNaN(a) != want.nullsFirst
			if misplaced || (b-a)*want.sign < 0 {
				t.Errorf("%s: %v before %v", sorting, a, b)
				break
			}
		}
	}
	data := get(t, s, listPath+"?resultLimit=3000&sorting=ownerName+asc+confidence+desc+id+asc").Data
	if !slices.IsSortedFunc(data, func(a, b map[string]any) int {
		return strings.Compare(a["ownerName"].(string), b["ownerName"].(string))
	}) {
		t.Error("not by owner")
	}
}

func TestOneIndicator(t *testing.T) {
	s := newTest(t, Options{})
	host, err := s.Select(Query{TQL: `typeName = "Host"`, Owner: "Demo Organization"})
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := s.Select(Query{TQL: `typeName = "Host"`, Owner: "Open Feeds Collection"})
	if err != nil {
		t.Fatal(err)
	}
	one, other := host[5], foreign[5]
	for target, want := range map[string]int{
		fmt.Sprint(one.ID): 200, fmt.Sprint(other.ID): 200, one.Summary(): 200, other.Summary(): 404,
		other.Summary() + "?owner=Open+Feeds+Collection": 200, one.Summary() + "?owner=Nobody": 403, "12": 404,
	} {
		w := call(s, "GET", listPath+"/"+target, "")
		if w.Code != want {
			t.Errorf("%s: %d, want %d", target, w.Code, want)
		}
	}
	w := call(s, "GET", fmt.Sprintf("%s/%d?fields=tags", listPath, one.ID), "")
	var body struct {
		Data   map[string]any
		Status string
	}
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || body.Status != "Success" || body.Data["summary"] != one.Summary() || body.Data["tags"] == nil {
		t.Errorf("%v %s", err, w.Body)
	}
}
