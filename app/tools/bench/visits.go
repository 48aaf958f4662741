package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// visit is what it took to get a page again and again. Times are in milliseconds.
type visit struct {
	Name  string  `json:"name"`
	Bytes int     `json:"bytes"`
	P50   float64 `json:"p50_ms"`
	P99   float64 `json:"p99_ms"`
	Max   float64 `json:"max_ms"`
	Above string  `json:"above,omitempty"` // which bars it is above, in words
}

// measurePages asks for each page, and sees to it that a full update runs all the while.
func (s *screens) measurePages(ctx context.Context) (all []visit, err error) {
	if err := s.keepUpdating(ctx); err != nil {
		return nil, err
	}
	known, err := s.findSubjects(ctx)
	if err != nil {
		return nil, fmt.Errorf("finding what to ask for: %w", err)
	}
	for _, p := range pages {
		if s.only != "" && !strings.Contains(p.name, s.only) {
			continue
		}
		if err := s.keepUpdating(ctx); err != nil {
			return nil, err
		}
		v, err := s.measurePage(ctx, p, known)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		fmt.Fprintf(os.Stderr, "%s: p99 %.0f ms\n", v.Name, v.P99)
		all = append(all, v)
	}
	return all, nil
}

// measurePage has as many users as are set ask for a page, one after the other each.
func (s *screens) measurePage(ctx context.Context, p page, known map[string]string) (v visit, err error) {
	path := p.path
	for name, value := range known {
		path = strings.ReplaceAll(path, "{"+name+"}", url.QueryEscape(value))
	}
	path = strings.Replace(path, url.QueryEscape(known["static"]), known["static"], 1)
	var form url.Values
	if p.action != "" {
		if form, err = s.readForm(ctx, path, p.action); err != nil {
			return v, err
		}
	}
	took, failed := make([][]time.Duration, s.users), make([]error, s.users)
	sizes := make([]int, s.users)
	var users sync.WaitGroup
	for i := range s.users {
		users.Go(func() {
			for range (s.visits + s.users - 1) / s.users {
				began := time.Now()
				body, err := s.getPage(ctx, path, form)
				if err != nil {
					failed[i] = err
					return
				}
				took[i], sizes[i] = append(took[i], time.Since(began)), max(sizes[i], len(body))
				pause := time.NewTimer(s.pause)
				select {
				case <-pause.C:
				case <-ctx.Done():
				}
			}
		})
	}
	users.Wait()
	if err := errors.Join(failed...); err != nil {
		return v, err
	}
	return newVisit(p, slices.Concat(took...), slices.Max(sizes), s.bar), nil
}

func newVisit(p page, took []time.Duration, size int, bar time.Duration) visit {
	slices.Sort(took)
	millis := func(share float64) float64 {
		return float64(took[min(int(share*float64(len(took))), len(took)-1)].Microseconds()) / 1000
	}
	v := visit{Name: p.name, Bytes: size, P50: millis(0.50), P99: millis(0.99), Max: millis(1)}
	var above []string
	if v.P99 > float64(bar.Milliseconds()) {
		above = append(above, "p99")
	}
	if p.most > 0 && size > p.most {
		above = append(above, fmt.Sprintf("%d bytes", p.most))
	}
	v.Above = strings.Join(above, ", ")
	return v
}

