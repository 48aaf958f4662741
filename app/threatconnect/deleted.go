package threatconnect

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"slices"
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
	var before [][]byte
	for range maxDeletedPages {
		var said envelope
		err := c.insist(ctx, patiently, func(ctx context.Context) (err error) {
			said, err = c.list(ctx, q, 0)
			return err
		})
		if err != nil {
			return fmt.Errorf("list deleted indicators of %q: %w", owner, err)
		}
		if len(said.items) == 0 || slices.EqualFunc(said.items, before, bytes.Equal) {
			return nil // an empty page, or the same one again, ends even a list that claims to go on
		}
		if err := handle(deleted(said.items)); err != nil {
			return err
		}
		_, query, more := strings.Cut(said.next, "?")
		if !more {
			return nil
		}
		// How this list is paged is not documented: the query of the next page is taken as it stands, but for blanks,
		// which cannot be sent; and the query alone, since behind a proxy its host can be another than ours.
		q.query, before = strings.ReplaceAll(query, " ", "%20"), said.items
	}
	return fmt.Errorf("list deleted indicators of %q: the list does not end", owner)
}

func deleted(items [][]byte) []Deleted {
	page := make([]Deleted, 0, len(items))
	for _, item := range items {
		row := gjson.ParseBytes(item)
		page = append(page, Deleted{
			Owner:     text(row.Get("ownerName")),
			Type:      text(row.Get("type")),
			Summary:   text(row.Get("summary")),
			DateAdded: date(text(row.Get("dateAdded"))),
		})
	}
	return page
}
