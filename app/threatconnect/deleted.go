package threatconnect

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Deleted is an indicator that was deleted. ThreatConnect does not say which id it had.
type Deleted struct {
	Owner, Type, Summary string
	// DateAdded is UTC, zero where it is missing. Whether it is the time of the deletion is not documented.
	DateAdded time.Time
}

// maxDeletedPages bounds how long one list of deleted indicators is followed.
const maxDeletedPages = 100_000

// Deleted hands over what was deleted in an owner since then, page by page, as far back as ThreatConnect remembers
// (app/docs/threatconnect.md#deleted-indicators); a zero since asks for all that it remembers. An error of handle ends
// it and is returned as it is. Any other error says that the list was not read to its end; it is an *Error where
// ThreatConnect refused.
func (c *Client) Deleted(ctx context.Context, owner string, since time.Time, handle func([]Deleted) error) error {
	params := url.Values{"owner": {owner}, "resultLimit": {"1000"}}
	if !since.IsZero() {
		params.Set("deletedSince", since.UTC().Format(dateLayout))
	}
	r := newRequest(indicatorsPath+"/deleted", params)
	var before [][]byte
	for range maxDeletedPages {
		var page answer
		err := c.retryRequest(ctx, background, func(ctx context.Context) (err error) {
			page, err = c.tryList(ctx, r, new(bytes.Buffer))
			return err
		})
		if err != nil {
			return fmt.Errorf("list deleted indicators of %q: %w", owner, err)
		}
		if len(page.items) == 0 || slices.EqualFunc(page.items, before, bytes.Equal) {
			return nil // an empty page, or the same one again, ends even a list that claims to go on
		}
		if err := handle(parseDeleted(page.items)); err != nil {
			return err
		}
		_, query, more := strings.Cut(page.next, "?")
		if !more {
			return nil
		}
		// How this list is paged is not documented: the query of the next page is taken as it stands, but for blanks,
		// which cannot be sent; and the query alone, since behind a proxy its host can be another than ours.
		r.query, before = strings.ReplaceAll(query, " ", "%20"), page.items
	}
	return fmt.Errorf("list deleted indicators of %q: the list does not end", owner)
}

func parseDeleted(items [][]byte) []Deleted {
	page := make([]Deleted, 0, len(items))
	for _, item := range items {
		var d Deleted
		for name, value := range scalars(item) {
			switch name {
			case "ownerName":
				d.Owner = value
			case "type":
				d.Type = value
			case "summary":
				d.Summary = value
			case "dateAdded":
				d.DateAdded = parseDate(value)
			}
		}
		page = append(page, d)
	}
	return page
}
