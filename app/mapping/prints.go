package mapping

import (
	"bytes"
	"io"
	"regexp"
	"strings"
	"sync"

	"mssentinel/app/text"
)

// maxPrints bounds how many lines of a stream are kept, the first of them.
const maxPrints = 10

// prints keeps the first lines of what a mapper prints, for its check. A nil *prints keeps nothing.
type prints struct {
	mu             sync.Mutex
	stdout, stderr stream
}

// stream is what was printed to one file.
type stream struct {
	lines []string
	count int
	rest  []byte // of a line that has not ended, at most maxLine of it
}

// protocolLine is what no author printed: the line by which a mapper says that it serves, and what go-plugin says for debugging.
var protocolLine = regexp.MustCompile(`^(\d+\|-?\d+\|(unix|tcp)\||\{"@level":"debug")`)

// add takes lines in whatever pieces they come.
func (s *stream) add(p []byte) {
	for len(p) > 0 {
		line, rest, ended := bytes.Cut(p, []byte("\n"))
		s.rest = append(s.rest, line[:min(len(line), maxLine-min(len(s.rest), maxLine))]...)
		if ended {
			s.endLine()
		}
		p = rest
	}
}

func (s *stream) endLine() {
	line := strings.TrimSpace(string(s.rest))
	s.rest = s.rest[:0]
	if line == "" || protocolLine.MatchString(line) {
		return
	}
	s.count++
	if len(s.lines) < maxPrints {
		s.lines = append(s.lines, text.Cut(line, maxLine/4))
	}
}

// list gives the lines kept, and how many there were.
func (p *prints) list(stdout bool) (lines []string, count int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.of(stdout)
	if len(s.rest) > 0 {
		s.endLine()
	}
	return s.lines, s.count
}

func (p *prints) of(stdout bool) *stream {
	if stdout {
		return &p.stdout
	}
	return &p.stderr
}

// copyTo gives the writers of what go-plugin in a mapper sends instead of printing it, which all goes to w as well.
func (p *prints) copyTo(w io.Writer) (stdout, stderr io.Writer) {
	if p == nil {
		return w, w
	}
	return io.MultiWriter(w, printsWriter{p, true}), io.MultiWriter(w, printsWriter{p, false})
}

type printsWriter struct {
	prints *prints
	stdout bool
}

func (w printsWriter) Write(p []byte) (int, error) {
	w.prints.mu.Lock()
	defer w.prints.mu.Unlock()
	w.prints.of(w.stdout).add(p)
	return len(p), nil
}

// tee keeps what is read of a pipe.
func (p *prints) tee(pipe io.ReadCloser, stdout bool) io.ReadCloser {
	if p == nil {
		return pipe
	}
	return struct {
		io.Reader
		io.Closer
	}{io.TeeReader(pipe, printsWriter{p, stdout}), pipe}
}
