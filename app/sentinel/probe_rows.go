package sentinel

// ProbeRowsQuery is KQL to be pasted where the application may not read: the rows of the last day of the doctor's source
// system, with what its questions are about, the newest first. It stands on one line, and is not sent.
func ProbeRowsQuery(source string) string {
	return "ThreatIntelIndicators | where TimeGenerated > ago(1d) and SourceSystem == " + quoteKQL(source) +
		" | project TimeGenerated, Name = tostring(Data.name), Pattern, ObservableKey, ObservableValue, LastUpdateMethod, Tags," +
		" Confidence, Modified, Revoked, IsActive, Labels = array_length(Data.labels), Description = strlen(tostring(Data.description))" +
		" | sort by TimeGenerated desc"
}
