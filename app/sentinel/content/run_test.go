package content_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mssentinel/app/standin/sentinelserver"
)

// Each rule and hunting query finds the events of the indicators that stand, and nothing else, over rows that the stand-in made
// of what the mappers made; and the function and the workbook count what stands. All by an engine that nobody here wrote, whatever
// is not known of the service.
func TestContentFindsWhatIsPlanted(t *testing.T) {
	t.Parallel()
	worlds, queries := map[string]map[string]table{}, map[string]map[string]string{"as assumed": allQueries(), "otherwise": allQueries()}
	maps.DeleteFunc(queries["otherwise"], func(name, _ string) bool { return !minded.MatchString(name) })
	for name, u := range map[string]sentinelserver.Unknowns{
		"as assumed": {},
		"otherwise": {AndComparison: sentinelserver.LastComparison, EscapesUndone: true, TagsFromLabels: true, ExpiredActive: true, Cut: sentinelserver.CutBytes,
			UpdateMethod: "ThreatIntelUploadAPI"},
	} {
		worlds[name] = plantEvents(time.Now().UTC())
		_, worlds[name]["ThreatIntelIndicators"] = workspaceOf(t, u)
	}
	want := wantedFinds()
	for world, said := range runQueries(t, worlds, queries) {
		for name, rows := range said {
			file, title, _ := strings.Cut(name, ": ")
			switch {
			case strings.HasPrefix(file, "rules/"):
				checkRule(t, world+", "+file, rows, want[strings.TrimSuffix(strings.TrimPrefix(file, "rules/"), ".yaml")])
			case strings.HasPrefix(file, "hunting/"):
				checkHunt(t, world+", "+file, rows, wantedHunts[strings.TrimSuffix(strings.TrimPrefix(file, "hunting/"), ".yaml")])
			case strings.HasPrefix(file, "functions/"):
				checkFunction(t, world+", "+file, rows)
			default:
				checkChart(t, world+", "+title, rows, title)
			}
		}
	}
}

// minded are the files whose queries read what differs in the other world: conjunctions, escapes and ends.
var minded = regexp.MustCompile(`^(functions/|rules/(Address|EmailSender|EmailSubject|RegistryKey|URL)\.)`)

// plantEvents makes events of each number for each sight, one within the hour that rules look at and one before it.
func plantEvents(now time.Time) map[string]table {
	tables := map[string]table{}
	add := func(name string, row map[string]any, ago time.Duration) {
		row["TimeGenerated"] = now.Add(-ago).Format(time.RFC3339Nano)
		tables[name] = append(tables[name], row)
	}
	for _, s := range sights {
		for n := standing; n <= unknown; n++ {
			add(s.table, s.row(n), 10*time.Minute)
			add(s.table, s.row(n), 3*time.Hour)
		}
	}
	for _, s := range nearMisses {
		for _, n := range append(s.numbers, map[bool][]int{true: {1}}[s.numbers == nil]...) {
			add(s.table, s.row(n), 10*time.Minute)
		}
	}
	for n := standing; n <= unknown; n++ {
		add("SigninLogs", map[string]any{"UserPrincipalName": "someone@corp.example", "AutonomousSystemNumber": fmt.Sprintf("6450%d", n)}, 3*24*time.Hour)
		add("DnsEvents", map[string]any{"Name": fmt.Sprintf("x.y.bad%d.example", n)}, 3*time.Hour)
	}
	add("DeviceNetworkEvents", map[string]any{"RemoteIP": "192.0.2.101", "DeviceName": "pc"}, 5*24*time.Hour)
	for i, name := range []string{"ThreatConnect: traffic of 192.0.2.1", "ThreatConnect: traffic of 192.0.2.1", "Something else"} {
		add("SecurityAlert", map[string]any{"SystemAlertId": fmt.Sprint(i), "AlertName": name, "AlertSeverity": "Medium"}, time.Hour)
		add("SecurityAlert", map[string]any{"SystemAlertId": fmt.Sprint(i), "AlertName": name, "AlertSeverity": "Medium"}, 2*time.Hour)
	}
	return tables
}

