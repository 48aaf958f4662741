package sentinel

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// roleBody is how a missing role was seen to be told.
const roleBody = `{"error":{"code":"UnauthorizedAccess","message":"The Object ID [..] does not have required permission to perform this action on the workspace [..].","details":[],"target":null,"additionalInfo":null}}`

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
		"blank":                {status: 200, body: " \r\n", action: actionRetry, text: "200"},
		"empty object":         {status: 200, body: "{}", action: actionAccept},
		"null":                 {status: 200, body: "null", action: actionAccept},
		"errors null":          {status: 200, body: `{"errors":null}`, action: actionAccept},
		"no errors":            {status: 200, body: `{"errors":[]}`, action: actionAccept},
		"something else":       {status: 200, body: `{"message":"ok","statusCode":200}`, action: actionRetry, text: "ok"},
		"error with 200":       {status: 200, body: `{"error":{"code":"ServiceBusy","message":"busy"}}`, action: actionRetry, text: "busy"},
		"error null":           {status: 200, body: `{"error":null}`, action: actionRetry},
		"error empty":          {status: 200, body: `{"error":{}}`, action: actionRetry},
		"no content":           {status: 204, action: actionAccept},
		"accepted":             {status: 202, body: `[]`, action: actionRetry},
		"a page":               {status: 200, body: "<html>log in</html>", action: actionRetry, text: `the web page "log in" (HTTP status 200)`},
		"cut off":              {status: 200, body: `{"errors":[{"recordIn`, action: actionRetry},
		"one rejected":         {status: 200, body: `{"errors":[{"recordIndex":1,"errorMessages":["a","b"]}]}`, action: actionAccept, rejected: []Rejection{rejected(1, "a b")}},
		"other spelling":       {status: 200, body: `{"errors":[{"recordIndex":1,"validationErrorMessages":["a"]}]}`, action: actionAccept, rejected: []Rejection{rejected(1, "a")}},
		"both spellings":       {status: 200, body: `{"errors":[{"recordIndex":1,"errorMessages":["a"],"validationErrorMessages":["a"]}]}`, action: actionAccept, rejected: []Rejection{rejected(1, "a")}},
		"two in both":          {status: 200, body: `{"errors":[{"recordIndex":1,"errorMessages":["b","a"],"validationErrorMessages":["b","a"]}]}`, action: actionAccept, rejected: []Rejection{rejected(1, "a b")}},
		"a text for a list":    {status: 200, body: `{"errors":[{"recordIndex":1,"errorMessages":"a"}]}`, action: actionAccept, rejected: []Rejection{rejected(1, "a")}},
		"no messages":          {status: 200, body: `{"errors":[{"recordIndex":1,"errorMessages":null}]}`, action: actionAccept, rejected: []Rejection{rejected(1, silent)}},
		"odd messages":         {status: 200, body: `{"errors":[{"recordIndex":1,"errorMessages":[1,null,{},"","a"]}]}`, action: actionAccept, rejected: []Rejection{rejected(1, "a")}},
		"index as text":        {status: 200, body: `{"errors":[{"recordIndex":"1","errorMessages":["a"]}]}`, action: actionAccept, rejected: []Rejection{rejected(1, "a")}},
		"index repeated":       {status: 200, body: `{"errors":[{"recordIndex":2,"errorMessages":["a"]},{"recordIndex":0,"errorMessages":["c"]},{"recordIndex":2,"errorMessages":["b"]}]}`, action: actionAccept, rejected: []Rejection{rejected(0, "c"), rejected(2, "a b")}},
		"index too high":       {status: 200, body: `{"errors":[{"recordIndex":3,"errorMessages":["a"]}]}`, action: actionBisect, text: "a"},
		"index negative":       {status: 200, body: `{"errors":[{"recordIndex":-1,"errorMessages":["a"]}]}`, action: actionBisect},
		"index missing":        {status: 200, body: `{"errors":[{"errorMessages":["a"]}]}`, action: actionBisect},
		"index null":           {status: 200, body: `{"errors":[{"recordIndex":null}]}`, action: actionBisect},
		"index huge":           {status: 200, body: `{"errors":[{"recordIndex":99999999999999999999}]}`, action: actionBisect},
		"index broken":         {status: 200, body: `{"errors":[{"recordIndex":1.5}]}`, action: actionBisect},
		"entry is a text":      {status: 200, body: `{"errors":["odd"]}`, action: actionRetry, text: "odd"},
		"errors is a text":     {status: 200, body: `{"errors":"odd"}`, action: actionRetry, text: "odd"},
		"clear and unclear":    {status: 200, body: `{"errors":[{"recordIndex":0,"errorMessages":["a"]},{}]}`, action: actionBisect, rejected: []Rejection{rejected(0, "a")}},
		"unclear about two":    {status: 200, body: `{"errors":[{"recordIndex":7,"errorMessages":["a"]}]}`, n: 2, action: actionBisect, text: "a"},
		"unclear about one":    {status: 200, body: `{"errors":[{"recordIndex":7,"errorMessages":["a"]}]}`, n: 1, action: actionAccept, rejected: []Rejection{rejected(0, "Sentinel names a record that was not sent: a")}},
		"all rejected":         {status: 400, body: `{"errors":[{"recordIndex":0,"errorMessages":["a"]},{"recordIndex":1},{"recordIndex":2}]}`, action: actionBisect, rejected: []Rejection{rejected(0, "a"), rejected(1, silent), rejected(2, silent)}},
		"some rejected by 400": {status: 400, body: `{"errors":[{"recordIndex":2,"errorMessages":["a"]}]}`, action: actionBisect, rejected: []Rejection{rejected(2, "a")}},
		"one record, by 400":   {status: 400, body: `{"errors":[{"recordIndex":2,"errorMessages":["Bad workspace id."]}]}`, action: actionBisect, rejected: []Rejection{rejected(2, "Bad workspace id.")}},
		"400 unclear":          {status: 400, body: `{"errors":[{"recordIndex":9,"errorMessages":["a"]}]}`, action: actionBisect, text: "a"},
		"400 unclear, one":     {status: 400, body: `{"errors":[{"recordIndex":9,"errorMessages":["a"]}]}`, n: 1, action: actionBisect, rejected: []Rejection{rejected(0, "a")}},
		"400 envelope":         {status: 400, body: `{"error":{"code":"BadRequest","message":"stixobjects is required."}}`, action: actionBisect, text: "stixobjects is required."},
		"400 gateway":          {status: 400, body: `{"statusCode":400,"message":"Bad\r\nRequest"}`, action: actionBisect, text: "Bad Request"},
		"400 text":             {status: 400, body: `{"error":"invalid"}`, action: actionBisect, text: "invalid"},
		"400 code alone":       {status: 400, body: `{"error":{"code":"BadRequest"}}`, action: actionBisect, text: "BadRequest"},
		"400 page":             {status: 400, body: `<html><script>`, action: actionProbe, text: "HTTP status 400"},
		"400 no page":          {status: 400, header: "Content-Type: text/html", body: " ", action: actionBisect, text: "HTTP status 400"},
		"400 page by header":   {status: 400, header: "Content-Type: text/html; charset=utf-8", body: "x", action: actionProbe, text: `the web page "x"`},
		"400 JSON for a page":  {status: 400, header: "Content-Type: text/html", body: `{"error":"invalid"}`, action: actionBisect, text: "invalid"},
		"400 page of a title":  {status: 400, body: "<title>odd</title>", action: actionProbe, text: `the web page "odd"`},
		"400 xml with a title": {status: 400, body: `<?xml version="1.0"?><title>odd</title>`, action: actionBisect, text: "odd"},
		"400 empty":            {status: 400, action: actionBisect, text: "HTTP status 400"},
		"413":                  {status: 413, body: `{"statusCode":413,"message":"too large"}`, action: actionBisect, text: "too large"},
		"422":                  {status: 422, action: actionBisect},
		"workspace":            {status: 400, body: `{"error":{"code":"BadRequest","message":"Workspace Id must be a valid GUID."}}`, action: actionFail},
		"version":              {status: 400, body: `{"error":{"code":"BadRequest","message":"The api-version is missing."}}`, action: actionFail},
		"source":               {status: 400, body: `{"error":{"code":"BadRequest","message":"sourcesystem is reserved."}}`, action: actionFail},
		"401":                  {status: 401, body: `{"statusCode":401,"message":"Unauthorized."}`, action: actionRenewToken, text: "Unauthorized."},
		"403":                  {status: 403, body: `{"error":{"code":"Forbidden","message":"no"}}`, action: actionAwaitRole, text: "no"},
		"404":                  {status: 404, body: `{"statusCode":404,"message":"Resource not found"}`, action: actionFail},
		"405":                  {status: 405, body: `{"statusCode":405,"message":"no"}`, action: actionFail},
		"407":                  {status: 407, action: actionRetry},
		"408":                  {status: 408, action: actionRetry},
		"409":                  {status: 409, action: actionRetry},
		"302":                  {status: 302, action: actionRetry},
		"500":                  {status: 500, body: `{"statusCode":500,"message":"Internal server error","activityId":"x"}`, action: actionRetry, text: "Internal server error"},
		"503 with time":        {status: 503, header: "Retry-After: 120", action: actionRetry, wait: 2 * time.Minute},
		"503 page":             {status: 503, body: "<html>", action: actionRetry},
		"429 header":           {status: 429, header: "Retry-After: 37", body: `{"message":"Try again in 5 seconds."}`, action: actionThrottle, wait: 37 * time.Second},
		"429 date":             {status: 429, header: "Retry-After: Fri, 02 Jan 2026 03:04:25 GMT", action: actionThrottle, wait: 20 * time.Second},
		"429 server's clock":   {status: 429, header: "Retry-After: Thu, 01 Jan 2026 00:00:10 GMT|Date: Thu, 01 Jan 2026 00:00:00 GMT", action: actionThrottle, wait: 10 * time.Second},
		"429 past date":        {status: 429, header: "Retry-After: Fri, 02 Jan 2015 03:04:25 GMT", action: actionThrottle, wait: time.Second},
		"429 message":          {status: 429, body: `{"statusCode":429,"message":"Rate limit is exceeded. Try again in 37 seconds."}`, action: actionThrottle, wait: 37 * time.Second},
		"429 other text":       {status: 429, body: "please TRY AGAIN IN 7 SECONDS", action: actionThrottle, wait: 7 * time.Second},
		"429 one second":       {status: 429, body: "Try again in 1 second.", action: actionThrottle, wait: time.Second},
		"429 page":             {status: 429, body: "<html>busy</html>", action: actionThrottle, wait: time.Minute},
		"429 empty":            {status: 429, action: actionThrottle, wait: time.Minute},
		"429 header odd":       {status: 429, header: "Retry-After: soon", action: actionThrottle, wait: time.Minute},
		"429 nothing":          {status: 429, header: "Retry-After: 0", action: actionThrottle, wait: time.Second},
		"429 negative":         {status: 429, header: "Retry-After: -5", action: actionThrottle, wait: time.Second},
		"429 for a day":        {status: 429, header: "Retry-After: 86400", action: actionThrottle, wait: time.Hour},
		"429 for ever":         {status: 429, header: "Retry-After: 9223372037", action: actionThrottle, wait: time.Hour},
		"list, yet a message":  {status: 200, body: `{"errors":[],"message":"blocked"}`, action: actionRetry, text: "blocked"},
		"list, yet a status":   {status: 200, body: `{"errors":null,"statusCode":"503"}`, action: actionRetry},
		"list, yet a refusal":  {status: 200, body: `{"errors":[],"status":400}`, action: actionBisect, text: "400"},
		"list, yet refused":    {status: 200, body: `{"errors":[],"status":400}`, n: 1, action: actionBisect, text: "400"},
		"list, yet no success": {status: 200, body: `{"success":false,"errors":[],"messages":[],"result":null}`, action: actionRetry},
		"list, yet blocked":    {status: 200, body: `{"errors":[],"status":"blocked"}`, action: actionRetry},
		"list, and more":       {status: 200, body: `{"errors":[],"status":200,"activityId":"x"}`, action: actionAccept},
		"list of a stranger":   {status: 200, body: `{"errors":[{"code":9109,"message":"Invalid access token"}]}`, n: 1, action: actionRetry, text: "Invalid access token"},
		"list of nothing":      {status: 200, body: `{"errors":[{}]}`, n: 1, action: actionRetry},
		"throttled by 200":     {status: 200, body: `{"statusCode":429,"message":"Rate limit is exceeded. Try again in 2 seconds."}`, action: actionThrottle, wait: 2 * time.Second},
		"problem by 200":       {status: 200, header: "Retry-After: 7", body: `{"title":"Too Many Requests","status":429}`, action: actionThrottle, wait: 7 * time.Second},
		"throttled by code":    {status: 200, body: `{"error":{"code":429,"message":"slow down","status":"RESOURCE_EXHAUSTED"}}`, action: actionThrottle, wait: time.Minute},
		"out of order by 200":  {status: 200, body: `{"statusCode":503,"message":"busy"}`, action: actionRetry, text: "busy"},
		"rejected by 200":      {status: 200, body: `{"statusCode":400,"message":"no"}`, action: actionBisect, text: "no"},
		"expired by 200":       {status: 200, body: `{"statusCode":401,"message":"no"}`, action: actionRenewToken},
		"blocked":              {status: 200, body: `{"status":"blocked","message":"by policy"}`, action: actionRetry, text: "by policy"},
		"no success":           {status: 200, body: `{"success":false}`, action: actionRetry, text: "success"},
		"a text":               {status: 200, body: `"text"`, action: actionRetry},
		"a number":             {status: 200, body: `0`, action: actionRetry},
		"true":                 {status: 200, body: `true`, action: actionRetry},
		"a mark alone":         {status: 200, body: "\uFEFF", action: actionRetry},
		"a mark, empty":        {status: 200, body: "\uFEFF{}", action: actionAccept},
		"a mark, rejected":     {status: 200, body: "\uFEFF" + `{"errors":[{"recordIndex":1,"errorMessages":["a"]}]}`, action: actionAccept, rejected: []Rejection{rejected(1, "a")}},
		"as long as may be":    {status: 200, body: "{}" + strings.Repeat(" ", maxAnswer-len("{}")), action: actionAccept},
		"without an end":       {status: 200, body: "{}" + strings.Repeat(" ", maxAnswer), action: actionRetry, text: "without an end"},
		"page without an end":  {status: 200, body: "<html>" + strings.Repeat("x", maxAnswer), action: actionRetry},

		"role as 400":         {status: 400, body: roleBody, action: actionAwaitRole, text: "does not have required permission"},
		"role as 401":         {status: 401, body: roleBody, action: actionAwaitRole},
		"role as 403":         {status: 403, body: roleBody, action: actionAwaitRole},
		"role as 404":         {status: 404, body: roleBody, action: actionAwaitRole},
		"role as 200":         {status: 200, body: roleBody, action: actionAwaitRole},
		"role by header":      {status: 400, header: "x-ms-error-code: UnauthorizedAccess", action: actionAwaitRole},
		"role by code":        {status: 400, body: `{"code":"AuthorizationFailed","message":"no"}`, action: actionAwaitRole},
		"role by words":       {status: 404, body: `{"error":{"code":"X","message":"The Object ID [1] does not have required permission to"}}`, action: actionAwaitRole},
		"no role, but a name": {status: 400, body: `{"error":{"code":"BadRequest","message":"name is bad: The Object ID [1] does not have required permission"}}`, action: actionBisect},
		"role of a page, too": {status: 403, header: "x-ms-error-code: UnauthorizedAccess", body: `<html>`, action: actionProbe},
		"role of one record":  {status: 400, header: "x-ms-error-code: UnauthorizedAccess", body: `{"errors":[{"recordIndex":1,"errorMessages":["a"]}]}`, action: actionBisect, rejected: []Rejection{rejected(1, "a")}},
		"role of a page":      {status: 403, body: `<html>UnauthorizedAccess`, action: actionProbe},
		"audience":            {status: 401, action: actionRenewToken, text: "HTTP status 401 without a reason"},
		"401 page":            {status: 401, body: "<html>", action: actionRenewToken},
		"403 page":            {status: 403, body: "<html><title>Blocked &amp; logged</title>", action: actionProbe, text: `the web page "Blocked & logged" (HTTP status 403)`},
		"403 text":            {status: 403, body: "error code: 1020", action: actionProbe, text: "error code: 1020 (HTTP status 403)"},
		"403 xml":             {status: 403, body: "<Error><Code>AccessDenied</Code></Error>", action: actionProbe, text: "AccessDenied"},
		"403 empty":           {status: 403, action: actionProbe},
		"403 JSON":            {status: 403, body: `{"message":"Forbidden"}`, action: actionProbe, text: "Forbidden"},
		"406 page":            {status: 406, body: "<html>", action: actionProbe},
		"413 page":            {status: 413, body: "<html>", action: actionProbe},
		"404 page":            {status: 404, body: "<html>", action: actionRetry},
		"404 empty":           {status: 404, action: actionRetry},
		"404 JSON":            {status: 404, body: `{"message":"no Route matched"}`, action: actionRetry, text: "no Route matched"},
		"407 page":            {status: 407, body: "<html>", action: actionRetry},
		"405 page":            {status: 405, body: "<html>", action: actionRetry},
		"511 page":            {status: 511, body: "<html>", action: actionRetry},

		"problem":              {status: 400, body: `{"title":"One or more validation errors occurred.","status":400,"errors":{"stixobjects[1].pattern":["a","b"]}}`, action: actionBisect, rejected: []Rejection{rejected(1, "pattern: a pattern: b")}, text: "One or more validation errors occurred. stixobjects[1].pattern: a stixobjects[1].pattern: b"},
		"problem by path":      {status: 400, body: `{"errors":{"$.stixobjects[2]":["a"],"api":["b"]}}`, action: actionBisect, rejected: []Rejection{rejected(2, "a")}},
		"problem of none":      {status: 400, body: `{"title":"Bad Request","detail":"a","errors":{"stixobjects[9].id":["b"]}}`, action: actionBisect, text: "Bad Request a stixobjects[9].id: b"},
		"details":              {status: 400, body: `{"error":{"code":"BadRequest","message":"a","details":[{"target":"stixobjects/0/id","message":"b"},{"code":"c","message":"d"}]}}`, action: actionBisect, rejected: []Rejection{rejected(0, "id: b")}, text: "a stixobjects/0/id: b d"},
		"message by path":      {status: 400, body: `{"error":{"message":"Invalid stixobjects[1].name."}}`, action: actionBisect, rejected: []Rejection{rejected(1, "Invalid stixobjects[1].name.")}},
		"path in a value":      {status: 400, body: `{"error":{"message":"Error for Property=name: Required property is not valid. Actual value: stixobjects[1]."}}`, action: actionBisect},
		"inner error":          {status: 400, body: `{"error":{"code":"BadRequest","innererror":{"message":"deep"}}}`, action: actionBisect, text: "deep"},
		"plain text":           {status: 400, body: "Invalid\tpattern \u0001", action: actionBisect, text: "Invalid pattern"},
		"xml":                  {status: 400, body: `<?xml version="1.0"?><Error><Code>A</Code><!-- x --><Message>b &gt; c</Message></Error>`, action: actionBisect, text: "A b > c"},
		"xhtml":                {status: 400, body: `<?xml version="1.0"?><!DOCTYPE html><html><title>T</title>`, action: actionProbe, text: `"T"`},
		"unheard of":           {status: 400, body: `{"odd":{"why":"because"}}`, action: actionBisect, text: "because"},
		"500 of any form":      {status: 500, body: "upstream connect error", action: actionRetry, text: "upstream connect error"},
		"a mark, rejected all": {status: 400, body: "\uFEFF" + `{"errors":[{"recordIndex":1,"errorMessages":["a"]}]}`, action: actionBisect, rejected: []Rejection{rejected(1, "a")}},
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
			if (got.action == actionFail || got.action == actionAwaitRole || got.foreign) && got.action != actionThrottle &&
				got.action != actionBisect && got.fault.remedy == "" {
				t.Fatalf("an operator needs a remedy: %+v", got)
			}
		})
	}
}

