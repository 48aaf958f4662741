package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
	"mssentinel/app/mask"
	"mssentinel/app/stix"
	"mssentinel/app/text"
)

// MaxDifferences is how many differences of a verification are kept. Those beyond are counted alone: another verification finds them
// when the first ones were put right.
const MaxDifferences = 100_000

// VerificationState says how a verification ended, or that it did not.
type VerificationState string

// The states of a verification.
const (
	VerificationRunning   VerificationState = "running"
	VerificationComplete  VerificationState = "complete"
	VerificationCancelled VerificationState = "cancelled"
	// VerificationRefused: the application may not read the workspace.
	VerificationRefused VerificationState = "refused"
	VerificationFailed  VerificationState = "failed"
)

// Verification is what came of comparing the ledger with the workspace.
type Verification struct {
	Began time.Time         `json:"began"`
	Ended time.Time         `json:"ended"` // zero while it runs
	State VerificationState `json:"state"`
	// Message says why it did not come to its end, with the remedy.
	Message string `json:"message"`
	// All: every id was asked for; else a sample, which is this share of all ids.
	All   bool    `json:"all"`
	Share float64 `json:"share"`
	// ReadAll: an update had read everything that the queries select. Before that, what is unexpected may only be unknown yet.
	ReadAll bool           `json:"read_all"`
	Types   []VerifiedType `json:"types"`
	// Agreed and TooNew count objects that do not differ, or of which it cannot be told yet.
	Agreed int64 `json:"agreed"`
	TooNew int64 `json:"too_new"`
	// Differences counts the others, Strangers those of the unexpected that this App did not make.
	Differences map[ledger.Verdict]int64 `json:"differences"`
	Strangers   int64                    `json:"strangers"`
	// Kept is how many differences were kept: all, or [MaxDifferences].
	Kept int64 `json:"kept"`
	// Repairs are what was done about the differences since.
	Repairs []Repair `json:"repairs"`
}

// VerifiedType is what both sides have of one STIX type.
type VerifiedType struct {
	Type string `json:"type"`
	// Recorded is how many objects the ledger says are live; Sent is when one of them was last accepted, zero for never.
	Recorded int64     `json:"recorded"`
	Sent     time.Time `json:"sent"`
	// Active and Expired is what the workspace has; Newest is when the last row came, zero for never.
	Active  int64     `json:"active"`
	Expired int64     `json:"expired"`
	Newest  time.Time `json:"newest"`
}

// Repair is a command that was given about differences.
type Repair struct {
	At time.Time `json:"at"`
	// Retire: they are retired; else they are sent again.
	Retire  bool  `json:"retire"`
	Objects int64 `json:"objects"`
	// RequestID is that of the job that does it.
	RequestID string `json:"request_id"`
}

// Compared is how many objects were looked at of which one of the two says that they are live.
func (v *Verification) Compared() int64 { return v.Agreed + v.TooNew + v.CountDifferences() }

// CountDifferences is how many differ.
func (v *Verification) CountDifferences() (n int64) {
	for _, count := range v.Differences {
		n += count
	}
	return n
}

// Verification is the last one; its State is "" where there was none for this workspace and source name.
func (s *Store) Verification(ctx context.Context) (v Verification, err error) {
	kept, err := readSetting(ctx, s.read, settingVerification)
	if err != nil || kept == "" {
		return v, err
	}
	if err := json.Unmarshal([]byte(kept), &v); err != nil {
		return v, fmt.Errorf("reading the last verification: %w", err)
	}
	return v, nil
}

// BeginVerification forgets what the last verification found, and keeps that another one runs.
func (s *Store) BeginVerification(ctx context.Context, v Verification) error {
	err := s.dropChunks(ctx, `DELETE FROM difference WHERE (kind, id) IN (SELECT kind, id FROM difference LIMIT ?)`, nil)
	if err != nil {
		return fmt.Errorf("forgetting the last verification: %w", err)
	}
	return s.KeepVerification(ctx, v)
}

