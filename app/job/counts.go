package job

// Counts is what a job did. Downloaded, BelowFloor and Invalid count ThreatConnect indicators, the others STIX objects.
type Counts struct {
	Downloaded int64 `db:"count_downloaded"`
	// BelowFloor indicators do not reach the confidence floor of their query, and are not selected by it.
	BelowFloor int64 `db:"count_below_floor"`
	Invalid    int64 `db:"count_invalid"`
	// Duplicate objects lost to a copy from a higher query, or an earlier row of the same.
	Duplicate int64 `db:"count_duplicate"`
	// Unchanged objects stand in Sentinel as they are and were not sent.
	Unchanged int64 `db:"count_unchanged"`
	// Queued objects were handed to Upload.
	Queued   int64 `db:"count_queued"`
	Uploaded int64 `db:"count_uploaded"`
	Rejected int64 `db:"count_rejected"`
	Retired  int64 `db:"count_retired"`
}

// Add adds what another count says.
func (c *Counts) Add(d Counts) {
	c.Downloaded += d.Downloaded
	c.BelowFloor += d.BelowFloor
	c.Invalid += d.Invalid
	c.Duplicate += d.Duplicate
	c.Unchanged += d.Unchanged
	c.Queued += d.Queued
	c.Uploaded += d.Uploaded
	c.Rejected += d.Rejected
	c.Retired += d.Retired
}

// Answered is how many of the queued objects Sentinel has answered for.
func (c *Counts) Answered() int64 { return c.Uploaded + c.Rejected + c.Retired }

// Detail is a count by query and type, for the job's details.
type Detail struct {
	QueryID string `db:"query_id"`
	Type    string `db:"type"`
	Counts
}

// Tally is what is to be added to the counts of jobs, by job, query and type.
type Tally map[TallyKey]*Counts

// TallyKey names a count. Query is 0 for objects that no query gives.
type TallyKey struct {
	Job, Query int64
	Type       string
}

// Of is the count to be changed for a query and a type of a job.
func (t Tally) Of(job, query int64, typ string) *Counts {
	key := TallyKey{job, query, typ}
	c := t[key]
	if c == nil {
		c = new(Counts)
		t[key] = c
	}
	return c
}

// Total is what is added to one job.
func (t Tally) Total(job int64) Counts {
	var total Counts
	for key, c := range t {
		if key.Job == job {
			total.Add(*c)
		}
	}
	return total
}