// Each status with each form of a body, and what follows: Accept, Bisect, Probe, Throttle, Retry, reNew the token, Wait
// for the role, Fail.
func TestDecideOnEachStatusAndForm(t *testing.T) {
	actions := map[byte]action{'A': actionAccept, 'B': actionBisect, 'P': actionProbe, 'T': actionThrottle, 'R': actionRetry, 'N': actionRenewToken, 'W': actionAwaitRole, 'F': actionFail}
	statuses := []int{200, 302, 400, 401, 403, 404, 405, 406, 407, 409, 413, 422, 429, 451, 500, 502, 503, 511}
	for _, row := range []struct{ body, want string }{
		{``, "A R B N P R R P R R B B T R R R R R"},
		{`{}`, "A R B N P R R P R R B B T R R R R R"},
		{`{"errors":[{"recordIndex":9}]}`, "B R B N W F F F F R B B T F R R R R"},
		{`{"error":{"code":"Odd","message":"odd"}}`, "R R B N W F F F F R B B T F R R R R"},
		{`{"statusCode":500,"message":"odd"}`, "R R B N W F F F F R B B T F R R R R"},
		{roleBody, "W W W W W W W W W W W W W W W W W W"},
		{`<html><title>Odd</title>`, "R R P N P R R P R R P P T R R R R R"},
		{`odd`, "R R B N P R R P R R B B T R R R R R"},
		{`<Error><Message>odd</Message></Error>`, "R R B N P R R P R R B B T R R R R R"},
		{`{"status":"blocked","message":"odd"}`, "R R B N P R R P R R B B T R R R R R"},
		{`{"title":"Odd","status":403}`, "P R B N P R R P R R B B T R R R R R"},
		{`[]`, "R R B N P R R P R R B B T R R R R R"},
		{` `, "R R B N P R R P R R B B T R R R R R"},
	} {
		for i, letter := range strings.Fields(row.want) {
			if got := decide(statuses[i], http.Header{}, []byte(row.body), 3, time.Now()); got.action != actions[letter[0]] {
				t.Errorf("%d %s: got %+v, want %s", statuses[i], row.body, got, letter)
			}
		}
	}
}

