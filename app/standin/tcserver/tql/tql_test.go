package tql

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var now = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// thing has a keyword of every type. Absent numbers are nil.
type thing struct {
	id      int64
	rating  *int64
	name    string
	active  bool
	changed time.Time
	tags    []string
}

var tagSchema = NewSchema([]Field[string]{
	{Name: "name", Type: Text, Texts: func(s string, yield func(string) bool) { yield(s) }},
	{Name: "summary", Type: Text, Fold: true, Texts: func(s string, yield func(string) bool) { yield(s) }},
})

func eachTag(x thing, yield func(string) bool) {
	_ = slices.ContainsFunc(x.tags, func(s string) bool { return !yield(s) })
}

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

var schema = NewSchema([]Field[thing]{
	{Name: "id", Type: Integer, Number: func(x thing) (int64, bool) { return x.id, true }},
	{Name: "rating", Type: Decimal, Number: func(x thing) (int64, bool) {
		if x.rating == nil {
			return 0, false
		}
		return *x.rating, true
	}},
	{Name: "summary", Type: Text, Texts: func(x thing, yield func(string) bool) {
		if x.name != "" {
			yield(x.name)
		}
	}},
	{Name: "addressCidr", Type: CIDR, Texts: func(x thing, yield func(string) bool) { yield(x.name) }},
	{Name: "indicatorActive", Type: Boolean, Number: func(x thing) (int64, bool) { return truth(x.active), true }},
	{Name: "lastModified", Type: Date, Number: func(x thing) (int64, bool) { return x.changed.Unix(), true }},
	{Name: "tag", Type: Text, Many: true, Needs: 1, Texts: eachTag},
	{Name: "tagLength", Type: Integer, Many: true, Needs: 1, Numbers: func(x thing, yield func(int64) bool) {
		eachTag(x, func(s string) bool { return yield(int64(len(s))) })
	}},
	{Name: "vtMaliciousCount", Type: Integer},
	{Name: "hasTag", Nested: true, Needs: 1, Related: Has(eachTag, func() Schema[string] { return tagSchema })},
	{Name: "hasAllTags", Nested: true, Needs: 1, Related: HasAll(eachTag, func() Schema[string] { return tagSchema })},
	{Name: "hasCase", Nested: true},
})

func compile(query string) (Query[thing], error) {
	tree, err := Parse(query)
	if err != nil {
		return Query[thing]{}, err
	}
	return schema.Compile(tree, now)
}

func hundredths(n int64) *int64 { return &n }

