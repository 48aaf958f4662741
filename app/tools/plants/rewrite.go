package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// switchVariable is the environment variable that says which change of a build is in force; without it none is.
const switchVariable = "MS_SENTINEL_PLANT"

// change is a change of the source that a build holds beside the original: where it is in force, the function that it stands in
// is replaced by a copy with it.
type change struct {
	name string // unique within a build
	file string // from the top of the repository
	// from and to are the offsets of what is replaced by text.
	from, to int
	text     string
}

// source is a file that changes are made in.
type source struct {
	data []byte
	fset *token.FileSet
	file *ast.File
}

func parseSource(path string, data []byte) (*source, error) {
	s := &source{data: data, fset: token.NewFileSet()}
	var err error
	if s.file, err = parser.ParseFile(s.fset, path, data, parser.ParseComments); err != nil {
		return nil, fmt.Errorf("parsing %s: %w", path, err)
	}
	return s, nil
}

func (s *source) offset(p token.Pos) int { return s.fset.Position(p).Offset }

// text is the source between two positions.
func (s *source) text(from, to token.Pos) string { return string(s.data[s.offset(from):s.offset(to)]) }

// edit replaces a part of a file.
type edit struct {
	from, to int
	text     string
}

// apply carries out edits that do not overlap.
func apply(data []byte, edits []edit) []byte {
	slices.SortStableFunc(edits, func(a, b edit) int { return cmp.Compare(a.from, b.from) })
	var out bytes.Buffer
	at := 0
	for _, e := range edits {
		out.Write(data[at:e.from])
		out.WriteString(e.text)
		at = e.to
	}
	out.Write(data[at:])
	return out.Bytes()
}

// addSwitches is the file with every change in it, each behind its switch.
func (s *source) addSwitches(changes []change) ([]byte, error) {
	functions, values := map[*ast.FuncDecl][]change{}, map[ast.Expr][]change{}
	for _, c := range changes {
		f, v := s.enclosing(c.from, c.to)
		switch {
		case f != nil:
			functions[f] = append(functions[f], c)
		case v != nil:
			values[v] = append(values[v], c)
		default:
			return nil, fmt.Errorf("the change %s stands neither in the body of a function without type parameters nor in the value of a variable", c.name)
		}
	}
	var edits []edit
	var copies strings.Builder
	for f, list := range functions {
		edits = append(edits, s.dispatch(f, list)...)
		for _, c := range list {
			copies.WriteString(s.copyFunction(f, c))
		}
	}
	for v, list := range values {
		edits = append(edits, s.pickValue(v, list))
	}
	return append(apply(s.data, edits), copies.String()...), nil
}

// enclosing is the function in whose body, or the variable in whose value, a part of the file stands.
func (s *source) enclosing(from, to int) (*ast.FuncDecl, ast.Expr) {
	within := func(n ast.Node) bool { return s.offset(n.Pos()) <= from && to <= s.offset(n.End()) }
	for _, d := range s.file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Body != nil && within(d.Body) && d.Type.TypeParams == nil {
				return d, nil
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if v, isValue := spec.(*ast.ValueSpec); isValue && d.Tok == token.VAR && len(v.Values) == 1 && len(v.Names) == 1 && within(v.Values[0]) {
					return nil, v.Values[0]
				}
			}
		}
	}
	return nil, nil
}

// copyName names the copy of a function with a change.
func copyName(f *ast.FuncDecl, c change) string {
	return f.Name.Name + "_" + strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, c.name)
}

// copyFunction is the function with a change, under the name of the copy.
func (s *source) copyFunction(f *ast.FuncDecl, c change) string {
	start := s.offset(f.Pos())
	name := edit{s.offset(f.Name.Pos()) - start, s.offset(f.Name.End()) - start, copyName(f, c)}
	return "\n" + string(apply(s.data[start:s.offset(f.End())], []edit{name, {c.from - start, c.to - start, c.text}})) + "\n"
}

