package sentinel

// noteUnanswered keeps which objects a request held that was not answered, or not by Sentinel: it may have stored them.
func (d *delivery) noteUnanswered(x exchange, part []int) {
	if x.action != actionRetry {
		return
	}
	if d.unanswered == nil {
		d.unanswered = map[int]bool{}
	}
	for _, i := range part {
		d.unanswered[i] = true
	}
}

// findUnanswered are the indexes of those rejected objects that an earlier request held which was not answered.
func (d *delivery) findUnanswered(rejected []Rejection) (indexes []int) {
	for _, r := range rejected {
		if d.unanswered[r.Index] {
			indexes = append(indexes, r.Index)
		}
	}
	return indexes
}
