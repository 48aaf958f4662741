package pipeline

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"mssentinel/app/ledger"
	"mssentinel/app/sentinel"
	"mssentinel/app/store"
)

const (
	// verifyPage is how many objects of the workspace and of the ledger are compared at a time.
	verifyPage = 5_000
	// verifySample is about how many objects a sample has.
	verifySample = 1_000
)

// ledgerPages is what a verification reads of the ledger, and where it keeps what it finds.
type ledgerPages interface {
	Recorded(ctx context.Context, after, upTo uuid.UUID, limit int) (page []ledger.Recorded, covered uuid.UUID, err error)
	AddDifferences(ctx context.Context, differences []ledger.Difference) error
}

// verification is one comparison, on the goroutine of Verify. Both sides are read in pages in the order of the ids, so that memory
// does not depend on the number of objects.
type verification struct {
	*verifier
	ctx    context.Context
	result *store.Verification
	// expected is about how many objects are compared.
	expected int64
}

// compareLedger counts both sides and compares them id by id. A page of the workspace is read before the ledger is asked for the same ids: what
// was accepted in between is then too new to tell.
func (r *verification) compareLedger() error {
	err := r.disk.retryWrite(r.ctx, func(ctx context.Context) error { return r.store.BeginVerification(ctx, *r.result) })
	if err != nil {
		return fmt.Errorf("beginning a verification: %w", err)
	}
	if err := r.countTypes(); err != nil {
		return err
	}
	after, upTo := r.chooseIDs()
	r.noteProgress(r.result, r.expected)
	for afterID := indicatorID(after); ; {
		now := time.Now()
		rows, err := r.reader.ListStanding(r.ctx, r.source, afterID, r.pageSize)
		if err != nil {
			return err
		}
		standing, covered := r.readStanding(rows, after, upTo)
		if err := r.comparePage(after, covered, standing, now); err != nil {
			return err
		}
		if covered == upTo {
			return nil
		}
		afterID, after = rows[len(rows)-1].ID, covered
	}
}

// indicatorID is an id as STIX writes it; "" for the one before all others.
func indicatorID(id uuid.UUID) string {
	if id == uuid.Nil {
		return ""
	}
	return "indicator--" + id.String()
}

// countTypes counts what the ledger and the workspace have of each type.
func (r *verification) countTypes() error {
	schedule, err := r.store.Schedule(r.ctx)
	if err != nil {
		return err
	}
	r.result.ReadAll = !schedule.LastFullRead.IsZero()
	standing, err := r.reader.CountStanding(r.ctx, r.source)
	if err != nil {
		return err
	}
	recorded, err := r.store.CountRecorded(r.ctx, time.Now())
	if err != nil {
		return err
	}
	r.result.Types = joinTypes(recorded, standing)
	return nil
}

// joinTypes puts the counts of both sides side by side, in the order of the types.
func joinTypes(recorded []store.RecordedType, standing []sentinel.TypeCount) []store.VerifiedType {
	byType := map[string]*store.VerifiedType{}
	of := func(name string) *store.VerifiedType {
		if byType[name] == nil {
			byType[name] = &store.VerifiedType{Type: name}
		}
		return byType[name]
	}
	for _, t := range recorded {
		of(t.Type).Recorded = t.Live
		if t.Sent != 0 {
			of(t.Type).Sent = time.UnixMilli(t.Sent).UTC()
		}
	}
	for _, t := range standing {
		v := of(t.Type)
		v.Active, v.Expired, v.Newest = t.Active, t.Expired, t.Newest
	}
	types := make([]store.VerifiedType, 0, len(byType))
	for _, t := range byType {
		types = append(types, *t)
	}
	slices.SortFunc(types, func(a, b store.VerifiedType) int { return cmp.Compare(a.Type, b.Type) })
	return types
}

