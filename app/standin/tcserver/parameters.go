package tcserver

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// parameters of a request, from its query or its body.
type parameters struct {
	values url.Values
	raw    []string // pairs as they were sent, for the links to other pages
	id     string   // last part of the path
	body   []byte   // of a call whose body holds no parameters
}

func (p parameters) firstValue(name string) string { return p.values.Get(name) }

// isTrue reads a truth value, which the vendor's client writes as Python does: True.
func (p parameters) isTrue(name string) bool { return strings.EqualFold(p.firstValue(name), "true") }

func queryParameters(raw string) (p parameters, err error) {
	if p.values, err = url.ParseQuery(raw); err != nil {
		return p, newRefusal(http.StatusBadRequest, codeBadRequest, "The request was not properly formed")
	}
	if raw != "" {
		p.raw = strings.Split(raw, "&")
	}
	return p, nil
}

// bodyParameters takes the members of {"data":{…}}.
func bodyParameters(data map[string]any) parameters {
	p := parameters{values: url.Values{}}
	for name, value := range data {
		list, ok := value.([]any)
		if !ok {
			list = []any{value}
		}
		for _, v := range list {
			p.values.Add(name, fmt.Sprint(v))
		}
	}
	p.raw = strings.Split(p.values.Encode(), "&")
	return p
}

// parsePaging reads resultStart and resultLimit.
func (s *Server) parsePaging(p parameters) (start, limit int, err error) {
	start, limit = 0, defaultLimit
	for name, to := range map[string]*int{"resultStart": &start, "resultLimit": &limit} {
		text := p.firstValue(name)
		if text == "" {
			continue
		}
		if *to, err = strconv.Atoi(text); err != nil || *to < 0 {
			return 0, 0, newRefusal(http.StatusBadRequest, codeBadRequest, fmt.Sprintf("The parameter %s is not a whole number.", name))
		}
	}
	if limit > maxLimit && !s.options.ClampLimit {
		return 0, 0, newRefusal(http.StatusBadRequest, codeBadRequest, "The parameter resultLimit exceeds the maximum of 10000.")
	}
	if limit == 0 {
		limit = defaultLimit
	}
	if s.options.MostRows > 0 {
		limit = min(limit, s.options.MostRows)
	}
	return start, min(limit, maxLimit), nil
}

// window is the part of a list that a page shows.
type window struct {
	start, end int
	first      bool   // resultStart is 0
	next, prev string // links, empty when there is nothing there
}

// cutPage cuts a list of that length, and makes the links that keep all other parameters as they were sent.
func (s *Server) cutPage(r *http.Request, p parameters, length int) (window, error) {
	start, limit, err := s.parsePaging(p)
	if err != nil {
		return window{}, err
	}
	if start > 0 && start >= length && s.options.Unknowns.RefusePastEnd {
		return window{}, newRefusal(http.StatusBadRequest, codeBadRequest, "The parameter resultStart lies behind the last result.")
	}
	w := window{start: min(start, length), end: min(start+limit, length), first: start == 0}
	if start+limit < length {
		w.next = s.pageLink(r, p, start+limit, limit)
	}
	if start > 0 {
		w.prev = s.pageLink(r, p, max(0, start-limit), limit)
	}
	return w, nil
}

func (s *Server) pageLink(r *http.Request, p parameters, start, limit int) string {
	base := s.options.LinkBase
	if base == "" {
		base = "https://" + r.Host
	}
	pairs := []string{"resultStart=" + strconv.Itoa(start), "resultLimit=" + strconv.Itoa(limit)}
	for _, pair := range p.raw {
		if name, _, _ := strings.Cut(pair, "="); name != "resultStart" && name != "resultLimit" {
			pairs = append(pairs, pair)
		}
	}
	return base + r.URL.EscapedPath() + "?" + strings.Join(pairs, "&")
}
