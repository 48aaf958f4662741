package threatconnect

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// TQLFault is what is wrong with the TQL of a query, and where.
type TQLFault struct {
	// Offset and Length are in bytes of the TQL as the query has it. Both are at its end where something is missing there.
	Offset, Length int
	// Reason is what is wrong, without the place.
	Reason string
}

func (f *TQLFault) Error() string { return f.Reason }

// checkTQL says what is wrong with a TQL in itself: what could reach beyond the parentheses that are put around it, and
// what is set elsewhere.
func checkTQL(tql string) error {
	code, err := withoutLiterals(tql)
	if err != nil {
		return err
	}
	if err := checkQuotes(code); err != nil {
		return err
	}
	if err := checkParentheses(code); err != nil {
		return err
	}
	for _, forbidden := range []struct{ word, list, holds string }{
		{"ownerName", "Owners to Query", "owners"}, {"typeName", "Indicator Types to Retrieve", "types"},
	} {
		if at := findWord(code, forbidden.word); at >= 0 {
			return &TQLFault{Offset: at, Length: len(forbidden.word), Reason: fmt.Sprintf(
				"the TQL names %s: leave it out, the %s are those chosen in %s", forbidden.word, forbidden.holds, forbidden.list)}
		}
	}
	return nil
}

// isWordPart says that a character is part of a keyword.
func isWordPart(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }

// findWord is where a word stands by itself, in any case; -1 where it does not.
func findWord(code, word string) int {
	for at := 0; at < len(code); {
		size := wordLength(code[at:])
		if strings.EqualFold(code[at:at+size], word) {
			return at
		}
		if size == 0 {
			_, size = utf8.DecodeRuneInString(code[at:])
		}
		at += size
	}
	return -1
}

// wordLength is how long the word is with which a text begins, in bytes; 0 where it begins with none.
func wordLength(code string) int {
	if end := strings.IndexFunc(code, func(r rune) bool { return !isWordPart(r) }); end >= 0 {
		return end
	}
	return len(code)
}

// typographicQuotes are what word processors and chats make of the quotes of a string. TQL knows none of them.
const typographicQuotes = "“”„‟‘’‚‛«»‹›″′‶‵´＂＇「」『』〝〞〟❝❞❛❜"

// checkQuotes refuses typographic quotes in what is no string: within one they are text.
func checkQuotes(code string) error {
	for at, r := range code {
		if strings.ContainsRune(typographicQuotes, r) {
			return &TQLFault{Offset: at, Length: utf8.RuneLen(r), Reason: fmt.Sprintf("the TQL has %c: use straight quotes", r)}
		}
	}
	return nil
}

// withoutLiterals puts blanks in the place of each string of a TQL query, as many as it has bytes
// (app/docs/threatconnect.md#tql).
func withoutLiterals(tql string) (string, error) {
	var code strings.Builder
	for i := 0; i < len(tql); i++ {
		quote := tql[i]
		if quote != '"' && quote != '\'' && quote != '`' {
			code.WriteByte(quote)
			continue
		}
		start := i
		for i++; i < len(tql) && tql[i] != quote; i++ {
			if tql[i] == '\\' {
				i++
			}
		}
		if i >= len(tql) {
			// Perhaps it begins within typographic quotes, or its end is one.
			if err := checkQuotes(code.String() + tql[start:]); err != nil {
				return "", err
			}
			return "", &TQLFault{Offset: start, Length: len(tql) - start,
				Reason: fmt.Sprintf("the TQL has a string that does not end: close the %c", quote)}
		}
		code.WriteString(strings.Repeat(" ", i+1-start))
	}
	return code.String(), nil
}

