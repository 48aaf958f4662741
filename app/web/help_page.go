package web

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"mssentinel/templates"
)

// showHelp explains the screens.
func (s *server) showHelp(c echo.Context) error {
	return renderPage(c, http.StatusOK, templates.HelpPage(s.newFrame(c, "Help", "help")))
}
