package web

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"mssentinel/app/job"
	"mssentinel/app/store"
	"mssentinel/templates"
)

// showHistory lists who saved the queries when, or shows one of the versions beside the list as it stands.
func (s *server) showHistory(c echo.Context) error {
	if named := c.QueryParam("version"); named != "" {
		return s.showVersion(c, named)
	}
	versions, err := s.Store.ListVersions(c.Request().Context())
	if err != nil {
		return err
	}
	view := templates.History{Frame: s.newFrame(c, "History", "configure"), Kept: store.KeptVersions}
	for i, v := range versions {
		view.Versions = append(view.Versions, versionRow(v, i == 0))
	}
	return renderPage(c, http.StatusOK, templates.HistoryPage(view))
}

func versionRow(v store.ListVersion, current bool) templates.ListVersion {
	return templates.ListVersion{Number: v.Number, SavedAt: v.SavedAt, SavedBy: v.SavedBy, Mode: modeLabel(job.Job{Mode: v.Next}), Queries: v.Queries,
		Changes: describeChanges(v.Changes), Current: current}
}

// describeChanges counts in words what changed.
func describeChanges(n store.ListChanges) string {
	var parts []string
	for _, kind := range []struct {
		count int
		word  string
	}{{n.Added, "added"}, {n.Edited, "changed"}, {n.Deleted, "deleted"}, {n.Moved, "moved"}} {
		if kind.count > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", kind.count, kind.word))
		}
	}
	return strings.Join(parts, ", ")
}

// showVersion shows a version, and query by query how the list as it stands differs from it.
func (s *server) showVersion(c echo.Context, named string) error {
	v, queries, err := s.readVersion(c, named)
	if err != nil {
		return err
	}
	now, _, err := s.Store.Queries(c.Request().Context())
	if err != nil {
		return err
	}
	changes := store.CompareLists(queries, now)
	view := templates.VersionPage{Frame: s.newFrame(c, "History", "configure"), Version: versionRow(v, len(changes) == 0),
		Summary: describeChanges(store.CountChanges(changes))}
	for i, q := range queries {
		view.Queries = append(view.Queries, s.queryRow(q.ID, i, q))
	}
	for _, change := range changes {
		view.Differences = append(view.Differences, describeDifference(change))
	}
	return renderPage(c, http.StatusOK, templates.VersionOfList(view))
}

// describeDifference tells of one query what happened since the version.
func describeDifference(c store.QueryChange) templates.QueryDifference {
	d := templates.QueryDifference{}
	if c.Before != nil {
		d.Then, d.TQL = c.Before.Rank, c.Before.TQL
	}
	if c.After != nil {
		d.Now, d.TQL = c.After.Rank, c.After.TQL
	}
	switch {
	case c.Before == nil:
		d.Kinds = []string{"Added"}
	case c.After == nil:
		d.Kinds = []string{"Deleted"}
	case c.Edited():
		d.Kinds, d.Fields = []string{"Changed"}, describeFields(*c.Before, *c.After)
	}
	if c.Moved {
		d.Kinds = append(d.Kinds, "Moved")
	}
	return d
}

// describeFields lists the fields of a query that differ.
func describeFields(before, after store.Query) []templates.FieldChange {
	var fields []templates.FieldChange
	for _, f := range []struct {
		name          string
		before, after []string
	}{{"Owners", before.Owners, after.Owners}, {"Indicator Types", before.Types, after.Types}} {
		gone, came := namesMissing(f.before, f.after), namesMissing(f.after, f.before)
		if len(gone)+len(came) > 0 {
			fields = append(fields, templates.FieldChange{Name: f.name, Gone: strings.Join(gone, ", "), Came: strings.Join(came, ", ")})
		}
	}
	had, has := settingTexts(before, ", "), settingTexts(after, ", ")
	for _, f := range []templates.FieldChange{{Name: "TQL", Gone: before.TQL, Came: after.TQL}, {Name: "Sort Field", Gone: before.SortField, Came: after.SortField},
		{Name: "Sort Direction", Gone: before.SortDirection, Came: after.SortDirection},
		{Name: "Confidence Floor", Gone: had.MinConfidence, Came: has.MinConfidence}, {Name: "TTL Hours", Gone: had.TTLHours, Came: has.TTLHours},
		{Name: "Labels to Add", Gone: had.Labels, Came: has.Labels}, {Name: "TLP at Least", Gone: before.TLP, Came: after.TLP}} {
		if f.Gone != f.Came {
			fields = append(fields, f)
		}
	}
	return fields
}

// namesMissing are the names that others do not have.
func namesMissing(names, others []string) []string {
	has := make(map[string]bool, len(others))
	for _, name := range others {
		has[name] = true
	}
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return has[name] })
}

// restoreVersion puts a version of the list into the draft. Nothing is saved by that.
func (e *editor) restoreVersion(named string) error {
	v, queries, err := e.s.readVersion(e.c, named)
	if err != nil {
		return err
	}
	e.draft.replaceQueries(adoptIDs(queries, e.saved), e.saved)
	if !e.draft.isDirty() {
		e.addNotice("info", fmt.Sprintf("Version %d is the same as the saved list.", v.Number))
		return nil
	}
	e.view.Focus = "save"
	e.addNotice("info", fmt.Sprintf("Version %d of %s is loaded. It replaces the saved list once you save.", v.Number, templates.Instant(v.SavedAt)))
	return nil
}

// adoptIDs gives queries whose identity is gone that of a saved query that is the same in all else: one that was deleted and
// added again.
func adoptIDs(queries, saved []store.Query) []store.Query {
	known, used := queriesByID(saved), queriesByID(queries)
	for i, q := range queries {
		if _, found := known[q.ID]; found {
			continue
		}
		for k := range saved {
			s := &saved[k]
			if _, taken := used[s.ID]; !taken && s.TQL == q.TQL && sameQuery(tidyQuery(*s), tidyQuery(q)) {
				queries[i].ID, used[s.ID] = s.ID, s
				break
			}
		}
	}
	return queries
}
