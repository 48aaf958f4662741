package tcserver

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Unknowns are what is not known for sure about the API, app/docs/threatconnect.md, beside the switches of [Options].
type Unknowns struct {
	AuthFailure   string         // shape of the answer to a failed authentication, one of the constants
	Lenient       bool           // a field or a sorting keyword that does not exist is passed over instead of refused
	RefusePastEnd bool           // a resultStart behind the last row is refused instead of answered by an empty list
	HideInactive  bool           // inactive indicators are never listed, whatever the TQL says
	Zone          *time.Location // of dates in TQL without a zone; UTC when nil
	NowUnits      []string       // the units that NOW() knows, such as "HOUR"; all of SECOND to YEAR when empty
	Withheld      []string       // fields that the user may not ask for; refused with Options.LinkLimitStatus
	ClockAhead    time.Duration  // by which the clock of ThreatConnect is ahead of the true time

	Variables      map[string]string // of the provider TC, by name, for GET /internal/variable/runtime/TC/<name>
	VariablesByKey bool              // they are not for tokens
}

// Shapes of the answer to a failed authentication.
const (
	AuthPlain   = ""        // message and status
	AuthCode    = "code"    // errCode, too
	AuthVersion = "version" // as version 2 of the API has it
	AuthPage    = "page"    // a page for people
)

// now is the time by ThreatConnect's clock, in the zone that dates without one are of.
func (s *Server) now() time.Time {
	zone := s.options.Unknowns.Zone
	if zone == nil {
		zone = time.UTC
	}
	return time.Now().Add(s.options.Unknowns.ClockAhead).In(zone)
}

// authFailure answers a failed authentication in the shape that is set.
func (s *Server) authFailure(err error) (answer, error) {
	switch s.options.Unknowns.AuthFailure {
	case AuthCode:
		return answer{}, newRefusal(http.StatusUnauthorized, statusCodes[http.StatusUnauthorized], err.Error())
	case AuthVersion:
		return jsonAnswer(http.StatusUnauthorized, map[string]string{"status": "Failure", "message": err.Error()}), nil
	case AuthPage:
		return htmlAnswer(http.StatusUnauthorized), nil
	}
	return answer{}, err
}

// getVariable answers GET /internal/variable/runtime/TC/{name}, app/docs/platform.md#variables.
func (s *Server) getVariable(r *http.Request, p parameters, _ *Request) (answer, error) {
	if s.options.Unknowns.VariablesByKey && strings.HasPrefix(r.Header.Get("Authorization"), "TC-Token ") {
		return jsonAnswer(http.StatusForbidden, map[string]string{"status": "Failure", "message": "Forbidden"}), nil
	}
	value, found := s.options.Unknowns.Variables[p.id]
	if !found {
		return jsonAnswer(http.StatusNotFound, map[string]string{"status": "Failure", "message": "no such variable"}), nil
	}
	return jsonAnswer(http.StatusOK, map[string]string{"data": value}), nil
}

var nowUnit = regexp.MustCompile(`(?i)(?:NOW|TODAY)\(\s*\)\s*[+-]\s*\d+\s+([A-Z]+?)S?\s*["'\x60]`)

// checkUnits refuses units that NOW() does not know.
func (u Unknowns) checkUnits(query string) error {
	for _, m := range nowUnit.FindAllStringSubmatch(query, -1) {
		if len(u.NowUnits) > 0 && !slices.Contains(u.NowUnits, strings.ToUpper(m[1])) {
			return fmt.Errorf("unknown unit %s", m[1])
		}
	}
	return nil
}
