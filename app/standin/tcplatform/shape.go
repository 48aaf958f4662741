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
	token, expires := p.tokens.issue(requestToken)
	m := map[string]any{
		"command": c.pick("RunService", "RunService", "runService"), "appId": c.number(95), "requestKey": key,
		"method": c.pick(r.Method, r.Method, strings.ToLower(r.Method)), "path": c.path(path),
		"queryParams": query(r.URL.RawQuery, p.o.RawQuery), "headers": c.headers(r),
		"apiToken": token, "expireSeconds": c.number(expires.Unix()),
	}
	if hasBody {
		m["bodyVariable"] = requestBody
	} else {
		c.perhaps(m, "bodyVariable", requestBody, nil)
	}
	c.perhaps(m, "userConfig", []header{}, []header{{"tlpExportSetting", "TLP:RED"}})
	full := "https://" + r.Host + r.URL.EscapedPath()
	c.perhaps(m, "requestUrl", full, full+"?"+r.URL.RawQuery, "https://"+r.Host)
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err == nil {
		c.perhaps(m, "remoteAddress", host)
	}
	c.perhaps(m, "appXid", "651ed5f2-2a76-4e84-8a50-43031515d3c7")
	c.perhaps(m, "triggerId", nil, "")
	return m
}

func (p *Platform) heartbeatMessage() []byte {
	m := map[string]any{"command": p.chance.pick("Heartbeat", "heartbeat")}
	p.chance.perhaps(m, "metric", map[string]any{}, nil)
	p.chance.perhaps(m, "memoryPercent", 0, "0")
	payload, _ := json.Marshal(m)
	return payload
}

func (c *chance) pick(choices ...string) string { return choices[c.below(len(choices))] }

// perhaps leaves a member out or gives it one of the values.
func (c *chance) perhaps(m map[string]any, name string, values ...any) {
	if i := c.below(len(values) + 1); i < len(values) {
		m[name] = values[i]
	}
}

// path is what follows the version, mostly without a leading slash.
func (c *chance) path(path string) any {
	if path == "" {
		return []any{"", "/", nil}[c.below(3)]
	}
	if c.once(3) {
		return "/" + path
	}
	return path
}

// query lists the parameters in their order, repeated ones too, decoded or as they were written.
func query(written string, raw bool) []header {
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

// headers lists what the client sent, repeated ones too, and what a front adds.
func (c *chance) headers(r *http.Request) []header {
	list := []header{{"Host", r.Host}, {"X-Forwarded-For", "10.0.0.9"}}
	if c.once(2) {
		list = append(list, header{"x-forwarded-for", "10.0.0.10"})
	}
	lower := c.once(2) // as HTTP/2 has them
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
