package sentinelserver

import (
	"encoding/base64"
	"encoding/json"
	"time"

	"github.com/tidwall/gjson"
)

// Row is one row of the table ThreatIntelIndicators, under the names of its columns, app/docs/sentinel.md#tables.
type Row struct {
	TimeGenerated    time.Time      `json:"TimeGenerated"`
	ID               string         `json:"Id"` // base64(source) + "---" + STIX id
	WorkspaceID      string         `json:"WorkspaceId"`
	SourceSystem     string         `json:"SourceSystem"`
	LastUpdateMethod string         `json:"LastUpdateMethod"`
	Pattern          string         `json:"Pattern"`
	ObservableKey    string         `json:"ObservableKey"`
	ObservableValue  string         `json:"ObservableValue"`
	Confidence       *int           `json:"Confidence"`
	Created          *time.Time     `json:"Created"`
	Modified         *time.Time     `json:"Modified"`
	ValidFrom        *time.Time     `json:"ValidFrom"`
	ValidUntil       *time.Time     `json:"ValidUntil"`
	Revoked          bool           `json:"Revoked"`
	IsActive         bool           `json:"IsActive"`
	IsDeleted        bool           `json:"IsDeleted"`
	Tags             string         `json:"Tags"`
	AdditionalFields map[string]any `json:"AdditionalFields"`
	Data             map[string]any `json:"Data"`
	Type             string         `json:"Type"`
}

// ObjectRow is one row of the table ThreatIntelObjects, where everything but indicators goes.
type ObjectRow struct {
	TimeGenerated    time.Time      `json:"TimeGenerated"`
	ID               string         `json:"Id"`
	WorkspaceID      string         `json:"WorkspaceId"`
	SourceSystem     string         `json:"SourceSystem"`
	LastUpdateMethod string         `json:"LastUpdateMethod"`
	StixType         string         `json:"StixType"`
	IsDeleted        bool           `json:"IsDeleted"`
	AdditionalFields map[string]any `json:"AdditionalFields"`
	Data             map[string]any `json:"Data"`
	Type             string         `json:"Type"`
}

// maxData is where the table cuts the description and pattern in Data, in characters, app/docs/sentinel.md#cut-texts.
const maxData = 1000

// tlp are the only marking definitions that Sentinel understands, app/docs/sentinel.md#markings.
var tlp = map[string]string{
	"marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9": "white",
	"marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da": "green",
	"marking-definition--f88d31f6-486f-44da-b317-01333bde0b82": "amber",
	"marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed": "red",
}

// columned members have a column of their own and are left out of Data.
var columned = []string{"created", "modified", "confidence", "revoked", "valid_from", "valid_until"}

// Rows returns the table ThreatIntelIndicators in the order of upload: a row for every version of every observable,
// or of the current versions alone when only those are kept.
func (s *Server) Rows() []Row {
	var rows []Row
	for _, v := range s.table.storedVersions() {
		if v.kind == "indicator" {
			rows = append(rows, v.makeRows()...)
		}
	}
	return rows
}

// ObjectRows returns the table ThreatIntelObjects.
func (s *Server) ObjectRows() []ObjectRow {
	var rows []ObjectRow
	for _, v := range s.table.storedVersions() {
		if v.kind != "indicator" {
			rows = append(rows, ObjectRow{
				TimeGenerated: v.at, ID: v.rowID(), WorkspaceID: v.workspace, SourceSystem: v.source, StixType: v.kind,
				LastUpdateMethod: v.method, AdditionalFields: v.additionalFields(), Data: v.dataColumn(), Type: "ThreatIntelObjects",
			})
		}
	}
	return rows
}

func (v version) rowID() string {
	return base64.StdEncoding.EncodeToString([]byte(v.source)) + "---" + v.id
}

// makeRows makes one row for every comparison that can be extracted, or one without an observable.
func (v version) makeRows() []Row {
	u := v.unknowns
	o := gjson.Parse(v.raw)
	row := Row{
		TimeGenerated: v.at, ID: v.rowID(), WorkspaceID: v.workspace, SourceSystem: v.source, LastUpdateMethod: v.method,
		Pattern: o.Get("pattern").Str, Created: timeOf(o, "created"), Modified: timeOf(o, "modified"),
		ValidFrom: timeOf(o, "valid_from"), ValidUntil: timeOf(o, "valid_until"), Revoked: o.Get("revoked").Bool(),
		IsDeleted:        v.deleted,
		AdditionalFields: v.additionalFields(), Data: v.dataColumn(), Type: "ThreatIntelIndicators",
	}
	isVersion2 := u.MissingVersionIs2 && !o.Get("spec_version").Exists()
	if c := o.Get("confidence"); c.Type == gjson.Number && !isVersion2 {
		n := int(c.Int())
		row.Confidence = &n
	}
	if u.CutPatterns {
		row.Pattern = u.cutText(row.Pattern)
	}
	if u.TagsFromLabels {
		row.Tags = o.Get("labels").Raw
	}
	came := v.at.Add(v.back)
	isValid := (row.ValidUntil == nil || came.Before(*row.ValidUntil)) && (row.ValidFrom == nil || !came.Before(*row.ValidFrom))
	row.IsActive = !row.Revoked && !v.deleted && (isValid || u.ExpiredActive)
	var rows []Row
	if o.Get("pattern_type").Str == "stix" {
		for _, c := range u.observables(o.Get("pattern").Str) {
			row.ObservableKey, row.ObservableValue = c.Path, c.Value
			rows = append(rows, row)
		}
	}
	if rows == nil {
		return []Row{row}
	}
	return rows
}

// dataColumn is the object without what has a column, without what is empty, and cut where Log Analytics cuts.
func (v version) dataColumn() map[string]any {
	u := v.unknowns
	if u.DataDropped {
		return nil
	}
	var data map[string]any
	json.Unmarshal([]byte(v.raw), &data) //nolint:errcheck // checked when it came in
	for _, name := range columned {
		delete(data, name)
	}
	if _, named := data["spec_version"]; u.MissingVersionIs2 && !named {
		delete(data, "indicator_types")
	}
	if v.method == "LogARepublisher" {
		delete(data, "external_references")
	}
	for name, value := range data {
		switch e := value.(type) {
		case nil:
			delete(data, name)
		case string:
			if e == "" {
				delete(data, name)
			}
		case []any:
			if len(e) == 0 {
				delete(data, name)
			}
		case map[string]any:
			if len(e) == 0 {
				delete(data, name)
			}
		}
	}
	for _, name := range []string{"description", "pattern"} {
		if s, ok := data[name].(string); ok {
			data[name] = u.cutText(s)
		}
	}
	return data
}

func (v version) additionalFields() map[string]any {
	fields := map[string]any{}
	for _, ref := range gjson.Get(v.raw, "object_marking_refs").Array() {
		if level := tlp[ref.Str]; level != "" {
			fields["TLPLevel"] = level
		}
	}
	return fields
}

func kindOf(raw string) string { return gjson.Get(raw, "type").Str }

func validUntil(raw string) (time.Time, bool) { return parseTime(gjson.Get(raw, "valid_until").Str) }

func timeOf(o gjson.Result, name string) *time.Time {
	t, ok := parseTime(o.Get(name).Str)
	if !ok {
		return nil
	}
	return &t
}
