package threatconnect

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestCheck(t *testing.T) {
	for _, c := range []struct{ tql, fault string }{
		{`rating >= 4`, ""},
		{``, ""},
		{`hasTag(name="x") and (a=1 or b in (1,2))`, ""},
		{`summary = "ownerName"`, ""},
		{`summary = 'typeName ) (' or summary = ` + "`typeName`", ""},
		{`summary = "a \" typeName \" b"`, ""},
		{`summary = "back\\"`, ""},
		{`myOwnerNames = 1 and ownerName_x = 2`, ""},
		{`summary like "%-- // /* #%"`, ""},
		{"rating > 1\nand confidence > 2", ""},
		{`ownerName = "x"`, "names ownerName"},
		{`OWNERNAME in ("x")`, "names ownerName"},
		{`a=1 and (typename="Host")`, "names typeName"},
		{`hasAttribute(typeName = "Source")`, "names typeName"},
		{`summary = "a\\" and typeName = "b"`, "names typeName"},
		{`rating > 1) or (rating < 1`, "did not open"},
		{`(rating > 1`, "does not close"},
		{`summary = ")`, "string that does not end"},
		{`summary = "abc\"`, "string that does not end"},
		{`é = 'abc`, "close the '"},
		{`rating > 1 -- the rest`, "no comments"},
		{`rating > 1 /* ) */`, "no comments"},
		{`rating > 1 # x`, "no comments"},
		{`summary = “h1.example”`, "has “: use straight quotes"},
		{`summary = ‘h1.example’`, "has ‘: use straight quotes"},
		{`summary = "h1.example”`, "has ”: use straight quotes"},
		{`summary = “it's”`, "has “: use straight quotes"},
		{`summary = ”h1.example"`, "has ”: use straight quotes"},
		{`rating > 1 and summary in („a“, „b“)`, "has „: use straight quotes"},
		{`summary = «a»`, "has «: use straight quotes"},
		{`summary = ´a´`, "has ´: use straight quotes"},
		{`summary = ＂a＂`, "has ＂: use straight quotes"},
		{`summary = "a\\" and owner = “b”`, "has “: use straight quotes"},
		{`summary = "it’s “quoted”" and tag = 'l’été' or tag = ` + "`«x»`", ""},
		{`summary = "a \" “ b"`, ""},
	} {
		q := hosts
		q.TQL = c.tql
		err := q.Check()
		if (err == nil) != (c.fault == "") || err != nil && !strings.Contains(err.Error(), c.fault) {
			t.Errorf("%s: %v, want %q", c.tql, err, c.fault)
		}
	}
}

func TestCheckTheRest(t *testing.T) {
	for fault, q := range map[string]Query{
		"no owner":             {Types: []string{"Host"}},
		"no indicator type":    {Owners: []string{"O"}},
		"not a sort field":     {Owners: []string{"O"}, Types: []string{"Host"}, SortField: "shoe size"},
		"not a sort direction": {Owners: []string{"O"}, Types: []string{"Host"}, SortField: "rating", SortDirection: "up"},
	} {
		if err := q.Check(); err == nil || !strings.Contains(err.Error(), fault) {
			t.Errorf("%s: %v", fault, err)
		}
	}
	for _, field := range SortFields {
		if err := sorted(field, "desc").Check(); err != nil {
			t.Error(err)
		}
	}
}

func TestComposition(t *testing.T) {
	zone := time.FixedZone("", 2*3600)
	for _, c := range []struct {
		name        string
		s           Selection
		tql, owner  string
		where       []string
		wantSorting string
	}{
		{"one owner", Selection{Query: hosts}, `(rating >= 0) and typeName in ("Host")`, "Demo Organization", nil, "id ASC"},
		{"no TQL", Selection{Query: Query{Owners: []string{"O"}, Types: []string{"Host", "Email Subject"}, SortField: "id", SortDirection: "desc"}},
			`typeName in ("Host", "Email Subject")`, "O", nil, "id DESC"},
		{"several owners", Selection{Query: Query{Owners: []string{`A "b" \c`, "O'D"}, Types: []string{"Host"}, TQL: "a=1 or b=2", SortField: "rating", SortDirection: "DESC"}},
			`(a=1 or b=2) and ownerName in ("A \"b\" \\c", "O'D") and typeName in ("Host")`, "", nil, "rating DESC id ASC"},
		{"window", Selection{Query: hosts, From: time.Date(2024, 5, 1, 2, 0, 0, 999, zone), To: time.Date(2024, 5, 2, 0, 0, 0, 1, time.UTC)},
			`(rating >= 0) and typeName in ("Host") and lastModified >= "2024-05-01T00:00:00Z" and lastModified < "2024-05-02T00:00:00Z"`, "Demo Organization", nil, "id ASC"},
		{"ids", Selection{Query: hosts}, `(rating >= 0) and typeName in ("Host") and id in (9007199254740993,7)`, "Demo Organization",
			[]string{idCondition([]int64{9007199254740993, 7})}, "id ASC"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := client(nil).newReader(c.s, exportFields)
			p := r.buildParams(pageRequest{sorting: c.s.sortOrder(), where: c.where})
			want := url.Values{"tql": {c.tql}, "sorting": {c.wantSorting}, "resultStart": {"0"}, "resultLimit": {"1000"}, "createActivityLog": {"false"},
				"fields": {"tags", "securityLabels", "attributes", "threatAssess", "associatedGroups"}}
			if c.owner != "" {
				want.Set("owner", c.owner)
			}
			if p.Encode() != want.Encode() {
				t.Errorf("got  %v\nwant %v", p, want)
			}
		})
	}
}

// Whatever passes Check stays inside its parentheses, and no name gets out of its quotes.
func TestNothingEscapes(t *testing.T) {
	piece := rapid.SampledFrom([]string{`"`, `'`, "`", `\`, `(`, `)`, `a`, ` or `, `=1`, `typeName`, "\n", `é`, `-`, `/`, `*`})
	rapid.Check(t, func(t *rapid.T) {
		q := Query{Owners: []string{"x", strings.Join(rapid.SliceOf(piece).Draw(t, "owner"), "")}, Types: []string{"Host"},
			TQL: "a" + strings.Join(rapid.SliceOf(piece).Draw(t, "tql"), "")}
		if q.Check() != nil {
			return
		}
		composed := Selection{Query: q}.composeTQL()
		code, err := withoutLiterals(composed)
		if err != nil || len(code) != len(composed) {
			t.Fatal(err)
		}
		blank := strings.Repeat(" ", len(quoteNames(q.Owners[1:])))
		inside, rest, found := strings.Cut(code, ") and ownerName in (   , "+blank+") and typeName in (      )")
		if !found || rest != "" || inside[0] != '(' {
			t.Fatalf("%q became %q", q.TQL, code)
		}
		if err := checkParentheses(inside[1:]); err != nil {
			t.Fatalf("%q: %v", inside, err)
		}
	})
}
