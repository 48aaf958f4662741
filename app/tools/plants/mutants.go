package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// mutant is a small change that a compiler takes and that a test should not.
type mutant struct {
	change
	// function is where it stands, before and after are its line; line is the number of that.
	function, before, after string
	line                    int
}

// key names the mutant in the list of those that are explained, whatever its line is.
func (m mutant) key() string { return m.file + " " + m.function + "\t" + m.before + "\t" + m.after }

func (m mutant) String() string {
	return fmt.Sprintf("%s:%d %s\n\t%s\n\t%s", m.file, m.line, m.function, m.before, m.after)
}

// findMutants are those of a package's files, or of one file; path is from the top of the repository.
func findMutants(root, path string) (pkg string, all []mutant, err error) {
	names := []string{filepath.Base(path)}
	if pkg = filepath.ToSlash(filepath.Dir(path)); !strings.HasSuffix(path, ".go") {
		pkg = filepath.ToSlash(filepath.Clean(path))
		files, err := filepath.Glob(filepath.Join(root, pkg, "*.go"))
		if err != nil || len(files) == 0 {
			return "", nil, fmt.Errorf("there is no package %s (%w)", pkg, err)
		}
		names = names[:0]
		for _, f := range files {
			names = append(names, filepath.Base(f))
		}
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file := pkg + "/" + name
		data, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			return "", nil, err
		}
		s, err := parseSource(file, data)
		if err != nil {
			return "", nil, err
		}
		if ast.IsGenerated(s.file) {
			continue
		}
		all = append(all, s.findMutants(file)...)
	}
	for i := range all {
		all[i].name = fmt.Sprint("m", i)
	}
	return pkg, all, nil
}

// findMutants are those of all functions without type parameters.
func (s *source) findMutants(file string) (all []mutant) {
	for _, d := range s.file.Decls {
		f, isFunction := d.(*ast.FuncDecl)
		if !isFunction || f.Body == nil || f.Type.TypeParams != nil {
			continue
		}
		v := &mutator{source: s}
		ast.Inspect(f.Body, v.visit)
		for _, e := range v.edits {
			all = append(all, s.describe(file, f, e))
		}
	}
	return all
}

// describe names what an edit does.
func (s *source) describe(file string, f *ast.FuncDecl, e edit) mutant {
	name := f.Name.Name
	if f.Recv != nil {
		receiver := f.Recv.List[0].Type
		name = strings.TrimPrefix(s.text(receiver.Pos(), receiver.End()), "*") + "." + name
	}
	from := strings.LastIndexByte(string(s.data[:e.from]), '\n') + 1
	to := e.to + strings.IndexByte(string(s.data[e.to:])+"\n", '\n')
	line := string(s.data[from:to])
	changed := string(apply([]byte(line), []edit{{e.from - from, e.to - from, e.text}}))
	oneLine := func(text string) string { return strings.Join(strings.Fields(text), " ") }
	return mutant{change{file: file, from: e.from, to: e.to, text: e.text}, name, oneLine(line), oneLine(changed), 1 + strings.Count(string(s.data[:e.from]), "\n")}
}

// mutator collects the changes to be tried in a function. Each of them compiles, whatever the types are.
type mutator struct {
	*source
	edits []edit
	// failing are the returns of an error; what is returned beside it means nothing.
	failing []*ast.ReturnStmt
}

func (v *mutator) replace(from, to token.Pos, text string) {
	v.edits = append(v.edits, edit{v.offset(from), v.offset(to), text})
}

