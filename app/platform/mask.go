package platform

import (
	"io"
	"net/http"
	"sync"

	"mssentinel/app/mask"
)

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
		line = known.Replace(line, mask.Masked)
	}
	return mask.Shapes(line)
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
		return t.log.Clean(string(credentials.Replace([]byte(said), mask.Masked)))
	})
}
