package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"mssentinel/app/job"
	"mssentinel/app/jsonscan"
	"mssentinel/app/ledger"
	"mssentinel/app/text"
)

// Query is one line of CONFIGURE. Its ID is its identity: it survives a change of rank, and the ledger refers to it.
type Query struct {
	ID            string
	Rank          int
	Owners        []string
	Types         []string
	TQL           string
	SortField     string
	SortDirection string
	// The settings of the query, see [Query.Settings]. MinConfidence is 0 and TTLHours nil where it has none.
	MinConfidence int
	TTLHours      *int
	Labels        []string
	TLP           string
	// Version changes when what the query gives changes.
	Version string
}

// Settings are what the query says of the objects that it gives.
func (q *Query) Settings() ledger.Settings {
	s := ledger.Settings{MinConfidence: q.MinConfidence, Labels: q.Labels, TLP: q.TLP}
	if q.TTLHours != nil {
		s.TTL = time.Duration(*q.TTLHours) * time.Hour
	}
	return s
}

// RunQuery is a saved query as a job reads it.
type RunQuery struct {
	Query
	// Number is the query's identity in the ledger.
	Number int64
	// Mark is where a delta update starts; zero: the query was never read, or not since its settings changed.
	Mark time.Time
}

type queryRow struct {
	Number        int64         `db:"number"`
	ID            string        `db:"id"`
	Rank          sql.NullInt64 `db:"rank"`
	Owners        string        `db:"owners"`
	Types         string        `db:"types"`
	TQL           string        `db:"tql"`
	SortField     string        `db:"sort_field"`
	SortDirection string        `db:"sort_direction"`
	MinConfidence int           `db:"min_confidence"`
	TTLHours      *int          `db:"ttl_hours"`
	Labels        string        `db:"labels"`
	TLP           string        `db:"tlp"`
	Version       string        `db:"version"`
	Mark          sql.NullInt64 `db:"mark"`
}

const queryColumns = `number, id, rank, owners, types, tql, sort_field, sort_direction, min_confidence, ttl_hours, labels, tlp, version, mark`

func (r *queryRow) toQuery() (RunQuery, error) {
	q := RunQuery{Number: r.Number, Query: Query{ID: r.ID, Rank: int(r.Rank.Int64), TQL: r.TQL,
		SortField: r.SortField, SortDirection: r.SortDirection, MinConfidence: r.MinConfidence, TTLHours: r.TTLHours, TLP: r.TLP, Version: r.Version}}
	if r.Mark.Valid {
		q.Mark = fromMillis(r.Mark.Int64)
	}
	var errs [3]error
	q.Owners, errs[0] = readTexts(r.Owners)
	q.Types, errs[1] = readTexts(r.Types)
	q.Labels, errs[2] = readTexts(r.Labels)
	if err := errors.Join(errs[:]...); err != nil {
		return RunQuery{}, fmt.Errorf("reading query %s: %w", r.ID, err)
	}
	return q, nil
}

// readTexts reads a list of texts as encoding/json writes it. It would take several times as long to read it, and most pages read all
// queries.
func readTexts(stored string) ([]string, error) {
	if stored == "null" { // of a nil list
		return nil, nil
	}
	list, ok := jsonscan.Texts(stored)
	if !ok {
		return nil, fmt.Errorf("%q is no list of texts", text.Cut(stored, 100))
	}
	return list, nil
}

// RunQueries are the saved queries in rank order.
func (s *Store) RunQueries(ctx context.Context) ([]RunQuery, error) {
	return savedQueries(ctx, s.read)
}

func savedQueries(ctx context.Context, q querier) ([]RunQuery, error) {
	return readQueries(ctx, q, `rank IS NOT NULL ORDER BY rank`)
}

// DeletedQueries are those whose candidates are still in the ledger. They have no rank.
func (s *Store) DeletedQueries(ctx context.Context) ([]RunQuery, error) {
	return readQueries(ctx, s.read, `rank IS NULL AND EXISTS (SELECT 1 FROM candidate WHERE candidate.query = query.number) ORDER BY number`)
}

