package pipeline

import (
	"strings"
	"testing"

	"mssentinel/app/job"
)

// Whatever stands in a value arrives in Sentinel as it is, has one object of its own, and is found under it. What cannot be
// text is reported.
func TestOddValuesArrive(t *testing.T) {
	values := []string{`it's \ here`, "a' OR x:y = 'z", "] AND [a:b = 'c'", "two\nlines\tand\x01more", "💥 語 ü \u2028", "a = b = c", "'", `\`, `\'`,
		"%27 &amp; <b>", strings.Repeat("long'\\ ", 9000)} // the last has 63 kB
	in(t, func(t *testing.T) {
		w := newWorld(t)
		for _, v := range values {
			w.putMembers("Alpha", "Email Subject", map[string]any{"subject": v, "summary": v})
			w.putMembers("Alpha", "URL", map[string]any{"text": "http://bad.example/?q=" + v, "summary": "http://bad.example/?q=" + v})
		}
		w.putMembers("Alpha", "Email Subject", map[string]any{"subject": "nul\x00inside", "summary": "nul\x00inside"})
		for _, empty := range []any{nil, "", " \t\u200b", 7.5, map[string]any{}, []any{}} {
			w.putMembers("Alpha", "Email Subject", map[string]any{"subject": empty, "summary": empty})
		}
		q := query("", "Alpha")
		q.Types = []string{"Email Subject", "URL"}
		j := w.done(w.save(job.Full, q))
		w.check(true)
		want := int64(2 * len(values))
		if live := int64(len(w.live())); live < want || j.Uploaded != live || j.Invalid+live != j.Downloaded || j.Invalid == 0 || j.Rejected > 0 {
			t.Errorf("%d are live, counted %+v", live, j.Counts)
		}
		for _, v := range values {
			for _, wanted := range []string{v, "http://bad.example/?q=" + v} {
				if known, err := w.p.Lookup(t.Context(), wanted); err != nil || len(known) != 1 {
					t.Errorf("%.40q is found %d times, %v", wanted, len(known), err)
				}
			}
		}
	})
}
