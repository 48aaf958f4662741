package web

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"mssentinel/app/threatconnect"
)

// healthView is the answer of GET api/health.
type healthView struct {
	// Message is what troubles the Service, with the remedy; left out while Status is ok.
	Message string `json:"message,omitempty"`
	// Status is ok or trouble.
	Status        string `json:"status"`
	UptimeSeconds int64  `json:"uptime_seconds"`
	Version       string `json:"version"`
}

// getHealth tells a script or a load balancer that the Service answers, and what troubles it.
func (s *server) getHealth(c echo.Context) error {
	view := healthView{Status: "ok", UptimeSeconds: int64(time.Since(s.started).Seconds()), Version: s.Version}
	if trouble := s.Pipeline.Trouble(); trouble != "" {
		view.Status, view.Message = "trouble", trouble
	}
	return c.JSON(http.StatusOK, view)
}

// infoView is the answer of GET api/tc_info: what a query can be made of.
type infoView struct {
	// Owners are those that the API user can read, as ThreatConnect lists them.
	Owners     []string `json:"owners"`
	SortFields []string `json:"sort_fields"`
	// Types are the indicator types that an installed mapper takes.
	Types []string `json:"types"`
}

func (s *server) getInfo(c echo.Context) error {
	ctx := c.Request().Context()
	owners, err := s.freshOwners(ctx)
	if err != nil {
		return explainOwners(ctx, err)
	}
	return c.JSON(http.StatusOK, infoView{Owners: owners, SortFields: threatconnect.SortFields, Types: s.Types})
}
