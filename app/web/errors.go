package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"mssentinel/app/job"
	"mssentinel/app/store"
	"mssentinel/app/threatconnect"
	"mssentinel/templates"
)

// fault is an answer that a person reads: a status and what to change.
func fault(status int, format string, args ...any) error {
	return echo.NewHTTPError(status, fmt.Sprintf(format, args...))
}

// answerError turns any error into {"message": …} for a script and into a page for a browser.
func (s *server) answerError(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	status, message := s.explain(c, err)
	if strings.HasPrefix(c.Request().URL.Path, "/api") {
		err = c.JSON(status, map[string]string{"message": message})
	} else {
		err = s.errorPage(c, status, message)
	}
	if err != nil {
		s.Logger.Warn("answer not written", "path", c.Request().URL.Path, "error", err)
	}
}

// explain gives the status and the sentence for an error. What it does not know goes to the log, not to the reader.
func (s *server) explain(c echo.Context, err error) (status int, message string) {
	var coded *echo.HTTPError
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		return http.StatusRequestEntityTooLarge, fmt.Sprintf("The body is longer than %d MiB. Send less at a time.", maxBody>>20)
	case errors.As(err, &coded):
		return coded.Code, sentence(coded)
	case errors.Is(err, store.ErrNotFound):
		return http.StatusNotFound, "There is nothing under this name. It may have been cleaned up; reload the list."
	case errors.Is(err, job.ErrState):
		return http.StatusConflict, "The job has moved on and does not allow this any more. Reload to see its status."
	case errors.Is(err, store.ErrOutdated):
		return http.StatusConflict, "Someone else saved the queries since you loaded them. Nothing was changed: load the list again, then repeat your change."
	}
	s.Logger.Error("request failed", "method", c.Request().Method, "path", c.Request().URL.Path, "error", err)
	if isOver(c.Request().Context()) {
		return http.StatusGatewayTimeout, fmt.Sprintf("The Service did not finish this within %.0f seconds. It may still do so: reload to see, and try again if it was not done.", timeLimit.Seconds())
	}
	if trouble := s.Pipeline.Trouble(); trouble != "" {
		return http.StatusServiceUnavailable, trouble
	}
	return http.StatusInternalServerError, "Something went wrong inside the Service. Its log says what; try again."
}

// sentence is echo's own message where ours is missing, in words.
func sentence(e *echo.HTTPError) string {
	text := fmt.Sprint(e.Message)
	switch {
	case e.Code == http.StatusNotFound && text == http.StatusText(http.StatusNotFound):
		return "There is no such page here. Check the address."
	case e.Code == http.StatusMethodNotAllowed && text == http.StatusText(http.StatusMethodNotAllowed):
		return "This address does not take this method. Check the call."
	}
	return text
}

// errorPage shows the sentence in the frame of the screen that failed.
func (s *server) errorPage(c echo.Context, status int, message string) error {
	up := strings.Count(strings.TrimPrefix(c.Request().URL.Path, "/"), "/")
	frame := s.frame(c, "Error", strings.TrimPrefix(c.Request().URL.Path, "/ui/"))
	frame.Root = strings.Repeat("../", up)
	return render(c, status, templates.Failure(frame, status, message))
}

// What cannot be done when a question about a query has no answer.
const (
	cannotCheck   = "The query cannot be checked"
	cannotPreview = "The preview cannot be made"
)

// queryFault explains why a question about a query has no answer, and what cannot be done therefore. ctx is the one that
// bounded it.
func queryFault(ctx context.Context, what string, err error) error {
	if isOver(ctx) {
		return fault(http.StatusGatewayTimeout,
			"ThreatConnect did not answer within %.0f seconds. Try again, or narrow the TQL: a query this slow slows down every update too.", timeLimit.Seconds())
	}
	if text, refused := refusal(err); refused {
		return fault(http.StatusBadRequest, "ThreatConnect does not accept this query: %s", text)
	}
	return fault(http.StatusBadGateway, "%s: %v", what, err)
}

// ownersFault explains why there is no list of owners.
func ownersFault(ctx context.Context, err error) error {
	if isOver(ctx) {
		return fault(http.StatusGatewayTimeout, "The owners cannot be listed: ThreatConnect did not answer within %.0f seconds. Try again.", timeLimit.Seconds())
	}
	return fault(http.StatusBadGateway, "The owners cannot be listed: %v", err)
}

func isOver(ctx context.Context) bool { return errors.Is(ctx.Err(), context.DeadlineExceeded) }

// refusal is ThreatConnect's own message about a query, as opposed to an error about ThreatConnect as a whole.
func refusal(err error) (text string, refused bool) {
	var e *threatconnect.Error
	if errors.As(err, &e) && e.IsTQL() {
		return e.Message, true
	}
	return "", false
}
