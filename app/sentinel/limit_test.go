package sentinel

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

// The first answer that tells of the limit is noted, and no value of it.
func TestFirstLimitIsNoted(t *testing.T) {
	var l limitLog
	at := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	l.note(http.Header{"Retry-After": {"37"}, "X-Ms-Request-Id": {"canary"}}, []byte(`{"statusCode":429,"message":"canary"}`), at)
	l.note(http.Header{"Other": {"x"}}, nil, at.Add(time.Hour))
	want := LimitFacts{Count: 2, At: at, Headers: []string{"Retry-After", "X-Ms-Request-Id"}, RetryAfter: "seconds", Body: `{"statusCode":number,"message":text}`}
	c := &Client{limit: &l}
	for range 2 {
		got := c.Limit()
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v", got)
		}
		got.Headers[0] = "of whoever asked"
	}
	many := http.Header{"Retry-After": {"soon"}}
	for i := range 200 {
		many.Set(fmt.Sprint("X-", i), "x")
	}
	var other limitLog
	other.note(many, []byte("<html>"+strings.Repeat("x", 10_000)), at)
	if f := other.facts; len(f.Headers) != maxHeaderNames || f.RetryAfter != "of another form" || f.Body != "no JSON" {
		t.Errorf("got %+v", f)
	}
	var long limitLog
	long.note(http.Header{}, []byte(`{"`+strings.Repeat("a", 60)+`":[1],"`+strings.Repeat(`":[1],"`+strings.Repeat("b", 60), 10)+`":[1]}`), at)
	if n := len(long.facts.Body); n > 300 || n < 297 {
		t.Errorf("%d bytes of a body: %s", n, long.facts.Body)
	}
	for value, form := range map[string]string{"": "missing", "0": "seconds", "Fri, 02 Jan 2026 03:04:25 GMT": "a date"} {
		if got := retryAfterForm(value); got != form {
			t.Errorf("%q is %s", value, got)
		}
	}
}
