package pipeline

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mssentinel/app/ledger"
	"mssentinel/app/stix"
	"mssentinel/app/threatconnect"
	"mssentinel/plugins/mapper"
)

// noting is a mapper that notes something of each indicator.
type noting struct{ *inProcess }

func (n noting) Map(ctx context.Context, typ string, raws [][]byte, now time.Time) ([]mapper.Answer, error) {
	answers, err := n.inProcess.Map(ctx, typ, raws, now)
	for i := range answers {
		answers[i].Notes = append(answers[i].Notes, "noted")
	}
	return answers, err
}

// What is noted of an indicator is told with its object, and not where it is below the confidence floor.
func TestPreviewNotes(t *testing.T) {
	label := strings.Repeat("x", stix.MaxText/2)
	for floor, want := range map[int][]string{
		0:  {"Indicator 1 (Host 25 in ): noted", "Indicator 1 (Host 25 in ): " + describeLabelsLeftOut(1)},
		90: nil,
	} {
		var v Preview
		ind := threatconnect.Indicator{ID: 25, Type: "Host", Raw: []byte(`{"id":25,"type":"Host","ownerName":"Alpha","summary":"a.example","hostName":"a.example","confidence":50,"tags":{"data":[{"name":"` + label + `"}]}}`)}
		m := newInProcess()
		mappers := newMapperSet(noting{m}, m.ttls(), "this")
		answers, err := mappers.mapMixed(t.Context(), []threatconnect.Indicator{ind}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		v.addIndicator(mappers, &ledger.Settings{MinConfidence: floor, Labels: []string{label + "y"}}, 1, &ind, &answers[0], time.Now())
		if diff := cmp.Diff(want, v.Problems); diff != "" || v.BelowFloor != len(v.Rows)-len(v.Objects) {
			t.Errorf("with a floor of %d, %d rows: %v (-want +got)\n%s", floor, len(v.Rows), err, diff)
		}
	}
}

// A preview names each indicator that it leaves out, or that came without a part, by its line.
func TestPreviewSaysWhatIsLeftOut(t *testing.T) {
	raw := []byte(`{"id":25,"type":"Host","ownerName":"Alpha","summary":"a.example","hostName":"a.example"}`)
	for name, c := range map[string]struct {
		indicator        threatconnect.Indicator
		objects          int
		problems, reason []string
	}{
		"a host":     {threatconnect.Indicator{Type: "Host", Raw: raw}, 1, nil, []string{""}},
		"unreadable": {threatconnect.Indicator{Type: "Host", Unreadable: "It is too large."}, 0, []string{"Indicator 7 (Host 25 in Alpha): It is too large."}, []string{"It is too large."}},
		"without its tags": {threatconnect.Indicator{Type: "Host", Raw: raw, LeftOut: []string{"tags"}}, 1,
			[]string{"Indicator 7 (Host 25 in Alpha): ThreatConnect's answer is too large or damaged with its tags. It is sent without."}, []string{""}},
		"of another type": {threatconnect.Indicator{Type: "Mutex", Raw: raw}, 0,
			[]string{"Indicator 7 (Mutex 25 in Alpha): No installed mapper takes this type."}, []string{"No installed mapper takes this type."}},
	} {
		var v Preview
		m := newInProcess()
		c.indicator.ID, c.indicator.Owner = 25, "Alpha"
		mappers := newMapperSet(m, m.ttls(), "this")
		answers, err := mappers.mapMixed(t.Context(), []threatconnect.Indicator{c.indicator}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		v.addIndicator(mappers, &ledger.Settings{}, 7, &c.indicator, &answers[0], time.Now())
		var reasons []string
		for _, row := range v.Rows {
			reasons = append(reasons, row.Reason)
			if (row.Object != nil) != (c.objects > 0) || row.Indicator != 25 || c.objects > 0 && row.id != stix.ID(hostPattern("a.example")) {
				t.Errorf("%s: %+v", name, row)
			}
		}
		if diff := cmp.Diff(c.problems, v.Problems) + cmp.Diff(c.reason, reasons); diff != "" || len(v.Objects) != c.objects {
			t.Errorf("%s: %d objects (-want +got)\n%s", name, len(v.Objects), diff)
		}
	}
}
