package doctor

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"mssentinel/app/threatconnect"
)

// tcRow is a row of ThreatConnect: its members as they stand there.
type tcRow map[string]json.RawMessage

// parseTCRow is nil for what is no object.
func parseTCRow(raw []byte) tcRow {
	var row tcRow
	if json.Unmarshal(raw, &row) != nil {
		return nil
	}
	return row
}

// memberText is a member that is a text, "" for any other.
func (r tcRow) memberText(name string) string {
	var s string
	if json.Unmarshal(r[name], &s) != nil {
		return ""
	}
	return s
}

// listElements are those of a collection such as tags.
func (r tcRow) listElements(name string) []tcRow {
	var list struct {
		Data []tcRow `json:"data"`
	}
	if json.Unmarshal(r[name], &list) != nil {
		return nil
	}
	return list.Data
}

// exportFields are what the App sends beyond the members that are always there, and what of an indicator in Sentinel is
// missing without.
var exportFields = []struct{ name, without string }{
	{"tags", "labels, tactics of ATT&CK, and part of the indicator types"},
	{"securityLabels", "TLP markings"},
	{"attributes", "attributes and phases of intrusion"},
	{"threatAssess", "the ThreatAssess score"},
	{"associatedGroups", "associated groups, and part of the indicator types"},
}

func exportFieldNames() []string {
	var names []string
	for _, f := range exportFields {
		names = append(names, f.name)
	}
	return names
}

// rowsProbe reads ten rows as the App reads them, or those with the named value.
func rowsProbe(named string, fields ...string) threatconnect.Probe {
	p := selectIndicators("count", "true", "resultLimit", "10")
	if named != "" {
		p.Params.Set("tql", `summary = "`+strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(named)+`" and (indicatorActive = true or indicatorActive = false)`)
	}
	p.Params["fields"] = fields
	return p
}

// examineRows reads some rows with all fields; where that is refused, with one field after the other.
func (e *tcExamination) examineRows(named string, noted *notedIndicators) {
	reply, ok := e.sendProbe(tcFields, rowsProbe(named, exportFieldNames()...))
	if !ok {
		return
	}
	e.fields = "all"
	if reply.Succeeded() {
		e.answers.Set(tcFields, Answer{Verdict: Yes, Evidence: strings.Join(exportFieldNames(), ", ") + "; " + describeReply(reply)})
	} else if reply, ok = e.examineEachField(named, reply); !ok {
		return
	}
	if named != "" {
		e.noteIndicators(named, reply, noted)
	} else {
		e.answers.Set(tcLastModified, Answer{Verdict: NotTried, Evidence: "no indicator was named"})
	}
	e.examineCount(reply)
	if reply.Next != "" {
		e.answerLinks(reply.Next)
	}
	for _, raw := range reply.Rows {
		if row := parseTCRow(raw); row != nil && e.row == nil {
			e.row = row
		}
	}
	e.answerDates(reply.Rows)
}

// examineEachField asks for one field after the other, and returns the first reply with rows.
func (e *tcExamination) examineEachField(named string, together threatconnect.Reply) (rows threatconnect.Reply, found bool) {
	e.fields = "not all"
	says, without := []string{}, []string{}
	for _, f := range exportFields {
		reply, ok := e.sendProbe(tcFields, rowsProbe(named, f.name))
		switch {
		case !ok:
			says = append(says, f.name+" not tried")
			continue
		case reply.Succeeded():
			says = append(says, f.name+" granted")
			if !found {
				rows, found = reply, true
			}
		default:
			says = append(says, f.name+" refused with "+strconv.Itoa(reply.Status))
			without = append(without, f.without)
		}
	}
	answer := Answer{Verdict: No, Evidence: "all at once: " + describeReply(together) + "; " + strings.Join(says, ", "), Differs: true,
		Effect: "Objects in Sentinel come without " + strings.Join(without, "; ") + ". Let the API user read all of them, or have its link limit raised."}
	if len(without) == 0 {
		answer.Effect = "Each is granted by itself: run the doctor again, or have the API user's link limit raised."
	}
	e.answers.Set(tcFields, answer)
	return rows, found
}

func (e *tcExamination) examineCount(reply threatconnect.Reply) {
	answer := Answer{Verdict: yesOrNo(reply.Count >= 0), Evidence: describeReply(reply)}
	if reply.Count < 0 {
		answer.Differs, answer.Effect = true, "CONFIGURE cannot say how many indicators a query selects, and progress has no total."
	}
	e.answers.Set(tcCount, answer)
}

