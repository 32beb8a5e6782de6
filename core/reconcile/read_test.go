package reconcile_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/reconcile"
)

// files makes files of a text: a.yaml, and others that begin with a line "# file NAME".
func files(text string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for i, part := range strings.Split("\n"+text, "\n# file ") {
		name, body := "a.yaml", strings.TrimPrefix(part, "\n")
		if i > 0 {
			name, body, _ = strings.Cut(part, "\n")
		}
		fsys[name] = &fstest.MapFile{Data: []byte(body)}
	}
	return fsys
}

func TestProblems(t *testing.T) {
	t.Parallel()
	golden(t, "problems.txt", func(t *testing.T, input string) string {
		documents, err := reconcile.Read(files(input))
		invalid := (*reconcile.InvalidError)(nil)
		if err == nil {
			return fmt.Sprintf("%d documents", len(documents))
		}
		if !errors.As(err, &invalid) {
			t.Errorf("the error is %v", err)
		}
		return err.Error()
	})
}

// A document says what it says, in its own order, with the defaults filled in.
func TestRead(t *testing.T) {
	t.Parallel()
	documents, err := reconcile.Read(files(`# yaml-language-server: $schema=x
apiVersion: moray/v1
kind: Bucket
metadata: {name: Users, labels: {team: identity}}
spec:
  version: 3
  index:
    z: {type: string, unique: true}
    a: {type: "[ip]"}
  pre: ["function (req, cb) { cb(); }", {plugin: p, hook: h, config: {b: 1, a: [x]}, timeout: 20}]
  options: {guaranteeOrder: true, own: 0x1F}
  schema: {type: object}
  reindex: {rate: 0}
  deletionPolicy: delete
  protect: true
  allow: [drop-index=old]
---
apiVersion: moray/v1
kind: Bucket
metadata: {name: plain}
spec: {reindex: true}
`))
	if err != nil {
		t.Fatal(err)
	}
	if len(documents) != 2 {
		t.Fatalf("%d documents", len(documents))
	}
	d := documents[0]
	want := `{"index":{"z":{"type":"string","unique":true},"a":{"type":"[ip]"}},"pre":["function (req, cb) { cb(); }",` +
		`{"plugin":"p","hook":"h","config":{"b":1,"a":["x"]},"timeout":20}],` +
		`"options":{"guaranteeOrder":true,"own":31,"version":3,"schema":{"type":"object"}}}`
	if string(d.Definition) != want {
		t.Errorf("definition\n%s, want\n%s", d.Definition, want)
	}
	if d.Name != "Users" || d.Where() != "a.yaml:2" || d.Version() != 3 || !d.Config.Ordered || len(d.Config.Columns) != 2 {
		t.Errorf("document %+v", d)
	}
	if !d.Protect || !d.Delete || *d.Pace != (bucket.Pace{Rate: 0, Batch: 100}) || d.Allow[0] != "drop-index=old" {
		t.Errorf("settings %+v", d)
	}
	p := documents[1]
	if p.Protect || p.Delete || *p.Pace != (bucket.Pace{Rate: 1000, Batch: 100}) || p.Allow != nil || p.Version() != 0 {
		t.Errorf("settings %+v", p)
	}
	if string(p.Definition) != `{"options":{"version":0}}` {
		t.Errorf("definition %s", p.Definition)
	}
}

// Files are found through the links with which Kubernetes swaps the revisions of a ConfigMap.
func TestReadThroughLinks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	document := "apiVersion: moray/v1\nkind: Bucket\nmetadata: {name: %s}\nspec: {}\n"
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	link := func(to, name string) {
		t.Helper()
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	write("..2026_11_22/users.yaml", fmt.Sprintf(document, "users"))
	link("..2026_11_22", "..data")
	link("..data/users.yaml", "users.yaml")
	write("plain.yml", fmt.Sprintf(document, "plain"))
	link("nowhere", "README")
	documents, err := reconcile.Read(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range documents {
		names = append(names, d.File+" "+d.Name)
	}
	if got := strings.Join(names, ", "); got != "plain.yml plain, users.yaml users" {
		t.Errorf("read %s", got)
	}

	link("nowhere", "broken.yaml")
	if _, err := reconcile.Read(os.DirFS(dir)); err == nil || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a link to nothing: %v", err)
	}
	os.Remove(filepath.Join(dir, "broken.yaml"))
	write("big.yaml", strings.Repeat("# long\n", 700_000))
	if _, err := reconcile.Read(os.DirFS(dir)); err == nil || err.Error() != "big.yaml: longer than 4194304 bytes" {
		t.Errorf("a long file: %v", err)
	}
}

// Two documents have the same hash if they say the same.
func TestHash(t *testing.T) {
	t.Parallel()
	hash := func(spec string) string {
		t.Helper()
		documents, err := reconcile.Read(files("apiVersion: moray/v1\nkind: Bucket\nmetadata: {name: b}\nspec: " + spec))
		if err != nil {
			t.Fatal(err)
		}
		return documents[0].Hash()
	}
	one := hash("{version: 1, index: {a: {type: string}, b: {type: number}}}")
	if two := hash(`{"index": {"b": {"type": "number"}, "a": {"type": "string"}}, "version": 1} # other`); two != one {
		t.Errorf("the order of members changes the hash")
	}
	if other := hash("{version: 1, index: {a: {type: string}, b: {type: number}}, protect: true}"); other == one {
		t.Errorf("protect does not change the hash")
	}
}