func readQueries(ctx context.Context, q querier, which string) ([]RunQuery, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+queryColumns+` FROM query WHERE `+which)
	if err != nil {
		return nil, fmt.Errorf("reading the queries: %w", err)
	}
	defer rows.Close()
	var queries []RunQuery
	for rows.Next() {
		var r queryRow
		// By hand, since most pages read all queries: sqlx looks up each member of each row.
		if err := rows.Scan(&r.Number, &r.ID, &r.Rank, &r.Owners, &r.Types, &r.TQL, &r.SortField, &r.SortDirection, &r.MinConfidence,
			&r.TTLHours, &r.Labels, &r.TLP, &r.Version, &r.Mark); err != nil {
			return nil, fmt.Errorf("reading the queries: %w", err)
		}
		read, err := r.toQuery()
		if err != nil {
			return nil, err
		}
		queries = append(queries, read)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading the queries: %w", err)
	}
	return queries, nil
}

// queryList is the list of queries as it was last read. It is not changed any more.
type queryList struct {
	version string
	queries []Query
}

// Queries are the saved queries in rank order, and the version of the list, which is never empty. Most pages ask for them: they are
// kept until another version is saved, and their lists must not be changed.
func (s *Store) Queries(ctx context.Context) (queries []Query, version string, err error) {
	if last := s.queries.Load(); last != nil {
		if version, err = listVersion(ctx, s.read); err != nil {
			return nil, "", err
		}
		if version == last.version {
			return slices.Clone(last.queries), version, nil
		}
	}
	if queries, version, err = s.readList(ctx); err == nil {
		s.queries.Store(&queryList{version, slices.Clone(queries)})
	}
	return queries, version, err
}

func (s *Store) readList(ctx context.Context) (queries []Query, version string, err error) {
	tx, err := s.read.BeginTxx(ctx, nil)
	if err != nil {
		return nil, "", fmt.Errorf("reading the queries: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	if queries, err = plainQueries(ctx, tx); err != nil {
		return nil, "", err
	}
	version, err = listVersion(ctx, tx)
	return queries, version, err
}

// plainQueries are the saved queries in rank order, as people know them.
func plainQueries(ctx context.Context, q querier) ([]Query, error) {
	saved, err := savedQueries(ctx, q)
	if err != nil {
		return nil, err
	}
	queries := make([]Query, len(saved))
	for i, s := range saved {
		queries[i] = s.Query
	}
	return queries, nil
}

// listVersion is the version of the list of queries. One that was never saved has a version as well, so that two first
// lists do not overwrite each other.
func listVersion(ctx context.Context, tx querier) (string, error) {
	version, err := readSetting(ctx, tx, settingQueryVersion)
	if version == "" {
		version = "unsaved"
	}
	return version, err
}

// SaveQueries replaces the whole list; the order given is the order of precedence. A query whose ID is known keeps its
// identity, one without gets a new one. The next scheduled update becomes due at once, in the mode given; a full one that
// is already asked for stays. version is the list's as the caller read it, "" for whatever it is; [ErrOutdated] means that
// it is another by now, and nothing was changed. by names who saves it, "" where that is not known; see [Store.ListVersions].
func (s *Store) SaveQueries(ctx context.Context, queries []Query, version string, next job.Mode, by string) (newVersion string, err error) {
	newVersion = uuid.NewString()
	err = s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
		current, err := listVersion(ctx, tx)
		if err != nil {
			return err
		}
		if version != "" && version != current {
			return ErrOutdated
		}
		before, err := plainQueries(ctx, tx)
		if err != nil {
			return err
		}
		if err := replaceQueries(ctx, tx, queries); err != nil {
			return err
		}
		if err := keepVersion(ctx, tx, before, by, next); err != nil {
			return err
		}
		if err := putSetting(ctx, tx, settingQueryVersion, newVersion); err != nil {
			return err
		}
		return requestUpdate(ctx, tx, next)
	})
	if err != nil {
		return "", err
	}
	return newVersion, nil
}

