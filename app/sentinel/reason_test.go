package sentinel

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// What a body says to people is repeated, wherever it says it, in the order of its importance, and within bounds.
func TestReasonsOfABody(t *testing.T) {
	nested := func(n int, open, end string) string {
		return `{"message":` + strings.Repeat(open, n) + `"deep"` + strings.Repeat(end, n) + `}`
	}
	var many []string
	for i := range 2 * maxReasons {
		many = append(many, fmt.Sprintf("%q", fmt.Sprint(i)))
	}
	for body, want := range map[string][]string{
		`{"detail":"c","MESSAGE":"b","Title":"a"}`:                             {"a", "b", "c"},
		`{"message":" a ","title":"a","detail":" "}`:                           {"a"},
		`{"message":["a",1,null,{"message":"b","odd":"c"},true]}`:              {"a", "b"},
		`{"target":"t","message":"a"}`:                                         {"t: a"},
		`{"target":"","message":"a"}`:                                          {"a"},
		`{"target":1,"message":"a"}`:                                           {"a"},
		`{"target":"t","message":"a","details":[{"message":"t: a"}]}`:          {"t: a", "t: t: a"},
		`{"target":"t","message":"a","details":[{"target":"","message":"b"}]}`: {"t: a", "t: b"},
		`{"message":"t: a","details":[{"target":"t","message":"a"}]}`:          {"t: a"},
		`{"errors":{"b":["2","1"],"a":"3"}}`:                                   {"a: 3", "b: 2", "b: 1"},
		`{"errors":[{"message":"a"},"b"]}`:                                     {"a", "b"},
		`{"details":{"a":"1"}}`:                                                nil,
		`{"odd":"a"}`:                                                          nil,
		`[]`:                                                                   nil,
		nested(maxDepth-1, "[", "]"):                                           {"deep"},
		nested(maxDepth, "[", "]"):                                             nil,
		nested(maxDepth-1, `{"error":`, "}"):                                   {"deep"},
		nested(maxDepth, `{"error":`, "}"):                                     nil,
		strings.Repeat(`{"errors":{"a":`, maxDepth) + `"deep"` + strings.Repeat("}}", maxDepth):     {"a: deep"},
		strings.Repeat(`{"errors":{"a":`, maxDepth+1) + `"deep"` + strings.Repeat("}}", maxDepth+1): nil,
	} {
		if got := findReasons([]byte(body)).texts(); !slices.Equal(got, want) {
			t.Errorf("%s says %q, want %q", body, got, want)
		}
	}
	if got := findReasons([]byte(`{"message":[` + strings.Join(many, ",") + `]}`)).texts(); len(got) != maxReasons {
		t.Errorf("%d reasons", len(got))
	}
}

// A path names a record where a reason begins with it or is about it, and not where it may be part of a value.
func TestRecordsThatReasonsName(t *testing.T) {
	for name, tt := range map[string]struct {
		said reason
		want string // "" for none
	}{
		"about it":          {reason{"stixobjects[1].pattern", "odd"}, "1 pattern: odd"},
		"about all of it":   {reason{"stixobjects[1]", "odd"}, "1 odd"},
		"by a slash":        {reason{"/StixObjects/2/name", "odd"}, "2 name: odd"},
		"by a point":        {reason{"$.stixobjects.0.labels[3]", "odd"}, "0 labels[3]: odd"},
		"said":              {reason{"", "stixobjects[1].pattern is odd"}, "1 stixobjects[1].pattern is odd"},
		"not sent":          {reason{"stixobjects[3]", "odd"}, ""},
		"far down":          {reason{"", strings.Repeat("x", farIn-len(" stixobjects[1")) + " stixobjects[1]"}, "1 " + strings.Repeat("x", farIn-len(" stixobjects[1")) + " stixobjects[1]"},
		"too far down":      {reason{"", strings.Repeat("x", farIn+1-len(" stixobjects[1")) + " stixobjects[1]"}, ""},
		"part of a value":   {reason{"", "Odd. Actual value: stixobjects[1]"}, ""},
		"about another one": {reason{"header", "stixobjects[1] is odd"}, ""},
		"part of a word":    {reason{"mystixobjects[1]", "odd"}, ""},
		"no number":         {reason{"stixobjects[x]", "odd"}, ""},
	} {
		var got []string
		for _, r := range (reasons{tt.said}).namedRecords(3) {
			got = append(got, fmt.Sprint(r.Index, " ", r.Message))
		}
		if joined := strings.Join(got, "; "); joined != tt.want {
			t.Errorf("%s: %q, want %q", name, joined, tt.want)
		}
	}
	twice := reasons{{"stixobjects[1].id", "odd"}, {"stixobjects[0]", "b"}, {"stixobjects[1].id", "odd"}, {"stixobjects[1]", "more"}}
	if got := fmt.Sprint(twice.namedRecords(3)); got != "[{0 sentinel-rejected b} {1 sentinel-rejected id: odd more}]" {
		t.Errorf("got %s", got)
	}
}

// Of text, XML and HTML a reader sees the text; JSON is repeated as it is.
func TestPlainText(t *testing.T) {
	for body, want := range map[string]string{
		`a <b>c</b> &lt;d`:                     "a c <d",
		` <a>1</a>`:                            "1",
		`"<a>1</a>"`:                           `"<a>1</a>"`,
		`1`:                                    "1",
		`<style>x</style>a<!-- b -->c<script>`: "a c",
		"<a>" + strings.Repeat("x", pageText-len("<a>END")) + "END":   strings.Repeat("x", pageText-len("<a>END")) + "END",
		"<a>" + strings.Repeat("x", pageText-len("<a>END")+1) + "END": strings.Repeat("x", pageText-len("<a>END")+1) + "EN",
	} {
		if got := strings.Join(strings.Fields(plainText([]byte(body))), " "); got != want {
			t.Errorf("%.40s reads %.40q, want %.40q", body, got, want)
		}
	}
}
