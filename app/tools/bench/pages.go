package main

// page is something that a browser or a script asks for.
type page struct {
	name string
	// route is the route that answers, as app/web names it.
	route string
	// path is below the root of the Service; {…} stands for what finds says. It may have a query.
	path string
	// action is the button of Edit mode that the page is the answer to, by POST; "" for GET.
	action string
	// most bounds what the page weighs, in bytes; 0 for what the platform carries.
	most int
}

// mostEdit bounds Edit mode with 500 queries, mostPage what else is drawn, such as a window with 505 owners above them, in bytes.
const (
	mostEdit = 300_000
	mostPage = 400_000
)

// pages are all that can be asked for without changing anything. TestPagesAreMeasured holds them to the routes of app/web.
var pages = []page{
	{name: "CONFIGURE", route: "/ui/", path: "ui/", most: mostPage},
	{name: "CONFIGURE, preview", route: "/ui/preview", path: "ui/preview?id={query}", most: mostPage},
	{name: "CONFIGURE, export", route: "/ui/export", path: "ui/export"},
	{name: "HISTORY", route: "/ui/history", path: "ui/history", most: mostPage},
	{name: "HISTORY, a version", route: "/ui/history", path: "ui/history?version=1"},
	{name: "Edit", route: "/ui/edit", path: "ui/edit", most: mostEdit},
	{name: "Edit, Add", route: "/ui/edit", path: "ui/edit?window=add", most: mostPage},
	{name: "Edit, Import", route: "/ui/edit", path: "ui/edit?window=import", most: mostEdit},
	{name: "Edit, move", route: "/ui/edit", path: "ui/edit", action: "move", most: mostEdit},
	{name: "Edit, delete", route: "/ui/edit", path: "ui/edit", action: "delete", most: mostEdit},
	{name: "Edit, window Save", route: "/ui/edit", path: "ui/edit", action: "save", most: mostEdit},
	{name: "JOBS", route: "/ui/jobs", path: "ui/jobs", most: mostPage},
	{name: "JOBS, last page", route: "/ui/jobs", path: "ui/jobs?offset={lastjobs}", most: mostPage},
	{name: "JOBS, status", route: "/ui/jobs", path: "ui/jobs?status=Cancelled", most: mostPage},
	{name: "JOBS, kind and time", route: "/ui/jobs", path: "ui/jobs?kind=full&since=2020-01-01", most: mostPage},
	{name: "JOBS, request ID", route: "/ui/jobs", path: "ui/jobs?request_id=a", most: mostPage},
	{name: "JOBS, ad-hoc window", route: "/ui/jobs", path: "ui/jobs?ask=run", most: mostPage},
	{name: "JOBS, details of the running", route: "/ui/jobs", path: "ui/jobs?id={running}", most: mostPage},
	{name: "JOBS, details of a full one", route: "/ui/jobs", path: "ui/jobs?id={job}", most: mostPage},
	{name: "TASKS", route: "/ui/tasks", path: "ui/tasks", most: mostPage},
	{name: "VERIFY", route: "/ui/verify", path: "ui/verify", most: mostPage},
	{name: "STATUS", route: "/ui/status", path: "ui/status", most: mostPage},
	{name: "SETTINGS", route: "/ui/settings", path: "ui/settings", most: mostPage},
	{name: "HELP", route: "/ui/help", path: "ui/help", most: mostPage},
	{name: "DOCTOR", route: "/ui/doctor", path: "ui/doctor", most: mostPage},
	{name: "REPORT", route: "/ui/report", path: "ui/report", most: mostPage},
	{name: "REPORT, last page", route: "/ui/report", path: "ui/report?offset={lasterrors}", most: mostPage},
	{name: "REPORT, middle page", route: "/ui/report", path: "ui/report?offset={halferrors}", most: mostPage},
	{name: "REPORT, one group", route: "/ui/report", path: "ui/report?step={step}&code={code}&type={type}&severity=errors", most: mostPage},
	{name: "REPORT, severity", route: "/ui/report", path: "ui/report?severity=notes", most: mostPage},
	{name: "REPORT, owner", route: "/ui/report", path: "ui/report?owner={owner}", most: mostPage},
	{name: "REPORT, time", route: "/ui/report", path: "ui/report?since=2020-01-01&before={now}", most: mostPage},
	{name: "REPORT, request ID", route: "/ui/report", path: "ui/report?request_id={job}", most: mostPage},
	{name: "REPORT, text", route: "/ui/report", path: "ui/report?text=e", most: mostPage},
	{name: "REPORT, text nowhere", route: "/ui/report", path: "ui/report?text=nowhere-at-all", most: mostPage},
	{name: "REPORT, retry", route: "/ui/report", path: "ui/report?ask=retry", most: mostPage},
	{name: "REPORT, details", route: "/ui/report", path: "ui/report?id={problem}", most: mostPage},
	{name: "ACTIVITY, 30 days", route: "/ui/activity", path: "ui/activity", most: mostPage},
	{name: "ACTIVITY, a year", route: "/ui/activity", path: "ui/activity?days=365", most: mostPage},
	{name: "CONTENT", route: "/ui/content", path: "ui/content", most: mostPage},
	{name: "INDICATOR", route: "/ui/indicator", path: "ui/indicator", most: mostPage},
	{name: "INDICATOR, by value", route: "/ui/indicator", path: "ui/indicator?value={value}", most: mostPage},
	{name: "INDICATOR, by ThreatConnect's id", route: "/ui/indicator", path: "ui/indicator?value={indicator}", most: mostPage},
	{name: "INDICATOR, by Sentinel's id", route: "/ui/indicator", path: "ui/indicator?value={object}", most: mostPage},
	{name: "INDICATOR, of nobody", route: "/ui/indicator", path: "ui/indicator?value=198.51.100.254.example", most: mostPage},
	{name: "api/health", route: "/api/health", path: "api/health"},
	{name: "api/status", route: "/api/status", path: "api/status"},
	{name: "api/tc_info", route: "/api/tc_info", path: "api/tc_info"},
	{name: "api/tql-config", route: "/api/tql-config", path: "api/tql-config"},
	{name: "api/tql-config/versions", route: "/api/tql-config/versions", path: "api/tql-config/versions"},
	{name: "api/tql-config/versions, one", route: "/api/tql-config/versions/:number", path: "api/tql-config/versions/1"},
	{name: "api/job/request", route: "/api/job/request", path: "api/job/request"},
	{name: "api/job/request, 500", route: "/api/job/request", path: "api/job/request?limit=500"},
	{name: "api/task", route: "/api/task", path: "api/task"},
	{name: "api/activity", route: "/api/activity", path: "api/activity?days=365"},
	{name: "api/indicator", route: "/api/indicator", path: "api/indicator?value={value}"},
	{name: "api/report/batch-error", route: "/api/report/batch-error", path: "api/report/batch-error"},
	{name: "api/report/batch-error, filter", route: "/api/report/batch-error", path: "api/report/batch-error?type={type}&text=e"},
	{name: "api/verify", route: "/api/verify", path: "api/verify"},
	{name: "api/doctor/pages", route: "/api/doctor/pages", path: "api/doctor/pages"},
	{name: "the style sheets and scripts", route: "/static/:hash/:file", path: "{static}"},
}

// notMeasured are routes of app/web that show no page, with the reason.
var notMeasured = map[string]string{
	"/":                                   "leads on",
	"/v1":                                 "leads on",
	"/v1/*":                               "leads on",
	"/ui":                                 "leads on",
	"/api/report/batch-error.csv":         "a file of up to 8 MB, made for a download",
	"/api/report/batch-error.json":        "a file of up to 8 MB, made for a download",
	"/api/doctor":                         "only once the doctor has run; DOCTOR shows the same",
	"/api/doctor.txt":                     "a file, made for a download",
	"/api/content":                        "a file, made for a download",
	"/api/job/request/:id/retirement":     "only while an update waits for an answer",
	"/api/job/request/:id/retirement.csv": "only while an update waits for an answer, and a file",
}
