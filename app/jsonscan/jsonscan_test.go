package jsonscan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func accepts(s *Scanner) bool {
	s.Skip()
	return s.Ended()
}

func nested(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

func TestStructure(t *testing.T) {
	for _, good := range []string{`{}`, `[]`, ` { "a" : [ 1 , -2.5e+3, true,false , null, "" ] , "b\"\\":{"c":"\\"} } `, `"x"`, `0`, `[[[]]]`, nested(MaxDepth)} {
		if !json.Valid([]byte(good)) || !accepts(New([]byte(good))) || !accepts(NewStrict([]byte(good))) {
			t.Errorf("%s is refused", good)
		}
	}
	for _, bad := range []string{``, `{`, `[`, `}`, `{]`, `[}`, `{"a"}`, `{"a":}`, `{"a":1,}`, `[1,]`, `[,1]`, `[1 2]`, `{"a":1 "b":2}`, `{"a" 1}`, `{a:1}`, `{1:1}`, `"`, `"\"`,
		`"\\\"`, `tru`, `nulls`, `[1}`, `{"a":[}`, `1 2`, `[1]]`, `+1`, `<html>`, "[1]\x00", "\ufeff{}", nested(MaxDepth + 1)} {
		if accepts(New([]byte(bad))) || accepts(NewStrict([]byte(bad))) {
			t.Errorf("%s is accepted", bad)
		}
	}
}

// A scanner that is not strict leaves these to whoever reads the value; a strict one refuses the whole text.
func TestInsideOfScalars(t *testing.T) {
	for _, damaged := range []string{`"\x"`, `"\u12"`, `"\u12g4"`, `"\` + "\n" + `"`, `01`, `-`, `1.`, `1e`, `1e+`, `-01`, `1.5.5`, `1true`, `0x1f`, `1-2`} {
		text := slices.Clip([]byte(damaged)) // whoever looks behind it fails
		if json.Valid(text) || !accepts(New(text)) || accepts(NewStrict(text)) {
			t.Errorf("%s: scanned %t, strictly %t", damaged, accepts(New(text)), accepts(NewStrict(text)))
		}
	}
	for _, odd := range []string{"\"a\x00\n\"", "\"\xff\"", `"\ud800"`, `-0`, `0.10`, `1E5`, `1e-0`} {
		if !accepts(New([]byte(odd))) || !accepts(NewStrict([]byte(odd))) {
			t.Errorf("%q is refused", odd)
		}
	}
}

func TestWalk(t *testing.T) {
	const text = ` {"a" : 1, "list":[ {"x":[1,[2]]}, "s" ,null], "\u0062":{"c":"d"}, "end" : true } `
	s := New([]byte(text))
	var seen []string
	for name := range s.Members {
		switch Text(text[name.Start:name.End]) {
		case "list":
			for range s.Elements {
				first := s.Next()
				value := s.Skip()
				seen = append(seen, string(first)+"="+text[value.Start:value.End])
			}
		case "b":
			for name := range s.Members {
				seen = append(seen, text[name.Start:name.End])
			}
		case "end":
			for range s.Members {
				t.Error("true has members")
			}
			seen = append(seen, "end")
		}
	}
	want := []string{`{={"x":[1,[2]]}`, `"="s"`, `n=null`, `"c"`, "end"}
	if !s.Ended() || !slices.Equal(seen, want) {
		t.Errorf("ended %t, saw %q, want %q", s.Ended(), seen, want)
	}
}

// How deep values lie in each other is counted over objects and arrays, and not for those that lie beside each other.
func TestDepth(t *testing.T) {
	for _, pair := range [][2]string{{`[`, `]`}, {`{"a":`, `}`}, {`[{"a":`, `}]`}} {
		levels := MaxDepth / (strings.Count(pair[0], "[") + strings.Count(pair[0], "{"))
		if deep := strings.Repeat(pair[0], levels) + "1" + strings.Repeat(pair[1], levels); !accepts(New([]byte(deep))) || accepts(New([]byte("["+deep+"]"))) {
			t.Errorf("%s is refused, or accepted one level deeper", deep)
		}
	}
	for _, list := range []string{`[]`, `[1]`, `{}`, `{"a":1}`} {
		if wide := "[" + strings.Repeat(list+",", 2*MaxDepth) + nested(MaxDepth-1) + "]"; !accepts(New([]byte(wide))) {
			t.Errorf("%d times %s beside each other are refused", 2*MaxDepth, list)
		}
	}
}

// What is no object has no members, and what is no array no elements: it is passed.
func TestLoopsOverOtherValues(t *testing.T) {
	for _, text := range []string{`true`, ` "a" `, `[1]`, `{"a":[]}`} {
		s := New([]byte(text))
		visited := 0
		if s.Next() == '[' {
			for range s.Members {
				visited++
			}
		} else {
			for range s.Elements {
				visited++
			}
		}
		if visited > 0 || !s.Ended() {
			t.Errorf("%s: %d visited, ended %t", text, visited, s.Ended())
		}
	}
}

// Whoever leaves a loop early has what was wanted, and must not take the rest for read.
func TestLeavingALoopEndsTheScan(t *testing.T) {
	elements := New([]byte(`[1,2]`))
	for range elements.Elements {
		break
	}
	if elements.Ended() || elements.Next() != 0 {
		t.Error("an array that was left goes on")
	}
	s := New([]byte(`[{"a":1,"b":2},3]`))
	for range s.Elements {
		for range s.Members {
			break
		}
	}
	if s.Ended() || s.Next() != 0 || s.Skip() != (Span{}) {
		t.Error("a scan that was left goes on")
	}
}

// A scanner tells which strings, names among them, are what stands between their quotes.
func TestVerbatim(t *testing.T) {
	text := []byte(`{"a":"x","b\n":"","c":["\\","é",12,true,{}]}`)
	verbatim := func(s *Scanner) (strings []string) {
		note := func(value Span) {
			if value.Verbatim {
				strings = append(strings, string(text[value.Start:value.End]))
			}
		}
		for name := range s.Members {
			note(name)
			if s.Next() != '[' {
				note(s.Skip())
				continue
			}
			for range s.Elements {
				note(s.Skip())
			}
		}
		return strings
	}
	want := []string{`"a"`, `"x"`, `""`, `"c"`, `"é"`}
	for _, s := range []*Scanner{New(text), NewStrict(text)} {
		if got := verbatim(s); !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// Strings end where they end, however long they are and wherever quotes and backslashes stand in them.
func TestEndsOfStrings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		inside := rapid.StringOfN(rapid.RuneFrom([]rune("ab!#[]\u00a2\u2022\uff02\uff3c\\\"")), 0, 40, -1).Draw(t, "inside")
		behind := rapid.SampledFrom([]string{"", ",", `, "x"`, `,"a longer text"`}).Draw(t, "behind")
		raw, err := json.Marshal(inside)
		if err != nil {
			t.Fatal(err)
		}
		text := string(raw) + behind
		want := Span{End: len(raw), Verbatim: !strings.Contains(inside, `\`) && !strings.Contains(inside, `"`)}
		for _, s := range []*Scanner{New([]byte(text)), NewStrict([]byte(text))} {
			if got := s.Skip(); got != want {
				t.Fatalf("%s is passed as %+v, want %+v", text, got, want)
			}
		}
		if cut := New(raw[:len(raw)-1]); accepts(cut) {
			t.Fatalf("%s is accepted", raw[:len(raw)-1])
		}
	})
}

func TestText(t *testing.T) {
	for value, want := range map[string]string{
		``: ``, `null`: ``, `{"a":1}`: ``, `["a"]`: ``, `12.50`: `12.50`, `true`: `true`, `false`: `false`, `""`: ``, `"a b"`: `a b`,
		`"\"\\\/\b\f\n\r\t"`: "\"\\/\b\f\n\r\t", `"\u00e9\u00E9\u00aF\u00Aa"`: "éé¯ª", `"\ud83d\ude00"`: "😀", `"\ud83d\ud83d\ude00"`: "\uFFFD😀", `"x\ude00\u0041"`: "x\uFFFDA",
		`"\ud83d\u12"`: "\uFFFD\uFFFD12", `"a\qb"`: "a\uFFFDb", `"\u00g1z"`: "\uFFFD00g1z", "\"\xff\\n\"": "\xff\n", "\"a\x01\\\\\"": "a\x01\\",
	} {
		if got := Text(value); got != want {
			t.Errorf("Text(%s) = %q, want %q", value, got, want)
		}
	}
}

// A list without escapes is split, any other one scanned: both read the same as encoding/json.
func TestTexts(t *testing.T) {
	for _, tt := range []struct {
		list  string
		texts []string // nil where it is no list of texts
	}{
		{`[]`, []string{}}, {`[""]`, []string{""}}, {`["a"]`, []string{"a"}}, {`["a","b,c"]`, []string{"a", "b,c"}},
		{`["","",""]`, []string{"", "", ""}}, {`["\"","\\"]`, []string{`"`, `\`}}, {`["é","\u00e9"]`, []string{"é", "é"}},
		{` [ "a" , "b" ] `, []string{"a", "b"}}, {`["a\",","b"]`, []string{`a",`, "b"}}, {`["a","b" ]`, []string{"a", "b"}},
		{`["a",1,"b"]`, nil}, {`["a"x"b"]`, nil}, {`["a""b"]`, nil}, {`["a",["b"],"c"]`, nil}, {`["a","b"],"c"]`, nil}, {`["]`, nil},
		{`["a",null,"b"]`, nil}, {`["a",]`, nil}, {`["a"`, nil}, {`["\q"]`, nil}, {`"a"`, nil}, {`{"a":"b"}`, nil}, {`null`, nil}, {``, nil},
	} {
		texts, ok := Texts(tt.list)
		if ok != (tt.texts != nil) || ok && !slices.Equal(texts, tt.texts) {
			t.Errorf("%s is read as %q, %v; want %q", tt.list, texts, ok, tt.texts)
		}
		var same []string
		if err := json.Unmarshal([]byte(tt.list), &same); ok && (err != nil || !slices.Equal(texts, same)) {
			t.Errorf("%s is %q to encoding/json (%v)", tt.list, same, err)
		}
	}
}

// Half a surrogate pair is no character. Text replaces it, Exact keeps it apart from any other text, and from UTF-8.
func TestExact(t *testing.T) {
	for value, want := range map[string]string{
		``: ``, `null`: ``, `7`: `7`, `"a\n\u00e9"`: "a\né", `"\ud83d\ude00"`: "😀", `"\uFFFD"`: "\uFFFD",
		`"\ud83d"`: "\xED\xA0\xBD", `"a\uDC00b"`: "a\xED\xB0\x80b", `"\ud83d\ud83d\ude00"`: "\xED\xA0\xBD😀", `"\ude00\ud83d"`: "\xED\xB8\x80\xED\xA0\xBD",
		`"\ud83d\n"`: "\xED\xA0\xBD\n", `"\udfff"`: "\xED\xBF\xBF",
	} {
		if got := Exact(value); got != want {
			t.Errorf("Exact(%s) = %q, want %q", value, got, want)
		}
	}
	seen := map[string]rune{}
	for half := rune(0xD800); half <= 0xDFFF; half++ {
		text := Exact(fmt.Sprintf(`"\u%04x"`, half))
		if other, known := seen[text]; known || utf8.ValidString(text) {
			t.Fatalf("%U is read as %q, as %U is", half, text, other)
		}
		seen[text] = half
	}
}

// Exact differs from Text in halves of pairs alone.
func TestExactIsText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw, err := json.Marshal(rapid.String().Draw(t, "text"))
		if err != nil {
			t.Fatal(err)
		}
		if Exact(string(raw)) != Text(string(raw)) {
			t.Fatalf("%s is read as %q and as %q", raw, Exact(string(raw)), Text(string(raw)))
		}
	})
}

// Whatever is JSON is accepted; cut anywhere, it is not.
func TestWhatIsCutIsNoticed(t *testing.T) {
	value := rapid.Custom(func(t *rapid.T) any { return draw(t, 4) })
	rapid.Check(t, func(t *rapid.T) {
		text, err := json.MarshalIndent([]any{value.Draw(t, "value")}, "", rapid.SampledFrom([]string{"", " "}).Draw(t, "indent"))
		if err != nil {
			t.Fatal(err)
		}
		if problem := compare(text); problem != "" {
			t.Fatal(problem)
		}
		cut := text[:rapid.IntRange(0, len(text)-1).Draw(t, "cut")]
		if accepts(New(cut)) || accepts(NewStrict(cut)) {
			t.Fatalf("%s is accepted", cut)
		}
		lost := slices.Concat(cut, text[min(len(cut)+rapid.IntRange(1, 9).Draw(t, "lost"), len(text)):])
		if problem := compare(lost); problem != "" {
			t.Fatal(problem)
		}
	})
}

func draw(t *rapid.T, depth int) any {
	kind := rapid.IntRange(0, 5).Draw(t, "kind")
	if depth == 0 {
		kind %= 4
	}
	switch kind {
	case 0:
		return rapid.String().Draw(t, "text")
	case 1:
		return rapid.SampledFrom([]string{`"`, `\`, `\"`, `\\"`, `{`, `]`, "é\n\x00"}).Draw(t, "awkward")
	case 2:
		return rapid.Float64().Draw(t, "number")
	case 3:
		return rapid.SampledFrom([]any{true, false, nil}).Draw(t, "word")
	case 4:
		return []any{draw(t, depth-1), draw(t, depth-1)}
	}
	return map[string]any{rapid.String().Draw(t, "key"): draw(t, depth-1), "b": draw(t, depth-1)}
}

// FuzzScan compares with encoding/json what the package promises. The corpus is in testdata/fuzz/FuzzScan, one named case a
// file.
func FuzzScan(f *testing.F) {
	for _, text := range []string{``, `{}`, ` [ 1 , -2.5e+3 ] `, `{"a":{"b":["c\"\\",null]},"d":true}`, `"\ud83d\ude00\u00e9"`, `"\x"`, `01`, nested(MaxDepth), nested(MaxDepth + 1)} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if problem := compare(text); problem != "" {
			t.Fatal(problem)
		}
	})
}

// compare says where a text is treated otherwise than promised; "" where it is not.
func compare(text []byte) string {
	loose, strict := accepts(New(text)), accepts(NewStrict(text))
	switch valid := json.Valid(text); {
	case valid && depthOf(text) <= MaxDepth && !(loose && strict):
		return fmt.Sprintf("%q is JSON: accepted %t, strictly %t", text, loose, strict)
	case strict && !loose:
		return fmt.Sprintf("%q is accepted by the strict one alone", text)
	case loose && !json.Valid(soundScalars(text)):
		return fmt.Sprintf("%q is accepted, and its structure is not that of JSON", text)
	case strict && !json.Valid(withoutControls(text)):
		return fmt.Sprintf("%q is accepted strictly, and is no JSON", text)
	}
	return compareWalk(text, loose)
}

// compareWalk compares what the loops and Text give with what encoding/json gives.
func compareWalk(text []byte, accepted bool) string {
	s := New(text)
	if got, want := walkAll(s, text), any(nil); json.Valid(text) && utf8.Valid(text) && accepted {
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		if err := d.Decode(&want); err != nil {
			return err.Error()
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			return fmt.Sprintf("%q was read as %v, not %v", text, got, want)
		}
	}
	if s.Ended() != accepted {
		return fmt.Sprintf("%q: accepted by Skip %t, by loops %t", text, accepted, s.Ended())
	}
	return ""
}

// walkAll reads all values by the loops.
func walkAll(s *Scanner, text []byte) any {
	switch s.Next() {
	case '{':
		object := map[string]any{}
		for name := range s.Members {
			object[Text(string(text[name.Start:name.End]))] = walkAll(s, text)
		}
		return object
	case '[':
		array := []any{}
		for range s.Elements {
			array = append(array, walkAll(s, text))
		}
		return array
	}
	value := s.Skip()
	switch scalar := Text(string(text[value.Start:value.End])); string(text[value.Start:value.End]) {
	case "true":
		return true
	case "false":
		return false
	case "null":
		return nil
	default:
		return scalar
	}
}

// soundScalars puts a sound string or number in the place of each of the text, by rules of its own.
func soundScalars(text []byte) []byte {
	var sound []byte
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			for i++; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
			sound = append(sound, `"name"`...)
		case c == '-' || '0' <= c && c <= '9':
			for i+1 < len(text) && isWordByte[text[i+1]] {
				i++
			}
			sound = append(sound, '0')
		default:
			sound = append(sound, c)
		}
	}
	return sound
}

// withoutControls replaces the control characters in strings.
func withoutControls(text []byte) []byte {
	right := bytes.Clone(text)
	for i, inside := 0, false; i < len(right); i++ {
		switch {
		case right[i] == '"':
			inside = !inside
		case inside && right[i] == '\\':
			i++
		case inside && right[i] < ' ':
			right[i] = '.'
		}
	}
	return right
}

// depthOf is how deep the values of valid JSON lie in each other.
func depthOf(text []byte) (deepest int) {
	tokens := json.NewDecoder(bytes.NewReader(text))
	tokens.UseNumber()
	for now := 0; ; {
		token, err := tokens.Token()
		if err != nil {
			return deepest
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			now++
		case json.Delim('}'), json.Delim(']'):
			now--
		}
		deepest = max(deepest, now)
	}
}

// What was walked through stands between two places of the scanner, without the blanks around it.
func TestAt(t *testing.T) {
	text := []byte(`[ {"a": [1]} , 2 ]`)
	scan := New(text)
	var walked []string
	for range scan.Elements {
		scan.Next()
		start := scan.At()
		for range scan.Members {
			scan.Skip()
		}
		walked = append(walked, string(text[start:scan.At()]))
	}
	if want := []string{`{"a": [1]}`, `2`}; !slices.Equal(walked, want) {
		t.Errorf("got %q, want %q", walked, want)
	}
}
