package sentinel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Bounds of what is asked for at once. A page of this size is some 5 MB, and the API's own bound is 64 MB,
// app/docs/sentinel.md#query-limits.
const (
	MaxPage   = 10_000 // objects of a page
	MaxSample = 500    // ids that are looked for at once
	MaxRows   = 1_000  // rows of RawRows
	minPage   = 100    // objects of a page that is not made smaller any more
)

// TypeCount is how many objects of one type a source has in the workspace.
type TypeCount struct {
	// Type is the STIX type of the pattern's first comparison, such as ipv4-addr or file; "" for a pattern that has none.
	Type    string
	Active  int64     // that rules match: active, and not expired
	Expired int64     // that are there, and that no rule matches
	Newest  time.Time // when the last row of them came
}

// Standing is one object as the newest of its rows has it. A time that the row does not have is zero.
type Standing struct {
	ID         string // of STIX, indicator--…
	Pattern    string
	Name       string
	Labels     []string
	Confidence int // 0 to 100; -1 where it has none
	Created    time.Time
	Modified   time.Time
	ValidFrom  time.Time
	ValidUntil time.Time
	Ingested   time.Time // TimeGenerated of the row
	Method     string    // LastUpdateMethod: what wrote the row; LogARepublisher repeats an object as it is
	Active     bool      // rules match it: the row says active, and it has not expired since. Not if Deleted
	Revoked    bool
	Deleted    bool
}

// RawRow is one row of the table as it stands there.
type RawRow struct {
	ID              string // of STIX
	Ingested        time.Time
	Method          string // LastUpdateMethod
	Pattern         string
	ObservableKey   string
	ObservableValue string
	Tags            string
	Name            string
	Labels          []string
	Confidence      int // -1 where it has none
	Created         time.Time
	Modified        time.Time
	ValidFrom       time.Time
	ValidUntil      time.Time
	Revoked         bool
	IsActive        bool // as the row says
	IsDeleted       bool
	// DescriptionLength is how many characters of the description the row has.
	DescriptionLength int64
}

// CountStanding counts what a source has in the workspace, by type, in the order of the types. Nothing of a source that
// has never uploaded, or not for 14 days. Its error is that of [Client.ListStanding].
func (c *Client) CountStanding(ctx context.Context, source string) ([]TypeCount, error) {
	return readRecords(ctx, c, CountsQuery(source), func(r *record) TypeCount {
		return TypeCount{
			Type: r.text("PatternType"), Active: r.number("Active", 0), Expired: r.number("Expired", 0), Newest: r.time("Newest"),
		}
	})
}

// ListStanding lists the objects of a source by their STIX id, those after afterID ("" for the first page), at most limit
// ([MaxPage] where that is less, or limit is 0). The last page is one without objects: another may be shorter than limit,
// since a page that does not fit into an answer is asked for in a smaller one.
//
// Its error is a *[NoReadRight] where the application may not read the workspace, a *[ConfigError] where something
// else has to be changed, a *[PartialResult] where the workspace could give only a part. Any other error passes by itself
// or names its remedy. It tries again a few times, as long as ctx has the time for it.
func (c *Client) ListStanding(ctx context.Context, source, afterID string, limit int) ([]Standing, error) {
	if limit <= 0 || limit > MaxPage {
		limit = MaxPage
	}
	for {
		page, err := c.listPage(ctx, source, afterID, limit)
		var partial *PartialResult
		if !errors.As(err, &partial) && !errors.Is(err, errLongAnswer) || limit <= minPage {
			return page, err
		}
		limit = max(limit/4, minPage)
	}
}

// listPage checks the order: another one would lose objects between the pages.
func (c *Client) listPage(ctx context.Context, source, afterID string, limit int) ([]Standing, error) {
	page, err := readRecords(ctx, c, PageQuery(source, afterID, limit), readStanding)
	if err != nil {
		return nil, err
	}
	last := afterID
	for _, s := range page {
		if s.ID <= last {
			return nil, fmt.Errorf("the workspace gives %q after %q, which is not the order of the query: "+
				"check whether a newer version of this App exists", s.ID, last)
		}
		last = s.ID
	}
	return page, nil
}

