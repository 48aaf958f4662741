package platform

import (
	"io"
	"net/http"
	"regexp"
	"sync"

	"mssentinel/app/mask"
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
	mu      sync.RWMutex
	secrets []string
	known   *mask.Mask
}

// addSecrets registers secrets, which are found in whatever form they stand in a text.
func (m *masks) addSecrets(secrets []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.secrets = append(m.secrets, secrets...)
	m.known = mask.New(m.secrets...)
}

func (m *masks) maskSecrets(line []byte) []byte {
	m.mu.RLock()
	known := m.known
	m.mu.RUnlock()
	if known != nil {
		line = known.Replace(line, masked)
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

// MaskErrors returns a transport whose errors hold no secret: some quote what a server sent, and a server can send back
// what it was asked with. Besides the secrets that the log masks, that is what the request was authorized with.
func (l *Log) MaskErrors(next http.RoundTripper) http.RoundTripper { return maskTransport{next, l} }

type maskTransport struct {
	next http.RoundTripper
	log  *Log
}

func (t maskTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.next.RoundTrip(r)
	if err == nil {
		return response, nil
	}
	credentials := mask.New(mask.Credentials(r)...)
	return nil, mask.HideInError(err, func(said string) string {
		return t.log.Clean(string(credentials.Replace([]byte(said), masked)))
	})
}
