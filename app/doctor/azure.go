package doctor

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"mssentinel/app/sentinel"
	"mssentinel/app/text"
)

// AzureOptions are what the questions about Microsoft Entra and Sentinel need.
type AzureOptions struct {
	Client *sentinel.Client
	// Source is the App's own source system. Its objects are counted; nothing is ever sent under it.
	Source string
	// Live returns how many objects the App takes for live; nil where nothing knows.
	Live func(ctx context.Context) (int64, error)
}

// AzureRechecks are when the rows of the probes are looked for, after the end of a run: rows appear within minutes,
// app/docs/sentinel.md#tables.
var AzureRechecks = []time.Duration{2 * time.Minute, 5 * time.Minute, 10 * time.Minute}

const (
	// maxProbes is how many requests a run sends to Sentinel's upload API at most.
	maxProbes = 12
	// uploadBudget bounds the probes of one run. While an update is sent they wait for their turn.
	uploadBudget = 5 * time.Minute
	// queryBudget bounds each look at the workspace.
	queryBudget = 90 * time.Second
)

var errUploadBudget = errors.New("the probes took longer than 5 minutes; is an update under way?")

// AzureProbe makes the probe of Microsoft Entra and Sentinel. A run sends at most 12 requests to Sentinel, under a source
// system of its own ([ProbeSource]): objects with values of the ranges for documentation, which have expired before
// they are sent, so that no rule matches them.
func AzureProbe(o AzureOptions) Probe {
	run := &azureRun{}
	return Probe{
		Area: Azure, Questions: azureQuestions,
		Examine: func(ctx context.Context, r Request, a *Answers) string {
			run = newAzureRun(o, a)
			return run.runProbes(ctx, r.LargeBodies)
		},
		Recheck: func(ctx context.Context, a *Answers) string {
			run.answers = a
			return run.readBack(ctx)
		},
	}
}

// azureQuestions are the open questions of app/docs/sentinel.md, in the order of the report.
var azureQuestions = []Question{
	{"azure.token", "Does Microsoft Entra give a token for this cloud?"},
	{"azure.role", "May the application upload to the workspace?"},
	{"azure.success", "What does a success look like?"},
	{"azure.record-errors", "Where does Sentinel say what is wrong with an object?"},
	{"azure.all-invalid", "How is a request answered whose objects are all rejected?"},
	{"azure.empty-list", "How is a request without objects answered?"},
	{"azure.objects-limit", "Are more than 100 objects taken at once?"},
	{"azure.reserved-source", "Is a reserved source name refused in any letter case?"},
	{"azure.body-limit", "How large may a request be?"},
	throttlingQuestion,
	{"azure.read-right", "May the application read the workspace?"},
	{"azure.real-source", "Does the workspace hold as many live objects as the App thinks?"},
	{"azure.latency", "When do rows appear?"},
	{"azure.expired", "Does an object that has expired give a row, and an inactive one?"},
	{"azure.rows-per-upload", "Does each upload of an object add a row?"},
	{"azure.update-method", "What do rows of an upload say in LastUpdateMethod?"},
	{"azure.tags", "Are the labels in the column Tags?"},
	{"azure.observable", "Does a pattern of one comparison give a row with both of its sides as written?"},
	{"azure.escapes", "Are the escapes of a pattern undone in ObservableValue?"},
	{"azure.and", "Which comparison of a pattern with AND becomes the observable?"},
	{"azure.or", "How many rows does a pattern with OR give?"},
	{"azure.subset", "Does a pattern with ISSUBSET give an observable?"},
	{"azure.long-pattern", "Is a pattern of more than 1,000 bytes cut in its columns?"},
	{"azure.description-cut", "Where is a description cut?"},
	{"azure.labels", "Are all labels kept?"},
	{"azure.spec-version", "As which version of STIX is an object without spec_version read?"},
	{"azure.older-modified", "Does an upload count whose modified is older than that of the object that stands?"},
	{"azure.two-versions", "Which of two versions of an object in one request counts?"},
	{"azure.revoked", "Can a revoked object be taken back?"},
}

// ProbeSource is the source system of the doctor's objects: that of the App with -doctor behind it, and never the App's
// own.
func ProbeSource(source string) string {
	const suffix = "-doctor"
	if len(source)+len(suffix) <= maxSource {
		return source + suffix
	}
	// Cut off, the name could be that of the App. This one is shorter than any that comes here.
	sum := sha256.Sum256([]byte(source))
	return "ThreatConnect-" + hex.EncodeToString(sum[:8]) + suffix
}

// maxSource is how many bytes a source system may have, app/docs/sentinel.md#source-system.
const maxSource = 256

