package mapper

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// margins are written as a person would list them, not as the code has them.
var margins = strings.Split("\u0020 \t \n \v \f \r \u0001 \u001b \u007f \u0085 \u00a0 \u00ad \u034f \u061c \u115f \u1160 \u1680 \u180e \u2000 \u2003 \u2009 \u200a \u200b \u200c \u200d "+
	"\u200e \u200f \u2028 \u2029 \u202a \u202e \u202f \u205f \u2060 \u2061 \u2066 \u2069 \u2800 \u3000 \u3164 \ufeff \uffa0", " ")

// visible are texts that begin and end in what shows.
var visible = rapid.SampledFrom([]string{"a", "Z9", "ü", "a b", "語", "💥", "❤\ufe0f", "👨\u200d💻", "🏴\U000e0067\U000e007f", "a\u200bb", "\uFFFD", "\xff", "\x00", "\xED\xA0\xBD"})

func TestTrim(t *testing.T) {
	margin := rapid.Map(rapid.SliceOfN(rapid.SampledFrom(append(margins, " ", "")), 0, 5), func(s []string) string { return strings.Join(s, "") })
	rapid.Check(t, func(t *rapid.T) {
		value := visible.Draw(t, "value")
		if got := Trim(margin.Draw(t, "before") + value + margin.Draw(t, "behind")); got != value {
			t.Fatalf("%q is left of %q", got, value)
		}
	})
	for raw, want := range map[string]string{"": "", " \u200b\ufeff": "", "x\ufe0f": "x", "7\ufe0f": "7", "\ufe0fx": "x", "\ufe0f": "", "☺\ufe0f \ufe0f": "☺\ufe0f"} {
		if got := Trim(raw); got != want {
			t.Errorf("Trim(%q) = %q, want %q", raw, got, want)
		}
	}
}

// Whatever it is given, Trim takes off nothing but the ends, and all there is to take off.
func TestTrimOnce(t *testing.T) {
	pieces := rapid.SampledFrom(append(margins, " ", "a", "\ufe0f", "❤", "\x00", "\xff", "\xe2\x80", "💥"))
	rapid.Check(t, func(t *rapid.T) {
		raw := strings.Join(rapid.SliceOf(rapid.OneOf(pieces, rapid.String())).Draw(t, "raw"), "")
		once := Trim(raw)
		if !strings.Contains(raw, once) || Trim(once) != once {
			t.Fatalf("%q becomes %q, which becomes %q", raw, once, Trim(once))
		}
	})
}

// Every margin gets a note where it stands inside a value, but the plain blank, which is what most subjects have.
func TestNotesOfWhatDoesNotShow(t *testing.T) {
	for _, m := range slices.DeleteFunc(slices.Clone(margins), func(m string) bool { return m == "" }) {
		want := fmt.Sprintf("%U", []rune(m)[0])
		if got := Notes("a" + m + "b" + m + "c"); len(got) != 1 || strings.Count(got[0], want) != 1 {
			t.Errorf("%s within a value: %q", want, got)
		}
	}
	for _, plain := range []string{"Invoice overdue", "👨\u200d💻 ❤\ufe0f", "1\ufe0f\u20e3 offer", "ü", ""} {
		if got := Notes(plain); got != nil {
			t.Errorf("%q: %q", plain, got)
		}
	}
	if got := Notes("a\u00a0b\u200bc\u200cd\u200de\u200ef\u200fg"); len(got) != 1 || strings.Count(got[0], "U+") != maxOdd {
		t.Errorf("many: %q", got)
	}
}

func TestDefanged(t *testing.T) {
	for value, want := range map[string]string{
		"hxxp://Bad[.]example/x": "hxxp://", "HXXPS://bad.example": "HXXPS://", "hXXp[:]//bad.example": "hXXp[:]//", "hxxps[://]bad.example": "hxxps[://", "h**p://x": "h**p://",
		"htxp://x": "htxp://", "hxtps://x": "hxtps://", "meow://x": "meow://", "fxp://x": "fxp://", "bad[.]example": "[.]", "bad[.example": "[.", "bad.]example": ".]",
		"bad(.)example": "(.)", "bad{.}example": "{.}", "bad[dot]example": "[dot]", "bad(DOT)example": "(DOT)", "a[at]b.example": "[at]", "a(at)b.example": "(at)", "a[@]b.example": "[@]",
		"http[:]//x": "[:]", "http://x[:]80": "[:]", "http:[//]x": "", "http[://]x": "[://]", "x[/]y": "[/]", "198.51.100[.]7": "[.]",
		"http://bad.example/x?u=hxxp://y": "", "http://[2001:db8::1]:80/": "", "bad.example": "", "hxxp": "", "shxxp://x": "", "x (dots) y": "", "": "",
	} {
		if got := Defanged(value); got != want {
			t.Errorf("Defanged(%q) = %q, want %q", value, got, want)
		}
	}
}

// What is no text is told apart from every text, and the reason names what is wrong.
func TestUsable(t *testing.T) {
	for value, want := range map[string]string{
		"": "no value", " \u200b": "no value", "a\x00": "NUL", "\x00": "NUL", "\xED\xA0\xBD": "surrogate", "x\xED\xBF\xBF": "surrogate", "\xff": "UTF-8", "a\xed": "UTF-8",
		"\uD7FF": "", "\uFFFD": "", "\u200ba": "", "ok": "",
	} {
		err := Usable(value)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("Usable(%q) = %v, want %q", value, err, want)
		}
	}
}

// A string of JSON is either the value, to the last character, or reported.
func TestNoValueIsAltered(t *testing.T) {
	units := rapid.SliceOfN(rapid.SampledFrom([]uint16{'a', ' ', 0xD83D, 0xDE00, 0xDC00, 0xDBFF, 0xFFFD, 0xE9, 0x0}), 1, 6)
	byText := map[string]string{}
	rapid.Check(t, func(t *rapid.T) {
		raw := ""
		for _, u := range units.Draw(t, "UTF-16") {
			raw += fmt.Sprintf(`\u%04x`, u)
		}
		ind, err := Parse([]byte(`{"Subject":"` + raw + `"}`))
		if err != nil {
			t.Fatal(err)
		}
		value := ind.Member("Subject")
		if other, known := byText[value]; known && other != raw {
			t.Fatalf("%s and %s are both read as %q", raw, other, value)
		}
		byText[value] = raw
		whole := !slices.Contains(decodeUTF16(raw), -1)
		if _, err := ind.Value("Subject"); whole && strings.Contains(fmt.Sprint(err), "surrogate") || !whole && err == nil {
			t.Fatalf("%s: %v", raw, err)
		}
	})
}

// decodeUTF16 reads \uXXXX on its own; -1 stands for half a pair.
func decodeUTF16(raw string) []rune {
	var units []int
	for _, hex := range strings.Split(raw, `\u`)[1:] {
		var u int
		if _, err := fmt.Sscanf(hex, "%x", &u); err != nil {
			panic(err)
		}
		units = append(units, u)
	}
	var text []rune
	for i := 0; i < len(units); i++ {
		u := units[i]
		switch {
		case u >= 0xD800 && u < 0xDC00 && i+1 < len(units) && units[i+1] >= 0xDC00 && units[i+1] < 0xE000:
			i++
			text = append(text, rune(0x10000+(u-0xD800)<<10+units[i]-0xDC00))
		case u >= 0xD800 && u < 0xE000:
			text = append(text, -1)
		default:
			text = append(text, rune(u))
		}
	}
	return text
}
