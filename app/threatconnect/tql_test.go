package threatconnect

import (
	"errors"
	"testing"
)

// Wherever the fault was found, its place is that of the user's own text.
func TestLocateFault(t *testing.T) {
	refusal := func(message string) error { return &Error{Status: 400, Code: tqlParseError, Message: message} }
	for _, c := range []struct {
		tql    string
		err    error  // nil: what Check finds
		at     string // the part of the TQL that is at fault
		offset int
		reason string
	}{
		{`rating >= 3 and foo = "x"`, refusal("Syntax error(s) found. unknown keyword foo at position 18."), "foo", 16, "Syntax error(s) found. unknown keyword foo"},
		{`rating >= 3 and`, refusal("found ) at position 17"), "", 15, "the TQL is not complete: something is missing at its end"},
		{`é = "ü" and foo`, refusal("Column 14: what is foo?"), "foo", 14, ": what is foo?"},
		{`rating ! 3`, refusal("token ! in position 9"), "!", 7, "token !"},
		{`tag = "a" and ownerName = "x"`, nil, "ownerName", 14, "the TQL names ownerName: leave it out, the owners are those chosen in Owners to Query"},
		{`hasTag(typename = "x")`, nil, "typename", 7, "the TQL names typeName: leave it out, the types are those chosen in Indicator Types to Retrieve"},
		{`rating = 1) or (rating = 2`, nil, ")", 10, "the TQL closes a parenthesis that it did not open: remove it, or add the missing one"},
		{`(a = ")" and (b = 1)`, nil, "(", 0, "the TQL opens a parenthesis that it does not close: close it, or remove it"},
		{`tag = "ü" and summary = 'abc`, nil, "'abc", 25, "the TQL has a string that does not end: close the '"},
		{`summary = “a”`, nil, "“", 10, "the TQL has “: use straight quotes"},
		{`a = "--" -- x`, nil, "--", 9, "the TQL has -- outside of a string: TQL knows no comments, leave it out"},
	} {
		q := hosts
		q.TQL = c.tql
		if c.err == nil {
			c.err = q.Check()
		}
		fault, found := q.LocateFault(c.err)
		if !found {
			t.Errorf("%s: no place for %v", c.tql, c.err)
			continue
		}
		if got := c.tql[fault.Offset : fault.Offset+fault.Length]; got != c.at || fault.Offset != c.offset || fault.Reason != c.reason {
			t.Errorf("%s: %q at %d, %q", c.tql, got, fault.Offset, fault.Reason)
		}
	}
	q := hosts
	q.TQL = "rating = 3"
	for _, err := range []error{errors.New("at position 2"), refusal("Syntax error(s) found"), refusal("at position 99999999999999999999"),
		refusal("at position 13"), refusal("at position 1"), refusal("at position 0"), &Error{Status: 500, Message: "at position 3"}} {
		if fault, found := q.LocateFault(err); found {
			t.Errorf("%v is said to be at %d", err, fault.Offset)
		}
	}
}
