package mapping

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mssentinel/plugins/mapper"
	"mssentinel/plugins/mapper/wire"
)

// checked are the mappers that TestCheck checks: what each does with an indicator that a sound one would map to the object.
var checked = map[string]func(object *wire.Object, raw string) *wire.Answer{
	"sound":  func(o *wire.Object, _ string) *wire.Answer { return only(o) },
	"small":  func(o *wire.Object, _ string) *wire.Answer { return only(o) }, // its server takes 4 MiB, as gRPC does unless it is told
	"unsure": func(*wire.Object, string) *wire.Answer { return said("no idea") },
	"silent": func(*wire.Object, string) *wire.Answer { return &wire.Answer{} },
	"wordy": func(o *wire.Object, _ string) *wire.Answer {
		return &wire.Answer{Objects: []*wire.Object{o}, Notes: []string{strings.Repeat("x", 2000)}}
	},
	"unquote": func(o *wire.Object, _ string) *wire.Answer {
		o.Pattern = "[mutex:name = '" + o.GetName() + "']"
		return only(o)
	},
	"mighty": func(o *wire.Object, _ string) *wire.Answer { over := int32(101); o.Confidence = &over; return only(o) },
	"moody": func(o *wire.Object, _ string) *wire.Answer {
		calls++
		o.Description = fmt.Sprintf(`{"n":%d}`, calls)
		return only(o)
	},
	"fresh": func(o *wire.Object, _ string) *wire.Answer {
		o.Labels = []string{fmt.Sprint(os.Getpid())}
		return only(o)
	},
	"lethal": func(o *wire.Object, raw string) *wire.Answer {
		if strings.Contains(raw, "yesterday") {
			os.Exit(7)
		}
		return only(o)
	},
	"slow": func(o *wire.Object, raw string) *wire.Answer {
		if strings.Contains(raw, "yesterday") {
			select {}
		}
		return only(o)
	},
	"prints": func(o *wire.Object, raw string) *wire.Answer {
		if strings.Contains(raw, "yesterday") {
			fmt.Fprintln(os.NewFile(1, "stdout"), "Hello, App!")
			fmt.Fprintln(os.NewFile(2, "stderr"), "a warning")
		}
		return only(o)
	},
}

var calls int

func only(o *wire.Object) *wire.Answer { return &wire.Answer{Objects: []*wire.Object{o}} }

// actChecked answers as one of the checked mappers would.
func actChecked(name string, raw []byte) *wire.Answer {
	ind, err := mapper.Parse(raw)
	if err != nil {
		return said(err.Error())
	}
	value, err := ind.Value("Mutex")
	if err != nil {
		return said(err.Error())
	}
	return checked[name](&wire.Object{Pattern: mapper.Pattern(mapper.Equal("mutex:name", value)), Name: value, Description: "{}", CreatedMs: 1,
		IndicatorTypes: []string{"unknown"}}, string(raw))
}

