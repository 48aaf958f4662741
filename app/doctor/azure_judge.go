package doctor

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"mssentinel/app/sentinel"
	"mssentinel/app/text"
)

// rowQuestions are the questions that rows answer.
var rowQuestions = []rowQuestion{
	{id: "azure.latency", needs: []string{keyFirst}, judge: judgeLatency},
	{id: "azure.expired", needs: []string{keyFirst}, judge: judgeExpired, missing: Answer{Verdict: No, Differs: true,
		Effect: "What the App retires gives no row either: the last row of such an object stays active, and rules go on matching it until the valid_until in it. Choose shorter TTLs."}},
	{id: "azure.rows-per-upload", needs: []string{keyAgain, keyAgain + " " + versionEarlier}, judge: judgeRowsPerUpload},
	{id: "azure.update-method", needs: []string{keyFirst}, judge: judgeUpdateMethod},
	{id: "azure.tags", needs: []string{keyFirst}, judge: judgeTags, needsData: true},
	{id: "azure.observable", needs: []string{keyFirst, keyCIDR, keyASN}, judge: judgeObservables, refused: refusedPattern},
	{id: "azure.escapes", needs: []string{keyQuote, keyBackslash}, judge: judgeEscapes, refused: refusedPattern},
	{id: "azure.and", needs: []string{keyAnd}, judge: judgeAnd, refused: refusedPattern},
	{id: "azure.or", needs: []string{keyOr}, judge: judgeOr, refused: Answer{Verdict: No, Effect: "None: the App sends none."}},
	{id: "azure.subset", needs: []string{keySubset}, judge: judgeSubset, refused: Answer{Verdict: No, Effect: "None: the App sends none."}},
	{id: "azure.long-pattern", needs: []string{keyLong}, judge: judgeLongPattern, refused: refusedPattern},
	{id: "azure.description-cut", needs: []string{keyASCII, keyThree, keyFour}, judge: judgeDescriptions, needsData: true,
		refused: Answer{Verdict: Value, Effect: "None: the App's descriptions have 1,000 bytes at most."}},
	{id: "azure.labels", judge: judgeLabels, needsData: true},
	{id: "azure.spec-version", needs: []string{keyVersion}, judge: judgeVersion,
		refused: Answer{Verdict: Value, Effect: "None: the App always says spec_version 2.1."}},
	{id: "azure.older-modified", needs: []string{keyFirst, keyFirst + " " + versionOlder}, judge: judgeOlder,
		refused: Answer{Verdict: No, Effect: effectOlder}},
	{id: "azure.two-versions", needs: []string{keyVersions + " " + versionEarlier, keyVersions}, judge: judgeVersions,
		refused: Answer{Verdict: Value, Effect: "None: the App never sends two at once."}},
	{id: "azure.revoked", needs: []string{keyRevoked + " " + versionEarlier, keyRevoked}, judge: judgeRevoked,
		refused: Answer{Verdict: No, Effect: effectRevoked}},
}

// Effects that stand with more than one answer.
const (
	effectOlder   = "Every object is modified later than before, unless the clock of this machine was set back: keep it right."
	effectRevoked = "None: the App revokes nothing, so that a value may come back."
)

// refusedPattern is the answer where a pattern that the mappers make is rejected.
var refusedPattern = Answer{Verdict: No, Differs: true, Effect: "Such indicators stand on REPORT as rejected, and are not in Sentinel."}

func judgeLatency(r *azureRun, rows rowsOf) Answer {
	first := rows[keyFirst][len(rows[keyFirst])-1]
	return Answer{Verdict: Value, Evidence: fmt.Sprintf("seen %s after the upload; the first TimeGenerated is %s after the beginning of the run",
		r.sinceSent(), max(first.Ingested.Sub(r.began), 0).Round(time.Second)),
		Effect: "Counts and comparisons of the workspace are so much behind."}
}

// sinceSent is how long ago the probes were sent, as of the first time that rows were seen.
func (r *azureRun) sinceSent() time.Duration {
	if r.seen == 0 {
		r.seen = time.Since(r.sent).Round(time.Second)
	}
	return r.seen
}

func judgeExpired(_ *azureRun, rows rowsOf) Answer {
	if row := rows[keyFirst][0]; row.IsActive {
		return Answer{Verdict: No, Differs: true, Evidence: "there is a row, and it says IsActive",
			Effect: "What the App retires stays active in this column. Rules that compare ValidUntil, as Microsoft's do, leave it out all the same."}
	}
	return Answer{Verdict: Yes, Evidence: "there is a row, and it is not active", Effect: "What the App retires is out of use with its row."}
}

func judgeRowsPerUpload(r *azureRun, rows rowsOf) Answer {
	n := len(rows[keyAgain])
	a := Answer{Verdict: Yes, Evidence: fmt.Sprintf("%d rows after 2 uploads of one object", n), Effect: "Each sending costs a row: see what a row costs in the README."}
	if n < 2 {
		a.Verdict = No
		a.Effect = "Sending an object again may cost less than the README says, or its rows are late."
	}
	return a
}

