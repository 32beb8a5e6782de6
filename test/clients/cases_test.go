package clients

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// script is a file of cases, which are run in their order. A case is its input, a line of dashes, and the output; an empty line
// ends it. A first line "only moray-3 moray-4" leaves it to those releases. Blocks that begin with # are comments.
type script struct {
	path   string
	mu     sync.Mutex // guards the outputs while the releases run side by side
	blocks []*block
}

type block struct {
	comment string
	only    []string // releases; empty for all
	input   string
	output  string
	renewed bool // by -update
}

func readScript(t *testing.T, path string) *script {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := &script{path: path}
	for part := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n\n") {
		b := &block{}
		if strings.HasPrefix(part, "#") {
			b.comment = part
		} else {
			if only, rest, ok := strings.Cut(part, "\n"); ok && strings.HasPrefix(only, "only ") {
				b.only, part = strings.Fields(only)[1:], rest
			}
			b.input, b.output, _ = strings.Cut(part, "\n----")
			b.output = strings.TrimPrefix(b.output, "\n")
		}
		s.blocks = append(s.blocks, b)
	}
	return s
}

// run compares what each case for the release gives with what is expected.
func (s *script) run(t *testing.T, release string, run func(input string) string) {
	t.Helper()
	cases := 0
	for _, b := range s.blocks {
		if b.comment != "" || b.only != nil && !slices.Contains(b.only, release) {
			continue
		}
		cases++
		got := withoutEmptyLines(constant(run(b.input)))
		if release == own && strings.HasPrefix(b.output, "! uncaught ") {
			if !clearError.MatchString(got) {
				t.Errorf("%s: %s\ngot:\n%s\nwant one line that says what is wrong, and exit status 1", s.path, b.input, got)
			}
			continue
		}
		s.check(t, b, got)
	}
	if cases == 0 {
		t.Errorf("%s has no cases for %s", s.path, release)
	}
}

// clearError is what moray's own tools print where the stock ones end in an exception.
var clearError = regexp.MustCompile(`^! [a-z]+: [^\n]+\nexit status 1$`)

// withoutEmptyLines gives empty lines a text, because one ends a case. Those at the end are left out.
func withoutEmptyLines(output string) string {
	lines := strings.Split(strings.TrimRight(output, "\n"), "\n")
	for i, line := range lines {
		if line == "" && len(lines) > 1 {
			lines[i] = "(empty line)"
		}
	}
	return strings.Join(lines, "\n")
}

func (s *script) check(t *testing.T, b *block, got string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if *update && !b.renewed {
		b.output, b.renewed = got, true
	}
	if got != b.output {
		t.Errorf("%s: %s\ngot:\n%s\nwant:\n%s", s.path, b.input, got, b.output)
	}
}

// write stores the outputs, if -update says so.
func (s *script) write(t *testing.T) {
	t.Helper()
	if !*update {
		return
	}
	var parts []string
	for _, b := range s.blocks {
		if b.comment != "" {
			parts = append(parts, b.comment)
			continue
		}
		part := b.input + "\n----"
		if b.only != nil {
			part = "only " + strings.Join(b.only, " ") + "\n" + part
		}
		if b.output != "" {
			part += "\n" + b.output
		}
		parts = append(parts, part)
	}
	if err := os.WriteFile(s.path, []byte(strings.Join(parts, "\n\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}
