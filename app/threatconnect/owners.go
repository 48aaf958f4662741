package threatconnect

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Owner is an Organization, a Community or a Source; Type is one of these three words.
type Owner struct {
	ID   int64
	Name string
	Type string
}

const (
	// ownersPerPage is more than the 100 of the default, since there are instances with hundreds of owners.
	ownersPerPage = 500
	maxOwners     = 100_000
)

// Owners lists the owners whose indicators the API user can read, by name (app/docs/threatconnect.md#owners). The error
// is an *Error where ThreatConnect refused.
func (c *Client) Owners(ctx context.Context) ([]Owner, error) {
	var owners []Owner
	known, more := map[int64]bool{}, true
	for start := 0; start < maxOwners; {
		page, err := c.readOwners(ctx, start)
		if err != nil && !more && refusesOffset(err) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("list owners: %w", err)
		}
		fresh := false
		for _, item := range page.items {
			o, readable := parseOwner(item)
			if known[o.ID] {
				continue
			}
			known[o.ID], fresh = true, true
			if readable {
				owners = append(owners, o)
			}
		}
		more = page.next != ""
		if start += len(page.items); !fresh || !more && len(page.items) < ownersPerPage {
			break
		}
	}
	slices.SortFunc(owners, func(a, b Owner) int {
		return cmp.Or(strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)), cmp.Compare(a.ID, b.ID))
	})
	return owners, nil
}

func (c *Client) readOwners(ctx context.Context, start int) (page answer, err error) {
	params := url.Values{"resultStart": {strconv.Itoa(start)}, "resultLimit": {strconv.Itoa(ownersPerPage)}}
	r := newRequest("/v3/security/owners", params)
	err = c.retryRequest(ctx, interactive, func(ctx context.Context) (err error) {
		page, err = c.tryList(ctx, r, new(bytes.Buffer))
		return err
	})
	return page, err
}

// parseOwner also tells whether the owner has a name, and indicators that the API user may read.
func parseOwner(item []byte) (o Owner, readable bool) {
	permission := ""
	for name, value := range scalars(item) {
		switch name {
		case "id":
			o.ID = parseInteger(value, 0)
		case "name":
			o.Name = value
		case "type":
			o.Type = value
		case "permIndicator":
			permission = value
		}
	}
	return o, o.Name != "" && !strings.EqualFold(permission, "NONE")
}
