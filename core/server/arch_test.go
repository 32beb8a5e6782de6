package server_test

import (
	"bufio"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/kaizengarden/moray/"

// edges are the imports of each package among the module's own: those and no others. Rows stand in the order of the layers,
// the lowest first, so an import of a lower row is the only kind there can be. See ARCHITECTURE.md.
var edges = []struct {
	name    string
	imports string
}{
	{"core/jsvalue", ""},
	{"core/fault", "core/jsvalue"},
	{"core/shape", "core/jsvalue"},
	{"core/field/coerce", "core/jsvalue"},
	{"core/field", "core/field/coerce core/jsvalue"},
	{"core/filter", "core/field/coerce core/jsvalue"},
	{"core/spelling", ""},
	{"schemas", ""},

	{"core/bunyan", "core/jsvalue"},
	{"core/cluster", ""},
	{"core/config", "core/spelling schemas"},
	{"core/access", ""},
	{"core/strand", ""},
	{"core/fast", "core/jsvalue core/strand"},
	{"core/localpg", ""},
	{"core/monitor", "core/jsvalue"},

	{"core/bucket", "core/fault core/field core/field/coerce core/jsvalue core/shape"},
	{"core/query", "core/bucket core/fault core/field core/filter core/jsvalue"},
	{"core/object", "core/bucket core/fault core/field core/filter core/jsvalue core/query core/strand"},
	{"core/pgstore", "core/bucket core/fault core/field core/jsvalue core/object core/query core/strand"},
	{"core/reconcile", "core/bucket core/fault core/jsvalue core/object core/spelling schemas"},
	{"core/rpc", "core/access core/bucket core/fast core/fault core/jsvalue core/object core/query core/shape"},
	{"core/tracing", "core/object core/rpc"},
	{"core/server", "core/access core/bucket core/bunyan core/cluster core/config core/fast core/jsvalue core/monitor core/object core/pgstore core/query core/reconcile core/rpc core/tracing"},

	{"core/client", "core/fast core/jsvalue"},
	{"docs/examples/client-go", "core/client"},
	{"hooks/internal/wire", ""},
	{"hooks/sdk", "hooks/internal/wire"},
	{"hooks/trial", "hooks/internal/wire hooks/sdk"},
	{"hooks", "core/bucket core/fault core/jsvalue core/object core/spelling hooks/internal/wire"},
	{"plugins/changelog", "core/bucket core/fault core/jsvalue core/object core/query hooks/sdk"},
	{"plugins/js", "hooks/sdk"},
	{"cmd/moray/tools", "core/bunyan core/client core/fast core/jsvalue"},
	{"cmd/moray/bulk", "core/bucket core/client core/fast core/jsvalue core/query"},
	{"cmd/moray/manpage", ""},
	{"cmd/moray/top", ""},
	{"cmd/moray", "cmd/moray/bulk cmd/moray/manpage cmd/moray/tools cmd/moray/top core/bucket core/bunyan core/client core/cluster core/config core/jsvalue core/localpg core/pgstore core/reconcile core/server hooks hooks/sdk hooks/trial plugins/changelog plugins/js schemas"},
	{"cmd/moray-plugin-example", "hooks/sdk"},
}

// owners say where a library stays.
var owners = map[string][]string{
	"github.com/jackc/pgx/v5":                  {"core/pgstore", "core/pgstore/pgtest"},
	"github.com/prometheus/client_golang":      {"core/cluster", "core/monitor", "core/pgstore", "core/reconcile", "core/rpc", "core/server", "hooks"},
	"github.com/santhosh-tekuri/jsonschema/v5": {"core/bucket", "core/config", "core/reconcile"},
	"github.com/spf13/cobra":                   {"cmd/moray", "cmd/moray/manpage"},
	"github.com/spf13/pflag":                   {"cmd/moray/manpage"},
	"github.com/fsnotify/fsnotify":             {"core/reconcile"},
	"go.yaml.in/yaml/v3":                       {"cmd/moray", "cmd/moray/tools", "core/config", "core/reconcile"},
	"github.com/go-zookeeper/zk":               {"core/cluster", "core/cluster/zktest"},
	"go.opentelemetry.io/otel":                 {"core/tracing"},
	"go.uber.org/goleak":                       {"core/pgstore/pgtest", "core/cluster/zktest"},
	"github.com/prometheus/common":             {"cmd/moray/top", "core/monitor"},
	"golang.org/x/sync":                        {"core/monitor", "core/fast"},
	"golang.org/x/sys":                         {"cmd/moray", "core/cluster", "core/localpg", "core/pgstore", "hooks", "hooks/sdk"},
	"github.com/hashicorp/go-plugin":           {"hooks", "hooks/sdk"},
	"charm.land/bubbletea/v2":                  {"cmd/moray/top"},
	"github.com/dop251/goja":                   {"plugins/js"},
	"google.golang.org/grpc":                   {"cmd/moray", "hooks", "hooks/hooktest", "hooks/internal/wire", "hooks/sdk", "hooks/trial"},
}

type goPackage struct {
	ImportPath string
	Imports    []string
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "./...")
	cmd.Dir = "../.."
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []goPackage
	for d := json.NewDecoder(strings.NewReader(string(out))); d.More(); {
		var p goPackage
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// testing reports whether a package is only for tests.
func testingOnly(name string) bool {
	last := name[strings.LastIndex(name, "/")+1:]
	return strings.HasPrefix(name, "test/") || strings.HasSuffix(last, "test")
}

// TestImports holds the import graph to the table: no edge that is not in it, none in it that is not used, and none upward.
func TestImports(t *testing.T) {
	t.Parallel()
	row := map[string]int{}
	allowed := map[string][]string{}
	for i, e := range edges {
		row[e.name] = i
		allowed[e.name] = strings.Fields(e.imports)
		for _, imported := range allowed[e.name] {
			if at, ok := row[imported]; !ok || at >= i {
				t.Errorf("the table lets %s import %s, which is not in a lower row", e.name, imported)
			}
		}
	}
	seen := map[string]bool{}
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		if testingOnly(name) {
			continue
		}
		seen[name] = true
		want, ok := allowed[name]
		if !ok {
			t.Errorf("%s is not in the table", name)
			continue
		}
		var have []string
		for _, path := range p.Imports {
			if own, ok := strings.CutPrefix(path, module); ok {
				have = append(have, own)
				continue
			}
			for library, where := range owners {
				if (path == library || strings.HasPrefix(path, library+"/")) && !slices.Contains(where, name) {
					t.Errorf("%s imports %s, which belongs to %v", name, path, where)
				}
			}
		}
		for _, own := range have {
			if !slices.Contains(want, own) {
				t.Errorf("%s imports %s: not in the table", name, own)
			}
		}
		for _, own := range want {
			if !slices.Contains(have, own) {
				t.Errorf("the table lets %s import %s, which it does not", name, own)
			}
		}
	}
	for _, e := range edges {
		if !seen[e.name] {
			t.Errorf("%s is in the table and does not exist", e.name)
		}
	}
}

const (
	maxLines     = 500 // of a file
	maxTestLines = 800
	maxFunction  = 80
)

// TestShape keeps files and functions short, packages and exported declarations documented, and names that say nothing out.
func TestShape(t *testing.T) {
	t.Parallel()
	fset := token.NewFileSet()
	documented := map[string]bool{}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			switch d.Name() {
			case "testdata", "node_modules", ".git", "bin":
				return filepath.SkipDir
			case "util", "utils", "common", "helpers", "types", "models", "misc":
				t.Errorf("%s: a name that says nothing", path)
			}
			return nil
		}
		if filepath.Ext(path) != ".go" {
			return nil
		}
		limit := maxLines
		test := strings.HasSuffix(path, "_test.go")
		if test {
			limit = maxTestLines
		}
		file, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		if ast.IsGenerated(file) {
			return nil
		}
		if n := countLines(t, path); n > limit {
			t.Errorf("%s has %d lines, more than %d", path, n, limit)
		}
		dir := filepath.Dir(path)
		documented[dir] = documented[dir] || file.Doc != nil || file.Name.Name == "main" && test
		if !test {
			checkFile(t, fset, path, file)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("%s has no package comment", dir)
		}
	}
}

