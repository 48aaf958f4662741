package store

import "errors"

// Errors that callers tell apart.
var (
	// ErrNotFound: no such query, job or error line.
	ErrNotFound = errors.New("not found")
	// ErrOutdated: the list of queries was changed since the version that the caller read.
	ErrOutdated = errors.New("the list of queries was changed by someone else")
)
