package web

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
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

// readSettings reads the settings that a form holds, and says which of them are no numbers.
func readSettings(form url.Values, q *store.Query) (unread []settingFault) {
	number := func(field, fault string) *int {
		typed := strings.TrimSpace(form.Get(field))
		if typed == "" {
			return nil
		}
		n, err := strconv.Atoi(typed)
		if err != nil {
			unread = append(unread, settingFault{field, fmt.Sprintf(fault, quoteValue(typed))})
			return nil
		}
		return &n
	}
	if n := number(fieldMinConfidence, confidenceFault); n != nil {
		q.MinConfidence = *n
	}
	q.TTLHours = number(fieldTTLHours, hoursFault)
	q.Labels, q.TLP = strings.Split(form.Get(fieldLabels), "\n"), form.Get(fieldTLP)
	return unread
}

// settingTexts are the settings of a query as they are typed, with something between the labels.
func settingTexts(q store.Query, between string) templates.SettingTexts {
	texts := templates.SettingTexts{Labels: strings.Join(q.Labels, between)}
	if q.MinConfidence != 0 {
		texts.MinConfidence = strconv.Itoa(q.MinConfidence)
	}
	if q.TTLHours != nil {
		texts.TTLHours = strconv.Itoa(*q.TTLHours)
	}
	return texts
}

// maxTyped bounds in bytes what is shown again of a number, maxTypedLabels of labels.
const (
	maxTyped       = 100
	maxTypedLabels = 4 * maxLabels * maxLabelText
)

// showTypedSettings shows the settings as the form holds them, with what is wrong with them.
func (e *editor) showTypedSettings(faults []settingFault) {
	typed, form := e.c.Request().PostForm, e.view.Form
	form.MinConfidence, form.TTLHours = text.Cut(typed.Get(fieldMinConfidence), maxTyped), text.Cut(typed.Get(fieldTTLHours), maxTyped)
	form.Labels = typed.Get(fieldLabels)
	if len(form.Labels) > maxTypedLabels {
		form.Labels = form.Labels[:maxTypedLabels]
	}
	form.Labels = strings.ToValidUTF8(strings.ReplaceAll(form.Labels, "\r\n", "\n"), "")
	for _, fault := range faults {
		form.SettingFaults = append(form.SettingFaults, templates.FieldFault{Field: fault.field, Text: fault.text})
	}
}

// shownSettings are the settings of a query as a list shows them.
func shownSettings(q store.Query) templates.QuerySettings {
	s := templates.QuerySettings{MinConfidence: q.MinConfidence, Labels: q.Labels, TLP: q.TLP}
	if q.TTLHours != nil {
		s.TTLHours = *q.TTLHours
	}
	return s
}