// azureRun is one run, and what it found so far. It belongs to one goroutine at a time.
type azureRun struct {
	AzureOptions
	answers *Answers
	source  string    // of the probes
	began   time.Time // in milliseconds; it marks the objects of this run
	sent    time.Time // when the last probe was answered; zero if none was accepted
	asked   int       // requests so far

	taken    map[string]bool   // the objects that Sentinel accepted, by key
	rejected map[string]string // what it says of those that it rejected, by key
	unclear  map[string]string // why it is not known what becomes of others, by key

	open   string        // why questions are left open; "" while there is no reason
	upload string        // what the verdict line says of the upload
	rows   string        // and of the rows
	reads  bool          // the workspace may be read
	seen   time.Duration // how long after the upload rows were seen first; 0 if not yet
}

func newAzureRun(o AzureOptions, a *Answers) *azureRun {
	return &azureRun{
		AzureOptions: o, answers: a, source: ProbeSource(o.Source), began: time.Now().UTC().Truncate(time.Millisecond),
		taken: map[string]bool{}, rejected: map[string]string{}, unclear: map[string]string{},
	}
}

// runProbes sends the probes, and asks for the first time what stands in the workspace.
func (r *azureRun) runProbes(ctx context.Context, largeBodies bool) string {
	defer func() {
		r.answers.Set(throttlingQuestion.ID, answerThrottling(r.Client.Limit()))
		explainOpen(r.answers, r.open)
	}()
	if !r.checkToken(ctx) {
		r.open = "there is no token, see azure.token"
		return r.summary()
	}
	limited, cancel := context.WithTimeoutCause(ctx, uploadBudget, errUploadBudget)
	defer cancel()
	if r.checkRole(limited) {
		r.sendProbes(limited, largeBodies)
	} else {
		r.open = "nothing else was sent, see azure.role"
	}
	if ctx.Err() == nil {
		r.countStanding(ctx)
		r.judgeRows(nil)
	}
	return r.summary()
}

// explainOpen says why questions are left open that nothing was said of.
func explainOpen(a *Answers, evidence string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.lines {
		if l := &a.lines[i]; l.Verdict == NotTried && l.Evidence == "" {
			l.Evidence = text.Line(a.clean(evidence), maxEvidence)
		}
	}
}

func (r *azureRun) summary() string {
	switch {
	case r.rows == "":
		return r.upload
	case r.upload == "ok":
		return "ok, " + r.rows
	}
	return r.upload + ", " + r.rows
}

// checkToken answers azure.token, and says whether there is sense in going on.
func (r *azureRun) checkToken(ctx context.Context) bool {
	c, err := r.Client.Claims(ctx)
	var config *sentinel.ConfigError
	switch {
	case errors.As(err, &config):
		r.upload = "login refused"
		r.answers.Set("azure.token", Answer{Verdict: No, Evidence: config.Message, Effect: config.Remedy, Differs: true})
		return false
	case errors.Is(err, sentinel.ErrUnreadableToken):
		r.answers.Set("azure.token", Answer{Verdict: Yes, Evidence: "there is a token, and it cannot be read"})
		return true
	case err != nil:
		r.upload = "no token"
		r.answers.Set("azure.token", Answer{Verdict: Failed, Evidence: err.Error()})
		return false
	}
	r.answers.Set("azure.token", judgeClaims(c))
	return true
}

// judgeClaims answers azure.token by what the token says.
func judgeClaims(c sentinel.Claims) Answer {
	answer := Answer{Verdict: Yes, Evidence: describeClaims(c)}
	switch {
	case !c.Fits:
		answer.Verdict, answer.Differs = No, true
		answer.Effect = "The token is for another audience than the upload takes: check Azure Cloud."
	case !c.IsOurs:
		answer.Verdict, answer.Differs = No, true
		answer.Effect = "The token is for another application: compare Client ID with the app registration's Overview."
	}
	return answer
}

func describeClaims(c sentinel.Claims) string {
	roles := "none, as usual: a role on the workspace is not in the token"
	if len(c.Roles) > 0 {
		roles = strings.Join(c.Roles, ", ")
	}
	expires := "unknown"
	if !c.Expires.IsZero() {
		expires = "in " + time.Until(c.Expires).Round(time.Minute).String()
	}
	return fmt.Sprintf("audience %s, application %s, object %s (to which the role is given), expires %s, roles: %s",
		text.Line(c.Audience, 100), c.AppID, c.ObjectID, expires, text.Line(roles, 200))
}

// describeAnswer is what an answer to a probe says.
func describeAnswer(p sentinel.ProbeAnswer) string {
	said := fmt.Sprintf("HTTP status %d", p.Status)
	if p.Code != "" {
		said += ", code " + p.Code
	}
	switch {
	case len(p.Body) == 0:
		return said + ", without a body"
	case p.Said != "":
		return said + ": " + text.Line(p.Said, 300)
	}
	return said
}
