package stories

import "mssentinel/templates"

func tellContent() []Story {
	file := func(name string, size int64) templates.ContentFile {
		return templates.ContentFile{URL: "../api/content?file=" + name, Name: "threatconnect-" + name, Size: size}
	}
	page := templates.ContentPage{
		Frame: newFrame("Content", "report"), Template: file("template.json", 60_229),
		Groups: []templates.ContentGroup{
			{ID: "kind-rule", Title: "Analytic rules", Text: "Scheduled rules that raise an alert where an event matches.", Items: []templates.ContentItem{
				{ContentFile: file("Address.yaml", 4_821), Title: "ThreatConnect: traffic, sign-in or mail of an address", Severity: "Medium",
					Description: "Finds addresses of ThreatConnect, IPv4 and IPv6, in network traffic of devices and firewalls, in sign-ins and as senders of mail.",
					Tables:      []string{"DeviceNetworkEvents", "EmailEvents", "CommonSecurityLog", "SigninLogs"},
					Cost:        "Runs every hour, over 14 days of indicators and one hour of events. At most 150 alerts a run."},
				{ContentFile: file("FileHash.yaml", 4_592), Title: "ThreatConnect: file with a known hash", Severity: "High",
					Description: "Finds files of ThreatConnect by MD5, SHA-1 and SHA-256, on devices, in processes, attached to mail and at firewalls.",
					Tables:      []string{"DeviceFileEvents", "DeviceProcessEvents", "EmailAttachmentInfo", "CommonSecurityLog"},
					Cost:        "Runs every hour, over 14 days of indicators and one hour of events. At most 150 alerts a run."},
			}},
			{ID: "kind-function", Title: "Function", Text: "For queries of your own.", Items: []templates.ContentItem{
				{ContentFile: file("ThreatConnectIndicators.yaml", 2_301), Title: "ThreatConnectIndicators",
					Description: "Gives the newest version of each object of ThreatConnect that is valid now, with what its description says in columns.",
					Cost:        "Reads 14 days of indicators each time that a query calls it."},
			}},
		},
	}
	return []Story{{"content", Full, "what Microsoft Sentinel can do with the indicators, for download", templates.Content(page)}}
}
