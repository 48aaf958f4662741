package sentinelserver

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// serveControl serves the stand-in's own routes:
//
//	GET    /_standin/ThreatIntelIndicators, /_standin/ThreatIntelObjects   the rows; ?id= ?source= ?limit= (the newest)
//	GET    /_standin/objects?source=&workspace=                            the current objects by STIX id
//	GET    /_standin/requests?limit=                                       the calls, and the most in any window
//	GET    /_standin/stats                                                 counts and sources
//	POST   /_standin/fault      a Fault, or a list of them
//	DELETE /_standin/fault      ends all faults
//	POST   /_standin/role?client_id=&granted=true|false
//	POST   /_standin/read-right?client_id=&granted=true|false              whether it may query
//	POST   /_standin/expire-tokens, /_standin/republish
//	POST   /_standin/delete?source=&id=, /_standin/lose?source=&id=        an object, with a row that says so, or with all of its rows
//	POST   /_standin/age?seconds=                                          everything that is there
//	GET    /_standin/queries?limit=                                        the calls of the query API
func (s *Server) serveControl(w http.ResponseWriter, r *http.Request, name string) {
	query := r.URL.Query()
	limit, err := strconv.Atoi(query.Get("limit"))
	if err != nil || limit < 0 {
		limit = 1000
	}
	keep := func(id, source string) bool {
		return (query.Get("id") == "" || query.Get("id") == id) && (query.Get("source") == "" || query.Get("source") == source)
	}
	switch r.Method + " " + name {
	case "GET ThreatIntelIndicators":
		rows := slices.DeleteFunc(s.Rows(), func(r Row) bool { return !keep(r.ID, r.SourceSystem) })
		writeJSON(w, http.StatusOK, map[string]any{"count": len(rows), "rows": limitNewest(rows, limit)})
	case "GET ThreatIntelObjects":
		rows := slices.DeleteFunc(s.ObjectRows(), func(r ObjectRow) bool { return !keep(r.ID, r.SourceSystem) })
		writeJSON(w, http.StatusOK, map[string]any{"count": len(rows), "rows": limitNewest(rows, limit)})
	case "GET objects":
		writeJSON(w, http.StatusOK, s.ObjectsIn(query.Get("workspace"), query.Get("source")))
	case "GET requests":
		writeJSON(w, http.StatusOK, map[string]any{
			"count": s.RequestCount(), "max_in_window": s.MaxInWindow(false), "max_in_window_worst": s.MaxInWindow(true),
			"requests": limitNewest(s.Requests(), limit),
		})
	case "GET stats":
		writeJSON(w, http.StatusOK, map[string]any{"requests": s.RequestCount(), "sources": s.Sources(), "objects": s.Stats()})
	case "POST fault":
		s.controlFault(w, r)
	case "DELETE fault":
		s.ClearFaults()
		w.WriteHeader(http.StatusNoContent)
	case "POST role":
		s.SetRole(query.Get("client_id"), query.Get("granted") == "true")
		w.WriteHeader(http.StatusNoContent)
	case "POST read-right":
		s.SetReadRight(query.Get("client_id"), query.Get("granted") == "true")
		w.WriteHeader(http.StatusNoContent)
	case "POST expire-tokens":
		s.ExpireTokens()
		w.WriteHeader(http.StatusNoContent)
	case "GET queries":
		writeJSON(w, http.StatusOK, map[string]any{"queries": limitNewest(s.Queries(), limit)})
	case "POST delete", "POST lose", "POST age", "POST republish":
		s.controlStored(name, query)
		w.WriteHeader(http.StatusNoContent)
	default:
		writeGatewayError(w, http.StatusNotFound, "The stand-in has no "+r.Method+" /_standin/"+name)
	}
}

// controlStored changes what is stored.
func (s *Server) controlStored(name string, query url.Values) {
	switch name {
	case "delete":
		s.Delete(query.Get("source"), query.Get("id"))
	case "lose":
		s.Lose(query.Get("source"), query.Get("id"))
	case "age":
		seconds, _ := strconv.Atoi(query.Get("seconds"))
		s.Age(time.Duration(seconds) * time.Second)
	case "republish":
		s.Republish()
	}
}

func (s *Server) controlFault(w http.ResponseWriter, r *http.Request) {
	var raw json.RawMessage
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&raw)
	var list []Fault
	if err == nil && len(raw) > 0 && raw[0] == '[' {
		err = json.Unmarshal(raw, &list)
	} else if err == nil {
		list = make([]Fault, 1)
		err = json.Unmarshal(raw, &list[0])
	}
	for i := 0; err == nil && i < len(list); i++ {
		err = s.Inject(list[i])
	}
	if err != nil {
		writeBadRequest(w, err.Error())
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func limitNewest[T any](list []T, limit int) []T { return list[max(0, len(list)-limit):] }