func TestEvaluate(t *testing.T) {
	big := int64(1<<53 + 1)
	things := map[string]thing{
		"one": {id: 1, rating: hundredths(300), name: "badguy.example", active: true, changed: now.Add(-time.Hour), tags: []string{"Botnet", "C2 Server"}},
		"two": {id: 2, name: `say "hi"`, changed: now.Add(-48 * time.Hour), tags: []string{"botnet"}},
		"big": {id: big, rating: hundredths(450), name: "192.0.2.7", active: true, changed: now},
		"bar": {id: big + 1, rating: hundredths(0), active: true, changed: time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC)},
	}
	tests := map[string]string{ // query → the names of what it selects
		`id = 1`: "one", `id == 1`: "one", `ID EQ 1`: "one", `id equals 1`: "one",
		`id != 1`: "bar big two", `id NE 1`: "bar big two",
		`id > 1`: "bar big two", `id GT 1`: "bar big two", `id < 2`: "one", `id lt 2`: "one",
		`id >= 2`: "bar big two", `id GEQ 2`: "bar big two", `id <= 1`: "one", `id leq 1`: "one",
		`id in (1,2)`: "one two", `id IN ( 2 )`: "two", `id not in (1, 2)`: "bar big",
		`id = 9007199254740993`: "big", `id > 9007199254740993`: "bar", `id > -1`: "bar big one two",
		`rating >= 3`: "big one", `rating = 4.5`: "big", `rating < 0.01`: "bar", `rating != 3`: "bar big",
		`rating is null`: "two", `rating IS NOT NULL`: "bar big one", `rating in (3, 4.50)`: "big one", `rating not in (3)`: "bar big",
		`summary = "badguy.example"`: "one", `summary = 'badguy.example'`: "one", "summary = `badguy.example`": "one", `summary = "BADGUY.example"`: "",
		`summary = "say \"hi\""`: "two", `summary = 'say "hi"'`: "two",
		`summary like "%guy%"`: "one", `summary like "bad%ex%le"`: "one", `summary like "bad"`: "", `summary not like "%guy%"`: "big two", `summary like "%"`: "big one two",
		`summary contains "guy"`: "one", `summary startswith "bad"`: "one", `summary ENDSWITH "example"`: "one", `summary not contains "guy"`: "big two",
		`summary is null`: "bar", `summary > "s"`: "two", `summary <= "192.0.2.7"`: "big", `summary >= "s"`: "two", `summary < "a"`: "big",
		`summary > "badguy.example"`: "two", `summary < "badguy.example"`: "big",
		`indicatorActive = true`: "bar big one", `indicatorActive = FALSE`: "two", `indicatorActive != true`: "two", `indicatorActive in (true,false)`: "bar big one two",
		`lastModified >= "2026-03-04T04:06:07Z"`: "big one", `lastModified > "2026-03-04T04:06:07Z"`: "big", `lastModified < "2024-05-02"`: "bar",
		`lastModified = "2024-05-01"`: "bar", `lastModified = "05-01-2024"`: "bar", `lastModified = "2024-05-01 00:00:00"`: "bar", `lastModified = "2024-05-01 00:00"`: "bar",
		`lastModified = "2024-05-01T00:00:00"`: "bar", `lastModified > "TODAY()"`: "big one", `lastModified > "NOW() - 2 HOUR"`: "big one", `lastModified > "now() - 2 hours"`: "big one",
		`lastModified > "NOW() - 3 DAY"`: "big one two", `lastModified > "NOW() - 1 WEEK" and lastModified < "today() - 1 day"`: "two",
		`lastModified < "NOW() - 1 YEAR" and lastModified > "NOW() - 30 MONTH"`: "bar", `lastModified >= "NOW()"`: "big", `lastModified > "NOW() - 61 MINUTE"`: "big one",
		`lastModified > "NOW() - 3601 SECOND"`: "big one", `lastModified > "NOW() + 1 DAY"`: "",
		`tag = "Botnet"`: "one", `tag in ("Botnet","botnet")`: "one two", `tag != "Botnet"`: "bar big two", `tag not in ("C2 Server")`: "bar big two", `tag is null`: "bar big",
		`tag like "%net"`: "one two", `tagLength = 9`: "one", `tagLength not in (6)`: "bar big",
		`hasTag(name = "botnet")`: "two", `hasTag(summary = "BOTNET")`: "one two", `hasTag(name = "Botnet" and name = "C2 Server")`: "", `hasTag(name="Botnet") AND hasTag(name="C2 Server")`: "one",
		`hasAllTags(name in ("Botnet","C2 Server"))`: "one", `hasAllTags(name in ("Botnet","other"))`: "", `hasAllTags(name="Botnet" and name="C2 Server")`: "one", `hasAllTags(name="Botnet" or name="botnet")`: "one two",
		`vtMaliciousCount > 1`: "", `vtMaliciousCount is null`: "bar big one two", `vtMaliciousCount != 1`: "", `hasCase(anything = 1)`: "",
		`addressCidr = "192.0.2.0/24"`: "big", `addressCidr in ("198.51.100.0/24", "192.0.2.7/32")`: "big",
		`id = 1 or id = 2 and rating = 5`: "one", `(id = 1 or id = 2) and rating is null`: "two", `((id = 1))`: "one",
		"id=1\nOR\tid=2": "one two",
	}
	for query, want := range tests {
		t.Run(query, func(t *testing.T) {
			q, err := compile(query)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for name, x := range things {
				if q.Match(x) {
					got = append(got, name)
				}
			}
			slices.Sort(got)
			if strings.Join(got, " ") != want {
				t.Errorf("selects %q, want %q", got, want)
			}
		})
	}
}

