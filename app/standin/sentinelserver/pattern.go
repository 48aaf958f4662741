package sentinelserver

import (
	"errors"
	"strings"
)

// comparison is one term of a STIX pattern.
type comparison struct {
	Path     string // as written
	Operator string
	Value    string // the literal as written, without its quotes
	Quoted   bool
}

// parsed is a STIX pattern as far as Sentinel looks into it.
type parsed struct {
	comparisons  []comparison
	and, or      bool // how they are joined, within and between observations
	observations int
	qualified    bool // FOLLOWEDBY, WITHIN, REPEATS, START or NOT occur
}

var errPattern = errors.New("not a STIX pattern")

// observables are the comparisons that become columns: those of a pattern of equalities, alone or joined by OR. A conjunction
// gives none. app/docs/sentinel.md#observables
func observables(pattern string) []comparison {
	p, err := parsePattern(pattern)
	if err != nil || p.and || p.qualified {
		return nil
	}
	for _, c := range p.comparisons {
		if c.Operator != "=" {
			return nil
		}
	}
	return p.comparisons
}

// parsePattern reads the pattern language of STIX 2.1 by tokens: terms in brackets, joined by AND and OR, in any nesting.
func parsePattern(pattern string) (parsed, error) {
	l := &lexer{rest: pattern}
	var p parsed
	if err := p.observationExpr(l, 0); err != nil {
		return p, err
	}
	if t := l.next(); t != "" {
		return p, errPattern
	}
	return p, nil
}

func (p *parsed) observationExpr(l *lexer, depth int) error {
	if depth > 20 {
		return errPattern
	}
	for {
		switch l.next() {
		case "[":
			p.observations++
			if err := p.comparisonExpr(l, 0); err != nil {
				return err
			}
			if l.next() != "]" {
				return errPattern
			}
		case "(":
			if err := p.observationExpr(l, depth+1); err != nil {
				return err
			}
			if l.next() != ")" {
				return errPattern
			}
		default:
			return errPattern
		}
		p.qualifiers(l)
		switch l.peek() {
		case "AND":
			p.and = true
		case "OR":
			p.or = true
		case "FOLLOWEDBY":
			p.qualified = true
		default:
			return nil
		}
		l.next()
	}
}

func (p *parsed) qualifiers(l *lexer) {
	for {
		switch l.peek() {
		case "WITHIN", "REPEATS":
			l.next()
			l.next()
			l.next()
		case "START":
			for range 4 {
				l.next()
			}
		default:
			return
		}
		p.qualified = true
	}
}

func (p *parsed) comparisonExpr(l *lexer, depth int) error {
	if depth > 20 {
		return errPattern
	}
	for {
		var err error
		if l.peek() == "(" {
			l.next()
			if err = p.comparisonExpr(l, depth+1); err == nil && l.next() != ")" {
				err = errPattern
			}
		} else {
			err = p.term(l)
		}
		if err != nil {
			return err
		}
		switch l.peek() {
		case "AND":
			p.and = true
		case "OR":
			p.or = true
		default:
			return nil
		}
		l.next()
	}
}

func (p *parsed) term(l *lexer) error {
	c := comparison{Path: l.path()}
	if c.Path == "" || !strings.Contains(c.Path, ":") {
		return errPattern
	}
	c.Operator = l.next()
	if c.Operator == "NOT" {
		p.qualified = true
		c.Operator = l.next()
	}
	switch c.Operator {
	case "=", "!=", "<", ">", "<=", ">=", "LIKE", "MATCHES", "ISSUBSET", "ISSUPERSET":
		c.Value = l.next()
	case "IN":
		c.Value = l.set()
	default:
		return errPattern
	}
	if c.Value == "" || strings.ContainsAny(c.Value[:1], "[]()=<>!") && c.Operator != "IN" {
		return errPattern
	}
	if c.Value[0] == '\'' {
		if len(c.Value) < 2 {
			return errPattern
		}
		c.Quoted, c.Value = true, c.Value[1:len(c.Value)-1]
	}
	p.comparisons = append(p.comparisons, c)
	return nil
}

// lexer cuts a pattern into brackets, operators, quoted literals and words.
type lexer struct{ rest string }

func (l *lexer) peek() string {
	saved := l.rest
	t := l.next()
	l.rest = saved
	return t
}

func (l *lexer) next() string {
	l.rest = strings.TrimLeft(l.rest, " \t\r\n")
	if l.rest == "" {
		return ""
	}
	n := 1
	switch c := l.rest[0]; {
	case strings.IndexByte("[]()=,", c) >= 0:
	case strings.IndexByte("!<>", c) >= 0:
		if len(l.rest) > 1 && l.rest[1] == '=' {
			n = 2
		}
	case c == '\'':
		n = quotedLen(l.rest)
	default:
		n = len(l.rest)
		if at := strings.IndexAny(l.rest, " \t\r\n[]()=,!<>'"); at > 0 {
			n = at
		}
		if n < len(l.rest) && l.rest[n] == '\'' { // t'…', h'…', b'…'
			n += quotedLen(l.rest[n:])
		}
	}
	return l.take(n)
}

// path reads an object path, which may hold quoted steps and list indexes: file:hashes.'SHA-256', values[*].name
func (l *lexer) path() string {
	l.rest = strings.TrimLeft(l.rest, " \t\r\n")
	n := 0
	for n < len(l.rest) {
		c := l.rest[n]
		if c == '\'' {
			q := quotedLen(l.rest[n:])
			if q < 2 {
				return ""
			}
			n += q
			continue
		}
		if strings.IndexByte(" \t\r\n]()=,!<>", c) >= 0 {
			break
		}
		if c == '[' {
			end := strings.IndexByte(l.rest[n:], ']')
			if end < 0 {
				return ""
			}
			n += end
		}
		n++
	}
	return l.take(n)
}

func (l *lexer) set() string {
	end := strings.IndexByte(l.rest, ')')
	if l.peek() != "(" || end < 0 {
		return ""
	}
	return strings.TrimSpace(l.take(end + 1))
}

func (l *lexer) take(n int) string {
	t := l.rest[:n]
	l.rest = l.rest[n:]
	return t
}

// quotedLen is the length of the literal that s begins with; 1, which no literal has, when it does not end.
func quotedLen(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
			if i < len(s) && s[i] != '\'' && s[i] != '\\' {
				return 1
			}
		case '\'':
			return i + 1
		}
	}
	return 1
}
