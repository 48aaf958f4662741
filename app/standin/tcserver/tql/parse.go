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

func newError(query string, at int, format string, args ...any) error {
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

func (k Keyword) errorAt(format string, args ...any) error {
	return newError(k.query, k.at, format, args...)
}

// Value is a literal.
type Value struct {
	Text  string
	kind  tokenKind
	query string
	at    int
}

func (v Value) errorAt(format string, args ...any) error {
	return newError(v.query, v.at, format, args...)
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
	tokens, err := splitTokens(query)
	if err != nil {
		return nil, err
	}
	p := &parser{query: query, tokens: tokens}
	n, err := p.parseOr(0)
	if err != nil {
		return nil, err
	}
	if p.peekToken().kind != end {
		return nil, p.unexpectedError("AND, OR or the end of the query")
	}
	return n, nil
}

type parser struct {
	query  string
	tokens []token
	at     int
}

func (p *parser) peekToken() token { return p.tokens[p.at] }

func (p *parser) takeToken() token {
	t := p.tokens[p.at]
	if t.kind != end {
		p.at++
	}
	return t
}

func (p *parser) acceptKeyword(keyword string) bool {
	if !p.peekToken().isKeyword(keyword) {
		return false
	}
	p.takeToken()
	return true
}

func (p *parser) expectToken(kind tokenKind, what string) error {
	if p.peekToken().kind != kind {
		return p.unexpectedError(what)
	}
	p.takeToken()
	return nil
}

func (p *parser) unexpectedError(wanted string) error {
	return newError(p.query, p.peekToken().start, "expected %s but found %s", wanted, p.peekToken())
}

// parseOr reads terms joined by OR, which binds less than AND.
func (p *parser) parseOr(depth int) (Node, error) {
	left, err := p.parseAnd(depth)
	for err == nil && p.acceptKeyword("or") {
		var right Node
		right, err = p.parseAnd(depth)
		left = &Or{left, right}
	}
	return left, err
}

func (p *parser) parseAnd(depth int) (Node, error) {
	left, err := p.parsePrimary(depth)
	for err == nil && p.acceptKeyword("and") {
		var right Node
		right, err = p.parsePrimary(depth)
		left = &And{left, right}
	}
	return left, err
}

func (p *parser) parsePrimary(depth int) (Node, error) {
	if depth > maxDepth {
		return nil, newError(p.query, p.peekToken().start, "more than %d parentheses within each other", maxDepth)
	}
	if p.peekToken().kind == open {
		return p.parseGroup(depth)
	}
	if p.peekToken().kind != word {
		return nil, p.unexpectedError("a keyword or (")
	}
	return p.parseTerm(depth)
}

func (p *parser) parseGroup(depth int) (Node, error) {
	p.takeToken()
	n, err := p.parseOr(depth + 1)
	if err != nil {
		return nil, err
	}
	return n, p.expectToken(closed, ")")
}

func (p *parser) parseTerm(depth int) (Node, error) {
	name := p.takeToken()
	keyword := Keyword{name.text, p.query, name.start}
	if p.peekToken().kind == open {
		inner, err := p.parseGroup(depth)
		if err != nil {
			return nil, err
		}
		return &Nested{keyword, inner, p.sourceSince(name)}, nil
	}
	t := &Term{Keyword: keyword}
	if err := p.parseComparison(t); err != nil {
		return nil, err
	}
	t.Source = p.sourceSince(name)
	return t, nil
}

// sourceSince is the text from a token to the last one taken.
func (p *parser) sourceSince(first token) string { return p.query[first.start:p.tokens[p.at-1].stop] }

// compareWords are the comparisons that can be written as a word.
var compareWords = map[string]Op{
	"eq": Equal, "equals": Equal, "ne": NotEqual, "gt": Greater, "lt": Less, "geq": GreaterOrEqual, "leq": LessOrEqual,
}

var textWords = map[string]Op{"like": Like, "contains": Contains, "startswith": StartsWith, "endswith": EndsWith}

func (p *parser) parseComparison(t *Term) error {
	sign := p.peekToken()
	lower := strings.ToLower(sign.text)
	switch {
	case sign.kind == operator:
		p.takeToken()
		t.Op = Op(strings.Replace(sign.text, "==", "=", 1))
		return p.parseSingle(t)
	case sign.isKeyword("is"):
		return p.parseNull(t)
	case sign.kind == word && compareWords[lower] != "":
		p.takeToken()
		t.Op = compareWords[lower]
		return p.parseSingle(t)
	}
	t.Not = p.acceptKeyword("not")
	if p.acceptKeyword("in") {
		t.Op = In
		return p.parseList(t)
	}
	sign = p.peekToken()
	t.Op = textWords[strings.ToLower(sign.text)]
	if sign.kind != word || t.Op == "" {
		return p.unexpectedError("an operator after " + t.Keyword.Name)
	}
	p.takeToken()
	return p.parseSingle(t)
}

func (p *parser) parseNull(t *Term) error {
	p.takeToken()
	t.Op, t.Not = IsNull, p.acceptKeyword("not")
	if !p.acceptKeyword("null") {
		return p.unexpectedError("NULL")
	}
	return nil
}

func (p *parser) parseSingle(t *Term) error {
	v, err := p.parseValue()
	t.Values = append(t.Values, v)
	return err
}

func (p *parser) parseList(t *Term) error {
	if err := p.expectToken(open, "( after IN"); err != nil {
		return err
	}
	for {
		if err := p.parseSingle(t); err != nil {
			return err
		}
		if p.peekToken().kind != comma {
			return p.expectToken(closed, ", or )")
		}
		p.takeToken()
	}
}

func (p *parser) parseValue() (Value, error) {
	t := p.peekToken()
	if t.kind == quoted || t.kind == number || t.isKeyword("true") || t.isKeyword("false") {
		p.takeToken()
		return Value{t.text, t.kind, p.query, t.start}, nil
	}
	if t.kind == word {
		return Value{}, newError(p.query, t.start, "expected a value but found %s: put text into quotes", t.text)
	}
	return Value{}, p.unexpectedError("a value")
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
