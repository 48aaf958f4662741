package doctor

import (
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"time"
)

// pageQuestions are what the page finds out about the platform's front, each with how its answer follows from the results.
var pageQuestions = []struct {
	Question
	answer func(pageFindings) Answer
}{
	{Question{"pages.methods", "Which methods reach the App?"}, pageFindings.answerMethods},
	{Question{"pages.path-start", "Does the path that the App is told begin with a slash?"}, pageFindings.answerPathStart},
	{Question{"pages.path-escapes", "Do percent escapes in a path arrive as they were sent?"}, pageFindings.answerPathEscapes},
	{Question{"pages.path-end", "Does the slash at the end of a path arrive?"}, pageFindings.answerPathEnd},
	{Question{"pages.query", "Do the parameters of an address arrive as they were sent, or decoded?"}, pageFindings.answerQuery},
	{Question{"pages.query-repeated", "Do all parameters of the same name arrive?"}, pageFindings.answerRepeated},
	{Question{"pages.address", "Does the App learn the address in the browser?"}, pageFindings.answerAddress},
	{Question{"pages.headers", "Which headers of a request reach the App?"}, pageFindings.answerHeaders},
	{Question{"pages.form", "Does a form arrive as a body?"}, pageFindings.answerForm},
	{Question{"pages.request-size", "How large may a request be?"}, pageFindings.answerRequestSize},
	{Question{"pages.answer-size", "How large may an answer be?"}, pageFindings.answerAnswerSize},
	{Question{"pages.timeout", "How long does the platform wait for an answer, and what does the caller get then?"}, pageFindings.answerTimeout},
	{Question{"pages.policy", "Does the Content-Security-Policy reach the browser?"}, pageFindings.answerPolicy},
	{Question{"pages.answer-headers", "Do the other headers of an answer reach the browser?"}, pageFindings.answerAnswerHeaders},
	{Question{"pages.cookie", "Does a cookie of the App reach the browser and come back?"}, pageFindings.answerCookie},
	{Question{"pages.not-modified", "Do ETag and the status 304 work?"}, pageFindings.answerNotModified},
	{Question{"pages.gzip", "Does a packed answer reach the browser?"}, pageFindings.answerGzip},
	{Question{"pages.no-content", "Does an answer without a body keep its status 204?"}, pageFindings.answerNoContent},
	{Question{"pages.redirect", "Do relative redirections reach the browser?"}, pageFindings.answerRedirects},
	{Question{"pages.session", "Does the platform refuse a call without a session?"}, pageFindings.answerSession},
}

// pageFindings are the results of one round of requests, by the name of the request.
type pageFindings struct {
	requests []PageRequest
	results  map[string]PageResult
}

// echo is what the App saw of a request; ok is false where the request or its answer did not arrive. With 403 the App
// itself refuses what comes without X-Requested-With.
func (f pageFindings) echo(name string) (seen Seen, ok bool) {
	r := f.results[name]
	if r.Seen == nil || r.Status != 200 && r.Status != 403 {
		return Seen{}, false
	}
	return *r.Seen, true
}

// outcome says in a few words what became of a request.
func (f pageFindings) outcome(name string) string {
	r, asked := f.results[name]
	switch {
	case !asked:
		return "not asked"
	case r.Status == 0:
		return "no answer"
	case r.Status == 200 && r.Seen == nil && r.Redirected:
		return "led to another page"
	case r.Status == 200 && r.Seen == nil:
		return "answered by another"
	}
	return fmt.Sprintf("status %d", r.Status)
}

// notTried is the answer where the request did not come back with what the App saw.
func (f pageFindings) notTried(names ...string) Answer {
	var parts []string
	verdict := NotTried
	for _, name := range names {
		if _, asked := f.results[name]; asked {
			verdict = Failed
		}
		parts = append(parts, name+": "+f.outcome(name))
	}
	return Answer{Verdict: verdict, Evidence: strings.Join(parts, ", ")}
}

