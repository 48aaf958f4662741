package stix

import (
	"errors"
	"fmt"
)

// maxDepth bounds how deep parentheses may stand in one another.
const maxDepth = 50

// CheckPattern reports where a pattern breaks the grammar of STIX 2.1 section 9, or nil. It does not look at what object
// types and properties there are.
func CheckPattern(pattern string) error {
	p := &patternParser{rest: pattern, size: len(pattern)}
	p.nextToken()
	if err := p.readObservations(0); err != nil {
		return err
	}
	if p.kind != tokenEnd {
		return p.expectedError("AND, OR, FOLLOWEDBY or the end")
	}
	return nil
}

// patternParser reads a pattern token by token, with one token ahead. AND, OR and FOLLOWEDBY bind differently, which
// makes no difference to whether a pattern is one.
type patternParser struct {
	kind tokenKind // of the token ahead
	text string    // of that token
	rest string    // what follows it
	size int       // of the whole pattern
}

func (p *patternParser) nextToken() {
	p.rest = skipBlanks(p.rest)
	kind, n := scanToken(p.rest)
	p.kind, p.text, p.rest = kind, p.rest[:n], p.rest[n:]
}

// expectedError says what stands in the place of what was expected.
func (p *patternParser) expectedError(expected string) error {
	at := p.size - len(p.rest) - len(p.text)
	found := string(p.kind)
	if p.kind != tokenEnd && p.kind != tokenInvalid {
		found = fmt.Sprintf("%.40q", p.text)
	}
	return fmt.Errorf("the pattern is not one of STIX 2.1: at byte %d stands %s instead of %s", at, found, expected)
}

// takeToken reads a token of the given kinds.
func (p *patternParser) takeToken(expected string, kinds ...tokenKind) error {
	for _, kind := range kinds {
		if p.kind == kind {
			p.nextToken()
			return nil
		}
	}
	return p.expectedError(expected)
}

// skipToken reads a token if it is of that kind.
func (p *patternParser) skipToken(kind tokenKind) bool {
	if p.kind != kind {
		return false
	}
	p.nextToken()
	return true
}

var errDepth = errors.New("the pattern has too many parentheses in one another")

// readObservations reads observations that AND, OR and FOLLOWEDBY join.
func (p *patternParser) readObservations(depth int) error {
	if depth > maxDepth {
		return errDepth
	}
	for {
		if err := p.readObservation(depth); err != nil {
			return err
		}
		if !p.skipToken("AND") && !p.skipToken("OR") && !p.skipToken("FOLLOWEDBY") {
			return nil
		}
	}
}

func (p *patternParser) readObservation(depth int) error {
	if p.skipToken("(") {
		if err := p.readObservations(depth + 1); err != nil {
			return err
		}
		if err := p.takeToken(")", ")"); err != nil {
			return err
		}
		return p.readQualifiers(nil)
	}
	if err := p.takeToken("[", "["); err != nil {
		return err
	}
	if err := p.readComparisons(0); err != nil {
		return err
	}
	if err := p.takeToken("]", "]"); err != nil {
		return err
	}
	return p.readQualifiers(map[tokenKind]bool{})
}

// readQualifiers reads the qualifiers of an observation. One in brackets may have each once: seen is not nil then.
func (p *patternParser) readQualifiers(seen map[tokenKind]bool) error {
	for {
		kind := p.kind
		if kind != "START" && kind != "WITHIN" && kind != "REPEATS" {
			return nil
		}
		if seen[kind] {
			return p.expectedError("another qualifier")
		}
		if seen != nil {
			seen[kind] = true
		}
		p.nextToken()
		if err := p.readQualifier(kind); err != nil {
			return err
		}
	}
}

func (p *patternParser) readQualifier(kind tokenKind) error {
	switch kind {
	case "START":
		return p.takeTokens(tokenTimestamp, "STOP", tokenTimestamp)
	case "REPEATS":
		return p.takeTokens(tokenPositive, "TIMES")
	}
	if err := p.takeToken("a number of 0 or more", tokenPositive, tokenFloat); err != nil {
		return err
	}
	return p.takeToken("SECONDS", "SECONDS")
}

// takeTokens reads tokens of these kinds, one after the other.
func (p *patternParser) takeTokens(kinds ...tokenKind) error {
	for _, kind := range kinds {
		if err := p.takeToken(string(kind), kind); err != nil {
			return err
		}
	}
	return nil
}

// readComparisons reads comparisons that AND and OR join.
func (p *patternParser) readComparisons(depth int) error {
	if depth > maxDepth {
		return errDepth
	}
	for {
		if p.skipToken("(") {
			if err := p.readComparisons(depth + 1); err != nil {
				return err
			}
			if err := p.takeToken(")", ")"); err != nil {
				return err
			}
		} else if err := p.readComparison(); err != nil {
			return err
		}
		if !p.skipToken("AND") && !p.skipToken("OR") {
			return nil
		}
	}
}

func (p *patternParser) readComparison() error {
	if p.skipToken("NOT") && p.kind != "EXISTS" {
		return p.expectedError("EXISTS")
	}
	if p.skipToken("EXISTS") {
		return p.readPath()
	}
	if err := p.readPath(); err != nil {
		return err
	}
	p.skipToken("NOT")
	switch operator := p.kind; operator {
	case tokenEqual, tokenOrder:
		p.nextToken()
		return p.readLiteral(operator == tokenEqual)
	case "LIKE", "MATCHES", "ISSUBSET", "ISSUPERSET":
		p.nextToken()
		return p.takeToken(string(tokenString), tokenString)
	case "IN":
		p.nextToken()
		return p.readSet()
	}
	return p.expectedError("a comparison operator")
}

// readPath reads an object path, such as file:hashes.'SHA-256' or windows-registry-key:values[*].name.
func (p *patternParser) readPath() error {
	if err := p.takeToken("an object type", tokenWord, tokenHyphenated); err != nil {
		return err
	}
	if err := p.takeToken(":", ":"); err != nil {
		return err
	}
	for {
		if err := p.takeToken("the name of a property", tokenWord, tokenString); err != nil {
			return err
		}
		for p.skipToken("[") {
			if err := p.takeToken("an index or *", tokenPositive, tokenWhole, "*"); err != nil {
				return err
			}
			if err := p.takeToken("]", "]"); err != nil {
				return err
			}
		}
		if !p.skipToken(".") {
			return nil
		}
	}
}

func (p *patternParser) readLiteral(boolean bool) error {
	if boolean && p.skipToken(tokenBool) {
		return nil
	}
	return p.takeToken("a value", tokenString, tokenPositive, tokenWhole, tokenFloat, tokenNegFloat, tokenHex, tokenBinary, tokenTimestamp)
}

// readSet reads literals in parentheses.
func (p *patternParser) readSet() error {
	if err := p.takeToken("(", "("); err != nil || p.skipToken(")") {
		return err
	}
	for {
		if err := p.readLiteral(true); err != nil {
			return err
		}
		if p.skipToken(")") {
			return nil
		}
		if err := p.takeToken(", or )", ","); err != nil {
			return err
		}
	}
}
