package tcplatform

import (
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// runService puts a request into a message. Where sources about ThreatConnect differ or say nothing, chance decides.
func (p *Platform) runService(r *http.Request, key, path string, hasBody bool) map[string]any {
	c := &p.chance
	token, expires := p.tokens.issueToken(requestToken)
	m := map[string]any{
		"command": c.pickText("RunService", "RunService", "runService"), "appId": c.numberForm(95), "requestKey": key,
		"method": c.pickText(r.Method, r.Method, strings.ToLower(r.Method)), "path": c.pathForm(path, p.o.Paths),
		"queryParams": queryPairs(r.URL.RawQuery, p.o.RawQuery), "headers": p.keptHeaders(c.headerPairs(r)),
		"apiToken": token, "expireSeconds": c.numberForm(expires.Unix()),
	}
	if hasBody {
		m["bodyVariable"] = requestBody
	} else {
		c.maybeSet(m, "bodyVariable", requestBody, nil)
	}
	c.maybeSet(m, "userConfig", []header{}, []header{{"tlpExportSetting", "TLP:RED"}})
	full := "https://" + r.Host + r.URL.EscapedPath()
	switch p.o.RequestURLs {
	case "whole":
		m["requestUrl"] = full
	case "host":
		m["requestUrl"] = "https://" + r.Host
	case "none":
	default:
		c.maybeSet(m, "requestUrl", full, full+"?"+r.URL.RawQuery, "https://"+r.Host)
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err == nil {
		c.maybeSet(m, "remoteAddress", host)
	}
	if p.o.CallerMember != "" {
		m[p.o.CallerMember] = p.o.CallerName
	}
	c.maybeSet(m, "appXid", "651ed5f2-2a76-4e84-8a50-43031515d3c7")
	// Never "": it is no number, and the last message that TcEx reads, app/docs/platform.md#commands.
	c.maybeSet(m, "triggerId", nil)
	return m
}

func (p *Platform) heartbeatMessage() []byte {
	m := map[string]any{"command": p.chance.pickText("Heartbeat", "heartbeat")}
	p.chance.maybeSet(m, "metric", map[string]any{}, nil)
	p.chance.maybeSet(m, "memoryPercent", 0, "0")
	payload, _ := json.Marshal(m)
	return payload
}

func (c *chance) pickText(choices ...string) string { return choices[c.numberBelow(len(choices))] }

// maybeSet leaves a member out or gives it one of the values.
func (c *chance) maybeSet(m map[string]any, name string, values ...any) {
	if i := c.numberBelow(len(values) + 1); i < len(values) {
		m[name] = values[i]
	}
}

// keptHeaders are those that reach Apps.
func (p *Platform) keptHeaders(all []header) []header {
	return slices.DeleteFunc(all, func(h header) bool {
		return slices.ContainsFunc(p.o.DroppedHeaders, func(name string) bool { return strings.EqualFold(name, h.Name) })
	})
}

// pathForm is what follows the version, mostly without a leading slash, unless form says how.
func (c *chance) pathForm(path, form string) any {
	if path == "" {
		return []any{"", "/", nil}[c.numberBelow(3)]
	}
	if slash := c.oneIn(3); form == "slash" || form == "" && slash {
		return "/" + path
	}
	return path
}

// queryPairs lists the parameters in their order, repeated ones too, decoded or as they were written.
func queryPairs(written string, raw bool) []header {
	list := []header{}
	for part := range strings.SplitSeq(written, "&") {
		name, value, _ := strings.Cut(part, "=")
		if !raw {
			var nameErr, valueErr error
			name, nameErr = url.QueryUnescape(name)
			if value, valueErr = url.QueryUnescape(value); nameErr != nil || valueErr != nil {
				continue
			}
		}
		if name != "" {
			list = append(list, header{name, value})
		}
	}
	return list
}

// headerPairs lists what the client sent, repeated ones too, and what a front adds.
func (c *chance) headerPairs(r *http.Request) []header {
	list := []header{{"Host", r.Host}, {"X-Forwarded-For", "10.0.0.9"}}
	if c.oneIn(2) {
		list = append(list, header{"x-forwarded-for", "10.0.0.10"})
	}
	lower := c.oneIn(2) // as HTTP/2 has them
	for name, values := range r.Header {
		if lower {
			name = strings.ToLower(name)
		}
		for _, value := range values {
			list = append(list, header{name, value})
		}
	}
	slices.SortStableFunc(list[2:], func(a, b header) int { return strings.Compare(a.Name, b.Name) })
	return list
}
