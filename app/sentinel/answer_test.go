package sentinel

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestDecide(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	rejected := func(i int, message string) Rejection { return Rejection{i, CodeRejected, message} }
	const silent = "Sentinel rejects the record and gives no reason."
	tests := map[string]struct {
		status   int
		header   string // Name: value, separated by |
		body     string
		n        int // 0 means 3
		action   action
		rejected []Rejection
		wait     time.Duration
		text     string // part of it
	}{
		"empty":                {status: 200, action: actionAccept},
		"blank":                {status: 200, body: " \r\n", action: actionAccept},
		"empty object":         {status: 200, body: "{}", action: actionAccept},
		"null":                 {status: 200, body: "null", action: actionAccept},
		"errors null":          {status: 200, body: `{"errors":null}`, action: actionAccept},
		"no errors":            {status: 200, body: `{"errors":[]}`, action: actionAccept},
		"something else":       {status: 200, body: `{"message":"ok","statusCode":200}`, action: actionAccept},
		"error with 200":       {status: 200, body: `{"error":{"code":"ServiceBusy","message":"busy"}}`, action: actionRetry, text: "busy"},
		"error null":           {status: 200, body: `{"error":null}`, action: actionAccept},
		"error empty":          {status: 200, body: `{"error":{}}`, action: actionAccept},
		"no content":           {status: 204, action: actionAccept},
		"accepted":             {status: 202, body: `[]`, action: actionAccept},
		"a page":               {status: 200, body: "<html>log in</html>", action: actionRetry, text: "not Sentinel's"},
		"cut off":              {status: 200, body: `{"errors":[{"recordIn`, action: actionRetry},
		"one rejected":         {status: 200, body: `{"errors":[{"recordIndex":1,"errorMessages":["a","b"]}]}`, action: actionAccept, rejected: []Rejection{rejected(1, "a b")}},
		"other spelling":       {status: 200, body: `{"errors":[{"recordIndex":1,"validationErrorMessages":["a"]}]}`, action: actionAccept, rejected: []Rejection{rejected(1, "a")}},
		"both spellings":       {status: 200, body: `{"errors":[{"recordIndex":1,"errorMessages":["a"],"validationErrorMessages":["a"]}]}`, action: actionAccept, rejected: []Rejection{rejected(1, "a")}},
		"two in both":          {status: 200, body: `{"errors":[{"recordIndex":1,"errorMessages":["b","a"],"validationErrorMessages":["b","a"]}]}`, action: actionAccept, rejected: []Rejection{rejected(1, "a b")}},
		"a text for a list":    {status: 200, body: `{"errors":[{"recordIndex":1,"errorMessages":"a"}]}`, action: actionAccept, rejected: []Rejection{rejected(1, "a")}},
		"no messages":          {status: 200, body: `{"errors":[{"recordIndex":1,"errorMessages":null}]}`, action: actionAccept, rejected: []Rejection{rejected(1, silent)}},
		"odd messages":         {status: 200, body: `{"errors":[{"recordIndex":1,"errorMessages":[1,null,{},"a"]}]}`, action: actionAccept, rejected: []Rejection{rejected(1, "a")}},
		"index as text":        {status: 200, body: `{"errors":[{"recordIndex":"1","errorMessages":["a"]}]}`, action: actionAccept, rejected: []Rejection{rejected(1, "a")}},
		"index repeated":       {status: 200, body: `{"errors":[{"recordIndex":2,"errorMessages":["a"]},{"recordIndex":0,"errorMessages":["c"]},{"recordIndex":2,"errorMessages":["b"]}]}`, action: actionAccept, rejected: []Rejection{rejected(0, "c"), rejected(2, "a b")}},
		"index too high":       {status: 200, body: `{"errors":[{"recordIndex":3,"errorMessages":["a"]}]}`, action: actionBisect, text: "a"},
		"index negative":       {status: 200, body: `{"errors":[{"recordIndex":-1,"errorMessages":["a"]}]}`, action: actionBisect},
		"index missing":        {status: 200, body: `{"errors":[{"errorMessages":["a"]}]}`, action: actionBisect},
		"index null":           {status: 200, body: `{"errors":[{"recordIndex":null}]}`, action: actionBisect},
		"index huge":           {status: 200, body: `{"errors":[{"recordIndex":99999999999999999999}]}`, action: actionBisect},
		"index broken":         {status: 200, body: `{"errors":[{"recordIndex":1.5}]}`, action: actionBisect},
		"entry is a text":      {status: 200, body: `{"errors":["odd"]}`, action: actionBisect, text: "odd"},
		"errors is a text":     {status: 200, body: `{"errors":"odd"}`, action: actionBisect},
		"clear and unclear":    {status: 200, body: `{"errors":[{"recordIndex":0,"errorMessages":["a"]},{}]}`, action: actionBisect, rejected: []Rejection{rejected(0, "a")}},
		"unclear about one":    {status: 200, body: `{"errors":[{"recordIndex":7}]}`, n: 1, action: actionAccept},
		"all rejected":         {status: 400, body: `{"errors":[{"recordIndex":0,"errorMessages":["a"]},{"recordIndex":1},{"recordIndex":2}]}`, action: actionBisect, rejected: []Rejection{rejected(0, "a"), rejected(1, silent), rejected(2, silent)}},
		"some rejected by 400": {status: 400, body: `{"errors":[{"recordIndex":2,"errorMessages":["a"]}]}`, action: actionBisect, rejected: []Rejection{rejected(2, "a")}},
		"400 unclear":          {status: 400, body: `{"errors":[{"recordIndex":9,"errorMessages":["a"]}]}`, action: actionBisect, text: "a"},
		"400 unclear, one":     {status: 400, body: `{"errors":[{"recordIndex":9,"errorMessages":["a"]}]}`, n: 1, action: actionBisect, rejected: []Rejection{rejected(0, "a")}},
		"400 envelope":         {status: 400, body: `{"error":{"code":"BadRequest","message":"stixobjects is required."}}`, action: actionBisect, text: "stixobjects is required."},
		"400 gateway":          {status: 400, body: `{"statusCode":400,"message":"Bad\r\nRequest"}`, action: actionBisect, text: "Bad Request"},
		"400 text":             {status: 400, body: `{"error":"invalid"}`, action: actionBisect, text: "invalid"},
		"400 code alone":       {status: 400, body: `{"error":{"code":"BadRequest"}}`, action: actionBisect, text: "BadRequest"},
		"400 page":             {status: 400, body: `<html><script>`, action: actionBisect, text: "HTTP status 400"},
		"400 empty":            {status: 400, action: actionBisect, text: "HTTP status 400"},
		"413":                  {status: 413, body: `{"statusCode":413,"message":"too large"}`, action: actionBisect, text: "too large"},
		"422":                  {status: 422, action: actionBisect},
		"workspace":            {status: 400, body: `{"error":{"code":"BadRequest","message":"Workspace Id must be a valid GUID."}}`, action: actionFail},
		"version":              {status: 400, body: `{"error":{"code":"BadRequest","message":"The api-version is missing."}}`, action: actionFail},
		"source":               {status: 400, body: `{"error":{"code":"BadRequest","message":"sourcesystem is reserved."}}`, action: actionFail},
		"401":                  {status: 401, body: `{"statusCode":401,"message":"Unauthorized."}`, action: actionRenewToken, text: "Unauthorized."},
		"403":                  {status: 403, action: actionAwaitRole},
		"404":                  {status: 404, body: `{"statusCode":404,"message":"Resource not found"}`, action: actionFail},
		"405":                  {status: 405, action: actionFail},
		"407":                  {status: 407, action: actionFail},
		"408":                  {status: 408, action: actionRetry},
		"409":                  {status: 409, action: actionRetry},
		"302":                  {status: 302, action: actionRetry},
		"500":                  {status: 500, body: `{"statusCode":500,"message":"Internal server error","activityId":"x"}`, action: actionRetry, text: "Internal server error"},
		"503 with time":        {status: 503, header: "Retry-After: 120", action: actionRetry, wait: 2 * time.Minute},
		"503 page":             {status: 503, body: "<html>", action: actionRetry},
		"429 header":           {status: 429, header: "Retry-After: 37", body: `{"message":"Try again in 5 seconds."}`, action: actionThrottle, wait: 38 * time.Second},
		"429 date":             {status: 429, header: "Retry-After: Fri, 02 Jan 2026 03:04:25 GMT", action: actionThrottle, wait: 21 * time.Second},
		"429 server's clock":   {status: 429, header: "Retry-After: Thu, 01 Jan 2026 00:00:10 GMT|Date: Thu, 01 Jan 2026 00:00:00 GMT", action: actionThrottle, wait: 11 * time.Second},
		"429 past date":        {status: 429, header: "Retry-After: Fri, 02 Jan 2015 03:04:25 GMT", action: actionThrottle, wait: time.Second},
		"429 message":          {status: 429, body: `{"statusCode":429,"message":"Rate limit is exceeded. Try again in 37 seconds."}`, action: actionThrottle, wait: 38 * time.Second},
		"429 other text":       {status: 429, body: "please TRY AGAIN IN 7 SECONDS", action: actionThrottle, wait: 8 * time.Second},
		"429 one second":       {status: 429, body: "Try again in 1 second.", action: actionThrottle, wait: 2 * time.Second},
		"429 page":             {status: 429, body: "<html>busy</html>", action: actionThrottle, wait: 61 * time.Second},
		"429 empty":            {status: 429, action: actionThrottle, wait: 61 * time.Second},
		"429 header odd":       {status: 429, header: "Retry-After: soon", action: actionThrottle, wait: 61 * time.Second},
		"429 negative":         {status: 429, header: "Retry-After: -5", action: actionThrottle, wait: time.Second},
		"429 for a day":        {status: 429, header: "Retry-After: 86400", action: actionThrottle, wait: time.Hour + time.Second},
		"429 for ever":         {status: 429, header: "Retry-After: 9223372037", action: actionThrottle, wait: time.Hour + time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			header := http.Header{}
			for _, line := range strings.Split(tt.header, "|") {
				if key, value, ok := strings.Cut(line, ": "); ok {
					header.Set(key, value)
				}
			}
			if tt.n == 0 {
				tt.n = 3
			}
			got := decide(tt.status, header, []byte(tt.body), tt.n, now)
			if got.action != tt.action || !reflect.DeepEqual(got.rejected, tt.rejected) || got.wait != tt.wait {
				t.Fatalf("got %+v", got)
			}
			if !strings.Contains(got.text, tt.text) || strings.ContainsAny(got.text, "<\r\n") {
				t.Fatalf("says %q, want %q", got.text, tt.text)
			}
			if (got.action == actionFail) != (got.config != nil) || got.config != nil && got.config.Remedy == "" {
				t.Fatalf("a failure needs a remedy: %+v", got.config)
			}
		})
	}
}