// onPlatform says that the App was told of the requests by the platform.
func (f pageFindings) onPlatform() bool {
	for _, r := range f.results {
		if r.Seen != nil && r.Seen.Platform {
			return true
		}
	}
	return false
}

// noPlatform is the answer about the platform where the App serves its pages itself.
var noPlatform = Answer{Verdict: NotTried, Evidence: "no platform stands between the browser and the App"}

// tally counts over all requests how often the App saw something, the most frequent first.
func (f pageFindings) tally(kind func(Seen) string) (counts map[string]int, words string) {
	counts = map[string]int{}
	for name := range f.results {
		if seen, ok := f.echo(name); ok {
			counts[kind(seen)]++
		}
	}
	var parts []string
	for word, n := range counts {
		parts = append(parts, fmt.Sprintf("%s %d times", word, n))
	}
	slices.Sort(parts)
	return counts, strings.Join(parts, ", ")
}

func (f pageFindings) answerMethods() Answer {
	var arrived, not []string
	needed := true
	for _, method := range pageMethods {
		name := "method-" + strings.ToLower(method)
		seen, ok := f.echo(name)
		if method == "HEAD" { // its answer has no body
			ok = f.results[name].Status == 200
			seen.Method = method
		}
		if ok && seen.Method == method {
			arrived = append(arrived, method)
			continue
		}
		why := f.outcome(name)
		if ok {
			why = "as " + seen.Method
		}
		not = append(not, fmt.Sprintf("%s (%s)", method, why))
		needed = needed && !slices.Contains([]string{"GET", "POST", "PUT", "DELETE"}, method)
	}
	if len(arrived) == 0 {
		return f.notTried("method-get")
	}
	a := Answer{Verdict: Value, Evidence: strings.Join(arrived, ", "), Differs: !needed}
	if len(not) > 0 {
		a.Evidence += "; not: " + strings.Join(not, ", ")
	}
	switch {
	case !slices.Contains(arrived, "POST"):
		a.Effect = "Nothing can be changed on the screens: ask ThreatConnect's support to let POST through."
	case !needed:
		a.Effect = "The screens work. Scripts cannot use the calls below api/ that need the missing methods: use the screens."
	}
	return a
}

func (f pageFindings) answerPathStart() Answer {
	if !f.onPlatform() {
		return noPlatform
	}
	counts, words := f.tally(func(s Seen) string {
		if strings.HasPrefix(s.Path, "/") {
			return "with"
		}
		return "without"
	})
	a := Answer{Verdict: Value, Evidence: words}
	switch {
	case counts["with"] == 0:
		a.Verdict = No
	case counts["without"] == 0:
		a.Verdict = Yes
	}
	return a
}

func (f pageFindings) answerPathEscapes() Answer {
	a := Answer{Verdict: Yes}
	var parts []string
	arrived := 0
	for _, p := range pagePaths {
		word := f.outcome(p.name)
		if seen, ok := f.echo(p.name); ok {
			arrived++
			word = describePath(seen.Path, p.sent, p.decoded)
		}
		if word != "as sent" {
			a.Verdict = No
		}
		parts = append(parts, p.sent+" "+word)
	}
	if arrived == 0 {
		return f.notTried("path-slash", "path-plus")
	}
	a.Evidence = strings.Join(parts, ", ")
	if a.Verdict == No {
		a.Effect = "None: no address of the App needs an escape in its path."
	}
	return a
}

// describePath says how the end of a path arrived.
func describePath(path, sent, decoded string) string {
	switch {
	case strings.HasSuffix(path, "/"+sent):
		return "as sent"
	case strings.HasSuffix(path, "/"+decoded):
		return "decoded"
	}
	return "changed"
}

func (f pageFindings) answerPathEnd() Answer {
	seen, ok := f.echo("path-end")
	if !ok {
		return f.notTried("path-end")
	}
	if strings.HasSuffix(seen.Path, "/") {
		return Answer{Verdict: Yes}
	}
	a := Answer{Verdict: No, Evidence: "end/ arrives as end"}
	if counts, _ := f.tally(func(s Seen) string { return s.Address }); counts["whole"] == 0 {
		a.Differs = true
		a.Effect = "CONFIGURE cannot tell its address with a slash from that without: open ui/edit in its place."
	}
	return a
}

