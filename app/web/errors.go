package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"mssentinel/app/job"
	"mssentinel/app/mask"
	"mssentinel/app/store"
	"mssentinel/app/text"
	"mssentinel/templates"
)

// httpErrorf is an answer that a person reads: a status and what to change.
func httpErrorf(status int, format string, args ...any) error {
	return echo.NewHTTPError(status, fmt.Sprintf(format, args...))
}

// errorView is the answer of every JSON route to a call that failed. Message says what to change.
type errorView struct {
	Message string `json:"message"`
}

// maxSentence bounds in bytes what an answer says about an error.
const maxSentence = 16 << 10

// answerError turns any error into an errorView for a script and into a page for a browser. Whatever a text from
// outside brought into the sentence, it is fit to be shown.
func (s *server) answerError(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	status, message := s.explainError(c, err)
	message = text.Cut(message, maxSentence)
	if strings.HasPrefix(c.Request().URL.Path, "/api") {
		err = c.JSON(status, errorView{Message: message})
	} else {
		err = s.renderError(c, status, message)
	}
	if err != nil {
		s.Logger.Warn("answer not written", "path", c.Request().URL.Path, "error", err)
	}
}

// explainError gives the status and the sentence for an error, masked as the log is.
func (s *server) explainError(c echo.Context, err error) (status int, message string) {
	status, message = s.findSentence(c, err)
	return status, mask.Text(message)
}

// findSentence gives the status and the sentence for an error. What it does not know goes to the log, not to the reader.
func (s *server) findSentence(c echo.Context, err error) (status int, message string) {
	var coded *echo.HTTPError
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		return http.StatusRequestEntityTooLarge,
			fmt.Sprintf("The body is longer than %d MiB. Send less at a time.", maxBody>>20)
	case errors.As(err, &coded):
		return coded.Code, httpMessage(coded)
	case errors.Is(err, store.ErrNotFound):
		return http.StatusNotFound, "There is nothing under this name. It may have been cleaned up; reload the list."
	case errors.Is(err, job.ErrState):
		return http.StatusConflict, "The job has moved on and does not allow this any more. Reload to see its status."
	case errors.Is(err, store.ErrOutdated):
		return http.StatusConflict, "Someone else saved the queries since you loaded them. " +
			"Nothing was changed: load the list again, then repeat your change."
	}
	s.Logger.Error("request failed", "method", c.Request().Method, "path", c.Request().URL.Path, "error", err)
	if trouble := s.Pipeline.Trouble(); trouble != "" {
		return http.StatusServiceUnavailable, trouble
	}
	if store.Unavailable(err) {
		return http.StatusServiceUnavailable, "The Service could not write its database. " +
			"Free some space on its disk or make it writable, and try again."
	}
	if isTimedOut(c.Request().Context()) {
		return http.StatusGatewayTimeout, fmt.Sprintf("The Service did not finish this within %.0f seconds. "+
			"It may still do so: reload to see, and try again if it was not done.", timeLimit.Seconds())
	}
	return http.StatusInternalServerError, "Something went wrong inside the Service. Its log says what; try again."
}

// httpMessage is the sentence of an error with a status: ours, or one in place of echo's bare status text.
func httpMessage(e *echo.HTTPError) string {
	message := fmt.Sprint(e.Message)
	switch {
	case e.Code == http.StatusNotFound && message == http.StatusText(http.StatusNotFound):
		return "There is no such page here. Check the address."
	case e.Code == http.StatusMethodNotAllowed && message == http.StatusText(http.StatusMethodNotAllowed):
		return "This address does not take this method. Check the call."
	}
	return message
}

// renderError shows the sentence in the frame of the screen that failed.
func (s *server) renderError(c echo.Context, status int, message string) error {
	depth := strings.Count(strings.TrimPrefix(c.Request().URL.Path, "/"), "/")
	section := strings.TrimPrefix(c.Request().URL.Path, "/ui/")
	if section == "doctor" { // which stands behind TASKS
		section = "tasks"
	}
	frame := s.newFrame(c, "Error", section)
	frame.Root = strings.Repeat("../", depth)
	if depth != 1 { // a strip that redraws itself has the links of a page below ui/
		frame.Overview = nil
	}
	return renderPage(c, status, templates.Failure(frame, status, message))
}

// isTimedOut says that the time for a request, or for a part of it, is over.
func isTimedOut(ctx context.Context) bool { return errors.Is(ctx.Err(), context.DeadlineExceeded) }
