package sentinelserver

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"

	"github.com/google/uuid"
)

// The service speaks in three shapes: the gateway's, the API's envelope, and a list of record errors,
// app/docs/sentinel.md#error-bodies.

// writeGatewayError answers in the shape of the gateway before the API.
func writeGatewayError(w http.ResponseWriter, status int, message string) {
	body := map[string]any{"statusCode": status, "message": message}
	if status == http.StatusInternalServerError {
		body["activityId"] = uuid.NewString()
	}
	writeJSON(w, status, body)
}

// writeEnvelopeError answers in the shape of the API itself.
func writeEnvelopeError(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("x-ms-error-code", code)
	writeJSON(w, status, map[string]any{"error": map[string]string{"code": code, "message": message}})
}

func writeBadRequest(w http.ResponseWriter, message string) {
	writeEnvelopeError(w, http.StatusBadRequest, "BadRequest", message)
}

func writeUnauthorized(w http.ResponseWriter) {
	writeGatewayError(w, http.StatusUnauthorized, "Unauthorized. Access token is missing or invalid.")
}

// writeOtherAudience answers a token for another audience: without a body, app/docs/sentinel.md#missing-role.
func writeOtherAudience(w http.ResponseWriter) { w.WriteHeader(http.StatusUnauthorized) }

// writeUnauthorizedAccess answers a missing role as it was seen, though not with which status,
// app/docs/sentinel.md#missing-role.
func writeUnauthorizedAccess(w http.ResponseWriter, status int) {
	message := "The Object ID [" + uuid.NewString() + "] does not have required permission to perform this action on the workspace."
	w.Header().Set("x-ms-error-code", "UnauthorizedAccess")
	writeJSON(w, status, map[string]any{"error": map[string]any{
		"code": "UnauthorizedAccess", "message": message, "details": []any{}, "target": nil, "additionalInfo": nil,
	}})
}

func (s *Server) writeNoRole(w http.ResponseWriter) {
	if s.options.NoRoleSeen {
		writeUnauthorizedAccess(w, s.options.NoRoleStatus)
		return
	}
	if s.options.NoRoleStatus == http.StatusUnauthorized {
		writeUnauthorized(w)
		return
	}
	writeEnvelopeError(w, s.options.NoRoleStatus, "Forbidden",
		"The client does not have authorization to perform this action on the workspace.")
}

func writeTooManyRequests(w http.ResponseWriter, seconds int, header string) {
	if header != "" {
		w.Header().Set("Retry-After", header)
	}
	writeGatewayError(w, http.StatusTooManyRequests,
		"Rate limit is exceeded. Try again in "+strconv.Itoa(seconds)+" seconds.")
}

func writeHTMLPage(w http.ResponseWriter, status int) {
	text := strconv.Itoa(status) + " " + http.StatusText(status)
	page := "<html><head><title>" + text + "</title></head><body><center><h1>" + text + "</h1></center><hr></body></html>\r\n"
	writeBody(w, status, "text/html", page)
}

func writeBody(w http.ResponseWriter, status int, mediaType, body string) {
	w.Header().Set("Content-Type", mediaType+"; charset=utf-8")
	w.WriteHeader(status)
	io.WriteString(w, body) //nolint:errcheck // the client may have gone
}

// markedWriter puts a byte order mark before a body.
type markedWriter struct {
	http.ResponseWriter
	begun bool
}

func (m *markedWriter) Write(p []byte) (int, error) {
	if !m.begun {
		m.begun = true
		if _, err := io.WriteString(m.ResponseWriter, "\uFEFF"); err != nil {
			return 0, err
		}
	}
	return m.ResponseWriter.Write(p)
}

// writeRecordErrors answers with the faults of single records, under the key or keys that the stand-in was told to use.
func (s *Server) writeRecordErrors(w http.ResponseWriter, status int, faults []recordFault) {
	list := make([]map[string]any, len(faults))
	for i, f := range faults {
		entry := map[string]any{"recordIndex": f.index}
		if s.options.MessageKey != ValidationErrorMessages {
			entry["errorMessages"] = f.messages
		}
		if s.options.MessageKey != ErrorMessages {
			entry["validationErrorMessages"] = f.messages
		}
		list[i] = entry
	}
	writeJSON(w, status, map[string]any{"errors": list})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.Encode(body) //nolint:errcheck // the reader may be gone
}
