package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"mssentinel/app/job"
	"mssentinel/app/ledger"
	"mssentinel/app/stix"
	"mssentinel/app/store"
	"mssentinel/app/threatconnect"
	"mssentinel/plugins/mapper"
)

// previewCap is how many indicators a preview shows.
const previewCap = 100

// Preview is what a query would send, nothing of which is kept.
type Preview struct {
	TotalCount    int
	ReturnedCount int
	Cap           int
	Truncated     bool
	// BelowFloor counts the indicators that do not reach the confidence floor of the query.
	BelowFloor int
	Objects    []json.RawMessage
	Problems   []string
	// Rows are the indicators in the order of the query, each once for each object that it gives.
	Rows []PreviewRow
}

// PreviewRow is an indicator and an object that it would be sent as.
type PreviewRow struct {
	job.Subject
	// Object, which has this Pattern, is nil where the indicator gives none, for this Reason. BelowFloor: the reason is the confidence
	// floor of the query.
	Object     json.RawMessage
	Pattern    string
	Reason     string
	BelowFloor bool
	// Known is what the ledger knows of the object, nil for nothing. Same: its content is what was last sent or is on its way.
	Known *store.Known
	Same  bool

	id   uuid.UUID
	hash int64
}

// lookupChunk is how many objects one look-up may tell of.
const lookupChunk = 50

// compareRows looks up what the ledger knows of the objects.
func (v *Preview) compareRows(ctx context.Context, s *store.Store, now time.Time) error {
	rows := map[uuid.UUID][]*PreviewRow{}
	var ids []uuid.UUID
	for i := range v.Rows {
		row := &v.Rows[i]
		if row.Object == nil {
			continue
		}
		if rows[row.id] == nil {
			ids = append(ids, row.id)
		}
		rows[row.id] = append(rows[row.id], row)
	}
	for part := range slices.Chunk(ids, lookupChunk) {
		known, err := s.Lookup(ctx, part, now)
		if err != nil {
			return err
		}
		for i := range known {
			for _, row := range rows[stix.ID(known[i].Pattern)] {
				row.Known, row.Same = &known[i], known[i].Decided && known[i].ContentHash == row.hash
			}
		}
	}
	return nil
}

// Preview reads the first indicators of a query with these settings and converts them.
func (p *Pipeline) Preview(ctx context.Context, q threatconnect.Query, settings ledger.Settings) (Preview, error) {
	page, err := p.ThreatConnect.First(ctx, q, previewCap)
	if err != nil {
		return Preview{}, fmt.Errorf("reading the first indicators: %w", err)
	}
	indicators := page.Indicators[:min(previewCap, len(page.Indicators))]
	v := Preview{TotalCount: max(int(page.Total), len(indicators)), ReturnedCount: len(indicators), Cap: previewCap,
		Objects: []json.RawMessage{}, Problems: []string{}}
	v.Truncated = v.TotalCount > v.ReturnedCount
	now := time.Now().UTC()
	answers, err := p.mappers.mapMixed(ctx, indicators, now)
	if err != nil {
		return Preview{}, fmt.Errorf("converting the first indicators: %w", err)
	}
	for i := range indicators {
		v.addIndicator(p.mappers, &settings, i+1, &indicators[i], &answers[i], now)
	}
	if err := v.compareRows(ctx, p.Store, now); err != nil {
		return Preview{}, err
	}
	return v, nil
}

// mapMixed maps indicators of any types, with one call for each type, all at once: a page waits for the last of them. The answer is
// empty where there is nothing to map, or no mapper.
func (s *mapperSet) mapMixed(ctx context.Context, indicators []threatconnect.Indicator, now time.Time) ([]mapper.Answer, error) {
	raws, places := map[string][][]byte{}, map[string][]int{}
	for i := range indicators {
		if ind := &indicators[i]; ind.Unreadable == "" && s.takesType(ind.Type) {
			raws[ind.Type], places[ind.Type] = append(raws[ind.Type], ind.Raw), append(places[ind.Type], i)
		}
	}
	all := make([]mapper.Answer, len(indicators))
	calls, ctx := errgroup.WithContext(ctx)
	for typ := range raws {
		calls.Go(func() error {
			answers, err := s.Map(ctx, typ, raws[typ], now)
			if err != nil {
				return err
			}
			for n, i := range places[typ] {
				all[i] = answers[n]
			}
			return nil
		})
	}
	return all, calls.Wait()
}

// addIndicator adds an indicator with what its mapper answered.
func (v *Preview) addIndicator(mappers *mapperSet, settings *ledger.Settings, line int, ind *threatconnect.Indicator, a *mapper.Answer, now time.Time) {
	name := fmt.Sprintf("Indicator %d (%s %d in %s)", line, ind.Type, ind.ID, ind.Owner)
	row := PreviewRow{Subject: subjectOf(ind)}
	leaveOut := func(reason string) {
		v.Problems = append(v.Problems, name+": "+reason)
		row.Reason = reason
		v.Rows = append(v.Rows, row)
	}
	if ind.Unreadable != "" {
		leaveOut(ind.Unreadable)
		return
	}
	if len(ind.LeftOut) > 0 {
		v.Problems = append(v.Problems, name+": "+describeLeftOut(ind))
	}
	if !mappers.takesType(ind.Type) {
		leaveOut("No installed mapper takes this type.")
		return
	}
	if len(a.Objects) > 0 && !slices.ContainsFunc(a.Objects, func(o mapper.Object) bool { return settings.Selects(&o) }) {
		row.BelowFloor, row.Reason = true, describeFloor(settings.MinConfidence, a.Objects[0].Confidence)
		v.Rows = append(v.Rows, row)
		v.BelowFloor++
		return
	}
	messages := slices.Concat(a.Problems, a.Notes)
	ttl := mappers.timeToLive(ind.Type)
	for i := range a.Objects {
		if !settings.Selects(&a.Objects[i]) {
			continue
		}
		o, leftOut := settings.ShapeObject(&a.Objects[i], now, ttl)
		if leftOut > 0 {
			messages = append(messages, describeLabelsLeftOut(leftOut))
		}
		row.Object = o.AppendJSON(nil, stix.Envelope{Modified: now, ValidUntil: o.ValidUntil})
		row.Pattern, row.id, row.hash = o.Pattern, o.ID, int64(o.Hash)
		v.Objects, v.Rows = append(v.Objects, row.Object), append(v.Rows, row)
	}
	for _, message := range messages {
		v.Problems = append(v.Problems, name+": "+message)
	}
	if len(a.Objects) == 0 {
		row.Reason = strings.Join(a.Problems, " ")
		v.Rows = append(v.Rows, row)
	}
}

// describeFloor says that an indicator of this confidence, nil for none, does not reach the confidence floor.
func describeFloor(floor int, confidence *int) string {
	if confidence == nil {
		return fmt.Sprintf("it has no confidence, and the floor of the query is %d.", floor)
	}
	return fmt.Sprintf("its confidence is %d, and the floor of the query is %d.", *confidence, floor)
}