func checkFile(t *testing.T, fset *token.FileSet, path string, file *ast.File) {
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if n := fset.Position(d.End()).Line - fset.Position(d.Pos()).Line + 1; n > maxFunction {
				t.Errorf("%s: %s has %d lines, more than %d", path, d.Name.Name, n, maxFunction)
			}
			if d.Name.IsExported() && d.Doc == nil && (d.Recv == nil || exportedReceiver(d)) && file.Name.Name != "main" && !oneLine(fset, d) {
				t.Errorf("%s: %s has no comment", path, d.Name.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if ts, ok := spec.(*ast.TypeSpec); ok && ts.Name.IsExported() && ts.Doc == nil && d.Doc == nil {
					t.Errorf("%s: %s has no comment", path, ts.Name.Name)
				}
			}
		}
	}
}

// oneLine reports whether d is a method such as Error or String whose one line says it all.
func oneLine(fset *token.FileSet, d *ast.FuncDecl) bool {
	return d.Recv != nil && fset.Position(d.End()).Line == fset.Position(d.Pos()).Line
}

func exportedReceiver(d *ast.FuncDecl) bool {
	expr := d.Recv.List[0].Type
	if star, ok := expr.(*ast.StarExpr); ok {
		expr = star.X
	}
	name, ok := expr.(*ast.Ident)
	return ok && name.IsExported()
}

func countLines(t *testing.T, path string) (n int) {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); n++ {
	}
	return n
}
