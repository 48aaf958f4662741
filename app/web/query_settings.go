package web

import (
	"fmt"
	"slices"
	"strings"

	"mssentinel/app/ledger"
	"mssentinel/app/store"
	"mssentinel/app/text"
	"mssentinel/templates"
)

// Bounds of what a query may say of the objects that it gives. A label is bounded in bytes.
const (
	maxConfidence = 100
	maxTTLHours   = 87_600
	maxLabels     = 20
	maxLabelText  = 100
)

// tidySettings brings the settings of a query into the form in which they are kept and compared.
func tidySettings(q *store.Query) {
	if q.Labels = tidyNames(q.Labels); len(q.Labels) == 0 {
		q.Labels = nil
	}
	q.TLP = strings.ToUpper(text.Cut(strings.TrimSpace(q.TLP), maxWord))
}

// sameSettings says that two queries say the same of the objects that they give.
func sameSettings(a, b store.Query) bool {
	x, y := a.Settings(), b.Settings()
	return x.Equal(&y)
}

// settingFault is what is wrong with one setting, by the name of its field in the form.
type settingFault struct{ field, text string }

// checkSettings says all that is wrong with the tidied settings of a query.
func checkSettings(q store.Query) (faults []settingFault) {
	add := func(field, format string, args ...any) {
		faults = append(faults, settingFault{field, fmt.Sprintf(format, args...)})
	}
	if q.MinConfidence < 0 || q.MinConfidence > maxConfidence {
		add(fieldMinConfidence, confidenceFault, fmt.Sprint(q.MinConfidence))
	}
	if q.TTLHours != nil && (*q.TTLHours < 1 || *q.TTLHours > maxTTLHours) {
		add(fieldTTLHours, hoursFault, fmt.Sprint(*q.TTLHours))
	}
	if len(q.Labels) > maxLabels {
		add(fieldLabels, "There are more than %d labels to add: leave some out.", maxLabels)
	}
	for _, label := range q.Labels[:min(len(q.Labels), maxLabels)] {
		switch {
		case len(label) > maxLabelText:
			add(fieldLabels, "The label %s is longer than %d bytes: shorten it.", quoteValue(label), maxLabelText)
		case label != text.Visible(label) || strings.ContainsAny(label, "\t\r\n"):
			add(fieldLabels, "The label %s has a character that does not show: remove it.", quoteValue(label))
		}
	}
	if q.TLP != "" && !slices.Contains(ledger.TLPLevels, q.TLP) {
		add(fieldTLP, "%s is not a level of TLP: choose among %s.", quoteValue(q.TLP), strings.Join(ledger.TLPLevels, ", "))
	}
	return faults
}

// What is wrong with a number, as it was written.
var (
	confidenceFault = "Confidence Floor is %s: enter a whole number from 0 to 100, or leave it out."
	hoursFault      = "TTL Hours is %s: enter a whole number from 1 to " + templates.Number(maxTTLHours) + ", or leave it out for that of each type."
)

// The fields of the form for the settings.
const (
	fieldMinConfidence = "min_confidence"
	fieldTTLHours      = "ttl_hours"
	fieldLabels        = "labels"
	fieldTLP           = "tlp"
)
