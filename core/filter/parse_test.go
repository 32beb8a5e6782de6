package filter_test

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/kaizengarden/moray/core/filter"
)

// lines returns the lines of a file in testdata but for comments and empty ones, cut at their arrows.
func lines(t testing.TB, file string) (all [][]string) {
	t.Helper()
	text, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSuffix(line, "\n"); line != "" && line[0] != '#' {
			all = append(all, strings.Split(line, " => "))
		}
	}
	return all
}

func mustParse(t testing.TB, text string) filter.Node {
	t.Helper()
	n, err := filter.Parse(text)
	if err != nil {
		t.Fatalf("parse %s: %v", text, err)
	}
	return n
}

// tree writes a filter down with all its fields.
func tree(n filter.Node) string {
	switch n := n.(type) {
	case *filter.And:
		return "and(" + trees(n.Children) + ")"
	case *filter.Or:
		return "or(" + trees(n.Children) + ")"
	case *filter.Not:
		return "not(" + tree(n.Child) + ")"
	case *filter.Present:
		return "present " + n.Attribute
	case *filter.Equal:
		return fmt.Sprintf("equal %s %q", n.Attribute, n.Value)
	case *filter.GE:
		return fmt.Sprintf("ge %s %q", n.Attribute, n.Value)
	case *filter.LE:
		return fmt.Sprintf("le %s %q", n.Attribute, n.Value)
	case *filter.Approx:
		return fmt.Sprintf("approx %s %q", n.Attribute, n.Value)
	case *filter.Substring:
		return "substring " + n.Attribute + " " + parts(n.Pattern)
	case *filter.Ext:
		text := "ext " + n.Attribute
		if n.DN {
			text += " dn"
		}
		text += fmt.Sprintf(" %s %q", n.Rule, n.Value)
		if n.Pattern != nil {
			text += " " + parts(*n.Pattern)
		}
		if n.Canonical() != n.Rule {
			text += " is " + n.Canonical()
		}
		return text
	}
	return fmt.Sprintf("unknown %T", n)
}

func trees(nodes []filter.Node) string {
	var texts []string
	for _, n := range nodes {
		texts = append(texts, tree(n))
	}
	return strings.Join(texts, ", ")
}

func parts(p filter.Pattern) string {
	text := fmt.Sprintf("%q|", p.Initial)
	for _, part := range p.Any {
		text += fmt.Sprintf("%q|", part)
	}
	return text + fmt.Sprintf("%q", p.Final)
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, line := range lines(t, "parse.txt") {
		input, want := line[0], line[len(line)-1]
		n, err := filter.Parse(input)
		if message, ok := strings.CutPrefix(want, "error at "); ok {
			var syntax *filter.SyntaxError
			if !errors.As(err, &syntax) {
				t.Errorf("%s: parsed, error %v, want an error at %s", input, err, message)
			} else if got := fmt.Sprintf("%d: %s", syntax.Offset, syntax.Want); got != message {
				t.Errorf("%s: error at %s\nwant %s", input, got, message)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", input, err)
			continue
		}
		wantPrinted := input
		if len(line) == 3 {
			wantPrinted = line[1]
		}
		if got := n.String(); got != wantPrinted {
			t.Errorf("%s: printed as %s, want %s", input, got, wantPrinted)
		}
		if got := tree(n); got != want {
			t.Errorf("%s: %s\nwant %s", input, got, want)
		}
	}
}

func TestSyntaxError(t *testing.T) {
	t.Parallel()
	_, err := filter.Parse("(a=b")
	if want := "expected ) at byte 4"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestDepth(t *testing.T) {
	t.Parallel()
	for _, around := range []struct{ before, after string }{{"!", ""}, {"(!", ")"}, {"(&(b=c)", ")"}, {"(|", ")"}} {
		nested := func(depth int) string {
			return strings.Repeat(around.before, depth-1) + "(a=b)" + strings.Repeat(around.after, depth-1)
		}
		n, err := filter.Parse(nested(filter.MaxDepth))
		if err != nil {
			t.Errorf("%d times %s: %v", filter.MaxDepth-1, around.before, err)
			continue
		}
		if again := mustParse(t, n.String()); !reflect.DeepEqual(again, n) {
			t.Errorf("%d times %s: printed and parsed again it differs", filter.MaxDepth-1, around.before)
		}
		if accepts := n.Match(object{}); accepts != (strings.HasSuffix(around.before, "!") && filter.MaxDepth%2 == 0) {
			t.Errorf("%d times %s: accepted is %v", filter.MaxDepth-1, around.before, accepts)
		}
		if _, err := filter.Parse(nested(filter.MaxDepth + 1)); err == nil || !strings.Contains(err.Error(), "at most 10000 levels") {
			t.Errorf("%d times %s: error %v", filter.MaxDepth, around.before, err)
		}
	}
	if _, err := filter.Parse(strings.Repeat("(&", 1<<20)); err == nil {
		t.Error("a million levels are accepted")
	}
}

func TestLineBreakLimit(t *testing.T) {
	t.Parallel()
	for _, form := range []string{"(a=x*%sy)", "(a:caseIgnoreSubstringsMatch:=x*%sy)"} {
		for count, ok := range map[int]bool{100: true, 101: false} {
			_, err := filter.Parse(fmt.Sprintf(form, strings.Repeat("\n", count-2)+"\u2028\r"))
			if (err == nil) != ok {
				t.Errorf("%s with %d line breaks: error %v", form, count, err)
			}
		}
	}
	mustParse(t, "(a="+strings.Repeat("\n", 1000)+")") // no pattern, no limit
}

func FuzzParse(f *testing.F) {
	for _, line := range lines(f, "parse.txt") {
		f.Add(line[0])
	}
	f.Fuzz(func(t *testing.T, input string) {
		n, err := filter.Parse(input)
		if err != nil {
			var syntax *filter.SyntaxError
			if !errors.As(err, &syntax) || syntax.Offset < 0 || syntax.Offset > len(input) {
				t.Errorf("%q: error %v", input, err)
			}
			return
		}
		printed := n.String()
		n.Match(object{})
		if strings.Contains(tree(n), "ext ") { // values of extensions are not escaped
			return
		}
		again, err := filter.Parse(printed)
		if err != nil || tree(again) != tree(n) || again.String() != printed {
			t.Errorf("%q: printed as %q, parsed again: %v", input, printed, err)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := filter.Parse("(&(owner=de305d54-75b4-431b-adb2-eb6b9e546014)(|(state=running)(state=stopped))(!(name=test*)))"); err != nil {
			b.Fatal(err)
		}
	}
}
