package mapping

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"

	"mssentinel/app/stix"
	"mssentinel/plugins/mapper"
)

// foreignMapper is a connection to a mapper that answers with these bytes.
type foreignMapper []byte

func (f foreignMapper) Invoke(_ context.Context, _ string, _, reply any, _ ...grpc.CallOption) error {
	return encoding.GetCodecV2("proto").Unmarshal(mem.BufferSlice{mem.SliceBuffer(f)}, reply)
}

func (foreignMapper) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, errors.New("the contract has no streams")
}

// FuzzMapperAnswer takes the answers of a mapper that nobody of ours wrote. Whatever it sends, there is one answer to each
// indicator, and what is left of it can be sent and shown.
func FuzzMapperAnswer(f *testing.F) {
	now := time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, wire []byte, asked byte) {
		batch := make([][]byte, 1+int(asked)%4)
		answers, err := mapper.NewClient(foreignMapper(wire)).Map(t.Context(), batch, now)
		if err != nil {
			return
		}
		if len(answers) != len(batch) {
			t.Fatalf("%d answers to %d indicators", len(answers), len(batch))
		}
		for i := range answers {
			checkAnswer(&answers[i])
		}
		for _, a := range answers {
			if len(a.Objects)+len(a.Problems) == 0 || len(a.Objects) > maxObjects || len(a.Problems) > maxRemarks || len(a.Notes) > maxRemarks {
				t.Fatalf("%d objects, %d problems, %d notes", len(a.Objects), len(a.Problems), len(a.Notes))
			}
			for _, said := range append(a.Problems, a.Notes...) {
				if len(said) > maxRemark || !utf8.ValidString(said) {
					t.Fatalf("%q cannot be shown", said)
				}
			}
			for i := range a.Objects {
				raw := a.Objects[i].AppendJSON(nil, stix.Envelope{Modified: now, ValidUntil: now.Add(time.Hour)})
				if !json.Valid(raw) || len(raw) > 1<<20 {
					t.Fatalf("%.300q cannot be sent", raw)
				}
			}
		}
	})
}
