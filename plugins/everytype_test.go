package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mssentinel/app/stix"
	"mssentinel/plugins/builtin"
	"mssentinel/plugins/mapper/mappertest"
)

// commonCase is a case that every type has: what is odd about an indicator beyond, or around, its value.
type commonCase struct {
	Family, Case, Why string
	// Value is a string of JSON in which {} stands for the value of the type, {a} and {b} for its halves; nothing means {}.
	Value json.RawMessage
	// Members replace those of the plain indicator, and Without names those that it has not.
	Members map[string]json.RawMessage
	Without []string
}

// plainValues are values with nothing odd about them, in the order of members.
var plainValues = map[string][]string{
	"Address": {"198.51.100.7"}, "CIDR": {"198.51.100.0/24"}, "Host": {"lead.example"}, "File": {"912ec803b2ce49e4a541068d495ab570"},
	"URL": {"http://lead.example/X"}, "ASN": {"ASN64500"}, "EmailAddress": {"bad@lead.example"}, "Email Subject": {"Invoice overdue"},
	"Registry Key": {`HKEY_LOCAL_MACHINE\SOFTWARE\Lead`, "Run", "REG_SZ"},
}

const plainMembers = `{"id": 12345, "ownerName": "Common Owner", "dateAdded": "2023-09-13T14:51:34Z", "rating": 4.0, "confidence": 45, "threatAssessScore": 548,
	"webLink": "https://companyabc.threatconnect.com/#/details/indicators/12345/overview", "tags": {}, "securityLabels": {}, "attributes": {}, "associatedGroups": {}}`

func commonCases(t testing.TB) (cases []commonCase) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "everytype.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &cases); err != nil {
		t.Fatal(err)
	}
	return cases
}

// indicator is the case as an indicator of a type. What the value template puts around it stays as JSON, for it may be no text.
func (c commonCase) indicator(t testing.TB, typ string) []byte {
	t.Helper()
	all := map[string]json.RawMessage{}
	if err := json.Unmarshal([]byte(plainMembers), &all); err != nil {
		t.Fatal(err)
	}
	maps.Copy(all, c.Members)
	for _, name := range c.Without {
		delete(all, name)
	}
	all["type"] = json.RawMessage(quote(t, typ))
	var summary []string
	for n, value := range plainValues[typ] {
		written := quote(t, value)
		if n == 0 && c.Value != nil {
			written = strings.NewReplacer("{}", written[1:len(written)-1], "{a}", inner(t, value[:len(value)/2]), "{b}", inner(t, value[len(value)/2:])).Replace(string(c.Value))
		}
		all[members[typ][n]] = json.RawMessage(written)
		summary = append(summary, written[1:len(written)-1])
	}
	all["summary"] = json.RawMessage(`"` + strings.Join(summary, " : ") + `"`)
	var b bytes.Buffer // json.Marshal would put right what is no text
	for _, name := range slices.Sorted(maps.Keys(all)) {
		b.WriteString("," + quote(t, name) + ":" + string(all[name]))
	}
	return []byte("{" + strings.TrimPrefix(b.String(), ",") + "}")
}

func quote(t testing.TB, s string) string {
	t.Helper()
	raw, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func inner(t testing.TB, s string) string { return strings.Trim(quote(t, s), `"`) }

// commonOutcome is what becomes of a case: what differs from the object of the plain value, and what is said.
type commonOutcome struct {
	Case     string                     `json:"case"`
	Differs  map[string]json.RawMessage `json:"differs,omitempty"`
	Problems []string                   `json:"problems,omitempty"`
	Notes    []string                   `json:"notes,omitempty"`
}

// What is odd beyond the value has the same effect in every type. A golden file begins with the whole object of the plain value;
// what follows names what a case changes of it. The flag -update of the mappers' tests writes them.
func TestEveryType(t *testing.T) {
	for _, typ := range builtin.Types {
		t.Run(typ.Name, func(t *testing.T) {
			t.Parallel()
			cases := append([]commonCase{{Case: "nothing odd"}}, commonCases(t)...)
			outcomes := mapCommon(t, typ.Name, cases)
			var got bytes.Buffer
			e := json.NewEncoder(&got)
			e.SetEscapeHTML(false)
			e.SetIndent("", " ")
			if err := e.Encode(outcomes); err != nil {
				t.Fatal(err)
			}
			name := filepath.Join("testdata", "everytype", typ.Mapper+".golden.json")
			if flag.Lookup("update").Value.String() == "true" {
				if err := os.WriteFile(name, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("%s differs (-want +got); run with -update if the change is meant:\n%s", name, diff)
			}
		})
	}
}

func mapCommon(t *testing.T, typ string, cases []commonCase) (outcomes []commonOutcome) {
	var batch [][]byte
	for _, c := range cases {
		batch = append(batch, c.indicator(t, typ))
	}
	answers, err := mappertest.Dial(t, built(t, typ)).Map(t.Context(), batch, mappertest.Now)
	if err != nil {
		t.Fatal(err)
	}
	var plain map[string]json.RawMessage
	for n, a := range answers {
		outcome := commonOutcome{Case: cases[n].Case, Problems: a.Problems, Notes: a.Notes}
		for _, o := range a.Objects {
			var object map[string]json.RawMessage
			if err := json.Unmarshal(o.AppendJSON(nil, stix.Envelope{Modified: mappertest.Now, ValidUntil: mappertest.Now.Add(mappertest.TTL)}), &object); err != nil {
				t.Fatal(err)
			}
			outcome.Differs = differences(plain, object)
			if plain == nil {
				plain = object
			}
		}
		outcomes = append(outcomes, outcome)
	}
	return outcomes
}

// differences are the members of an object that the plain one has not, or not so; null for those that it lacks.
func differences(plain, object map[string]json.RawMessage) map[string]json.RawMessage {
	differs := map[string]json.RawMessage{}
	for name, value := range object {
		if !bytes.Equal(value, plain[name]) {
			differs[name] = value
		}
	}
	for name := range plain {
		if object[name] == nil {
			differs[name] = json.RawMessage("null")
		}
	}
	return differs
}
