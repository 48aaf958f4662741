package sentinelserver

import (
	"encoding/json"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func upload(t *testing.T, s *Server, objects ...map[string]any) {
	t.Helper()
	if w := (call{body: bodyOf(objects...)}).do(s); w.Code != 200 || w.Body.Len() > 0 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
}

func TestRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := testOptions()
		o.Lag = time.Minute
		s := New(o)
		long := strings.Repeat("ä", 1500)
		upload(t, s,
			indicator(1, "confidence", 80, "description", long, "labels", []string{}, "x", nil, "external_references", []any{map[string]any{"source_name": "a"}},
				"object_marking_refs", []string{"marking-definition--f88d31f6-486f-44da-b317-01333bde0b82"}, "valid_from", "1999-01-01T00:00:00Z"),
			indicator(2, "pattern", "[a:b = 'x' OR c:d = 'y']", "revoked", true, "valid_from", "1999-01-01T00:00:00Z"),
			indicator(3, "pattern_type", "yara", "valid_from", "1998-01-01T00:00:00Z", "valid_until", "1999-01-01T00:00:00Z"),
			indicator(4, "type", "identity", "id", "identity--00000000-0000-4000-8000-000000000001", "pattern", nil, "valid_from", nil, "valid_until", nil),
		)
		rows := s.Rows()
		if len(rows) != 4 {
			t.Fatalf("%d rows", len(rows))
		}
		r := rows[0]
		if r.ID != "VGhyZWF0Q29ubmVjdC1UZXN0---indicator--00000000-0000-5000-8000-000000000001" || r.SourceSystem != source || r.WorkspaceID != workspace ||
			!r.TimeGenerated.Equal(time.Now().Add(time.Minute)) || r.ObservableKey != "ipv4-addr:value" || r.ObservableValue != "198.51.100.1" ||
			*r.Confidence != 80 || r.AdditionalFields["TLPLevel"] != "amber" || !r.IsActive || r.LastUpdateMethod != "UploadApi" {
			t.Errorf("%+v", r)
		}
		_, created := r.Data["created"]
		_, labels := r.Data["labels"]
		if created || labels || len([]rune(r.Data["description"].(string))) != 1000 || r.Data["external_references"] == nil {
			t.Errorf("data %v", r.Data)
		}
		if rows[1].ID != rows[2].ID || rows[1].ObservableValue != "x" || rows[2].ObservableValue != "y" || rows[1].IsActive {
			t.Errorf("%+v\n%+v", rows[1], rows[2])
		}
		if rows[3].ObservableKey != "" || rows[3].Pattern == "" || rows[3].IsActive {
			t.Errorf("%+v", rows[3])
		}
		if objects := s.ObjectRows(); len(objects) != 1 || objects[0].StixType != "identity" {
			t.Errorf("%+v", objects)
		}
		s.Republish()
		rows = s.Rows()[4:]
		if len(rows) != 3 || slices.ContainsFunc(rows, func(r Row) bool {
			return r.LastUpdateMethod != "LogARepublisher" || r.Data["external_references"] != nil
		}) {
			t.Errorf("republished %+v", rows)
		}
		upload(t, s, indicator(5)) // valid from 2026 on, and it is 2000
		if rows = s.Rows(); rows[len(rows)-1].IsActive {
			t.Errorf("%+v", rows[len(rows)-1])
		}
	})
}

// Whether an object is active was decided when it came, by the clock of then: putting the clock back does not put it off.
func TestPutBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, keep := range []Keep{KeepRows, KeepObjects} {
			o := testOptions()
			o.Keep = keep
			s := New(o)
			upload(t, s, indicator(1, "valid_from", time.Now().UTC().Format(time.RFC3339), "valid_until", "2099-01-01T00:00:00Z"))
			s.PutBack(time.Hour)
			if r := s.Rows()[0]; !r.IsActive || !r.TimeGenerated.Equal(time.Now().Add(-time.Hour)) {
				t.Errorf("after the clock was put back: %+v", r)
			}
			s.Age(time.Hour)
			if r := s.Rows()[0]; r.IsActive {
				t.Errorf("as if it had come before it was valid: %+v", r)
			}
		}
	})
}

