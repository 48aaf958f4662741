// Package tql reads ThreatConnect Query Language as the REST API documents it, and evaluates it over whatever has keywords.
//
// A query is parsed into a tree without knowing any keyword; compiling the tree against a [Schema] finds unknown keywords
// and values of the wrong type. Both name the place of the fault, in characters from the start of the query.
package tql

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Error is what is wrong with a query, and where.
type Error struct {
	Position int // in characters, from 1
	Problem  string
}

func (e *Error) Error() string { return fmt.Sprintf("%s at position %d", e.Problem, e.Position) }

func faultf(query string, at int, format string, args ...any) error {
	return &Error{1 + utf8.RuneCountInString(query[:at]), fmt.Sprintf(format, args...)}
}

// Op is a comparison.
type Op string

// The comparisons; a term may negate those from In on.
const (
	Equal          Op = "="
	NotEqual       Op = "!="
	Greater        Op = ">"
	Less           Op = "<"
	GreaterOrEqual Op = ">="
	LessOrEqual    Op = "<="
	In             Op = "in"
	Like           Op = "like"
	Contains       Op = "contains"
	StartsWith     Op = "startswith"
	EndsWith       Op = "endswith"
	IsNull         Op = "is null"
)

// Node is a query or a part of it: *And, *Or, *Term or *Nested.
type Node interface{ isNode() }

// And is true when both sides are.
type And struct{ Left, Right Node }

// Or is true when one side is.
type Or struct{ Left, Right Node }

// Term compares one keyword.
type Term struct {
	Keyword Keyword
	Op      Op
	Not     bool
	Values  []Value
	Source  string // the term as it was written
}

// Nested is a query about related objects: hasTag(…).
type Nested struct {
	Keyword Keyword
	Inner   Node
	Source  string
}

// Keyword is the name that a term compares, as written.
type Keyword struct {
	Name  string
	query string
	at    int
}

func (k Keyword) faultf(format string, args ...any) error {
	return faultf(k.query, k.at, format, args...)
}

// Value is a literal.
type Value struct {
	Text  string
	kind  tokenKind
	query string
	at    int
}

func (v Value) faultf(format string, args ...any) error {
	return faultf(v.query, v.at, format, args...)
}

func (*And) isNode()    {}
func (*Or) isNode()     {}
func (*Term) isNode()   {}
func (*Nested) isNode() {}

// maxDepth bounds the parentheses within parentheses of a query.
const maxDepth = 100

// Parse reads a query. Its error is an *Error.
func Parse(query string) (Node, error) {
	if !utf8.ValidString(query) {
		return nil, &Error{1, "the query is not UTF-8"}
	}
	tokens, err := lex(query)
	if err != nil {
		return nil, err
	}
	p := &parser{query: query, tokens: tokens}
	n, err := p.or(0)
	if err != nil {
		return nil, err
	}
	if p.peek().kind != end {
		return nil, p.unexpected("AND, OR or the end of the query")
	}
	return n, nil
}

type parser struct {
	query  string
	tokens []token
	at     int
}

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) take() token {
	t := p.tokens[p.at]
	if t.kind != end {
		p.at++
	}
	return t
}

func (p *parser) accept(keyword string) bool {
	if !p.peek().is(keyword) {
		return false
	}
	p.take()
	return true
}

func (p *parser) expect(kind tokenKind, what string) error {
	if p.peek().kind != kind {
		return p.unexpected(what)
	}
	p.take()
	return nil
}

func (p *parser) unexpected(wanted string) error {
	return faultf(p.query, p.peek().start, "expected %s but found %s", wanted, p.peek())
}

// or reads terms joined by OR, which binds less than AND.
func (p *parser) or(depth int) (Node, error) {
	left, err := p.and(depth)
	for err == nil && p.accept("or") {
		var right Node
		right, err = p.and(depth)
		left = &Or{left, right}
	}
	return left, err
}

func (p *parser) and(depth int) (Node, error) {
	left, err := p.primary(depth)
	for err == nil && p.accept("and") {
		var right Node
		right, err = p.primary(depth)
		left = &And{left, right}
	}
	return left, err
}