func (f pageFindings) answerQuery() Answer {
	seen, ok := f.echo("query-many")
	if !ok {
		return f.notTried("query-many")
	}
	var sent, decoded []string
	for _, q := range pageQuery {
		sent, decoded = append(sent, "v="+q.sent), append(decoded, "v="+q.decoded)
	}
	a := Answer{Verdict: Value, Evidence: "changed: " + strings.Join(seen.Query, " ")}
	switch {
	case slices.Equal(seen.Query, sent):
		a.Evidence = "as they were sent"
	case slices.Equal(seen.Query, decoded):
		a.Evidence = "decoded"
	}
	var misread []string
	if !slices.Equal(seen.Params, decoded) {
		misread = append(misread, "the list")
	}
	for _, v := range pageValues {
		if seen, ok := f.echo(v.name); ok && !slices.Equal(seen.Params, []string{"v=" + v.decoded}) {
			misread = append(misread, fmt.Sprintf("%s as %q", v.sent, strings.TrimPrefix(strings.Join(seen.Params, " "), "v=")))
		}
	}
	if len(misread) > 0 {
		a.Differs = true
		a.Evidence += "; the App misreads " + strings.Join(misread, ", ")
		a.Effect = "A search on JOBS or REPORT for a text with + or % in it may find nothing: search for a part without them."
	}
	return a
}

func (f pageFindings) answerRepeated() Answer {
	seen, ok := f.echo("query-many")
	if !ok {
		return f.notTried("query-many")
	}
	if n := len(seen.Params); n < len(pageQuery) {
		return Answer{Verdict: No, Evidence: fmt.Sprintf("%d of %d", n, len(pageQuery)), Differs: true,
			Effect: "A filter with several choices, such as two statuses on JOBS, keeps one of them."}
	}
	return Answer{Verdict: Yes}
}

func (f pageFindings) answerAddress() Answer {
	if !f.onPlatform() {
		return noPlatform
	}
	counts, words := f.tally(func(s Seen) string { return s.Address })
	a := Answer{Verdict: Value, Evidence: "requestUrl " + words}
	switch {
	case counts["whole"] == 0:
		a.Verdict = No
		a.Effect = "An address of the Service without a slash at its end leads to the screens by a detour."
	case len(counts) == 1:
		a.Verdict = Yes
	}
	return a
}

