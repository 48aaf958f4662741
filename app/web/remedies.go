package web

import "mssentinel/app/job"

// remedies say what to do about the lines of REPORT of each code.
var remedies = map[job.Code]string{
	job.CodeUpdateFailed:  "Do what the message says, then retry the job on JOBS. A scheduled update is tried again by itself unless that cannot help.",
	job.CodeQueryFailed:   "Correct the query on CONFIGURE, or give the API user the right to see its owners. What it selects stays as it is until it can be read.",
	job.CodeListFailed:    "Nothing, if it does not come again: the next update asks for the list once more. Else look whether the API user still sees the owner.",
	job.CodeUnreadable:    "Look at the indicator in ThreatConnect: it is too large or damaged. Fewer or shorter attributes make it readable.",
	job.CodeNoMapper:      "Take the type out of the query on CONFIGURE, or install a mapper that takes it.",
	job.CodeInvalidValue:  "Correct the value in ThreatConnect, or exclude it by TQL. It is looked at again when it changes, and by every full update.",
	job.CodeMapperFailed:  "Retry. If it fails again, report the object to whoever made the mapper.",
	job.CodeNote:          "Nothing has to be done: the object was sent. Look whether it is what you want.",
	job.CodeRejected:      "Look at what Microsoft Sentinel says about the object, correct it in ThreatConnect, and retry.",
	job.CodeBatchRejected: "Microsoft Sentinel, or what stands between, refuses any request with this object. Retry; if it is refused again, look at the object for what a firewall may dislike.",
}
