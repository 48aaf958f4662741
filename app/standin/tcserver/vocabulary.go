package tcserver

// The words of generated rows. All names of families and groups are made up.

var generatedOwners = []owner{
	{1201, "Demo Organization"}, {2305, "Example Sharing Community"}, {10410, "Open Feeds Collection"},
	{10522, "Published Reports"}, {10637, "Mail Abuse Watch"},
}

var familyFirst = []string{
	"Amber", "Brass", "Cobalt", "Drift", "Ember", "Fable", "Glass", "Hollow", "Iron", "Jade", "Kelp", "Lunar", "Marble", "Night",
	"Opal", "Paper", "Quartz", "Rust", "Silver", "Tidal", "Umber", "Velvet", "Willow", "Xenon", "Yarrow", "Zinc",
}

var familySecond = []string{
	"Heron", "Loader", "Lynx", "Moth", "Otter", "Stealer", "Botnet", "Ransomware", "RAT", "Sparrow", "Viper", "Trojan", "Wasp",
}

var plainTags = []string{
	"Malicious Infrastructure", "Phishing", "Spearphishing", "Ransomware", "Botnet", "Trojan", "Credential Theft", "Banking",
	"C2 Server", "Scanner", "Brute Force", "Newly Registered", "Dropper", "Crypto Mining", "Blog Post", "OSINT", "VPN exit",
	"Malware", "Web Shell", "Fake Shop", "Sector: Energy", "Sector: Finance", "Región: América", "検体", "Ops \"Nightfall\"",
	"reviewed", "TweetFeed",
}

type technique struct{ id, name, platforms, tactics string }

var techniques = []technique{
	{"T1566", "Phishing", "Linux,macOS,Windows", "Initial Access"},
	{"T1566.001", "Phishing: Spearphishing Attachment", "Linux,macOS,Windows", "Initial Access"},
	{"T1055.005", "Process Injection: Thread Local Storage", "Windows", "Defense Evasion,Privilege Escalation"},
	{"T1105", "Ingress Tool Transfer", "Linux,macOS,Windows", "Command and Control"},
	{"T1090.003", "Proxy: Multi-hop Proxy", "Linux,macOS,Windows", "Command and Control"},
	{"T1110", "Brute Force", "Linux,macOS,Windows,Office 365,SaaS", "Credential Access"},
	{"T1595", "Active Scanning", "PRE", "Reconnaissance"},
	{"T1005", "Data from Local System", "Linux,macOS,Windows", "Collection"},
	{"T1657", "Financial Theft", "Linux,macOS,Windows,SaaS", "Impact"},
	{"T1547.001", "Boot or Logon Autostart Execution: Registry Run Keys / Startup Folder", "Windows", "Persistence,Privilege Escalation"},
	{"T1071.001", "Application Layer Protocol: Web Protocols", "Linux,macOS,Windows", "Command and Control"},
}

type label struct{ name, description, color, owner, added string }

var labels = []label{
	{"TLP:WHITE", "May be passed on without limit.", "FFFFFF", "System", "2016-08-31T00:00:00Z"},
	{"TLP:CLEAR", "May be passed on without limit.", "FFFFFF", "System", "2023-03-02T00:00:00Z"},
	{"TLP:GREEN", "For the community alone.", "33FF00", "System", "2016-08-31T00:00:00Z"},
	{"TLP:AMBER", "For the organization and its clients.", "FFC000", "System", "2016-08-31T00:00:00Z"},
	{"TLP:AMBER+STRICT", "For the organization alone.", "FFC000", "System", "2023-03-02T00:00:00Z"},
	{"TLP:RED", "For the recipient alone.", "FF0033", "System", "2016-08-31T00:00:00Z"},
	{"Demo Internal", "Not for sharing.", "7F7F7F", "Demo Organization", "2022-05-04T08:00:00Z"},
}

var phases = []string{
	"Reconnaissance", "Weaponization", "Delivery", "Exploitation", "Installation", "C2", "Actions on Objectives",
	"C2 (Command & Control)", "Command and Control", "delivery", "Not yet known",
}

// groupTypes with the page that shows them and the members that only they have.
var groupTypes = []struct{ name, page, extra string }{
	{"Malware", "malware", ""},
	{"Report", "report", `,"status":"Success","fileName":"report.pdf","publishDate":"2024-02-03T00:00:00Z"`},
	{"Campaign", "campaign", `,"firstSeen":"2024-01-08T00:00:00Z"`},
	{"Adversary", "adversary", ""},
	{"Incident", "incident", `,"status":"New","eventDate":"2024-03-05T10:00:00Z"`},
	{"Intrusion Set", "intrusionset", ""},
	{"Threat", "threat", ""},
	{"Document", "document", `,"status":"Success","fileName":"summary.docx"`},
	{"Event", "event", `,"status":"Needs Review","eventDate":"2024-03-05T10:00:00Z"`},
}

var hostWords = []string{
	"login", "secure", "update", "portal", "mail", "cdn", "billing", "account", "verify", "files", "static", "api", "img", "vpn",
	"docs", "support", "cloud", "sync", "gate", "node",
}

// hostEnds lie in the names that are reserved for examples and tests.
var hostEnds = []string{".example", ".test", ".invalid", ".example.com", ".example.net", ".example.org"}

var urlPaths = []string{"/", "/login", "/wp-content/", "/update.php", "/download/setup.exe", "/gate", "/index.html", "/a/b/c", "/doc/view"}

var subjects = []string{
	"Invoice overdue", "Your parcel is waiting", "Password expires today", "RE: contract", "Rechnung fällig", "Votre colis",
	"請求書", "Payment advice \"urgent\"", "Voicemail from +1 555 0100", "Shared document",
}

var registryKeys = []string{
	`HKEY_LOCAL_MACHINE\Software\Microsoft\Windows\CurrentVersion\Run`, `HKEY_CURRENT_USER\Software\Microsoft\Windows\CurrentVersion\RunOnce`,
	`HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\drift`, `HKEY_CLASSES_ROOT\CLSID\{00000000-0000-4000-8000-000000000000}\InprocServer32`,
}

var valueTypes = []string{"REG_SZ", "REG_DWORD", "REG_BINARY", "REG_EXPAND_SZ", "REG_MULTI_SZ", "REG_QWORD", "REG_NONE"}
