package platform

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// API reaches the platform's internal REST endpoints.
type API struct {
	BaseURL   string       // tc_api_path, including /api
	HTTP      *http.Client // nil means http.DefaultClient
	UserAgent string       // "" means that of Go
}

const apiTimeout = 15 * time.Second

// Credential is one way to prove to ThreatConnect who asks.
type Credential struct {
	Name      string                        // what a person calls it, after the word "with"
	Authorize func(req *http.Request) error // sets the headers of a request that is otherwise complete
}

// errNoCredential marks a credential that failed before anything was asked.
var errNoCredential = errors.New("no proof of who asks")

// authorizeWithToken is the Authorize of a token.
func authorizeWithToken(token string) func(*http.Request) error {
	return func(req *http.Request) error {
		req.Header.Set("Authorization", "TC-Token "+token)
		return nil
	}
}

// sendRequest sends one request and returns at most limit bytes of a successful answer. path starts with a slash and is
// already escaped; without authorize no Authorization is sent.
func (a API) sendRequest(ctx context.Context, method, path string, authorize func(*http.Request) error, body []byte, limit int) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(a.BaseURL, "/")+path, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("the API path (tc_api_path) is no URL")
	}
	if a.UserAgent != "" {
		req.Header.Set("User-Agent", a.UserAgent)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/octet-stream")
	}
	if authorize != nil {
		if err := authorize(req); err != nil {
			return nil, fmt.Errorf("%w: %w", errNoCredential, err)
		}
	}
	client := a.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, withoutURL(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, int64(limit)+1))
	switch {
	case resp.StatusCode >= 400:
		return nil, newStatusError(resp)
	case err != nil:
		return nil, fmt.Errorf("reading the answer: %w", err)
	case len(data) > limit:
		return nil, errTooLarge
	}
	return data, nil
}

type statusError struct {
	status int
	skew   time.Duration // by which the clocks differ; 0 where it does not matter
}

// maxSkew is how far ThreatConnect lets clocks differ, app/docs/threatconnect.md#authentication.
const maxSkew = 5 * time.Minute

func newStatusError(resp *http.Response) *statusError {
	e := &statusError{status: resp.StatusCode}
	theirs, err := http.ParseTime(resp.Header.Get("Date"))
	if skew := time.Since(theirs).Abs(); err == nil && e.status == http.StatusUnauthorized && skew > maxSkew {
		e.skew = skew.Round(time.Second)
	}
	return e
}

func (e *statusError) Error() string {
	text := fmt.Sprintf("ThreatConnect answered %d %s", e.status, http.StatusText(e.status))
	if e.skew != 0 {
		text += fmt.Sprintf(", as the clock of this machine differs from its own by %v", e.skew)
	}
	return text
}

// withoutURL drops the URL of a failed request from its error: a query may hold a token.
func withoutURL(err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		return failed.Err
	}
	return err
}

// apiStore is the key-value store of Apps on a remote Environment Server, app/docs/platform.md#tckeyvalueapi.
type apiStore struct {
	api API
}

func (s *apiStore) Get(ctx context.Context, key, field string, limit int) ([]byte, error) {
	value, err := s.retryRequest(ctx, http.MethodGet, key, field, nil, limit)
	var status *statusError
	if errors.As(err, &status) && status.status == http.StatusNotFound {
		return nil, nil
	}
	return value, err
}

func (s *apiStore) Put(ctx context.Context, key, field string, value []byte) error {
	_, err := s.retryRequest(ctx, http.MethodPut, key, field, value, 1<<20)
	return err
}

func (s *apiStore) Close() error { return nil }

func (s *apiStore) retryRequest(ctx context.Context, method, key, field string, body []byte, limit int) ([]byte, error) {
	token := Token(ctx)
	if token == "" {
		return nil, errNeedsToken
	}
	path := "/internal/playbooks/keyValue/" + percentEncode(key) + "/" + percentEncode(field)
	var data []byte
	err := retryTemporary(ctx, func() (err error) {
		data, err = s.api.sendRequest(ctx, method, path, authorizeWithToken(token), body, limit)
		return err
	}, isTemporary)
	if err != nil {
		return nil, fmt.Errorf("key-value API: %w", err)
	}
	return data, nil
}

// isTemporary tells a failure that may pass from a refusal.
func isTemporary(err error) bool {
	var status *statusError
	if errors.As(err, &status) {
		return status.status >= http.StatusInternalServerError
	}
	return !errors.Is(err, errTooLarge)
}

// percentEncode encodes everything except letters, digits and - . _ ~
func percentEncode(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}
