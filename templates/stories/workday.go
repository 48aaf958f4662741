package stories

import (
	"fmt"
	"time"

	"mssentinel/templates"
)

// What a day at work looks like: the README's pictures are of it.

// newRealQueries are such as people write.
func newRealQueries() []templates.Query {
	query := func(position int, tql string, owners []string, types ...string) templates.Query {
		return templates.Query{Key: fmt.Sprint("q", position), Position: position, Owners: owners, Types: types, TQL: tql, AllTypes: 11}
	}
	return []templates.Query{
		query(1, `threatAssessScore >= 700 and indicatorActive = true`, []string{"Demo Organization"}, "Address", "Host", "URL", "File"),
		query(2, `rating >= 4 and confidence >= 80`, []string{"Common Community", "TechBlog Source"}, "Address", "Host", "File"),
		query(3, `tag = "Ransomware" and lastModified >= "90 days ago"`, []string{"Common Community"}, "File"),
		query(4, `hasGroup(typeName = "Campaign")`, []string{"Demo Organization", "Industry Sharing"}, "Host", "URL"),
		query(5, `typeName in ("EmailAddress", "EmailSubject") and rating >= 3`, []string{"Industry Sharing"}, "Email Address", "Email Subject"),
		query(6, `source like "%abuse%" and confidence >= 50`, []string{"TechBlog Source"}, "Address", "CIDR", "ASN"),
	}
}

// newWorkFrame says the numbers that the pictures agree on.
func newWorkFrame(title, section string) templates.Frame {
	f := newFrame(title, section)
	f.Overview.Last.Mode, f.Overview.Live, f.Overview.Errors = "Delta", "122,371", "14"
	return f
}

// newWorkQueries gave what is counted.
func newWorkQueries() []templates.Query {
	queries := newRealQueries()
	for i, gave := range []templates.QueryGave{
		{Read: true, Matched: 24_871, Invalid: 20, Won: 24_851, Lost: 0, Live: 24_840},
		{Read: true, Matched: 61_204, Invalid: 312, Won: 55_902, Lost: 4_990, Live: 55_877},
		{Read: true, Matched: 8_450, Invalid: 0, Won: 6_031, Lost: 2_419, Live: 6_031},
		{Read: true, Matched: 3_377, Invalid: 14, Won: 2_120, Lost: 1_243, Live: 2_118},
		{Read: true, Matched: 1_906, Invalid: 3, Won: 1_903, Lost: 0, Live: 1_903},
		{Read: true, Matched: 40_113, Invalid: 77, Won: 31_640, Lost: 8_396, Live: 31_602},
	} {
		queries[i].Gave = &gave
	}
	return queries
}

// newJobsPage is JOBS without a filter.
func newJobsPage(change func(*templates.Jobs)) templates.Jobs {
	v := templates.Jobs{Frame: newFrame("JOBS", "jobs"), Self: "jobs", Statuses: newStatuses("Pending", "Failed"),
		Types: newOptions("Scheduled", "Ad-Hoc"), Kinds: newOptions("Delta", "Full", "Reconcile")}
	change(&v)
	return v
}

// newWorkJobs are the jobs of a week, the newest of which runs.
func newWorkJobs() []templates.Job {
	var all []templates.Job
	for i := range 20 {
		started := noon.Add(time.Duration(-6*i) * time.Hour)
		took := time.Duration(40+(i*37)%90) * time.Second
		ended := started.Add(took)
		sent, unchanged := int64(180+(i*613)%1400), int64(40+(i*71)%300)
		j := templates.Job{RequestID: fmt.Sprintf("%08x", 0x5f0c6a52+i*0x1234567) + jobID[8:], Type: "Scheduled", Mode: "Delta", Status: "Upload Complete", Started: &started, Ended: &ended,
			Downloaded: sent + unchanged, Uploaded: sent, Duration: took,
			Parts: []templates.Part{{Kind: "sent", Label: "uploaded", Count: sent}, {Kind: "unchanged", Label: "unchanged", Count: unchanged}}}
		switch i {
		case 0:
			j = templates.Job{RequestID: j.RequestID, Type: "Ad-Hoc", Mode: "Full", Status: "Upload In Progress", Started: &started, Downloaded: 139_921, Uploaded: 88_300, CanCancel: true, Duration: 3 * time.Minute}
		case 5:
			j.Flawed, j.Errors = true, 14
			j.Parts = append(j.Parts, templates.Part{Kind: "invalid", Label: "invalid", Count: 14})
		case 8:
			j = templates.Job{RequestID: j.RequestID, Type: "Scheduled", Mode: "Delta", Status: "Failed", Message: "ThreatConnect did not answer: it is tried again with the next update.", Started: &started, Ended: &ended, Duration: took, CanRetry: true}
		case 12:
			j.Mode, j.Downloaded, j.Retired, j.Duration = "Reconcile", 139_480, 212, 19*time.Minute
		}
		all = append(all, j)
	}
	return all
}

