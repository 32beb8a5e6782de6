package js

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/dop251/goja"
	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/parser"
)

// Bounds of a source text. The parser cannot be interrupted and calls itself for each level of nesting, so they bound its time
// and its stack.
const (
	maxSource  = 64 << 10 // bytes
	maxNesting = 1000     // brackets open at once
)

// errNotFunction says that a text is an expression whose value is no function.
var errNotFunction = errors.New("it is not a function")

// parse parses a script. Source maps are off, because reading one opens the file that the text names.
func parse(text string) (*ast.Program, error) {
	return goja.Parse("trigger", text, parser.WithDisableSourceMaps)
}

// checkBounds refuses a text that is too much for the parser.
func checkBounds(text string) error {
	if len(text) > maxSource {
		return fmt.Errorf("its text is longer than %d bytes", maxSource)
	}
	open := 0
	for i := range len(text) {
		switch text[i] {
		case '(', '[', '{':
			if open++; open > maxNesting {
				return fmt.Errorf("it has more than %d brackets open at once", maxNesting)
			}
		case ')', ']', '}':
			open = max(0, open-1)
		}
	}
	return nil
}

// compileStored compiles the text of a function, as definitions hold it.
func compileStored(text string) (*goja.Program, error) {
	if err := checkBounds(text); err != nil {
		return nil, err
	}
	script, err := parse("(" + text + "\n)")
	if err != nil {
		return nil, err
	}
	return goja.CompileAST(script, false)
}

// expression is a text that a client sent as a trigger, compiled.
type expression struct {
	text    string // with head before it
	script  *ast.Program
	program *goja.Program
	arrows  []*ast.ArrowFunctionLiteral // those without braces; see compileSent
}

// head makes an assignment of a sent text, as in the original: that tells a function from a declaration, and "{}" from a block.
// The value is that of the whole script, so it may begin with other expressions and end with a semicolon.
const head = "run = "

// arrowMark begins what String says of an arrow function without braces, before its place in expression.arrows.
const arrowMark = "\x00arrow "

// compileSent compiles a text that a client sent. The engine keeps the text of each function, but it mistakes the end of arrow
// functions whose body is an expression in parentheses, and of some others without braces. So these are marked, to find the end
// in another way for the one that is asked for.
func compileSent(text string) (*expression, error) {
	if err := checkBounds(text); err != nil {
		return nil, err
	}
	e := &expression{text: head + text}
	var err error
	if e.script, err = parse(e.text); err != nil {
		return nil, err
	}
	walk(reflect.ValueOf(e.script), func(n ast.Node) bool {
		if arrow, ok := n.(*ast.ArrowFunctionLiteral); ok {
			if _, ok := arrow.Body.(*ast.ExpressionBody); ok {
				arrow.Source = arrowMark + strconv.Itoa(len(e.arrows))
				e.arrows = append(e.arrows, arrow)
			}
		}
		return true
	})
	e.program, err = goja.CompileAST(e.script, false)
	return e, err
}

// source returns the text of a function that the expression has made, exactly as it was written.
func (e *expression) source(function goja.Value) (string, error) {
	text := function.String()
	place, ok := strings.CutPrefix(text, arrowMark)
	if !ok {
		return text, nil
	}
	i, err := strconv.Atoi(place)
	if err != nil || i < 0 || i >= len(e.arrows) {
		return "", fmt.Errorf("%q is no function of this text", text)
	}
	return e.arrowText(e.arrows[i])
}

// maxEnds bounds how many ends of an arrow function are tried.
const maxEnds = 100

// arrowText returns the text of an arrow function without braces. Such a function reaches as far as it can, so it ends at the last
// place where a parser that sees the text up to there sees nothing but one arrow function.
func (e *expression) arrowText(arrow *ast.ArrowFunctionLiteral) (string, error) {
	start := int(arrow.Start) - 1
	text := e.text[start:e.next(arrow)]
	for tries, end := 0, len(text); end > 0 && tries < maxEnds; end-- {
		if end < len(text) && !strings.ContainsRune(",;:)]}", rune(text[end])) {
			continue
		}
		tries++
		if isArrow(text[:end]) {
			return trimEnd(text[:end]), nil
		}
	}
	return "", errors.New("the end of the arrow function is not clear")
}

// next returns where the first thing begins that is behind an arrow function, or the end of the text.
func (e *expression) next(arrow *ast.ArrowFunctionLiteral) int {
	next := len(e.text)
	walk(reflect.ValueOf(e.script), func(n ast.Node) bool {
		if n == arrow {
			return false
		}
		if begin, ok := begins(n); ok && begin > int(arrow.Start)-1 {
			next = min(next, begin)
		}
		return true
	})
	return next
}

// begins returns where a node begins, if it knows that.
func begins(n ast.Node) (begin int, ok bool) {
	defer func() {
		if recover() != nil { // nodes that stand for nothing have no place
			begin, ok = 0, false
		}
	}()
	begin = int(n.Idx0()) - 1
	return begin, begin >= 0
}

// isArrow reports whether a text is one arrow function, and nothing else.
func isArrow(text string) bool {
	script, err := parse("(" + text + "\n)")
	if err != nil || len(script.Body) != 1 {
		return false
	}
	statement, ok := script.Body[0].(*ast.ExpressionStatement)
	if !ok {
		return false
	}
	_, ok = statement.Expression.(*ast.ArrowFunctionLiteral)
	return ok
}

// trimEnd cuts blanks and comments off the end of an arrow function.
func trimEnd(text string) string {
	for {
		trimmed := strings.TrimRight(text, " \t\v\f\r\n\u00a0\ufeff\u2028\u2029")
		if strings.HasSuffix(trimmed, "*/") {
			if i := strings.LastIndex(trimmed, "/*"); isArrow(trimmed[:i]) {
				text = trimmed[:i]
				continue
			}
		}
		line := strings.LastIndexAny(trimmed, "\r\n") + 1
		if i, ok := lineComment(trimmed, line); ok {
			text = trimmed[:i]
			continue
		}
		return trimmed
	}
}

// lineComment returns where a comment begins that reaches to the end of the text, if the last line, from start, has one.
func lineComment(text string, start int) (int, bool) {
	for i := start; i < len(text); i++ {
		if strings.HasPrefix(text[i:], "//") && isArrow(text[:i]) {
			return i, true
		}
	}
	return 0, false
}

// walk calls visit for a node of a syntax tree and, where that returns true, for the nodes below it.
func walk(v reflect.Value, visit func(ast.Node) bool) {
	switch v.Kind() {
	case reflect.Interface:
		walk(v.Elem(), visit)
	case reflect.Pointer:
		if v.IsNil() || !below(v.Type().Elem()) {
			return
		}
		if n, ok := v.Interface().(ast.Node); ok && !visit(n) {
			return
		}
		walk(v.Elem(), visit)
	case reflect.Slice:
		for i := range v.Len() {
			walk(v.Index(i), visit)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; v.Type().Field(i).IsExported() && !slices.Contains(again, name) {
				walk(v.Field(i), visit)
			}
		}
	}
}

// again are the members of nodes with nodes that are below another member too.
var again = []string{"DeclarationList", "File"}

// below reports whether values of the type belong to the syntax tree.
func below(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && strings.HasSuffix(t.PkgPath(), "/goja/ast")
}
