package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

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
	// Object is nil where the indicator gives none, for this Reason. BelowFloor: the reason is the confidence floor of the query.
	Object     json.RawMessage
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
	for i := range indicators {
		if err := v.addIndicator(ctx, p.mappers, &settings, i+1, &indicators[i], now); err != nil {
			return Preview{}, err
		}
	}
	if err := v.compareRows(ctx, p.Store, now); err != nil {
		return Preview{}, err
	}
	return v, nil
}

func (v *Preview) addIndicator(ctx context.Context, mappers *mapperSet, settings *ledger.Settings, line int,
	ind *threatconnect.Indicator, now time.Time) error {
	name := fmt.Sprintf("Indicator %d (%s %d in %s)", line, ind.Type, ind.ID, ind.Owner)
	row := PreviewRow{Subject: subjectOf(ind)}
	leaveOut := func(reason string) {
		v.Problems = append(v.Problems, name+": "+reason)
		row.Reason = reason
		v.Rows = append(v.Rows, row)
	}
	if ind.Unreadable != "" {
		leaveOut(ind.Unreadable)
		return nil
	}
	if len(ind.LeftOut) > 0 {
		v.Problems = append(v.Problems, name+": "+describeLeftOut(ind))
	}
	if !mappers.takesType(ind.Type) {
		leaveOut("No installed mapper takes this type.")
		return nil
	}
	answers, err := mappers.Map(ctx, ind.Type, [][]byte{ind.Raw}, now)
	if err != nil {
		return fmt.Errorf("converting the first indicators: %w", err)
	}
	ttl := mappers.timeToLive(ind.Type)
	for _, a := range answers {
		if len(a.Objects) > 0 && !slices.ContainsFunc(a.Objects, func(o mapper.Object) bool { return settings.Selects(&o) }) {
			row.BelowFloor, row.Reason = true, describeFloor(settings.MinConfidence, a.Objects[0].Confidence)
			v.Rows = append(v.Rows, row)
			v.BelowFloor++
			continue
		}
		for i := range a.Objects {
			if !settings.Selects(&a.Objects[i]) {
				continue
			}
			o, leftOut := settings.ShapeObject(&a.Objects[i], now, ttl)
			if leftOut > 0 {
				a.Notes = append(a.Notes, describeLabelsLeftOut(leftOut))
			}
			row.Object, row.id, row.hash = o.AppendJSON(nil, stix.Envelope{Modified: now, ValidUntil: o.ValidUntil}), o.ID, int64(o.Hash)
			v.Objects, v.Rows = append(v.Objects, row.Object), append(v.Rows, row)
		}
		for _, message := range append(a.Problems, a.Notes...) {
			v.Problems = append(v.Problems, name+": "+message)
		}
		if len(a.Objects) == 0 {
			row.Reason = strings.Join(a.Problems, " ")
			v.Rows = append(v.Rows, row)
		}
	}
	return nil
}

// describeFloor says that an indicator of this confidence, nil for none, does not reach the confidence floor.
func describeFloor(floor int, confidence *int) string {
	if confidence == nil {
		return fmt.Sprintf("it has no confidence, and the floor of the query is %d.", floor)
	}
	return fmt.Sprintf("its confidence is %d, and the floor of the query is %d.", *confidence, floor)
}
