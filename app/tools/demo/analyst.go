package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"mssentinel/app/standin/sentinelserver"
)

const callLimit = 30 * time.Second

// callRoute is what a script of the analyst's would send to the Service, through ThreatConnect's front.
func callRoute(ctx context.Context, method, url string, body, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	var payload io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		payload = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, url, payload)
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Requested-With", "demo")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode >= 300:
		return fmt.Errorf("%s %s: %s %s", method, url, resp.Status, text)
	}
	return json.Unmarshal(text, answer)
}

type query struct {
	Owners        []string `json:"owners"`
	Types         []string `json:"types"`
	TQL           string   `json:"tql"`
	SortField     string   `json:"sort_field"`
	SortDirection string   `json:"sort_direction"`
}

// saveQueries sets up three queries, unless there are some already.
func saveQueries(ctx context.Context, service string) error {
	var saved struct {
		Count   int    `json:"count"`
		Version string `json:"version"`
	}
	if err := callRoute(ctx, http.MethodGet, service+"/api/tql-config", nil, &saved); err != nil {
		return err
	}
	if saved.Count > 0 {
		return nil
	}
	var known struct {
		Owners []string `json:"owners"`
		Types  []string `json:"types"`
	}
	if err := callRoute(ctx, http.MethodGet, service+"/api/tc_info", nil, &known); err != nil {
		return err
	}
	if len(known.Owners) == 0 {
		return errors.New("the population has no owner: use a file with indicators in it")
	}
	list := []query{
		{known.Owners[:1], known.Types, "rating >= 3", "threatAssessScore", "DESC"},
		{known.Owners, []string{"Address", "CIDR", "Host", "URL"}, "confidence >= 50", "lastModified", "DESC"},
		{known.Owners, known.Types, "rating >= 1 or confidence >= 20", "", ""},
	}
	return callRoute(ctx, http.MethodPost, service+"/api/tql-config?reset=false&version="+saved.Version, list, &saved)
}

type job struct {
	RequestID  string `json:"request_id"`
	Mode       string `json:"mode"`
	Status     string `json:"status"`
	Message    string `json:"message"`
	Downloaded int    `json:"count_downloaded"`
	Uploaded   int    `json:"count_uploaded"`
	Invalid    int    `json:"count_invalid"`
}

// followJobs tells on the terminal when the newest job changes its status, until ctx ends.
func followJobs(ctx context.Context, service string, cloud *sentinelserver.Server) error {
	var before job
	for tick := time.NewTicker(time.Second); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return nil
		case <-tick.C:
		}
		var jobs struct{ Data []job }
		if err := callRoute(ctx, http.MethodGet, service+"/api/job/request?limit=1", nil, &jobs); err != nil || len(jobs.Data) == 0 {
			continue // the Service may be off, or its list empty
		}
		now := jobs.Data[0]
		if now.RequestID != before.RequestID || now.Status != before.Status {
			fmt.Printf("  %s  %s update: %s (%d indicators read, %d not usable, %d objects sent; Sentinel holds %d) %s\n",
				time.Now().Format(time.TimeOnly), now.Mode, now.Status, now.Downloaded, now.Invalid, now.Uploaded, cloud.Stats().Live, now.Message)
		}
		before = now
	}
}