// A check finds what the App would refuse or complain of later, and names the indicator.
func TestCheck(t *testing.T) {
	for name, want := range map[string][]string{
		"sound":    nil,
		"newer":    {"WRONG contract", "it speaks version 2 of the contract, which is newer than version 1 of this App"},
		"old":      {"WRONG contract", "it speaks version 0 of the contract, which is older than version 1 of this App"},
		"chatty":   {"WRONG contract", `it printed "Welcome!"`, "WRONG printing", "Welcome!"},
		"dead":     {"WRONG contract", "it ended before it called mapper.Serve"},
		"idle":     {"WRONG types", "it takes 0 types: 1 to 100 are possible"},
		"endless":  {"WRONG types", "is 1048576 hours: 0 to 87600 are possible"},
		"timeless": {"WRONG types", "has no parameter for the time to live"},
		"silent":   {"WRONG objects", "Mutex, as it should be: the mapper gave neither an object nor a reason", "note answers"},
		"unsure":   {"note answers", "Mutex, as it should be: no idea", "name a file with indicators that should, by -indicators"},
		"wordy":    {"note sentences", "the longest of 2000 bytes, are cut to 20 of at most 1000 bytes"},
		"unquote":  {"WRONG objects", "Mutex with quotes and backslashes: the pattern is not one of STIX 2.1: at byte"},
		"mighty":   {"WRONG objects", "the confidence is 101, not 0 to 100"},
		"moody":    {"WRONG repetition", `asked once more, it answers differently: Mutex, as it should be: the description was "{\"n\":1}", then `, "asked one by one"},
		"fresh":    {"WRONG repetition", "asked in a new process, it answers differently: Mutex, as it should be: the labels was"},
		"lethal":   {"WRONG answers", "Mutex with a date that is none: the mapper lethal failed on this indicator: it ended (exit status 7)"},
		"slow":     {"WRONG answers", "Mutex with a date that is none: the mapper slow failed on this indicator: it did not answer within 2s"},
		"small":    {"WRONG size", "It does not take a request of 16 MiB"},
		"prints":   {"WRONG printing", "Hello, App!", "note printing", "a warning"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := patient()
			if name == "slow" {
				l.call, l.perRecord = 2*time.Second, 0
			}
			path := filepath.Join(folder(t, name), name)
			report, err := checkWith(t.Context(), CheckOptions{Path: path}, l)
			if err != nil {
				t.Fatal(err)
			}
			shown := showReport(report)
			violations := 0
			for _, text := range want {
				if !strings.Contains(shown, text) {
					t.Errorf("%q is missing", text)
				}
				if strings.HasPrefix(text, "WRONG") {
					violations++
				}
			}
			if report.Violations() != violations || report.Checksum != fmt.Sprintf("%x", checksum(t)) || report.File != path || t.Failed() {
				t.Errorf("%d violations instead of %d\n%s", report.Violations(), violations, shown)
			}
		})
	}
}

func showReport(r CheckReport) string {
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%s %s: %s\n", f.Verdict, f.Rule, f.Text)
		for _, d := range f.Details {
			fmt.Fprintf(&b, "  %s\n", d)
		}
	}
	return b.String()
}

// The indicators that somebody gives are asked about under their names, and awkward ones are made of the first.
func TestCheckWithSamples(t *testing.T) {
	path := filepath.Join(folder(t, "lethal"), "lethal")
	report, err := checkWith(t.Context(), CheckOptions{Path: path, Samples: []Sample{
		{Case: "another type", Indicator: []byte(`{"type":"Host","summary":"yesterday"}`)},
		{Case: "the first", Indicator: []byte(`{"type":"Mutex","Mutex":"one","summary":"one"}`)},
		{Case: "the deadly one", Indicator: []byte(`{"type":"Mutex","Mutex":"yesterday"}`)},
	}}, patient())
	if err != nil {
		t.Fatal(err)
	}
	shown := showReport(report)
	if !strings.Contains(shown, "the deadly one: the mapper lethal failed on this indicator") || strings.Contains(shown, "another type") {
		t.Errorf("it says\n%s", shown)
	}
	samples := samplesFor([]mapper.Type{{Name: "Mutex"}}, []Sample{{Case: "the first", Indicator: []byte(`{"type":"Mutex","Mutex":"one","summary":"one","n":1}`)}})
	varied := 0
	for _, s := range samples {
		if strings.Contains(string(s.Indicator), `"Mutex":""`) && strings.Contains(string(s.Indicator), `"summary":""`) && strings.Contains(string(s.Indicator), `"n":1`) {
			varied++
		}
	}
	if varied != 1 || samples[0].Case != "the first" {
		t.Errorf("%d of %d samples have an empty value in both places", varied, len(samples))
	}
}

// Whatever stands in the place of a mapper, the check says so.
func TestCheckOfNoMapper(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho hello\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, filepath.Join(dir, "missing")} {
		if report, err := Check(t.Context(), CheckOptions{Path: path}); err == nil {
			t.Errorf("%s: %+v", path, report)
		}
	}
	report, err := Check(t.Context(), CheckOptions{Path: script})
	if err != nil || !strings.Contains(showReport(report), `before it called mapper.Serve it printed "hello"`) {
		t.Errorf("%v\n%s", err, showReport(report))
	}
}
