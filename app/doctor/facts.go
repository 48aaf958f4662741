package doctor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"mssentinel/app/platform"
)

// factQuestion is a question that is answered by what was seen already.
type factQuestion struct {
	Question
	answer func(f platform.Facts) Answer
}

// factProbe makes a probe of such questions.
func factProbe(area Area, facts func() platform.Facts, list []factQuestion, summarise func(platform.Facts) string) Probe {
	p := Probe{Area: area}
	for _, q := range list {
		p.Questions = append(p.Questions, q.Question)
	}
	p.Examine = func(_ context.Context, _ Request, a *Answers) string {
		seen := facts()
		for _, q := range list {
			a.Set(q.ID, q.answer(seen))
		}
		return summarise(seen)
	}
	return p
}

// onPlatform is for a question that nothing answers while the App runs by itself.
func onPlatform(answer func(f platform.Facts) Answer) func(f platform.Facts) Answer {
	return func(f platform.Facts) Answer {
		if !f.Attached {
			return notTried("the App runs by itself, without ThreatConnect's platform")
		}
		return answer(f)
	}
}

// onRequests is for a question that requests answer.
func onRequests(pick func(f platform.RequestFacts) platform.Tally, judge func(seen platform.Tally) Answer) func(f platform.Facts) Answer {
	return onPlatform(func(f platform.Facts) Answer {
		seen := pick(f.Requests)
		if len(seen) == 0 {
			return notTried(fmt.Sprintf("%d requests arrived, and none tells: open the screens and run the doctor again", f.Requests.Count))
		}
		answer := judge(seen)
		if answer.Verdict == "" {
			answer.Verdict = Value
		}
		if answer.Evidence == "" {
			answer.Evidence = listTally(seen)
		}
		return answer
	})
}

func notTried(why string) Answer { return Answer{Verdict: NotTried, Evidence: why} }

func value(format string, args ...any) Answer {
	return Answer{Verdict: Value, Evidence: fmt.Sprintf(format, args...)}
}

// answerYesOrNo is an answer with its evidence.
func answerYesOrNo(yes bool, format string, args ...any) Answer {
	verdict := No
	if yes {
		verdict = Yes
	}
	return Answer{Verdict: verdict, Evidence: fmt.Sprintf(format, args...)}
}

// listTally is what was seen how often, by name.
func listTally(t platform.Tally) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(t)) {
		parts = append(parts, fmt.Sprintf("%s (%d)", name, t[name]))
	}
	return strings.Join(parts, ", ")
}

// withPart picks the names that hold a part.
func withPart(t platform.Tally, part string) platform.Tally {
	picked := platform.Tally{}
	for name, n := range t {
		if strings.Contains(name, part) {
			picked[name] = n
		}
	}
	return picked
}

// listOr joins words, or says what it means that there are none.
func listOr(words []string, none string) string {
	if len(words) == 0 {
		return none
	}
	return strings.Join(words, ", ")
}

// shortDuration is a duration for people: to the millisecond below a minute, to the second above.
func shortDuration(d time.Duration) string {
	if d < time.Minute {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// instant is a time for people.
func instant(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 MST") }