// answerLinks compares the link to the next page with what was asked.
func (e *tcExamination) answerLinks(next string) {
	link, err := url.Parse(next)
	if err != nil {
		e.answers.Set(tcLinks, Answer{Verdict: No, Evidence: "it is no address", Differs: true})
		return
	}
	var missing []string
	for _, name := range []string{"fields", "count", "createActivityLog"} {
		if !link.Query().Has(name) {
			missing = append(missing, name)
		}
	}
	host := "the host that was asked"
	if link.Host != e.client.Host() {
		host = "another host"
	}
	answer := Answer{Verdict: yesOrNo(len(missing) == 0), Evidence: fmt.Sprintf("%s, %s, lacks %s", orWord(link.Scheme, "no scheme"), host, orWord(strings.Join(missing, ", "), "nothing"))}
	if len(missing) > 0 {
		answer.Differs, answer.Effect = true, "Pages of deleted indicators are read by these links: where there is more than one, some may be missed until a full update."
	}
	e.answers.Set(tcLinks, answer)
}

// answerDates shows the forms of dates, with each digit as a 9.
func (e *tcExamination) answerDates(rows [][]byte) {
	forms, unusual := map[string]int{}, false
	for _, raw := range rows {
		row := parseTCRow(raw)
		for _, name := range []string{"dateAdded", "lastModified"} {
			text := row.memberText(name)
			forms[strconv.Quote(strings.Map(func(r rune) rune {
				if unicode.IsDigit(r) {
					return '9'
				}
				return r
			}, text))]++
			_, err := time.Parse("2006-01-02T15:04:05Z", text)
			unusual = unusual || err != nil
		}
	}
	if len(forms) == 0 {
		e.answers.Set(tcDates, Answer{Verdict: NotTried, Evidence: "no indicator was read"})
		return
	}
	says := slices.Sorted(maps.Keys(forms))
	answer := Answer{Verdict: yesOrNo(!unusual), Evidence: strings.Join(says[:min(len(says), 5)], ", ")}
	if unusual {
		answer.Differs, answer.Effect = true, "The App reads these forms where app/docs/threatconnect.md names them; with others, times in Sentinel are those of the sending."
	}
	e.answers.Set(tcDates, answer)
}

// examineInactive asks as the App asks for what was set inactive.
func (e *tcExamination) examineInactive() {
	reply, ok := e.sendProbe(tcInactive, selectIndicators("tql", "indicatorActive = false", "count", "true"))
	if !ok {
		return
	}
	answer := Answer{Verdict: No, Evidence: describeReply(reply)}
	switch {
	case !reply.Succeeded():
		answer.Differs, answer.Effect = true, "What is set inactive is retired by a full update alone, and every delta update fails."
	case len(reply.Rows) == 0:
		answer.Effect = "If there are inactive indicators, they are retired by a full update alone. Set one inactive and run the doctor again."
	case string(parseTCRow(reply.Rows[0])["active"]) != "false":
		answer.Differs, answer.Effect = true, "Active indicators are found, too: report it, since the App takes what is found for inactive."
	default:
		answer.Verdict = Yes
	}
	e.answers.Set(tcInactive, answer)
}

// examineNaiveDates looks for an indicator by the second in which it was added, without a zone; and with one where that
// finds nothing.
func (e *tcExamination) examineNaiveDates() {
	added, err := time.Parse("2006-01-02T15:04:05Z", strings.TrimSpace(e.row.memberText("dateAdded")))
	if err != nil {
		e.answers.Set(tcNaiveDates, Answer{Verdict: NotTried, Evidence: "no indicator with a usable dateAdded was read"})
		return
	}
	within := func(layout string) string {
		return fmt.Sprintf(`id = %s and dateAdded >= "%s" and dateAdded < "%s"`, e.row["id"], added.Format(layout), added.Add(time.Second).Format(layout))
	}
	reply, ok := e.sendProbe(tcNaiveDates, selectIndicators("tql", within(time.DateTime)))
	switch {
	case !ok:
		return
	case !reply.Succeeded():
		e.answers.Set(tcNaiveDates, Answer{Verdict: No, Evidence: "it is refused: " + describeReply(reply), Effect: "In the TQL of a query dates need the Z."})
		return
	case len(reply.Rows) > 0:
		e.answers.Set(tcNaiveDates, Answer{Verdict: Yes, Evidence: "an indicator is found by the second in which it was added"})
		return
	}
	control, ok := e.sendProbe(tcNaiveDates, selectIndicators("tql", within("2006-01-02T15:04:05Z")))
	switch {
	case !ok:
	case control.Succeeded() && len(control.Rows) > 0:
		e.answers.Set(tcNaiveDates, Answer{Verdict: No, Evidence: "by the second in which it was added an indicator is found with Z and not without",
			Effect: "In the TQL of a query a date without a zone is another moment than the same date in UTC: write it with Z. The App's own dates have it."})
	default:
		e.answers.Set(tcNaiveDates, Answer{Verdict: Failed, Evidence: "not even with Z an indicator is found by the second in which it was added: " + describeReply(control)})
	}
}

// deletedWindow is how far the list of deleted indicators is looked back.
const deletedWindow = 7 * 24 * time.Hour

