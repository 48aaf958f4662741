package sentinel

import (
	"bytes"
	"encoding/json"
	"html"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"mssentinel/app/text"
)

// reason is one sentence of an answer, and the member of the request that it is about, "" where it names none.
type reason struct{ target, text string }

type reasons []reason

const (
	maxReasons = 20 // that are collected of one answer
	maxDepth   = 8  // of the objects and lists that are looked into for them
)

// spokenMembers are those whose texts are for people, in the order in which they are repeated. Problem details
// (RFC 9457), Microsoft's guidelines and several gateways call them so.
var spokenMembers = []string{
	"title", "message", "detail", "error_description", "description", "reason", "errormessages",
	"validationerrormessages", "error", "errors", "details", "innererror",
}

// findReasons collects what a JSON body says to people, wherever it says it.
func findReasons(body []byte) reasons {
	var value any
	json.Unmarshal(body, &value) //nolint:errcheck // it is JSON
	var found reasons
	found.addValue("", value, 0)
	return found
}

// addValue adds the texts of a value. target is what it is about.
func (r *reasons) addValue(target string, value any, depth int) {
	if len(*r) >= maxReasons || depth > maxDepth {
		return
	}
	switch v := value.(type) {
	case string:
		if s := strings.TrimSpace(v); s != "" && !slices.Contains(*r, reason{target, s}) {
			*r = append(*r, reason{target, s})
		}
	case []any:
		for _, element := range v {
			r.addValue(target, element, depth+1)
		}
	case map[string]any:
		r.addObject(target, v, depth)
	}
}

// addObject adds the texts of an object: those of its members for people, and where errors is an object, as in problem
// details, those of all its members, which are called after what they are about.
func (r *reasons) addObject(target string, object map[string]any, depth int) {
	named := make(map[string]any, len(object))
	for name, value := range object {
		named[strings.ToLower(name)] = value
	}
	if about, ok := named["target"].(string); ok && about != "" {
		target = about
	}
	for _, name := range spokenMembers {
		byTarget, ok := named[name].(map[string]any)
		if name != "errors" || !ok {
			r.addValue(target, named[name], depth+1)
			continue
		}
		for _, about := range slices.Sorted(maps.Keys(byTarget)) {
			r.addValue(about, byTarget[about], depth+1)
		}
	}
}

// texts are the reasons with what they are about.
func (r reasons) texts() []string {
	var list []string
	for _, one := range r {
		s := one.text
		if one.target != "" {
			s = one.target + ": " + s
		}
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

// recordPath is how a reason names an object of the request, and the member of it: stixobjects[3].pattern.
var recordPath = regexp.MustCompile(`(?i)\bstixobjects(?:\[|\.|/)(\d{1,9})\b[\]./]*([\w.\-\[\]/]*)`)

// farIn is how far into a text a path may stand to be what the text is about.
const farIn = 60

// namedRecords are the objects of a request of n that the reasons name by their path,
// app/docs/sentinel.md#error-bodies.
func (r reasons) namedRecords(n int) []Rejection {
	messages := map[int][]string{}
	for _, one := range r {
		about := one.target
		if about == "" { // behind the path may stand the value of an object, where it means nothing
			about, _, _ = strings.Cut(one.text[:min(len(one.text), farIn)], "Actual value")
		}
		path := recordPath.FindStringSubmatch(about)
		if path == nil {
			continue
		}
		i, err := strconv.Atoi(path[1])
		if err != nil || i >= n {
			continue
		}
		message := one.text
		if one.target != "" && path[2] != "" {
			message = path[2] + ": " + message
		}
		messages[i] = append(messages[i], message)
	}
	var list []Rejection
	for _, i := range slices.Sorted(maps.Keys(messages)) {
		message := text.Line(joinMessages(slices.Compact(messages[i])), maxMessage)
		list = append(list, Rejection{Index: i, Code: CodeRejected, Message: message})
	}
	return list
}

// plainText is what a reader sees of text, XML or HTML; of JSON it is all.
func plainText(body []byte) string {
	if !bytes.HasPrefix(bytes.TrimSpace(body), []byte("<")) && json.Valid(body) {
		return string(body)
	}
	body = body[:min(len(body), pageText)]
	body = hiddenText.ReplaceAll(body, []byte(" "))
	return html.UnescapeString(string(markup.ReplaceAll(body, []byte(" "))))
}
