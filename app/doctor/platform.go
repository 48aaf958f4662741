package doctor

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"mssentinel/app/platform"
)

// PlatformProbe answers by what a [platform.Recorder] noted of the start, the parameters and the requests: it asks nothing
// itself. The facts it relies on are in app/docs/platform.md.
func PlatformProbe(facts func() platform.Facts) Probe {
	list := slices.Concat(parameterQuestions, startQuestions, runQuestions, requestQuestions)
	return factProbe(Platform, facts, list, func(f platform.Facts) string {
		if !f.Attached {
			return string(NotTried) + " (the App runs by itself)"
		}
		return fmt.Sprintf("ok (%d requests seen)", f.Requests.Count)
	})
}

// parameterQuestions are about app/docs/platform.md#values-in-the-parameter-file.
var parameterQuestions = []factQuestion{
	{Question{"platform.parameters", "Which parameters does the platform send?"}, onPlatform(func(f platform.Facts) Answer {
		return value("missing: %s; empty: %s; set: %s", listParameters(f, "missing"), listParameters(f, "empty"), listParameters(f, "set"))
	})},
	{Question{"platform.parameter-types", "In which JSON types do the parameters arrive?"}, onPlatform(answerTypes)},
	{Question{"platform.variables", "Does the platform leave references to variables to the App?"}, onPlatform(answerVariables)},
	{Question{"platform.start-token", "Does a token come with the parameters?"}, onPlatform(answerStartToken)},
	{Question{"platform.certificate-files", "Which certificate files does the platform name, and can they be read?"}, onPlatform(answerFiles)},
	{Question{"platform.log-to-api", "Does the platform ask for the log by its API (tc_log_to_api)?"}, onPlatform(func(f platform.Facts) Answer {
		for _, p := range f.Parameters {
			if p.Name == "tc_log_to_api" {
				return value("the parameter is sent, %s as %s; whether it is on is not noted", p.Form, p.Type)
			}
		}
		return Answer{Verdict: No, Evidence: "the parameter is not sent"}
	})},
}

func listParameters(f platform.Facts, form string) string {
	var names []string
	for _, p := range f.Parameters {
		if p.Form == form {
			names = append(names, p.Name)
		}
	}
	return listOr(names, "none")
}

func answerTypes(f platform.Facts) Answer {
	byType := map[string][]string{}
	for _, p := range f.Parameters {
		if p.Type != "" {
			byType[p.Type] = append(byType[p.Type], p.Name)
		}
	}
	var parts []string
	for _, kind := range []string{"list", "object", "number", "boolean", "null"} {
		if names := byType[kind]; len(names) > 0 {
			parts = append(parts, kind+": "+strings.Join(names, ", "))
		}
	}
	parts = append(parts, fmt.Sprintf("text: %d", len(byType["text"])))
	answer := value("%s", strings.Join(parts, "; "))
	if len(byType["list"])+len(byType["object"]) > 0 {
		answer.Differs = true
		answer.Effect = "The App takes single values alone. A list or an object in a parameter of its own would end the start; these are none of them."
	}
	return answer
}

func answerVariables(f platform.Facts) Answer {
	if names := listParameters(f, "a reference"); names != "none" {
		return Answer{Verdict: Yes, Evidence: "references arrived in " + names,
			Effect: "The App looked them up by itself at its start, which worked, since it runs."}
	}
	return Answer{Verdict: No, Evidence: "no parameter arrived as a reference: no variable is chosen, or the platform put its value in"}
}

func answerStartToken(f platform.Facts) Answer {
	if f.TokenKind == "" || f.TokenKind == "none" {
		return Answer{Verdict: No, Evidence: "tc_token is missing or empty",
			Effect: "Variables that the platform leaves to the App are looked up with the API user's key."}
	}
	answer := Answer{Verdict: Yes, Evidence: "kind " + f.TokenKind + ", without an end"}
	if !f.TokenExpires.IsZero() {
		answer.Evidence = fmt.Sprintf("kind %s, good until %s", f.TokenKind, instant(f.TokenExpires))
	}
	return answer
}

func answerFiles(f platform.Facts) Answer {
	var parts []string
	for _, file := range []struct{ name, path string }{
		{"tc_svc_broker_cacert_file", f.CAFile}, {"tc_svc_broker_cert_file", f.CertFile}, {"tc_svc_broker_key_file", f.KeyFile},
	} {
		state := "not set"
		if file.path != "" {
			state = "can be read"
			if opened, err := os.Open(file.path); err != nil {
				state = "cannot be read: " + err.Error()
			} else {
				opened.Close() //nolint:errcheck // nothing was written
			}
		}
		parts = append(parts, file.name+" "+state)
	}
	return value("%s", strings.Join(parts, "; "))
}