func replaceQueries(ctx context.Context, tx *transaction, queries []Query) error {
	end, err := numberSetting(ctx, tx, settingWindowEnd)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE query SET rank = NULL`); err != nil {
		return fmt.Errorf("clearing the list of queries: %w", err)
	}
	saved := map[string]bool{}
	for i, q := range queries {
		if q.ID == "" {
			q.ID = uuid.NewString()
		}
		if saved[q.ID] {
			return fmt.Errorf("the list has query %s twice", q.ID)
		}
		saved[q.ID] = true
		if err := saveQuery(ctx, tx, q, i+1, end); err != nil {
			return fmt.Errorf("saving query %d: %w", i+1, err)
		}
	}
	return nil
}

// saveQuery keeps one query. What it selects beyond end, the last update's, comes with the next complete read. One that has other
// settings is read whole by the next update: what stands of it is to be as they say now.
func saveQuery(ctx context.Context, tx *transaction, q Query, rank int, end int64) error {
	owners, err := json.Marshal(q.Owners)
	if err != nil {
		return err
	}
	types, err := json.Marshal(q.Types)
	if err != nil {
		return err
	}
	labels, err := json.Marshal(q.Labels)
	if err != nil {
		return err
	}
	row := queryRow{ID: q.ID, Owners: string(owners), Types: string(types), TQL: q.TQL, SortField: q.SortField,
		SortDirection: q.SortDirection, MinConfidence: q.MinConfidence, TTLHours: q.TTLHours, Labels: string(labels), TLP: q.TLP, Version: uuid.NewString(), Rank: sql.NullInt64{Int64: int64(rank), Valid: true}}
	changed := true
	var old queryRow
	switch err := tx.GetContext(ctx, &old, `SELECT `+queryColumns+` FROM query WHERE id = ?`, q.ID); {
	case errors.Is(err, sql.ErrNoRows):
		row.Mark = sql.NullInt64{Int64: end, Valid: end != 0}
	case err != nil:
		return err
	default:
		before, err := old.toQuery()
		if err != nil {
			return err
		}
		changed = !sameSelection(before.Query, q)
		row.Mark = old.Mark // end at most
		if !sameSettings(before.Query, q) {
			changed, row.Mark = true, sql.NullInt64{}
		}
		if !changed && old.SortField == q.SortField && old.SortDirection == q.SortDirection {
			row.Version = old.Version
		}
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO query (id, rank, owners, types, tql, sort_field, sort_direction, min_confidence, ttl_hours, labels, tlp, version, mark, changed)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET rank = excluded.rank, owners = excluded.owners, types = excluded.types, tql = excluded.tql,
			sort_field = excluded.sort_field, sort_direction = excluded.sort_direction, min_confidence = excluded.min_confidence,
			ttl_hours = excluded.ttl_hours, labels = excluded.labels, tlp = excluded.tlp, version = excluded.version,
			mark = excluded.mark, changed = CASE WHEN ? THEN excluded.changed ELSE changed END`,
		row.ID, row.Rank, row.Owners, row.Types, row.TQL, row.SortField, row.SortDirection,
		row.MinConfidence, row.TTLHours, row.Labels, row.TLP, row.Version, row.Mark, toMillis(time.Now()), changed)
	return err
}

// sameSelection tells whether two queries select the same; the order of owners and types does not matter for that.
func sameSelection(a, b Query) bool {
	return a.TQL == b.TQL && sameNames(a.Owners, b.Owners) && sameNames(a.Types, b.Types)
}

// sameSettings tells whether two queries say the same of what they give. The order of labels matters: they are sent in it.
func sameSettings(a, b Query) bool {
	x, y := a.Settings(), b.Settings()
	return x.Equal(&y)
}

func sameNames(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// SetMarks moves the high-water marks of queries to end: what changed before it is in Sentinel or on REPORT. A query that
// was changed after the job started keeps its mark, since the job has not read what it selects now.
func (s *Store) SetMarks(ctx context.Context, number int64, queries []int64, end time.Time) error {
	return s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
		_, err := tx.ExecContext(ctx, `UPDATE query SET mark = ? WHERE number IN (SELECT value FROM json_each(?))
			AND changed <= (SELECT coalesce(date_started, date_queued) FROM job WHERE number = ?)`, toMillis(end), jsonList(queries), number)
		if err != nil {
			return fmt.Errorf("moving the marks: %w", err)
		}
		last, err := numberSetting(ctx, tx, settingWindowEnd)
		if err != nil || last >= toMillis(end) {
			return err
		}
		return putTime(ctx, tx, settingWindowEnd, end)
	})
}

// queryRanks are the ranks of the saved queries by number. A query that was deleted has none: its candidates never count.
func queryRanks(ctx context.Context, q querier) (map[int64]int64, error) {
	var rows []struct {
		Number int64 `db:"number"`
		Rank   int64 `db:"rank"`
	}
	if err := q.SelectContext(ctx, &rows, `SELECT number, rank FROM query WHERE rank IS NOT NULL`); err != nil {
		return nil, fmt.Errorf("reading the ranks of the queries: %w", err)
	}
	ranks := make(map[int64]int64, len(rows))
	for _, r := range rows {
		ranks[r.Number] = r.Rank
	}
	return ranks, nil
}
