package conformance

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Every difference from the original is shown by tests, which are named beside it.
func TestDifferences(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("../../docs/differences.md")
	if err != nil {
		t.Fatal(err)
	}
	var steps []int
	for _, c := range load[change](t, filepath.Join("testdata", "changed.jsonl")) {
		steps = append(steps, c.N)
	}
	var shown []int
	rows := 0
	for line := range strings.Lines(string(document)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if !strings.HasPrefix(line, "| ") || strings.Contains(line, "| Shown by |") {
			continue
		}
		rows++
		if len(cells) != 3 {
			t.Errorf("no tests stand beside: %s", line)
			continue
		}
		for evidence := range strings.SplitSeq(cells[2], ";") {
			where, what, tests := strings.Cut(strings.TrimSpace(evidence), ": ")
			if tests {
				checkTests(t, where, what)
				continue
			}
			for _, number := range regexp.MustCompile(`\d+`).FindAllString(where, -1) {
				n, err := strconv.Atoi(number)
				if err != nil || !slices.Contains(steps, n) {
					t.Errorf("step %s is not one with another answer: %s", number, line)
				}
				shown = append(shown, n)
			}
		}
	}
	if rows < 50 {
		t.Errorf("only %d differences", rows)
	}
	for _, n := range steps {
		if !slices.Contains(shown, n) {
			t.Errorf("step %d has another answer, and the document does not name it", n)
		}
	}
}

// checkTests looks for the tests of a package: names with commas between them.
func checkTests(t *testing.T, directory, names string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("../..", directory, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Errorf("%s has no tests", directory)
	}
	var all []byte
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, text...)
	}
	for name := range strings.SplitSeq(names, ", ") {
		if !bytes.Contains(all, []byte("\nfunc "+strings.TrimSpace(name)+"(")) {
			t.Errorf("%s has no test %s", directory, name)
		}
	}
}
