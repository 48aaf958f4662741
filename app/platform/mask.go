package platform

import (
	"bytes"
	"encoding/json"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

const masked = "***"

// Shapes of secrets that need not be registered: Authorization values, ThreatConnect tokens, and members whose name
// says it. A backslash may stand before a quotation mark, since log values are quoted.
var secretShapes = []*regexp.Regexp{
	regexp.MustCompile(`(?i)\b(?:TC-Token|Bearer|Basic)\s+([A-Za-z0-9+/=_.~:-]{16,})`),
	regexp.MustCompile(`\bTC\s+[^\s:]+:([A-Za-z0-9+/=]{16,})`),
	regexp.MustCompile(`\b(?:SVC|API|JOB|APIV2):([A-Za-z0-9+/=_.~:-]{8,})`),
	regexp.MustCompile(`(?i)\b(?:authorization|cookie|set-cookie)\\?"?\s*[:=]\s*\\?"?([^"\\\r\n]{4,})`),
	regexp.MustCompile(`(?i)\b(?:client_secret|secret_key|api_?token|expired_?token|access_token|broker_token|password|kvstore_pass)\\?"?\s*[:=]\s*\\?"?([^\s"\\&,;]{4,})`),
}

// masks knows the secrets of this process.
type masks struct {
	mu     sync.RWMutex
	values [][]byte // longest first, so that a secret inside another one leaves no rest
}

// addSecrets registers each secret in the forms that quoting gives it.
func (m *masks) addSecrets(secrets []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	values := slices.Clone(m.values) // readers keep the old slice
	for _, secret := range secrets {
		if len(secret) < 4 {
			continue
		}
		inJSON, _ := json.Marshal(secret)
		quoted := strings.Trim(strconv.Quote(secret), `"`)
		inside := strings.Trim(string(inJSON), `"`)
		for _, form := range []string{secret, quoted, inside, strings.Trim(strconv.Quote(inside), `"`),
			strings.Trim(strconv.Quote(quoted), `"`), url.QueryEscape(secret), url.PathEscape(secret)} {
			values = append(values, []byte(form))
		}
	}
	slices.SortFunc(values, func(a, b []byte) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return bytes.Compare(a, b)
	})
	m.values = slices.CompactFunc(values, bytes.Equal)
}

func (m *masks) maskSecrets(line []byte) []byte {
	m.mu.RLock()
	values := m.values
	m.mu.RUnlock()
	for _, value := range values {
		if bytes.Contains(line, value) {
			line = bytes.ReplaceAll(line, value, []byte(masked))
		}
	}
	for _, shape := range secretShapes {
		line = maskGroup(line, shape)
	}
	return line
}

// maskGroup replaces the first group of each match.
func maskGroup(line []byte, shape *regexp.Regexp) []byte {
	matches := shape.FindAllSubmatchIndex(line, -1)
	if matches == nil {
		return line
	}
	var out []byte
	from := 0
	for _, match := range matches {
		out = append(append(out, line[from:match[2]]...), masked...)
		from = match[3]
	}
	return append(out, line[from:]...)
}

// maskWriter masks whole lines; slog writes one line at a time.
type maskWriter struct {
	out   io.Writer
	masks *masks
}

func (w *maskWriter) Write(line []byte) (int, error) {
	if _, err := w.out.Write(w.masks.maskSecrets(line)); err != nil {
		return 0, err
	}
	return len(line), nil
}
