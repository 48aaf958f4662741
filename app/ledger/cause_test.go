package ledger

import "testing"

func TestExplainLoss(t *testing.T) {
	const sent = 1000
	saved := func(changed int64, owners ...string) *Giver {
		return &Giver{Saved: true, Owners: owners, Changed: changed}
	}
	for name, c := range map[string]struct {
		loss  Loss
		sent  int64
		giver *Giver
		want  Cause
	}{
		"found in the workspace":           {Unselected, 0, nil, NeverGiven},
		"listed as deleted":                {Certain, sent, saved(1, "Alpha"), SourceGone},
		"its query is no longer kept":      {Unselected, sent, nil, QueryRemoved},
		"its query has no rank":            {Unselected, sent, &Giver{Owners: []string{"Alpha"}}, QueryRemoved},
		"its owner was taken out":          {Unselected, sent, saved(sent+1, "Beta"), OwnerLeftOut},
		"the TQL was changed":              {Unselected, sent, saved(sent+1, "alpha", "Beta"), QueryEdited},
		"changed before it was sent":       {Unselected, sent, saved(sent, "Alpha"), NotSelected},
		"its retirement had been rejected": {Disputed, sent, saved(1, "Alpha"), NotSelected},
	} {
		t.Run(name, func(t *testing.T) {
			if got := ExplainLoss(c.loss, c.sent, "Alpha", c.giver); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
	if got := ExplainLoss(Unselected, sent, "", saved(sent+1, "Alpha")); got != QueryEdited {
		t.Errorf("without an owner: %s", got)
	}
}
