package web

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"mssentinel/app/job"
	"mssentinel/app/pipeline"
	"mssentinel/app/store"
	"mssentinel/app/threatconnect"
)

// hostile ends whatever it may stand in, and would begin an element and an attribute of its own. No page of ours has a name
// like theirs.
const hostile = `</script></style></textarea></title>'"><x-canary x-canary='" x-canary=1 onload=x-canary() href="javascript:x-canary`

// What others wrote stays text on every page: it makes no element, no attribute, and no address that runs a script.
func TestNothingForeignBecomesMarkup(t *testing.T) {
	w := hostileWorld()
	h := w.handler()
	search := url.QueryEscape(hostile)
	shown := 0
	for _, target := range []string{"/ui/", "/ui/jobs", "/ui/jobs?id=" + jobID, "/ui/jobs?text=" + search + "&status=" + search, "/ui/tasks", "/ui/report",
		"/ui/report?text=" + search + "&type=" + search + "&code=" + search, "/ui/report?id=1", "/ui/activity", "/ui/content", "/ui/indicator?value=" + search, "/ui/verify",
		"/ui/edit", "/ui/edit?window=add", "/ui/edit?window=edit&id=a", "/ui/edit?window=import", "/ui/preview?id=a", "/ui/doctor", "/ui/settings", "/ui/" + search} {
		rec := call(t, h, http.MethodGet, target, "", "Content-Type", "")
		page, err := html.Parse(strings.NewReader(rec.Body.String()))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(rec.Body.String(), "x-canary") {
			shown++
		}
		for n := range page.Descendants() {
			if foreign := foreignMarkup(n); foreign != "" {
				t.Errorf("%s has %s", target, foreign)
			}
		}
	}
	if shown < 10 {
		t.Errorf("only %d pages show what others wrote: the test looks at the wrong ones", shown)
	}
}

// foreignMarkup says what of an element came from the text; "" where nothing did.
func foreignMarkup(n *html.Node) string {
	if n.Type != html.ElementNode {
		return ""
	}
	if strings.Contains(n.Data, "canary") {
		return "the element " + n.Data
	}
	for _, a := range n.Attr {
		leads := a.Key == "href" || a.Key == "src" || a.Key == "action" || strings.HasPrefix(a.Key, "hx-")
		if strings.Contains(a.Key, "canary") || strings.HasPrefix(a.Key, "on") || leads && strings.HasPrefix(strings.TrimSpace(strings.ToLower(a.Val)), "javascript:") {
			return "the attribute " + a.Key + " of " + n.Data
		}
	}
	return ""
}

// hostileWorld shows the hostile text wherever the screens show one from outside.
func hostileWorld() *world {
	w := twoSaved()
	about := job.Subject{Indicator: 7, Type: hostile, Value: hostile, Owner: hostile}
	w.queries[0].TQL, w.queries[0].Owners, w.queries[0].Types = hostile, []string{hostile}, []string{"Host", hostile}
	w.jobs = append(everyJob(), job.Job{RequestID: jobID, Status: job.Failed, Message: hostile})
	w.trouble = hostile
	w.progress = pipeline.Progress{RequestID: "running", Stage: "Upload", WaitReason: hostile}
	w.tasks[0].Detail = hostile
	w.problems = []job.Problem{{ID: 1, RequestID: jobID, DateAdded: noon, Step: job.StepUpload, Code: "rejected", Message: hostile, Subject: about, Raw: `{"name":"` + strings.ReplaceAll(hostile, `"`, `\"`) + `"}`}}
	w.known = []store.Known{{Name: hostile, Pattern: hostile, Type: hostile, Candidates: []store.KnownCandidate{{Query: 1, Indicator: 7, Owner: hostile}}}}
	w.verified = someVerification()
	w.verified.Message, w.verified.Types[0].Type, w.verified.Examples[0].Name, w.verified.Examples[0].Pattern = hostile, hostile, hostile, hostile
	w.owners = func(context.Context) ([]threatconnect.Owner, error) {
		return []threatconnect.Owner{{ID: 1, Name: hostile}}, nil
	}
	w.count = func(context.Context, threatconnect.Query) (int64, error) { return 1, nil }
	w.preview = func(context.Context, threatconnect.Query) (pipeline.Preview, error) {
		object, err := json.Marshal(map[string]string{"name": hostile, "pattern": hostile})
		return pipeline.Preview{TotalCount: 1, ReturnedCount: 1, Cap: 100, Problems: []string{hostile}, Rows: []pipeline.PreviewRow{{Subject: about, Object: object, Pattern: hostile},
			{Subject: about, Reason: hostile}}}, err
	}
	return w
}