// checkParentheses refuses what could end the parentheses that are put around the TQL, or hide them.
func checkParentheses(code string) error {
	for _, mark := range []string{"--", "//", "/*", "#"} {
		if at := strings.Index(code, mark); at >= 0 {
			return &TQLFault{Offset: at, Length: len(mark),
				Reason: fmt.Sprintf("the TQL has %s outside of a string: TQL knows no comments, leave it out", mark)}
		}
	}
	var open []int
	for at, r := range code {
		switch {
		case r == '(':
			open = append(open, at)
		case r == ')' && len(open) == 0:
			return &TQLFault{Offset: at, Length: 1,
				Reason: "the TQL closes a parenthesis that it did not open: remove it, or add the missing one"}
		case r == ')':
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 {
		return &TQLFault{Offset: open[len(open)-1], Length: 1,
			Reason: "the TQL opens a parenthesis that it does not close: close it, or remove it"}
	}
	return nil
}

// placeInMessage is how a message may name a place: in characters, from 1. What ThreatConnect itself says is not known
// (app/docs/threatconnect.md#errors).
var placeInMessage = regexp.MustCompile(`(?i)\s*\b(?:at|in|near)?\s*(?:position|character|column|index)\s+(\d+)`)

// LocateFault finds the place in the query's own TQL that an error of Check or of ThreatConnect is about. ThreatConnect
// counts in the query as it is composed, where a parenthesis comes before the TQL and another after it.
func (q Query) LocateFault(err error) (fault *TQLFault, found bool) {
	if errors.As(err, &fault) {
		return fault, true
	}
	var refused *Error
	if !errors.As(err, &refused) || !refused.IsTQL() {
		return nil, false
	}
	match := placeInMessage.FindStringSubmatchIndex(refused.Message)
	if match == nil {
		return nil, false
	}
	position, err := strconv.Atoi(refused.Message[match[2]:match[3]])
	characters := []rune(q.TQL)
	at := position - 1 - len("(")
	if err != nil || at < 0 || at > len(characters) {
		return nil, false
	}
	if at == len(characters) {
		return &TQLFault{Offset: len(q.TQL), Reason: "the TQL is not complete: something is missing at its end"}, true
	}
	offset := len(string(characters[:at]))
	length := max(wordLength(q.TQL[offset:]), utf8.RuneLen(characters[at]))
	return &TQLFault{Offset: offset, Length: length,
		Reason: strings.TrimRight(refused.Message[:match[0]]+refused.Message[match[1]:], ". ")}, true
}

// KeywordGroup is TQL keywords of indicators that take the same operators.
type KeywordGroup struct {
	// Kind is what the keywords stand for.
	Kind string
	// Operators are those that fit, Example is a condition.
	Operators []string
	Example   string
	Keywords  []string
}

// KeywordGroups are the keywords that help to write a query, those set by Owners to Query and Indicator Types to Retrieve
// left out (app/docs/threatconnect.md#tql). ThreatConnect may know others.
func KeywordGroups() []KeywordGroup {
	compares := []string{"=", "!=", ">", "<", ">=", "<=", "in (…)", "is null"}
	return []KeywordGroup{
		{Kind: "Numbers", Operators: compares, Example: "rating >= 3", Keywords: strings.Fields("rating confidence threatAssessScore " +
			"calScore falsePositiveCount observationCount fileSize id abuseIpdbConfidenceScore addressAsn dtMalwareScore dtOverallScore " +
			"dtPhishingScore dtSpamScore riskIqReputationScore vtMaliciousCount associatedGroup")},
		{Kind: "Dates", Operators: compares, Example: `lastModified >= "NOW() - 7 DAYS"`, Keywords: strings.Fields("dateAdded lastModified " +
			"firstSeen lastSeen lastObserved lastFalsePositive externalDateAdded externalDateExpires externalLastModified " +
			"threatAssessLastUpdated dtLastUpdated vtLastUpdated")},
		{Kind: "Texts", Operators: []string{"=", "!=", "in (…)", "like", "contains", "startswith", "endswith", "is null"},
			Example: `tag = "APT"`, Keywords: strings.Fields("tag attackTag securityLabel summary description source value1 value2 value3 " +
				"addressCity addressCountryCode addressCountryName addressRegisteringOrg addressState addressTimezone riskIqClassification " +
				"associatedGroupSource associatedIndicatorSource")},
		{Kind: "Yes or no", Operators: []string{"=", "!="}, Example: "indicatorActive = true", Keywords: strings.Fields("indicatorActive " +
			"activeLocked addressIsIpv6 hostDnsActive hostWhoisActive dtStatus")},
		{Kind: "Address blocks", Operators: []string{"=", "in (…)"}, Example: `addressCidr in ("198.51.100.0/24")`, Keywords: []string{"addressCidr"}},
		{Kind: "What belongs to the indicator", Operators: []string{"(…)"}, Example: `hasTag(name = "APT")`, Keywords: strings.Fields("hasTag " +
			"hasAllTags hasSecurityLabel hasGroup hasAttribute hasArtifact hasCase hasIndicator hasIntelRequirement hasVictim hasVictimAsset")},
	}
}

// ModifiedSince narrows a TQL that passes Check to what was modified from an instant on, in whole seconds.
func ModifiedSince(tql string, since time.Time) string {
	return "(" + tql + ") and lastModified >= " + formatTime(since)
}