// Whatever a server writes, no decision names a record that was not sent, or names one twice.
func TestDecideOnAnything(t *testing.T) {
	scalar := rapid.SampledFrom([]string{"null", "1", `"2"`, "-1", "99", "1e3", `""`, `"x"`, "{}", "[]", "true", `["a",1]`, `{"message":"m"}`})
	rapid.Check(t, func(t *rapid.T) {
		var entries []string
		for range rapid.IntRange(0, 4).Draw(t, "entries") {
			entries = append(entries, fmt.Sprintf(`{"recordIndex":%s,"errorMessages":%s,"validationErrorMessages":%s}`,
				scalar.Draw(t, "index"), scalar.Draw(t, "messages"), scalar.Draw(t, "more")))
		}
		body := fmt.Sprintf(`{"errors":[%s],"error":%s,"message":%s}`, strings.Join(entries, ","), scalar.Draw(t, "error"), scalar.Draw(t, "message"))
		body = body[:rapid.IntRange(0, len(body)).Draw(t, "cut")] + rapid.SampledFrom([]string{"", body}).Draw(t, "more")
		status, n := rapid.IntRange(100, 599).Draw(t, "status"), rapid.IntRange(1, 3).Draw(t, "n")
		d := decide(status, http.Header{}, []byte(body), n, time.Now())
		seen := map[int]bool{}
		for _, r := range d.rejected {
			if r.Index < 0 || r.Index >= n || seen[r.Index] || r.Message == "" || len(r.Message) > maxMessage {
				t.Fatalf("%d %s: %+v", status, body, d)
			}
			seen[r.Index] = true
		}
		if d.action == actionAccept && (status < 200 || status > 299) {
			t.Fatalf("%d was taken for a success", status)
		}
	})
}

func TestTextsAreBounded(t *testing.T) {
	long := strings.Repeat("ä", 5000)
	d := decide(200, http.Header{}, []byte(`{"errors":[{"recordIndex":0,"errorMessages":["`+long+`"]}]}`), 2, time.Now())
	if m := d.rejected[0].Message; len(m) > maxMessage || !strings.HasSuffix(m, "ä…") {
		t.Fatalf("%d bytes, ends in %q", len(m), m[len(m)-8:])
	}
	if d := decide(500, http.Header{}, []byte(`{"message":"`+long+`"}`), 2, time.Now()); len(d.text) > maxLine {
		t.Fatalf("%d bytes", len(d.text))
	}
}
