package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"mssentinel/app/platform"
)

// What came is known by name, type and form, and no value of it.
func TestParametersAreDescribed(t *testing.T) {
	sent := onPlatform()
	sent["tc_svc_hb_timeout_seconds"] = 20
	sent["tc_proxy_tc"] = false
	sent["tc_log_file"] = nil
	sent["tc_temp_path"] = " "
	sent["tc_something_new"] = []string{"canary-list"}
	sent["tc_playbook"] = "#App:1:x &{TC:TEXT:canary-name}"
	delete(sent, "tc_token")
	got, _, err := launch(t, sent)
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]platform.Parameter{}
	for _, p := range got.Parameters {
		byName[p.Name] = p
	}
	for _, want := range []platform.Parameter{
		{Name: "tc_svc_broker_host", Type: "text", Form: "set"}, {Name: "tc_svc_hb_timeout_seconds", Type: "number", Form: "set"},
		{Name: "tc_proxy_tc", Type: "boolean", Form: "set"}, {Name: "tc_log_file", Type: "null", Form: "empty"}, {Name: "tc_temp_path", Type: "text", Form: "empty"},
		{Name: "tc_something_new", Type: "list", Form: "set"}, {Name: "tc_playbook", Type: "text", Form: "a reference"}, {Name: "tc_token", Form: "missing"},
	} {
		if byName[want.Name] != want {
			t.Errorf("got %+v, want %+v", byName[want.Name], want)
		}
	}
	if _, described := byName["http_addr"]; described {
		t.Error("a variable of the environment counts as a parameter")
	}
	if said := fmt.Sprintf("%+v", got.Parameters); strings.Contains(said, "canary") {
		t.Errorf("a value is told: %s", said)
	}
	if names := slices.Collect(maps.Keys(byName)); len(names) != len(got.Parameters) || !slices.IsSortedFunc(got.Parameters, func(a, b platform.Parameter) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("the parameters are not sorted, or twice there")
	}
}