func (v *mutator) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.BinaryExpr:
		for _, op := range operators[n.Op] {
			v.replace(n.OpPos, n.OpPos+token.Pos(len(n.Op.String())), op.String())
		}
	case *ast.IfStmt:
		v.negate(n.Cond)
		v.noteFailing(n.Cond, n.Body.List)
	case *ast.BlockStmt:
		v.dropEach(n.List)
	case *ast.CaseClause:
		v.dropEach(n.Body)
		if len(n.List) == 1 {
			v.noteFailing(n.List[0], n.Body)
		}
		for _, e := range n.List {
			if _, isNumber := e.(*ast.BasicLit); !isNumber {
				ast.Inspect(e, v.visit)
			}
		}
		for _, s := range n.Body {
			ast.Inspect(s, v.visit)
		}
		return false
	case *ast.CommClause:
		v.dropEach(n.Body)
	case *ast.ArrayType:
		return false
	case *ast.GenDecl:
		return n.Tok == token.VAR
	case *ast.BasicLit:
		if _, err := strconv.ParseInt(n.Value, 0, 64); n.Kind == token.INT && err == nil {
			v.replace(n.Pos(), n.End(), "("+n.Value+" + 1)")
		}
	case *ast.ReturnStmt:
		if slices.Contains(v.failing, n) || v.makesError(n) {
			ast.Inspect(n.Results[len(n.Results)-1], v.visit)
			return false
		}
		for _, e := range n.Results {
			if id, isName := e.(*ast.Ident); isName && (id.Name == "true" || id.Name == "false") {
				v.replace(id.Pos(), id.End(), "!"+id.Name)
			}
		}
	case *ast.CallExpr:
		if makesChannel(n) { // whether it has room for one more is seldom to be seen
			return false
		}
		if id, isName := n.Fun.(*ast.Ident); isName && (id.Name == "min" || id.Name == "max") {
			v.replace(id.Pos(), id.End(), map[string]string{"min": "max", "max": "min"}[id.Name])
		}
	case *ast.IncDecStmt:
		v.replace(n.TokPos, n.TokPos+2, map[token.Token]string{token.INC: "--", token.DEC: "++"}[n.Tok])
	}
	return true
}

// operators are what stands in place of an operator. + may join texts, and stays.
var operators = map[token.Token][]token.Token{
	token.EQL: {token.NEQ}, token.NEQ: {token.EQL},
	token.LSS: {token.LEQ, token.GEQ}, token.LEQ: {token.LSS, token.GTR},
	token.GTR: {token.GEQ, token.LEQ}, token.GEQ: {token.GTR, token.LSS},
	token.LAND: {token.LOR}, token.LOR: {token.LAND}, token.SUB: {token.ADD},
}

// noteFailing notes the returns of what happens where an error is not nil.
func (v *mutator) noteFailing(cond ast.Expr, body []ast.Stmt) {
	if v.text(cond.Pos(), cond.End()) != "err != nil" {
		return
	}
	for _, s := range body {
		if r, isReturn := s.(*ast.ReturnStmt); isReturn && len(r.Results) > 1 {
			v.failing = append(v.failing, r)
		}
	}
}

// makesError says that a return makes an error beside something else.
func (v *mutator) makesError(r *ast.ReturnStmt) bool {
	if len(r.Results) < 2 {
		return false
	}
	call, isCall := r.Results[len(r.Results)-1].(*ast.CallExpr)
	return isCall && slices.Contains([]string{"fmt.Errorf", "errors.New", "context.Cause"}, v.text(call.Fun.Pos(), call.Fun.End()))
}

func makesChannel(call *ast.CallExpr) bool {
	id, isName := call.Fun.(*ast.Ident)
	if !isName || id.Name != "make" {
		return false
	}
	_, isChannel := call.Args[0].(*ast.ChanType)
	return isChannel
}

// negate negates a condition that no operator is changed in.
func (v *mutator) negate(cond ast.Expr) {
	if b, isBinary := cond.(*ast.BinaryExpr); isBinary && operators[b.Op] != nil {
		return
	}
	v.replace(cond.Pos(), cond.End(), "!("+v.text(cond.Pos(), cond.End())+")")
}

// dropEach leaves out each statement that others do not need to compile.
func (v *mutator) dropEach(list []ast.Stmt) {
	for _, s := range list {
		switch s := s.(type) {
		case *ast.ExprStmt, *ast.DeferStmt, *ast.GoStmt, *ast.SendStmt:
		case *ast.AssignStmt:
			if s.Tok == token.DEFINE {
				continue
			}
		case *ast.BranchStmt:
			if s.Tok != token.CONTINUE && s.Tok != token.BREAK {
				continue
			}
		default:
			continue
		}
		v.replace(s.Pos(), s.End(), "if false { "+v.text(s.Pos(), s.End())+" }")
	}
}

// sortMutants puts them in the order of the source.
func sortMutants(list []mutant) {
	slices.SortFunc(list, func(a, b mutant) int { return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.from, b.from)) })
}
