package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
)

// departChunk is how many objects one transaction takes out of the ledger.
const departChunk = 1000

// Retirement says what became of the objects that nobody gives any more.
type Retirement struct {
	// Queued is how many retirements were queued, Held how many objects wait for the operator's answer.
	Queued, Held int64
}

// departed are the objects that ledger.Object.HasDeparted is true for: without any candidate, and left after a generation and up
// to another, by at most a loss. A deleted query's candidates go with the next update that reads everything and not before: another query that
// selects the same may not have read them yet. mayStand are those of them that ledger.Object.MayStand is true for.
var (
	departed      = joinQueued + whereDeparted
	joinQueued    = ` FROM object LEFT JOIN outbox ON outbox.seq = object.queued`
	whereDeparted = fmt.Sprintf(` WHERE object.query = %d AND object.destination = ? AND object.left_in > ? AND object.left_in <= ?
		AND object.indicator <= ? AND NOT EXISTS (SELECT 1 FROM candidate WHERE candidate.object = object.number AND candidate.object <> 0)`, ledger.QueryVacant)
	mayStand   = fmt.Sprintf(` AND (object.state = %d AND object.valid_until > ? OR outbox.seq <= ? AND NOT outbox.retire)`, ledger.Live)
	setCertain = `UPDATE object SET indicator = ? WHERE number IN (
		SELECT object.number` + departed + ` AND object.indicator > ? LIMIT ?)`
	postpone = fmt.Sprintf(`UPDATE object SET left_in = ? WHERE query = %d AND destination = ? AND left_in > ? AND left_in <= ?
		AND indicator > %d`, ledger.QueryVacant, ledger.Certain)
	live = fmt.Sprintf(` FROM object WHERE destination = ? AND state = %d AND valid_until > ?`, ledger.Live)
)

// Retire queues the retirement of the objects that nobody gives any more. complete says that the job read every query; else
// only what is certainly gone is retired. Where these are too many, it queues nothing and leaves the question to the operator:
// Held says how many objects it is about. A question that an older job left is replaced, unless this one has nothing new to ask.
func (s *Store) Retire(ctx context.Context, number int64, complete bool, now time.Time) (r Retirement, err error) {
	s.departures.Lock()
	defer s.departures.Unlock()
	d, err := currentDestination(ctx, s.read)
	if err != nil {
		return Retirement{}, err
	}
	w, err := s.readScope(ctx, number, complete, &d)
	if err != nil {
		return Retirement{}, err
	}
	ask := false
	err = s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
		if ask, err = s.needsConfirmation(ctx, tx, &w, &d, now); err != nil || ask {
			return err
		}
		if err := holdRetirements(ctx, tx, number, 0); err != nil || w.beside {
			return err
		}
		return closeByReading(ctx, tx, &d)
	})
	if err != nil {
		return Retirement{}, fmt.Errorf("weighing what is to be retired: %w", err)
	}
	if ask {
		r.Held, err = s.askOperator(ctx, &w, &d, now)
		return r, err
	}
	if r.Queued, err = s.departAll(ctx, number, d, w.departures(d.Generation), ledger.Unselected, now); err != nil || w.most < ledger.Disputed {
		return r, err
	}
	disputed, err := s.retireDisputed(ctx, number, d, now)
	r.Queued += disputed
	return r, err
}

// retireDisputed queues once more the retirements that Sentinel rejected under source names which the Service had before in the
// present workspace. What is left there departed when the name was changed, and nobody is asked about it.
func (s *Store) retireDisputed(ctx context.Context, number int64, d destination, now time.Time) (queued int64, err error) {
	var former []destination
	err = s.read.SelectContext(ctx, &former, `SELECT number, workspace, source, generation, asked, kept FROM destination
		WHERE workspace = ? AND number <> ?`, d.Workspace, d.Number)
	if err != nil {
		return 0, fmt.Errorf("reading the former source names: %w", err)
	}
	for _, f := range former {
		n, err := s.departAll(ctx, number, f, departures{0, f.Generation, ledger.Disputed}, ledger.Disputed, now)
		queued += n
		if err != nil {
			return queued, err
		}
	}
	return queued, nil
}

