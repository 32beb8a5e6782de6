package filter_test

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/kaizengarden/moray/core/filter"
	"github.com/kaizengarden/moray/core/jsvalue"
)

// expression is the regular expression that the original made of a pattern. JavaScript's dot stands for all but four line
// breaks.
func expression(p filter.Pattern) *regexp.Regexp {
	const gap = `[^\n\r\x{2028}\x{2029}]*`
	text := ""
	if p.Initial != "" {
		text = "^" + regexp.QuoteMeta(p.Initial) + gap
	}
	for _, part := range p.Any {
		text += regexp.QuoteMeta(part) + gap
	}
	if p.Final != "" {
		text += regexp.QuoteMeta(p.Final) + "$"
	}
	return regexp.MustCompile(text)
}

func TestPatternIsExpression(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	letters := []string{"a", "a", "a", "b", "b", "\n", "\r", "\u2028"}
	text := func(most int) string {
		var b strings.Builder
		for range random.IntN(most + 1) {
			b.WriteString(letters[random.IntN(len(letters))])
		}
		return b.String()
	}
	accepted := 0
	const rounds = 50000
	for range rounds {
		p := filter.Pattern{Initial: text(1), Final: text(1)}
		for range random.IntN(4) {
			p.Any = append(p.Any, text(2))
		}
		n := &filter.Substring{Attribute: "v", Pattern: p}
		value := text(20)
		got := n.Match(mustObject(t, `{"v":`+string(jsvalue.AppendString(nil, value))+"}"))
		if want := expression(p).MatchString(value); got != want {
			t.Fatalf("pattern %q fits %q: %v, want %v", p, value, got, want)
		}
		if got {
			accepted++
		}
	}
	if accepted < rounds/10 || accepted > rounds*9/10 {
		t.Errorf("%d of %d accepted: no test", accepted, rounds)
	}
}

// The time to match a pattern must grow with the text and the filter, not with their product; only line breaks in the filter,
// of which there are few, make it longer. The limit is far above what it takes.
func TestPatternTime(t *testing.T) {
	t.Parallel()
	const size, lines = 1 << 20, 1 << 16
	for name, c := range map[string]struct{ text, filter string }{
		"parts":       {strings.Repeat("a", size), strings.Repeat("a*", size/2) + "b"},
		"no gap":      {strings.Repeat("a", size), "*" + strings.Repeat("a", size/2) + "b*"},
		"lines":       {strings.Repeat("aaaaaaa\n", size/8), "*" + strings.Repeat("a*", size/2)},
		"line breaks": {strings.Repeat("\n", lines), strings.Repeat("*\n", 100) + "*b*"},
		"long part":   {strings.Repeat("\naaaaaaa", lines), "*" + strings.Repeat("\naaaaaaa", 100) + "b*"},
		"separators":  {strings.Repeat("\u2028", lines), "*" + strings.Repeat("\u2028*", 100) + "b"},
	} {
		n := mustParse(t, "(v="+c.filter+")")
		o := mustObject(t, `{"v":`+string(jsvalue.AppendString(nil, c.text))+"}")
		start := time.Now()
		if n.Match(o) {
			t.Errorf("%s: accepted", name)
		}
		if spent := time.Since(start); spent > 10*time.Second {
			t.Errorf("%s: took %v", name, spent)
		}
	}
}
