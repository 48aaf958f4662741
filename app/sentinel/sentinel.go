// Package sentinel delivers STIX objects to Microsoft Sentinel through its STIX objects upload API, and asks the workspace
// what stands there.
//
// [Client.Deliver] takes one batch and returns when every object of it has been accepted or rejected. It renews the
// token, keeps to the limit of requests ([Pacer]), tries again through outages, and finds the object because of which a
// batch is rejected as a whole. What an answer means is decided in one pure function, decide. [Client.CountStanding],
// [Client.ListStanding] and [Client.RawRows] send the queries of kql.go, and decideQuery says what
// their answers mean. What the package relies on about Microsoft Entra, Sentinel and Log Analytics is in
// app/docs/sentinel.md.
package sentinel

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Bounds of a request, app/docs/sentinel.md#limits.
const (
	MaxObjects = 100     // objects, Sentinel's
	MaxBytes   = 1 << 20 // bytes of the body, our own: Sentinel names none

	apiVersion    = "2024-02-01-preview"
	uploadTimeout = time.Minute
	maxAnswer     = 8 << 20 // bytes of an answer that are read: 100 objects with many messages each
)

// cloud is where one of Microsoft's clouds has its login, its upload API and its query API, and the scope of the upload,
// app/docs/sentinel.md#clouds.
type cloud struct{ authority, upload, scope, query string }

var clouds = map[string]cloud{
	"Public": {
		"https://login.microsoftonline.com", "https://api.ti.sentinel.azure.com",
		"https://management.azure.com/.default", "https://api.loganalytics.io",
	},
	"US Government": {
		"https://login.microsoftonline.us", "https://api.ti.sentinel.azure.us",
		"https://management.usgovcloudapi.net/.default", "https://api.loganalytics.us",
	},
	"China": {
		"https://login.partner.microsoftonline.cn", "https://api.ti.sentinel.azure.cn",
		"https://management.chinacloudapi.cn/.default", "https://api.loganalytics.azure.cn",
	},
}

// queryScope is that of the query API, whatever host stands in for it.
func (c cloud) queryScope() string { return c.query + "/.default" }

// Options say where to deliver and as whom.
type Options struct {
	Cloud        string // Public (also when empty), US Government or China
	AuthorityURL string // base of the login host; empty means the cloud's own. https, or http on loopback
	UploadURL    string // base of the upload host, likewise
	// LogAnalyticsURL is the base of the host that answers queries, likewise.
	LogAnalyticsURL string
	TenantID        string
	ClientID        string
	Secret          func() string     // the client secret, asked for whenever a token is
	WorkspaceID     string            // GUID of the Log Analytics workspace, 36 characters
	Transport       http.RoundTripper // nil means http.DefaultTransport
	Pacer           *Pacer            // nil means no limit of requests
	UserAgent       string            // empty means that of net/http
	Logger          *slog.Logger      // nil means none; no secret and no token is logged
}

// Client uploads to one workspace, and reads what stands there. It may be used by several goroutines at once.
type Client struct {
	url         string
	host        string // of url
	queryURL    string
	queryHost   string
	userAgent   string
	http        *http.Client
	tokens      *tokenSource
	queryTokens *tokenSource
	pacer       *Pacer
	waits       *waitReports
	lone        loneRejections
	limit       *limitLog
	log         *slog.Logger
}

// New checks the options and makes a client. It sends nothing. Its error says what is wrong with the options.
func New(o Options) (*Client, error) {
	if o.Cloud == "" {
		o.Cloud = "Public"
	}
	at, ok := clouds[o.Cloud]
	if !ok {
		return nil, fmt.Errorf("no Azure cloud is called %q: use Public, US Government or China", o.Cloud)
	}
	authority, err1 := parseBase(o.AuthorityURL, at.authority)
	upload, err2 := parseBase(o.UploadURL, at.upload)
	query, err3 := parseBase(o.LogAnalyticsURL, at.query)
	if err := errors.Join(err1, err2, err3, o.checkIDs()); err != nil {
		return nil, err
	}
	if o.Pacer == nil {
		o.Pacer = NewPacer(nil, 0, 0)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	// A redirect would carry the token to wherever it points.
	caller := &http.Client{
		Transport:     o.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	login := tokenSource{
		host:     authority.Hostname(),
		url:      authority.JoinPath(o.TenantID, "oauth2", "v2.0", "token").String(),
		clientID: o.ClientID, secret: o.Secret, scope: at.scope, http: caller, log: o.Logger,
	}
	queryLogin := login
	queryLogin.scope = at.queryScope()
	return &Client{
		url: uploadURL(upload, o.WorkspaceID), host: upload.Hostname(),
		queryURL:  query.JoinPath("v1", "workspaces", o.WorkspaceID, "query").String(),
		queryHost: query.Hostname(),
		userAgent: o.UserAgent, http: caller, pacer: o.Pacer, waits: newWaitReports(), limit: &limitLog{}, log: o.Logger,
		tokens: newTokenSource(login), queryTokens: newTokenSource(queryLogin),
	}, nil
}

// uploadURL is the address of the upload API, app/docs/sentinel.md#address-and-headers.
func uploadURL(base *url.URL, workspace string) string {
	u := base.JoinPath("workspaces", workspace, "threat-intelligence-stix-objects:upload")
	u.RawQuery = "api-version=" + apiVersion
	return u.String()
}

func (o Options) checkIDs() error {
	var faults []error
	if _, err := uuid.Parse(o.WorkspaceID); err != nil || len(o.WorkspaceID) != 36 {
		faults = append(faults, fmt.Errorf("the workspace ID %q is not a GUID", o.WorkspaceID))
	}
	if o.TenantID == "" || o.ClientID == "" || o.Secret == nil {
		faults = append(faults, errors.New("tenant ID, client ID and client secret are needed to log in"))
	}
	return errors.Join(faults...)
}

// parseBase reads the base of a host. Without TLS only this machine may see a token or a secret.
func parseBase(text, otherwise string) (*url.URL, error) {
	if text == "" {
		text = otherwise
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "https" && !(u.Scheme == "http" && isLoopback(u.Hostname())) {
		return nil, fmt.Errorf("the address %q is neither https:// and a host nor http:// on this machine", text)
	}
	return u, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// ConfigError is a failure that does not pass by itself: an input, a role or a setting in Azure has to be changed.
type ConfigError struct {
	Message string // what is wrong, a sentence
	Remedy  string // what to do about it, one or more sentences
}

func (e *ConfigError) Error() string { return e.Message + " " + e.Remedy }
