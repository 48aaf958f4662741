package tcserver

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"mssentinel/app/standin/tcserver/tql"
)

// getIndicatorTypes answers GET /v2/types/indicatorTypes, app/docs/threatconnect.md#types.
func (s *Server) getIndicatorTypes(_ *http.Request, p parameters, _ *Request) (answer, error) {
	rows := []map[string]any{}
	for _, t := range types {
		row := map[string]any{
			"name": t.name, "custom": strconv.FormatBool(t.custom), "parsable": strconv.FormatBool(!t.custom),
			"apiBranch": t.branch, "apiEntity": t.entity, "casePreference": t.casePreference,
		}
		keys := map[string]string{}
		for i, member := range t.members {
			label := member
			if t.labels != nil {
				label = t.labels[i]
			}
			keys["key"+strconv.Itoa(i+1)] = member
			if i < 2 || p.isTrue("includeAdditional") {
				row["value"+strconv.Itoa(i+1)+"Label"] = label
				row["value"+strconv.Itoa(i+1)+"Type"] = "text"
			}
		}
		if p.isTrue("includeAdditional") {
			row["keys"] = keys
		}
		rows = append(rows, row)
	}
	return successV2(map[string]any{"resultCount": len(rows), "indicatorType": rows})
}

// getAttributeTypes answers GET /v3/attributeTypes.
func (s *Server) getAttributeTypes(r *http.Request, p parameters, _ *Request) (answer, error) {
	rows := []map[string]any{}
	for i, name := range []string{"Description", "Source", "Phase of Intrusion", "First Seen", "Last Seen", "Additional Analysis and Context"} {
		row := map[string]any{
			"id": i + 1, "name": name, "description": name + " of an indicator", "maxSize": 65535, "allowMarkdown": name == "Description",
			"errorMessage": "Please enter a valid " + name + ".",
		}
		if name == "Phase of Intrusion" {
			row["validationRule"] = map[string]any{
				"id": 7, "name": name, "type": "SelectOne", "description": name, "version": "1.0", "text": strings.Join(phases[:7], ";") + ";",
			}
		}
		rows = append(rows, row)
	}
	w, err := s.cutPage(r, p, len(rows))
	if err != nil {
		return answer{}, err
	}
	return listAnswer(rows[w.start:w.end], w, len(rows)), nil
}

// getFieldOptions answers OPTIONS /v3/indicators/fields.
func (s *Server) getFieldOptions(*http.Request, parameters, *Request) (answer, error) {
	rows := []map[string]any{}
	for _, name := range fieldNames {
		rows = append(rows, map[string]any{"name": name, "description": "Adds " + name, "includedByDefault": false})
	}
	return listAnswer(rows, window{}, len(rows)), nil
}

// getTQLOptions answers OPTIONS /v3/indicators/tql.
func (s *Server) getTQLOptions(*http.Request, parameters, *Request) (answer, error) {
	return describeKeywords(indicatorKeywords()), nil
}

// getOwnerTQLOptions answers OPTIONS /v3/security/owners/tql.
func (s *Server) getOwnerTQLOptions(*http.Request, parameters, *Request) (answer, error) {
	return describeKeywords(ownerKeywords()), nil
}

func describeKeywords[T any](keywords []tql.Field[T]) answer {
	rows := []map[string]any{}
	for _, f := range keywords {
		typ := string(f.Type)
		switch {
		case f.Nested:
			typ = "Undefined"
		case f.Type == tql.Decimal:
			typ = string(tql.Integer) // as ThreatConnect calls the rating
		}
		rows = append(rows, map[string]any{"keyword": f.Name, "name": f.Name, "type": typ})
	}
	slices.SortFunc(rows, func(a, b map[string]any) int { return strings.Compare(a["keyword"].(string), b["keyword"].(string)) })
	return listAnswer(rows, window{}, len(rows))
}

// memberTypes are the types of the members that hold no text.
var memberTypes = map[string]string{
	"id": "Integer", "ownerId": "Integer", "dateAdded": "DateTime", "lastModified": "DateTime", "rating": "BigDecimal",
	"confidence": "Integer", "active": "Boolean", "activeLocked": "Boolean", "privateFlag": "Boolean",
}

// getIndicatorOptions answers OPTIONS /v3/indicators: the members of an indicator by name.
func (s *Server) getIndicatorOptions(_ *http.Request, p parameters, _ *Request) (answer, error) {
	all := map[string]any{}
	add := func(name string, readOnly bool, appliesTo ...string) {
		if readOnly && !strings.EqualFold(p.firstValue("show"), "readOnly") {
			return
		}
		typ, ok := memberTypes[name]
		if !ok {
			typ = "String"
		}
		row := map[string]any{"type": typ, "required": name == "type", "readOnly": readOnly, "updatable": !readOnly}
		if appliesTo != nil {
			row["appliesTo"] = appliesTo
		}
		all[name] = row
	}
	for _, name := range strings.Fields("id ownerId dateAdded lastModified summary webLink legacyLink") {
		add(name, true)
	}
	for _, name := range strings.Fields("ownerName type rating confidence active activeLocked privateFlag") {
		add(name, false)
	}
	for _, t := range types {
		for _, member := range t.members {
			add(member, false, t.name)
		}
	}
	for _, name := range []string{"tags", "attributes", "securityLabels", "associatedGroups", "associatedIndicators"} {
		all[name] = map[string]any{"data": []any{map[string]any{"type": "Object", "required": false, "readOnly": false, "updatable": true}}}
	}
	return jsonAnswer(http.StatusOK, all), nil
}
