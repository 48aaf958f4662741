package sentinelserver

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

const (
	tenant    = "11111111-2222-4333-8444-555555555555"
	clientID  = "66666666-7777-4888-9999-aaaaaaaaaaaa"
	secret    = "right-secret"
	workspace = "bbbbbbbb-cccc-4ddd-8eee-ffffffffffff"
	source    = "ThreatConnect-Test"
	audience  = "https://management.azure.com"
)

func testOptions() Options {
	return Options{
		Apps:       []App{{TenantID: tenant, ClientID: clientID, ClientSecret: secret}},
		Workspaces: []string{workspace}, Limit: Unlimited,
	}
}

// indicator is a record that must be accepted, changed by pairs of member and value; a nil value takes the member away.
func indicator(n int, changes ...any) map[string]any {
	o := map[string]any{
		"type": "indicator", "spec_version": "2.1", "id": fmt.Sprintf("indicator--00000000-0000-5000-8000-%012d", n),
		"created": "2026-01-02T03:04:05.000Z", "modified": "2026-01-02T03:04:05.000Z",
		"pattern": fmt.Sprintf("[ipv4-addr:value = '198.51.100.%d']", n), "pattern_type": "stix",
		"valid_from": "2026-01-02T03:04:05.000Z", "valid_until": "2099-01-02T03:04:05.000Z", "name": "one",
	}
	for i := 0; i < len(changes); i += 2 {
		if changes[i+1] == nil {
			delete(o, changes[i].(string))
			continue
		}
		o[changes[i].(string)] = changes[i+1]
	}
	return o
}

func bodyOf(objects ...map[string]any) string {
	b, err := json.Marshal(map[string]any{"sourcesystem": source, "stixobjects": objects})
	if err != nil {
		panic(err)
	}
	return string(b)
}

// call is one request to the upload API; the zero value of a member means the right thing.
type call struct {
	method, path, query, token, kind, encoding, body string
}

func (c call) request(s *Server) *http.Request {
	fill := func(p *string, v string) {
		if *p == "" {
			*p = v
		}
	}
	fill(&c.method, "POST")
	fill(&c.path, "/workspaces/"+workspace+"/threat-intelligence-stix-objects:upload")
	fill(&c.query, "api-version=2024-02-01-preview")
	fill(&c.token, "Bearer "+s.IssueToken(clientID, audience, time.Hour))
	fill(&c.kind, "application/json")
	fill(&c.body, bodyOf(indicator(1)))
	r := httptest.NewRequest(c.method, c.path+"?"+c.query, strings.NewReader(c.body))
	r.Header.Set("Content-Type", c.kind)
	if c.encoding != "" {
		r.Header.Set("Content-Encoding", c.encoding)
	}
	if c.token != "none" {
		r.Header.Set("Authorization", c.token)
	}
	return r
}

func (c call) do(s *Server) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, c.request(s))
	return w
}

