package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"mssentinel/app/standin/sentinelserver"
	"mssentinel/app/standin/tcplatform"
	"mssentinel/app/standin/tcserver"
)

// screens are the App behind the stand-in of the platform, with the state that its screens are measured in.
type screens struct {
	options
	tc      *tcserver.Server
	cloud   *sentinelserver.Endpoint
	service *tcplatform.Service
}

// moreOwners are owners without an indicator, as large instances have hundreds.
func moreOwners() (all []tcserver.Owner) {
	for i := range 500 {
		all = append(all, tcserver.Owner{ID: int64(1_000_000 + i), Name: fmt.Sprintf("Source %03d", i), Type: "Source"})
	}
	return all
}

// buildLimit bounds the building of the state, and each wait for an update.
const buildLimit = time.Hour

// measureScreens builds the state, unless the folder has it already, and measures the screens while a full update runs.
func measureScreens(ctx context.Context, o options) (r screenReport, err error) {
	population, err := readPopulation(o)
	if err != nil {
		return r, err
	}
	if o.state == "" {
		if o.state, err = os.MkdirTemp("", "bench"); err != nil {
			return r, err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(o.state)) }()
	}
	s := &screens{options: o, tc: tcserver.New(tcserver.Options{Population: population, MoreOwners: moreOwners()})}
	if s.cloud, err = newSentinel(o).Listen("127.0.0.1:0"); err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.cloud.Close()) }()
	if err := s.withService(ctx, 0, s.buildState); err != nil {
		return r, fmt.Errorf("building the state: %w", err)
	}
	if err := s.writeHistory(ctx); err != nil {
		return r, fmt.Errorf("writing old jobs, errors and days: %w", err)
	}
	err = s.withService(ctx, o.limit, func(ctx context.Context) error {
		if r.State, err = s.readState(ctx); err != nil {
			return err
		}
		if r.Pages, err = s.measurePages(ctx); err != nil || !s.browser {
			return err
		}
		if err := s.awaitUpdate(ctx); err != nil {
			return err
		}
		r.Interactions, err = s.measureInteractions(ctx)
		return err
	})
	return r, err
}

// withService runs the Service behind the front while it is used. limit is that of requests to Sentinel a minute, 0 for none.
func (s *screens) withService(ctx context.Context, limit int, use func(context.Context) error) (err error) {
	p, err := tcplatform.Start(tcplatform.Options{Dir: filepath.Join(s.state, "platform"), API: s.tc, Environ: cloudVariables(s.cloud.URL, limit)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	if s.service, err = addService(p, s.app); err != nil {
		return err
	}
	defer s.service.TurnOff()
	if err := turnOn(ctx, s.service); err != nil {
		return err
	}
	return use(ctx)
}

// screenState is how much there is to show.
type screenState struct {
	Queries int `json:"queries"`
	Jobs    int `json:"jobs"`
	Errors  int `json:"errors"`
	Live    int `json:"live_objects"`
}

// readState asks the App how much it has to show.
func (s *screens) readState(ctx context.Context) (state screenState, err error) {
	for _, part := range []struct {
		path string
		into *int
	}{{"tql-config", &state.Queries}, {"job/request?limit=1", &state.Jobs}, {"report/batch-error?limit=1", &state.Errors}} {
		var counted struct {
			Count int  `json:"count"`
			Total *int `json:"total_count"` // of a list that comes in parts
		}
		if err := s.callRoute(ctx, http.MethodGet, "api/"+part.path, nil, &counted); err != nil {
			return state, err
		}
		*part.into = *cmp.Or(counted.Total, &counted.Count)
	}
	var status struct {
		Live int `json:"live_objects"`
	}
	err = s.callRoute(ctx, http.MethodGet, "api/status", nil, &status)
	state.Live = status.Live
	return state, err
}

// buildState saves the queries and waits until all that they select is in Sentinel, unless an earlier start did so.
func (s *screens) buildState(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, buildLimit)
	defer cancel()
	state, err := s.readState(ctx)
	if err != nil || state.Queries == s.queries && state.Live > 0 {
		return err
	}
	if err := s.callRoute(ctx, http.MethodPost, "api/tql-config?reset=true", s.queryList(), nil); err != nil {
		return err
	}
	if err := s.awaitUpdate(ctx); err != nil {
		return err
	}
	return pollUntil(ctx, time.Second, func() (bool, error) { // the live objects are counted after the update
		state, err := s.readState(ctx)
		return state.Live > 0, err
	})
}

// queryList has one query that selects everything, and before it those that select up to two hundred indicators each.
func (s *screens) queryList() (list []any) {
	var owners []string
	empty := moreOwners()
	for _, o := range s.tc.Owners() {
		if !slices.ContainsFunc(empty, func(e tcserver.Owner) bool { return e.ID == o.ID }) {
			owners = append(owners, o.Name)
		}
	}
	query := func(tql string) map[string]any {
		return map[string]any{"owners": owners, "types": types, "tql": tql, "sort_field": s.sort, "sort_direction": ""}
	}
	rows := s.tc.Rows()
	part := max(1, min(200, len(rows)/s.queries))
	for i := range min(s.queries-1, len(rows)/part) {
		list = append(list, query(fmt.Sprintf("id >= %d and id <= %d", rows[i*part].ID, rows[i*part+part-1].ID)))
	}
	return append(list, query("id > 0"))
}

// awaitUpdate waits until no update is queued or under way.
func (s *screens) awaitUpdate(ctx context.Context) error {
	return pollUntil(ctx, time.Second, func() (bool, error) {
		j, err := s.newestJob(ctx)
		switch j.Status {
		case "Failed", "Cancelled", "Confirmation Required":
			return false, fmt.Errorf("the job ended as %s: %s", j.Status, j.Message)
		}
		return j.Status == "Upload Complete", err
	})
}

func (s *screens) newestJob(ctx context.Context) (job, error) {
	var jobs struct{ Data []job }
	err := s.callRoute(ctx, http.MethodGet, "api/job/request?limit=1", nil, &jobs)
	if err != nil || len(jobs.Data) == 0 {
		return job{}, err
	}
	return jobs.Data[0], nil
}

// keepUpdating sees to it that a full update is under way, or has just been over: a small one takes less time than a look.
func (s *screens) keepUpdating(ctx context.Context) error {
	before, err := s.newestJob(ctx)
	if err != nil || before.Status != "Upload Complete" {
		return err
	}
	if err := s.callRoute(ctx, http.MethodPost, "api/job/request", map[string]string{"mode": "full"}, nil); err != nil {
		return err
	}
	return pollUntil(ctx, lookEvery, func() (bool, error) {
		j, err := s.newestJob(ctx)
		return j.RequestID != before.RequestID && j.Status != "Pending", err
	})
}

// callRoute makes a call of the JSON routes through the front.
func (s *screens) callRoute(ctx context.Context, method, path string, body, answer any) error {
	return (&app{url: s.service.URL() + "/"}).callRoute(ctx, method, path, body, answer)
}
