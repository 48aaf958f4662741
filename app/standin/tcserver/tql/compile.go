package tql

import (
	"strings"
	"time"
)

// Type is what the values of a keyword are.
type Type string

// The types, under the names that OPTIONS …/tql gives them.
const (
	Integer Type = "Integer"
	Decimal Type = "Double"
	Text    Type = "String"
	Boolean Type = "Boolean"
	Date    Type = "DateTime"
	CIDR    Type = "StringCIDR"
)

// Field is how a keyword is read from a T. Exactly one of Number, Numbers, Texts and Related is set; a field with none of
// them is known but never has a value.
type Field[T any] struct {
	Name    string // as it is usually spelled
	Type    Type
	Fold    bool                              // text is compared without regard to case
	Many    bool                              // may have several values: a negated comparison then holds for one without any
	Needs   uint64                            // bits for the caller: what has to be at hand to read it; those with none are tried first
	Number  func(T) (value int64, known bool) // Integer; Decimal in hundredths; Boolean as 0 or 1; Date as Unix seconds
	Numbers func(T, func(int64) bool)
	Texts   func(T, func(string) bool)
	Related func(inner Node, now time.Time) (match func(T) bool, relative bool, err error) // of a nested query
	Nested  bool
}

// Schema holds the fields by keyword in lower case.
type Schema[T any] map[string]Field[T]

// NewSchema makes a schema of fields.
func NewSchema[T any](fields []Field[T]) Schema[T] {
	s := make(Schema[T], len(fields))
	for _, f := range fields {
		s[strings.ToLower(f.Name)] = f
	}
	return s
}

// Query is a compiled query.
type Query[T any] struct {
	Match    func(T) bool
	Needs    uint64 // of all its fields
	Relative bool   // depends on the time at which it was compiled
}

// Compile resolves the keywords and values of a tree. Its error is an *Error.
func (s Schema[T]) Compile(n Node, now time.Time) (Query[T], error) {
	switch n := n.(type) {
	case *And:
		return s.compileBoth(n.Left, n.Right, now, func(a, b func(T) bool) func(T) bool {
			return func(x T) bool { return a(x) && b(x) }
		})
	case *Or:
		return s.compileBoth(n.Left, n.Right, now, func(a, b func(T) bool) func(T) bool {
			return func(x T) bool { return a(x) || b(x) }
		})
	case *Nested:
		return s.compileNested(n, now)
	}
	return s.compileTerm(n.(*Term), now)
}

// compileBoth compiles two sides and tries first the one that needs less.
func (s Schema[T]) compileBoth(left, right Node, now time.Time, join func(a, b func(T) bool) func(T) bool) (Query[T], error) {
	a, err := s.Compile(left, now)
	if err != nil {
		return a, err
	}
	b, err := s.Compile(right, now)
	if err != nil {
		return b, err
	}
	if a.Needs != 0 && b.Needs == 0 {
		a, b = b, a
	}
	return Query[T]{join(a.Match, b.Match), a.Needs | b.Needs, a.Relative || b.Relative}, nil
}

func (s Schema[T]) lookUpField(k Keyword) (Field[T], error) {
	f, ok := s[strings.ToLower(k.Name)]
	if !ok {
		return f, k.errorAt("unknown keyword %s", k.Name)
	}
	return f, nil
}

func (s Schema[T]) compileNested(n *Nested, now time.Time) (q Query[T], err error) {
	f, err := s.lookUpField(n.Keyword)
	if err != nil {
		return q, err
	}
	if !f.Nested {
		return q, n.Keyword.errorAt("%s takes no query in parentheses", f.Name)
	}
	q.Needs = f.Needs
	if f.Related == nil {
		q.Match = func(T) bool { return false }
		return q, nil
	}
	q.Match, q.Relative, err = f.Related(n.Inner, now)
	return q, err
}

func (s Schema[T]) compileTerm(t *Term, now time.Time) (q Query[T], err error) {
	f, err := s.lookUpField(t.Keyword)
	if err != nil {
		return q, err
	}
	if f.Nested {
		return q, t.Keyword.errorAt("%s needs a query in parentheses", f.Name)
	}
	q.Needs = f.Needs
	negate := t.Not || t.Op == NotEqual
	if t.Op == IsNull {
		known := f.matchAny(func(int64) bool { return true }, func(string) bool { return true })
		q.Match = func(x T) bool { return known(x) == negate }
		return q, nil
	}
	var number func(int64) bool
	var text func(string) bool
	if f.Type == Text || f.Type == CIDR {
		text, err = textTest(t, f.Type, f.Fold)
	} else {
		number, q.Relative, err = numberTest(t, f.Type, now)
	}
	if err != nil {
		return q, err
	}
	q.Match = f.matchAny(number, text)
	if negate {
		q.Match = f.matchNone(number, text)
	}
	return q, nil
}

// matchAny says whether one of the field's values passes.
func (f Field[T]) matchAny(number func(int64) bool, text func(string) bool) func(T) bool {
	switch {
	case f.Number != nil:
		return func(x T) bool {
			n, known := f.Number(x)
			return known && number(n)
		}
	case f.Numbers != nil:
		return func(x T) (found bool) {
			f.Numbers(x, func(n int64) bool { found = number(n); return !found })
			return found
		}
	case f.Texts != nil:
		return func(x T) (found bool) {
			f.Texts(x, func(s string) bool { found = text(s); return !found })
			return found
		}
	}
	return func(T) bool { return false }
}

// matchNone says whether no value passes; as in SQL, one without a value does not count as different from any.
func (f Field[T]) matchNone(number func(int64) bool, text func(string) bool) func(T) bool {
	some := f.matchAny(number, text)
	if f.Many {
		return func(x T) bool { return !some(x) }
	}
	known := f.matchAny(func(int64) bool { return true }, func(string) bool { return true })
	return func(x T) bool { return known(x) && !some(x) }
}