// Who answers is told by the form; an answer without a word of its own, by the status as well. A stranger's word about what it answers
// is repeated with its status, within the bound.
func TestStrangersAreTold(t *testing.T) {
	long := strings.Repeat("o", 2*maxLine)
	for _, tt := range []struct {
		body          string
		foreign, ours []int
	}{
		{``, []int{302, 403, 404, 407, 499}, []int{400, 401, 413, 422, 500, 503}},
		{long, []int{200, 302, 400, 401, 403, 404, 499}, []int{500, 503}},
		{`<html>`, []int{200, 400, 401, 403, 499, 500, 503}, nil},
		{`{"error":{"code":"Odd","message":"odd"}}`, nil, []int{200, 400, 401, 403, 404, 500, 503}},
	} {
		for _, status := range append(tt.foreign, tt.ours...) {
			d := decide(status, http.Header{}, []byte(tt.body), 3, time.Now())
			if d.foreign != slices.Contains(tt.foreign, status) {
				t.Errorf("%d %.40s: foreign is %v", status, tt.body, d.foreign)
			}
			if len(d.text) > maxLine || d.foreign && tt.body == long && status != 400 && !strings.HasSuffix(d.text, fmt.Sprintf("o… (HTTP status %d)", status)) {
				t.Errorf("%d: says %q", status, d.text)
			}
		}
	}
}