func newWorkProgress() *templates.Progress {
	return &templates.Progress{RequestID: newWorkJobs()[0].RequestID, Title: "Full update", Started: noon, Ago: 3 * time.Minute, Rate: 166.6,
		Wait: "Sentinel's limit reached. Next request in 23 s.", Remaining: 4 * time.Minute, Stages: []templates.StageBar{
			{Label: "Download", Text: "139,921 of 139,921 indicators · 100 %", Percent: 100}, {Label: "Convert", Text: "122,447 objects made · 100 %", Percent: 100}, {Label: "Upload", Text: "88,300 of 122,447 objects · 72 %", Percent: 72}}}
}

func newFunnel() []templates.FunnelStep {
	return []templates.FunnelStep{{Kind: "read", Label: "Downloaded", Means: "indicators", Count: 13, Share: 100}, {Kind: "below", Label: "Below floor", Means: "indicators that their query does not select", Count: 3, Share: 23}, {Kind: "sent", Label: "Uploaded", Means: "objects", Count: 7, Share: 70}, {Kind: "rejected", Label: "Rejected", Means: "objects"}}
}

// newMonth has pictures of 30 days.
func newMonth() templates.ActivityPage {
	v := newActivity(func(v *templates.ActivityPage) {
		v.Frame, v.Period, v.Days = newWorkFrame("REPORT", "report"), 30, "2026-10-26 to 2026-11-24"
		v.Live = templates.LivePanel{AsOf: noon, Total: 122_371, Types: newShares(122_371, "Host", 51_204, "Address", 38_377, "File", 21_880, "URL", 9_007, "Email Address", 1_903),
			Owners: newShares(122_371, "Common Community", 61_908, "TechBlog Source", 31_602, "Demo Organization", 24_840, "Industry Sharing", 4_021)}
	})
	v.Charts = []templates.Chart{
		newChart(30, "sent", "Sent", "objects", 1, 900, "Host", "Address", "File", "URL", "Email Address"),
		newChart(30, "rejected", "Rejected", "objects", 1, 3, "Host", "URL"),
		newChart(30, "retired", "Retired", "objects", 1, 120, "Host", "Address", "File"),
		newChart(30, "waiting", "Waiting for Sentinel's limit", "minutes", 60, 240, "Waited"),
		newChart(30, "duration", "Duration of updates", "minutes", 60, 900, "Longest"),
	}
	return v
}

// newYear has pictures of a year by one name, in large numbers.
func newYear(name string) templates.ActivityPage {
	v := newActivity(func(v *templates.ActivityPage) {
		v.Period, v.Days, v.Bars = 365, "2025-11-25 to 2026-11-24", "One bar a week."
		v.Live = templates.LivePanel{AsOf: noon, Total: 987_654_321, Types: newShares(987_654_321, name, 987_650_000, "File", 4_321), Owners: newShares(987_654_321, name, 987_654_321)}
	})
	v.Charts = []templates.Chart{newChart(53, "sent", "Sent", "objects", 1, 900_000_000, name, "File", "All others"), newChart(53, "waiting", "Waiting", "minutes", 60, 7*86_400, name)}
	return v
}

// newShares takes names and what each has of all.
func newShares(total int64, namesAndObjects ...any) []templates.Share {
	var shares []templates.Share
	for i := 0; i < len(namesAndObjects); i += 2 {
		shares = append(shares, templates.NewShare(namesAndObjects[i].(string), int64(namesAndObjects[i+1].(int)), int64(namesAndObjects[1].(int)), total))
	}
	return shares
}

// newChart has a bar for each of the last days; the values are below most, and the same each time.
func newChart(days int, id, title, unit string, per, most int64, names ...string) templates.Chart {
	c := templates.Chart{ID: id, Title: title, Summary: fmt.Sprintf("%d bars.", days), Unit: unit, Per: per, Heads: append([]string{"Day"}, names...)}
	c.Rows = make([][]string, days)
	for day := range days {
		c.Spans = append(c.Spans, noon.AddDate(0, 0, day+1-days).Format(time.DateOnly))
		c.Tips = append(c.Tips, c.Spans[day])
		c.Rows[days-1-day] = []string{c.Spans[day]}
	}
	var all int64
	for i, name := range names {
		s := templates.Series{Name: name}
		var total int64
		for day := range days {
			value := most * int64((day*day*7+day*31+i*53)%97) / int64(97*(i+1))
			s.Values, total = append(s.Values, value), total+value
			c.Rows[days-1-day] = append(c.Rows[days-1-day], templates.Number(value/per))
		}
		s.Total, all = templates.Number(total/per), all+total
		c.Series = append(c.Series, s)
	}
	c.Lead = templates.Number(all/per) + " " + unit
	return c
}