func (f pageFindings) answerHeaders() Answer {
	seen, ok := f.echo("method-post")
	if !ok {
		return f.notTried("method-post")
	}
	a := Answer{Verdict: Value, Evidence: strings.Join(seen.Headers, ", ")}
	var missing []string
	for _, name := range pageHeaders {
		if !slices.Contains(seen.Headers, name) {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		a.Differs = true
		a.Evidence = "missing: " + strings.Join(missing, ", ") + "; there: " + a.Evidence
		a.Effect = "Scripts that change something are refused without X-Requested-With and Content-Type, forms without Content-Type."
	}
	return a
}

func (f pageFindings) answerForm() Answer {
	seen, ok := f.echo("form")
	if !ok {
		return f.notTried("form")
	}
	a := Answer{Verdict: Yes}
	if !seen.Body {
		a.Verdict, a.Evidence = No, "its fields are among the parameters of the address"
	}
	if want := []string{"a=1", "b=x y", "b=&"}; !slices.Equal(seen.Fields, want) {
		a.Differs = true
		a.Evidence = strings.TrimPrefix(a.Evidence+"; the App understands "+strings.Join(seen.Fields, " "), "; ")
		a.Effect = "The forms of the screens do not work as they should: use the calls below api/."
	}
	return a
}

func (f pageFindings) answerRequestSize() Answer {
	return f.compareSizes("request-", "A list of queries of that size cannot be saved or imported: keep it smaller.",
		func(name string) (length int64, checksum string, ok bool) {
			seen, ok := f.echo(name)
			return seen.Length, seen.Checksum, ok
		})
}

func (f pageFindings) answerAnswerSize() Answer {
	return f.compareSizes("answer-", "Long lists do not arrive: ask for fewer lines with limit.",
		func(name string) (length int64, checksum string, ok bool) {
			r := f.results[name]
			return r.Length, r.Checksum, r.Status == 200
		})
}

// compareSizes looks which bodies of a kind arrived unchanged.
func (f pageFindings) compareSizes(kind, effect string, arrived func(name string) (length int64, checksum string, ok bool)) Answer {
	a := Answer{Verdict: Value}
	var parts []string
	asked := false
	for _, size := range pageSizes {
		name := kind + size.name
		_, known := f.results[name]
		asked = asked || known
		word := "unchanged"
		if length, checksum, ok := arrived(name); !ok {
			word = f.outcome(name)
		} else if length != int64(size.length) || checksum != patternSums()[size.length] {
			word = fmt.Sprintf("changed, as %d bytes", length)
		}
		a.Differs = a.Differs || word != "unchanged"
		parts = append(parts, size.label+" "+word)
	}
	a.Evidence = strings.Join(parts, ", ")
	if !asked {
		return Answer{Verdict: NotTried}
	}
	if a.Differs {
		a.Effect = effect
	}
	return a
}

// reliedWait is how long the platform has to wait, at least: the App answers for a handler that takes longer.
const reliedWait = 27 * time.Second

func (f pageFindings) answerTimeout() Answer {
	a := Answer{Verdict: NotTried}
	var parts []string
	for _, request := range f.requests {
		r, asked := f.results[request.Name]
		if request.Series != "wait" || !asked {
			continue
		}
		a.Verdict = Value
		took := time.Duration(r.Milliseconds) * time.Millisecond
		if _, ok := f.echo(request.Name); ok {
			parts = append(parts, fmt.Sprintf("%v answered", request.wait))
			continue
		}
		parts = append(parts, fmt.Sprintf("%v: %s after %v", request.wait, f.outcome(request.Name), took.Round(100*time.Millisecond)))
		if took < reliedWait {
			a.Differs = true
			a.Effect = fmt.Sprintf("What takes longer than %v does not arrive, such as the validation or preview of a slow query: "+
				"narrow the TQL. What was begun goes on.", took.Round(time.Second))
		}
	}
	a.Evidence = strings.Join(parts, ", ")
	return a
}

func (f pageFindings) answerPolicy() Answer {
	seen, ok := f.echo("method-get")
	if !ok {
		return f.notTried("method-get")
	}
	const name = "content-security-policy"
	got := f.results["method-get"].Got[name]
	switch {
	case got == seen.Given[name]:
		return Answer{Verdict: Yes}
	case got == "":
		return Answer{Verdict: No, Differs: true,
			Effect: "The screens work, and lack a line of defence against foreign scripts: every text on them is escaped all the same."}
	}
	return Answer{Verdict: Value, Evidence: fmt.Sprintf("changed, %d bytes instead of %d", len(got), len(seen.Given[name])), Differs: true,
		Effect: "If a screen does not react to its buttons, the changed policy may be why: its forms work without a script."}
}

func (f pageFindings) answerAnswerHeaders() Answer {
	seen, ok := f.echo("method-get")
	if !ok {
		return f.notTried("method-get")
	}
	var missing, changed []string
	for name, given := range seen.Given {
		got := f.results["method-get"].Got[name]
		switch {
		case name == "content-security-policy" || got == given:
		case got == "":
			missing = append(missing, name)
		default:
			changed = append(changed, name)
		}
	}
	if len(missing)+len(changed) == 0 {
		return Answer{Verdict: Yes, Evidence: fmt.Sprintf("%d arrive unchanged", len(seen.Given))}
	}
	slices.Sort(missing)
	slices.Sort(changed)
	a := Answer{Verdict: No, Differs: true, Effect: "The screens work, with a line of defence less."}
	if len(missing) > 0 {
		a.Evidence = "missing: " + strings.Join(missing, ", ")
	}
	if len(changed) > 0 {
		a.Evidence = strings.TrimPrefix(a.Evidence+"; changed: "+strings.Join(changed, ", "), "; ")
	}
	if slices.Contains(append(missing, changed...), "cache-control") {
		a.Effect = "The browser may keep screens: reload a page that looks old, and lock the screen of a shared machine."
	}
	return a
}

func (f pageFindings) answerCookie() Answer {
	r, asked := f.results["cookie-set"]
	if !asked {
		return f.notTried("cookie-set")
	}
	back, _ := f.echo("cookie-back")
	switch {
	case r.Cookie && back.Cookie:
		return Answer{Verdict: Yes}
	case r.Cookie:
		return Answer{Verdict: No, Evidence: "it reaches the browser and does not come back", Effect: "None: the screens set no cookie."}
	}
	return Answer{Verdict: No, Evidence: "it does not reach the browser", Effect: "None: the screens set no cookie."}
}

func (f pageFindings) answerNotModified() Answer {
	if f.results["not-modified"].Status == 304 {
		return Answer{Verdict: Yes}
	}
	seen, ok := f.echo("not-modified")
	if !ok {
		return f.notTried("not-modified")
	}
	a := Answer{Verdict: No, Effect: "None: the files that a browser keeps have addresses that change with them."}
	a.Evidence = "the request's If-None-Match does not arrive"
	if slices.Contains(seen.Headers, "if-none-match") {
		a.Evidence = "the status 304 does not arrive"
	}
	return a
}

func (f pageFindings) answerGzip() Answer {
	r, asked := f.results["gzip"]
	if !asked || r.Status != 200 {
		return f.notTried("gzip")
	}
	if r.Checksum != fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(gzipText))) {
		return Answer{Verdict: No, Evidence: fmt.Sprintf("%d bytes arrive that are not the text", r.Length), Effect: "None: the App packs nothing."}
	}
	if !r.Packed {
		return Answer{Verdict: Yes, Evidence: "unpacked on its way"}
	}
	return Answer{Verdict: Yes, Evidence: "packed"}
}

