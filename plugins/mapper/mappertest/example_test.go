package mappertest_test

import (
	"testing"

	"mssentinel/plugins/mapper"
	"mssentinel/plugins/mapper/mappertest"
)

// The test of a mapper is one line. The cases are lists of {"case": "what is odd about it", "indicator": {…}} in
// testdata/*.json; go test -update writes what the mapper makes of them to testdata/*.golden.json, to be read and kept.
func ExampleGolden() {
	mutex := mapper.Single{
		Version: "1.0.0",
		Type:    mapper.Type{Name: "Mutex", DefaultTTLHours: 720},
		Member:  "Mutex",
		Pattern: func(value string) (string, error) { return mapper.Pattern(mapper.Equal("mutex:name", value)), nil },
	}
	testMutex := func(t *testing.T) { mappertest.Golden(t, mutex) } // func TestMutex in mutex_test.go
	_ = testMutex
}