// chooseIDs says which ids are compared: those after one and up to another. An id is a hash, so all objects within a range of ids are as
// good a sample as any other.
func (r *verification) chooseIDs() (after, upTo uuid.UUID) {
	var recorded, active int64
	for _, t := range r.result.Types {
		recorded, active = recorded+t.Recorded, active+t.Active
	}
	r.expected, r.result.Share = max(recorded, active), 1
	if r.result.All || r.expected <= r.sampleSize {
		return uuid.Nil, uuid.Max
	}
	r.result.Share = float64(r.sampleSize) / float64(r.expected)
	r.expected = r.sampleSize
	width := uint64(r.result.Share * math.MaxUint64)
	start := rand.Uint64N(math.MaxUint64 - width)
	upTo = uuid.Max
	binary.BigEndian.PutUint64(after[:8], start)
	binary.BigEndian.PutUint64(upTo[:8], start+width)
	return after, upTo
}

// readStanding reads a page of the workspace after one id and up to another. covered is the id up to which nothing is missing in it: upTo
// where there is nothing more. An id in another form than ours is none that this App sent.
func (r *verification) readStanding(rows []sentinel.Standing, after, upTo uuid.UUID) (standing []ledger.Standing, covered uuid.UUID) {
	if len(rows) == 0 {
		return nil, upTo
	}
	read := time.Now()
	covered = after
	standing = make([]ledger.Standing, 0, len(rows))
	for i := range rows {
		s := &rows[i]
		bare := strings.TrimPrefix(s.ID, "indicator--")
		id, err := uuid.Parse(bare)
		if err != nil || id.String() != bare {
			if s.Active {
				r.countDifference(ledger.Unexpected)
				r.result.Strangers++
			}
			continue
		}
		if bytes.Compare(id[:], upTo[:]) > 0 {
			return standing, upTo
		}
		covered = id
		standing = append(standing, ledger.Standing{ID: id, Pattern: s.Pattern, Name: s.Name, Created: toMilliseconds(s.Created),
			Modified: toMilliseconds(s.Modified), ValidUntil: toMilliseconds(s.ValidUntil), Active: s.Active || hasEnded(s, read)})
	}
	return standing, covered
}

// hasEnded says that nothing but its end keeps an object from being active.
func hasEnded(s *sentinel.Standing, now time.Time) bool {
	return !s.Deleted && !s.Revoked && !s.ValidUntil.IsZero() && !s.ValidUntil.After(now)
}

// toMilliseconds is 0 for the zero time.
func toMilliseconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// comparePage compares what the workspace has after one id and up to another with what the ledger has there.
func (r *verification) comparePage(after, upTo uuid.UUID, standing []ledger.Standing, now time.Time) error {
	for after != upTo {
		recorded, covered, err := r.store.Recorded(r.ctx, after, upTo, r.pageSize)
		if err != nil {
			return err
		}
		n, _ := slices.BinarySearchFunc(standing, covered, func(s ledger.Standing, id uuid.UUID) int {
			if bytes.Compare(s.ID[:], id[:]) <= 0 {
				return -1
			}
			return 1
		})
		var differences []ledger.Difference
		ledger.Compare(recorded, standing[:n], now, func(d ledger.Difference) {
			if r.countVerdict(d) {
				differences = append(differences, d)
			}
		})
		err = r.disk.retryWrite(r.ctx, func(ctx context.Context) error { return r.store.AddDifferences(ctx, differences) })
		if err != nil {
			return err
		}
		after, standing = covered, standing[n:]
		r.noteProgress(r.result, r.expected)
	}
	return nil
}

// countVerdict counts an object that was compared, and says whether it is a difference that is to be kept.
func (r *verification) countVerdict(d ledger.Difference) bool {
	switch d.Verdict {
	case ledger.Agrees:
		r.result.Agreed++
		return false
	case ledger.TooNew:
		r.result.TooNew++
		return false
	}
	r.countDifference(d.Verdict)
	if d.Verdict == ledger.Unexpected && !d.Standing.IsOurs() {
		r.result.Strangers++
	}
	if r.result.Kept == store.MaxDifferences {
		return false
	}
	r.result.Kept++
	return true
}

func (r *verification) countDifference(verdict ledger.Verdict) {
	if r.result.Differences == nil {
		r.result.Differences = map[ledger.Verdict]int64{}
	}
	r.result.Differences[verdict]++
}
