package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"mssentinel/app/job"
)

// The brake: a run that would retire more than this many objects, and more than this part of what is live, asks first.
const (
	brakeObjects = 100
	brakePart    = 10
)

// retireChunk is how many objects one transaction retires.
const retireChunk = 1000

// Retirement says what became of the objects that nobody gives any more.
type Retirement struct {
	// Queued is how many retirements were queued, Held how many objects wait for the operator's answer.
	Queued, Held int64
}

// A departure is an object that nobody gives any more.
type departure struct {
	Number     int64          `db:"number"`
	Type       int64          `db:"type"`
	State      int64          `db:"state"`
	Queued     int64          `db:"queued"`
	Retire     sql.NullBool   `db:"retire"`
	Name       sql.NullString `db:"name"`
	Created    sql.NullInt64  `db:"created"`
	ValidUntil sql.NullInt64  `db:"valid_until"`
	// Of the row that waits for Sentinel.
	QueuedName    sql.NullString `db:"queued_name"`
	QueuedCreated sql.NullInt64  `db:"queued_created"`
	QueuedUntil   sql.NullInt64  `db:"queued_until"`
}

const (
	departureColumns = `object.number, object.type, object.state, object.queued, outbox.retire, object.name, object.created, object.valid_until,
		outbox.name AS queued_name, outbox.created AS queued_created, outbox.valid_until AS queued_until`
	// departed are the objects without any candidate that left after a generation. A deleted query's candidates go with the
	// next complete read and not before: another query that selects the same may not have read them yet.
	departed = ` FROM object LEFT JOIN outbox ON outbox.seq = object.queued
		WHERE object.query = -1 AND object.destination = ? AND object.lost > ? AND object.lost <= ?
		AND NOT EXISTS (SELECT 1 FROM candidate WHERE candidate.object = object.number AND candidate.object <> 0)`
	// standing are those of them that stand in Sentinel, or may by the time that their row is sent.
	standing = ` AND (object.state = 1 AND object.valid_until > ? OR outbox.seq <= ? AND NOT outbox.retire)`
)

// Retire queues the retirement of the objects that nobody gives any more. Where these are too many, it queues nothing and
// leaves the question to the operator: Held says how many objects it is about. A question that an older job left is
// replaced, unless this one has nothing new to ask.
func (s *Store) Retire(ctx context.Context, number int64, now time.Time) (r Retirement, err error) {
	s.departures.Lock()
	defer s.departures.Unlock()
	var d destination
	var from int64
	err = s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
		if d, err = currentDestination(ctx, tx); err != nil {
			return err
		}
		from, r.Held, err = s.brake(ctx, tx, number, &d, now)
		return err
	})
	if err != nil {
		return Retirement{}, fmt.Errorf("weighing what is to be retired: %w", err)
	}
	if r.Held > 0 {
		return r, nil
	}
	r.Queued, err = s.retireDeparted(ctx, number, d, from, d.Generation, now)
	return r, err
}

// brake decides whether the operator has to be asked. from is the generation after which what left may be retired.
func (s *Store) brake(ctx context.Context, tx *transaction, number int64, d *destination, now time.Time) (from, held int64, err error) {
	// What waits for an answer is not asked about by a delta update, which has not read it again. Nobody can answer the
	// question of a job that came to nothing: it is asked again.
	var besides bool
	err = tx.GetContext(ctx, &besides, `SELECT mode = ? AND EXISTS (SELECT 1 FROM job WHERE status = ?) FROM job WHERE number = ?`,
		job.Delta, job.ConfirmationRequired, number)
	if err != nil {
		return 0, 0, fmt.Errorf("reading job %d: %w", number, err)
	}
	from = d.Kept
	if besides {
		from = d.Asked
	}
	count, err := s.countDeparted(ctx, tx, *d, from, now)
	if err != nil {
		return 0, 0, err
	}
	if count > brakeObjects {
		live, err := countLive(ctx, tx, d.Number, now)
		if err != nil {
			return 0, 0, err
		}
		if count*brakePart > live {
			held, err = s.ask(ctx, tx, number, d, now)
			return from, held, err
		}
	}
	if err := holdRetirements(ctx, tx, number, 0); err != nil {
		return 0, 0, err
	}
	if besides {
		return from, 0, nil
	}
	return from, 0, s.answerByReading(ctx, tx, d)
}