func TestWhatIsKept(t *testing.T) {
	for keep, rows := range map[Keep]int{KeepRows: 4, KeepObjects: 2, KeepHashes: 0} {
		o := testOptions()
		o.Keep = keep
		s := New(o)
		upload(t, s, indicator(1), indicator(2))
		upload(t, s, indicator(1, "modified", "2026-01-02T03:04:06.000Z"))
		upload(t, s, indicator(1, "name", "another"))
		want := Stats{Accepted: 4, Created: 2, Updated: 1, Unchanged: 1, Live: 2}
		if got := s.Stats(); got != want {
			t.Errorf("%v: %+v", keep, got)
		}
		if len(s.Rows()) != rows || len(s.Objects(source)) != 2 || len(s.Objects("other")) != 0 || s.Sent(source)[indicator(1)["id"].(string)] != 3 {
			t.Errorf("%v: %d rows, %d objects, sent %v", keep, len(s.Rows()), len(s.Objects(source)), s.Sent(source))
		}
		if !slices.Equal(s.Sources(), []string{source}) {
			t.Errorf("sources %v", s.Sources())
		}
		upload(t, s, indicator(2, "valid_until", "2026-01-02T03:04:06.000Z")) // retired
		if live := s.Stats().Live; live != 1 {
			t.Errorf("%v: %d objects are live", keep, live)
		}
		upload(t, s, indicator(5), indicator(5))
		if got := s.Stats(); got.Twice != 1 || keep != KeepHashes && got.Identical != 1 {
			t.Errorf("%v: %+v", keep, got)
		}
	}
}

func TestControl(t *testing.T) {
	s := New(testOptions())
	upload(t, s, indicator(1), indicator(2))
	ask := func(method, target, body string) (int, map[string]any) {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(method, "/_standin/"+target, strings.NewReader(body)))
		var answer map[string]any
		json.Unmarshal(w.Body.Bytes(), &answer) //nolint:errcheck // nil then, which the cases see
		return w.Code, answer
	}
	id := "VGhyZWF0Q29ubmVjdC1UZXN0---" + indicator(1)["id"].(string)
	for target, want := range map[string]float64{
		"ThreatIntelIndicators": 2, "ThreatIntelIndicators?limit=1": 2, "ThreatIntelIndicators?id=" + id: 1, "ThreatIntelIndicators?source=x": 0,
		"ThreatIntelObjects": 0, "requests": 1,
	} {
		if status, answer := ask("GET", target, ""); status != 200 || answer["count"] != want {
			t.Errorf("%s: %d %v", target, status, answer)
		}
	}
	if _, answer := ask("GET", "objects?source="+source, ""); len(answer) != 2 {
		t.Errorf("objects %v", answer)
	}
	if _, answer := ask("GET", "stats", ""); answer["requests"] != 1.0 {
		t.Errorf("stats %v", answer)
	}
	for _, tt := range []struct {
		method, target, body string
		status, next         int // the status of the next upload
	}{
		{"POST", "fault", `{"kind":"status","status":500}`, 204, 500},
		{"POST", "fault", `[{"kind":"status","count":-1},{"kind":"slow","seconds":0.001}]`, 204, 503},
		{"DELETE", "fault", "", 204, 200},
		{"POST", "fault", `{"kind":"nothing"}`, 400, 200},
		{"POST", "fault", `{"kind":"slow"}`, 400, 200},
		{"POST", "fault", `{"kind":"status","rate":2}`, 400, 200},
		{"POST", "fault", `nonsense`, 400, 200},
		{"POST", "role?client_id=" + clientID, "", 204, 403},
		{"POST", "role?granted=true&client_id=" + clientID, "", 204, 200},
		{"POST", "republish", "", 204, 200},
		{"GET", "nothing", "", 404, 200},
	} {
		if status, answer := ask(tt.method, tt.target, tt.body); status != tt.status {
			t.Errorf("%s %s: %d %v", tt.method, tt.target, status, answer)
		}
		if w := (call{}).do(s); w.Code != tt.next {
			t.Errorf("after %s %s %s: %d %s", tt.method, tt.target, tt.body, w.Code, w.Body)
		}
	}
	token := "Bearer " + s.IssueToken(clientID, audience, time.Hour)
	ask("POST", "expire-tokens", "")
	if w := (call{token: token}).do(s); w.Code != 401 {
		t.Errorf("a token that was revoked: %d", w.Code)
	}
}