func judgeUpdateMethod(_ *azureRun, rows rowsOf) Answer {
	method := rows[keyFirst][0].Method
	a := Answer{Verdict: Value, Evidence: fmt.Sprintf("%q", text.Line(method, 100))}
	if strings.EqualFold(method, "LogARepublisher") {
		a.Differs, a.Effect = true, "Uploads cannot be told from rows that Sentinel repeats."
	}
	return a
}

func judgeTags(_ *azureRun, rows rowsOf) Answer {
	row := rows[keyFirst][0]
	a := Answer{Verdict: No, Evidence: fmt.Sprintf("Tags is %q, the labels in Data are %q", text.Line(row.Tags, 100), row.Labels),
		Effect: "Queries for tags have to look at Data.labels."}
	if strings.Contains(row.Tags, "doctor") {
		a.Verdict, a.Effect = Yes, "Queries for tags may look at the column Tags."
	}
	return a
}

// describeObservables are the observables of rows.
func describeObservables(rows []sentinel.RawRow) string {
	var said []string
	for _, row := range rows {
		observable := fmt.Sprintf("%s = %s", text.Line(row.ObservableKey, 60), text.Line(row.ObservableValue, 80))
		if row.ObservableKey == "" && row.ObservableValue == "" {
			observable = "none"
		}
		if !slices.Contains(said, observable) {
			said = append(said, observable)
		}
	}
	return strings.Join(said, ", ")
}

func judgeObservables(_ *azureRun, rows rowsOf) Answer {
	a := Answer{Verdict: Yes}
	var said []string
	for key, want := range map[string][2]string{
		keyFirst: {"ipv4-addr:value", firstHost}, keyCIDR: {"ipv4-addr:value", cidrValue}, keyASN: {"autonomous-system:name", asnValue},
	} {
		row := rows[key][0]
		said = append(said, describeObservables(rows[key][:1]))
		if row.ObservableKey != want[0] || row.ObservableValue != want[1] {
			a.Verdict, a.Differs = No, true
			a.Effect = "Rules match by these columns: such indicators are found by their pattern alone."
		}
	}
	slices.Sort(said)
	a.Evidence = strings.Join(said, "; ")
	return a
}

func judgeEscapes(_ *azureRun, rows rowsOf) Answer {
	quote, slash := rows[keyQuote][0].ObservableValue, rows[keyBackslash][0].ObservableValue
	a := Answer{Verdict: Value, Evidence: fmt.Sprintf("a quote: %s; a backslash: %s", text.Line(quote, 80), text.Line(slash, 80))}
	switch {
	case quote == quoteText && slash == slashText:
		a.Verdict, a.Effect = Yes, "A value with a quote or a backslash is matched like any other."
	case strings.Contains(quote, `\'`) || strings.Contains(slash, `\\`):
		a.Verdict, a.Effect = No, "A value with a quote or a backslash, such as a registry key, equals nothing in a log: no rule matches it."
	default:
		a.Effect = "A value with a quote or a backslash, such as a registry key, may be matched by no rule."
	}
	return a
}

func judgeAnd(_ *azureRun, rows rowsOf) Answer {
	key := rows[keyAnd][0].ObservableKey
	a := Answer{Verdict: Value, Evidence: describeObservables(rows[keyAnd])}
	switch {
	case key == "":
		a.Effect = "A registry key with the name of a value has no observable: it is found by its pattern alone."
	case key != "windows-registry-key:key":
		a.Effect = "Of a registry key with the name of a value only that part becomes the observable: it matches more than was meant."
	default:
		a.Effect = "Of a registry key with the name of a value the key alone becomes the observable."
	}
	return a
}

func judgeOr(_ *azureRun, rows rowsOf) Answer {
	return Answer{Verdict: Value, Evidence: fmt.Sprintf("%d for 2 comparisons: %s", len(rows[keyOr]), describeObservables(rows[keyOr])),
		Effect: "None: the App sends none."}
}

func judgeSubset(_ *azureRun, rows rowsOf) Answer {
	a := Answer{Verdict: No, Evidence: describeObservables(rows[keySubset]), Effect: "None: the App compares for equality."}
	if rows[keySubset][0].ObservableKey != "" {
		a.Verdict = Yes
	}
	return a
}

func judgeLongPattern(_ *azureRun, rows rowsOf) Answer {
	row := rows[keyLong][0]
	a := Answer{Verdict: Yes, Effect: "As the note on REPORT says: no rule matches such an indicator.",
		Evidence: fmt.Sprintf("a value of %d bytes: Pattern has %d, ObservableValue %d", len(longURL()), len(row.Pattern), len(row.ObservableValue))}
	if row.ObservableValue == longURL() {
		a.Verdict, a.Effect = No, "The note on REPORT warns without need: the value is whole."
	}
	return a
}

