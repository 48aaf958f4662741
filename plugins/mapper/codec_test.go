package mapper

import (
	"bytes"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"mssentinel/plugins/mapper/wire"
)

// fill sets every field to a value of its own, so that one that is forgotten or mixed up on the
// way is seen. A field that is added later is filled too.
func fill(t *testing.T, v reflect.Value, n *int) {
	t.Helper()
	*n++
	switch v.Kind() {
	case reflect.String:
		v.SetString("text " + strings.Repeat("x", *n))
	case reflect.Int:
		v.SetInt(int64(*n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(t, v.Index(0), n)
		fill(t, v.Index(1), n)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.UnixMilli(1_700_000_000_000 + int64(*n)).UTC()))
			return
		}
		for i := range v.NumField() {
			fill(t, v.Field(i), n)
		}
	default:
		t.Fatalf("fill knows no %s", v.Type())
	}
	if v.IsZero() {
		t.Fatalf("%s is still zero", v.Type())
	}
}

func filled[T any](t *testing.T) T {
	var v T
	n := 0
	fill(t, reflect.ValueOf(&v).Elem(), &n)
	return v
}

// marshal gives the bytes of a message as gRPC sends it.
func marshal(t testing.TB, message any) []byte {
	t.Helper()
	if r, read := message.(*mapResponse); read {
		message = respond(r.answers...)
	}
	data, err := encoding.GetCodecV2("proto").Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	defer data.Free()
	return data.Materialize()
}

// unmarshal reads a message as gRPC does.
func unmarshal(t testing.TB, raw []byte, message any) {
	t.Helper()
	if err := encoding.GetCodecV2("proto").Unmarshal(mem.BufferSlice{mem.SliceBuffer(raw)}, message); err != nil {
		t.Fatal(err)
	}
}

// respond writes answers as a response.
func respond(answers ...Answer) *responseWriter {
	w := new(responseWriter)
	for n := range answers {
		w.add(&answers[n])
	}
	return w
}

// overTheWire sends an answer and receives it.
func overTheWire(t *testing.T, a Answer) Answer {
	t.Helper()
	got := mapResponse{answers: make([]Answer, 0, 1)}
	unmarshal(t, marshal(t, respond(a)), &got)
	if len(got.answers) != 1 || got.surplus != 0 {
		t.Fatalf("one answer came as %+v", got)
	}
	return got.answers[0]
}

func TestAnswerRoundTrips(t *testing.T) {
	want := filled[Answer](t)
	if diff := cmp.Diff(want, overTheWire(t, want)); diff != "" {
		t.Error(diff)
	}
	if got := overTheWire(t, Answer{}); !reflect.DeepEqual(got, Answer{}) {
		t.Errorf("an empty answer came back as %+v", got)
	}
}

func TestZeroConfidenceIsNotNone(t *testing.T) {
	zero := 0
	want := Answer{Objects: []Object{{Confidence: &zero, Created: time.UnixMilli(0).UTC()}, {Created: time.UnixMilli(0).UTC()}}}
	if diff := cmp.Diff(want, overTheWire(t, want)); diff != "" {
		t.Error(diff)
	}
}

// A confidence that does not fit into the message must not arrive as another one that can be sent.
func TestLargeConfidenceIsNoOther(t *testing.T) {
	for _, confidence := range []int{1<<32 + 50, -1<<32 + 50, math.MaxInt, math.MinInt} {
		a := Answer{Objects: []Object{{Confidence: &confidence}}}
		if got := *overTheWire(t, a).Objects[0].Confidence; 0 <= got && got <= 100 {
			t.Errorf("%d arrives as %d", confidence, got)
		}
	}
}

func TestSentencesCanTravel(t *testing.T) {
	a := Answer{Problems: []string{"bad \xff\xfe byte", strings.Repeat("ü", 400)}, Notes: []string{"note \xc3"}}
	want := Answer{Problems: []string{"bad \uFFFD byte", strings.Repeat("ü", 248) + "…"}, Notes: []string{"note \uFFFD"}}
	if diff := cmp.Diff(want, overTheWire(t, a)); diff != "" {
		t.Error(diff)
	}
}

func TestDescriptionRoundTrips(t *testing.T) {
	want := filled[Description](t)
	var got wire.Description
	unmarshal(t, marshal(t, descriptionToWire(want)), &got)
	if diff := cmp.Diff(want, descriptionFromWire(&got)); diff != "" {
		t.Error(diff)
	}
}

