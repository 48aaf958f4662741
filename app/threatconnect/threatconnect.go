// Package threatconnect is a client of the ThreatConnect REST API, version 3: the owners that an API user can read, and
// the indicators that a TQL query selects, read completely, in the user's order, page by page.
//
// Nothing here decodes an indicator: a page is cut into its records, and of each only the members are read that say
// which one it is. What an indicator means is the business of the mappers.
package threatconnect

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
)

// Options say which ThreatConnect to ask, and as whom.
type Options struct {
	// BaseURL is the base of the API, such as https://example.threatconnect.com/api. Slashes at its end, and a missing
	// /api, are put right.
	BaseURL string
	// AccessID and SecretKey belong to the API user. The key is used as it stands, blanks included.
	AccessID  string
	SecretKey func() string
	// Token, if set, is used instead of AccessID and SecretKey. It is asked at each try, so that it may renew the
	// token.
	Token func(context.Context) (string, error)
	// Transport carries the requests; nil means http.DefaultTransport.
	Transport http.RoundTripper
	UserAgent string
	// Logger hears of repeated tries and of data that ThreatConnect withholds; nil means nobody does.
	Logger *slog.Logger
}

// Client asks one ThreatConnect. It may be used by several goroutines at once.
type Client struct {
	options Options
	base    string // without a slash at its end
	host    string // for messages
	http    *http.Client
}

// New returns a client. It asks nothing yet.
func New(o Options) *Client {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Client{options: o, base: strings.TrimRight(o.BaseURL, "/"), host: o.BaseURL}
	if !strings.HasSuffix(c.base, "/api") {
		c.base += "/api"
	}
	if u, err := url.Parse(c.base); err == nil {
		c.host = u.Host
	}
	c.http = &http.Client{
		Transport: o.Transport,
		// A signature holds for one path alone, and a redirect leads to a login page more often than to the API.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c
}

// Host is the host that is asked, with its port where the address has one.
func (c *Client) Host() string { return c.host }
