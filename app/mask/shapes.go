package mask

import "regexp"

// Masked stands in the place of a secret.
const Masked = "***"

// Shapes of secrets that need not be registered: Authorization values, ThreatConnect tokens, and members whose name
// says it. A backslash may stand before a quotation mark, since log values are quoted.
var secretShapes = []*regexp.Regexp{
	regexp.MustCompile(`(?i)\b(?:TC-Token|Bearer|Basic)\s+([A-Za-z0-9+/=_.~:-]{16,})`),
	regexp.MustCompile(`\bTC\s+[^\s:]+:([A-Za-z0-9+/=]{16,})`),
	regexp.MustCompile(`\b(?:SVC|API|JOB|APIV2):([A-Za-z0-9+/=_.~:-]{8,})`),
	regexp.MustCompile(`(?i)\b(?:authorization|cookie|set-cookie)\\?"?\s*[:=]\s*\\?"?([^"\\\r\n]{4,})`),
	regexp.MustCompile(`(?i)\b(?:client_secret|secret_key|api_?token|expired_?token|access_token|broker_token|password|kvstore_pass)\\?"?\s*[:=]\s*\\?"?([^\s"\\&,;]{4,})`),
}

// Shapes masks what has the shape of a secret, whosever it is.
func Shapes(text []byte) []byte {
	for _, shape := range secretShapes {
		text = maskGroup(text, shape)
	}
	return text
}

// Text is [Shapes] of a string.
func Text(s string) string { return string(Shapes([]byte(s))) }

// maskGroup replaces the first group of each match.
func maskGroup(line []byte, shape *regexp.Regexp) []byte {
	matches := shape.FindAllSubmatchIndex(line, -1)
	if matches == nil {
		return line
	}
	var out []byte
	from := 0
	for _, match := range matches {
		out = append(append(out, line[from:match[2]]...), Masked...)
		from = match[3]
	}
	return append(out, line[from:]...)
}