// dispatch has a function call the copy whose change is in force.
func (s *source) dispatch(f *ast.FuncDecl, list []change) []edit {
	var edits []edit
	receiver := ""
	if f.Recv != nil {
		text, names := s.nameFields(f.Recv, "plantedReceiver")
		receiver = names[0] + "."
		edits = append(edits, edit{s.offset(f.Recv.Opening), s.offset(f.Recv.Closing) + 1, text})
	}
	text, names := s.nameFields(f.Type.Params, "plantedArgument")
	edits = append(edits, edit{s.offset(f.Type.Params.Opening), s.offset(f.Type.Params.Closing) + 1, text})
	var calls strings.Builder
	for _, c := range list {
		call := receiver + copyName(f, c) + "(" + strings.Join(names, ", ") + ")"
		if f.Type.Results != nil {
			call = "return " + call
		} else {
			call += "\n\t\treturn"
		}
		fmt.Fprintf(&calls, "\n\tif plantedFault == %q {\n\t\t%s\n\t}", c.name, call)
	}
	at := s.offset(f.Body.Lbrace) + 1
	return append(edits, edit{at, at, calls.String() + "\n"})
}

// nameFields is a list of parameters in which every one has a name, and these names as a call passes them on.
func (s *source) nameFields(list *ast.FieldList, prefix string) (text string, arguments []string) {
	var fields []string
	for _, f := range list.List {
		names := make([]string, max(1, len(f.Names)))
		for i := range names {
			names[i] = fmt.Sprint(prefix, len(arguments))
			if len(f.Names) > 0 && f.Names[i].Name != "_" {
				names[i] = f.Names[i].Name
			}
			argument := names[i]
			if _, isVariadic := f.Type.(*ast.Ellipsis); isVariadic {
				argument += "..."
			}
			arguments = append(arguments, argument)
		}
		fields = append(fields, strings.Join(names, ", ")+" "+s.text(f.Type.Pos(), f.Type.End()))
	}
	return "(" + strings.Join(fields, ", ") + ")", arguments
}

// pickValue has a variable begin with the value that is in force.
func (s *source) pickValue(v ast.Expr, list []change) edit {
	from, to := s.offset(v.Pos()), s.offset(v.End())
	text := string(s.data[from:to])
	for _, c := range list {
		changed := apply(s.data[from:to], []edit{{c.from - from, c.to - from, c.text}})
		text = fmt.Sprintf("plantedValue(%q, %s, %s)", c.name, changed, text)
	}
	return edit{from, to, text}
}

// switchFile is what every package with changes gets beside its own files.
const switchFile = `package %s

import "os"

var plantedFault = os.Getenv("` + switchVariable + `")

func plantedValue[T any](name string, changed, original T) T {
	if plantedFault == name {
		return changed
	}
	return original
}
`

// writeOverlay writes the changed files below dir, and gives the path of the file for the option -overlay of the go command.
func writeOverlay(root, dir string, changes []change) (string, error) {
	byFile := map[string][]change{}
	for _, c := range changes {
		byFile[c.file] = append(byFile[c.file], c)
	}
	replace := map[string]string{}
	write := func(path string, data []byte) error {
		real := filepath.Join(dir, fmt.Sprint(len(replace), ".go"))
		replace[filepath.Join(root, path)] = real
		return os.WriteFile(real, data, 0o600)
	}
	for path, list := range byFile {
		data, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			return "", err
		}
		s, err := parseSource(path, data)
		if err != nil {
			return "", err
		}
		changed, err := s.addSwitches(list)
		if err != nil {
			return "", fmt.Errorf("%s: %w", path, err)
		}
		if err := write(path, changed); err != nil {
			return "", err
		}
		switches := filepath.Join(filepath.Dir(path), "planted_switch.go")
		if _, written := replace[filepath.Join(root, switches)]; !written {
			if err := write(switches, fmt.Appendf(nil, switchFile, s.file.Name.Name)); err != nil {
				return "", err
			}
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	path := filepath.Join(dir, "overlay.json")
	return path, errors.Join(err, os.WriteFile(path, overlay, 0o600))
}