// A message of any length lies in buffers of one size, but for what is longer than one by itself.
func TestMessagesLieInSmallBuffers(t *testing.T) {
	long := make([]byte, 3*messageBuffer)
	request := mapRequest{now: time.UnixMilli(1)}
	for range 1000 {
		request.indicators = append(request.indicators, make([]byte, 1000))
	}
	request.indicators = append(request.indicators, long, []byte("{}"))
	data := request.write()
	defer data.Free()
	if last := data[len(data)-2]; last.Len() < len(long) || last.Len() > len(long)+messageBuffer {
		t.Errorf("the long one lies in %d bytes", last.Len())
	}
	for n, buffer := range data[:len(data)-2] {
		if size := buffer.Len(); size > messageBuffer || size < messageBuffer*3/4 {
			t.Errorf("buffer %d of %d has %d bytes", n, len(data), size)
		}
	}
	var got mapRequest
	defer got.free()
	if err := got.readFrom(data); err != nil || len(got.indicators) != 1002 || !bytes.Equal(got.indicators[1000], long) {
		t.Errorf("%d indicators arrived, %v", len(got.indicators), err)
	}
	if empty := new(responseWriter).finish(); empty.Len() != 0 {
		t.Errorf("a response without answers has %d bytes", empty.Len())
	}
}

// countingPool counts the buffers that are given back.
type countingPool struct{ back int }

func (p *countingPool) Get(length int) *[]byte { b := make([]byte, length); return &b }
func (p *countingPool) Put(*[]byte)            { p.back++ }

// The buffers of a request go back once its indicators are done with, and not before.
func TestBuffersGoBack(t *testing.T) {
	indicator := bytes.Repeat([]byte("x"), 2000)
	whole := marshal(t, &mapRequest{indicators: [][]byte{indicator, indicator, indicator, indicator}, now: time.UnixMilli(0)})
	for _, tt := range []struct{ length, indicators int }{{len(whole), 4}, {len(whole) - 1, 3}, {3000, 1}} {
		var pool countingPool
		var data mem.BufferSlice
		for part := range slices.Chunk(whole[:tt.length], 1500) {
			data = append(data, mem.Copy(part, &pool))
		}
		var r mapRequest
		err := encoding.GetCodecV2("proto").Unmarshal(data, &r)
		data.Free()
		if (err == nil) != (tt.length == len(whole)) || len(r.indicators) != tt.indicators || pool.back != 0 || !bytes.Equal(r.indicators[tt.indicators-1], indicator) {
			t.Errorf("%d indicators of %d bytes, %d buffers are back, %v", len(r.indicators), tt.length, pool.back, err)
		}
		r.free()
		if want := tt.length / 1500; pool.back != want { // a smaller one is of no pool
			t.Errorf("%d buffers are back of %d", pool.back, want)
		}
	}
}

// More answers than there is room for are counted alone, so that no mapper fills the App's memory with them.
func TestSurplusAnswersAreCounted(t *testing.T) {
	got := mapResponse{answers: make([]Answer, 0, 1)}
	unmarshal(t, marshal(t, respond(make([]Answer, 3)...)), &got)
	if len(got.answers) != 1 || got.surplus != 2 {
		t.Errorf("of three answers %d came, and %d were too many", len(got.answers), got.surplus)
	}
}

// What is no UTF-8 costs the object that has it, and no other one: it arrives as it is, and the App checks the object.
func TestTextsThatAreNoUTF8Arrive(t *testing.T) {
	want := Answer{Objects: []Object{{Pattern: "p", Name: "\xff", Labels: []string{"\xed\xa0\x80"}, Created: time.UnixMilli(1).UTC()}}}
	if diff := cmp.Diff(want, overTheWire(t, want)); diff != "" {
		t.Error(diff)
	}
	if err := want.Objects[0].Check(); err == nil {
		t.Error("the object can be sent")
	}
}

// FuzzCodec compares codec with the types that protoc makes of mapper.proto. Both take the same bytes, read the same of them, and
// write it as the same bytes.
func FuzzCodec(f *testing.F) {
	f.Add(marshal(f, recorded["request"]))
	f.Add(marshal(f, recorded["response"]))
	f.Add([]byte("\x0d\x0a\x00\x0a\x00\x09\x0a\x00\x0a\x00\x0a\x00\x0a\x00")) // fixed numbers that look like answers
	f.Add([]byte("\x0a\x00\x08"))                                             // a tag without its value
	for _, number := range []protowire.Number{protowire.MaxValidNumber, protowire.MaxValidNumber + 1} {
		f.Add(protowire.AppendVarint(protowire.AppendVarint(nil, uint64(number)<<3), 1))
	}
	f.Add([]byte("\x08\x07\x12\x02\x00\x00\x0a\x04\x0a\x02\x08\x01\xfb\x01\xfc\x01")) // members written as others are, and a group
	f.Fuzz(func(t *testing.T, raw []byte) {
		compareRequests(t, raw)
		compareResponses(t, raw)
	})
}

