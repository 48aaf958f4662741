package stix

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var added = time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)

// full has every member.
func full() Indicator {
	confidence := 80
	return Indicator{
		Pattern:            "[url:value = 'http://example.com/']",
		Name:               "http://example.com/ | Owner",
		Description:        `{"type": "URL"}`,
		Created:            added,
		Confidence:         &confidence,
		Labels:             []string{"one", "two"},
		KillChainPhases:    []KillChainPhase{{"lockheed-martin-cyber-kill-chain", "delivery"}},
		ObjectMarkingRefs:  []string{TLPAmber},
		ExternalReferences: []ExternalReference{{"ThreatConnect", "https://tc.example/", "12"}},
		IndicatorTypes:     []string{"Phishing"},
	}
}

func TestCheck(t *testing.T) {
	sound := full()
	if err := sound.Check(); err != nil {
		t.Fatal(err)
	}
	tooMuch, negative := 101, -1
	for _, c := range []struct {
		name   string
		change func(*Indicator)
		want   string
	}{
		{"no pattern", func(i *Indicator) { i.Pattern = "" }, "no pattern"},
		{"a bare pattern", func(i *Indicator) { i.Pattern = "url:value = 'x'" }, "not one of STIX 2.1"},
		{"an open pattern", func(i *Indicator) { i.Pattern = "[url:value = 'x'" }, "not one of STIX 2.1"},
		{"NUL", func(i *Indicator) { i.Pattern = "[url:value = 'x\x00']" }, "NUL"},
		{"no name", func(i *Indicator) { i.Name = "" }, "no name"},
		{"no date", func(i *Indicator) { i.Created = time.Time{} }, "date of creation"},
		{"a year before the first", func(i *Indicator) { i.Created = time.UnixMilli(-1e14) }, "date of creation"},
		{"a year of five digits", func(i *Indicator) { i.Created = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }, "date of creation"},
		{"too much confidence", func(i *Indicator) { i.Confidence = &tooMuch }, "101"},
		{"too little confidence", func(i *Indicator) { i.Confidence = &negative }, "-1"},
		{"no type", func(i *Indicator) { i.IndicatorTypes = nil }, "indicator type"},
		{"an empty type", func(i *Indicator) { i.IndicatorTypes = []string{""} }, "empty"},
		{"an empty label", func(i *Indicator) { i.Labels = []string{"a", ""} }, "empty"},
		{"a long description", func(i *Indicator) { i.Description = `{"a":"` + strings.Repeat("x", 1000) + `"}` }, "more than 1000"},
		{"no description", func(i *Indicator) { i.Description = "" }, "not a JSON object"},
		{"a description that is a list", func(i *Indicator) { i.Description = "[]" }, "not a JSON object"},
		{"a description cut short", func(i *Indicator) { i.Description = `{"a":"b` }, "not a JSON object"},
		{"an unnamed kill chain", func(i *Indicator) { i.KillChainPhases[0].KillChainName = "" }, "kill chain"},
		{"an unnamed phase", func(i *Indicator) { i.KillChainPhases[0].PhaseName = "" }, "kill chain"},
		{"a marking that Sentinel does not know", func(i *Indicator) { i.ObjectMarkingRefs[0] = "marking-definition--x" }, "none of the TLP"},
		{"a reference without source", func(i *Indicator) { i.ExternalReferences[0].SourceName = "" }, "source name"},
		{"an empty reference", func(i *Indicator) { i.ExternalReferences[0] = ExternalReference{SourceName: "x"} }, "source name"},
		{"a name that is not UTF-8", func(i *Indicator) { i.Name = "\xff" }, "UTF-8"},
		{"a label that is not UTF-8", func(i *Indicator) { i.Labels = []string{"\xff"} }, "UTF-8"},
		{"more text than a request takes", func(i *Indicator) { i.Labels = []string{strings.Repeat("x", MaxText)} }, "bytes of text"},
	} {
		t.Run(c.name, func(t *testing.T) {
			i := full()
			c.change(&i)
			if err := i.Check(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

// A change to any member but the date must be seen, or it would never be sent.
func TestContentHash(t *testing.T) {
	before := full()
	hash := before.ContentHash()
	if again := full(); again.ContentHash() != hash {
		t.Error("the hash of the same content differs")
	}
	for n := range reflect.TypeFor[Indicator]().NumField() {
		field := reflect.TypeFor[Indicator]().Field(n)
		changed := full()
		v := reflect.ValueOf(&changed).Elem().Field(n)
		switch field.Name {
		case "Created":
			v.Set(reflect.ValueOf(added.Add(time.Hour)))
		case "Confidence":
			v.SetZero()
		default:
			change(v)
		}
		if cmp.Equal(before, changed) {
			t.Fatalf("%s was not changed", field.Name)
		}
		if same := changed.ContentHash() == hash; same != (field.Name == "Created") {
			t.Errorf("%s changed, and the hash is the same: %v", field.Name, same)
		}
	}
}

// change alters the last text that v holds.
func change(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Slice:
		change(v.Index(v.Len() - 1))
	case reflect.Struct:
		change(v.Field(v.NumField() - 1))
	}
}

func TestContentHashKeepsListsApart(t *testing.T) {
	a, b, c := full(), full(), full()
	a.Labels, a.ObjectMarkingRefs = []string{"x", "y"}, nil
	b.Labels, b.ObjectMarkingRefs = []string{"x"}, []string{"y"}
	c.Labels, c.ObjectMarkingRefs = []string{"xy"}, nil
	if a.ContentHash() == b.ContentHash() || a.ContentHash() == c.ContentHash() {
		t.Error("texts moved between members have the same hash")
	}
	zero := 0
	none, some := full(), full()
	none.Confidence, some.Confidence = nil, &zero
	if none.ContentHash() == some.ContentHash() {
		t.Error("no confidence and a confidence of 0 have the same hash")
	}
}