func TestReject(t *testing.T) {
	tests := map[string]struct {
		position int
		problem  string // part of it
	}{
		``:                          {1, "the end of the query"},
		`foo = 1`:                   {1, "unknown keyword foo"},
		`id = 1 and naïve = 2`:      {14, "unexpected character"},
		`summary = "ä" and foo = 1`: {19, "unknown keyword foo"},
		`id =`:                      {5, "the end of the query"},
		`id 5`:                      {4, "operator after id"},
		`id = 1 id = 2`:             {8, "AND, OR"},
		`(id = 1`:                   {8, ")"},
		`id = 1)`:                   {7, "AND, OR"},
		`id in 1`:                   {7, "( after IN"},
		`id in ()`:                  {8, "a value"},
		`id in (1`:                  {9, ", or )"},
		`id in (1,)`:                {10, "a value"},
		`id not 1`:                  {8, "operator"},
		`id not = 1`:                {8, "operator"},
		`id is 1`:                   {7, "NULL"},
		`not id = 1`:                {5, "operator after not"},
		`id & 1`:                    {4, "unexpected character"},
		`id = 1.2.3`:                {6, "malformed number"},
		`id = 1.`:                   {6, "malformed number"},
		`id = 12abc`:                {6, "malformed number"},
		`id = 1.5`:                  {6, "whole number"},
		`id = "1"`:                  {6, "whole number"},
		`id = 99999999999999999999`: {6, "whole number"},
		`id like "1%"`:              {1, "holds no text"},
		`rating = true`:             {10, "a number"},
		`summary = 5`:               {11, "quotes"},
		`summary = bad`:             {11, "quotes"},
		`summary = "open`:           {11, "closing"},
		`summary = “x”`:             {11, "unexpected character"},
		`indicatorActive = 1`:       {19, "true or false"},
		`indicatorActive = "true"`:  {19, "true or false"},
		`indicatorActive > true`:    {1, "cannot be compared"},
		`lastModified > "2024-05-01T00:00:00.000Z"`:                  {16, "fraction"},
		`lastModified > "2024-05-01 00:00:00.5"`:                     {16, "fraction"},
		`lastModified > "2024-05-01T00:00:00+02:00"`:                 {16, "not a date"},
		`lastModified > "7 days ago"`:                                {16, "not a date"},
		`lastModified > "NOW() - HOUR"`:                              {16, "not a date"},
		`lastModified > "NOW() - 1 FORTNIGHT"`:                       {16, "not a date"},
		`lastModified > NOW()`:                                       {16, "quotes"},
		`lastModified > 20240501`:                                    {16, "quotes"},
		`addressCidr = "192.0.2.0"`:                                  {15, "not a block"},
		`hasTag = "x"`:                                               {1, "query in parentheses"},
		`hasTag(rating = 1)`:                                         {8, "unknown keyword rating"},
		`hasAllTags(name = "a" and nme = "b")`:                       {27, "unknown keyword nme"},
		`hasTag()`:                                                   {8, "a keyword"},
		`summary("x" = 1)`:                                           {9, "a keyword"},
		`id(name = 1)`:                                               {1, "takes no query"},
		strings.Repeat("(", 200) + "id=1" + strings.Repeat(")", 200): {102, "parentheses within each other"},
		"id = \xff":                                                  {1, "UTF-8"},
	}
	for query, want := range tests {
		t.Run(query, func(t *testing.T) {
			_, err := compile(query)
			var fault *Error
			if !errors.As(err, &fault) {
				t.Fatalf("got %v, want an *Error", err)
			}
			if fault.Position != want.position || !strings.Contains(fault.Problem, want.problem) {
				t.Errorf("got %q at %d, want %q at %d", fault.Problem, fault.Position, want.problem, want.position)
			}
		})
	}
}

