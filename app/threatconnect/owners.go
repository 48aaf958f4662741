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
		var said envelope
		err := c.insist(ctx, briefly, func(ctx context.Context) (err error) {
			params := url.Values{"resultStart": {strconv.Itoa(start)}, "resultLimit": {strconv.Itoa(ownersAtOnce)}}
			said, err = c.list(ctx, ask("/v3/security/owners", params), 0)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("list owners: %w", err)
		}
		fresh := 0
		for _, item := range said.items {
			row := gjson.ParseBytes(item)
			o := Owner{ID: whole(row.Get("id"), 0), Name: text(row.Get("name")), Type: text(row.Get("type"))}
			if known[o.ID] {
				continue
			}
			known[o.ID] = true
			fresh++
			if o.Name != "" && !strings.EqualFold(text(row.Get("permIndicator")), "NONE") {
				owners = append(owners, o)
			}
		}
		if start += len(said.items); fresh == 0 || said.next == "" && len(said.items) < ownersAtOnce {
			break
		}
	}
	slices.SortFunc(owners, func(a, b Owner) int {
		return cmp.Or(strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)), cmp.Compare(a.ID, b.ID))
	})
	return owners, nil
}

// list makes one try for an answer whose data is a list. No list at all must not pass for an empty one.
func (c *Client) list(ctx context.Context, q question, expect int) (envelope, error) {
	said, err := c.get(ctx, q, expect)
	if err == nil && !said.list {
		err = c.unreachable(errDamaged)
	}
	return said, err
}