// KeepVerification keeps what came of a verification.
func (s *Store) KeepVerification(ctx context.Context, v Verification) error {
	v.Message = text.Cut(mask.Text(v.Message), job.MaxMessage)
	kept, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("keeping a verification: %w", err)
	}
	return s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
		return putSetting(ctx, tx, settingVerification, string(kept))
	})
}

var insertDifferences = newBulk(12, `INSERT OR REPLACE INTO difference (kind, id, object, sent, recorded_until, standing, pattern, name, created,
	modified, valid_until, stranger) VALUES `, ``)

// differenceChunk is how many differences one transaction writes or puts right.
const differenceChunk = 1000

// AddDifferences keeps differences that a verification found.
func (s *Store) AddDifferences(ctx context.Context, differences []ledger.Difference) error {
	for len(differences) > 0 {
		n := min(len(differences), differenceChunk)
		err := s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
			return insertDifferences.execRows(ctx, tx, differenceValues(differences[:n]))
		})
		if err != nil {
			return fmt.Errorf("keeping what differs: %w", err)
		}
		differences = differences[n:]
	}
	return nil
}

func differenceValues(differences []ledger.Difference) []any {
	values := make([]any, 0, insertDifferences.columns*len(differences))
	for i := range differences {
		d := &differences[i]
		var object, sent, until int64
		s := ledger.Standing{}
		if d.Recorded != nil {
			object, sent, until = d.Recorded.Number, d.Recorded.Sent, d.Recorded.ValidUntil
			s.Pattern, s.Name = d.Recorded.Pattern, d.Recorded.Name
		}
		if d.Standing != nil {
			s = *d.Standing
		}
		stranger := d.Recorded == nil && !s.IsOurs()
		values = append(values, string(d.Verdict), d.ID[:], object, sent, until, d.Standing != nil, s.Pattern, s.Name, s.Created, s.Modified,
			s.ValidUntil, stranger)
	}
	return values
}

// Difference is an object of which the ledger and the workspace say different things. Zero times are "never", or "no end" where the
// workspace has a row.
type Difference struct {
	ID      string
	Verdict ledger.Verdict
	// Pattern and Name are the workspace's, or else the ledger's.
	Pattern, Name string
	// Sent is when Sentinel last accepted a row of it, RecordedUntil until when the ledger says that it is valid.
	Sent, RecordedUntil time.Time
	// Standing: the workspace has a row, with these times.
	Standing             bool
	Modified, ValidUntil time.Time
	// Stranger: this App did not make the object, and cannot retire it.
	Stranger bool
}

// differenceRow is a row of the table difference.
type differenceRow struct {
	Kind          string `db:"kind"`
	ID            []byte `db:"id"`
	Object        int64  `db:"object"`
	Sent          int64  `db:"sent"`
	RecordedUntil int64  `db:"recorded_until"`
	Standing      bool   `db:"standing"`
	Pattern       string `db:"pattern"`
	Name          string `db:"name"`
	Created       int64  `db:"created"`
	Modified      int64  `db:"modified"`
	ValidUntil    int64  `db:"valid_until"`
	Stranger      bool   `db:"stranger"`
}

func (r *differenceRow) toDifference() Difference {
	return Difference{ID: "indicator--" + r.uuid().String(), Verdict: ledger.Verdict(r.Kind), Pattern: r.Pattern, Name: r.Name,
		Sent: fromMillisOrZero(r.Sent), RecordedUntil: fromMillisOrZero(r.RecordedUntil), Standing: r.Standing,
		Modified: fromMillisOrZero(r.Modified), ValidUntil: fromMillisOrZero(r.ValidUntil), Stranger: r.Stranger}
}

func (r *differenceRow) uuid() (id uuid.UUID) {
	copy(id[:], r.ID)
	return id
}

func (r *differenceRow) toStanding() ledger.Standing {
	return ledger.Standing{ID: r.uuid(), Pattern: r.Pattern, Name: r.Name, Created: r.Created, Modified: r.Modified, ValidUntil: r.ValidUntil, Active: true}
}

