package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"mssentinel/app/mask"
	"mssentinel/app/store"
	"mssentinel/app/threatconnect"
)

// maxCounts bounds how many queries ThreatConnect checks for us at the same time.
const maxCounts = 4

// What cannot be done when ThreatConnect gives no answer about a query.
const (
	cannotCheck   = "The query cannot be checked"
	cannotPreview = "The preview cannot be made"
)

// listOwners asks ThreatConnect for the names of the owners, in its order.
func (s *server) listOwners(ctx context.Context) ([]string, error) {
	owners, err := s.ThreatConnect.Owners(ctx)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(owners))
	for _, owner := range owners {
		names = append(names, owner.Name)
	}
	s.owners.Store(&ownerList{names: names, at: time.Now()})
	return names, nil
}

// ownerList are the names of the owners as ThreatConnect listed them at a time.
type ownerList struct {
	names []string
	at    time.Time
}

// ownersFresh is how long a list of owners does for the windows of queries, of which an operator opens one after the other.
const ownersFresh = 30 * time.Second

// freshOwners are the owners of a moment ago, or of now.
func (s *server) freshOwners(ctx context.Context) ([]string, error) {
	if last := s.owners.Load(); last != nil && time.Since(last.at) < ownersFresh {
		return last.names, nil
	}
	return s.listOwners(ctx)
}

// lastOwners are the owners as ThreatConnect listed them last, so that it is not asked whenever the query window is
// redrawn.
func (s *server) lastOwners(ctx context.Context) ([]string, error) {
	if last := s.owners.Load(); last != nil {
		return last.names, nil
	}
	return s.listOwners(ctx)
}

// checkQueryAndOwners says what is wrong with one tidied query in itself, or else with its owners. Where ThreatConnect
// cannot be asked about the owners, nothing is wrong with them: what is asked next says why it cannot.
func (s *server) checkQueryAndOwners(ctx context.Context, q store.Query) []string {
	if faults := checkQuery(q, s.Types); len(faults) > 0 {
		return faults
	}
	owners, err := s.lastOwners(ctx)
	if err == nil && len(checkOwners(q, owners)) > 0 { // they may be new
		owners, err = s.listOwners(ctx)
	}
	if err != nil {
		return nil
	}
	return checkOwners(q, owners)
}

// checkOwners names the owners of a query that are not among those that the API user can read.
func checkOwners(q store.Query, owners []string) (faults []string) {
	for _, owner := range q.Owners {
		if !slices.Contains(owners, owner) {
			faults = append(faults, fmt.Sprintf("The owner %s is not among those that the ThreatConnect API user can read: "+
				"choose another, or give the user access.", quoteValue(owner)))
		}
	}
	return faults
}

// countQueries has ThreatConnect evaluate the queries at the given positions. unchecked says why it could not evaluate
// some.
func (s *server) countQueries(ctx context.Context, queries []store.Query, positions []int) (faults []string, unchecked error) {
	var mu sync.Mutex
	rejections := map[int]string{}
	var group errgroup.Group
	group.SetLimit(maxCounts)
	for _, i := range positions {
		group.Go(func() error {
			_, err := s.ThreatConnect.Count(ctx, selectionOf(queries[i]))
			message, rejected := tqlError(err)
			if !rejected {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			rejections[i] = "ThreatConnect does not accept it: " + message
			return nil
		})
	}
	unchecked = group.Wait()
	for _, i := range positions {
		if fault, rejected := rejections[i]; rejected {
			faults = append(faults, faultAt(i, fault))
		}
	}
	return faults, unchecked
}

// tqlError is ThreatConnect's own message about a query, as opposed to an error about ThreatConnect as a whole.
func tqlError(err error) (message string, rejected bool) {
	var e *threatconnect.Error
	if errors.As(err, &e) && e.IsTQL() {
		return mask.Text(e.Message), true
	}
	return "", false
}

// explainQuery says why ThreatConnect gave no answer about a query, and what cannot be done therefore. ctx is the one
// that bounded the question.
func explainQuery(ctx context.Context, cannot string, err error) error {
	if isTimedOut(ctx) {
		return httpErrorf(http.StatusGatewayTimeout, "ThreatConnect did not answer within %.0f seconds. "+
			"Try again, or narrow the TQL: a query this slow slows down every update too.", timeLimit.Seconds())
	}
	if message, rejected := tqlError(err); rejected {
		return httpErrorf(http.StatusBadRequest, "ThreatConnect does not accept this query: %s", message)
	}
	return httpErrorf(http.StatusBadGateway, "%s: %v", cannot, err)
}

// explainOwners says why there is no list of owners.
func explainOwners(ctx context.Context, err error) error {
	if isTimedOut(ctx) {
		return httpErrorf(http.StatusGatewayTimeout,
			"The owners cannot be listed: ThreatConnect did not answer within %.0f seconds. Try again.", timeLimit.Seconds())
	}
	return httpErrorf(http.StatusBadGateway, "The owners cannot be listed: %v", err)
}