// wantedFinds are the tables and indicators that each rule has to find, one for each sight.
func wantedFinds() map[string][]string {
	want := map[string]map[string]bool{}
	for _, s := range sights {
		if want[s.rule] == nil {
			want[s.rule] = map[string]bool{}
		}
		want[s.rule][s.table+" "+s.found] = true
	}
	lists := map[string][]string{}
	for rule, found := range want {
		lists[rule] = slices.Sorted(maps.Keys(found))
	}
	return lists
}

func checkRule(t *testing.T, name string, rows table, want []string) {
	t.Helper()
	found := map[string]bool{}
	events := 0.0
	for _, row := range rows {
		found[fmt.Sprintf("%s %s", row["EventTable"], row["Indicator"])] = true
		events += row["Events"].(float64)
		if row["Owner"] != owner || row["Confidence"] != 77.0 || row["Link"] != "https://tc.example/7" {
			t.Errorf("%s: %v", name, row)
		}
		if at, err := time.Parse(time.RFC3339, row["FirstSeen"].(string)); err != nil || time.Since(at) > time.Hour {
			t.Errorf("%s finds an event outside of its hour: %v", name, row)
		}
	}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(found))); diff != "" {
		t.Errorf("%s: what was planted, and what is found: %s", name, diff)
	}
	planted := 0.0
	for _, s := range sights {
		if strings.HasSuffix(name, "/"+s.rule+".yaml") {
			planted++
		}
	}
	if events != planted {
		t.Errorf("%s finds %v events of %v", name, events, planted)
	}
}

// wantedHunts are the indicators that each hunting query has to find.
var wantedHunts = map[string][]string{
	"SignInsByASN":              {"ASN64501"},
	"NamesBelowHost":            {"bad1.example"},
	"PastTrafficOfNewAddresses": {"192.0.2.101"},
	"IndicatorsOfMuchTraffic":   {"192.0.2.1"},
}

func checkHunt(t *testing.T, name string, rows table, want []string) {
	t.Helper()
	found := map[string]bool{}
	for _, row := range rows {
		found[row["Indicator"].(string)] = true
	}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(found))); diff != "" {
		t.Errorf("%s: %s", name, diff)
	}
}

// checkFunction compares what the function says with what the indicators say.
func checkFunction(t *testing.T, name string, rows table) {
	t.Helper()
	if len(rows) != len(kinds)+1 {
		t.Errorf("%s gives %d objects, want %d", name, len(rows), len(kinds)+1)
	}
	for _, row := range rows {
		if row["Owner"] != owner || row["Rating"] != 4.0 || row["ThreatAssessScore"] != 548.0 || row["Link"] != "https://tc.example/7" ||
			!strings.Contains(fmt.Sprint(row["Groups"]), "Bad Panda") || row["SourceSystem"] != source || strings.Contains(fmt.Sprint(row["Value"]), `\'`) {
			t.Errorf("%s: %v", name, row)
		}
	}
}

// checkChart adds up what a chart of the workbook shows.
func checkChart(t *testing.T, name string, rows table, title string) {
	t.Helper()
	sum := map[string]float64{}
	for _, row := range rows {
		for column, value := range row {
			if n, ok := value.(float64); ok {
				sum[column] += n
			}
		}
	}
	stands := float64(len(kinds) + 1)
	perNumber := float64(len(kinds))
	switch title {
	case "By type", "By owner", "By source", "By age", "By confidence":
		if sum["Indicators"] != stands {
			t.Errorf("%s: %v, want %v", name, rows, stands)
		}
	case "Lapses within a week":
		if len(rows) != 0 {
			t.Errorf("%s: %v", name, rows)
		}
	case "Alerts of the rules over time", "Alerts by indicator":
		if sum["Alerts"] != 2 {
			t.Errorf("%s: %v", name, rows)
		}
	case "Freshness by source":
		if len(rows) != 1 || rows[0]["SourceSystem"] != source || sum["HoursOld"] > 1 {
			t.Errorf("%s: %v", name, rows)
		}
	case "Rows by day":
		if want := 10*perNumber + 1; sum["Rows"] != want || sum["MB"] < want*0.0019 {
			t.Errorf("%s: %v rows of %v", name, sum, want)
		}
	default:
		t.Errorf("nobody says what %s shows: %v", name, rows)
	}
}