func fromMillisOrZero(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return fromMillis(ms)
}

// Differences are the first of those of one kind that were kept and not put right yet, in the order of their ids.
func (s *Store) Differences(ctx context.Context, kind ledger.Verdict, limit int) ([]Difference, error) {
	var rows []differenceRow
	if err := s.read.SelectContext(ctx, &rows, `SELECT * FROM difference WHERE kind = ? ORDER BY id LIMIT ?`, string(kind), limit); err != nil {
		return nil, fmt.Errorf("reading what differs: %w", err)
	}
	differences := make([]Difference, len(rows))
	for i := range rows {
		differences[i] = rows[i].toDifference()
	}
	return differences, nil
}

// Repairable is how many of the differences that were kept can be put right.
type Repairable struct {
	// SendAgain can be sent again, Retire can be retired. NeedsConfirmation: the update that retires them asks first.
	SendAgain, Retire int64
	NeedsConfirmation bool
}

var (
	sentAgain = ` FROM difference WHERE object <> 0 AND kind IN ('` + joinVerdicts(ledger.SentAgain) + `')`
	retirable = ` FROM difference WHERE NOT stranger AND kind = '` + string(ledger.Unexpected) + `'`
)

func joinVerdicts(verdicts []ledger.Verdict) string {
	names := make([]string, len(verdicts))
	for i, v := range verdicts {
		names[i] = string(v)
	}
	return strings.Join(names, `', '`)
}

// Repairable counts the differences that can be put right.
func (s *Store) Repairable(ctx context.Context, now time.Time) (r Repairable, err error) {
	err = s.read.QueryRowxContext(ctx, `SELECT (SELECT count(*)`+sentAgain+`), (SELECT count(*)`+retirable+`)`).Scan(&r.SendAgain, &r.Retire)
	if err != nil {
		return r, fmt.Errorf("counting what differs: %w", err)
	}
	if r.Retire == 0 {
		return r, nil
	}
	d, err := currentDestination(ctx, s.read)
	if err != nil {
		return r, err
	}
	r.NeedsConfirmation, err = ledger.NeedsConfirmation(r.Retire, func() (n int64, err error) {
		// What is retired is live by then.
		err = s.read.GetContext(ctx, &n, `SELECT count(*)`+live, d.Number, toMillis(now))
		return n + r.Retire, err
	})
	return r, err
}

// SendDifferencesAgain has the next update send what is missing, expired or other than it was sent, and forgets these differences. Its
// number is how many objects these are: what nobody gives any more, or has a row on its way, is left alone.
func (s *Store) SendDifferencesAgain(ctx context.Context) (objects int64, err error) {
	return s.repairDifferences(ctx, `SELECT *`+sentAgain+` ORDER BY kind, id LIMIT ?`, sendRowsAgain)
}

// RetireDifferences takes what is unexpected into the ledger, as what departed, so that the next update retires it unless a query gives
// it; and forgets these differences. Its number is how many objects these are.
func (s *Store) RetireDifferences(ctx context.Context, now time.Time) (objects int64, err error) {
	return s.repairDifferences(ctx, `SELECT *`+retirable+` ORDER BY id LIMIT ?`,
		func(ctx context.Context, tx *transaction, rows []differenceRow, d *destination) (int64, error) {
			return s.adoptRows(ctx, tx, rows, d, toMillis(now))
		})
}

// repairDifferences puts right the differences that a statement selects, in transactions of bounded size.
func (s *Store) repairDifferences(ctx context.Context, statement string,
	repair func(context.Context, *transaction, []differenceRow, *destination) (int64, error)) (objects int64, err error) {
	for more := true; more; {
		err := s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
			d, err := currentDestination(ctx, tx)
			if err != nil {
				return err
			}
			var rows []differenceRow
			if err := tx.SelectContext(ctx, &rows, statement, differenceChunk); err != nil {
				return err
			}
			more = len(rows) == differenceChunk
			n, err := repair(ctx, tx, rows, &d)
			objects += n
			if err != nil {
				return err
			}
			return dropDifferences(ctx, tx, rows)
		})
		if err != nil {
			return objects, fmt.Errorf("putting right what differs: %w", err)
		}
	}
	return objects, nil
}

