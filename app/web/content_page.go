package web

import (
	"fmt"
	"net/http"
	"net/url"
	"path"

	"github.com/labstack/echo/v4"

	"mssentinel/app/sentinel/content"
	"mssentinel/templates"
)

// contentKinds are the kinds of content in the order in which the page shows them.
var contentKinds = []struct{ kind, title, text string }{
	{"rule", "Analytic rules", "Scheduled rules that raise an alert where an event matches. A table that the workspace does not have is left out."},
	{"hunting", "Hunting queries", "Questions for an analyst, who runs them. They need the function."},
	{"function", "Function", "For queries of your own: what stands now, with the description in columns."},
	{"workbook", "Workbook", "Needs the function."},
}

// showContent is the CONTENT view of REPORT.
func (s *server) showContent(c echo.Context) error {
	view := templates.ContentPage{Frame: s.newFrame(c, "Content", "report")}
	var err error
	if view.Template, err = newContentFile(content.Template); err != nil {
		return err
	}
	items := content.Items()
	for _, k := range contentKinds {
		group := templates.ContentGroup{ID: "kind-" + k.kind, Title: k.title, Text: k.text}
		for _, item := range items {
			if item.Kind != k.kind {
				continue
			}
			file, err := newContentFile(item.File)
			if err != nil {
				return err
			}
			group.Items = append(group.Items, templates.ContentItem{ContentFile: file, Title: item.Name, Description: item.Description,
				Severity: item.Severity, Tables: item.Tables, Cost: item.Cost})
		}
		view.Groups = append(view.Groups, group)
	}
	return renderPage(c, http.StatusOK, templates.Content(view))
}

func newContentFile(name string) (templates.ContentFile, error) {
	text, err := content.Read(name)
	if err != nil {
		return templates.ContentFile{}, fmt.Errorf("reading the content for Sentinel: %w", err)
	}
	address := pageURL("../api/content", url.Values{"file": {name}})
	return templates.ContentFile{URL: address, Name: contentName(name), Size: int64(len(text))}, nil
}

// contentName is what a file is called where it is saved.
func contentName(name string) string {
	if name == content.Template {
		return "threatconnect-sentinel-template.json"
	}
	return "threatconnect-" + path.Base(name)
}

// downloadContent is GET api/content: one file for Microsoft Sentinel, the template unless file names another.
func (s *server) downloadContent(c echo.Context) error {
	name := c.QueryParam("file")
	if name == "" {
		name = content.Template
	}
	text, err := content.Read(name)
	if err != nil {
		return httpErrorf(http.StatusNotFound, "There is no such content. CONTENT, a view of REPORT, has all files.")
	}
	kind := "application/json; charset=utf-8"
	if path.Ext(name) == ".yaml" {
		kind = "application/yaml; charset=utf-8"
	}
	setAttachment(c, kind, contentName(name))
	return c.Blob(http.StatusOK, kind, text)
}
