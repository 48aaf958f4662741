package store

import (
	"time"

	"github.com/tidwall/gjson"
)

type failer interface {
	Helper()
	Fatal(...any)
}

// payload reads what was sent of an object.
func payload(t failer, b []byte) (pattern, name string, expires time.Time) {
	t.Helper()
	m := gjson.GetManyBytes(b, "pattern", "name", "valid_until")
	expires, err := time.Parse(time.RFC3339, m[2].String())
	if err != nil || !gjson.ValidBytes(b) {
		t.Fatal("not an object: ", string(b), err)
	}
	return m[0].String(), m[1].String(), expires
}
