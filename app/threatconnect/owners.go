package threatconnect

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
)

// Owner is an Organization, a Community or a Source.
type Owner struct {
	ID   int64
	Name string
	Type string
}

const (
	ownersAtOnce = 500
	maxOwners    = 100_000
)

// Owners lists the owners whose indicators the API user can read, by name (spec §4).
func (c *Client) Owners(ctx context.Context) ([]Owner, error) {
	var owners []Owner
	known := map[int64]bool{}
	for start := 0; start < maxOwners; {
		var a answer
		err := c.insist(ctx, briefly, func(ctx context.Context) (err error) {
			params := url.Values{"resultStart": {strconv.Itoa(start)}, "resultLimit": {strconv.Itoa(ownersAtOnce)}}
			a, err = c.list(ctx, ask("/v3/security/owners", params))
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("list owners: %w", err)
		}
		count, fresh := 0, 0
		a.data.ForEach(func(_, row gjson.Result) bool {
			count++
			o := Owner{ID: whole(row.Get("id"), 0), Name: strings.Clone(text(row.Get("name"))), Type: strings.Clone(text(row.Get("type")))}
			if known[o.ID] {
				return true
			}
			known[o.ID] = true
			fresh++
			if o.Name != "" && !strings.EqualFold(text(row.Get("permIndicator")), "NONE") {
				owners = append(owners, o)
			}
			return true
		})
		if start += count; fresh == 0 || a.next == "" && count < ownersAtOnce {
			break
		}
	}
	slices.SortFunc(owners, func(a, b Owner) int {
		return cmp.Or(strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)), cmp.Compare(a.ID, b.ID))
	})
	return owners, nil
}

// list makes one try for an answer whose data is a list.
func (c *Client) list(ctx context.Context, q question) (answer, error) {
	a, err := c.get(ctx, q, 0)
	if err == nil && !a.data.IsArray() {
		err = c.unreachable(errDamaged)
	}
	return a, err
}
