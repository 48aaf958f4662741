package content_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"mssentinel/app/standin/sentinelserver"
)

// For each type, in which columns of the row its value arrives, whatever is not known of a conjunction and of escapes.
func TestColumnsOfEachType(t *testing.T) {
	const registry = "Registry Key"
	undone := strings.NewReplacer(`\'`, `'`, `\\`, `\`)
	for _, u := range []sentinelserver.Unknowns{
		{}, {AndComparison: sentinelserver.FirstComparison}, {AndComparison: sentinelserver.LastComparison, EscapesUndone: true},
	} {
		t.Run(fmt.Sprintf("AND %q, escapes undone %v", u.AndComparison, u.EscapesUndone), func(t *testing.T) {
			t.Parallel()
			_, rows := workspaceOf(t, u)
			for kind, want := range kinds {
				key, value := want.key, want.value
				if kind == registry {
					switch u.AndComparison {
					case sentinelserver.FirstComparison:
						key, value = "windows-registry-key:key", `HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services\\Bad1`
					case sentinelserver.LastComparison:
						key, value = "windows-registry-key:values[*].data_type", "REG_DWORD"
					}
				}
				if u.EscapesUndone {
					value = undone.Replace(value)
				}
				object := objectOf(t, kind, standing, time.Now(), nil)
				found := rowsOf(rows, object["id"].(string))
				if len(found) != 2 {
					t.Errorf("%s: %d rows, want one for each upload", kind, len(found))
					continue
				}
				row := found[1]
				if row["ObservableKey"] != key || row["ObservableValue"] != value || row["Pattern"] != object["pattern"] || row["Type"] != "ThreatIntelIndicators" {
					t.Errorf("%s: %v = %v of %v, want %s = %s", kind, row["ObservableKey"], row["ObservableValue"], row["Pattern"], key, value)
				}
				if row["Confidence"] != 77.0 || row["IsActive"] != true || row["SourceSystem"] != source {
					t.Errorf("%s: %v", kind, row)
				}
			}
		})
	}
}

// Indicators come into one table, and what the App does not send into the other.
func TestTablesOfEachType(t *testing.T) {
	t.Parallel()
	far, rows := workspaceOf(t, sentinelserver.Unknowns{})
	if len(rows) == 0 || len(far.ObjectRows()) != 0 {
		t.Fatalf("%d and %d rows", len(rows), len(far.ObjectRows()))
	}
	upload(t, far, source, []map[string]any{{
		"type": "identity", "spec_version": "2.1", "id": "identity--00000000-0000-4000-8000-000000000001", "name": owner,
		"created": "2026-01-02T03:04:05.000Z", "modified": "2026-01-02T03:04:05.000Z",
	}})
	objects := far.ObjectRows()
	if len(objects) != 1 || objects[0].StixType != "identity" || objects[0].Type != "ThreatIntelObjects" || len(far.Rows()) != len(rows) {
		t.Errorf("%+v", objects)
	}
}

func rowsOf(rows table, id string) (found table) {
	for _, row := range rows {
		if strings.HasSuffix(row["Id"].(string), "---"+id) && row["SourceSystem"] == source {
			found = append(found, row)
		}
	}
	return found
}