// visitor follows no redirection: a page that leads on is not the one that was asked for.
var visitor = &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 64},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// getPage asks for a page through the front, by GET or, with a form, by POST.
func (s *screens) getPage(ctx context.Context, path string, form url.Values) ([]byte, error) {
	method, body := http.MethodGet, io.Reader(http.NoBody)
	if form != nil {
		method, body = http.MethodPost, strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(ctx, method, s.service.URL()+"/"+path, body)
	if err != nil {
		return nil, err
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := visitor.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s %.300s", method, path, resp.Status, text)
	}
	return text, err
}

var (
	hiddenField = regexp.MustCompile(`<input type="hidden" name="(\w+)" value="([^"]*)"`)
	deleteKey   = regexp.MustCompile(`value="delete:(\w+)"`)
	staticFile  = regexp.MustCompile(`(?:src|href)="\.\./(static/[^"]+)"`)
)

// readForm is what Edit mode sends when a button is pressed.
func (s *screens) readForm(ctx context.Context, path, action string) (url.Values, error) {
	text, err := s.getPage(ctx, path, nil)
	if err != nil {
		return nil, err
	}
	form := url.Values{"from": {"1"}, "to": {"2"}}
	for _, field := range hiddenField.FindAllSubmatch(text, -1) {
		form.Set(string(field[1]), html.UnescapeString(string(field[2])))
	}
	if key := deleteKey.FindSubmatch(text); action == "delete" && key != nil {
		action += ":" + string(key[1])
	}
	form.Set("action", action)
	return form, nil
}

// findSubjects finds what the pages are to be about, by the names that their paths have for them.
func (s *screens) findSubjects(ctx context.Context) (map[string]string, error) {
	var queries, jobs, problems struct {
		Total int `json:"total_count"`
		Data  []map[string]any
	}
	for path, into := range map[string]any{"tql-config": &queries, "job/request?limit=500": &jobs, "report/batch-error?limit=100&severity=errors": &problems} {
		if err := s.callRoute(ctx, http.MethodGet, "api/"+path, nil, into); err != nil {
			return nil, err
		}
	}
	if len(queries.Data) == 0 || len(jobs.Data) == 0 || len(problems.Data) == 0 {
		return nil, errors.New("there is no query, no job or no error")
	}
	known := map[string]string{"now": time.Now().UTC().Format(time.RFC3339), "query": fmt.Sprint(queries.Data[0]["id"]), "running": fmt.Sprint(jobs.Data[0]["request_id"]),
		"lastjobs": fmt.Sprint((jobs.Total - 1) / 20 * 20), "lasterrors": fmt.Sprint((problems.Total - 1) / 20 * 20), "halferrors": fmt.Sprint(problems.Total / 40 * 20)}
	for _, j := range jobs.Data {
		if j["mode"] == "full" && j["status"] == "Upload Complete" {
			known["job"] = fmt.Sprint(j["request_id"])
			break
		}
	}
	one := problems.Data[0]
	for name, member := range map[string]string{"step": "step", "code": "code", "type": "type", "owner": "owner", "problem": "id"} {
		known[name] = textOf(one[member])
	}
	if err := s.findIndicator(ctx, known); err != nil {
		return nil, err
	}
	text, err := s.getPage(ctx, "ui/edit", nil)
	if err != nil {
		return nil, err
	}
	var largest string
	size := 0
	for _, file := range staticFile.FindAllSubmatch(text, -1) {
		content, err := s.getPage(ctx, string(file[1]), nil)
		if err != nil {
			return nil, err
		}
		if len(content) > size {
			largest, size = string(file[1]), len(content)
		}
	}
	known["static"] = cmp.Or(largest, "static")
	return known, nil
}

// findIndicator finds a value that stands in Sentinel.
func (s *screens) findIndicator(ctx context.Context, known map[string]string) error {
	rows := s.tc.Rows()
	for _, row := range rows[len(rows)/2:] {
		if row.Type != "Address" || !row.Active {
			continue
		}
		id := strconv.FormatInt(row.ID, 10)
		var found struct{ Data []struct{ ID string } }
		if err := s.callRoute(ctx, http.MethodGet, "api/indicator?value="+id, nil, &found); err != nil {
			return err
		}
		if len(found.Data) > 0 {
			known["indicator"], known["object"], known["value"] = id, found.Data[0].ID, row.Summary()
			return nil
		}
	}
	return errors.New("nothing of the population stands in Sentinel")
}

// textOf writes a number of JSON without an exponent.
func textOf(value any) string {
	if n, isNumber := value.(float64); isNumber {
		return fmt.Sprintf("%.0f", n)
	}
	return fmt.Sprint(value)
}