func (s *Store) countDeparted(ctx context.Context, tx *transaction, d destination, from int64, now time.Time) (n int64, err error) {
	err = tx.GetContext(ctx, &n, `SELECT count(*)`+departed+standing, d.Number, from, d.Generation, millis(now), s.handed)
	return n, err
}

func countLive(ctx context.Context, tx *transaction, destination int64, now time.Time) (n int64, err error) {
	err = tx.GetContext(ctx, &n, `SELECT count(*) FROM object WHERE destination = ? AND state = 1 AND valid_until > ?`, destination, millis(now))
	return n, err
}

// ask makes everything that left the question of this job, what was kept before included.
func (s *Store) ask(ctx context.Context, tx *transaction, number int64, d *destination, now time.Time) (held int64, err error) {
	if held, err = s.countDeparted(ctx, tx, *d, 0, now); err != nil {
		return 0, err
	}
	if err := closeQuestions(ctx, tx, number, "A newer update asks about its retirements."); err != nil {
		return 0, err
	}
	if err := holdRetirements(ctx, tx, number, held); err != nil {
		return 0, err
	}
	_, err = tx.ExecContext(ctx, `UPDATE destination SET asked = generation, generation = generation + 1 WHERE number = ?`, d.Number)
	return held, err
}

// answerByReading ends an open question: the job has read everything again, and has nothing to ask.
func (s *Store) answerByReading(ctx context.Context, tx *transaction, d *destination) error {
	if err := closeQuestions(ctx, tx, 0, "A newer update answered the question about its retirements."); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `UPDATE destination SET asked = kept WHERE number = ? AND asked <> kept`, d.Number)
	return err
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
	var j job.Job
	var d destination
	err := s.inTransaction(ctx, func(ctx context.Context, tx *transaction) (err error) {
		if j, err = readJob(ctx, tx, requestID); err != nil {
			return err
		}
		dismissed := j
		if err := dismissed.EndQuestion(fmt.Sprintf("Dismissed: %d objects stay in Sentinel.", j.Question())); err != nil {
			return err
		}
		if d, err = currentDestination(ctx, tx); err != nil || confirm {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE destination SET kept = asked WHERE number = ?`, d.Number); err != nil {
			return fmt.Errorf("closing the question: %w", err)
		}
		return writeJob(ctx, tx, &dismissed)
	})
	if err != nil || !confirm {
		return err
	}
	queued, err := s.retireDeparted(ctx, j.Number, d, 0, d.Asked, now)
	if err != nil {
		return err
	}
	return s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
		if _, err := tx.ExecContext(ctx, `UPDATE destination SET asked = kept WHERE number = ? AND asked = ?`, d.Number, d.Asked); err != nil {
			return fmt.Errorf("closing the question: %w", err)
		}
		if j, err = readJob(ctx, tx, requestID); err != nil { // its counts grew
			return err
		}
		if err := j.EndQuestion(fmt.Sprintf("Confirmed: %d objects are being retired.", queued)); err != nil {
			return err
		}
		return writeJob(ctx, tx, &j)
	})
}

// retireDeparted queues the retirement of what left in the generations after from up to to, in transactions of bounded
// size. What does not stand is only noted as gone.
func (s *Store) retireDeparted(ctx context.Context, number int64, d destination, from, to int64, now time.Time) (queued int64, err error) {
	for after, more := int64(0), true; more; {
		err := s.inTransaction(ctx, func(ctx context.Context, tx *transaction) error {
			var objects []departure
			err := tx.SelectContext(ctx, &objects, `SELECT `+departureColumns+departed+` AND object.number > ? ORDER BY object.number LIMIT ?`,
				d.Number, from, to, after, retireChunk)
			if err != nil || len(objects) == 0 {
				more = false
				return err
			}
			after, more = objects[len(objects)-1].Number, len(objects) == retireChunk
			w := &withdrawal{store: s, destination: d.Number, generation: d.Generation, job: number, now: millis(now)}
			if err := w.retireAll(ctx, tx, objects); err != nil {
				return err
			}
			queued += int64(w.queued)
			return w.write(ctx, tx)
		})
		if err != nil {
			return queued, fmt.Errorf("queueing retirements: %w", err)
		}
	}
	return queued, nil
}

// withdrawal takes objects out of the ledger that nobody gives any more.
type withdrawal struct {
	store            *Store
	destination, job int64
	generation       int64
	now              int64

	queued                 int
	rows, objects, perhaps []any
	dropped                []int64
}

// retireAll queues the retirement of objects. The newest row of one may be dropped while an older one is under way.
func (w *withdrawal) retireAll(ctx context.Context, tx *transaction, objects []departure) error {
	numbers := make([]int64, len(objects))
	for i, o := range objects {
		numbers[i] = o.Number
	}
	rows, err := tx.QueryContext(ctx, `SELECT object, seq, retire, name, created, valid_until FROM outbox
		WHERE seq <= ? AND object IN (SELECT value FROM json_each(?)) ORDER BY seq`, w.store.handed, set(numbers))
	if err != nil {
		return err
	}
	defer rows.Close()
	underWay := map[int64]outboxRow{}
	for rows.Next() {
		var r outboxRow
		if err := rows.Scan(&r.object, &r.seq, &r.retire, &r.name, &r.created, &r.validUntil); err != nil {
			return err
		}
		underWay[r.object] = r
	}
	for _, o := range objects {
		w.retire(o, underWay[o.Number])
	}
	return rows.Err()
}

// retire queues an object's retirement where it stands in Sentinel or may stand. A row of it that waits and cannot have
// left yet is dropped. away is the newest row that may have left, if there is one.
func (w *withdrawal) retire(o departure, away outboxRow) {
	if o.Queued > w.store.handed && !o.Retire.Bool {
		w.dropped = append(w.dropped, o.Queued)
		o.Queued = 0
	}
	if o.Queued == 0 && away.seq != 0 {
		o.Queued, o.Retire.Bool, o.QueuedUntil.Int64 = away.seq, away.retire, away.validUntil
		o.QueuedName, o.QueuedCreated = sql.NullString{String: away.name, Valid: true}, sql.NullInt64{Int64: away.created, Valid: true}
	}
	waits := o.Queued != 0 && !o.Retire.Bool
	name, created := o.Name, o.Created
	if waits {
		name, created = o.QueuedName, o.QueuedCreated
		w.perhaps = append(w.perhaps, o.Number, o.Queued, name.String, created.Int64, o.QueuedUntil.Int64)
	}
	switch {
	case o.Queued != 0 && o.Retire.Bool:
		// Its retirement waits already.
	case waits || o.State == stateLive && o.ValidUntil.Int64 > w.now:
		w.queued++
		o.Queued = w.store.nextSeq
		w.store.nextSeq++
		w.rows = append(w.rows, o.Queued, o.Number, w.job, w.destination, true, int64(nobody), int64(0), o.Type, name.String, created.Int64, w.now, nil)
	}
	w.objects = append(w.objects, o.Number, int64(nobody), o.Queued, w.generation)
}

// abandonAll leaves objects where they are: their workspace is not served any more. Should it be served again, they are
// some that left.
func (w *withdrawal) abandonAll(objects []departure) {
	for _, o := range objects {
		w.objects = append(w.objects, o.Number, int64(vacant), o.Queued, w.generation)
	}
}

var withdrawObjects = newSingle(4, `UPDATE object SET query = ?2, indicator = 0, hash = NULL, queued = ?3, lost = iif(query > 0, ?4, lost)
	WHERE number = ?1`)

func (w *withdrawal) write(ctx context.Context, tx *transaction) error {
	t := job.Tally{}
	if _, err := w.store.drop(ctx, tx, w.dropped, t); err != nil {
		return err
	}
	t.Of(w.job, nobody, "").Queued += int64(w.queued)
	for _, b := range []struct {
		bulk   bulk
		values []any
	}{{mayStand, w.perhaps}, {insertQueue, w.rows}, {withdrawObjects, w.objects}} {
		if err := b.bulk.exec(ctx, tx, b.values); err != nil {
			return err
		}
	}
	return writeTally(ctx, tx, t)
}
