package tcserver

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const testToken = "a-token"

var testNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// small is the population of most tests.
var small = Generate(3000, 1, testNow)

func newTest(t *testing.T, o Options) *Server {
	t.Helper()
	if o.Population == nil {
		o.Population = small
	}
	o.Tokens = []string{testToken}
	s := New(o)
	t.Cleanup(s.Close)
	return s
}

// call makes a request with a token, and with pairs of header names and values.
func call(s *Server, method, target, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header.Set("Authorization", "TC-Token "+testToken)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// list is the envelope of v3.
type list struct {
	Next, Prev      string
	Data            []map[string]any
	Count           *int
	Status, Message string
	ErrCode         string
}

func (l list) ids() []string {
	ids := make([]string, len(l.Data))
	for i, row := range l.Data {
		ids[i] = string(row["id"].(json.Number))
	}
	return ids
}

func get(t *testing.T, s *Server, target string) list {
	t.Helper()
	w := call(s, "GET", target, "")
	if w.Code != http.StatusOK {
		t.Fatalf("%s: %d %s", target, w.Code, w.Body)
	}
	return decode(t, w.Body.String())
}

func decode(t *testing.T, body string) (l list) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(body))
	d.UseNumber()
	if err := d.Decode(&l); err != nil {
		t.Fatalf("%v in %.300s", err, body)
	}
	return l
}

// indicator is the JSON of a Host to put, changed by pairs of member and value.
func indicator(owner string, ownerID int, changes ...any) []byte {
	m := map[string]any{
		"ownerId": ownerID, "ownerName": owner, "type": "Host", "summary": "put.example", "hostName": "put.example", "active": true,
		"privateFlag": false, "activeLocked": false, "tags": map[string]any{}, "attributes": map[string]any{},
	}
	for i := 0; i < len(changes); i += 2 {
		m[changes[i].(string)] = changes[i+1]
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return b
}

func TestSignatureVectors(t *testing.T) {
	for target, want := range map[string]string{
		"/api/v3/security/owners":                          "S7rkYE75Pap2AoxkxSAsjvrtk1Fi24y2HFzFMlWY/pw=",
		"/api/v3/indicators?resultLimit=100&resultStart=0": "IDgxtH9Ez5l1BuTA83BFrZ/BbUz+psUv8vi5ycidsZA=",
		"/api/v3/indicators?fields=tags&fields=threatAssess&resultLimit=1000&resultStart=0&sorting=id%20asc&tql=typeName%20in%20(%22Address%22%2C%20%22Host%22)": "SrONzIpJsMlcddkussIH0zmtLoSOkmuqjQEOnmZ0WLY=",
		"/api/v3/indicators?tql=typeName+in+%28%22Address%22%29":                                "zJEOfL1LVIKtpZAn8iumf4j21HhgXlpzcv7vozFOxt0=",
		"/api/v3/indicators/deleted?deletedSince=2023-11-14T00%3A00%3A00Z&owner=Demo+Community": "MxhnX/AYyh9hccBJxdDUwk1OrJkOftU1nP52llT6ja0=",
		"/api/v2/owners/mine": "jJIoOwxBsuLxaqafdFrqIY6/lg0vgBC5cuC24lJyTOU=",
	} {
		if got := Signature("example-secret-key", target, "GET", 1700000000); got != want {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
	}
}

// While simulated time asks, no second passes.
func TestAuthentication(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTest(t, Options{Users: []User{{"12345", "key-$&/ "}}})
		now := time.Now().Unix()
		const target = "/api/v3/security/owners?resultLimit=1&tql=ownerName%20=%20%22x%22"
		signed := func(id, key, signedTarget, method string, unix int64) []string {
			return []string{"Authorization", "TC " + id + ":" + Signature(key, signedTarget, method, unix), "Timestamp", strconv.FormatInt(unix, 10)}
		}
		tests := map[string]struct {
			header  []string
			status  int
			message string
		}{
			"right":            {signed("12345", "key-$&/ ", target, "GET", now), 200, ""},
			"clock behind":     {signed("12345", "key-$&/ ", target, "GET", now-300), 200, ""},
			"clock ahead":      {signed("12345", "key-$&/ ", target, "GET", now+300), 200, ""},
			"too old":          {signed("12345", "key-$&/ ", target, "GET", now-301), 401, "Timestamp out of acceptable time range"},
			"too new":          {signed("12345", "key-$&/ ", target, "GET", now+301), 401, "Timestamp out of acceptable time range"},
			"key trimmed":      {signed("12345", "key-$&/", target, "GET", now), 401, "Signature data did not match expected result"},
			"encoded anew":     {signed("12345", "key-$&/ ", strings.ReplaceAll(target, "%20", "+"), "GET", now), 401, "Signature data did not match expected result"},
			"without query":    {signed("12345", "key-$&/ ", "/api/v3/security/owners", "GET", now), 401, "Signature data did not match expected result"},
			"method":           {signed("12345", "key-$&/ ", target, "get", now), 401, "Signature data did not match expected result"},
			"unknown user":     {signed("54321", "key-$&/ ", target, "GET", now), 401, "Access Denied"},
			"no timestamp":     {append(signed("12345", "key-$&/ ", target, "GET", now)[:2], "Timestamp", ""), 401, "Invalid timestamp"},
			"milliseconds":     {signed("12345", "key-$&/ ", target, "GET", now*1000), 401, "Timestamp out of acceptable time range"},
			"none":             {[]string{"Authorization", ""}, 401, "Access Denied"},
			"basic":            {[]string{"Authorization", "Basic YTpi"}, 401, "Access Denied"},
			"unknown token":    {[]string{"Authorization", "TC-Token nothing"}, 401, "Unauthorized"},
			"token, timestamp": {[]string{"Timestamp", "1"}, 200, ""},
		}
		for name, test := range tests {
			w := call(s, "GET", target, "", test.header...)
			l := decode(t, w.Body.String())
			if w.Code != test.status || l.Message != test.message || test.status == 401 && l.Status != "Error" {
				t.Errorf("%s: %d %q, want %d %q", name, w.Code, w.Body, test.status, test.message)
			}
		}
		s.SetSecretKey("12345", "other")
		if w := call(s, "GET", target, "", signed("12345", "key-$&/ ", target, "GET", now)...); w.Code != 401 {
			t.Errorf("old secret key: %d", w.Code)
		}
	})
}

func TestTokensExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{Population: small})
		token := s.IssueToken(time.Hour)
		ask := func() int {
			return call(s, "GET", "/api/v2/owners/mine", "", "Authorization", "TC-Token "+token).Code
		}
		if time.Sleep(time.Hour - time.Nanosecond); ask() != 200 {
			t.Error("refused before its end")
		}
		if time.Sleep(time.Nanosecond); ask() != 401 {
			t.Error("taken after its end")
		}
		token = s.IssueToken(time.Hour)
		if s.RevokeTokens(); ask() != 401 {
			t.Error("taken after it was revoked")
		}
	})
}

func TestRoutes(t *testing.T) {
	s := newTest(t, Options{})
	for target, want := range map[string]int{
		"GET /api/v3/indicators": 200, "POST /api/v3/indicators": 405, "DELETE /api/v3/indicators/5": 405, "GET /api/v3/nothing": 404,
		"GET /v3/indicators": 404, "GET /": 404, "GET /api/v3/indicators/": 404, "GET /api/v3/indicators/999": 404,
		"OPTIONS /api/v3/indicators": 200, "OPTIONS /api/v3/indicators/fields": 200, "OPTIONS /api/v3/indicators/tql": 200,
		"GET /api/v3/attributeTypes": 200, "GET /api/v2/types/indicatorTypes?includeAdditional=true": 200, "GET /api/v2/owners": 200,
		"GET /api/v2/owners/mine": 200, "GET /api/v2/whoami": 200, "GET /api/v3/indicators?%zz=1": 400,
	} {
		method, path, _ := strings.Cut(target, " ")
		if w := call(s, method, path, ""); w.Code != want {
			t.Errorf("%s: %d, want %d", target, w.Code, want)
		}
	}
}

func TestMetadata(t *testing.T) {
	s := newTest(t, Options{MoreOwners: ManyOwners(150)})
	first := get(t, s, "/api/v3/security/owners?count=true")
	second := get(t, s, first.Next)
	if len(first.Data) != 100 || len(second.Data) != 55 || *first.Count != 155 || second.Next != "" || second.Count != nil {
		t.Errorf("owners: %d and %d of %d, then %q", len(first.Data), len(second.Data), *first.Count, second.Next)
	}
	if l := get(t, s, "/api/v3/security/owners?tql=ownerName+%3D+%22Demo+Organization%22"); len(l.Data) != 1 || l.Data[0]["type"] != "Organization" {
		t.Errorf("owner by name: %v", l.Data)
	}
	if w := call(s, "GET", "/api/v3/security/owners?tql=type+%3D+%22Source%22", ""); w.Code != 400 || !strings.Contains(w.Body.String(), codeTQL) {
		t.Errorf("owners by type: %d %s", w.Code, w.Body)
	}
	if l := decode(t, call(s, "OPTIONS", "/api/v3/indicators/fields", "").Body.String()); *l.Count != 23 {
		t.Errorf("%d fields", *l.Count)
	}
	for path, want := range map[string]string{
		"/api/v2/owners/mine":                   `{"id":1201,"name":"Demo Organization","type":"Organization"}`,
		"/api/v2/whoami":                        DefaultAccessID,
		"/api/v2/types/indicatorTypes":          `"name":"Registry Key"`,
		"/api/v3/attributeTypes":                "Reconnaissance;Weaponization;Delivery;Exploitation;Installation;C2;Actions on Objectives;",
		"/api/v2/owners":                        `"resultCount":155`,
		"/_standin/stats":                       `"indicators":3000`,
		"/_standin/select?tql=id+%3E+0&limit=1": `"ids":[700001]`,
	} {
		if w := call(s, "GET", path, ""); w.Code != 200 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %.300s", path, w.Code, w.Body)
		}
	}
}

func TestRequestsAreRemembered(t *testing.T) {
	s := newTest(t, Options{})
	call(s, "GET", "/api/v3/indicators?tql=id+in+(700001)&owner=Nobody&sorting=id+asc", "")
	call(s, "GET", "/api/v3/indicators?resultLimit=7&createActivityLog=false", "")
	log := s.Requests()
	if len(log) != 2 || s.RequestCount() != 2 {
		t.Fatalf("%d requests", len(log))
	}
	if r := log[0]; r.Status != 403 || r.TQL != "id in (700001)" || r.Owner != "Nobody" || r.Sorting != "id asc" || r.Rows != 0 {
		t.Errorf("first: %+v", r)
	}
	if r := log[1]; r.Status != 200 || r.Rows != 7 || !strings.HasSuffix(r.Target, "createActivityLog=false") {
		t.Errorf("second: %+v", r)
	}
	if strings.Contains(fmt.Sprint(log), testToken) {
		t.Error("the log holds the token")
	}
}