func TestCheapSideFirst(t *testing.T) {
	for _, query := range []string{`tag = "x" and id = 1`, `id = 1 and tag = "x"`, `(hasTag(name = "x") and rating > 1) and id = 1`} {
		q, err := compile(query)
		if err != nil {
			t.Fatal(err)
		}
		if q.Needs != 1 {
			t.Errorf("%s needs %b", query, q.Needs)
		}
	}
}

func TestRelative(t *testing.T) {
	for query, want := range map[string]bool{`lastModified > "NOW()"`: true, `id = 1 or lastModified > "TODAY()"`: true, `lastModified > "2024-01-01"`: false} {
		if q, err := compile(query); err != nil || q.Relative != want {
			t.Errorf("%s: relative %v, error %v", query, q.Relative, err)
		}
	}
}

func TestMentions(t *testing.T) {
	for query, want := range map[string]bool{
		`indicatoractive = true`: true, `id = 1 and (id = 2 or indicatorActive = false)`: true, `hasTag(indicatorActive = true)`: false, `id = 1`: false,
	} {
		if tree, err := Parse(query); err != nil || Mentions(tree, "indicatorActive") != want {
			t.Errorf("%s: want %v, error %v", query, want, err)
		}
	}
}

// writtenTree is a random query and how it has to be read.
type writtenTree struct {
	text  string
	match func(id int64) bool
}

func drawTree(t *rapid.T, depth int) writtenTree {
	kinds := []string{"term", "in", "and", "or"}
	if depth == 0 {
		kinds = kinds[:2]
	}
	n := rapid.Int64Range(0, 5).Draw(t, "n")
	switch rapid.SampledFrom(kinds).Draw(t, "kind") {
	case "term":
		return writtenTree{fmt.Sprintf("id >= %d", n), func(id int64) bool { return id >= n }}
	case "in":
		return writtenTree{fmt.Sprintf("id NOT IN (%d, 9)", n), func(id int64) bool { return id != n && id != 9 }}
	case "and":
		a, b := drawTree(t, depth-1), drawTree(t, depth-1)
		return writtenTree{"(" + a.text + ") and (" + b.text + ")", func(id int64) bool { return a.match(id) && b.match(id) }}
	}
	a, b := drawTree(t, depth-1), drawTree(t, depth-1)
	return writtenTree{"(" + a.text + ")\nOr(" + b.text + ")", func(id int64) bool { return a.match(id) || b.match(id) }}
}

func TestTreesMeanWhatTheySay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tree := drawTree(t, 4)
		q, err := compile(tree.text)
		if err != nil {
			t.Fatalf("%s: %v", tree.text, err)
		}
		parsed, _ := Parse(tree.text)
		again, err := compile(Format(parsed))
		if err != nil {
			t.Fatalf("%s: %v", Format(parsed), err)
		}
		for id := range int64(7) {
			if q.Match(thing{id: id}) != tree.match(id) || again.Match(thing{id: id}) != tree.match(id) {
				t.Fatalf("%s: wrong about %d", tree.text, id)
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{`id = 1`, `(a in ("x", 'y') or b like "%") and hasTag(name is not null)`, "`", `\`, `a = "\"`, `-`, `1`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		tree, err := Parse(query)
		if err != nil {
			var fault *Error
			if !errors.As(err, &fault) || fault.Position < 1 || fault.Position > len(query)+1 {
				t.Fatalf("%q: %v", query, err)
			}
			return
		}
		if _, err := Parse(Format(tree)); err != nil && len(query) < 500 { // a long row of ORs nests deeply
			t.Fatalf("%q reads, but not as %q: %v", query, Format(tree), err)
		}
		schema.Compile(tree, now) //nolint:errcheck // it must only not panic
	})
}
