package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"

	"mssentinel/plugins/builtin"
	"mssentinel/plugins/mapper"
	"mssentinel/plugins/mapper/mappertest"
)

// built is the mapper of a type.
func built(t testing.TB, typ string) mapper.Mapper {
	t.Helper()
	for _, b := range builtin.Types {
		if b.Name == typ {
			return mappers[b.Mapper]("test")
		}
	}
	t.Fatalf("there is no mapper for %s", typ)
	return nil
}

// spellings are those of one observable in each row; a value that begins with its type and a colon is of another type.
var spellings = map[string][][]string{
	"Address": {{"198.51.100.20", " 198.51.100.20\t", "::ffff:198.51.100.20", "[198.51.100.20]", "CIDR:198.51.100.20/32", "CIDR:::ffff:198.51.100.20/128"},
		{"2001:db8::20", "2001:DB8:0:0::20", "[2001:db8::20]", "CIDR:2001:db8::20/128"}, {"198.51.100.2"}, {"2001:db8::2"}},
	"CIDR": {{"198.51.100.20/31"}, {"198.51.100.20/30", "::ffff:198.51.100.20/126"}, {"198.51.100.21/31"}, {"2001:db8::20/127", "2001:DB8:0::20/127 "}},
	"Host": {{"bad.example", "BAD.Example.", "\u200bbad.example ", "ba\u00add.example"}, {"bücher.example", "BÜCHER.example", "xn--bcher-kva.example"}, {"bucher.example"},
		{"straße.example", "xn--strae-oqa.example"}, {"strasse.example"}, {"bad-.example"}, {"bad.example.com"}},
	"URL": {{"http://bad.example/A", "HTTP://BAD.example/A\u00a0"}, {"http://bad.example/a"}, {"http://bad.example:80/A"}, {"bad.example/A"}, {"Bad.example/A"},
		{"http://User@bad.example/", "HTTP://User@BAD.example/"}, {"http://user@bad.example/"}, {"http://bad.example/%41"}},
	"ASN": {{"ASN15139", "AS 15139", "asn 15139", "15139", "as-15139\ufeff"}, {"ASN015139"}, {"ASN1513"}, {"Example", "EXAMPLE "}, {"AS15139 Example"}},
	"EmailAddress": {{"bad@x.example", "Bad Guy <bad@x.example>", "mailto:BAD@X.example.", "<bad@x.example>"}, {"bad+1@x.example"}, {"b.ad@x.example"}, {`"bad"@x.example`},
		{"bad@bücher.example", "bad@xn--bcher-kva.example"}, {"bad@x[.]example"}},
	"Email Subject": {{"Invoice overdue", " Invoice overdue\r\n"}, {"invoice overdue"}, {"Invoice  overdue"}, {"Invoice\u00a0overdue"}, {"Invoice overdue\uFFFD"}, {"❤\ufe0f"}, {"❤"}},
	"File":          {{"912EC803B2CE49E4A541068D495AB570", " 912ec803b2ce49e4a541068d495ab570"}, {"912EC803B2CE49E4A541068D495AB571"}},
	"Registry Key": {{`HKEY_LOCAL_MACHINE\SOFTWARE\A`, `HKLM\SOFTWARE\A`, `HKLM:\SOFTWARE\A `, `Computer\HKEY_LOCAL_MACHINE\SOFTWARE\A`, `\REGISTRY\MACHINE\SOFTWARE\A`}, {`HKEY_LOCAL_MACHINE\Software\A`},
		{`HKEY_CURRENT_USER\SOFTWARE\A`, `hkcu\SOFTWARE\A`}, {`HKLM\SOFTWARE\A\`}, {`SOFTWARE\A`}},
}

// One observable has one object however it is spelled, and no other observable has that object.
func TestOneObservableOneObject(t *testing.T) {
	for typ, rows := range spellings {
		owner := map[string]int{}
		for n, row := range rows {
			for _, value := range row {
				of := typ
				if other, rest, found := strings.Cut(value, ":"); found && other == "CIDR" {
					of, value = other, rest
				}
				raw, err := json.Marshal(map[string]string{"type": of, "summary": value})
				if err != nil {
					t.Fatal(err)
				}
				got := patterns(t, built(t, of), raw)
				if len(got) != 1 {
					t.Errorf("%s %q gives %q", of, value, got)
					continue
				}
				if first, known := owner[got[0]]; known && first != n {
					t.Errorf("%s %q has the object of %q", of, value, rows[first][0])
				} else if !known && value != row[0] {
					t.Errorf("%s %q gives %s, not the object of %q", of, value, got[0], row[0])
				} else if !known {
					owner[got[0]] = n
				}
			}
		}
	}
}

// bare is a value without what stands around it, by the classes of Unicode.
func bare(s string) string {
	return strings.TrimFunc(s, func(r rune) bool {
		return r != 0 && (unicode.IsSpace(r) || unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point))
	})
}

// sameURL compares scheme and host without regard to case, and the rest exactly.
func sameURL(a, b string) bool {
	a, b = bare(a), bare(b)
	at := func(s string) int {
		if scheme, rest, found := strings.Cut(s, "://"); found {
			if end := strings.IndexAny(rest, `/?#\`); end >= 0 {
				return len(scheme) + len("://") + end
			}
		}
		return len(s)
	}
	return strings.EqualFold(a[:at(a)], b[:at(b)]) && a[at(a):] == b[at(b):]
}

