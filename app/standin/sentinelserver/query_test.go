package sentinelserver

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const countsOfTest = "ThreatIntelIndicators\n" +
	"| where TimeGenerated > ago(14d) and SourceSystem == 'ThreatConnect-Test'\n" +
	"| extend StixId = tostring(split(Id, '---')[1])\n" +
	"| extend PatternType = extract(@'^[\\[(\\s]*([a-z0-9-]+):', 1, Pattern)\n" +
	"| summarize arg_max(TimeGenerated, PatternType, ValidUntil, IsActive, IsDeleted) by StixId\n" +
	"| where IsDeleted != true\n" +
	"| extend Standing = IsActive == true and (isnull(ValidUntil) or ValidUntil > now())\n" +
	"| summarize Active = countif(Standing), Expired = countif(not(Standing)), Newest = max(TimeGenerated) by PatternType\n" +
	"| sort by PatternType asc"

// ask is one request to the query API; the zero value of a member means the right thing.
type ask struct {
	method, workspace, token, kind, body string
}

func (a ask) do(s *Server) *httptest.ResponseRecorder {
	fill := func(p *string, v string) {
		if *p == "" {
			*p = v
		}
	}
	fill(&a.method, "POST")
	fill(&a.workspace, workspace)
	fill(&a.token, "Bearer "+s.IssueToken(clientID, queryAudience, time.Hour))
	fill(&a.kind, "application/json")
	fill(&a.body, queryBody(countsOfTest))
	r := httptest.NewRequest(a.method, "/v1/workspaces/"+a.workspace+"/query", strings.NewReader(strings.TrimPrefix(a.body, "none")))
	if a.kind != "none" {
		r.Header.Set("Content-Type", a.kind)
	}
	if a.token != "none" {
		r.Header.Set("Authorization", a.token)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func queryBody(text string) string {
	b, _ := json.Marshal(map[string]string{"query": text}) // texts always encode
	return string(b)
}

// Each refusal has its status and its code, and nothing but a query of the App's is answered.
func TestQueryRefusals(t *testing.T) {
	page := strings.NewReplacer("‹after›", "''", "‹limit›", "5", "‹source›", "'a'").Replace(knownQueries[1].text)
	for name, tt := range map[string]struct {
		ask    ask
		status int
		want   string
	}{
		"right":               {ask{}, 200, `"tables":[{"columns":[{"name":"PatternType","type":"string"}`},
		"no token":            {ask{token: "none"}, 401, `"AuthenticationFailed"`},
		"damaged token":       {ask{token: "Bearer x.y.z"}, 403, `"InvalidAuthenticationToken"`},
		"upper-case guid":     {ask{workspace: strings.ToUpper(workspace)}, 200, `"tables"`},
		"other workspace":     {ask{workspace: tenant}, 404, `"PathNotFoundError"`},
		"no guid":             {ask{workspace: "name"}, 404, `"PathNotFoundError"`},
		"GET":                 {ask{method: "GET"}, 404, `"PathNotFoundError"`},
		"no Content-Type":     {ask{kind: "none"}, 200, ""},
		"other Content-Type":  {ask{kind: "text/plain"}, 200, ""},
		"no body":             {ask{body: "none"}, 200, ""},
		"no JSON":             {ask{body: "query"}, 400, `"SyntaxError"`},
		"no query":            {ask{body: "{}"}, 400, `"SyntaxError"`},
		"another query":       {ask{body: queryBody("ThreatIntelIndicators | count")}, 400, `"code":"BadArgumentError"`},
		"another column":      {ask{body: queryBody(strings.Replace(countsOfTest, "ValidUntil", "ValidTill", 1))}, 400, `"SyntaxError"`},
		"another time":        {ask{body: queryBody(strings.Replace(countsOfTest, "14d", "15d", 1))}, 400, `"SyntaxError"`},
		"more behind it":      {ask{body: queryBody(countsOfTest + "\n| take 1")}, 400, `"SyntaxError"`},
		"a literal that ends": {ask{body: queryBody(strings.Replace(countsOfTest, "-Test'", "-Test' or true or ''", 1))}, 400, `"SyntaxError"`},
		"an unknown escape":   {ask{body: queryBody(strings.Replace(countsOfTest, "-Test'", `-\q'`, 1))}, 400, `"SyntaxError"`},
		"a page":              {ask{body: queryBody(page)}, 200, `"tables"`},
		"a page of two":       {ask{body: queryBody(strings.Replace(page, "'a'", "'b'", 1))}, 400, `"SyntaxError"`},
	} {
		w := tt.ask.do(New(testOptions()))
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.want) || tt.want == "" && w.Body.Len() > 0 {
			t.Errorf("%s: %d %s, want %d %s", name, w.Code, w.Body, tt.status, tt.want)
		}
	}
}

// The tokens of the two APIs are not taken for each other, nor after their end.
func TestTokensOpenOneAPI(t *testing.T) {
	o := testOptions()
	o.QueryAudiences = []string{"https://api.loganalytics.us"}
	s := New(o)
	bearer := func(audience string, life time.Duration) string {
		return "Bearer " + s.IssueToken(clientID, audience, life)
	}
	for name, tt := range map[string]struct {
		token         string
		query, upload int
		want          string
	}{
		"of queries":       {bearer(queryAudience, time.Hour), 200, 401, ""},
		"of another cloud": {bearer("https://api.loganalytics.us", time.Hour), 200, 401, ""},
		"of a third cloud": {bearer("https://api.loganalytics.azure.cn", time.Hour), 403, 401, "InvalidAuthenticationTokenAudience"},
		"with a slash":     {bearer(queryAudience+"/", time.Hour), 403, 401, "InvalidAuthenticationTokenAudience"},
		"of the upload":    {bearer(audience, time.Hour), 403, 200, "InvalidAuthenticationTokenAudience"},
		"expired":          {bearer(queryAudience, -time.Hour), 401, 401, "AuthenticationFailed"},
	} {
		query, upload := (ask{token: tt.token}).do(s), (call{token: tt.token}).do(s)
		if query.Code != tt.query || !strings.Contains(query.Body.String(), tt.want) || upload.Code != tt.upload {
			t.Errorf("%s: %d %s, and %d; want %d %s, and %d", name, query.Code, query.Body, upload.Code, tt.query, tt.want, tt.upload)
		}
	}
}

// The right to read and the role to upload are told apart, and the former is told in two ways.
func TestReadRight(t *testing.T) {
	for _, inner := range []bool{false, true} {
		o := testOptions()
		o.Apps[0].NoRead, o.NoReadInner = true, inner
		s := New(o)
		w := ask{}.do(s)
		if w.Code != 403 || !strings.Contains(w.Body.String(), `"InsufficientAccessError"`) || strings.Contains(w.Body.String(), "UnauthorizedClient") != inner {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if got := (call{}).do(s).Code; got != 200 {
			t.Errorf("the upload: %d", got)
		}
		s.SetReadRight(clientID, true)
		s.SetRole(clientID, false)
		if query, upload := (ask{}).do(s).Code, (call{}).do(s).Code; query != 200 || upload != 403 {
			t.Errorf("query %d, upload %d", query, upload)
		}
	}
}

// Faults of the query API strike queries and no uploads.
func TestQueryFaults(t *testing.T) {
	for name, tt := range map[string]struct {
		fault  Fault
		status int
		want   string
	}{
		"error":     {Fault{Kind: QueryStatus, Status: 503}, 503, `{"error":{"code":"ServiceUnavailableError"`},
		"throttle":  {Fault{Kind: QueryStatus, Status: 429, Seconds: 7}, 429, `"TooManyRequestsError"`},
		"no table":  {Fault{Kind: QueryStatus, Status: 400, Form: "no-table"}, 400, `"SEM0100"`},
		"no read":   {Fault{Kind: QueryStatus, Status: 403, Form: "no-read"}, 403, `"InsufficientAccessError"`},
		"page":      {Fault{Kind: QueryStatus, Status: 200, Form: "html"}, 200, `<html>`},
		"own words": {Fault{Kind: QueryStatus, Status: 418, Body: "tea"}, 418, `tea`},
		"partial":   {Fault{Kind: QueryPartial}, 200, `"PartialError"`},
	} {
		s := New(testOptions())
		if err := s.Inject(tt.fault); err != nil {
			t.Fatal(err)
		}
		if got := (call{}).do(s).Code; got != 200 {
			t.Errorf("%s: the upload got %d", name, got)
		}
		w := ask{}.do(s)
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.want) {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		if after := w.Header().Get("Retry-After"); tt.fault.Seconds > 0 && after != "7" {
			t.Errorf("%s: Retry-After %q", name, after)
		}
		if got := (ask{}).do(s); got.Code != 200 || !strings.Contains(got.Body.String(), `["ipv4-addr",1,0,`) {
			t.Errorf("%s: afterwards %d %s", name, got.Code, got.Body)
		}
		if queries := s.Queries(); len(queries) != 2 || queries[0].Fault != tt.fault.Kind || queries[1].Name != "counts" || queries[1].Rows != 1 {
			t.Errorf("%s: remembered %+v", name, queries)
		}
	}
}

// The control routes change what a query finds.
func TestControlOfRows(t *testing.T) {
	s := New(testOptions())
	control := func(method, path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(method, "/_standin/"+path, http.NoBody))
		return w
	}
	call{body: bodyOf(indicator(1), indicator(2), indicator(3))}.do(s)
	for _, step := range []struct{ path, want string }{
		{"lose?source=ThreatConnect-Test&id=indicator--00000000-0000-5000-8000-000000000001", `"rows":[["ipv4-addr",2,0,`},
		{"delete?source=ThreatConnect-Test&id=indicator--00000000-0000-5000-8000-000000000002", `"rows":[["ipv4-addr",1,0,`},
		{"age?seconds=1209601", `"rows":[]`},
		{"republish", `"rows":[["ipv4-addr",1,0,`},
		{"read-right?client_id=" + clientID + "&granted=false", `"InsufficientAccessError"`},
		{"read-right?client_id=" + clientID + "&granted=true", `"rows":[["ipv4-addr",1,0,`},
	} {
		if got := control("POST", step.path).Code; got != 204 {
			t.Errorf("%s: %d", step.path, got)
		}
		if w := (ask{}).do(s); !strings.Contains(w.Body.String(), step.want) {
			t.Errorf("%s: %s, want %s", step.path, w.Body, step.want)
		}
	}
	if got := len(s.Objects(source)); got != 1 {
		t.Errorf("%d objects stand, want 1", got)
	}
	if w := control("GET", "queries?limit=1"); !strings.Contains(w.Body.String(), `"name":"counts"`) {
		t.Errorf("queries: %s", w.Body)
	}
}

// Where only the current versions are kept, queries find these.
func TestQueriesOfCurrentObjects(t *testing.T) {
	o := testOptions()
	o.Keep = KeepObjects
	s := New(o)
	call{}.do(s)
	if w := (ask{}).do(s); !strings.Contains(w.Body.String(), `["ipv4-addr",1,0,`) {
		t.Errorf("%s", w.Body)
	}
}
