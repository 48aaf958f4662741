package web

import (
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/labstack/echo/v4"

	"mssentinel/app/doctor"
	"mssentinel/app/pipeline"
)

const (
	// doctorTask is the slug of the task that runs the doctor.
	doctorTask = "doctor"
	// echoLimit bounds a request to the echo. It is longer than that may wait.
	echoLimit = doctor.MaxWait + 5*time.Second
	// maxVariable and maxIndicator bound in bytes what an operator names.
	maxVariable  = 200
	maxIndicator = 2000
)

var echoMethods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
	http.MethodOptions}

// isEcho tells the addresses whose requests the doctor's echo answers.
func isEcho(path string) bool {
	rest, found := strings.CutPrefix(path, "/"+doctor.EchoPath)
	return found && (rest == "" || rest[0] == '/')
}

// MayTakeLong says of a path below the Service's root, with a slash before it or without, that its answer may take up to
// 50 s: the doctor's page has the App wait, to find out how long the platform does. Every other answer takes 25 s at most.
func MayTakeLong(path string) bool { return isEcho("/" + strings.TrimLeft(path, "/")) }

// reportView is the answer of GET api/doctor.
type reportView struct {
	// Headline is the verdict line.
	Headline string `json:"headline"`
	doctor.Report
}

var errNoReport = httpErrorf(http.StatusNotFound,
	"The doctor has not run yet. Run it with POST api/doctor, or on TASKS.")

func (s *server) getReport(c echo.Context) error {
	report, ok := s.Doctor.Last()
	if !ok {
		return errNoReport
	}
	return c.JSON(http.StatusOK, reportView{report.Headline(), report})
}

func (s *server) downloadReport(c echo.Context) error {
	report, ok := s.Doctor.Last()
	if !ok {
		return errNoReport
	}
	c.Response().Header().Set(echo.HeaderContentDisposition, "attachment; filename=ms-sentinel-doctor.txt")
	return c.Blob(http.StatusOK, "text/plain; charset=utf-8", []byte(report.Text()))
}

// doctorBody is what POST api/doctor takes. Large bodies are sent with "confirm":true alone.
type doctorBody struct {
	LargeBodies bool   `json:"large_bodies"`
	Variable    string `json:"variable"`
	Indicator   string `json:"indicator"`
	Confirm     bool   `json:"confirm"`
}

// startDoctor is POST api/doctor. Its answer is what was started.
func (s *server) startDoctor(c echo.Context) error {
	body, err := decodeBody[doctorBody](c)
	if err != nil {
		return err
	}
	if body.LargeBodies && !body.Confirm {
		return httpErrorf(http.StatusBadRequest,
			`Requests of up to 4 MiB go to Microsoft Sentinel and count towards its limit, and what stands between may hold them against this Service: send "confirm":true to send them.`)
	}
	request := doctor.Request{LargeBodies: body.LargeBodies, Variable: body.Variable, Indicator: body.Indicator}
	if err := s.runDoctor(c, request); err != nil {
		return err
	}
	return c.JSON(http.StatusAccepted, request)
}

// runDoctor has the task ask its questions, as far as the request allows. While it is at work it is refused.
func (s *server) runDoctor(c echo.Context, request doctor.Request) error {
	for _, named := range []struct {
		what, name string
		limit      int
	}{{"variable", request.Variable, maxVariable}, {"indicator", request.Indicator, maxIndicator}} {
		if len(named.name) > named.limit || strings.ContainsFunc(named.name, unicode.IsControl) {
			return httpErrorf(http.StatusBadRequest, "The %s is not what this takes: send one line of at most %d bytes.", named.what, named.limit)
		}
	}
	if s.isDoctorAtWork() { // else what is asked for would be left for the next run
		return errAtWork
	}
	if err := s.Doctor.Ask(request); errors.Is(err, doctor.ErrRunning) {
		return errAtWork
	} else if err != nil {
		return err
	}
	err := s.Pipeline.RunTask(c.Request().Context(), doctorTask)
	if err != nil { // what was allowed must not wait for a run that somebody else begins
		s.Doctor.Ask(doctor.Request{}) //nolint:errcheck // a run that has begun meanwhile has taken it
	}
	return s.explainTask(doctorTask, err)
}

var errAtWork = httpErrorf(http.StatusConflict, "The doctor is at work already. Wait for its end, or kill it on TASKS.")

func (s *server) findDoctorTask() (task pipeline.Task) {
	for _, t := range s.Pipeline.Tasks() {
		if t.Slug == doctorTask {
			return t
		}
	}
	return pipeline.Task{}
}

func (s *server) isDoctorAtWork() bool { return s.findDoctorTask().Status == "Running" }

// listPageRequests is what the script of the doctor's page asks, with the waits that the operator chose.
func (s *server) listPageRequests(c echo.Context) error {
	waits, err := parseWaits(c.QueryParam("waits"))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, doctor.PageRequests(waits))
}

func parseWaits(list string) ([]time.Duration, error) {
	if strings.TrimSpace(list) == "" {
		return nil, nil
	}
	waits, err := doctor.ParseWaits(list)
	if err != nil {
		return nil, httpErrorf(http.StatusBadRequest, "The waits are not what this takes: %v. Send numbers with commas between them.", err)
	}
	return waits, nil
}

// pagesBody is what POST api/doctor/pages takes from the script of the doctor's page. Token is that of the page.
type pagesBody struct {
	Token   string              `json:"token"`
	Waits   string              `json:"waits"`
	Results []doctor.PageResult `json:"results"`
}

// recordPages takes what the page found.
func (s *server) recordPages(c echo.Context) error {
	body, err := decodeBody[pagesBody](c)
	if err != nil {
		return err
	}
	if s.verifyToken(body.Token) != tokenValid {
		return errToken
	}
	waits, err := parseWaits(body.Waits)
	if err != nil {
		return err
	}
	if err := s.Doctor.RecordPages(waits, body.Results); errors.Is(err, doctor.ErrForeign) {
		return httpErrorf(http.StatusBadRequest, "These are no results of the requests of the doctor's page. Reload it and ask again.")
	} else if err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// echoRequest tells the page what was seen of its request.
func (s *server) echoRequest(c echo.Context) error {
	s.echo.ServeHTTP(c.Response(), c.Request())
	return nil
}
