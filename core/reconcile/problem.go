package reconcile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is something that is wrong with a file, and where.
type Problem struct {
	File         string
	Line, Column int // from 1; 0 if the whole file is meant
	Text         string
}

// String returns the problem in the form file:line:column: text.
func (p Problem) String() string {
	if p.Line == 0 {
		return fmt.Sprintf("%s: %s", p.File, p.Text)
	}
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Text)
}

// InvalidError says all that is wrong with files, in the order of the files and of their lines.
type InvalidError struct{ Problems []Problem }

// Error lists the problems, a line each.
func (e *InvalidError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// invalid returns the error for problems, or nil if there are none.
func invalid(problems []Problem) error {
	if len(problems) == 0 {
		return nil
	}
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(strings.Compare(a.File, b.File), a.Line-b.Line, a.Column-b.Column, strings.Compare(a.Text, b.Text))
	})
	return &InvalidError{slices.Compact(problems)}
}