func TestOrderAndShapeOfRefusals(t *testing.T) {
	s := New(testOptions())
	objects := func(n int) string {
		list := make([]map[string]any, n)
		for i := range list {
			list[i] = indicator(i)
		}
		return bodyOf(list...)
	}
	body := func(text string) call { return call{body: text} }
	good, _ := json.Marshal(indicator(1))
	tests := map[string]struct {
		call   call
		status int
		want   string // in the body
	}{
		"misspelled path":        {call{path: "/workspaces/" + workspace + "/threatintelligence-stix-objects:upload"}, 404, `"statusCode":404`},
		"draft path":             {call{path: "/workspaces/" + workspace + "/threatintelligencestixobjects:upload"}, 404, `"statusCode":404`},
		"encoded colon":          {call{path: "/workspaces/" + workspace + "/threat-intelligence-stix-objects%3Aupload"}, 404, `"statusCode":404`},
		"path before method":     {call{method: "GET", path: "/nothing"}, 404, "Resource not found"},
		"method":                 {call{method: "PUT", token: "none"}, 404, "Resource not found"},
		"version before token":   {call{query: "api-version=2022-07-01", token: "none"}, 400, "api-version"},
		"no version":             {call{query: "x=y"}, 400, "api-version"},
		"no token":               {call{token: "none", path: "/workspaces/x/threat-intelligence-stix-objects:upload"}, 401, "Access token is missing or invalid."},
		"not a bearer":           {call{token: "Basic eyJ.x.y"}, 401, `"statusCode":401`},
		"forged token":           {call{token: "Bearer " + New(testOptions()).IssueToken(clientID, audience, time.Hour)}, 401, `"statusCode":401`},
		"expired token":          {call{token: "Bearer " + s.IssueToken(clientID, audience, -time.Second)}, 401, `"statusCode":401`},
		"other audience":         {call{token: "Bearer " + s.IssueToken(clientID, "https://graph.microsoft.com", time.Hour)}, 401, ""},
		"workspace is no GUID":   {call{path: "/workspaces/name/threat-intelligence-stix-objects:upload", body: "no"}, 400, "Workspace Id must be a valid"},
		"no hyphens in the GUID": {call{path: "/workspaces/" + strings.ReplaceAll(workspace, "-", "") + "/threat-intelligence-stix-objects:upload"}, 400, "Workspace Id must be a valid"},
		"unknown workspace":      {call{path: "/workspaces/" + tenant + "/threat-intelligence-stix-objects:upload", body: "no"}, 404, "Resource not found"},
		"content type":           {call{kind: "text/plain"}, 400, `"code":"BadRequest"`},
		"too large":              {body(strings.Repeat(" ", DefaultMaxBody+1)), 413, `"statusCode":413`},
		"no JSON":                {body(`{"sourcesystem":"a",}`), 400, "not valid JSON"},
		"trailing comma":         {body(`{"sourcesystem":"a","stixobjects":[` + string(good) + `,]}`), 400, "not valid JSON"},
		"two values":             {body(bodyOf(indicator(1)) + "{}"), 400, "not valid JSON"},
		"not UTF-8":              {body(`{"sourcesystem":"` + "\xff" + `","stixobjects":[` + string(good) + `]}`), 400, "not valid JSON"},
		"control character":      {body("{\"sourcesystem\":\"a\nb\",\"stixobjects\":[]}"), 400, "not valid JSON"},
		"hostile depth":          {body(`{"x":` + strings.Repeat("[", 65) + strings.Repeat("]", 65) + "," + bodyOf(indicator(1))[1:]), 400, "not valid JSON"},
		"compressed":             {call{encoding: "gzip"}, 400, "not valid JSON"},
		"array at the top":       {body("[" + string(good) + "]"), 400, "JSON object"},
		"key of the old API":     {body(`{"sourcesystem":"a","value":[` + string(good) + `]}`), 400, "stixobjects is required."},
		"key of the older API":   {body(`{"sourcesystem":"a","indicators":[` + string(good) + `]}`), 400, "stixobjects is required."},
		"key in capitals":        {body(`{"SourceSystem":"a","stixobjects":[` + string(good) + `]}`), 400, "sourcesystem is required."},
		"source is no string":    {body(`{"sourcesystem":1,"stixobjects":[` + string(good) + `]}`), 400, "sourcesystem"},
		"empty source":           {body(`{"sourcesystem":"  ","stixobjects":[` + string(good) + `]}`), 400, "sourcesystem"},
		"objects are no array":   {body(`{"sourcesystem":"a","stixobjects":{}}`), 400, "must be an array"},
		"reserved source":        {body(`{"sourcesystem":" microsoft sentinel","stixobjects":[` + string(good) + `]}`), 400, "reserved"},
		"the connector's own":    {body(`{"sourcesystem":"SecurityGraph","stixobjects":[` + string(good) + `]}`), 400, "reserved"},
		"its former name":        {body(`{"sourcesystem":"Azure Sentinel","stixobjects":[` + string(good) + `]}`), 400, "reserved"},
		"source too long":        {body(`{"sourcesystem":"` + strings.Repeat("a", 257) + `","stixobjects":[` + string(good) + `]}`), 400, "256"},
		"source of 256":          {body(`{"sourcesystem":"` + strings.Repeat("ä", 256) + `","stixobjects":[` + string(good) + `]}`), 200, ""},
		"no objects":             {body(bodyOf()), 400, "stixobjects"},
		"none":                   {body(`{"sourcesystem":"a","stixobjects":[]}`), 400, "1 to 100"},
		"101 objects":            {body(objects(101)), 400, "1 to 100"},
		"100 objects":            {body(objects(100)), 200, ""},
		"charset":                {call{kind: "application/json; charset=utf-8"}, 200, ""},
		"workspace in braces":    {call{path: "/workspaces/{" + strings.ToUpper(workspace) + "}/threat-intelligence-stix-objects:upload"}, 200, ""},
		"other spelling of aud":  {call{token: "Bearer " + s.IssueToken(clientID, "https://management.core.windows.net/", time.Hour)}, 200, ""},
		"all records bad is 400": {body(bodyOf(indicator(1, "pattern", nil))), 400, `"recordIndex":0`},
		"one record bad is 200":  {body(bodyOf(indicator(1), indicator(2, "pattern", nil))), 200, `{"errors":[{"errorMessages":["Error for Property=pattern: Required property is missing. Actual value: NULL."],"recordIndex":1}]}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := tt.call.do(s)
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.want) {
				t.Fatalf("got %d %s, want %d with %q", w.Code, w.Body, tt.status, tt.want)
			}
			if w.Code == 200 && tt.want == "" && w.Body.Len() > 0 {
				t.Fatalf("a complete success has an empty body, got %s", w.Body)
			}
			envelope := strings.Contains(w.Body.String(), `"error":{`)
			if envelope != (w.Header().Get("x-ms-error-code") != "") {
				t.Fatalf("x-ms-error-code goes with the envelope: %v", w.Header())
			}
		})
	}
}

func TestMessageKeys(t *testing.T) {
	for key, want := range map[MessageKey][2]bool{
		ErrorMessages: {true, false}, ValidationErrorMessages: {false, true}, BothMessages: {true, true},
	} {
		o := testOptions()
		o.MessageKey = key
		text := call{body: bodyOf(indicator(1, "confidence", 101))}.do(New(o)).Body.String()
		got := [2]bool{strings.Contains(text, `"errorMessages"`), strings.Contains(text, `"validationErrorMessages"`)}
		if got != want {
			t.Errorf("%s: %s", key, text)
		}
	}
}

func TestRole(t *testing.T) {
	s := New(testOptions())
	s.SetRole(clientID, false)
	if w := (call{}).do(s); w.Code != 403 || !strings.Contains(w.Body.String(), `"code":"Forbidden"`) {
		t.Fatalf("without role: %d %s", w.Code, w.Body)
	}
	s.SetRole(clientID, true)
	if w := (call{}).do(s); w.Code != 200 {
		t.Fatalf("with role: %d %s", w.Code, w.Body)
	}
	o := testOptions()
	o.NoRoleStatus, o.Apps[0].NoRole = 401, true
	if w := (call{}).do(New(o)); w.Code != 401 || !strings.Contains(w.Body.String(), `"statusCode":401`) {
		t.Fatalf("switched to 401: %d %s", w.Code, w.Body)
	}
	other := "Bearer " + s.IssueToken(clientID, "https://graph.microsoft.com", time.Hour)
	if w := (call{token: other}).do(s); w.Code != 401 || w.Body.Len() > 0 {
		t.Fatalf("another audience: %d %s", w.Code, w.Body)
	}
	for _, status := range []int{400, 401, 403, 404} {
		o.NoRoleStatus, o.NoRoleSeen = status, true
		if w := (call{}).do(New(o)); w.Code != status || !strings.Contains(w.Body.String(), `"code":"UnauthorizedAccess"`) {
			t.Fatalf("switched to %d: %d %s", status, w.Code, w.Body)
		}
	}
}

func login(s *Server, form url.Values, tenantID string) (int, map[string]any) {
	r := httptest.NewRequest("POST", "/"+tenantID+"/oauth2/v2.0/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	var body map[string]any
	json.Unmarshal(w.Body.Bytes(), &body) //nolint:errcheck // nil then, which the callers see
	return w.Code, body
}

// What is no form has no parameters.
func TestLoginThatIsNoForm(t *testing.T) {
	r := httptest.NewRequest("POST", "/"+tenant+"/oauth2/v2.0/token", strings.NewReader(loginForm().Encode()))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	New(testOptions()).ServeHTTP(w, r)
	if w.Code != 400 || !strings.Contains(w.Body.String(), "AADSTS900144") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func loginForm(changes ...string) url.Values {
	f := url.Values{"grant_type": {"client_credentials"}, "client_id": {clientID}, "client_secret": {secret}, "scope": {audience + "/.default"}}
	for i := 0; i < len(changes); i += 2 {
		f.Set(changes[i], changes[i+1])
	}
	return f
}

func TestLogin(t *testing.T) {
	tests := map[string]struct {
		form   url.Values
		tenant string
		status int
		kind   string
		code   float64
	}{
		"good":            {loginForm(), tenant, 200, "", 0},
		"wrong secret":    {loginForm("client_secret", "x"), tenant, 401, "invalid_client", 7000215},
		"no secret":       {loginForm("client_secret", ""), tenant, 401, "invalid_client", 7000218},
		"unknown app":     {loginForm("client_id", tenant), tenant, 400, "unauthorized_client", 700016},
		"unknown tenant":  {loginForm(), clientID, 400, "invalid_request", 90002},
		"bad scope":       {loginForm("scope", audience), tenant, 400, "invalid_scope", 70011},
		"no scope":        {loginForm("scope", ""), tenant, 400, "invalid_request", 900144},
		"other grant":     {loginForm("grant_type", "password"), tenant, 400, "unsupported_grant_type", 70003},
		"bad certificate": {loginForm("client_assertion", "x"), tenant, 401, "invalid_client", 700027},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := New(testOptions())
			status, body := login(s, tt.form, tt.tenant)
			if status != tt.status {
				t.Fatalf("got %d %v", status, body)
			}
			if tt.code == 0 {
				if body["expires_in"] != 3599.0 || body["token_type"] != "Bearer" {
					t.Fatalf("got %v", body)
				}
				if w := (call{token: "Bearer " + body["access_token"].(string)}).do(s); w.Code != 200 {
					t.Fatalf("its token: %d %s", w.Code, w.Body)
				}
				return
			}
			codes, _ := body["error_codes"].([]any)
			prefix := fmt.Sprintf("AADSTS%.0f: ", tt.code)
			if body["error"] != tt.kind || len(codes) != 1 || codes[0] != tt.code || !strings.HasPrefix(body["error_description"].(string), prefix) {
				t.Fatalf("got %v", body)
			}
			if strings.Contains(fmt.Sprint(body), secret) {
				t.Fatal("the answer shows a secret")
			}
		})
	}
}

func TestListeners(t *testing.T) {
	for name, listen := range map[string]func(*Server) (*Endpoint, error){
		"tcp":       func(s *Server) (*Endpoint, error) { return s.Listen("127.0.0.1:0") },
		"in memory": func(s *Server) (*Endpoint, error) { return s.ListenInMemory(), nil },
	} {
		t.Run(name, func(t *testing.T) {
			s := New(testOptions())
			e, err := listen(s)
			if err != nil {
				t.Fatal(err)
			}
			r := call{}.request(s)
			out, _ := http.NewRequest("POST", e.URL+r.URL.RequestURI(), r.Body)
			out.Header = r.Header
			answer, err := (&http.Client{Transport: e.Transport}).Do(out)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(answer.Body)
			answer.Body.Close()
			if answer.StatusCode != 200 || len(body) > 0 {
				t.Fatalf("got %d %s", answer.StatusCode, body)
			}
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := (&http.Client{Transport: e.Transport}).Do(out.Clone(t.Context())); err == nil {
				t.Fatal("it answers after Close")
			}
		})
	}
}