// RawRows gives all rows of the last 14 days of a source and of these STIX ids, the newest first; at most [MaxSample] ids
// and [MaxRows] rows. Its error is that of [Client.ListStanding].
func (c *Client) RawRows(ctx context.Context, source string, ids []string) ([]RawRow, error) {
	if err := checkSample(ids); err != nil || len(ids) == 0 {
		return nil, err
	}
	return readRecords(ctx, c, RowsQuery(source, ids), func(r *record) RawRow {
		return RawRow{
			ID: r.text("StixId"), Ingested: r.time("TimeGenerated"), Method: r.text("LastUpdateMethod"), Pattern: r.text("Pattern"),
			ObservableKey: r.text("ObservableKey"), ObservableValue: r.text("ObservableValue"), Tags: r.text("Tags"),
			Name: r.text("Name"), Labels: r.list("Labels"), Confidence: int(r.number("Confidence", -1)),
			Created: r.time("Created"), Modified: r.time("Modified"), ValidFrom: r.time("ValidFrom"), ValidUntil: r.time("ValidUntil"),
			Revoked: r.truth("Revoked"), IsActive: r.truth("IsActive"), IsDeleted: r.truth("IsDeleted"),
			DescriptionLength: r.number("DescriptionLength", 0),
		}
	})
}

func checkSample(ids []string) error {
	if len(ids) > MaxSample {
		return fmt.Errorf("%d objects are too many to look for at once: at most %d", len(ids), MaxSample)
	}
	return nil
}

func readStanding(r *record) Standing {
	s := Standing{
		ID: r.text("StixId"), Pattern: r.text("Pattern"), Name: r.text("Name"), Labels: r.list("Labels"),
		Confidence: int(r.number("Confidence", -1)), Created: r.time("Created"), Modified: r.time("Modified"),
		ValidFrom: r.time("ValidFrom"), ValidUntil: r.time("ValidUntil"), Ingested: r.time("TimeGenerated"),
		Method: r.text("LastUpdateMethod"), Active: r.truth("Standing"), Revoked: r.truth("Revoked"), Deleted: r.truth("IsDeleted"),
	}
	s.Active = s.Active && !s.Deleted
	return s
}

// readRecords sends a query and reads each record of its answer.
func readRecords[T any](ctx context.Context, c *Client, query string, read func(*record) T) ([]T, error) {
	answer, err := c.queryWorkspace(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("asking the workspace what stands: %w", err)
	}
	list := make([]T, 0, len(answer.rows))
	for _, row := range answer.rows {
		r := record{columns: answer.columns, row: row}
		list = append(list, read(&r))
		if r.err != nil {
			return nil, fmt.Errorf("reading what the workspace answered: %w", r.err)
		}
	}
	return list, nil
}

// record is one row of an answer. What cannot be read is noted in err, and the zero value stands for it.
type record struct {
	columns map[string]int
	row     []json.RawMessage
	err     error
}

// decode reads a value into a variable, and says whether there is one.
func (r *record) decode(column string, into any) bool {
	i, ok := r.columns[column]
	if !ok {
		r.err = errors.Join(r.err, fmt.Errorf("there is no column %s", column))
		return false
	}
	raw := r.row[i]
	if len(raw) == 0 || string(raw) == "null" || string(raw) == `""` {
		return false
	}
	if err := json.Unmarshal(raw, into); err != nil {
		r.err = errors.Join(r.err, fmt.Errorf("the column %s is of another kind: %w", column, err))
		return false
	}
	return true
}

func (r *record) text(column string) (s string) {
	r.decode(column, &s)
	return s
}

func (r *record) time(column string) (t time.Time) {
	r.decode(column, &t)
	return t
}

// number takes a number that is written as a text, too: a long does not fit into every JSON number.
func (r *record) number(column string, otherwise int64) int64 {
	var n json.Number
	if !r.decode(column, &n) {
		return otherwise
	}
	value, err := n.Int64()
	if err != nil {
		r.err = errors.Join(r.err, fmt.Errorf("the column %s is no whole number", column))
		return otherwise
	}
	return value
}

// truth takes 0 and 1, too, as older tables of the API have it.
func (r *record) truth(column string) bool {
	var value any
	if !r.decode(column, &value) {
		return false
	}
	switch v := value.(type) {
	case bool:
		return v
	case float64:
		return v != 0
	}
	r.err = errors.Join(r.err, fmt.Errorf("the column %s is neither true nor false", column))
	return false
}

// list reads the JSON list of texts that a text holds.
func (r *record) list(column string) (list []string) {
	if s := r.text(column); s != "" {
		if err := json.Unmarshal([]byte(s), &list); err != nil {
			return []string{s} // an upload of somebody else may have anything there
		}
	}
	return list
}
