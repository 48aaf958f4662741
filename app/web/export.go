package web

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"mssentinel/app/job"
	"mssentinel/app/text"
)

// How many lines of REPORT one file has, and how long its texts are in bytes: the platform carries 8 MiB in an answer
// (app/docs/platform.md#time-limits), CSV doubles quotes, and JSON takes up to six bytes for one.
const (
	csvLines    = 4000
	csvMessage  = 400
	csvValue    = 200
	jsonLines   = 500
	jsonMessage = 700
	jsonRaw     = 1500
)

// maxParts is how many files an export may have.
const maxParts = 10_000

// exportCSV is GET api/report/batch-error.csv: what the filter selects, newest first, as one of several numbered files.
func (s *server) exportCSV(c echo.Context) error {
	return s.exportProblems(c, "csv", csvLines, "text/csv; charset=utf-8", func(w io.Writer) (func(job.Problem) error, func() error) {
		rows := csv.NewWriter(w)
		rows.UseCRLF = true
		heads := rows.Write([]string{"date_added", "severity", "step", "code", "message", "value", "type", "owner", "indicator_id", "indicator_link", "request_id", "id"})
		write := func(p job.Problem) error {
			link := ""
			if p.Indicator != 0 {
				link = s.indicatorLink(p.Indicator).URL
			}
			return rows.Write(safeCells(p.DateAdded.UTC().Format(time.RFC3339), severityOf(p), string(p.Step), string(p.Code),
				text.Line(p.Message, csvMessage), text.Line(p.Value, csvValue), p.Type, text.Line(p.Owner, csvValue), formatID(p.Indicator), link,
				p.RequestID, strconv.FormatInt(p.ID, 10)))
		}
		return write, func() error {
			rows.Flush()
			if heads != nil {
				return heads
			}
			return rows.Error()
		}
	})
}

// exportJSON is GET api/report/batch-error.json: the same as an array of lines.
func (s *server) exportJSON(c echo.Context) error {
	return s.exportProblems(c, "json", jsonLines, "application/json; charset=utf-8", func(w io.Writer) (func(job.Problem) error, func() error) {
		separator := "[\n"
		write := func(p job.Problem) error {
			p.Message, p.Raw = text.Cut(p.Message, jsonMessage), text.Cut(p.Raw, jsonRaw)
			line, err := json.Marshal(newProblemView(p))
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(w, "%s%s", separator, line)
			separator = ",\n"
			return err
		}
		return write, func() error {
			if separator == "[\n" {
				_, err := io.WriteString(w, "[]\n")
				return err
			}
			_, err := io.WriteString(w, "\n]\n")
			return err
		}
	})
}

// exportProblems answers with one numbered file of lines. Files that belong together have the same newest line.
func (s *server) exportProblems(c echo.Context, kind string, lines int, contentType string,
	open func(io.Writer) (write func(job.Problem) error, end func() error)) error {
	filter, err := readProblemFilter(c)
	if err != nil {
		return err
	}
	part, err := readNumber(c, "part", 1, 1, maxParts)
	if err != nil {
		return err
	}
	newest, err := readNumber(c, "newest", 0, 0, 1<<62)
	if err != nil {
		return err
	}
	filter.Newest, filter.Offset = int64(newest), (part-1)*lines
	setAttachment(c, contentType, fmt.Sprintf("ms-sentinel-errors-%d.%s", part, kind))
	write, end := open(c.Response())
	if err := s.Store.EachProblem(c.Request().Context(), filter, lines, write); err != nil {
		return abortAttachment(c, fmt.Errorf("exporting the errors: %w", err))
	}
	return end()
}

// setAttachment makes the answer a file of this name.
func setAttachment(c echo.Context, contentType, name string) {
	h := c.Response().Header()
	h.Set(echo.HeaderContentType, contentType)
	h.Set(echo.HeaderContentDisposition, fmt.Sprintf(`attachment; filename="%s"`, name))
}

// abortAttachment makes the answer a sentence again where nothing of the file was sent yet. It returns err.
func abortAttachment(c echo.Context, err error) error {
	if !c.Response().Committed {
		c.Response().Header().Del(echo.HeaderContentDisposition)
	}
	return err
}

// exportLinks are the addresses of the files of an export of total lines.
func exportLinks(kind string, lines int, params url.Values, newest, total int64) []string {
	var links []string
	for part := int64(1); part <= maxParts && (part-1)*int64(lines) < total; part++ {
		with := withNumber(withNumber(params, "part", part), "newest", newest)
		links = append(links, pageURL("../api/report/batch-error."+kind, with))
	}
	return links
}

// formulaStarts are what a formula begins with in a spreadsheet, in the wide forms of East Asia as well.
const formulaStarts = "=+-@\t\r\n＝＋－＠"

// safeCells are values that a spreadsheet takes for text: what would begin a formula gets an apostrophe before it.
func safeCells(values ...string) []string {
	for i, v := range values {
		if first, _ := utf8.DecodeRuneInString(v); v != "" && strings.ContainsRune(formulaStarts, first) {
			values[i] = "'" + v
		}
	}
	return values
}

func severityOf(p job.Problem) string {
	if p.Note {
		return "note"
	}
	return "error"
}

// formatID is "" for no id.
func formatID(id int64) string {
	if id == 0 {
		return ""
	}
	return strconv.FormatInt(id, 10)
}
