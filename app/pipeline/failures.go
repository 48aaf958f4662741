package pipeline

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"mssentinel/app/job"
	"mssentinel/app/sentinel"
	"mssentinel/app/store"
	"mssentinel/app/text"
	"mssentinel/app/threatconnect"
)

// fatal is a failure that another attempt cannot cure.
type fatal struct{ error }

func (f fatal) Unwrap() error { return f.error }

// isPermanent says that trying again does not help before someone has changed something.
func isPermanent(err error) bool {
	var config *sentinel.ConfigError
	var f fatal
	return errors.As(err, &config) || errors.As(err, &f)
}

// wrapPermanent makes a failure of ThreatConnect fatal where another attempt does not cure it.
func wrapPermanent(err error) error {
	var answer *threatconnect.Error
	if errors.As(err, &answer) && answer.Permanent() {
		return fatal{err}
	}
	return err
}

// wrapRefusal makes a failure of ThreatConnect as a whole fatal where it refuses the credentials, which do not heal by
// themselves.
func wrapRefusal(err error) error {
	var answer *threatconnect.Error
	if errors.As(err, &answer) && (answer.Status == http.StatusUnauthorized || answer.Status == http.StatusForbidden) {
		return fatal{err}
	}
	return err
}

// describeFailure puts a failure into a sentence for JOBS.
func describeFailure(err error) string {
	var config *sentinel.ConfigError
	if errors.As(err, &config) {
		return text.Sentence(config.Message) + " " + text.Sentence(config.Remedy)
	}
	return text.Sentence(err.Error())
}

// stepError is a failure in a step that is not Download.
type stepError struct {
	step job.Step
	error
}

func (e stepError) Unwrap() error { return e.error }

// cancelIn gives a function that ends the attempt because of a failure in a step.
func (a *attempt) cancelIn(step job.Step) context.CancelCauseFunc {
	return func(cause error) {
		if cause != nil {
			cause = stepError{step, cause}
		}
		a.cancel(cause)
	}
}

// failedStep is the step in which a failure came up.
func failedStep(err error) job.Step {
	var in stepError
	if errors.As(err, &in) {
		return in.step
	}
	return job.StepDownload
}

// listFailure is a list of what has gone from an owner that could not be read.
type listFailure struct {
	owner string
	// gone says what it lists: deleted or inactive.
	gone string
	err  error
}

// concerns says that a query looks in the owner.
func (f listFailure) concerns(q store.RunQuery) bool { return slices.Contains(q.Owners, f.owner) }

func (f listFailure) describe() string {
	return fmt.Sprintf("the list of what is %s in %q could not be read: %s", f.gone, f.owner,
		strings.TrimRight(f.err.Error(), "."))
}

// queryFailure is a query that could not be read completely.
type queryFailure struct {
	query store.RunQuery
	err   error
}
