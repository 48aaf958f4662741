package tcserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// serveControl serves the stand-in's own routes, which need no credentials:
//
//	GET    /_standin/stats                                     counts of indicators, deletions and requests, and the owners
//	GET    /_standin/requests?limit=                           the calls (the newest)
//	GET    /_standin/select?tql=&owner=&sorting=&limit=        ids of what a query selects, and how many there are
//	GET    /_standin/indicator?id=                             one indicator with all members
//	PUT    /_standin/indicator                                 adds or replaces the indicator in the body → its id
//	PATCH  /_standin/indicator?id=&touch=true|false            changes members; touch (default) moves lastModified
//	DELETE /_standin/indicator?id=                             deletes
//	POST   /_standin/active?id=&active=true|false              sets it active or inactive
//	POST   /_standin/permission?owner=&permission=             FULL, READ or NONE
//	POST   /_standin/fault                                     a Fault, or a list of them
//	DELETE /_standin/fault                                     ends all faults
//	POST   /_standin/token?seconds=                            issues a token
//	POST   /_standin/revoke-tokens
//	GET    /_standin/notifications                             what people were sent
//	POST   /_standin/notifications?refuse=true|false           answers each notification with 403, or no more
func (s *Server) serveControl(w http.ResponseWriter, r *http.Request, name string) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		errorAnswer(newRefusal(http.StatusBadRequest, codeBadRequest, err.Error())).sendTo(w)
		return
	}
	do, ok := controls[r.Method+" "+name]
	if !ok {
		errorAnswer(newRefusal(http.StatusNotFound, codeNotFound, "The stand-in has no "+r.Method+" /_standin/"+name)).sendTo(w)
		return
	}
	out, err := do(s, controlCall{r, body})
	switch {
	case errors.Is(err, ErrNoIndicator):
		errorAnswer(newRefusal(http.StatusNotFound, codeNotFound, err.Error())).sendTo(w)
	case err != nil:
		errorAnswer(newRefusal(http.StatusBadRequest, codeBadRequest, err.Error())).sendTo(w)
	case out == nil:
		w.WriteHeader(http.StatusNoContent)
	default:
		jsonAnswer(http.StatusOK, out).sendTo(w)
	}
}

type controlCall struct {
	*http.Request
	body []byte
}

func (c controlCall) queryValue(name string) string { return c.URL.Query().Get(name) }

func (c controlCall) indicatorID() (int64, error) {
	id, err := strconv.ParseInt(c.queryValue("id"), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("the parameter id: %w", err)
	}
	return id, nil
}

func (c controlCall) resultLimit() int {
	limit, err := strconv.Atoi(c.queryValue("limit"))
	if err != nil || limit < 0 {
		return 1000
	}
	return limit
}

// onIndicator makes a control of a change to the indicator that the parameter id names.
func onIndicator(change func(*Server, controlCall, int64) error) func(*Server, controlCall) (any, error) {
	return func(s *Server, c controlCall) (any, error) {
		id, err := c.indicatorID()
		if err != nil {
			return nil, err
		}
		return nil, change(s, c, id)
	}
}

var controls = map[string]func(*Server, controlCall) (any, error){
	"GET stats":     (*Server).controlStats,
	"GET requests":  (*Server).controlRequests,
	"GET select":    (*Server).controlSelect,
	"GET indicator": (*Server).controlIndicator,
	"PUT indicator": func(s *Server, c controlCall) (any, error) {
		id, err := s.Put(c.body)
		return map[string]int64{"id": id}, err
	},
	"PATCH indicator": onIndicator((*Server).controlChange),
	"DELETE indicator": onIndicator(func(s *Server, _ controlCall, id int64) error {
		return s.Delete(id)
	}),
	"POST active": onIndicator(func(s *Server, c controlCall, id int64) error {
		return s.SetActive(id, c.queryValue("active") == "true")
	}),
	"POST permission": func(s *Server, c controlCall) (any, error) {
		return nil, s.SetPermission(c.queryValue("owner"), c.queryValue("permission"))
	},
	"GET notifications":  (*Server).controlNotifications,
	"POST notifications": (*Server).controlRefuseNotifications,
	"POST fault":         (*Server).controlFault,
	"DELETE fault": func(s *Server, _ controlCall) (any, error) {
		s.ClearFaults()
		return nil, nil
	},
	"POST token": func(s *Server, c controlCall) (any, error) {
		seconds, err := strconv.Atoi(c.queryValue("seconds"))
		if err != nil {
			return nil, fmt.Errorf("the parameter seconds: %w", err)
		}
		return map[string]string{"token": s.IssueToken(time.Duration(seconds) * time.Second)}, nil
	},
	"POST revoke-tokens": func(s *Server, _ controlCall) (any, error) {
		s.RevokeTokens()
		return nil, nil
	},
}

func (s *Server) controlStats(controlCall) (any, error) {
	byType, byOwner, active := map[string]int{}, map[string]int{}, 0
	rows := s.Rows()
	for _, r := range rows {
		byType[r.Type]++
		byOwner[r.Owner]++
		active += int(toInt(r.Active))
	}
	return map[string]any{
		"indicators": len(rows), "active": active, "types": byType, "owners": byOwner,
		"deleted": len(s.Deletions()), "requests": s.RequestCount(),
	}, nil
}

func (s *Server) controlRequests(c controlCall) (any, error) {
	list := s.Requests()
	return map[string]any{"count": s.RequestCount(), "requests": list[max(0, len(list)-c.resultLimit()):]}, nil
}

func (s *Server) controlSelect(c controlCall) (any, error) {
	rows, err := s.Select(Query{TQL: c.queryValue("tql"), Owner: c.queryValue("owner"), Sorting: c.queryValue("sorting")})
	ids := []int64{}
	for _, r := range rows[:min(len(rows), c.resultLimit())] {
		ids = append(ids, r.ID)
	}
	return map[string]any{"count": len(rows), "ids": ids}, err
}

func (s *Server) controlIndicator(c controlCall) (any, error) {
	id, err := c.indicatorID()
	if err != nil {
		return nil, err
	}
	row, err := s.Row(id)
	if err != nil {
		return nil, err
	}
	return json.RawMessage(row.JSON()), nil
}

func (s *Server) controlChange(c controlCall, id int64) error {
	var members map[string]any
	d := json.NewDecoder(bytes.NewReader(c.body))
	d.UseNumber()
	if err := d.Decode(&members); err != nil {
		return fmt.Errorf("the body is not a JSON object: %w", err)
	}
	if c.queryValue("touch") == "false" {
		return s.Amend(id, members)
	}
	return s.Modify(id, members)
}

func (s *Server) controlFault(c controlCall) (any, error) {
	var list []Fault
	if err := json.Unmarshal(c.body, &list); err != nil {
		list = make([]Fault, 1)
		if err := json.Unmarshal(c.body, &list[0]); err != nil {
			return nil, fmt.Errorf("the body is neither a fault nor a list of them: %w", err)
		}
	}
	for _, f := range list {
		if err := s.Inject(f); err != nil {
			return nil, err
		}
	}
	return nil, nil
}