// examineDeleted looks at what was deleted in the owner of the first row.
func (e *tcExamination) examineDeleted() {
	owner := e.row.memberText("ownerName")
	if owner == "" {
		e.answers.Set(tcDeletedDate, Answer{Verdict: NotTried, Evidence: "no indicator was read whose owner could be asked about"})
		return
	}
	since := time.Now().Add(-deletedWindow).UTC().Truncate(time.Second)
	reply, ok := e.sendProbe(tcDeletedDate, threatconnect.Probe{Path: "/v3/indicators/deleted",
		Params: url.Values{"owner": {owner}, "deletedSince": {since.Format("2006-01-02T15:04:05Z")}, "resultLimit": {"1000"}}})
	switch {
	case !ok:
		return
	case !reply.Succeeded():
		e.answers.Set(tcDeletedDate, Answer{Verdict: Failed, Evidence: describeReply(reply), Differs: true,
			Effect: "What is deleted in ThreatConnect is retired by a full update alone."})
		return
	case len(reply.Rows) == 0:
		e.answers.Set(tcDeletedDate, Answer{Verdict: NotTried, Evidence: "nothing was deleted within 7 days in the one owner that was asked"})
		return
	}
	before := 0
	for _, raw := range reply.Rows {
		at, err := time.Parse("2006-01-02T15:04:05Z", strings.TrimSpace(parseTCRow(raw).memberText("dateAdded")))
		if err != nil || at.Before(since) {
			before++
		}
	}
	e.answers.Set(tcDeletedDate, Answer{Verdict: yesOrNo(before == 0), Evidence: fmt.Sprintf("of %d rows deleted within 7 days %d have an earlier dateAdded or none", len(reply.Rows), before),
		Effect: "Nothing: the App decides nothing by it."})
}

// notedIndicators remembers what the named indicators were like in the run before.
type notedIndicators struct {
	mu    sync.Mutex
	value [sha256.Size]byte
	rows  map[string]notedRow // by id
}

type notedRow struct {
	lastModified string
	members      map[string][sha256.Size]byte
}

// notedMembers are what could move lastModified, with what of the elements of a collection counts.
var notedMembers = []string{"tags", "securityLabels", "attributes", "associatedGroups", "threatAssessScore", "calScore", "active", "rating",
	"confidence", "description", "source"}

func noteRow(row tcRow) notedRow {
	noted := notedRow{row.memberText("lastModified"), map[string][sha256.Size]byte{}}
	for _, name := range notedMembers {
		content := string(row[name])
		if list := row.listElements(name); list != nil {
			content = ""
			for _, e := range list {
				content += fmt.Sprintf("%s %s %s %s\n", e["id"], e["name"], e["type"], e["value"])
			}
		}
		noted.members[name] = sha256.Sum256([]byte(content))
	}
	return noted
}

// noteIndicators notes the named indicators, and compares them with those of the run before.
func (e *tcExamination) noteIndicators(named string, reply threatconnect.Reply, noted *notedIndicators) {
	now := map[string]notedRow{}
	var times []string
	for _, raw := range reply.Rows {
		if row := parseTCRow(raw); row != nil {
			now[string(row["id"])] = noteRow(row)
			times = append(times, strings.TrimSpace(row.memberText("lastModified")))
		}
	}
	noted.mu.Lock()
	defer noted.mu.Unlock()
	value, before := sha256.Sum256([]byte(named)), noted.rows
	if value != noted.value {
		before = nil
	}
	noted.value, noted.rows = value, now
	if len(now) == 0 {
		e.answers.Set(tcLastModified, Answer{Verdict: NotTried, Evidence: "no indicator has the summary that was named, letter by letter"})
		return
	}
	e.answers.Set(tcLastModified, compareNotes(before, now, times))
}

// compareNotes says what has changed, and whether lastModified has moved with it.
func compareNotes(before, now map[string]notedRow, times []string) Answer {
	says := fmt.Sprintf("%d indicators, lastModified %s", len(now), strings.Join(times, ", "))
	var changed []string
	moved := false
	for id, row := range now {
		old, known := before[id]
		if !known {
			continue
		}
		moved = moved || old.lastModified != row.lastModified
		for _, name := range notedMembers {
			if old.members[name] != row.members[name] && !slices.Contains(changed, name) {
				changed = append(changed, name)
			}
		}
	}
	slices.Sort(changed)
	what := strings.Join(changed, ", ")
	switch {
	case before == nil:
		return Answer{Verdict: Value, Evidence: says, Effect: "Change one thing of it in ThreatConnect, such as a tag, and run the doctor again with the same value before the Service is restarted."}
	case len(changed) == 0 && !moved:
		return Answer{Verdict: Value, Evidence: says + "; nothing has changed since the run before"}
	case moved:
		return Answer{Verdict: Yes, Evidence: says + "; lastModified has moved, and changed are: " + orWord(what, "none of what the App reads")}
	}
	return Answer{Verdict: No, Evidence: says + "; lastModified has not moved, and changed are: " + what,
		Effect: "Such a change reaches Sentinel with a full update (Full Update Interval Days), not within an interval."}
}
