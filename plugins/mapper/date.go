package mapper

import (
	"strconv"
	"strings"
	"time"
)

// readDateAdded reads the date, or keeps what nobody can read for a note.
func (i *Indicator) readDateAdded(value string) {
	i.DateAdded = parseDate(value)
	if i.DateAdded.IsZero() {
		i.unreadDate = Trim(cleanText(value))
	}
}

// layouts are the usual forms of a date, the one of ThreatConnect's API first; without a zone UTC is meant. None in which the
// order of day and month is a matter of taste is among them.
var layouts = [...]string{
	time.RFC3339, "2006-01-02T15:04:05", time.DateTime, time.DateOnly,
	"2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05Z07", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05Z0700",
	"2006-01-02 15:04:05 Z07:00", "2006-01-02 15:04:05 Z0700", "2006-01-02 15:04:05 MST", "2006-01-02 15:04:05 -0700 MST",
	"2006-01-02T15:04Z07:00", "2006-01-02T15:04", "2006-01-02 15:04", "2006/01/02 15:04:05", "2006/01/02",
	"20060102T150405Z07:00", "20060102T150405", "20060102150405", "20060102",
	time.RFC1123, time.RFC1123Z, time.RFC850, time.ANSIC, time.UnixDate, "2 Jan 2006 15:04:05 MST", "2 Jan 2006 15:04:05", "2 Jan 2006",
	"Jan 2, 2006 3:04:05 PM", "Jan 2, 2006, 3:04:05 PM", "Jan 2, 2006", "January 2, 2006", "2 January 2006", "2-Jan-2006", "2-Jan-2006 15:04:05",
}

// parseDate reads the forms of app/docs/mapping.md#dates; zero for anything else.
func parseDate(text string) time.Time {
	text, _, _ = strings.Cut(strings.ToUpper(Trim(text)), "[") // Java names a zone behind its offset: Z[UTC]
	for _, layout := range layouts {
		// A zone by name is read where it is UTC's: of others the time package does not know the difference.
		if t, err := time.Parse(layout, text); err == nil && knowsZone(layout, t) {
			return t.UTC()
		}
	}
	return parseUnixTime(text)
}

func knowsZone(layout string, t time.Time) bool {
	name, offset := t.Zone()
	return !strings.Contains(layout, "MST") || offset != 0 || name == "UTC" || name == "GMT" || name == "Z"
}

// parseUnixTime reads seconds or milliseconds since 1970, by their digits: from September 2001 on, seconds have ten until 2286.
func parseUnixTime(text string) time.Time {
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil || n < 0:
		return time.Time{}
	case len(text) == len("1700000000"):
		return time.Unix(n, 0).UTC()
	case len(text) == len("1700000000000"):
		return time.UnixMilli(n).UTC()
	}
	return time.Time{}
}