// startQuestions are about app/docs/platform.md#launch.
var startQuestions = []factQuestion{
	{Question{"platform.user", "Which user runs the App?"}, func(f platform.Facts) Answer {
		answer := value("uid %d, gid %d, umask %s", f.Start.UID, f.Start.GID, f.Start.Umask)
		if f.Start.UID == 0 {
			answer.Effect = "The App needs no rights of root."
		}
		return answer
	}},
	{Question{"platform.machine", "Which machine runs the App?"}, func(f platform.Facts) Answer {
		return value("%s, Linux %s", f.Start.Machine, f.Start.Kernel)
	}},
	{Question{"platform.python", "Which Python runs run.py?"}, onLaunch(func(l platform.Launch) Answer { return value("%s", l.Python) })},
	{Question{"platform.launch", "How could the program be started?"}, onLaunch(func(l platform.Launch) Answer {
		answer := value("%s", l.Way)
		if l.Way != "in place" {
			answer.Effect = "The App's folder lets nothing be executed, so that each start makes a copy of the program. It works all the same."
		}
		return answer
	})},
	{Question{"platform.run-bits", "Does installation keep the right to execute?"}, onLaunch(func(l platform.Launch) Answer {
		answer := answerYesOrNo(l.RunBits == "kept", "%s", l.RunBits)
		if l.RunBits == "lost" {
			answer.Effect = "run.py may not set them, so that copies are used."
		}
		return answer
	})},
	{Question{"platform.arguments", "With which arguments and in which folder is run.py started?"}, onLaunch(func(l platform.Launch) Answer {
		answer := value("%s arguments, in the folder: %s", l.Arguments, l.Folder)
		if l.Arguments != "0" {
			answer.Differs, answer.Effect = true, "run.py passes none on."
		}
		return answer
	})},
	{Question{"platform.app-folder", "What may the App do in its own folder?"}, func(f platform.Facts) Answer { return answerFolder(f.Start.App) }},
	{Question{"platform.temp-folder", "What may the App do in the folder for temporary files?"}, func(f platform.Facts) Answer { return answerFolder(f.Start.Temp) }},
	{Question{"platform.output", "Where do standard output and standard error lead to?"}, func(f platform.Facts) Answer {
		return value("output: %s; error: %s", f.Start.Output, f.Start.Errors)
	}},
	{Question{"platform.environment", "Which variables does the environment have?"}, func(f platform.Facts) Answer {
		return value("%d: %s", len(f.Start.Variables), listOr(f.Start.Variables, "none"))
	}},
}

// onLaunch is for a question that run.py answers.
func onLaunch(answer func(l platform.Launch) Answer) func(f platform.Facts) Answer {
	return func(f platform.Facts) Answer {
		if !f.Start.Launch.Known {
			return notTried("the App was not started by run.py")
		}
		return answer(f.Start.Launch)
	}
}

func answerFolder(folder platform.FolderFacts) Answer {
	if folder.Error != "" {
		return Answer{Verdict: Failed, Evidence: folder.Error}
	}
	write := "not writable"
	if folder.Writable {
		write = "writable"
	}
	answer := value("%s; mounted %s", write, listOr(folder.Flags, "without noexec, nosuid, nodev and read-only"))
	if slices.Contains(folder.Flags, "noexec") {
		answer.Effect = "Nothing can be executed there: the program and the mappers are copied elsewhere, or run from memory."
	}
	return answer
}

// runQuestions are about app/docs/platform.md#exit-code-and-exit-message and app/docs/platform.md#folders.
var runQuestions = []factQuestion{
	{Question{"platform.ready", "How long does the platform wait for Ready?"}, onPlatform(func(f platform.Facts) Answer {
		return value("at least %s: so long after its connection began the App said it, and was taken", shortDuration(f.ReadyAfter))
	})},
	{Question{"platform.last-end", "How did the last run end?"}, onRuns(answerLastEnd)},
	{Question{"platform.kill-delay", "How long after Shutdown does the platform kill a Service?"}, onRuns(answerKillDelay)},
	{Question{"platform.restart", "Does the platform start a Service again that ended by itself?"}, onRuns(answerRestart)},
	{Question{"platform.state", "Does the state outlive an upgrade, and a move to another machine?"}, onRuns(answerState)},
}

