package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestSkeleton builds a new plugin and runs its test and its events, as its author does.
func TestSkeleton(t *testing.T) {
	t.Parallel()
	source, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	work := t.TempDir()
	dir := filepath.Join(work, "greeter")
	if err := initPlugin(dir, source, io.Discard); err != nil {
		t.Fatal(err)
	}
	// A workspace takes the versions of libraries from moray, so nothing has to be looked up.
	workspace := "go 1.26.0\n\nuse (\n\t./greeter\n\t" + source + "\n)\n"
	if err := os.WriteFile(filepath.Join(work, "go.work"), []byte(workspace), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"vet", "."}, {"test", "."}, {"build", "."}} {
		cmd := exec.Command("go", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK="+filepath.Join(work, "go.work"))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go %v: %v\n%s", args, err, out)
		}
	}
	file, err := readFixtures(filepath.Join(dir, "fixtures.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := file.run(t.Context(), &trialFlags{}, file.command(dir), os.Stderr, os.Stderr); err != nil {
		t.Error(err)
	}
}
