// Package web serves the four screens and the same as JSON. Everything it answers works under any path prefix:
// each URL it writes is relative, and no state lives in a cookie.
//
// The files api_*.go hold the JSON routes and their contract: the structs named …View, whose tags say how a member is
// called, and testdata/answers.txt, which holds every answer byte for byte. The files *_page.go hold the screens; what
// a screen looks like stands in package templates. What both share about a subject stands in a file named after it.
package web

import (
	"io"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"mssentinel/templates"
)

// New gives the handler for all routes. Paths are relative to the Service's root.
func New(o Options) http.Handler {
	o.Pipeline = maskedPipeline{o.Pipeline}
	s := &server{Options: o, started: time.Now()}

	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = s.answerError
	e.Logger.SetOutput(io.Discard) // what matters goes to the Service's log
	e.Pre(normalisePath)
	e.Use(setHeaders, s.goFirst, s.surviveFault, limitRequest, guardAPI)

	e.GET("/", leadToPages)
	e.GET("/v1", leadBack)
	e.GET("/v1/*", leadBack)
	e.GET("/ui", s.showConfigure, requireSlash)
	e.GET("/static/:hash/:file", echo.WrapHandler(http.StripPrefix("/static/", templates.Static())))
	s.routeAPI(e.Group("/api"))
	s.routePages(e.Group("/ui"))
	return e
}

// routeAPI names the JSON routes. What a call must carry to change state is checked by guardAPI.
func (s *server) routeAPI(g *echo.Group) {
	g.GET("/health", s.getHealth)
	g.GET("/status", s.getStatus)
	g.GET("/tc_info", s.getInfo)
	g.GET("/tql-config", s.listQueries)
	g.POST("/tql-config", s.saveQueries)
	g.GET("/tql-config/versions", s.listVersions)
	g.GET("/tql-config/versions/:number", s.getVersion)
	g.POST("/tql-config/test", s.testQuery)
	g.POST("/tql-config/preview", s.previewQuery)
	g.GET("/job/request", s.listJobs)
	g.POST("/job/request", s.submitJob)
	g.GET("/job/request/:id/retirement", s.listHeld)
	g.GET("/job/request/:id/retirement.csv", s.exportHeld)
	g.POST("/job/request/:id/retirement", s.answerRetirement)
	g.DELETE("/job/request/:id", s.cancelJob)
	g.POST("/job/request/:id/retry", s.retryJob)
	g.GET("/task", s.listTasks)
	g.PUT("/task/:slug", s.commandTask)
	g.DELETE("/task/:slug", s.killTask)
	g.GET("/activity", s.tellActivity)
	g.GET("/indicator", s.lookUpIndicator)
	g.GET("/report/batch-error", s.listProblems)
	g.POST("/report/batch-error/retry", s.retryProblems)
	g.GET("/report/batch-error.csv", s.exportCSV)
	g.GET("/report/batch-error.json", s.exportJSON)
	g.GET("/content", s.downloadContent)
	g.GET("/verify", s.getVerification)
	g.POST("/verify", s.startVerification)
	g.DELETE("/verify", s.cancelVerification)
	g.POST("/verify/repair", s.repairDifferences)
	g.GET("/doctor", s.getReport)
	g.GET("/doctor.txt", s.downloadReport)
	g.POST("/doctor", s.startDoctor)
	g.GET("/doctor/pages", s.listPageRequests)
	g.POST("/doctor/pages", s.recordPages)
	g.Match(echoMethods, "/doctor/echo", s.echoRequest)
	g.Match(echoMethods, "/doctor/echo/*", s.echoRequest)
}

// routePages names the screens. Edit mode checks its token itself, since a draft must not be lost with it.
func (s *server) routePages(g *echo.Group) {
	g.GET("/", s.showConfigure)
	g.GET("/preview", s.showPreview)
	g.GET("/export", s.exportQueries)
	g.GET("/history", s.showHistory)
	g.GET("/edit", s.openEditor)
	g.POST("/edit", s.editQueries)
	g.GET("/jobs", s.showJobs)
	g.POST("/jobs", s.submitJobForm, s.requireToken)
	g.GET("/verify", s.showVerify)
	g.POST("/verify", s.submitVerifyForm, s.requireToken)
	g.GET("/tasks", s.showTasks)
	g.GET("/status", s.showStatus)
	g.GET("/help", s.showHelp)
	g.GET("/settings", s.showSettings)
	g.POST("/settings", s.testConnection, s.requireToken)
	g.POST("/tasks", s.submitTaskForm, s.requireToken)
	g.GET("/report", s.showReport)
	g.POST("/report", s.submitReportForm, s.requireToken)
	g.GET("/activity", s.showActivity)
	g.GET("/indicator", s.showIndicator)
	g.GET("/content", s.showContent)
	g.GET("/doctor", s.showDoctor)
	g.POST("/doctor", s.submitDoctorForm, s.requireToken)
}