func compareRequests(t *testing.T, raw []byte) {
	t.Helper()
	var theirs wire.MapRequest
	var ours mapRequest
	theirErr, ourErr := proto.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(raw, &theirs), ours.readFrom(split(raw))
	if (theirErr == nil) != (ourErr == nil) {
		t.Fatalf("%x as a request: protobuf says %v, we %v", raw, theirErr, ourErr)
	}
	if ourErr != nil {
		return
	}
	same := len(ours.indicators) == len(theirs.GetIndicators()) && ours.now.UnixMilli() == theirs.GetNowMs()
	for n := 0; same && n < len(ours.indicators); n++ {
		same = bytes.Equal(ours.indicators[n], theirs.GetIndicators()[n])
	}
	if !same {
		t.Fatalf("%x is the request %v for protobuf, and %v for us", raw, &theirs, ours)
	}
	compareWritten(t, &mapRequest{indicators: ours.indicators, now: ours.now}, &theirs)
}

// split has bytes in several buffers, as they are received.
func split(raw []byte) (buffers mem.BufferSlice) {
	for part := range slices.Chunk(raw, 7) {
		buffers = append(buffers, mem.SliceBuffer(part))
	}
	return buffers
}

func compareResponses(t *testing.T, raw []byte) {
	t.Helper()
	var theirs wire.MapResponse
	ours := mapResponse{answers: make([]Answer, 0, len(raw))}
	theirErr, ourErr := proto.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(raw, &theirs), ours.readFrom(raw)
	if theirErr != nil && ourErr == nil && strings.Contains(theirErr.Error(), "invalid UTF-8") {
		return // the App checks the objects
	}
	if (theirErr == nil) != (ourErr == nil) {
		t.Fatalf("%x as a response: protobuf says %v, we %v", raw, theirErr, ourErr)
	}
	if ourErr != nil {
		return
	}
	want := make([]Answer, 0, len(theirs.GetAnswers()))
	for _, a := range theirs.GetAnswers() {
		want = append(want, answerFromWire(a))
		a.Problems, a.Notes = boundSentences(a.Problems), boundSentences(a.Notes)
	}
	if diff := cmp.Diff(want, ours.answers); diff != "" {
		t.Fatalf("%x is another response for protobuf (-) and for us (+): %s", raw, diff)
	}
	compareWritten(t, &ours, &theirs)
}

// compareWritten compares the bytes that both write of a message. They write its members in the order of their numbers, and leave
// out what is zero.
func compareWritten(t *testing.T, ours any, theirs proto.Message) {
	t.Helper()
	want, err := proto.MarshalOptions{Deterministic: true}.Marshal(theirs)
	if err != nil {
		t.Fatal(err)
	}
	if got := marshal(t, ours); !bytes.Equal(got, want) {
		t.Fatalf("%v is written as\n%x, and protobuf writes\n%x", theirs, got, want)
	}
}

// answerFromWire is an answer as protobuf reads it.
func answerFromWire(w *wire.Answer) Answer {
	a := Answer{Problems: w.GetProblems(), Notes: w.GetNotes(), Failed: w.GetFailed()}
	if len(w.GetObjects()) > 0 {
		a.Objects = make([]Object, len(w.GetObjects()))
	}
	for i, o := range w.GetObjects() {
		objectFromWire(&a.Objects[i], o)
	}
	return a
}
func objectFromWire(o *Object, w *wire.Object) {
	*o = Object{
		Pattern:           w.GetPattern(),
		Name:              w.GetName(),
		Description:       w.GetDescription(),
		Created:           time.UnixMilli(w.GetCreatedMs()).UTC(),
		Labels:            w.GetLabels(),
		ObjectMarkingRefs: w.GetObjectMarkingRefs(),
		IndicatorTypes:    w.GetIndicatorTypes(),
	}
	if w.Confidence != nil {
		confidence := int(w.GetConfidence())
		o.Confidence = &confidence
	}
	for _, p := range w.GetKillChainPhases() {
		o.KillChainPhases = append(o.KillChainPhases, KillChainPhase{KillChainName: p.GetKillChainName(), PhaseName: p.GetPhaseName()})
	}
	for _, r := range w.GetExternalReferences() {
		o.ExternalReferences = append(o.ExternalReferences,
			ExternalReference{SourceName: r.GetSourceName(), URL: r.GetUrl(), ExternalID: r.GetExternalId()})
	}
}
