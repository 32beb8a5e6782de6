package reconcile_test

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the expected output in testdata; review the diff")

// golden runs the cases of a file in testdata. A case is a line "=== name", the input, a line "----", and the output.
func golden(t *testing.T, file string, run func(t *testing.T, name, input string) string) {
	t.Helper()
	path := "testdata/" + file
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, found := strings.Cut("\n"+string(text), "\n=== ")
	if !found {
		t.Fatalf("%s has no cases", path)
	}
	rewritten := strings.TrimPrefix(head, "\n")
	for block := range strings.SplitSeq(rest, "\n=== ") {
		name, block, _ := strings.Cut(block, "\n")
		input, want, _ := strings.Cut(block+"\n", "----\n")
		want = strings.TrimSpace(want)
		got := strings.TrimSpace(run(t, name, input))
		if got != want && !*update {
			t.Errorf("%s\ngot:\n%s\nwant:\n%s", name, got, want)
		}
		rewritten += "\n=== " + name + "\n" + input + "----\n" + got + "\n"
	}
	if *update {
		if err := os.WriteFile(path, []byte(rewritten), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
