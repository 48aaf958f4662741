package tcserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"sync"
)

// Error codes, app/docs/threatconnect.md#errors.
const (
	codeBadRequest = "0x1001"
	codeForbidden  = "0x1003"
	codeNotFound   = "0x1004"
	codeMethod     = "0x1005"
	codeInternal   = "0x1007"
	codeTQL        = "0x2001"
)

// statusCodes are the codes of the statuses.
var statusCodes = map[int]string{
	400: codeBadRequest, 401: "0x1002", 403: codeForbidden, 404: codeNotFound, 405: codeMethod, 409: "0x1006", 500: codeInternal,
}

const tqlMessage = "Syntax error(s) found with your TQL query. Check your query and try again."

// refusal is an error that the client is told.
type refusal struct {
	status        int
	code, message string
}

func (r *refusal) Error() string { return r.message }

func newRefusal(status int, code, message string) error { return &refusal{status, code, message} }

func newTQLRefusal(err error) error {
	return newRefusal(http.StatusBadRequest, codeTQL, tqlMessage+" "+err.Error()+".")
}

// answer is a whole response.
type answer struct {
	status int
	kind   string // media type; JSON when empty
	header map[string]string
	body   []byte
	cut    bool // the connection breaks in the middle of the body
	pooled bool // the body is used again
}

func (a answer) sendTo(w http.ResponseWriter) {
	kind := a.kind
	if kind == "" {
		kind = "application/json;charset=UTF-8"
	}
	for name, value := range a.header {
		w.Header().Set(name, value)
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(a.status)
	if a.cut {
		w.Write(a.body[:len(a.body)/2])       //nolint:errcheck // the reader may be gone
		http.NewResponseController(w).Flush() //nolint:errcheck // without it the client sees less
		panic(http.ErrAbortHandler)
	}
	w.Write(a.body) //nolint:errcheck // the reader may be gone
	if a.pooled {
		bodies.Put(&a.body)
	}
}

// bodies are those of pages: tens of megabytes, which would keep the garbage collector busy.
var bodies sync.Pool

func newBody(size int) []byte {
	if b, ok := bodies.Get().(*[]byte); ok && cap(*b) >= size {
		return (*b)[:0]
	}
	return make([]byte, 0, size)
}

func jsonAnswer(status int, body any) answer {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(body); err != nil {
		panic(err) // only what the stand-in itself made
	}
	return answer{status: status, body: text.Bytes()}
}

func errorAnswer(err error) answer {
	var r *refusal
	if !errors.As(err, &r) {
		r = &refusal{http.StatusInternalServerError, codeInternal, err.Error()}
	}
	body := map[string]string{"message": r.message, "status": "Error"}
	if r.code != "" {
		body["errCode"] = r.code
	}
	return jsonAnswer(r.status, body)
}

func htmlAnswer(status int) answer {
	text := strconv.Itoa(status) + " " + http.StatusText(status)
	return answer{status: status, kind: "text/html", body: []byte("<html><head><title>" + text + "</title></head><body><center><h1>" + text +
		"</h1></center><hr><center>proxy</center></body></html>\r\n")}
}
