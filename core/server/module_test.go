package server_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Another module can embed the server: the example is compiled as the program of one.
func TestOtherModule(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	read := func(path string) []byte {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	write := func(name string, text []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	program := read("core/server/example_test.go")
	program = bytes.Replace(program, []byte("package server_test"), []byte("package main"), 1)
	write("main.go", bytes.Replace(program, []byte("func Example()"), []byte("func main()"), 1))

	// It needs the versions of the libraries that moray has, and gets nothing from the network.
	requirements := regexp.MustCompile(`(?s)require \(.*?\)\n`).FindAllString(string(read("go.mod")), -1)
	if requirements == nil {
		t.Fatal("go.mod has no requirements")
	}
	module := strings.TrimSuffix(module, "/")
	write("go.mod", []byte("module example.com/program\n\ngo 1.26.0\n\nrequire "+module+" v0.0.0\n\nreplace "+module+" => "+root+"\n\n"+strings.Join(requirements, "\n")))
	write("go.sum", read("go.sum"))
	build := exec.Command("go", "build", "-mod=mod", "-o", "program", ".")
	build.Dir = dir
	build.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Errorf("go build: %v\n%s", err, out)
	}
}
