package sentinelserver

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Each switch in both positions: what is answered to one upload after another, and which rows there are then.
func TestUnknowns(t *testing.T) {
	past := []any{"valid_from", "1998-01-01T00:00:00Z", "valid_until", "1999-01-01T00:00:00Z"}
	withPattern := func(pattern string) []map[string]any { return []map[string]any{indicator(1, "pattern", pattern)} }
	labels := []map[string]any{indicator(1, "labels", []string{"one", "two", strings.Repeat("x", 9)})}
	long := strings.Repeat("😀", 600)
	older := [][]map[string]any{{indicator(1)}, {indicator(1, "name", "older", "created", "2025-01-01T00:00:00Z", "modified", "2025-01-01T00:00:00Z")}}
	two := [][]map[string]any{{indicator(1), indicator(1, "name", "second")}}
	revoked := [][]map[string]any{{indicator(1, "revoked", true)}, {indicator(1, "revoked", false, "name", "back")}}
	bad := indicator(1, "pattern", nil)
	names := func(rows []Row) (said string) {
		for _, r := range rows {
			said += fmt.Sprint(r.Data["name"], " ")
		}
		return said
	}
	observables := func(rows []Row) (said string) {
		for _, r := range rows {
			said += r.ObservableKey + "=" + r.ObservableValue + " "
		}
		return said
	}
	tests := map[string]struct {
		unknowns Unknowns
		uploads  [][]map[string]any
		said     func([]Row) string
		want     string // statuses, whether the last body has record errors, and what is said of the rows
	}{
		"all invalid":            {Unknowns{}, [][]map[string]any{{bad}}, names, "400 errors: "},
		"all invalid 200":        {Unknowns{AllInvalidStatus: 200}, [][]map[string]any{{bad}}, names, "200 errors: "},
		"empty":                  {Unknowns{}, [][]map[string]any{{}}, names, "400: "},
		"empty 200":              {Unknowns{EmptyListStatus: 200}, [][]map[string]any{{}}, names, "200: "},
		"many":                   {Unknowns{}, [][]map[string]any{many(101)}, func(r []Row) string { return fmt.Sprint(len(r)) }, "400: 0"},
		"many 413":               {Unknowns{OverLimitStatus: 413}, [][]map[string]any{many(101)}, func(r []Row) string { return fmt.Sprint(len(r)) }, "413: 0"},
		"many 200":               {Unknowns{OverLimitStatus: 200}, [][]map[string]any{many(101)}, func(r []Row) string { return fmt.Sprint(len(r)) }, "200: 101"},
		"older":                  {Unknowns{}, older, names, "200 200: one older "},
		"older ignored":          {Unknowns{OlderModified: Ignored}, older, names, "200 200: one "},
		"older refused":          {Unknowns{OlderModified: Refused}, older, names, "200 400 errors: one "},
		"two versions":           {Unknowns{}, two, names, "200: one second "},
		"second ignored":         {Unknowns{SecondVersion: Ignored}, two, names, "200: one "},
		"second refused":         {Unknowns{SecondVersion: Refused}, two, names, "200 errors: one "},
		"last row alone":         {Unknowns{RowsOfLastAlone: true}, older, names, "200 200: older "},
		"unrevoked":              {Unknowns{}, revoked, names, "200 200: one back "},
		"unrevoked ignored":      {Unknowns{Unrevoked: Ignored}, revoked, names, "200 200: one "},
		"unrevoked refused":      {Unknowns{Unrevoked: Refused}, revoked, names, "200 400 errors: one "},
		"labels":                 {Unknowns{}, [][]map[string]any{labels}, labelCount, "200: 3"},
		"many labels":            {Unknowns{MaxLabels: 2}, [][]map[string]any{labels}, labelCount, "400 errors: "},
		"many labels ignored":    {Unknowns{MaxLabels: 1, ExtraLabels: Ignored}, [][]map[string]any{labels}, labelCount, "200: 1"},
		"a long label":           {Unknowns{MaxLabel: 8}, [][]map[string]any{labels}, labelCount, "400 errors: "},
		"a long label ignored":   {Unknowns{MaxLabel: 8, ExtraLabels: Ignored}, [][]map[string]any{labels}, labelCount, "200: 2"},
		"AND":                    {Unknowns{}, [][]map[string]any{withPattern("[a:b = 'x' AND c:d = 'y']")}, observables, "200: = "},
		"AND first":              {Unknowns{AndComparison: FirstComparison}, [][]map[string]any{withPattern("[a:b = 'x' AND c:d = 'y']")}, observables, "200: a:b=x "},
		"AND last":               {Unknowns{AndComparison: LastComparison}, [][]map[string]any{withPattern("[a:b = 'x' AND c:d = 'y']")}, observables, "200: c:d=y "},
		"OR":                     {Unknowns{}, [][]map[string]any{withPattern("[a:b = 'x' OR c:d = 'y']")}, observables, "200: a:b=x c:d=y "},
		"OR once":                {Unknowns{OneOfOr: true}, [][]map[string]any{withPattern("[a:b = 'x' OR c:d = 'y']")}, observables, "200: a:b=x "},
		"ISSUBSET":               {Unknowns{}, [][]map[string]any{withPattern("[a:b ISSUBSET 'x']")}, observables, "200: = "},
		"ISSUBSET extracted":     {Unknowns{EveryOperator: true}, [][]map[string]any{withPattern("[a:b ISSUBSET 'x']")}, observables, "200: a:b=x "},
		"escapes":                {Unknowns{}, [][]map[string]any{withPattern(`[a:b = 'x\'y\\z']`)}, observables, `200: a:b=x\'y\\z `},
		"escapes undone":         {Unknowns{EscapesUndone: true}, [][]map[string]any{withPattern(`[a:b = 'x\'y\\z']`)}, observables, `200: a:b=x'y\z `},
		"long pattern":           {Unknowns{}, [][]map[string]any{withPattern("[a:b = '" + strings.Repeat("x", 1200) + "']")}, lengths, "200: 1210 1200"},
		"long pattern cut":       {Unknowns{CutPatterns: true}, [][]map[string]any{withPattern("[a:b = '" + strings.Repeat("x", 1200) + "']")}, lengths, "200: 1000 1000"},
		"cut by characters":      {Unknowns{}, [][]map[string]any{{indicator(1, "description", long)}}, described, "200: 600"},
		"cut by UTF-16":          {Unknowns{Cut: CutUTF16}, [][]map[string]any{{indicator(1, "description", long)}}, described, "200: 500"},
		"cut by bytes":           {Unknowns{Cut: CutBytes}, [][]map[string]any{{indicator(1, "description", long)}}, described, "200: 250"},
		"method":                 {Unknowns{}, [][]map[string]any{{indicator(1)}}, func(r []Row) string { return r[0].LastUpdateMethod + r[0].Tags }, "200: UploadApi"},
		"other method":           {Unknowns{UpdateMethod: "x", TagsFromLabels: true}, [][]map[string]any{{indicator(1, "labels", []string{"a"})}}, func(r []Row) string { return r[0].LastUpdateMethod + r[0].Tags }, `200: x["a"]`},
		"expired":                {Unknowns{}, [][]map[string]any{{indicator(1, past...)}}, func(r []Row) string { return fmt.Sprint(r[0].IsActive) }, "200: false"},
		"expired active":         {Unknowns{ExpiredActive: true}, [][]map[string]any{{indicator(1, past...)}}, func(r []Row) string { return fmt.Sprint(r[0].IsActive) }, "200: true"},
		"expired without row":    {Unknowns{ExpiredNoRow: true}, [][]map[string]any{{indicator(1, past...)}}, names, "200: "},
		"data dropped":           {Unknowns{DataDropped: true}, [][]map[string]any{{indicator(1)}}, names, "200: <nil> "},
		"no version":             {Unknowns{}, [][]map[string]any{{indicator(1, "spec_version", nil, "confidence", 5, "indicator_types", []string{"a"})}}, versioned, "200: true true"},
		"no version is STIX 2.0": {Unknowns{MissingVersionIs2: true}, [][]map[string]any{{indicator(1, "spec_version", nil, "confidence", 5, "indicator_types", []string{"a"})}}, versioned, "200: false false"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(10000 * 24 * time.Hour) // to a time when the objects are valid
				o := testOptions()
				o.Unknowns = tt.unknowns
				s := New(o)
				got := ""
				for i, objects := range tt.uploads {
					w := (call{body: bodyOf(objects...)}).do(s)
					got += fmt.Sprint(" ", w.Code)
					if i == len(tt.uploads)-1 && strings.Contains(w.Body.String(), "recordIndex") {
						got += " errors"
					}
				}
				if got = strings.TrimSpace(got + ": " + tt.said(s.Rows())); got != strings.TrimSpace(tt.want) {
					t.Errorf("got  %s\nwant %s", got, tt.want)
				}
			})
		})
	}
	o := testOptions()
	o.ReservedAsWritten = true
	for sourceName, want := range map[string]int{"Microsoft Sentinel": http.StatusBadRequest, "microsoft sentinel": http.StatusOK} {
		body := strings.Replace(bodyOf(indicator(1)), source, sourceName, 1)
		if w := (call{body: body}).do(New(o)); w.Code != want {
			t.Errorf("as %s: %d", sourceName, w.Code)
		}
	}
}

func many(n int) []map[string]any {
	list := make([]map[string]any, n)
	for i := range list {
		list[i] = indicator(i)
	}
	return list
}

func labelCount(rows []Row) string {
	if len(rows) == 0 {
		return ""
	}
	return fmt.Sprint(len(rows[0].Data["labels"].([]any)))
}

func lengths(rows []Row) string {
	return fmt.Sprint(len(rows[0].Pattern), len(rows[0].ObservableValue))
}

func described(rows []Row) string {
	return fmt.Sprint(len([]rune(rows[0].Data["description"].(string))))
}

func versioned(rows []Row) string {
	return fmt.Sprint(rows[0].Confidence != nil, rows[0].Data["indicator_types"] != nil)
}
