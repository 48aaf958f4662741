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

// readObservables returns the comparisons that become columns: those of a pattern of equalities, alone or joined by OR.
// A conjunction gives none. everyOperator takes comparisons of other operators, too. app/docs/sentinel.md#observables
func readObservables(pattern string, everyOperator bool) []comparison {
	p, err := parsePattern(pattern)
	if err != nil || p.and || p.qualified {
		return nil
	}
	for _, c := range p.comparisons {
		if c.Operator != "=" && !everyOperator {
			return nil
		}
	}
	return p.comparisons
}

// parsePattern reads the pattern language of STIX 2.1 by tokens: terms in brackets, joined by AND and OR, in any
// nesting.
func parsePattern(pattern string) (parsed, error) {
	l := &lexer{rest: pattern}
	var p parsed
	if err := p.readObservations(l, 0); err != nil {
		return p, err
	}
	if t := l.nextToken(); t != "" {
		return p, errPattern
	}
	return p, nil
}

func (p *parsed) readObservations(l *lexer, depth int) error {
	if depth > 20 {
		return errPattern
	}
	for {
		switch l.nextToken() {
		case "[":
			p.observations++
			if err := p.readComparisons(l, 0); err != nil {
				return err
			}
			if l.nextToken() != "]" {
				return errPattern
			}
		case "(":
			if err := p.readObservations(l, depth+1); err != nil {
				return err
			}
			if l.nextToken() != ")" {
				return errPattern
			}
		default:
			return errPattern
		}
		p.skipQualifiers(l)
		switch l.peekToken() {
		case "AND":
			p.and = true
		case "OR":
			p.or = true
		case "FOLLOWEDBY":
			p.qualified = true
		default:
			return nil
		}
		l.nextToken()
	}
}

func (p *parsed) skipQualifiers(l *lexer) {
	for {
		switch l.peekToken() {
		case "WITHIN", "REPEATS":
			l.nextToken()
			l.nextToken()
			l.nextToken()
		case "START":
			for range 4 {
				l.nextToken()
			}
		default:
			return
		}
		p.qualified = true
	}
}

func (p *parsed) readComparisons(l *lexer, depth int) error {
	if depth > 20 {
		return errPattern
	}
	for {
		var err error
		if l.peekToken() == "(" {
			l.nextToken()
			if err = p.readComparisons(l, depth+1); err == nil && l.nextToken() != ")" {
				err = errPattern
			}
		} else {
			err = p.readTerm(l)
		}
		if err != nil {
			return err
		}
		switch l.peekToken() {
		case "AND":
			p.and = true
		case "OR":
			p.or = true
		default:
			return nil
		}
		l.nextToken()
	}
}

func (p *parsed) readTerm(l *lexer) error {
	c := comparison{Path: l.nextPath()}
	if c.Path == "" || !strings.Contains(c.Path, ":") {
		return errPattern
	}
	c.Operator = l.nextToken()
	if c.Operator == "NOT" {
		p.qualified = true
		c.Operator = l.nextToken()
	}
	switch c.Operator {
	case "=", "!=", "<", ">", "<=", ">=", "LIKE", "MATCHES", "ISSUBSET", "ISSUPERSET":
		c.Value = l.nextToken()
	case "IN":
		c.Value = l.nextSet()
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

func (l *lexer) peekToken() string {
	saved := l.rest
	t := l.nextToken()
	l.rest = saved
	return t
}

func (l *lexer) nextToken() string {
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
	return l.takeBytes(n)
}

// nextPath reads an object path, which may hold quoted steps and list indexes: file:hashes.'SHA-256', values[*].name
func (l *lexer) nextPath() string {
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
	return l.takeBytes(n)
}

func (l *lexer) nextSet() string {
	end := strings.IndexByte(l.rest, ')')
	if l.peekToken() != "(" || end < 0 {
		return ""
	}
	return strings.TrimSpace(l.takeBytes(end + 1))
}

func (l *lexer) takeBytes(n int) string {
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
