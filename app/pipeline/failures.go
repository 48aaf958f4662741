package pipeline

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"mssentinel/app/sentinel"
	"mssentinel/app/store"
	"mssentinel/app/threatconnect"
)

// failure is a query that could not be read completely.
type failure struct {
	query store.RunQuery
	err   error
}

func (f failure) text(r *run) string {
	return fmt.Sprintf("query %d could not be read: %s", r.place(f.query), strings.TrimRight(f.err.Error(), "."))
}

// failed tells whether a query could not be read completely in this run.
func (r *run) failed(query int64) bool {
	for _, f := range r.failures {
		if f.query.Number == query {
			return true
		}
	}
	return false
}

// fail keeps what is wrong with a query; the first fault counts.
func (r *run) fail(q store.RunQuery, err error) {
	if !r.failed(q.Number) {
		r.failures = append(r.failures, failure{q, err})
	}
}

// behind gives the numbers of the queries whose marks the job moves: those that were read completely, unless a newer update
// was faster.
func (r *run) behind() []int64 {
	var numbers []int64
	for _, q := range r.queries {
		if !r.failed(q.Number) && q.Mark.Before(r.end) {
			numbers = append(numbers, q.Number)
		}
	}
	return numbers
}

func (r *run) failedNumbers() []int64 {
	var numbers []int64
	for _, f := range r.failures {
		numbers = append(numbers, f.query.Number)
	}
	return numbers
}

// unread tells which queries could not be read completely, or nil. It is fatal if none of them may heal by itself.
func (r *run) unread() error {
	if len(r.failures) == 0 {
		return nil
	}
	var texts []string
	heals := false
	for _, f := range r.failures {
		texts = append(texts, f.text(r))
		heals = heals || !permanent(f.err)
	}
	err := errors.New(strings.Join(texts, "; "))
	if heals {
		return err
	}
	return fatal{err}
}

// place is the position of a query on CONFIGURE.
func (r *run) place(q store.RunQuery) int {
	for i := range r.queries {
		if r.queries[i].Number == q.Number {
			return i + 1
		}
	}
	return 0
}

// message says on JOBS what was not as it should be.
func (r *run) message() string {
	var parts []string
	if err := r.unread(); err != nil {
		parts = append(parts, sentence(err.Error())+" What the query selects was left as it stands, and nothing is retired until it can be read.")
	}
	if r.retirement.Held > 0 { // JOBS says how many
		parts = append(parts, "So many objects are no longer selected by any query that they are retired only when you confirm it.")
	}
	return strings.Join(parts, " ")
}

// judge tells what a failure of ThreatConnect means: its refusals that a retry does not cure are fatal.
func judge(err error) error {
	var refused *threatconnect.Error
	if errors.As(err, &refused) && refused.Permanent() {
		return fatal{err}
	}
	return err
}

// fatal is a failure that another attempt cannot cure.
type fatal struct{ error }

func (f fatal) Unwrap() error { return f.error }

// permanent says that trying again does not help before someone has changed something.
func permanent(err error) bool {
	var config *sentinel.ConfigError
	var f fatal
	return errors.As(err, &config) || errors.As(err, &f)
}

// explain puts a failure into a sentence for JOBS.
func explain(err error) string {
	var config *sentinel.ConfigError
	if errors.As(err, &config) {
		return sentence(config.Message) + " " + sentence(config.Remedy)
	}
	return sentence(err.Error())
}

// sentence starts with a capital and ends with a full stop.
func sentence(s string) string {
	if s = strings.TrimSpace(s); s == "" {
		return ""
	}
	first, size := utf8.DecodeRuneInString(s)
	s = string(unicode.ToUpper(first)) + s[size:]
	if !strings.ContainsAny(s[len(s)-1:], ".!?") {
		s += "."
	}
	return s
}
