package threatconnect

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/tidwall/gjson"
)

// Deleted is an indicator that was deleted. ThreatConnect does not say which id it had.
type Deleted struct {
	Owner, Type, Summary string
	DateAdded            time.Time
}

// maxDeletedPages bounds how long one list of deleted indicators is followed.
const maxDeletedPages = 100_000

// Deleted hands over what was deleted in an owner since then, page by page, as far back as ThreatConnect remembers
// (spec §7.1). An error of handle ends it and is returned as it is.
func (c *Client) Deleted(ctx context.Context, owner string, since time.Time, handle func([]Deleted) error) error {
	params := url.Values{"owner": {owner}, "resultLimit": {"1000"}}
	if !since.IsZero() {
		params.Set("deletedSince", since.UTC().Format("2006-01-02T15:04:05Z"))
	}
	q := ask(indicators+"/deleted", params)
	before := ""
	for range maxDeletedPages {
		var a answer
		err := c.insist(ctx, patiently, func(ctx context.Context) (err error) {
			a, err = c.list(ctx, q)
			return err
		})
		if err != nil {
			return fmt.Errorf("list deleted indicators of %q: %w", owner, err)
		}
		page := deleted(a.data)
		if len(page) == 0 || a.data.Raw == before {
			return nil // an empty page, or the same one again, ends even a list that claims to go on
		}
		if err := handle(page); err != nil {
			return err
		}
		_, query, more := strings.Cut(a.next, "?")
		if !more {
			return nil
		}
		// How this list is paged is not documented: the query of the next page is taken as it stands, and only that,
		// since behind a proxy its host can be another than ours.
		q.query, before = query, a.data.Raw
	}
	return fmt.Errorf("list deleted indicators of %q: the list does not end", owner)
}

func deleted(data gjson.Result) []Deleted {
	var page []Deleted
	data.ForEach(func(_, row gjson.Result) bool {
		page = append(page, Deleted{
			Owner:     strings.Clone(text(row.Get("ownerName"))),
			Type:      strings.Clone(text(row.Get("type"))),
			Summary:   strings.Clone(text(row.Get("summary"))),
			DateAdded: date(text(row.Get("dateAdded"))),
		})
		return true
	})
	return page
}
