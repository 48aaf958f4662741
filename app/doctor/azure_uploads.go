package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"mssentinel/app/sentinel"
	"mssentinel/app/text"
)

// reservedSource is a name that Microsoft keeps for itself, in other letters.
const reservedSource = "microsoft sentinel"

// uploadProbe is one request and what its answer tells.
type uploadProbe struct {
	id      string // of the question that the answer itself answers; "" where only rows do
	source  string // "" means the doctor's own
	objects []probeObject
	read    func(p sentinel.ProbeAnswer) Answer
	// readsRefusal says that read understands an answer which would be the same for any objects.
	readsRefusal bool
}

// errTooMany is a fault of the doctor, which each run of its tests would meet.
var errTooMany = fmt.Errorf("a run sends no more than %d requests to Sentinel", maxProbes)

// askSentinel sends objects once.
func (r *azureRun) askSentinel(ctx context.Context, source string, objects []probeObject) (sentinel.ProbeAnswer, error) {
	if r.asked >= maxProbes {
		return sentinel.ProbeAnswer{}, errTooMany
	}
	r.asked++
	encoded := make([][]byte, len(objects))
	for i, o := range objects {
		encoded[i] = r.encodeObject(o)
	}
	if source == "" {
		source = r.source
	}
	p, err := r.Client.Probe(ctx, source, encoded)
	if err == nil {
		r.noteObjects(p, objects)
	}
	return p, err
}

// noteObjects notes which objects Sentinel accepted, and what it says of those that it rejected. What is rejected together
// with others may be so because of them.
func (r *azureRun) noteObjects(p sentinel.ProbeAnswer, objects []probeObject) {
	for i, o := range objects {
		at := slices.IndexFunc(p.Rejected, func(x sentinel.Rejection) bool { return x.Index == i })
		switch {
		case p.Refused != nil:
			r.unclear[o.name()] = text.Sentence(describeAnswer(p)) + " " + p.Refused.Message
		case at >= 0:
			r.rejected[o.name()] = p.Rejected[at].Message
		case p.Accepted:
			r.taken[o.name()], r.sent = true, time.Now()
		case len(objects) == 1:
			r.rejected[o.name()] = describeAnswer(p)
		default:
			r.unclear[o.name()] = "the whole request is rejected, perhaps because of another object: " + describeAnswer(p)
		}
	}
}

// checkRole sends one good object. Where that is refused, nothing else would be taken, and nothing else is tried.
func (r *azureRun) checkRole(ctx context.Context) bool {
	p, err := r.askSentinel(ctx, "", []probeObject{firstObject})
	switch {
	case err != nil:
		r.upload = "no answer"
		r.answers.Set("azure.role", Answer{Verdict: Failed, Evidence: describeError(ctx, err)})
		return false
	case p.Refused != nil:
		r.upload = describeRefusal(p)
		answer := Answer{Verdict: No, Evidence: text.Sentence(describeAnswer(p)) + " " + p.Refused.Message, Effect: p.Refused.Remedy, Differs: true}
		if !p.NoRole && p.Status != http.StatusUnauthorized {
			answer.Verdict = Failed // it says nothing of the role
		}
		r.answers.Set("azure.role", answer)
		return false
	}
	r.answers.Set("azure.role", Answer{Verdict: Yes, Evidence: describeAnswer(p),
		Effect: "The probes stand under " + r.source + ", expired: leave that source out in the workbook."})
	if !r.taken[keyFirst] {
		r.upload = "a good object is rejected"
		r.answers.Set("azure.success", Answer{Verdict: Failed, Differs: true, Evidence: "Sentinel rejects a good object: " + r.rejected[keyFirst],
			Effect: "What the App sends may be rejected as well: see REPORT."})
		return false
	}
	r.upload = "ok"
	evidence := fmt.Sprintf("HTTP status %d, %d bytes, after %d ms; headers: %s", p.Status, len(p.Body), p.Took.Milliseconds(), strings.Join(p.Headers, ", "))
	if p.HasMark() {
		evidence += "; the body begins with a byte order mark"
	}
	r.answers.Set("azure.success", Answer{Verdict: Value, Evidence: evidence})
	return true
}

// describeRefusal is what the verdict line says of a refusal.
func describeRefusal(p sentinel.ProbeAnswer) string {
	detail := fmt.Sprint(p.Status)
	if p.Code != "" {
		detail += " " + text.Line(p.Code, 60)
	}
	switch {
	case p.NoRole:
		return "role missing (" + detail + ")"
	case p.Status == http.StatusUnauthorized && len(p.Body) == 0:
		return "token not taken (401 without a body)"
	}
	return "upload refused (" + detail + ")"
}

