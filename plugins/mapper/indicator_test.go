package mapper

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func parse(t *testing.T, raw string) *Indicator {
	t.Helper()
	ind, err := Parse([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return ind
}

func TestParse(t *testing.T) {
	confidence, rating, score := 74, 3.5, 281
	ind := parse(t, `{"id":9007199254740993,"ownerId":2,"ownerName":"Demo \u0041","dateAdded":"2024-01-15T10:00:00Z",
		"webLink":" https://tc.example/#/details/indicators/1 ","type":"Registry Key","lastModified":"2024-01-16T08:30:12Z","rating":3.50,"confidence":74,
		"threatAssessScore":281,"summary":"K : V : T","Key Name":"K\\n","Value Name":" ","size":12345,"active":true,"nothing":null,
		"tags":{"data":[{"id":9,"name":"Ransomware"},{"name":"Theft","techniqueId":"T1657","platforms":{"data":["Linux"],"count":1},"tactics":{"count":2,"data":["Impact","a\u0000"]}}]},
		"securityLabels":{"data":[{"name":"TLP:AMBER"}]},
		"attributes":{"count":2,"data":[{"type":"Source","value":"x","createdBy":{"type":"no","value":"no"},"pinned":false,"default":true},{"value":"y","pinned":true,"default":null},{"pinned":1,"default":[true]}]},
		"associatedGroups":{"data":[{"type":"Malware","name":"BadBot","ownerName":"Demo Source","tags":{"data":[{"name":"no"}]}}]}}`)
	want := &Indicator{ID: 9007199254740993, Type: "Registry Key", Summary: "K : V : T", OwnerName: "Demo A",
		WebLink: "https://tc.example/#/details/indicators/1", DateAdded: time.Date(2024, 1, 15, 10, 0, 0, 0, time.UTC),
		Confidence: &confidence, Rating: &rating, ThreatAssessScore: &score,
		Tags: []Tag{{Name: "Ransomware"}, {"Theft", "T1657", []string{"Impact", "a\uFFFD"}}}, SecurityLabels: []SecurityLabel{{"TLP:AMBER"}},
		Attributes: []Attribute{{Type: "Source", Value: "x", Default: true}, {Value: "y", Pinned: true}, {}}, AssociatedGroups: []Group{{"Malware", "BadBot", "Demo Source"}}}
	if diff := cmp.Diff(want, ind, cmpopts.IgnoreUnexported(Indicator{})); diff != "" {
		t.Error(diff)
	}
	for name, want := range map[string]string{"Key Name": `K\n`, "Value Name": " ", "size": "12345", "active": "true", "nothing": "", "tags": "", "absent": ""} {
		if got := ind.Member(name); got != want {
			t.Errorf("Member(%q) = %q, want %q", name, got, want)
		}
	}
}

// Blanks may stand anywhere, and brackets and quotes in strings open and close nothing.
func TestParsePassesOverTheRest(t *testing.T) {
	ind := parse(t, " {\n\t\"tags\" : { \"count\" : 1 , \"data\" : [ 7 , { \"name\" : \"a\" , \"x\" : [ ] } , [ {} ] ] } ,\r\n"+
		`"other" : [ "]}" , { "}\"{" : "\\\"]" , "\\" : [ [ 1.5e+3 , true ] , null ] } , "\\" ] , "sum\u006dary" : "s" , "size" : 12 } `)
	if len(ind.Tags) != 1 || ind.Tags[0].Name != "a" || ind.Summary != "s" || ind.Member("size") != "12" {
		t.Errorf("read as %+v", ind)
	}
}

// The tactics of a technique are texts in a collection; anything else counts as not set, and costs nothing else.
func TestParseTacticsIsTolerant(t *testing.T) {
	for raw, want := range map[string][]string{
		`{"data":["Execution","Impact"],"count":2}`:                      {"Execution", "Impact"},
		`{"data":[null,"Execution",7,["x"],{"name":"Impact"},"Impact"]}`: {"Execution", "Impact"},
		`{}`:                               nil,
		`{"count":0}`:                      nil,
		`{"data":{"name":"Execution"}}`:    nil,
		`{"data":"Execution"}`:             nil,
		`["Execution"]`:                    nil,
		`[{"name":"Execution"}]`:           nil,
		`"Execution"`:                      nil,
		`null`:                             nil,
		`17`:                               nil,
		`{"name":"Execution","data":null}`: nil,
	} {
		got := parse(t, `{"tags":{"data":[{"tactics":`+raw+`,"techniqueId":"T1204","name":"User Execution"},{"name":"behind"}]},"summary":"s"}`)
		tags := []Tag{{"User Execution", "T1204", want}, {Name: "behind"}}
		if diff := cmp.Diff(tags, got.Tags, cmpopts.EquateEmpty()); diff != "" || got.Summary != "s" {
			t.Errorf("%s: %s", raw, diff)
		}
	}
}

// A member of another form than expected costs that member alone.
func TestParseIsTolerant(t *testing.T) {
	for name, raw := range map[string]string{
		"empty":                 `{}`,
		"nulls":                 `{"id":null,"confidence":null,"rating":null,"tags":null,"dateAdded":null,"attributes":{"data":null}}`,
		"empty collections":     `{"tags":{},"attributes":{"count":0},"associatedGroups":{"data":[]},"securityLabels":{"data":{}}}`,
		"lists for collections": `{"tags":["a"],"attributes":[{"type":"x"}],"associatedGroups":"x","securityLabels":7}`,
		"elements of no use":    `{"tags":{"data":[null,1,"x",[]]},"attributes":{"data":"x"}}`,
		"numbers out of range":  `{"confidence":-1,"rating":5.5,"threatAssessScore":1001}`,
		"no numbers":            `{"confidence":"high","rating":true,"threatAssessScore":"NaN"}`,
		"endless numbers":       `{"confidence":1e999,"rating":"Inf","threatAssessScore":"-Inf"}`,
		"no dates":              `{"dateAdded":"yesterday"}`,
		"a date that is none":   `{"dateAdded":17}`,
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(&Indicator{}, parse(t, raw), cmpopts.IgnoreUnexported(Indicator{}), cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseDates(t *testing.T) {
	want := time.Date(2021, 11, 2, 13, 7, 8, 0, time.UTC)
	for _, s := range []string{"2021-11-02T13:07:08Z", "2021-11-02T13:07:08Z ", "2021-11-02T13:07:08.000Z", "2021-11-02T14:07:08+01:00",
		"2021-11-02T13:07:08", "2021-11-02 13:07:08"} {
		if got := parse(t, `{"dateAdded":"`+s+`"}`).DateAdded; !got.Equal(want) || got.Location() != time.UTC {
			t.Errorf("%q is read as %v", s, got)
		}
	}
}

func TestParseRefusesWhatIsNoObject(t *testing.T) {
	for _, raw := range []string{``, ` `, `null`, `[]`, `"x"`, `7`, `{`, `{"a":}`, `{"a":1}{`, `{"a":"b}`, `{"a":1,}`, `{,}`, `{"a" 1}`, `{"a":1 "b":2}`, `{a:1}`, `{1:1}`,
		`{"a":[1,]}`, `{"a":[1}`, `{"a":{]}`, `{"a":1}]`, `{"a":tru}`, `{"a":nulls}`, `{"a":+1}`, `{"tags":{"data":[{"name":"a"]}}`, `{"a":"\x"}`, `{"a":"\u00g0"}`, `{"\":1}`,
		"{\"a\":1}\x00", "{\x00}", "{\"a\":\x00}", `{"a":` + strings.Repeat("[", 1<<20)} {
		if ind, err := Parse([]byte(raw)); err == nil {
			t.Errorf("%q is read as %+v", raw, ind)
		}
	}
}

// Control characters, which JSON has escaped, pass as they are: it is clear what was meant.
func TestControlCharactersPass(t *testing.T) {
	if got := parse(t, "{\"Subject\":\"a\nb\x01\"}").Member("Subject"); got != "a\nb\x01" {
		t.Errorf("read as %q", got)
	}
}

func TestTextsAreClean(t *testing.T) {
	ind := parse(t, "{\"summary\":\"a\xffb\\u0000c\",\"ownerName\":\"\\ud800x\",\"tags\":{\"data\":[{\"name\":\"\xc3\"}]}}")
	if ind.Summary != "a\uFFFDb\uFFFDc" || ind.OwnerName != "\uFFFDx" || ind.Tags[0].Name != "\uFFFD" {
		t.Errorf("%q %q %q", ind.Summary, ind.OwnerName, ind.Tags[0].Name)
	}
	if got := ind.Member("summary"); got != "a\xffb\x00c" {
		t.Errorf("Member gives %q, not what came", got)
	}
	if _, err := ind.Value("absent"); err == nil {
		t.Error("a summary that cannot stand in a pattern is a value")
	}
}

func TestParseSurvivesAnything(t *testing.T) {
	whole := `{"id":1,"tags":{"data":[{"name":"a\u00e9\\"}]},"attributes":{"data":[{"type":"t","value":"v"}]},"confidence":1.5e1}`
	rapid.Check(t, func(t *rapid.T) {
		raw := []byte(whole)
		for range rapid.IntRange(1, 4).Draw(t, "changes") {
			raw[rapid.IntRange(0, len(raw)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		}
		raw = raw[:rapid.IntRange(0, len(raw)).Draw(t, "length")]
		if ind, err := Parse(raw); err == nil {
			ind.Object("[a:b = 'c']", "c", time.Now())
		}
	})
}

// A whole number that is written with a fraction is the nearest one.
func TestFractions(t *testing.T) {
	ind := parse(t, `{"confidence":74.6,"threatAssessScore":"280.50","rating":3.25}`)
	if *ind.Confidence != 75 || *ind.ThreatAssessScore != 281 || *ind.Rating != 3.25 {
		t.Errorf("read as %d, %d, %v", *ind.Confidence, *ind.ThreatAssessScore, *ind.Rating)
	}
}
