package main

import (
	"strings"
)

// The versions of the APIs by which Azure makes each thing.
const (
	savedSearchAPI = "2020-08-01"
	ruleAPI        = "2023-11-01"
	workbookAPI    = "2022-04-01"
)

// deployment is a template of Azure Resource Manager.
type deployment struct {
	Schema         string           `json:"$schema"`
	ContentVersion string           `json:"contentVersion"`
	Parameters     map[string]any   `json:"parameters"`
	Variables      map[string]any   `json:"variables"`
	Resources      []map[string]any `json:"resources"`
}

func (s sources) makeTemplate() deployment {
	d := deployment{
		Schema:         "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
		ContentVersion: "1.0.0.0",
		Parameters: map[string]any{
			"workspace": map[string]any{
				"type": "string", "minLength": 1,
				"metadata": map[string]string{"description": "Name of the Log Analytics workspace that Microsoft Sentinel works on, in the resource group that is chosen above."},
			},
			"enableRules": map[string]any{
				"type": "bool", "defaultValue": true,
				"metadata": map[string]string{"description": "Whether the analytic rules run from the start."},
			},
		},
		Variables: map[string]any{
			"workspaceId": "[resourceId('Microsoft.OperationalInsights/workspaces', parameters('workspace'))]",
		},
	}
	for _, f := range s.functions {
		d.Resources = append(d.Resources, f.resource())
	}
	for _, h := range s.hunting {
		d.Resources = append(d.Resources, h.huntingResource())
	}
	for _, r := range s.rules {
		d.Resources = append(d.Resources, r.ruleResource())
	}
	for _, w := range s.workbooks {
		d.Resources = append(d.Resources, w.resource())
	}
	return d
}

func (f function) resource() map[string]any {
	return map[string]any{
		"type": "Microsoft.OperationalInsights/workspaces/savedSearches", "apiVersion": savedSearchAPI,
		"name": "[concat(parameters('workspace'), '/" + f.ID + "')]",
		"properties": map[string]any{
			"category": f.Category, "displayName": f.Function.Title, "query": literal(f.Query),
			"functionAlias": f.Alias, "functionParameters": "", "version": 2,
			"tags": []map[string]string{{"name": "description", "value": literal(flow(f.Description))}},
		},
	}
}

func (r rule) huntingResource() map[string]any {
	return map[string]any{
		"type": "Microsoft.OperationalInsights/workspaces/savedSearches", "apiVersion": savedSearchAPI,
		"name": "[concat(parameters('workspace'), '/" + r.ID + "')]",
		"properties": map[string]any{
			"category": "Hunting Queries", "displayName": literal(r.Name), "query": literal(r.Query), "version": 2,
			"tags": []map[string]string{
				{"name": "description", "value": literal(flow(r.Description))},
				{"name": "tactics", "value": strings.Join(r.Tactics, ",")},
				{"name": "techniques", "value": strings.Join(r.Techniques, ",")},
			},
		},
	}
}

func (r rule) ruleResource() map[string]any {
	return map[string]any{
		"type": "Microsoft.OperationalInsights/workspaces/providers/alertRules", "apiVersion": ruleAPI,
		"name": "[concat(parameters('workspace'), '/Microsoft.SecurityInsights/" + r.ID + "')]",
		"kind": r.Kind,
		"properties": map[string]any{
			"displayName": literal(r.Name), "description": literal(flow(r.Description)), "severity": r.Severity,
			"enabled": "[parameters('enableRules')]", "query": literal(r.Query),
			"queryFrequency": duration(r.QueryFrequency), "queryPeriod": duration(r.QueryPeriod),
			"triggerOperator": operators[r.TriggerOperator], "triggerThreshold": r.TriggerThreshold,
			"suppressionEnabled": false, "suppressionDuration": "PT5H",
			"tactics": r.Tactics, "techniques": r.Techniques,
			"entityMappings": r.EntityMappings, "customDetails": r.CustomDetails,
			"alertDetailsOverride": r.AlertDetails, "eventGroupingSettings": r.EventGrouping,
		},
	}
}

func (w workbook) resource() map[string]any {
	return map[string]any{
		"type": "Microsoft.Insights/workbooks", "apiVersion": workbookAPI, "kind": "shared",
		"name":     "[guid(variables('workspaceId'), '" + w.file + "')]",
		"location": "[resourceGroup().location]",
		"properties": map[string]any{
			"displayName": "ThreatConnect indicators", "category": "sentinel", "version": "1.0",
			"serializedData": literal(w.text), "sourceId": "[variables('workspaceId')]",
		},
	}
}

var operators = map[string]string{"gt": "GreaterThan", "lt": "LessThan", "eq": "Equal", "ne": "NotEqual"}

// literal keeps a text from being taken for an expression of the template.
func literal(s string) string {
	if strings.HasPrefix(s, "[") {
		return "[" + s
	}
	return s
}

// duration writes 1h or 14d as ISO 8601 does.
func duration(s string) string {
	upper := strings.ToUpper(s)
	if strings.HasSuffix(upper, "D") {
		return "P" + upper
	}
	return "PT" + upper
}
