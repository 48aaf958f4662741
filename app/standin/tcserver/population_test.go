package tcserver

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func jsonLines(p *Population) []byte {
	var b bytes.Buffer
	for _, r := range p.rows {
		b.Write(exportRow(r).JSON())
		b.WriteByte('\n')
	}
	return b.Bytes()
}

func TestGenerateIsDeterministic(t *testing.T) {
	a, b := jsonLines(Generate(2000, 7, testNow)), jsonLines(Generate(2000, 7, testNow))
	if !bytes.Equal(a, b) {
		t.Error("the same arguments give another population")
	}
	if bytes.Equal(a, jsonLines(Generate(2000, 8, testNow))) {
		t.Error("another seed gives the same population")
	}
}

// observable is a value without regard to how it was spelled.
func observable(r Row) string {
	return r.Type + " " + strings.TrimSuffix(strings.ToLower(r.Summary()), ".")
}

func TestGeneratedPopulation(t *testing.T) {
	p := Generate(DefaultCount, 1, testNow)
	types, owners, once := map[string]int{}, map[string]int{}, map[string]bool{}
	inOwners := map[string]map[string]bool{}
	var last, inactive int64
	for _, row := range p.rows {
		r := exportRow(row)
		if r.ID <= last {
			t.Fatalf("id %d after %d", r.ID, last)
		}
		last = r.ID
		types[r.Type]++
		owners[r.Owner]++
		inactive += toInt(!r.Active)
		if key := r.Owner + "\n" + r.Type + "\n" + r.Summary(); once[key] {
			t.Fatalf("twice in one owner: %q", key)
		} else {
			once[key] = true
		}
		if inOwners[observable(r)] == nil {
			inOwners[observable(r)] = map[string]bool{}
		}
		inOwners[observable(r)][r.Owner] = true
		if r.DateAdded.Before(testNow.AddDate(0, 0, -731)) || r.LastModified.Before(r.DateAdded) || r.LastModified.After(testNow) {
			t.Fatalf("%d: added %v, modified %v", r.ID, r.DateAdded, r.LastModified)
		}
	}
	shared := 0
	for _, in := range inOwners {
		shared += int(toInt(len(in) > 1))
	}
	if len(types) != 12 || len(owners) != 5 || shared < DefaultCount/30 || inactive == 0 || last <= 1<<53 {
		t.Errorf("types %v, owners %v, %d values in several owners, %d inactive, last id %d", types, owners, shared, inactive, last)
	}
	for name, n := range types {
		if n < 20 {
			t.Errorf("only %d %s", n, name)
		}
	}
}

func TestAwkwardValuesAreThere(t *testing.T) {
	text := string(jsonLines(Generate(1800, 5, testNow)))
	for _, v := range awkward {
		if member := string(appendText([]byte(`"summary":`), v.joinParts())); !strings.Contains(text, member) {
			t.Errorf("%s is missing", member)
		}
	}
	for name, pattern := range map[string]string{
		"size as a string": `"size":"\d+"`, "size as a number": `"size":\d+`, "empty collection": `"tags":\{\}`,
		"no rating": `"lastModified":"[^"]*","confidence"`, "two labels": `"securityLabels":\{"data":\[[^]]*\},\{`, "technique": `"techniqueId":"T1055.005"`,
		"long description": `"description":"[^"]{1000,}`, "private": `"privateFlag":true`, "locked": `"activeLocked":true`,
	} {
		if !regexp.MustCompile(pattern).MatchString(text) {
			t.Errorf("%s: nothing like %s", name, pattern)
		}
	}
}