// scope is which departures a job may retire.
type scope struct {
	job int64
	// beside: it has not read again what an open question is about.
	beside bool
	after  int64
	most   ledger.Loss
}

// departures are those of a scope, up to a generation.
func (w *scope) departures(upTo int64) departures { return departures{w.after, upTo, w.most} }

// departures are objects that left after a generation and up to another, by at most a loss.
type departures struct {
	after, upTo int64
	most        ledger.Loss
}

// readScope says which departures a job may retire.
func (s *Store) readScope(ctx context.Context, number int64, complete bool, d *destination) (w scope, err error) {
	j, err := readJobNumber(ctx, s.read, number)
	if err != nil {
		return w, err
	}
	w = scope{job: number, most: ledger.RetirableLoss(complete, j.Mode.ReadsAll())}
	if w.beside, err = isBesideQuestion(ctx, s.read, j.Mode, complete); err != nil {
		return w, err
	}
	w.after = d.RetireAfter(w.beside)
	return w, nil
}

func (s *Store) needsConfirmation(ctx context.Context, tx *transaction, w *scope, d *destination, now time.Time) (bool, error) {
	count, err := s.countDeparted(ctx, tx, d, w.departures(d.Generation), now)
	if err != nil {
		return false, err
	}
	return ledger.NeedsConfirmation(count, func() (n int64, err error) {
		err = tx.GetContext(ctx, &n, `SELECT count(*)`+live, d.Number, toMillis(now))
		return n, err
	})
}

// CountLive returns how many objects stand in the present destination and have not expired by now, as the ledger has it; 0
// before there is a destination.
func (s *Store) CountLive(ctx context.Context, now time.Time) (n int64, err error) {
	d, err := currentDestination(ctx, s.read)
	if errors.Is(err, errNoDestination) {
		return 0, nil
	}
	if err == nil {
		err = s.read.GetContext(ctx, &n, `SELECT count(*)`+live, d.Number, toMillis(now))
	}
	if err != nil {
		return 0, fmt.Errorf("counting what stands: %w", err)
	}
	return n, nil
}

// isBesideQuestion says that a job beside an open question has not read again what that is about: a delta update, or one in
// which a query could not be read. Nobody can answer the question of a job that came to nothing: it is asked again.
func isBesideQuestion(ctx context.Context, q querier, mode job.Mode, complete bool) (beside bool, err error) {
	if complete && mode.ReadsAll() {
		return false, nil
	}
	err = q.GetContext(ctx, &beside, `SELECT EXISTS (SELECT 1 FROM job WHERE status = ?)`, job.ConfirmationRequired)
	if err != nil {
		return false, fmt.Errorf("looking for an open question: %w", err)
	}
	return beside, nil
}

func (s *Store) countDeparted(ctx context.Context, tx *transaction, d *destination, which departures, now time.Time) (n int64, err error) {
	if err := s.writeUnwritten(ctx, tx); err != nil {
		return 0, err
	}
	err = tx.GetContext(ctx, &n, `SELECT count(*)`+departed+mayStand, d.Number, which.after, which.upTo, which.most, toMillis(now), s.handed)
	return n, err
}

// askOperator makes everything that departed the question of this job, what was kept before included, but for what is not
// certain and what the job may not retire. So the answer is about what is certain alone.
func (s *Store) askOperator(ctx context.Context, w *scope, d *destination, now time.Time) (held int64, err error) {
	if err := s.makeCertain(ctx, w, d); err != nil {
		return 0, err
	}
	err = s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
		if held, err = s.countDeparted(ctx, tx, d, departures{0, d.Generation, ledger.Certain}, now); err != nil {
			return err
		}
		if err := closeQuestions(ctx, tx, w.job, "A newer update asks about its retirements."); err != nil {
			return err
		}
		if err := holdRetirements(ctx, tx, w.job, held); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, postpone, d.Generation+1, d.Number, d.Kept, d.Generation); err != nil {
			return fmt.Errorf("leaving what is not certain to a later update: %w", err)
		}
		d.Ask()
		return writeQuestion(ctx, tx, d)
	})
	return held, err
}