func onRuns(answer func(h platform.History) Answer) func(f platform.Facts) Answer {
	return func(f platform.Facts) Answer {
		if f.Runs == nil {
			return notTried("no history is kept")
		}
		return answer(f.Runs())
	}
}

// wasKilled tells a run that did not end by itself: it was killed, or crashed.
func wasKilled(r platform.ProcessRun) bool { return r.Ended.IsZero() }

// lastSign is when a run was last known to live.
func lastSign(r platform.ProcessRun) time.Time {
	if wasKilled(r) {
		return r.Alive
	}
	return r.Ended
}

func describeEnd(r platform.ProcessRun) string {
	told := ""
	if r.ToldBy != "" {
		told = fmt.Sprintf(", %s after %s (%q)", shortDuration(lastSign(r).Sub(r.Told)), r.ToldBy, r.ToldText)
	}
	switch {
	case wasKilled(r):
		return "was killed or crashed" + told
	case r.Failed:
		return "ended with code 1" + told
	}
	return "ended with code 0" + told
}

func answerLastEnd(h platform.History) Answer {
	if len(h.Before) == 0 {
		return notTried("this is the first run in its folder")
	}
	last := h.Before[0]
	answer := value("version %s, begun %s, %s; the next one began %s later", last.Version, instant(last.Began), describeEnd(last),
		shortDuration(h.Now.Began.Sub(lastSign(last))))
	if wasKilled(last) {
		answer.Effect = "What was under way was done again; nothing is lost."
	}
	return answer
}

func answerKillDelay(h platform.History) Answer {
	var longest time.Duration
	for _, r := range h.Before {
		if r.ToldBy != platform.ToldShutdown {
			continue
		}
		took := lastSign(r).Sub(r.Told)
		if wasKilled(r) {
			return Answer{Verdict: Value, Differs: true, Evidence: fmt.Sprintf("%s, on %s", shortDuration(took), instant(r.Told)),
				Effect: "The App needs at most 5 s and had not ended: what was under way was cut off, and done again."}
		}
		longest = max(longest, took)
	}
	if longest == 0 {
		return notTried("no run that is remembered was ended by Shutdown")
	}
	return value("later than %s: the App ended by itself within that", shortDuration(longest))
}

func answerRestart(h platform.History) Answer {
	after := h.Now
	for _, r := range h.Before {
		if r.ToldBy != platform.ToldShutdown {
			gap := after.Began.Sub(lastSign(r))
			return value("a run that %s was followed by another after %s", describeEnd(r), shortDuration(gap))
		}
		after = r
	}
	return notTried("every run that is remembered was ended by Shutdown")
}

func answerState(h platform.History) Answer {
	answer := value("made by version %s at %s on %s; %d starts since, this one of version %s on %s",
		h.First.Version, instant(h.First.Began), h.First.Host, h.Count, h.Now.Version, h.Now.Host)
	switch {
	case h.First.Version != h.Now.Version && h.First.Host != h.Now.Host:
		answer.Verdict, answer.Evidence = Yes, "both: "+answer.Evidence
	case h.First.Version != h.Now.Version:
		answer.Verdict, answer.Evidence = Yes, "an upgrade: "+answer.Evidence
	case h.First.Host != h.Now.Host:
		answer.Verdict, answer.Evidence = Yes, "a move: "+answer.Evidence
	case h.Count == 1:
		answer.Effect = "If this Service ran before, its state is lost: import its queries on CONFIGURE; a full update sends all again."
	}
	return answer
}

