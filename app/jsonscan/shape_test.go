package jsonscan

import (
	"strings"
	"testing"
)

func TestShape(t *testing.T) {
	for text, want := range map[string]string{
		``: "empty", " \n": "empty", `<html>`: "no JSON", `{"a":1`: "no JSON", `{"a":1}{}`: "no JSON", `tru`: "no JSON",
		`null`: "null", `"hunter2"`: "text", `-5.5e3`: "number", `true`: "boolean", `[]`: "[]", `{}`: "{}",
		`{"statusCode":429,"message":"hunter2"}`: `{"statusCode":number,"message":text}`,
		`[{"a":"hunter2"},{"b":1}]`:              `[{"a":text}, …]`,
		`{"error":{"code":"x","details":[],"target":null,"inner":{"deep":{"deeper":{"a":1}}}}}`: `{"error":{"code":text,"details":[],"target":null,"inner":{"deep":{"deeper":object}}}}`,
	} {
		if got := Shape([]byte(text)); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	wide := Shape([]byte("{" + strings.TrimSuffix(strings.Repeat(`"`+strings.Repeat("x", 200)+`":[1,2],`, 1000), ",") + "}"))
	if len(wide) > 2000 || !strings.HasSuffix(wide, ", …}") {
		t.Errorf("%d bytes: %s", len(wide), wide)
	}
}