// Two values that have an object in common are the same to a person; what is no text has none. Values are drawn as the UTF-16 that
// JSON holds, so that halves of characters are among them.
func TestDifferentValuesHaveDifferentObjects(t *testing.T) {
	common := []string{"a", "A", "b", " ", `\u00a0`, `\u200b`, `\ud83d`, `\ude00`, `\ud83d\ude00`, `\ufffd`, `\u0000`, `\u00e9`, "'", `\\`, `\"`}
	for typ, tt := range map[string]struct {
		before, behind string
		pieces         []string
		same           func(a, b string) bool
	}{
		"Email Subject": {"", "", common, func(a, b string) bool { return bare(a) == bare(b) }},
		"URL":           {"", "", append([]string{"http://", "HTTP://", "/", "@", ":", "?", "."}, common...), sameURL},
		"EmailAddress": {"", "@x.example", append([]string{".", "+", "<", ">", "mailto:", "@"}, common...), func(a, b string) bool {
			return strings.EqualFold(bareAddress(a), bareAddress(b))
		}},
		"Registry Key": {`HKEY_USERS\\`, "", common, func(a, b string) bool { return bare(a) == bare(b) }},
	} {
		m := built(t, typ)
		value := rapid.Map(rapid.SliceOfN(rapid.SampledFrom(tt.pieces), 1, 5), func(s []string) string { return tt.before + strings.Join(s, "") + tt.behind })
		rapid.Check(t, func(t *rapid.T) {
			a, b := value.Draw(t, "a"), value.Draw(t, "b")
			first, second := objectsOf(t, m, typ, a), objectsOf(t, m, typ, b)
			for _, text := range []string{a, b} {
				if whole(text) != nil && len(objectsOf(t, m, typ, text)) > 0 {
					t.Fatalf("%s %s is no text, and gives %q", typ, text, objectsOf(t, m, typ, text))
				}
			}
			if len(first) == 0 || len(second) == 0 || first[0] != second[0] {
				return
			}
			if !tt.same(decoded(t, a), decoded(t, b)) {
				t.Fatalf("%s %s and %s both give %s", typ, a, b, first[0])
			}
		})
	}
}

// bareAddress is what stands in angle brackets and behind mailto:.
func bareAddress(s string) string {
	if open := strings.LastIndexByte(s, '<'); open >= 0 {
		s = s[open+1:]
	}
	s = bare(strings.TrimSuffix(bare(s), ">"))
	if n := strings.Index(strings.ToLower(s), "mailto:"); n >= 0 {
		s = s[n+len("mailto:"):]
	}
	return bare(s)
}

// whole says what is no text in a string of JSON: half a surrogate pair, or NUL.
func whole(raw string) error {
	rest := strings.ReplaceAll(strings.ReplaceAll(raw, `\\`, ""), `\ud83d\ude00`, "")
	if strings.Contains(rest, `\ud83d`) || strings.Contains(rest, `\ude00`) || strings.Contains(rest, `\u0000`) {
		return fmt.Errorf("%s is no text", raw)
	}
	return nil
}

func decoded(t *rapid.T, raw string) (text string) {
	if err := json.Unmarshal([]byte(`"`+raw+`"`), &text); err != nil {
		t.Fatal(err)
	}
	return text
}

// objectsOf are the patterns of an indicator with this value, as JSON holds it.
func objectsOf(t *rapid.T, m mapper.Mapper, typ, raw string) (list []string) {
	ind, err := mapper.Parse([]byte(`{"type":"` + typ + `","summary":"` + raw + `"}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range m.Map(ind, mappertest.Now).Objects {
		list = append(list, o.Pattern)
	}
	return list
}
