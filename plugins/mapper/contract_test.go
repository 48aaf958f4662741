package mapper

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/reflect/protoreflect"

	"mssentinel/plugins/mapper/wire"
)

// recorded are messages with a value in every member, by the names that they have in the record of the contract.
var recorded = map[string]any{
	"request":     &mapRequest{indicators: [][]byte{[]byte(`{"type":"Mutex"}`), []byte(`{}`)}, now: time.UnixMilli(1_788_264_000_123).UTC()},
	"description": descriptionToWire(contractDescription),
	"response":    &mapResponse{answers: []Answer{contractAnswer, failedAnswer("no")}},
}

var contractDescription = Description{Name: "Mutex", Version: "1.0.0", Types: []Type{{Name: "Mutex", DefaultTTLHours: 720}, {Name: "Host"}}}

var contractAnswer = Answer{
	Objects: []Object{{
		Pattern: `[mutex:name = 'x']`, Name: "x | Owner", Description: `{"a":"é"}`, Created: time.UnixMilli(1_788_264_000_123).UTC(), Confidence: new(int),
		Labels: []string{"one", "two"}, KillChainPhases: []KillChainPhase{{KillChainName: "chain", PhaseName: "phase"}},
		ObjectMarkingRefs: []string{"marking-definition--1"}, IndicatorTypes: []string{"unknown"},
		ExternalReferences: []ExternalReference{{SourceName: "source", URL: "https://tc.example/1", ExternalID: "T1566"}},
	}},
	Problems: []string{"a problem"}, Notes: []string{"a note", "another"},
}

// What crosses between the App and a mapper is frozen: a mapper that was built when the record was made still understands the
// App, and the App understands it. The record of a version is never changed. A new member that both sides can do without may be
// added to it; anything else is a new version of the contract, with a record of its own.
func TestContractIsFrozen(t *testing.T) {
	path := filepath.Join("testdata", fmt.Sprintf("contract-%d.txt", ContractVersion))
	record, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var now strings.Builder
	describeContract(&now, wire.File_mapper_proto)
	for _, name := range []string{"request", "description", "response"} {
		fmt.Fprintf(&now, "bytes of a %s %x\n", name, marshal(t, recorded[name]))
	}
	if diff := cmp.Diff(string(record), now.String()); diff != "" {
		t.Errorf("the contract is not that of %s any more (-record +now); it may only grow, else ContractVersion has to go up:\n%s", path, diff)
	}
	for line := range strings.Lines(string(record)) {
		if name, digits, found := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "bytes of a "), " "); found && recorded[name] != nil {
			checkRecord(t, name, digits)
		}
	}
}

// checkRecord reads bytes that a mapper of then, or the App of then, sent.
func checkRecord(t *testing.T, name, digits string) {
	t.Helper()
	raw, err := hex.DecodeString(digits)
	if err != nil {
		t.Fatal(err)
	}
	switch want := recorded[name].(type) {
	case *wire.Description:
		var got wire.Description
		unmarshal(t, raw, &got)
		if diff := cmp.Diff(contractDescription, descriptionFromWire(&got)); diff != "" {
			t.Errorf("the %s was recorded otherwise: %s", name, diff)
		}
	case *mapRequest:
		var got mapRequest
		unmarshal(t, raw, &got)
		if !reflect.DeepEqual(got.indicators, want.indicators) || !got.now.Equal(want.now) {
			t.Errorf("the %s was recorded as %v", name, got)
		}
	case *mapResponse:
		got := mapResponse{answers: make([]Answer, 0, len(want.answers))}
		unmarshal(t, raw, &got)
		if diff := cmp.Diff(want.answers, got.answers); diff != "" {
			t.Errorf("the %s was recorded otherwise: %s", name, diff)
		}
	}
}

// describeContract writes down all that two sides have to agree on: names of methods, numbers, names and kinds of members.
func describeContract(b *strings.Builder, file protoreflect.FileDescriptor) {
	for s := range file.Services().Len() {
		service := file.Services().Get(s)
		for m := range service.Methods().Len() {
			method := service.Methods().Get(m)
			fmt.Fprintf(b, "method /%s/%s %s %s streaming %t %t\n", service.FullName(), method.Name(), method.Input().Name(), method.Output().Name(),
				method.IsStreamingClient(), method.IsStreamingServer())
		}
	}
	for m := range file.Messages().Len() {
		message := file.Messages().Get(m)
		for f := range message.Fields().Len() {
			field := message.Fields().Get(f)
			kind := field.Kind().String()
			if field.Message() != nil {
				kind = string(field.Message().Name())
			}
			fmt.Fprintf(b, "member %s.%s %d %s %s presence %t\n", message.Name(), field.Name(), field.Number(), field.Cardinality(), kind, field.HasPresence())
		}
	}
	fmt.Fprintf(b, "handshake %s=%s %s\n", Handshake.MagicCookieKey, Handshake.MagicCookieValue, PluginName)
}