// Nothing that is not in Sentinel's form is ever a success, and what is in its form always is.
func TestOnlySentinelsFormIsASuccess(t *testing.T) {
	record := rapid.SampledFrom([]string{``, `{"recordIndex":0,"errorMessages":["a"]}`, `{"recordIndex":1},{"recordIndex":2}`})
	failure := rapid.SampledFrom([]string{
		`"message":"m"`, `"Message":"m"`, `"title":"t"`, `"error":"e"`, `"error":{"code":"c"}`, `"error":true`, `"status":429`,
		`"statusCode":"500"`, `"status":"error"`, `"code":403`, `"success":false`, `"detail":"d"`, `"code":"Blocked"`,
	})
	entry := rapid.SampledFrom([]string{`"e"`, `1`, `null`, `{}`, `[]`, `{"message":"m"}`, `{"code":1,"message":"m"}`, `{"status":"429","title":"t"}`})
	blanks := rapid.SampledFrom([]string{"", " ", "\r\n", "\uFEFF", "\uFEFF\n"})
	foreign := rapid.OneOf(
		rapid.Custom(func(t *rapid.T) string {
			return fmt.Sprintf(`{"errors":[%s],%s}`, record.Draw(t, "record"), failure.Draw(t, "failure"))
		}),
		rapid.Custom(func(t *rapid.T) string { return fmt.Sprintf(`{%s}`, failure.Draw(t, "failure")) }),
		rapid.Custom(func(t *rapid.T) string { return fmt.Sprintf(`{"errors":[%s]}`, entry.Draw(t, "entry")) }),
		rapid.Custom(func(t *rapid.T) string { return fmt.Sprintf(`{"errors":%s}`, entry.Draw(t, "entry")) }).
			Filter(func(s string) bool { return s != `{"errors":null}` && s != `{"errors":[]}` }),
		rapid.SampledFrom([]string{`[]`, `"text"`, `1`, `true`, `{"ok":1}`, `{"errors"`, `{"errors":[]`, `<html>`, `<a/>`, `busy`, `{}{}`, `nul`, `-`, "\x00", "\xff"}),
	)
	rapid.Check(t, func(t *rapid.T) {
		status, n := rapid.IntRange(200, 299).Draw(t, "status"), rapid.IntRange(1, 3).Draw(t, "n")
		header := http.Header{"Content-Type": {rapid.SampledFrom([]string{"", "text/html", "application/json"}).Draw(t, "type")}}
		body := blanks.Draw(t, "before") + foreign.Draw(t, "body") + rapid.SampledFrom([]string{"", " ", "\n"}).Draw(t, "after")
		if d := decide(status, header, []byte(body), n, time.Now()); d.action == actionAccept || len(d.rejected) > 0 {
			t.Fatalf("%d %q: %+v", status, body, d)
		}
		own := rapid.SampledFrom([]string{"", "{}", "null", `{"errors":null}`, `{"errors":[]}`, `{"errors":[{"recordIndex":0}]}`, `{"errors":[],"more":1}`}).Draw(t, "own")
		if own != "" {
			own = blanks.Draw(t, "mark") + own
		}
		if d := decide(status, header, []byte(own), n, time.Now()); d.action != actionAccept {
			t.Fatalf("%d %q: %+v", status, own, d)
		}
	})
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

// A status that a body names is one of HTTP, wherever it stands; a failure goes before anything else, the first of them before others.
func TestStatusInABody(t *testing.T) {
	for body, want := range map[string]int{
		`{"statusCode":429}`:                            429,
		`{"status":"429"}`:                              429,
		`{"code":429}`:                                  429,
		`{"error":{"status":429}}`:                      429,
		`{"error":{"code":" 429 "}}`:                    429,
		`{"status":100}`:                                100,
		`{"status":99}`:                                 0,
		`{"status":599}`:                                599,
		`{"status":600}`:                                0,
		`{"status":7000215}`:                            0,
		`{"status":"busy"}`:                             0,
		`{"status":4e2}`:                                0,
		`{}`:                                            0,
		`{"statusCode":200,"status":429}`:               429,
		`{"statusCode":399,"code":400}`:                 400,
		`{"statusCode":400,"status":429}`:               400,
		`{"statusCode":429,"status":200}`:               429,
		`{"statusCode":99,"error":{"code":503}}`:        503,
		`{"statusCode":503,"error":{"code":"TooMany"}}`: 503,
	} {
		if got := parseAnswer(http.Header{}, []byte(body), 1).status; got != want {
			t.Errorf("%s names %d, want %d", body, got, want)
		}
	}
}

// Who wrote a body is told by what is in it.
func TestFormOfABody(t *testing.T) {
	for body, want := range map[string]form{
		``:                                                 formEmpty,
		`{}`:                                               formEmpty,
		`null`:                                             formEmpty,
		`{"errors":[]}`:                                    formRecords,
		`{"errors":null}`:                                  formRecords,
		`{"errors":[{"recordIndex":9}]}`:                   formRecords,
		`{"errors":[],"status":399}`:                       formRecords,
		`{"errors":[],"status":"Accepted"}`:                formRecords,
		`{"errors":[],"status":400}`:                       formOther,
		`{"errors":[],"message":"m"}`:                      formOther,
		`{"errors":[{"code":1}]}`:                          formOther,
		`{"errors":"m"}`:                                   formOther,
		`{"error":{"code":"c"}}`:                           formError,
		`{"error":{"message":"m"}}`:                        formError,
		`{"error":"m"}`:                                    formOther,
		`{"statusCode":429,"message":"m"}`:                 formError,
		`{"statusCode":"429","message":"m"}`:               formError,
		`{"statusCode":429}`:                               formOther,
		`{"statusCode":"busy","message":"m"}`:              formOther,
		`{"statusCode":0,"message":"m"}`:                   formOther,
		`{"status":429,"message":"m"}`:                     formOther,
		`{"message":"m"}`:                                  formOther,
		`{"errors":[{"recordIndex":0}],"message":"m"}`:     formError,
		`{"errors":[{"recordIndex":9}],"message":"m"}`:     formError,
		`{"errors":{"stixobjects[0].id":["m"]}}`:           formError,
		`{"errors":[],"message":"stixobjects[0] is bad."}`: formError,
		`{"errors":{"stixobjects[9].id":["m"]}}`:           formOther,
		`m`:                                                formOther,
		`<html>`:                                           formPage,
	} {
		if got := parseAnswer(http.Header{}, []byte(body), 1).form; got != want {
			t.Errorf("%s has form %d, want %d", body, got, want)
		}
	}
}

func TestRejectionsAreInOrder(t *testing.T) {
	const n = 50
	var entries []string
	for i := range n {
		entries = append(entries, fmt.Sprintf(`{"recordIndex":%d}`, n-1-i))
	}
	a := parseAnswer(http.Header{}, []byte(`{"errors":[`+strings.Join(entries, ",")+`]}`), n)
	if len(a.rejected) != n || !slices.IsSortedFunc(a.rejected, func(a, b Rejection) int { return a.Index - b.Index }) {
		t.Errorf("rejected %v", a.rejected)
	}
}

// Microsoft's support asks for the activity of a failure.
func TestSupportIsToldTheActivity(t *testing.T) {
	d := decide(500, http.Header{}, []byte(`{"statusCode":500,"message":"Internal server error","activityId":"1-2-3"}`), 1, time.Now())
	if d.activityID != "1-2-3" {
		t.Errorf("activity %q", d.activityID)
	}
}

// Of a page no more is looked through than its beginning.
func TestBeginningOfAPage(t *testing.T) {
	for what, want := range map[string]struct {
		body string
		form form
		text string
	}{
		"tag":                {strings.Repeat("x", pageHead-len("<html")) + "<html>", formPage, "xxxx"},
		"tag too far down":   {strings.Repeat("x", pageHead+1-len("<html")) + "<html>", formOther, "xxxx"},
		"title":              {"<html>" + strings.Repeat("x", pageText-len("<html><title>odd</title")) + "<title>odd</title>", formPage, "odd"},
		"title too far down": {"<html>" + strings.Repeat("x", pageText+1-len("<html><title>odd</title")) + "<title>odd</title>", formPage, "xxxx"},
	} {
		if a := parseAnswer(http.Header{}, []byte(want.body), 1); a.form != want.form || !strings.HasPrefix(a.text, want.text) {
			t.Errorf("%s: form %d, %.20q", what, a.form, a.text)
		}
	}
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
