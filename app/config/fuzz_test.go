package config

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzParameterFile opens parameter files, as the platform seals them and as they come when something is wrong. What
// encoding/json takes for an object of inputs is one; no fault quotes a secret, which SECRET stands for, and all faults can
// be shown.
func FuzzParameterFile(f *testing.F) {
	const hidden = "canary-7f3b9c"
	all, err := listInputs()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, plain []byte, sealed bool) {
		plain = []byte(strings.ReplaceAll(string(plain), "SECRET", hidden))
		content := plain
		if sealed {
			content = seal(plain, []byte(fileKey))
		}
		values, err := openParams(content, []byte(fileKey))
		if err != nil && strings.Contains(err.Error(), hidden) {
			t.Fatalf("the error %q quotes the file", err)
		}
		var want map[string]json.RawMessage
		isObject := json.Unmarshal(plain, &want) == nil && want != nil
		if sealed && isObject != (err == nil) || err == nil && values == nil {
			t.Fatalf("%q: read %t, and encoding/json: %t", plain, err == nil, isObject)
		}
		if sealed && !slices.Equal(slices.Sorted(maps.Keys(values)), slices.Sorted(maps.Keys(want))) {
			t.Fatalf("%q has the members %v", plain, slices.Sorted(maps.Keys(values)))
		}
		file := paramFile{named: true, path: "/in/file", values: values}
		r := newReader(all, file, false)
		c := r.readConfig()
		checkFaults(t, r.faults, hidden)
		if len(r.faults) == 0 && (c.ScheduleInterval <= 0 || len(c.ClientID) != 36 || len(c.TTL) == 0) {
			t.Fatalf("%q gives %+v", plain, c)
		}
		for _, p := range describeParameters(file, all) {
			if strings.Contains(p.Type+p.Form, hidden) {
				t.Fatalf("the description of %s has its value", p.Name)
			}
		}
	})
}

// checkFaults holds faults to what the Services page can show.
func checkFaults(t *testing.T, faults Faults, hidden string) {
	t.Helper()
	for _, fault := range faults {
		said := fault.Error()
		if fault.Label == "" || fault.Problem == "" || len(said) > 2000 || !utf8.ValidString(said) {
			t.Fatalf("the fault %q cannot be shown", said)
		}
		secret := slices.Contains([]string{"Client ID", "Client Secret", "ThreatConnect Secret Key", "tc_token", "tc_kvstore_pass", "tc_svc_broker_token",
			"tc_proxy_password"}, fault.Label)
		if secret && strings.Contains(said, hidden) {
			t.Fatalf("the fault %q quotes the value", said)
		}
	}
}
