package mapper_test

import (
	"errors"
	"fmt"
	"log"
	"strings"
	"time"

	"mssentinel/plugins/mapper"
)

// A type whose observable stands in one member needs no more than this: the member, and the pattern of a value.
func ExampleSingle() {
	mutex := mapper.Single{
		Version: "1.0.0",
		Type:    mapper.Type{Name: "Mutex", DefaultTTLHours: 720},
		Member:  "Mutex",
		Pattern: func(value string) (string, error) {
			if strings.HasPrefix(value, `Local\`) {
				return "", errors.New("a mutex of one session says nothing about others")
			}
			return mapper.Pattern(mapper.Equal("mutex:name", value)), nil
		},
	}

	now := time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
	for _, raw := range []string{
		`{"type": "Mutex", "Mutex": "Global\\Bob's", "ownerName": "Demo Organization"}`,
		`{"type": "Mutex", "Mutex": "Local\\x", "ownerName": "Demo Organization"}`,
	} {
		ind, err := mapper.Parse([]byte(raw))
		if err != nil {
			log.Fatal(err)
		}
		answer := mutex.Map(ind, now)
		for _, object := range answer.Objects {
			fmt.Println(object.Pattern, "from", object.Name)
		}
		for _, problem := range answer.Problems {
			fmt.Println("not mapped:", problem)
		}
	}
	// Output:
	// [mutex:name = 'Global\\Bob\'s'] from Global\Bob's | Demo Organization
	// not mapped: a mutex of one session says nothing about others
}

// userAgents gives an object with a note: it implements Mapper itself, since Single knows no notes.
type userAgents struct{}

func (userAgents) Describe() mapper.Description {
	return mapper.Description{Name: "User Agent", Version: "1.0.0", Types: []mapper.Type{{Name: "User Agent", DefaultTTLHours: 168}}}
}

func (userAgents) Map(ind *mapper.Indicator, now time.Time) mapper.Answer {
	value, err := ind.Value("User Agent String")
	if err != nil {
		return mapper.Problem("%s", err)
	}
	pattern := mapper.Pattern(mapper.Equal("network-traffic:extensions.'http-request-ext'.request_header.'User-Agent'", value))
	answer := mapper.Answer{Objects: []mapper.Object{ind.Object(pattern, value, now)}}
	if strings.HasPrefix(value, "Mozilla/5.0") {
		answer.Notes = append(answer.Notes, "browsers call themselves like this, too")
	}
	return answer
}

// Whatever Single cannot say is said by an implementation of Mapper.
func ExampleMapper() {
	ind, err := mapper.Parse([]byte(`{"type": "User Agent", "User Agent String": "Mozilla/5.0 (Amber)", "ownerName": "Demo Organization"}`))
	if err != nil {
		log.Fatal(err)
	}
	answer := userAgents{}.Map(ind, time.Now())
	fmt.Println(answer.Objects[0].Pattern)
	fmt.Println(answer.Notes)
	// Output:
	// [network-traffic:extensions.'http-request-ext'.request_header.'User-Agent' = 'Mozilla/5.0 (Amber)']
	// [browsers call themselves like this, too]
}

// A mapper is a program of its own: its main function serves the mapper to the App until the App ends it.
func ExampleServe() {
	main := func() {
		mapper.Serve(userAgents{})
	}
	_ = main // the App calls it, not this example
}

// A pattern is never put together from bare values: Equal quotes them.
func ExamplePattern() {
	fmt.Println(mapper.Pattern(
		mapper.Equal("windows-registry-key:key", `HKEY_LOCAL_MACHINE\Software\Bob's`),
		mapper.Equal("windows-registry-key:values[*].name", "Run"),
	))
	// Output:
	// [windows-registry-key:key = 'HKEY_LOCAL_MACHINE\\Software\\Bob\'s' AND windows-registry-key:values[*].name = 'Run']
}

func ExampleIndicator_Value() {
	ind, err := mapper.Parse([]byte(`{"type": "Hashtag", "summary": "#testabc"}`))
	if err != nil {
		log.Fatal(err)
	}
	value, err := ind.Value("Hashtag") // the summary stands in
	fmt.Println(value, err)
	// Output: #testabc <nil>
}