func (f pageFindings) answerNoContent() Answer {
	r, asked := f.results["no-content"]
	switch {
	case !asked || r.Status == 0:
		return f.notTried("no-content")
	case r.Status == 204:
		return Answer{Verdict: Yes}
	}
	return Answer{Verdict: No, Evidence: fmt.Sprintf("status %d", r.Status), Differs: true,
		Effect: "Scripts that look for 204 after a command get another status."}
}

func (f pageFindings) answerRedirects() Answer {
	a := Answer{Verdict: Yes}
	var parts []string
	asked := false
	for _, status := range pageRedirects {
		name := "redirect-" + status
		r, known := f.results[name]
		asked = asked || known
		seen, ok := f.echo(name)
		word := f.outcome(name)
		switch {
		case ok && r.Redirected && strings.Contains(seen.Path, "arrived"):
			continue
		case ok && strings.Contains(seen.Path, "arrived"):
			word = "followed by the platform"
		}
		parts = append(parts, status+" "+word)
	}
	if !asked {
		return Answer{Verdict: NotTried}
	}
	if len(parts) > 0 {
		a = Answer{Verdict: No, Evidence: strings.Join(parts, ", "), Differs: true,
			Effect: "After a button is pressed the wrong page may show, though what it asked for was done: open the screen again by its tab."}
	}
	return a
}

func (f pageFindings) answerSession() Answer {
	if !f.onPlatform() {
		return noPlatform
	}
	if _, asked := f.results["no-session"]; !asked {
		return f.notTried("no-session")
	}
	if _, reached := f.echo("no-session"); reached {
		return Answer{Verdict: No, Evidence: "it reaches the App", Differs: true,
			Effect: "Whoever can reach the address of this Service can use its screens: have the network or ThreatConnect's permissions keep others out."}
	}
	return Answer{Verdict: Yes, Evidence: f.outcome("no-session")}
}
