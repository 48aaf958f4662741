package tcplatform

import (
	"log/slog"
	"strings"
	"testing"
)

// What an App sends is held to the protocol to the letter, app/docs/platform.md#commands and
// app/docs/platform.md#answers: otherwise its tests would prove nothing.
func TestStrays(t *testing.T) {
	const answered = `{"command":"Acknowledged","type":"RunService","requestKey":"k","statusCode":"200","status":"OK","headers":[],"bodyVariable":"response.body"}`
	without := func(part string) string { return strings.Replace(answered, part, "", 1) }
	for name, test := range map[string]struct {
		messages []string
		stray    string // "" for none
	}{
		"ready":                  {[]string{`{"command":"Ready"}`}, ""},
		"ready twice":            {[]string{`{"command":"Ready"}`, `{"command":"Ready"}`}, "Ready came again"},
		"in small letters":       {[]string{`{"command":"ready"}`}, "unknown message"},
		"heartbeat":              {[]string{`{"command":"Heartbeat","metric":{"Errors":0,"Requests":1,"Responses":1}}`}, ""},
		"metrics that are texts": {[]string{`{"command":"Heartbeat","metric":{"Errors":"0"}}`}, "no message of the protocol"},
		"end":                    {[]string{`{"command":"Acknowledged","type":"Shutdown"}`}, ""},
		"no JSON":                {[]string{`Ready`}, "no message of the protocol"},
		"of a trigger service":   {[]string{`{"command":"FireEvent","triggerId":1}`}, "unknown message"},
		"answered":               {[]string{answered}, ""},
		"answered twice":         {[]string{answered, answered}, "an answer to no open request: k"},
		"another request":        {[]string{strings.Replace(answered, `"k"`, `"l"`, 1)}, "an answer to no open request: l"},
		"answered too late":      {[]string{strings.Replace(answered, `"k"`, `"late"`, 1)}, ""},
		"twice too late": {[]string{strings.Replace(answered, `"k"`, `"late"`, 1), strings.Replace(answered, `"k"`, `"late"`, 1)},
			"an answer to no open request: late"},
		"status as a number":  {[]string{strings.Replace(answered, `"200"`, `200`, 1)}, "the status code is no string"},
		"status out of range": {[]string{strings.Replace(answered, `"200"`, `"99"`, 1)}, "not complete"},
		"no phrase":           {[]string{without(`"status":"OK",`)}, "not complete"},
		"no headers":          {[]string{without(`"headers":[],`)}, "not complete"},
		"no body variable":    {[]string{without(`,"bodyVariable":"response.body"`)}, "not complete"},
	} {
		s := &Service{platform: &Platform{log: slog.New(slog.DiscardHandler)}, status: Status{Received: map[string]int{}}, changed: make(chan struct{})}
		l := &launch{service: s, ready: make(chan struct{}), pending: map[string]chan answer{}, late: map[string]bool{}}
		l.expectAnswer("k")
		l.expectAnswer("late")
		l.giveUp("late")
		for _, m := range test.messages {
			l.receiveMessage([]byte(m))
		}
		got := strings.Join(s.status.Strays, "; ")
		if test.stray == "" && got != "" || !strings.Contains(got, test.stray) {
			t.Errorf("%s: got %q, want %q", name, got, test.stray)
		}
	}
}

// The length that an App says, if it does, is that of the body in the store.
func TestLengthOfAnAnswer(t *testing.T) {
	store, err := startStore(Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.closeStore()
	if err := store.putField("k", responseBody, []byte("four")); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		method, length string
		wrong          bool
	}{
		"right": {"GET", "4", false}, "none": {"GET", "", false}, "wrong": {"GET", "5", true}, "of a body left out": {"HEAD", "7", false},
	} {
		s := &Service{platform: &Platform{log: slog.New(slog.DiscardHandler), store: store}, changed: make(chan struct{})}
		reply := answer{status: 200, bodyVariable: responseBody}
		if test.length != "" {
			reply.headers = []header{{"content-length", test.length}}
		}
		(&launch{service: s}).checkLength(test.method, "k", reply)
		if wrong := len(s.status.Strays) > 0; wrong != test.wrong {
			t.Errorf("%s: %q", name, s.status.Strays)
		}
	}
}