// makeCertain notes, in transactions of bounded size, that what departed is certainly gone; see [ledger.Object.MakeCertain].
func (s *Store) makeCertain(ctx context.Context, w *scope, d *destination) error {
	for more := w.most > ledger.Certain; more; {
		err := s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
			result, err := tx.ExecContext(ctx, setCertain, ledger.Unselected, d.Number, w.after, d.Generation, w.most, ledger.Certain, departChunk)
			if err != nil {
				return err
			}
			n, err := result.RowsAffected()
			more = n == departChunk
			return err
		})
		if err != nil {
			return fmt.Errorf("noting what is gone: %w", err)
		}
	}
	return nil
}

// closeByReading ends an open question: the job has read everything again, and has nothing to ask.
func closeByReading(ctx context.Context, tx *transaction, d *destination) error {
	if err := closeQuestions(ctx, tx, 0, "A newer update answered the question about its retirements."); err != nil {
		return err
	}
	d.Close()
	return writeQuestion(ctx, tx, d)
}

func writeQuestion(ctx context.Context, tx *transaction, d *destination) error {
	_, err := tx.ExecContext(ctx, `UPDATE destination SET generation = ?, asked = ?, kept = ? WHERE number = ?`, d.Generation, d.Asked, d.Kept, d.Number)
	if err != nil {
		return fmt.Errorf("keeping the question about retirements: %w", err)
	}
	return nil
}

// closeQuestions ends the questions of all jobs but one.
func closeQuestions(ctx context.Context, tx *transaction, except int64, message string) error {
	var rows []jobRow
	err := tx.SelectContext(ctx, &rows, selectJob+` WHERE status = ? AND number <> ?`, job.ConfirmationRequired, except)
	if err != nil {
		return fmt.Errorf("closing older questions: %w", err)
	}
	for i := range rows {
		j := rows[i].toJob()
		if err := j.EndQuestion(message); err != nil {
			return err
		}
		if err := writeJob(ctx, tx, &j); err != nil {
			return err
		}
	}
	return nil
}

// holdRetirements keeps how many objects a job asks about.
func holdRetirements(ctx context.Context, tx *transaction, number, objects int64) error {
	j, err := readJobNumber(ctx, tx, number)
	if err != nil {
		return err
	}
	if err := j.Hold(objects); err != nil {
		return err
	}
	return writeJob(ctx, tx, &j)
}

// AnswerRetirement answers the question of a job in Confirmation Required, else [job.ErrState]. Confirmed is what the question
// was about and still nobody gives; dismissed, it stays in Sentinel until it returns or its time to live runs out.
func (s *Store) AnswerRetirement(ctx context.Context, requestID string, confirm bool, now time.Time) error {
	s.departures.Lock()
	defer s.departures.Unlock()
	if !confirm {
		return s.endQuestion(ctx, requestID, func(j *job.Job, d *destination) error {
			d.Dismiss()
			return j.EndQuestion(fmt.Sprintf("Dismissed: %d objects stay in Sentinel.", j.Question()))
		})
	}
	j, err := readJob(ctx, s.read, requestID)
	if err != nil {
		return err
	}
	answered := j
	if err := answered.EndQuestion(""); err != nil { // before anything is retired
		return err
	}
	d, err := currentDestination(ctx, s.read)
	if err != nil {
		return err
	}
	queued, err := s.departAll(ctx, j.Number, d, departures{0, d.Asked, ledger.Certain}, ledger.Unselected, now)
	if err != nil {
		return err
	}
	return s.endQuestion(ctx, requestID, func(j *job.Job, d *destination) error {
		d.Close()
		return j.EndQuestion(fmt.Sprintf("Confirmed: %d objects are being retired.", queued))
	})
}

// endQuestion keeps how a question ended.
func (s *Store) endQuestion(ctx context.Context, requestID string, end func(*job.Job, *destination) error) error {
	return s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
		j, err := readJob(ctx, tx, requestID)
		if err != nil {
			return err
		}
		d, err := currentDestination(ctx, tx)
		if err != nil {
			return err
		}
		if err := end(&j, &d); err != nil {
			return err
		}
		if err := writeQuestion(ctx, tx, &d); err != nil {
			return err
		}
		return writeJob(ctx, tx, &j)
	})
}

