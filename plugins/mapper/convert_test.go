package mapper

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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

// overTheWire writes a message to bytes and reads it again.
func overTheWire[M proto.Message](t *testing.T, from, to M) M {
	t.Helper()
	raw, err := proto.Marshal(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := proto.Unmarshal(raw, to); err != nil {
		t.Fatal(err)
	}
	return to
}

func TestAnswerRoundTrips(t *testing.T) {
	want := filled[Answer](t)
	got := answerFromWire(overTheWire(t, answerToWire(want), &wire.Answer{}))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := answerFromWire(overTheWire(t, answerToWire(Answer{}), &wire.Answer{})); !reflect.DeepEqual(got, Answer{}) {
		t.Errorf("an empty answer came back as %+v", got)
	}
}

func TestZeroConfidenceIsNotNone(t *testing.T) {
	zero := 0
	want := Answer{Objects: []Object{{Confidence: &zero, Created: time.UnixMilli(0).UTC()}, {Created: time.UnixMilli(0).UTC()}}}
	got := answerFromWire(overTheWire(t, answerToWire(want), &wire.Answer{}))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDescriptionRoundTrips(t *testing.T) {
	want := filled[Description](t)
	got := descriptionFromWire(overTheWire(t, descriptionToWire(want), &wire.Description{}))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestSentencesCanTravel(t *testing.T) {
	a := Answer{Problems: []string{"bad \xff\xfe byte", strings.Repeat("ü", 400)}, Notes: []string{"note \xc3"}}
	got := answerFromWire(overTheWire(t, answerToWire(a), &wire.Answer{}))
	want := Answer{Problems: []string{"bad \uFFFD byte", strings.Repeat("ü", 248) + "…"}, Notes: []string{"note \uFFFD"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
