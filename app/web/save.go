package web

import (
	"context"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/store"
)

// saveLimit bounds what is asked of ThreatConnect before a save, so that the save itself fits into timeLimit.
const saveLimit = 20 * time.Second

// saveResult is what became of a list: kept under a new version, or refused for its faults.
type saveResult struct {
	Version string
	Faults  []string
	// Unchecked says why ThreatConnect could not check the queries; "" where it did.
	Unchecked string
}

// saveList checks a list and keeps it whole, or changes nothing. version is that of the list that it replaces, "" for
// whatever it is; store.ErrOutdated means that it is another by now. next is the update that follows.
func (s *server) saveList(ctx context.Context, queries []store.Query, version string, next job.Mode) (saveResult, error) {
	before, current, err := s.Store.Queries(ctx)
	if err != nil {
		return saveResult{}, err
	}
	if version != "" && version != current {
		return saveResult{}, store.ErrOutdated
	}
	for i := range queries {
		queries[i] = tidyQuery(queries[i])
		queries[i].Rank = i + 1
	}
	if faults := checkList(queries, before, s.Types); len(faults) > 0 {
		return saveResult{Faults: faults}, nil
	}
	faults, unchecked := s.checkChanged(ctx, queries, before)
	if len(faults) > 0 {
		return saveResult{Faults: faults}, nil
	}
	version, err = s.Store.SaveQueries(ctx, queries, version, next, s.callerName(ctx))
	if err != nil {
		return saveResult{}, err
	}
	s.Pipeline.QueriesSaved()
	result := saveResult{Version: version}
	if unchecked != nil {
		s.Logger.Warn("queries saved unchecked", "error", unchecked)
		result.Unchecked = "ThreatConnect could not be asked, so owners and TQL were saved unchecked. " +
			"A fault in them will show on REPORT or in the job's message."
	}
	return result, nil
}

// callerName names who made a request, "" where that is not known.
func (s *server) callerName(ctx context.Context) string {
	if s.Caller == nil {
		return ""
	}
	return s.Caller(ctx)
}

// checkChanged lets ThreatConnect check the queries that differ from the saved ones. That it cannot be asked is no
// fault of the list: unchecked then says why.
func (s *server) checkChanged(ctx context.Context, queries, saved []store.Query) (faults []string, unchecked error) {
	ctx, cancel := context.WithTimeout(ctx, saveLimit)
	defer cancel()
	known := queriesByID(saved)
	var changed []int
	for i, q := range queries {
		if before, found := known[q.ID]; !found || !sameQuery(q, *before) {
			changed = append(changed, i)
		}
	}
	if len(changed) == 0 {
		return nil, nil
	}
	owners, err := s.listOwners(ctx)
	if err != nil {
		return nil, err
	}
	for _, i := range changed {
		for _, fault := range checkOwners(queries[i], owners) {
			faults = append(faults, faultAt(i, fault))
		}
	}
	if len(faults) > 0 {
		return faults, nil
	}
	return s.countQueries(ctx, queries, changed)
}
