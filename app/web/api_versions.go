package web

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"mssentinel/app/job"
	"mssentinel/app/store"
)

// versionView is the list of queries as it was saved once.
type versionView struct {
	// Added, Changed, Deleted and Moved count the queries that differ from the version before.
	Added   int `json:"added"`
	Changed int `json:"changed"`
	// Count is how many queries it has.
	Count   int `json:"count"`
	Deleted int `json:"deleted"`
	// Mode is that of the update that was asked for with it.
	Mode  job.Mode `json:"mode"`
	Moved int      `json:"moved"`
	// Number names it; the highest is the list as it stands.
	Number  int64     `json:"number"`
	SavedAt time.Time `json:"saved_at"`
	// SavedBy is null where it is not known.
	SavedBy *string `json:"saved_by"`
}

// versionsView is the answer of GET api/tql-config/versions: at most 20, the newest first.
type versionsView struct {
	Count int           `json:"count"`
	Data  []versionView `json:"data"`
}

// versionQueriesView is the answer of GET api/tql-config/versions/<number>: with the queries in order of precedence.
type versionQueriesView struct {
	versionView
	Data []queryView `json:"data"`
}

func newVersionView(v store.ListVersion) versionView {
	view := versionView{Added: v.Changes.Added, Changed: v.Changes.Edited, Count: v.Queries, Deleted: v.Changes.Deleted, Mode: v.Next,
		Moved: v.Changes.Moved, Number: v.Number, SavedAt: v.SavedAt.UTC()}
	if v.SavedBy != "" {
		view.SavedBy = &v.SavedBy
	}
	return view
}

func (s *server) listVersions(c echo.Context) error {
	versions, err := s.Store.ListVersions(c.Request().Context())
	if err != nil {
		return err
	}
	view := versionsView{Count: len(versions), Data: []versionView{}}
	for _, v := range versions {
		view.Data = append(view.Data, newVersionView(v))
	}
	return c.JSON(http.StatusOK, view)
}

func (s *server) getVersion(c echo.Context) error {
	v, queries, err := s.readVersion(c, c.Param("number"))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, versionQueriesView{newVersionView(v), newQueryViews(queries)})
}

// readVersion reads the version of the list that a request names.
func (s *server) readVersion(c echo.Context, named string) (store.ListVersion, []store.Query, error) {
	number, err := strconv.ParseInt(named, 10, 64)
	if err != nil {
		return store.ListVersion{}, nil, httpErrorf(http.StatusBadRequest, "%s is no number of a version: HISTORY lists them.", quoteValue(named))
	}
	v, queries, err := s.Store.ListVersion(c.Request().Context(), number)
	if errors.Is(err, store.ErrNotFound) {
		return v, nil, httpErrorf(http.StatusNotFound,
			"There is no version %d of the list, or it is kept no longer: the last %d are. HISTORY lists them.", number, store.KeptVersions)
	}
	return v, queries, err
}