func (p *parser) primary(depth int) (Node, error) {
	if depth > maxDepth {
		return nil, faultf(p.query, p.peek().start, "more than %d parentheses within each other", maxDepth)
	}
	if p.peek().kind == open {
		return p.group(depth)
	}
	if p.peek().kind != word {
		return nil, p.unexpected("a keyword or (")
	}
	return p.term(depth)
}

func (p *parser) group(depth int) (Node, error) {
	p.take()
	n, err := p.or(depth + 1)
	if err != nil {
		return nil, err
	}
	return n, p.expect(closed, ")")
}

func (p *parser) term(depth int) (Node, error) {
	name := p.take()
	keyword := Keyword{name.text, p.query, name.start}
	if p.peek().kind == open {
		inner, err := p.group(depth)
		if err != nil {
			return nil, err
		}
		return &Nested{keyword, inner, p.since(name)}, nil
	}
	t := &Term{Keyword: keyword}
	if err := p.comparison(t); err != nil {
		return nil, err
	}
	t.Source = p.since(name)
	return t, nil
}

// since is the text from a token to the last one taken.
func (p *parser) since(first token) string { return p.query[first.start:p.tokens[p.at-1].stop] }

// compareWords are the comparisons that can be written as a word.
var compareWords = map[string]Op{
	"eq": Equal, "equals": Equal, "ne": NotEqual, "gt": Greater, "lt": Less, "geq": GreaterOrEqual, "leq": LessOrEqual,
}

var textWords = map[string]Op{"like": Like, "contains": Contains, "startswith": StartsWith, "endswith": EndsWith}

func (p *parser) comparison(t *Term) error {
	sign := p.peek()
	lower := strings.ToLower(sign.text)
	switch {
	case sign.kind == operator:
		p.take()
		t.Op = Op(strings.Replace(sign.text, "==", "=", 1))
		return p.single(t)
	case sign.is("is"):
		return p.null(t)
	case sign.kind == word && compareWords[lower] != "":
		p.take()
		t.Op = compareWords[lower]
		return p.single(t)
	}
	t.Not = p.accept("not")
	if p.accept("in") {
		t.Op = In
		return p.list(t)
	}
	sign = p.peek()
	t.Op = textWords[strings.ToLower(sign.text)]
	if sign.kind != word || t.Op == "" {
		return p.unexpected("an operator after " + t.Keyword.Name)
	}
	p.take()
	return p.single(t)
}

func (p *parser) null(t *Term) error {
	p.take()
	t.Op, t.Not = IsNull, p.accept("not")
	if !p.accept("null") {
		return p.unexpected("NULL")
	}
	return nil
}

func (p *parser) single(t *Term) error {
	v, err := p.value()
	t.Values = append(t.Values, v)
	return err
}

func (p *parser) list(t *Term) error {
	if err := p.expect(open, "( after IN"); err != nil {
		return err
	}
	for {
		if err := p.single(t); err != nil {
			return err
		}
		if p.peek().kind != comma {
			return p.expect(closed, ", or )")
		}
		p.take()
	}
}

func (p *parser) value() (Value, error) {
	t := p.peek()
	if t.kind == quoted || t.kind == number || t.is("true") || t.is("false") {
		p.take()
		return Value{t.text, t.kind, p.query, t.start}, nil
	}
	if t.kind == word {
		return Value{}, faultf(p.query, t.start, "expected a value but found %s: put text into quotes", t.text)
	}
	return Value{}, p.unexpected("a value")
}

// Format writes a tree so that equal ones are written alike.
func Format(n Node) string {
	switch n := n.(type) {
	case *And:
		return "(" + Format(n.Left) + " AND " + Format(n.Right) + ")"
	case *Or:
		return "(" + Format(n.Left) + " OR " + Format(n.Right) + ")"
	case *Nested:
		return n.Source
	case *Term:
		return n.Source
	}
	return ""
}

// Mentions says whether a keyword stands in a query itself, outside of nested ones.
func Mentions(n Node, keyword string) bool {
	switch n := n.(type) {
	case *And:
		return Mentions(n.Left, keyword) || Mentions(n.Right, keyword)
	case *Or:
		return Mentions(n.Left, keyword) || Mentions(n.Right, keyword)
	case *Term:
		return strings.EqualFold(n.Keyword.Name, keyword)
	}
	return false
}