// describeError prefers the reason for which a context ended.
func describeError(ctx context.Context, err error) string {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		return cause.Error()
	}
	return err.Error()
}

// sendProbes sends what is left after the first object. Two are large, and only sent where that is allowed.
func (r *azureRun) sendProbes(ctx context.Context, largeBodies bool) {
	for _, probe := range r.uploadProbes() {
		if !r.sendProbe(ctx, probe) {
			return
		}
	}
	if !largeBodies {
		r.answers.Set("azure.body-limit", Answer{Verdict: NotTried, Evidence: "requests of 1.5 and 4 MiB are sent only when they are asked for"})
		return
	}
	r.tryLargeBodies(ctx)
}

// sendProbe sends one probe, and says whether there is sense in going on.
func (r *azureRun) sendProbe(ctx context.Context, probe uploadProbe) bool {
	p, err := r.askSentinel(ctx, probe.source, probe.objects)
	answer := Answer{Verdict: Failed}
	switch {
	case err != nil:
		answer.Evidence = describeError(ctx, err)
		r.upload, r.open = "broken off", "the probes ended early: "+answer.Evidence
	case p.Refused != nil && !probe.readsRefusal:
		answer.Evidence = text.Sentence(describeAnswer(p)) + " " + p.Refused.Message
	case probe.read != nil:
		answer = probe.read(p)
	}
	if probe.id != "" {
		r.answers.Set(probe.id, answer)
	}
	return err == nil
}

// uploadProbes are the requests after the first one and before the large ones, in their order. What stands behind what has
// to be seen in rows later is together in as few requests as the answers can be told apart.
func (r *azureRun) uploadProbes() []uploadProbe {
	copies := make([]probeObject, sentinel.MaxObjects+1)
	for i := range copies {
		copies[i] = copiedObject
	}
	revoked := r.earlierVersion(revokedObject)
	revoked.changes["revoked"] = true
	return []uploadProbe{
		{id: "azure.record-errors", objects: []probeObject{r.earlierVersion(againObject), invalidObject}, read: r.readRecordErrors},
		{id: "azure.all-invalid", objects: []probeObject{invalidObject}, read: readAllInvalid},
		{id: "azure.empty-list", read: readEmptyList, readsRefusal: true},
		{id: "azure.objects-limit", objects: copies, read: readObjectsLimit},
		{objects: append(append(patternObjects(), textObjects()...), revoked)},
		{objects: []probeObject{r.earlierVersion(versionedObject), versionedObject}},
		{objects: labelObjects()},
		{objects: []probeObject{r.olderVersion(firstObject), revokedObject, againObject}},
		{id: "azure.reserved-source", source: reservedSource, objects: []probeObject{invalidObject}, read: readReservedSource, readsRefusal: true},
	}
}

// readRecordErrors reads the answer to a good object and one without a pattern.
func (r *azureRun) readRecordErrors(p sentinel.ProbeAnswer) Answer {
	names, index := recordErrorNames(p.Body)
	a := Answer{Verdict: Value, Evidence: describeAnswer(p)}
	if len(names) > 0 {
		a.Evidence = fmt.Sprintf("HTTP status %d, errors with the members %s; recordIndex of the second object: %s", p.Status, strings.Join(names, ", "), index)
	}
	if p.HasMark() {
		a.Evidence += "; the body begins with a byte order mark"
	}
	switch spelled := slices.ContainsFunc(names, isMessageName); {
	case p.Accepted && len(p.Rejected) == 1 && p.Rejected[0].Index == 1 && spelled:
		a.Effect = "None: the App reads errorMessages and validationErrorMessages."
	case p.Accepted && len(p.Rejected) == 0:
		a.Differs, a.Effect = true, "An object without a pattern is taken without a word. The App checks patterns itself."
	case p.Accepted:
		a.Differs, a.Effect = true, "The App cannot read which object is rejected, or why, and finds it out by sending smaller requests."
	default:
		a.Differs, a.Effect = true, "One bad object has the whole request rejected. The App finds it by sending smaller requests, which takes longer."
	}
	return a
}

// isMessageName says that a member of a record error has one of the two names that are known,
// app/docs/sentinel.md#record-errors.
func isMessageName(name string) bool {
	return name == "errorMessages" || name == "validationErrorMessages"
}