// departAll queues the retirement of what departed by at least a loss, in transactions of bounded size. What does not stand is only
// noted as gone.
func (s *Store) departAll(ctx context.Context, number int64, d destination, which departures, least ledger.Loss, now time.Time) (queued int64, err error) {
	for last, more := int64(0), true; more; {
		err := s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
			objects, err := s.readDepartures(ctx, tx, departed+` AND object.indicator >= ? AND object.number > ? ORDER BY object.number LIMIT ?`,
				d.Number, which.after, which.upTo, which.most, least, last, departChunk)
			if err != nil || len(objects) == 0 {
				more = false
				return err
			}
			last, more = objects[len(objects)-1].Number, len(objects) == departChunk
			n, err := s.departObjects(ctx, tx, objects, number, &d, now)
			queued += n
			return err
		})
		if err != nil {
			return queued, fmt.Errorf("queueing retirements: %w", err)
		}
	}
	return queued, nil
}

// departing is an object with its newest row in the outbox.
type departing struct {
	*ledger.Object
	newest ledger.Row
}

// readDepartures reads objects with their newest rows; from is the rest of the statement.
func (s *Store) readDepartures(ctx context.Context, tx *transaction, from string, args ...any) ([]departing, error) {
	if err := s.writeUnwritten(ctx, tx); err != nil {
		return nil, err
	}
	rows, err := tx.QueryContext(ctx, `SELECT `+objectColumns+`, coalesce(outbox.seq, 0), coalesce(outbox.retire, 0), `+outboxName+`,
		coalesce(outbox.created, 0), coalesce(outbox.valid_until, 0)`+from, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var objects []departing
	for rows.Next() {
		var r ledger.Row
		o, err := scanObject(rows, &r.Seq, &r.Retire, &r.Name, &r.Created, &r.ValidUntil)
		if err != nil {
			return nil, err
		}
		objects = append(objects, departing{o, r})
	}
	return objects, rows.Err()
}

// departObjects has objects depart, and says how many retirements it queued. The newest row of an object may be dropped while an older
// one is under way.
func (s *Store) departObjects(ctx context.Context, tx *transaction, objects []departing, number int64, d *destination, now time.Time) (queued int64, err error) {
	numbers := make([]int64, len(objects))
	for i, o := range objects {
		numbers[i] = o.Number
	}
	underWay, err := readUnderWay(ctx, tx, s.handed, numbers)
	if err != nil {
		return 0, err
	}
	var dropped []int64
	var rows []any
	changed := make([]*ledger.Object, 0, len(objects))
	for _, o := range objects {
		w := o.Depart(o.newest, underWay[o.Number], s.handed, s.nextSeq, d.Generation, toMillis(now))
		if w.Drop != 0 {
			dropped = append(dropped, w.Drop)
		}
		if r := w.Retirement; r.Seq != 0 {
			s.nextSeq++
			queued++
			rows = append(rows, r.Seq, o.Number, number, d.Number, true, ledger.QueryNobody, int64(0), o.Type, r.Name, nil, r.Created, r.ValidUntil)
		}
		changed = append(changed, o.Object)
	}
	t := job.Tally{}
	if _, err := s.takeCounted(ctx, tx, dropped, t); err != nil {
		return 0, err
	}
	if err := insertRows.execRows(ctx, tx, rows); err != nil {
		return 0, err
	}
	if err := writeObjects(ctx, tx, changed); err != nil {
		return 0, err
	}
	t.Of(number, ledger.QueryNobody, "").Queued += queued
	return queued, writeTally(ctx, tx, t)
}

// readUnderWay reads, by object, the newest row up to the last that was handed to Upload: it may have left.
func readUnderWay(ctx context.Context, tx *transaction, handed int64, objects []int64) (map[int64]ledger.Row, error) {
	rows, err := tx.QueryContext(ctx, `SELECT object, seq, retire, `+outboxName+`, created, valid_until FROM outbox
		WHERE seq <= ? AND object IN (SELECT value FROM json_each(?)) ORDER BY seq`, handed, jsonList(objects))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	underWay := map[int64]ledger.Row{}
	for rows.Next() {
		var object int64
		var r ledger.Row
		if err := rows.Scan(&object, &r.Seq, &r.Retire, &r.Name, &r.Created, &r.ValidUntil); err != nil {
			return nil, err
		}
		underWay[object] = r
	}
	return underWay, rows.Err()
}
