package tql

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

const utcLayout = "2006-01-02T15:04:05Z"

// dateLayouts are the other spellings of a date that ThreatConnect's own clients send. They are read in the zone of now.
var dateLayouts = []string{
	"2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02", "01-02-2006",
}

var (
	fraction     = regexp.MustCompile(`:\d\d[.,]\d+`)
	dateFunction = regexp.MustCompile(`(?i)^(TODAY|NOW)\(\s*\)(?:\s*([+-])\s*(\d{1,6})\s+(SECOND|MINUTE|HOUR|DAY|WEEK|MONTH|YEAR)S?)?$`)
)

// parseDate reads a literal as Unix seconds, and says whether it depends on now. A fraction of a second is an error: the real
// service answers wrongly or not at all to it.
func (v Value) parseDate(now time.Time) (seconds int64, relative bool, err error) {
	if v.kind != quoted {
		return 0, false, v.errorAt("a date has to be in quotes")
	}
	text := strings.TrimSpace(v.Text)
	if fraction.MatchString(text) {
		return 0, false, v.errorAt("the date %q has a fraction of a second", v.Text)
	}
	if m := dateFunction.FindStringSubmatch(text); m != nil {
		return shiftTime(now, m[1], m[2], m[3], m[4]).Unix(), true, nil
	}
	if t, err := time.Parse(utcLayout, text); err == nil {
		return t.Unix(), false, nil
	}
	for _, layout := range dateLayouts {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return t.Unix(), false, nil
		}
	}
	return 0, false, v.errorAt("%q is not a date such as 2024-05-01T00:00:00Z, TODAY() or NOW() - 1 HOUR", v.Text)
}

func shiftTime(now time.Time, base, sign, count, unit string) time.Time {
	t := now
	if strings.EqualFold(base, "TODAY") {
		year, month, day := t.Date()
		t = time.Date(year, month, day, 0, 0, 0, 0, t.Location())
	}
	n, _ := strconv.Atoi(count) // at most six digits, or none for no shift
	if sign == "-" {
		n = -n
	}
	switch strings.ToUpper(unit) {
	case "MINUTE":
		return t.Add(time.Duration(n) * time.Minute)
	case "HOUR":
		return t.Add(time.Duration(n) * time.Hour)
	case "DAY":
		return t.AddDate(0, 0, n)
	case "WEEK":
		return t.AddDate(0, 0, 7*n)
	case "MONTH":
		return t.AddDate(0, n, 0)
	case "YEAR":
		return t.AddDate(n, 0, 0)
	}
	return t.Add(time.Duration(n) * time.Second)
}
