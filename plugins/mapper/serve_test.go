package mapper_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"mssentinel/plugins/mapper"
	"mssentinel/plugins/mapper/mappertest"
)

// fake answers by what its Map says.
type fake func(ind *mapper.Indicator, now time.Time) mapper.Answer

func (f fake) Describe() mapper.Description {
	return mapper.Description{Name: "fake", Version: "1", Types: []mapper.Type{{Name: "Mutex", DefaultTTLHours: 24}}}
}

func (f fake) Map(ind *mapper.Indicator, now time.Time) mapper.Answer { return f(ind, now) }

// mutex is a mapper as a third party would write it.
func mutex(ind *mapper.Indicator, now time.Time) mapper.Answer {
	value, err := ind.Value("Mutex")
	if err != nil {
		return mapper.Problem("%s", err)
	}
	switch value {
	case "panic":
		panic("out of bounds")
	case "silent":
		return mapper.Answer{}
	}
	return mapper.Answer{Objects: []mapper.Object{ind.Object(mapper.Pattern(mapper.Equal("mutex:name", value)), value, now)}}
}

func TestServe(t *testing.T) {
	client := mappertest.Dial(t, fake(mutex))
	d, err := client.Describe(t.Context())
	if want := fake(nil).Describe(); err != nil || !cmp.Equal(d, want) {
		t.Errorf("Describe gave %+v, %v; want %+v", d, err, want)
	}
	answers, err := client.Map(t.Context(), [][]byte{
		[]byte(`{"type":"Mutex","Mutex":"one"}`),
		[]byte(`{"type":"Mutex","Mutex":"panic"}`),
		[]byte(`{"type":"Mutex","Mutex":`),
		[]byte(`["Mutex"]`),
		[]byte(``),
		[]byte(`{"type":"Mutex"}`),
		[]byte(`{"type":"Mutex","Mutex":"silent"}`),
		[]byte(`{"type":"Mutex","dateAdded":"soon"}`),
		[]byte(`{"type":"Mutex","Mutex":"` + strings.Repeat("x", 983) + `"}`),
		[]byte(`{"type":"Mutex","Mutex":"` + strings.Repeat("x", 1000) + `"}`),
		[]byte("{\"type\":\"Mutex\",\"Mutex\":\"\xff\"}"),
		[]byte(`{"type":"Mutex","Mutex":"last"}`),
	}, mappertest.Now)
	if err != nil {
		t.Fatal(err)
	}
	for n, want := range []struct {
		patterns, problems, notes []string
		failed                    bool
	}{
		{patterns: []string{"[mutex:name = 'one']"}},
		{problems: []string{"the mapper failed on this indicator: out of bounds"}, failed: true},
		{problems: []string{"the indicator is not valid JSON"}, failed: true},
		{problems: []string{"the indicator is not a JSON object"}, failed: true},
		{problems: []string{"the indicator is not valid JSON"}, failed: true},
		{problems: []string{"the indicator has no value"}},
		{problems: []string{"the mapper gave neither an object nor a reason"}, failed: true},
		{problems: []string{"the indicator has no value"}},
		{patterns: []string{"[mutex:name = '" + strings.Repeat("x", 983) + "']"}},
		{patterns: []string{"[mutex:name = '" + strings.Repeat("x", 1000) + "']"},
			notes: []string{"the pattern has 1017 bytes, more than 1000: Sentinel's rules may not match it"}},
		{problems: []string{"the value is not valid UTF-8"}},
		{patterns: []string{"[mutex:name = 'last']"}},
	} {
		var patterns []string
		for _, o := range answers[n].Objects {
			patterns = append(patterns, o.Pattern)
		}
		if diff := cmp.Diff([][]string{want.patterns, want.problems, want.notes}, [][]string{patterns, answers[n].Problems, answers[n].Notes}); diff != "" {
			t.Errorf("answer %d: %s", n, diff)
		}
		if answers[n].Failed != want.failed {
			t.Errorf("answer %d: failed is %v", n, answers[n].Failed)
		}
	}
}

// The indicators of a call take the same room, one after the other: nothing of one may stand in the answer for another, nor in
// that for the same one in a call before, whose buffers are used again.
func TestIndicatorsOfACallDoNotMix(t *testing.T) {
	rich := `{"type":"Mutex","Mutex":"m","summary":"rich","ownerName":"Owner","webLink":"https://tc.example/1","confidence":7,"rating":"1","dateAdded":"soon",` +
		`"tags":{"data":[{"name":"one"},{"name":"Phishing","techniqueId":"T1566","tactics":{"data":["Execution"]}}]},"securityLabels":{"data":[{"name":"TLP:RED"},{"name":"TLP odd"}]},` +
		`"attributes":{"data":[{"type":"Source","value":"here"}]},"associatedGroups":{"data":[{"type":"Tool","name":"kit"}]}}`
	bare := `{"Mutex":"x"}`
	twice := func(ind *mapper.Indicator, now time.Time) mapper.Answer {
		first := mutex(ind, now)
		ind.Summary = "another one"
		second := mutex(ind, now)
		return mapper.Answer{Objects: append(first.Objects, second.Objects...), Problems: first.Problems}
	}
	client := mappertest.Dial(t, fake(twice))
	alone := func(raw string) mapper.Answer {
		answers, err := client.Map(t.Context(), [][]byte{[]byte(raw)}, mappertest.Now)
		if err != nil {
			t.Fatal(err)
		}
		return answers[0]
	}
	var call [][]byte
	var want []mapper.Answer
	for n := range 400 {
		raw := [...]string{rich, bare, strings.ReplaceAll(rich, "e", strings.Repeat("é", n)), rich[:len(rich)/2]}[n%4]
		call = append(call, []byte(raw))
		want = append(want, alone(raw))
	}
	if first := want[0].Objects[0].Description; !strings.Contains(first, `"summary": "rich"`) {
		t.Errorf("the description of the second object stands in the first: %s", first)
	}
	for range 3 {
		got, err := client.Map(t.Context(), call, mappertest.Now)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	}
}

func TestMapStopsWithItsCaller(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	entered, left := make(chan struct{}), make(chan struct{})
	enter := sync.OnceFunc(func() { close(entered) })
	client := mappertest.Dial(t, fake(func(ind *mapper.Indicator, now time.Time) mapper.Answer {
		enter()
		<-left
		return mapper.Problem("late")
	}))
	go func() {
		<-entered
		cancel()
	}()
	_, err := client.Map(ctx, [][]byte{[]byte(`{}`), []byte(`{}`)}, mappertest.Now)
	close(left)
	if status.Code(err) != codes.Canceled {
		t.Errorf("got %v, want the caller's cancellation", err)
	}
}

func TestMapOfNothing(t *testing.T) {
	answers, err := mappertest.Dial(t, fake(mutex)).Map(t.Context(), nil, mappertest.Now)
	if err != nil || len(answers) != 0 {
		t.Errorf("got %v, %v", answers, err)
	}
}

func TestTooLargeACallIsAnError(t *testing.T) {
	huge := []byte(`{"Mutex":"` + strings.Repeat("x", mapper.MaxMessage) + `"}`)
	_, err := mappertest.Dial(t, fake(mutex)).Map(t.Context(), [][]byte{huge}, mappertest.Now)
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("got %v, want the bound of messages", err)
	}
}
