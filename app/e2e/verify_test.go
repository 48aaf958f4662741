package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"mssentinel/app/expected"
	"mssentinel/app/standin/sentinelserver"
	"mssentinel/app/standin/tcplatform"
	"mssentinel/app/standin/tcserver"
)

// uploadAside has somebody else upload an object under the App's source name, by the App's own registration.
func (w *world) uploadAside(object any) {
	w.t.Helper()
	var token struct {
		Token string `json:"access_token"`
	}
	form := "grant_type=client_credentials&scope=https%3A%2F%2Fmanagement.azure.com%2F.default&client_id=" + clientID + "&client_secret=" + clientSecret
	w.ask(w.env["authority_url"]+"/"+tenantID+"/oauth2/v2.0/token", "application/x-www-form-urlencoded", "", []byte(form), &token)
	body, err := json.Marshal(map[string]any{"sourcesystem": source, "stixobjects": []any{object}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.ask(w.env["authority_url"]+"/workspaces/"+workspaceID+"/threat-intelligence-stix-objects:upload?api-version=2024-02-01-preview", "application/json", token.Token, body, nil)
}

// ask sends a request to the cloud's stand-in as a program other than the App.
func (w *world) ask(address, kind, token string, body []byte, into any) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", kind)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || strings.Contains(string(answer), `"errors":[{`) {
		w.t.Fatalf("%s: %d %s %v", address, resp.StatusCode, answer, err)
	}
	if into != nil {
		if err := json.Unmarshal(answer, into); err != nil {
			w.t.Fatal(err)
		}
	}
}

// An operator verifies what stands in the workspace: first without the right to read, which the page says; then a leftover is found,
// retired, and gone.
func TestVerifyInABrowser(t *testing.T) {
	few := tcserver.Generate(300, 7, time.Now().Add(-time.Hour))
	w := newWorld(t, few, sentinelserver.Options{Limit: sentinelserver.Unlimited})
	p, s := w.onPlatform(tcplatform.Options{}, tcplatform.ServiceOptions{Path: "ms_sentinel"})
	a := w.turnOn(s)
	a.save(overlapping(few))
	a.first().mustComplete(t)
	leftover := "[domain-name:value = 'left-over.example']"
	id := expected.ID(leftover)
	now := time.Now().UTC().Truncate(time.Second)
	w.uploadAside(map[string]any{"type": "indicator", "spec_version": "2.1", "id": id, "created": now, "modified": now, "name": "left-over.example | Nobody",
		"pattern": leftover, "pattern_type": "stix", "valid_from": now.Add(-time.Hour), "valid_until": now.Add(24 * time.Hour)})

	w.cloud.SetReadRight(clientID, false)
	b := openBrowser(t, s.URL(), p.URL()+"/services")
	b.visit(s.URL() + "/ui/jobs")
	b.click("#verify")
	b.see("h1", "Verify")
	b.see("pre", "ThreatIntelIndicators")
	b.click("#sample")
	b.click("dialog button[type='submit']")
	b.see("#live .notice.warning", "Log Analytics Reader")

	w.cloud.SetReadRight(clientID, true)
	b.click("#all")
	b.click("dialog button[type='submit']")
	b.see("#unexpected", "Unexpected: 1")
	b.see("#unexpected-table", id)
	b.count("#missing, #expired, #other_content", 0)
	b.click("#retire")
	b.see("dialog", "Retire 1 object")
	b.click("dialog button[type='submit']")
	b.see("h1", "Job Details")
	b.see("#live .status", "Upload Complete")
	if !retired(w.cloud.Objects(source)[id]) {
		t.Errorf("the leftover is %s", w.cloud.Objects(source)[id])
	}
	b.visit(s.URL() + "/ui/verify")
	b.see("#live ul", "1 object is retired.")
	b.click("#all")
	b.click("dialog button[type='submit']")
	b.see("#live .facts", "Count Different0")
	b.click(".crumbs a")
	b.see("#verified", "Last verified")
}

func retired(raw json.RawMessage) bool {
	var o struct {
		ValidUntil time.Time `json:"valid_until"`
	}
	return json.Unmarshal(raw, &o) == nil && !o.ValidUntil.After(time.Now())
}