// reserved says whether a generated value names nothing that exists.
func reserved(v string) bool {
	host := v
	if u, err := url.Parse(v); err == nil && u.Host != "" {
		host = u.Hostname()
	}
	if p, err := netip.ParsePrefix(host); err == nil {
		host = p.Addr().String()
	}
	if a, err := netip.ParseAddr(host); err == nil {
		for _, block := range []string{"10.0.0.0/8", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4", "2001:db8::/32", "fe80::/10", "0.0.0.0/32", "::ffff:192.0.2.0/120"} {
			if netip.MustParsePrefix(block).Contains(a.WithZone("")) || netip.MustParsePrefix(block).Contains(a.Unmap()) {
				return true
			}
		}
		return false
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	_, name, _ = strings.Cut("@"+name, "@")
	if at := strings.LastIndexByte(name, '@'); at >= 0 {
		name = name[at+1:]
	}
	return regexp.MustCompile(`(^|\.)(example|test|invalid)(\.(com|net|org))?$`).MatchString(name)
}

func TestGeneratedValuesAreHarmless(t *testing.T) {
	known := map[string]bool{}
	for _, v := range awkward {
		known[v.joinParts()] = true
	}
	for _, row := range Generate(20_000, 2, testNow).rows {
		r := exportRow(row)
		switch r.Type {
		case "Address", "Host", "URL", "EmailAddress", "CIDR":
			if original, _ := sourceOf(int(row.number)); !reserved(r.Summary()) && !known[row.generator.makeValue(original).joinParts()] {
				t.Errorf("%s %q", r.Type, r.Summary())
			}
		}
	}
}

func TestEveryDocumentIsWhole(t *testing.T) {
	populations := map[string]*Population{"generated": Generate(4000, 3, testNow)}
	if path := os.Getenv("MS_SENTINEL_TEST_DATA"); path != "" {
		p, err := Load(path)
		if err != nil {
			t.Fatal(err)
		}
		populations["file"] = p
	}
	for name, p := range populations {
		t.Run(name, func(t *testing.T) {
			for _, row := range p.rows {
				checkDocument(t, exportRow(row))
			}
		})
	}
}

// checkDocument compares what a row knows with what its document says.
func checkDocument(t *testing.T, r Row) {
	t.Helper()
	var d struct {
		ID, OwnerID                                        json.Number
		OwnerName, Type                                    string
		Summary, DateAdded, LastModified                   string
		Active                                             bool
		Tags, Attributes, AssociatedGroups, SecurityLabels struct{ Data []json.RawMessage }
	}
	if err := json.Unmarshal(r.JSON(), &d); err != nil {
		t.Fatalf("%d: %v in %s", r.ID, err, r.JSON())
	}
	same := string(d.ID) == strconv.FormatInt(r.ID, 10) && string(d.OwnerID) == strconv.FormatInt(r.OwnerID, 10) && d.OwnerName == r.Owner && d.Type == r.Type &&
		d.Summary == r.Summary() && d.Active == r.Active && d.DateAdded == r.DateAdded.Format(timeLayout) &&
		strings.TrimSpace(d.LastModified) == r.LastModified.Format(timeLayout)
	if !same {
		t.Fatalf("%+v is %s", r, r.JSON())
	}
}

func TestAnyFieldsAreAPartOfTheWhole(t *testing.T) {
	rows := slices.Concat(small.rows, loaded(t, small).rows)
	rapid.Check(t, func(t *rapid.T) {
		r := rapid.SampledFrom(rows).Draw(t, "row")
		want := fields(rapid.Uint32().Draw(t, "fields")) & allFields &^ genericValues
		var whole, part map[string]any
		if err := json.Unmarshal(r.appendDocument(nil, allFields&^genericValues), &whole); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(r.appendDocument(nil, want), &part); err != nil {
			t.Fatal(err)
		}
		for name, value := range whole {
			field, optional := memberField[name]
			if shown := !optional || want.hasField(field); shown != (part[name] != nil) || shown && !reflect.DeepEqual(part[name], value) {
				t.Fatalf("%s with fields %b: %v, in the whole %v", name, want, part[name], value)
			}
		}
		if len(part) > len(whole) {
			t.Fatal("a part has more than the whole")
		}
	})
}

// loaded writes a population into a file and reads it.
func loaded(t *testing.T, p *Population) *Population {
	t.Helper()
	path := filepath.Join(t.TempDir(), "indicators.jsonl.gz")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	packed := gzip.NewWriter(f)
	packed.Write(jsonLines(p))
	if err := packed.Close(); err != nil {
		t.Fatal(err)
	}
	f.Close()
	read, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return read
}

func TestLoad(t *testing.T) {
	read := loaded(t, small)
	if !bytes.Equal(jsonLines(read), jsonLines(small)) {
		t.Error("what was read is not what was written")
	}
	owners := small.Owners()
	if got := read.Owners(); !slices.Equal(got, owners) {
		t.Errorf("owners %v, want %v", got, owners)
	}
	a, b := newTest(t, Options{}), newTest(t, Options{Population: read})
	for _, target := range []string{"?resultLimit=500&fields=tags&count=true", "?sorting=threatAssessScore+desc+id+asc&fields=threatAssess", "?tql=hasTag(name+like+%22%25Phish%25%22)"} {
		if x, y := call(a, "GET", listPath+target, ""), call(b, "GET", listPath+target, ""); x.Body.String() != y.Body.String() {
			t.Errorf("%s: the same indicators are answered otherwise", target)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	good := string(indicator(demoOwner, demoOwnerID, "id", 5, "dateAdded", "2025-01-01T00:00:00Z", "lastModified", "2025-01-01T00:00:00Z"))
	if _, err := Read(strings.NewReader("\n" + good + "\n\n")); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"twice": good + "\n" + good, "not JSON": "x", "a list": "[]", "cut off": good[:len(good)/2], "empty": "{}",
		"no date": strings.Replace(good, "2025-01-01T00:00:00Z", "", 1), "optional first": `{"tags":{},` + good[1:],
		"rating": `{"rating":"x",` + good[1:], "date": strings.Replace(good, "2025-01-01T", "2025-01-01 ", 1),
	} {
		if _, err := Read(strings.NewReader(text)); err == nil {
			t.Errorf("%s: is read", name)
		}
	}
	if _, err := Load(filepath.Join(t.TempDir(), "missing")); err == nil {
		t.Error("a missing file is read")
	}
}

func TestLaterRowsStayWhenThereAreMore(t *testing.T) {
	few, many := Generate(500, 1, testNow), Generate(20_000, 1, testNow)
	for i := range 400 {
		if a, b := few.rows[i], many.rows[i]; a.typ != b.typ || exportRow(a).Summary() != exportRow(b).Summary() {
			t.Fatalf("row %d: %s, then %s", i, exportRow(a).Summary(), exportRow(b).Summary())
		}
	}
}

func TestDatesAreWrittenAsGoWritesThem(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seconds := rapid.Int64Range(0, 4e9).Draw(t, "seconds")
		if got, want := string(appendTime(nil, seconds)), time.Unix(seconds, 0).UTC().Format(timeLayout); got != want {
			t.Fatalf("%s, want %s", got, want)
		}
	})
}

func TestTextIsWrittenAsJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "s")
		var back string
		if err := json.Unmarshal(appendText(nil, s), &back); err != nil || back != s {
			t.Fatalf("%q: %v, %q", s, err, back)
		}
	})
}

// FuzzMembers compares the reading of members with that of encoding/json.
func FuzzMembers(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":1}`, ` { "a" : [1,{"b":"}"}] , "c\"" : "\\" } `, `{"a":{"data":[{"x":1},{"x":2}]}}`, `{"a":-1.5e3,"b":null,"c":true}`, `[`, `{"a":"`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var got []string
		err := eachMember(text, func(m member) bool {
			eachElement(m.value, func(o []byte) bool { return valueOf(o, "x") == nil })
			got = append(got, fmt.Sprintf("%s %s", m.name, m.value))
			return true
		})
		if !json.Valid(text) || bytes.TrimSpace(text)[0] != '{' {
			return // what is no JSON may be taken for something, but nothing may break
		}
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		var want []string
		d := json.NewDecoder(bytes.NewReader(text))
		d.Token() //nolint:errcheck // the text is valid
		for d.More() {
			var value json.RawMessage
			d.Token()        //nolint:errcheck // the text is valid
			d.Decode(&value) //nolint:errcheck // the text is valid
			want = append(want, string(value))
		}
		if len(got) != len(want) {
			t.Fatalf("%q: %q, want %q", text, got, want)
		}
		for i := range got {
			if !strings.HasSuffix(got[i], " "+want[i]) {
				t.Fatalf("%q: %q, want %q", text, got[i], want[i])
			}
		}
	})
}
