package web

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"mssentinel/templates"
)

// showSettings shows what the Service was given and what it is made of.
func (s *server) showSettings(c echo.Context) error {
	return renderPage(c, http.StatusOK, templates.SettingsPage(s.newSettingsView(c)))
}

func (s *server) newSettingsView(c echo.Context) templates.Settings {
	return templates.Settings{Frame: s.newFrame(c, "Settings", "settings"), Groups: s.Settings, Tests: s.listTests()}
}

// testConnection tests a connection, or all, while somebody waits. The page that comes back shows what came of it; a reload of
// SETTINGS tests again.
func (s *server) testConnection(c echo.Context) error {
	slug := formValue(c, "test")
	var chosen []Connection
	for _, known := range s.Connections {
		if slug == "all" || slug == known.Slug {
			chosen = append(chosen, known)
		}
	}
	if len(chosen) == 0 {
		return httpErrorf(http.StatusBadRequest, "SETTINGS has no such test. Reload the page.")
	}
	var tests sync.WaitGroup
	for _, connection := range chosen {
		tests.Go(func() { s.tests.keep(connection.Slug, runTest(c.Request().Context(), connection)) })
	}
	tests.Wait()
	if formValue(c, "from") == "configure" {
		return seeOther(c, "./#first-run")
	}
	view := s.newSettingsView(c)
	for i := range view.Tests {
		view.Tests[i].Fresh = view.Tests[i].Slug == slug
	}
	return renderPage(c, http.StatusOK, templates.SettingsPage(view))
}

// runTest tests a connection for as long as somebody may wait.
func runTest(ctx context.Context, c Connection) testResult {
	ctx, cancel := context.WithTimeout(ctx, testLimit)
	defer cancel()
	works, found := c.Test(ctx)
	if isTimedOut(ctx) && !works {
		found = append(found, "The test was given up after "+templates.Duration(testLimit)+".")
	}
	result := testResult{works: works, at: time.Now().UTC()}
	for _, sentence := range found {
		result.found = append(result.found, showText(sentence))
	}
	return result
}
