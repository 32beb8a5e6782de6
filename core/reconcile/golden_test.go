package reconcile_test

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the expected output in testdata; review the diff")

// golden runs the cases of a file in testdata, at the same time. A case is a line "=== name", the input, a line "----", and
// the output.
func golden(t *testing.T, file string, run func(t *testing.T, input string) string) {
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
	blocks := strings.Split(rest, "\n=== ")
	rewritten := make([]string, len(blocks))
	for i, block := range blocks {
		name, block, _ := strings.Cut(block, "\n")
		input, want, _ := strings.Cut(block+"\n", "----\n")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := strings.TrimSpace(run(t, input))
			if got != strings.TrimSpace(want) && !*update {
				t.Errorf("got:\n%s\nwant:\n%s", got, strings.TrimSpace(want))
			}
			rewritten[i] = name + "\n" + input + "----\n" + got + "\n"
		})
	}
	t.Cleanup(func() { // when all cases have ended
		if !*update || t.Failed() {
			return
		}
		text := strings.TrimPrefix(head, "\n") + "\n=== " + strings.Join(rewritten, "\n=== ")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Error(err)
		}
	})
}
