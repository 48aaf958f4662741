package store

import (
	"bytes"
	"compress/flate"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"mssentinel/app/job"
)

// KeptVersions is how many versions of the list of queries are kept.
const KeptVersions = 20

// ListVersion is the list of queries as it was saved once.
type ListVersion struct {
	// Number counts the versions from 1. It is never given twice.
	Number  int64
	SavedAt time.Time
	// SavedBy names who saved it; "" where that is not known.
	SavedBy string
	// Next is the update that was asked for with it.
	Next job.Mode
	// Queries is how many it has.
	Queries int
	// Changes are against the version before.
	Changes ListChanges
}

type versionRow struct {
	Number  int64    `db:"number"`
	SavedAt int64    `db:"saved_at"`
	SavedBy string   `db:"saved_by"`
	Next    job.Mode `db:"next"`
	Queries int      `db:"queries"`
	Added   int      `db:"added"`
	Edited  int      `db:"edited"`
	Deleted int      `db:"deleted"`
	Moved   int      `db:"moved"`
}

const versionColumns = `number, saved_at, saved_by, next, queries, added, edited, deleted, moved`

func (r versionRow) toVersion() ListVersion {
	return ListVersion{Number: r.Number, SavedAt: fromMillis(r.SavedAt), SavedBy: r.SavedBy, Next: r.Next, Queries: r.Queries,
		Changes: ListChanges{Added: r.Added, Edited: r.Edited, Deleted: r.Deleted, Moved: r.Moved}}
}

// ListVersions are the last versions of the list of queries, the newest first. The newest is the list as it stands.
func (s *Store) ListVersions(ctx context.Context) ([]ListVersion, error) {
	var rows []versionRow
	if err := s.read.SelectContext(ctx, &rows, `SELECT `+versionColumns+` FROM list_version ORDER BY number DESC`); err != nil {
		return nil, fmt.Errorf("reading the versions of the list of queries: %w", err)
	}
	versions := make([]ListVersion, len(rows))
	for i, r := range rows {
		versions[i] = r.toVersion()
	}
	return versions, nil
}

// ListVersion is a version of the list of queries with its queries in rank order. An unknown one, or one that is kept no
// longer, is [ErrNotFound].
func (s *Store) ListVersion(ctx context.Context, number int64) (ListVersion, []Query, error) {
	var row struct {
		versionRow
		List []byte `db:"list"`
	}
	err := s.read.GetContext(ctx, &row, `SELECT `+versionColumns+`, list FROM list_version WHERE number = ?`, number)
	if errors.Is(err, sql.ErrNoRows) {
		return ListVersion{}, nil, fmt.Errorf("version %d of the list of queries: %w", number, ErrNotFound)
	}
	if err != nil {
		return ListVersion{}, nil, fmt.Errorf("reading version %d of the list of queries: %w", number, err)
	}
	queries, err := unpackQueries(row.List)
	if err != nil {
		return ListVersion{}, nil, fmt.Errorf("reading version %d of the list of queries: %w", number, err)
	}
	return row.toVersion(), queries, nil
}

// keepVersion keeps the list as it was just saved, unless it is the same as the last version, and drops the oldest one that
// is too many.
func keepVersion(ctx context.Context, tx *transaction, before []Query, by string, next job.Mode) error {
	queries, err := plainQueries(ctx, tx)
	if err != nil {
		return err
	}
	changes := CompareLists(before, queries)
	var kept bool
	if err := tx.GetContext(ctx, &kept, `SELECT EXISTS (SELECT 1 FROM list_version)`); err != nil {
		return fmt.Errorf("looking for versions of the list: %w", err)
	}
	if kept && len(changes) == 0 {
		return nil
	}
	list, err := packQueries(queries)
	if err != nil {
		return err
	}
	n := CountChanges(changes)
	_, err = tx.ExecContext(ctx, `INSERT INTO list_version (saved_at, saved_by, next, queries, added, edited, deleted, moved, list)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`, toMillis(time.Now()), by, next, len(queries), n.Added, n.Edited, n.Deleted, n.Moved, list)
	if err != nil {
		return fmt.Errorf("keeping a version of the list: %w", err)
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM list_version WHERE number <= (SELECT number FROM list_version ORDER BY number DESC LIMIT 1 OFFSET ?)`,
		KeptVersions)
	if err != nil {
		return fmt.Errorf("dropping an old version of the list: %w", err)
	}
	return nil
}

// packQueries writes a list as JSON, compressed: 20 lists of the greatest length would be 20 MB else.
func packQueries(queries []Query) ([]byte, error) {
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.BestSpeed)
	if err == nil {
		err = errors.Join(json.NewEncoder(w).Encode(queries), w.Close())
	}
	if err != nil {
		return nil, fmt.Errorf("packing the list: %w", err)
	}
	return packed.Bytes(), nil
}

func unpackQueries(packed []byte) (queries []Query, err error) {
	content, err := io.ReadAll(flate.NewReader(bytes.NewReader(packed)))
	if err != nil {
		return nil, err
	}
	return queries, json.Unmarshal(content, &queries)
}
