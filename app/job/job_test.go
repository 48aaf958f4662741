package job

import (
	"testing"
	"time"
)

func TestCheckRequest(t *testing.T) {
	early, late := noon.Add(-2*time.Hour), noon.Add(-time.Hour)
	for name, c := range map[string]struct {
		r    Request
		want string
	}{
		"delta":                 {Request{Mode: Delta}, ""},
		"full":                  {Request{Mode: Full}, ""},
		"range":                 {Request{Mode: Delta, From: early, To: late}, ""},
		"range until tomorrow":  {Request{Mode: Delta, From: early, To: noon.AddDate(0, 0, 1)}, ""},
		"no mode":               {Request{}, `there is no mode "": use delta, full or reconcile`},
		"full for a range":      {Request{Mode: Full, From: early, To: late}, "a full update takes no range: use delta, or leave from and to out"},
		"reconcile for a range": {Request{Mode: Reconcile, To: late}, "a reconcile update takes no range: use delta, or leave from and to out"},
		"no beginning":          {Request{Mode: Delta, To: late}, "the range has no beginning: say from when"},
		"no end":                {Request{Mode: Delta, From: early}, "the range has no end: say until when"},
		"ends before":           {Request{Mode: Delta, From: late, To: early}, "the range ends before it begins: let it end later"},
		"empty":                 {Request{Mode: Delta, From: late, To: late}, "the range ends before it begins: let it end later"},
		"future":                {Request{Mode: Delta, From: noon.Add(1), To: noon.Add(2)}, "the range begins in the future: nothing was modified then"},
	} {
		got := ""
		if err := c.r.Check(noon); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