// judgeDescriptions reads where a description was cut from how many characters are left of three. A character outside of
// the first 65,536 is two UTF-16 units, and KQL may count it as one or as two.
func judgeDescriptions(_ *azureRun, rows rowsOf) Answer {
	ascii, three, four := rows[keyASCII][0].DescriptionLength, rows[keyThree][0].DescriptionLength, rows[keyFour][0].DescriptionLength
	unit := "something else"
	switch {
	case ascii >= longDescription:
		unit = "nothing of this length"
	case three < wideDescription:
		unit = "bytes"
	case four == wideDescription || four == 2*wideDescription:
		unit = "characters"
	case four < 2*wideDescription:
		unit = "UTF-16 units"
	}
	a := Answer{Verdict: Value, Effect: "None: the App's descriptions have 1,000 bytes at most.",
		Evidence: fmt.Sprintf("what is counted: %s; of %d characters of one byte %d are left, of %d of three bytes %d, of %d of four bytes %d",
			unit, longDescription, ascii, wideDescription, three, wideDescription, four)}
	if ascii < 1000 {
		a.Differs, a.Effect = true, "Descriptions are cut where the App does not expect it, and are no JSON then: the workbook shows no owner."
	}
	return a
}

// judgeLabels answers by itself what is rejected and what is awaited: there are several objects.
func judgeLabels(r *azureRun, rows rowsOf) Answer {
	a := Answer{Verdict: Yes}
	var said []string
	for _, o := range labelObjects() {
		sent, _ := o.changes["labels"].([]string)
		message, refused := r.rejected[o.key]
		why, open := r.unclear[o.key]
		switch {
		case open:
			return Answer{Verdict: Failed, Evidence: why}
		case refused:
			said = append(said, o.key+" is rejected: "+text.Line(message, 150))
			a.Verdict, a.Differs = No, true
		case !r.taken[o.key]:
			return Answer{Verdict: NotTried, Evidence: r.open}
		case len(rows[o.key]) == 0:
			a.Verdict = NotTried
			said = append(said, o.key+": "+r.describeAbsence(rows))
		default:
			kept := rows[o.key][0].Labels
			said = append(said, fmt.Sprintf("%s: %d of %d, the longest of %d characters", o.key, len(kept), len(sent), longestOf(kept)))
			if !slices.Equal(kept, sent) {
				a.Verdict, a.Differs = No, true
			}
		}
	}
	if a.Differs {
		a.Verdict = No
		a.Effect = "An indicator with such tags loses some of them, or is rejected and stands on REPORT."
	}
	a.Evidence = strings.Join(said, "; ")
	return a
}

// describeAbsence says why there is no row.
func (r *azureRun) describeAbsence(rows rowsOf) string {
	switch {
	case rows != nil && r.isLast():
		return noRow
	case strings.Contains(r.rows, "not read"):
		return "its row cannot be read"
	}
	return "its row is awaited"
}

func longestOf(texts []string) (n int) {
	for _, s := range texts {
		n = max(n, len([]rune(s)))
	}
	return n
}

func judgeVersion(_ *azureRun, rows rowsOf) Answer {
	row := rows[keyVersion][0]
	a := Answer{Verdict: Value, Evidence: "2.1: its confidence is in the row", Effect: "None: the App always says spec_version 2.1."}
	if row.Confidence < 0 {
		a.Evidence = "2.0: its confidence is not in the row"
	}
	return a
}

func judgeOlder(r *azureRun, rows rowsOf) Answer {
	if slices.ContainsFunc(rows[keyFirst], func(row sentinel.RawRow) bool { return r.isVersion(row, versionOlder) }) {
		return Answer{Verdict: Yes, Evidence: "the later upload has a row, though its modified is older", Effect: "None: what is sent last counts."}
	}
	return Answer{Verdict: No, Evidence: "it is accepted and has no row", Effect: effectOlder}
}

func judgeVersions(r *azureRun, rows rowsOf) Answer {
	a := Answer{Verdict: Value, Effect: "None: the App never sends two at once."}
	first := slices.IndexFunc(rows[keyVersions], func(row sentinel.RawRow) bool { return r.isVersion(row, versionEarlier) })
	second := slices.IndexFunc(rows[keyVersions], func(row sentinel.RawRow) bool { return r.isVersion(row, "") })
	switch {
	case first < 0:
		a.Evidence = "only the second one has a row"
	case second < 0:
		a.Evidence = "only the first one has a row"
	case rows[keyVersions][first].Ingested.Equal(rows[keyVersions][second].Ingested):
		a.Evidence = "both have a row, of the same time"
	case second < first:
		a.Evidence = "both have a row, the second one a newer one"
	default:
		a.Evidence = "both have a row, the first one a newer one"
	}
	return a
}

func judgeRevoked(r *azureRun, rows rowsOf) Answer {
	for _, row := range rows[keyRevoked] {
		if r.isVersion(row, "") {
			a := Answer{Verdict: Yes, Evidence: "the later version has a row that is not revoked", Effect: effectRevoked}
			if row.Revoked {
				a.Verdict, a.Evidence = No, "the later version has a row that is still revoked"
			}
			return a
		}
	}
	return Answer{Verdict: No, Evidence: "the later version is accepted and has no row", Effect: effectRevoked}
}
