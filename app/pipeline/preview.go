package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"mssentinel/app/stix"
	"mssentinel/app/threatconnect"
)

// previewCap is how many indicators a preview shows.
const previewCap = 100

// Preview is what a query would send, nothing of which is kept.
type Preview struct {
	TotalCount    int
	ReturnedCount int
	Cap           int
	Truncated     bool
	Objects       []json.RawMessage
	Problems      []string
}

// Preview reads the first indicators of a query and converts them.
func (p *Pipeline) Preview(ctx context.Context, q threatconnect.Query) (Preview, error) {
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
		if err := v.addIndicator(ctx, p.mappers, i+1, &indicators[i], now); err != nil {
			return Preview{}, err
		}
	}
	return v, nil
}

func (v *Preview) addIndicator(ctx context.Context, mappers *mapperSet, line int, ind *threatconnect.Indicator,
	now time.Time) error {
	name := fmt.Sprintf("Indicator %d (%s %d in %s)", line, ind.Type, ind.ID, ind.Owner)
	if ind.Unreadable != "" {
		v.Problems = append(v.Problems, name+": "+ind.Unreadable)
		return nil
	}
	if len(ind.LeftOut) > 0 {
		v.Problems = append(v.Problems, name+": "+describeLeftOut(ind))
	}
	if !mappers.takesType(ind.Type) {
		v.Problems = append(v.Problems, fmt.Sprintf("%s: No installed mapper takes this type.", name))
		return nil
	}
	answers, err := mappers.Map(ctx, ind.Type, [][]byte{ind.Raw}, now)
	if err != nil {
		return fmt.Errorf("converting the first indicators: %w", err)
	}
	until := now.Add(mappers.timeToLive(ind.Type))
	for _, a := range answers {
		for i := range a.Objects {
			v.Objects = append(v.Objects, a.Objects[i].AppendJSON(nil, stix.Envelope{Modified: now, ValidUntil: until}))
		}
		for _, message := range append(a.Problems, a.Notes...) {
			v.Problems = append(v.Problems, name+": "+message)
		}
	}
	return nil
}
