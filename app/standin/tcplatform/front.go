package tcplatform

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

const (
	requestBody  = "request.body"
	responseBody = "response.body"
	maxBody      = 64 << 20 // bytes
)

// newHandler routes what reaches the front.
func (p *Platform) newHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/api/services/", p.serveRequest)
	p.routeInternal(mux)
	pages := http.NewServeMux()
	p.routePages(pages)
	mux.Handle("/services", http.NewCrossOriginProtection().Handler(pages))
	mux.Handle("/services/", http.NewCrossOriginProtection().Handler(pages))
	mux.Handle("GET /{$}", http.RedirectHandler("/services", http.StatusFound))
	if p.o.API != nil {
		mux.Handle("/", p.o.API)
	}
	return mux
}

// serveRequest carries a request to its Service and the answer back.
func (p *Platform) serveRequest(w http.ResponseWriter, r *http.Request) {
	path, version, rest := p.o.Front.splitPath(r.URL)
	service := p.byPath(path)
	if service == nil || version != service.App.Manifest.majorVersion() {
		http.Error(w, "no Service has this path", http.StatusNotFound)
		return
	}
	l := service.currentLaunch()
	if l == nil {
		http.Error(w, "the Service is not running", http.StatusServiceUnavailable)
		return
	}
	if status, reason := p.refuseRequest(r); status != 0 {
		http.Error(w, reason, status)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, p.o.Front.MaxRequest))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) && p.o.Front.MaxRequest < maxBody {
		http.Error(w, "the body is too large", http.StatusRequestEntityTooLarge)
		return
	}
	if err != nil {
		http.Error(w, "the body cannot be read: "+err.Error(), http.StatusBadRequest)
		return
	}
	if p.o.FormsAsQuery && strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		r.URL.RawQuery, body = strings.Trim(r.URL.RawQuery+"&"+string(body), "&"), nil
	}
	key := uuid.NewString()
	if !p.o.KeepBodies {
		defer p.store.removeKey(key)
	}
	reply, status, err := l.exchangeRequest(r, key, rest, body)
	if err != nil {
		p.log.Warn("no answer", "path", r.URL.Path, "error", err)
		http.Error(w, err.Error(), status)
		return
	}
	l.checkLength(r.Method, key, reply)
	if p.followRedirect(w, r, reply) {
		return
	}
	p.writeAnswer(w, key, reply)
}

// checkLength looks whether the App is right about the length of its body, where it says one.
func (l *launch) checkLength(method, key string, reply answer) {
	body, err := l.service.platform.store.getField(key, reply.bodyVariable)
	if err != nil || method == http.MethodHead {
		return
	}
	for _, h := range reply.headers {
		if strings.EqualFold(h.Name, "Content-Length") && h.Value != strconv.Itoa(len(body)) {
			l.recordStray("an answer of %d bytes with the Content-Length %q", len(body), h.Value)
		}
	}
}

// exchangeRequest passes a request on and waits for the answer. The status is for an error.
func (l *launch) exchangeRequest(r *http.Request, key, path string, body []byte) (answer, int, error) {
	p := l.service.platform
	if len(body) > 0 {
		if err := p.store.putField(key, requestBody, body); err != nil {
			return answer{}, http.StatusBadGateway, err
		}
		if err := p.store.limitLife(key, p.o.BodyLife); err != nil {
			return answer{}, http.StatusBadGateway, err
		}
	}
	wait := l.expectAnswer(key)
	defer l.giveUp(key)
	request, err := json.Marshal(p.runService(r, key, path, len(body) > 0))
	if err != nil {
		return answer{}, http.StatusInternalServerError, err
	}
	if err := p.bus.publishMessage(l.server, request); err != nil {
		return answer{}, http.StatusBadGateway, err
	}
	limit := time.NewTimer(p.o.AnswerTimeout)
	defer limit.Stop()
	select {
	case reply := <-wait:
		return reply, 0, nil
	case <-l.ended:
		return answer{}, http.StatusBadGateway, errors.New("the Service ended before it answered")
	case <-limit.C:
		return answer{}, p.o.Front.TimeoutStatus, errors.New("the Service did not answer in time")
	case <-r.Context().Done():
		return answer{}, http.StatusGatewayTimeout, r.Context().Err()
	}
}

func (p *Platform) writeAnswer(w http.ResponseWriter, key string, reply answer) {
	body, err := p.store.getField(key, reply.bodyVariable)
	if err != nil {
		http.Error(w, "the answer cannot be read: "+err.Error(), http.StatusBadGateway)
		return
	}
	if reply.status == 0 {
		http.Error(w, "the answer has no status", http.StatusBadGateway)
		return
	}
	if int64(len(body)) > p.o.Front.MaxAnswer {
		http.Error(w, "the answer is too large", http.StatusBadGateway)
		return
	}
	for _, h := range reply.headers {
		if !hasName(p.o.Front.DropAnswerHeaders, h.Name) {
			w.Header().Add(h.Name, h.Value)
		}
	}
	if body != nil && !p.o.OwnLength {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(reply.status)
	w.Write(body) //nolint:errcheck // the client may have gone
}