// requestQuestions are about app/docs/platform.md#requests.
var requestQuestions = []factQuestion{
	{Question{"platform.request-members", "Which members do requests have, in which types?"},
		onRequests(func(f platform.RequestFacts) platform.Tally { return f.Fields }, listed)},
	{Question{"platform.methods", "Which methods do requests have?"},
		onRequests(func(f platform.RequestFacts) platform.Tally { return f.Methods }, listed)},
	{Question{"platform.path", "Does the path begin with a slash?"},
		onRequests(func(f platform.RequestFacts) platform.Tally { return withPart(f.Paths, "slash") }, func(seen platform.Tally) Answer {
			return answerYesOrNo(seen["begins with a slash"] > 0, "%s", listTally(seen))
		})},
	{Question{"platform.root", "How is the path of the root written?"},
		onRequests(func(f platform.RequestFacts) platform.Tally { return withPart(f.Paths, "root as") }, listed)},
	{Question{"platform.path-escapes", "Do percent escapes in the path stand as the caller wrote them?"},
		onRequests(func(f platform.RequestFacts) platform.Tally { return withPart(f.Paths, "holds") }, func(seen platform.Tally) Answer {
			decoded := seen["holds what an address has to escape"] > 0
			answer := answerYesOrNo(!decoded, "%s", listTally(seen))
			if decoded {
				answer.Effect = "A path with escaped characters reaches the App decoded. None of the App's own has any."
			}
			return answer
		})},
	{Question{"platform.request-url", "Is requestUrl the whole address, ending in the path?"},
		onRequests(func(f platform.RequestFacts) platform.Tally { return f.URLs }, judgeURLs)},
	{Question{"platform.query", "Do the values of parameters arrive as the browser encoded them?"},
		onRequests(func(f platform.RequestFacts) platform.Tally { return f.Parameters }, judgeParameters)},
	{Question{"platform.headers", "Which headers of the caller reach the App?"},
		onRequests(func(f platform.RequestFacts) platform.Tally { return f.Headers }, listed)},
	{Question{"platform.caller-headers", "Do Cookie, Authorization and X-Forwarded-For come through?"},
		onRequests(func(f platform.RequestFacts) platform.Tally { return f.Headers }, judgeCallerHeaders)},
	{Question{"platform.request-token", "Which token comes with a request?"},
		onRequests(func(f platform.RequestFacts) platform.Tally { return f.Tokens }, listed)},
	{Question{"platform.remote-address", "In which form does the caller's address come?"},
		onRequests(func(f platform.RequestFacts) platform.Tally { return f.Addresses }, listed)},
	{Question{"platform.bodies", "Is the body in the store as long as Content-Length says, and how does a request without one look?"},
		onRequests(func(f platform.RequestFacts) platform.Tally { return f.Bodies }, func(seen platform.Tally) Answer {
			if seen["with other bytes than Content-Length says"] > 0 {
				return Answer{Differs: true, Effect: "The App goes by the bytes in the store; a body that something in between changed may not be understood."}
			}
			return Answer{}
		})},
	{Question{"platform.forms", "Does a form arrive as a body?"},
		onRequests(func(f platform.RequestFacts) platform.Tally { return f.Forms }, func(seen platform.Tally) Answer {
			apart := seen["among the parameters"] > 0
			answer := answerYesOrNo(!apart, "%s", listTally(seen))
			if apart {
				answer.Effect = "The fields of a form arrive among the parameters of the request. The App takes them from there."
			}
			return answer
		})},
}

// listed is the judgement of a question whose answer is what was seen.
func listed(platform.Tally) Answer { return Answer{} }

func judgeURLs(seen platform.Tally) Answer {
	whole := seen["ends in the path"] + seen["ends in the path, which is decoded"]
	answer := answerYesOrNo(whole > 0, "%s", listTally(seen))
	switch {
	case whole == 0:
		answer.Differs = true
		answer.Effect = "The App cannot tell its own address, and leads from the root to v1/ui/. Open the screens by an address that ends in /ui/."
	case seen["ends in something else"] > 0:
		answer.Differs = true
		answer.Effect = "For some requests the App cannot tell its own address."
	case seen["missing"]+seen["host alone"] > 0:
		answer.Effect = "Where it is missing or names the host alone, the App leads from the root to v1/ui/."
	}
	return answer
}

func judgeParameters(seen platform.Tally) Answer {
	encoded, decoded := seen["encoded"] > 0, seen["decoded"] > 0
	answer := answerYesOrNo(encoded && !decoded, "%s", listTally(seen))
	switch {
	case !encoded && !decoded:
		return notTried("no parameter so far shows it: " + listTally(seen))
	case encoded && decoded:
		answer.Effect = "Both forms were seen, so values arrive decoded and some looked encoded by themselves. Such a value is decoded once too often."
	case decoded:
		answer.Effect = "A search for text such as C++ or 100%25 may be taken for an encoded one."
	}
	return answer
}

func judgeCallerHeaders(seen platform.Tally) Answer {
	var there, missing []string
	for _, name := range []string{"Cookie", "Authorization", "X-Forwarded-For"} {
		if seen[strings.ToLower(name)] > 0 {
			there = append(there, name)
		} else {
			missing = append(missing, name)
		}
	}
	answer := value("seen: %s; not seen: %s", listOr(there, "none"), listOr(missing, "none"))
	if len(there) > 0 && there[0] != "X-Forwarded-For" {
		answer.Effect = "What proves who the caller is reaches the App. It neither uses nor keeps it."
	}
	return answer
}
