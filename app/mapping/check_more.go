package mapping

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"mssentinel/plugins/mapper"
)

// checkRepetition asks again, in every way in which the App might: what is sent of an observable must not depend on when, with what
// or by which process it was mapped. Else every update would send it anew, or under another id.
func (c *checker) checkRepetition(ctx context.Context) {
	reversed := slices.Clone(c.samples)
	slices.Reverse(reversed)
	var differing []string
	for _, again := range []struct {
		how string
		ask func() ([]mapper.Answer, error)
	}{
		{"asked once more", func() ([]mapper.Answer, error) { return c.askAll(ctx, c.samples, c.now) }},
		{"asked in the opposite order", func() ([]mapper.Answer, error) {
			answers, err := c.askAll(ctx, reversed, c.now)
			slices.Reverse(answers)
			return answers, err
		}},
		{"asked one by one", func() ([]mapper.Answer, error) { return c.askSingly(ctx) }},
		{"asked twice at once", func() ([]mapper.Answer, error) { return c.askTwice(ctx) }},
		{"asked a day later", func() ([]mapper.Answer, error) { return c.askAll(ctx, c.samples, c.now.AddDate(0, 0, 1)) }},
		{"asked in a new process", func() ([]mapper.Answer, error) {
			c.endProcess()
			return c.askAll(ctx, c.samples, c.now)
		}},
	} {
		answers, err := again.ask()
		if err != nil {
			differing = append(differing, again.how+", it gave no answer: "+err.Error())
			continue
		}
		if i, what := findDifference(c.answers, answers); what != "" {
			differing = append(differing, fmt.Sprintf("%s, it answers differently: %s", again.how, c.tellCase(i, what)))
		}
	}
	c.report.addUnlessNone("repetition", "It answers the same when it is asked again: in another order, one by one, twice at once, later, in a new process.",
		Violation, "It does not answer the same when it is asked again.", differing)
}

func (c *checker) askSingly(ctx context.Context) ([]mapper.Answer, error) {
	var answers []mapper.Answer
	for i := range c.samples {
		one, err := c.askAll(ctx, c.samples[i:i+1], c.now)
		if err != nil {
			return nil, err
		}
		answers = append(answers, one...)
	}
	return answers, nil
}

// askTwice asks from two goroutines and gives the answers of one of them or, where the two differ, those that differ from the first.
func (c *checker) askTwice(ctx context.Context) ([]mapper.Answer, error) {
	var answers [2][]mapper.Answer
	var errs [2]error
	var calls sync.WaitGroup
	for i := range answers {
		calls.Go(func() { answers[i], errs[i] = c.askAll(ctx, c.samples, c.now) })
	}
	calls.Wait()
	if err := cmp.Or(errs[0], errs[1]); err != nil {
		return nil, err
	}
	if _, what := findDifference(c.answers, answers[0]); what != "" {
		return answers[0], nil
	}
	return answers[1], nil
}

// findDifference says of which sample and in what two answers differ first. Dates of creation may: where ThreatConnect has none,
// the time of conversion stands in.
func findDifference(first, second []mapper.Answer) (sample int, what string) {
	for i := range first {
		a, b := withoutDates(first[i]), withoutDates(second[i])
		switch {
		case len(a.Objects) != len(b.Objects):
			return i, fmt.Sprintf("%d objects, then %d", len(a.Objects), len(b.Objects))
		case !reflect.DeepEqual(a, b):
			return i, describeDifference(a, b)
		}
	}
	return 0, ""
}

func withoutDates(a mapper.Answer) mapper.Answer {
	a = copyAnswer(a)
	for i := range a.Objects {
		a.Objects[i].Created = time.Time{}
	}
	return a
}

func describeDifference(a, b mapper.Answer) string {
	for i := range a.Objects {
		x, y := reflect.ValueOf(a.Objects[i]), reflect.ValueOf(b.Objects[i])
		for n := range x.NumField() {
			if !reflect.DeepEqual(x.Field(n).Interface(), y.Field(n).Interface()) {
				return fmt.Sprintf("the %s was %.150q, then %.150q", strings.ToLower(x.Type().Field(n).Name), fmt.Sprint(x.Field(n)), fmt.Sprint(y.Field(n)))
			}
		}
	}
	return fmt.Sprintf("it said %.150q, then %.150q", slices.Concat(a.Problems, a.Notes), slices.Concat(b.Problems, b.Notes))
}

// checkLargest sends a request of nearly the size that one may have.
func (c *checker) checkLargest(ctx context.Context) {
	large := c.samples[0]
	padding := strings.Repeat("x", mapper.MaxMessage-len(large.Indicator)-1000)
	large.Indicator = []byte(`{"padding":"` + padding + `",` + string(large.Indicator[1:]))
	answers, err := c.askAll(ctx, []Sample{large}, c.now)
	var wrong []string
	switch {
	case err != nil:
		wrong = append(wrong, err.Error())
	case answers[0].Failed:
		wrong = append(wrong, strings.Join(answers[0].Problems, "; "))
	}
	c.report.addUnlessNone("size", fmt.Sprintf("It takes a request of %d MiB.", mapper.MaxMessage>>20), Violation,
		fmt.Sprintf("It does not take a request of %d MiB: the server needs that limit for what it receives and sends.", mapper.MaxMessage>>20), wrong)
}

// checkSpeed sends as many indicators as a request may have. Too slow is only what the App would give up.
func (c *checker) checkSpeed(ctx context.Context) {
	typical := slices.DeleteFunc(slices.Clone(c.samples), func(s Sample) bool { return len(s.Indicator) > maxTypical })
	if len(typical) == 0 {
		return
	}
	var batch [][]byte
	for i := range maxRecords {
		batch = append(batch, typical[i%len(typical)].Indicator)
	}
	limit := c.host.limits.callLimit(len(batch))
	began := time.Now()
	_, err := c.mapper.callMapper(ctx, batch, c.now)
	took := time.Since(began)
	var failed *fault
	if err != nil && (errors.As(err, &failed) || ctx.Err() == nil) {
		c.report.add("speed", Violation, fmt.Sprintf("It failed on a request of %d indicators, for which it has %s.", len(batch), limit), []string{err.Error()})
		return
	}
	c.report.add("speed", Passed, fmt.Sprintf("%d indicators took it %d ms, in up to %d MiB of memory; the App gives up after %s.",
		len(batch), took.Milliseconds(), peakMemory(c.running())>>20, limit), nil)
}