var deleteDifferences = newSingle(2, `DELETE FROM difference WHERE kind = ? AND id = ?`)

func dropDifferences(ctx context.Context, tx *transaction, rows []differenceRow) error {
	values := make([]any, 0, deleteDifferences.columns*len(rows))
	for i := range rows {
		values = append(values, rows[i].Kind, rows[i].ID)
	}
	return deleteDifferences.execRows(ctx, tx, values)
}

// sendRowsAgain has the objects of differences sent again.
func sendRowsAgain(ctx context.Context, tx *transaction, rows []differenceRow, d *destination) (objects int64, err error) {
	numbers := make([]int64, len(rows))
	for i := range rows {
		numbers[i] = rows[i].Object
	}
	known, err := readObjects(ctx, tx, numbers)
	if err != nil {
		return 0, err
	}
	var changed []*ledger.Object
	for _, number := range numbers {
		if o := known[number]; o != nil && o.SendAgain(d.Generation) {
			changed = append(changed, o)
		}
	}
	return int64(len(changed)), writeObjects(ctx, tx, changed)
}

// adoptRows takes objects into the ledger that stand without its knowing.
func (s *Store) adoptRows(ctx context.Context, tx *transaction, rows []differenceRow, d *destination, now int64) (objects int64, err error) {
	known, err := readKeys(ctx, tx, rows, d.Number)
	if err != nil {
		return 0, err
	}
	var inserts []any
	var changed []*ledger.Object
	for i := range rows {
		standing := rows[i].toStanding()
		o := known[standing.Pattern]
		if fresh := o == nil; fresh {
			if o, err = s.newStanding(ctx, tx, &standing); err != nil {
				return 0, err
			}
			inserts = append(inserts, o.Number, o.Key, d.Number, o.Type, o.Pattern, o.Winner.Query, o.Winner.Indicator, o.Elected, d.Generation,
				o.Modified, nil, o.Job, o.Queued)
		}
		if o.Adopt(&standing, d.Generation, now) {
			changed = append(changed, o)
		}
	}
	if err := insertObjects.execRows(ctx, tx, inserts); err != nil {
		return 0, err
	}
	return int64(len(changed)), writeObjects(ctx, tx, changed)
}

// newStanding is a new object that nobody gives. The type of the indicator that once gave it is not known: the one of its pattern stands
// for it.
func (s *Store) newStanding(ctx context.Context, tx *transaction, standing *ledger.Standing) (*ledger.Object, error) {
	typ, err := s.names.typeNumber(ctx, tx, stix.TypeOf(standing.Pattern))
	if err != nil {
		return nil, err
	}
	if err := s.loadNewKeys(ctx, tx); err != nil {
		return nil, err
	}
	o := &ledger.Object{Number: s.nextObject, Key: ledger.Key(standing.ID), Type: typ, Pattern: standing.Pattern}
	s.nextObject++
	s.newObjects.add(o.Key, o.Number)
	return o, nil
}

// readKeys reads, by their patterns, the objects of a destination that the ledger knows.
func readKeys(ctx context.Context, tx *transaction, differences []differenceRow, destination int64) (map[string]*ledger.Object, error) {
	keys := make([]int64, len(differences))
	for i := range differences {
		keys[i] = ledger.Key(differences[i].uuid())
	}
	rows, err := tx.QueryContext(ctx, selectByKey(objectColumns+`, object.pattern`), jsonList(keys), destination)
	if err != nil {
		return nil, fmt.Errorf("reading the ledger: %w", err)
	}
	defer rows.Close()
	known := map[string]*ledger.Object{}
	for rows.Next() {
		var pattern string
		o, err := scanObject(rows, &pattern)
		if err != nil {
			return nil, fmt.Errorf("reading the ledger: %w", err)
		}
		o.Pattern = pattern
		known[pattern] = o
	}
	return known, rows.Err()
}
