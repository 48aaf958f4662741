package main

var sentinelPlants = []plant{
	{"slot-is-free-at-once", "app/sentinel/pacer.go", "p.free <- ended.Add(p.window)", "p.free <- ended",
		"requests are sent faster than the limit", 60},
	{"restart-forgets-the-pace", "app/sentinel/pacer.go", "times = append(times, ended.Add(p.window+time.Millisecond))", "times = append(times, ended)",
		"after a restart requests are sent faster than the limit", 60},
	{"bad-request-accepts-the-rest", "app/sentinel/answer.go", "d.action, d.rejected = actionBisect, a.rejected", "d.action, d.rejected = actionAccept, a.rejected",
		"what stood beside a refused object is taken for accepted, though all was refused", 60},
}

var threatConnectPlants = []plant{
	{"keyset-skips-a-row", "app/threatconnect/download.go", "return \"id > \" + strconv.FormatInt(k.id, 10)", "return \"id > \" + strconv.FormatInt(k.id+1, 10)",
		"the first row of the next page is left out", 60},
	{"offset-skips-a-row", "app/threatconnect/download.go", "start, before = start+len(p.Indicators), ids", "start, before = start+len(p.Indicators)+1, ids",
		"of a sorted query the first row of the next page is left to the search for lost rows", 20},
	{"deleted-list-ends-early", "app/threatconnect/deleted.go", "parseDeleted(page.items)", "parseDeleted(page.items[1:])",
		"the first of what was deleted is left out", 20},
	{"deleted-since-tomorrow", "app/threatconnect/deleted.go", "since.UTC().Format(dateLayout)", "since.UTC().AddDate(0, 0, 1).Format(dateLayout)",
		"the list of what was deleted begins a day late", 20},
	{"inactive-asks-for-the-active", "app/threatconnect/download.go", "\"indicatorActive = false\"", "\"indicatorActive = true\"",
		"the list of what was set inactive has what is active", 20},
}