// recordErrorNames are the members of the first record error of a body, and the index in it.
func recordErrorNames(body []byte) (names []string, index string) {
	var answer struct {
		Errors []map[string]json.RawMessage `json:"errors"`
	}
	if json.Unmarshal(bytes.TrimPrefix(body, []byte("\uFEFF")), &answer) != nil || len(answer.Errors) == 0 {
		return nil, ""
	}
	for _, name := range slices.Sorted(maps.Keys(answer.Errors[0])) {
		names = append(names, text.Line(name, 60))
	}
	return names, text.Line(string(answer.Errors[0]["recordIndex"]), 20)
}

// readAllInvalid reads the answer to an object without a pattern alone.
func readAllInvalid(p sentinel.ProbeAnswer) Answer {
	a := Answer{Verdict: Value, Evidence: describeAnswer(p)}
	switch {
	case len(p.Rejected) > 0:
		a.Evidence = fmt.Sprintf("HTTP status %d with record errors", p.Status)
		a.Effect = "None: the App reads them with each status."
	case p.Accepted:
		a.Differs, a.Effect = true, "An object without a pattern is taken without a word. The App checks patterns itself."
	default:
		a.Effect = "The App asks again with each object alone, and REPORT has no reason of Sentinel's for it."
	}
	return a
}

// readEmptyList reads the answer to a request without objects, by which the App finds out whether something between lets
// requests pass, app/docs/sentinel.md#whose-word-an-answer-is.
func readEmptyList(p sentinel.ProbeAnswer) Answer {
	a := Answer{Verdict: Value, Evidence: describeAnswer(p)}
	if p.Refused != nil {
		a.Differs = true
		a.Effect = "The App takes that for an answer of something between, and could not tell whether a firewall refuses one record or all: " + p.Refused.Message
	}
	return a
}

// readObjectsLimit reads the answer to 101 copies of one object.
func readObjectsLimit(p sentinel.ProbeAnswer) Answer {
	if p.Accepted {
		return Answer{Verdict: Yes, Evidence: describeAnswer(p), Effect: "None: the App sends 100 at most."}
	}
	return Answer{Verdict: No, Evidence: describeAnswer(p), Effect: "None: the App sends 100 at most."}
}

// readReservedSource reads the answer to an object without a pattern under a name that is reserved. Nothing can be stored
// by that: where the name is let through, the object is what is rejected.
func readReservedSource(p sentinel.ProbeAnswer) Answer {
	const effect = "None: the App's source names begin with ThreatConnect-."
	switch {
	case p.Refused != nil && p.Status != http.StatusBadRequest:
		return Answer{Verdict: Failed, Evidence: text.Sentence(describeAnswer(p)) + " " + p.Refused.Message}
	case p.Accepted, len(p.Rejected) > 0:
		return Answer{Verdict: No, Evidence: reservedSource + " is let through to the check of the objects: " + describeAnswer(p), Effect: effect}
	}
	return Answer{Verdict: Yes, Evidence: reservedSource + " is refused: " + describeAnswer(p), Effect: effect}
}

// Sizes of the large requests, in bytes; the App keeps to 1 MiB.
const (
	largeBody   = 3 << 19
	largestBody = 4 << 20
)

// tryLargeBodies sends a request of 1.5 MiB, and where that is taken one of 4 MiB.
func (r *azureRun) tryLargeBodies(ctx context.Context) {
	var evidence []string
	for _, size := range []int{largeBody, largestBody} {
		p, err := r.askSentinel(ctx, "", []probeObject{r.largeObject(size)})
		name := fmt.Sprintf("%.1f MiB", float64(size)/(1<<20))
		if err != nil && ctx.Err() != nil {
			r.answers.Set("azure.body-limit", Answer{Verdict: Failed, Evidence: strings.Join(append(evidence, describeError(ctx, err)), "; ")})
			return
		}
		if err == nil && p.Accepted && len(p.Rejected) == 0 {
			evidence = append(evidence, fmt.Sprintf("%s are taken, after %d ms", name, p.Took.Milliseconds()))
			continue
		}
		said := "no answer: "
		if err != nil {
			said += describeError(ctx, err)
		} else {
			said = describeAnswer(p)
		}
		evidence = append(evidence, name+" are refused: "+said)
		break
	}
	r.answers.Set("azure.body-limit", Answer{Verdict: Value, Evidence: strings.Join(evidence, "; "),
		Effect: "None: the App keeps to 1 MiB, and sends less where that is refused."})
}
