package reconcile

import (
	"fmt"
	"io"
	"strings"
)

// markdownEscapes keep a text from meaning something in a cell of a table.
var markdownEscapes = strings.NewReplacer("|", `\|`, "<", "&lt;", "`", "'", "\n", " ")

// Markdown writes the plan for a comment on a merge request.
func (p *Plan) Markdown(w io.Writer) error {
	out := &painter{w: w}
	out.printf("**%s**\n", markdownEscapes.Replace(p.summary()))
	if len(p.Changes) > 0 {
		out.printf("\n| bucket | group | what |\n|---|---|---|\n")
	}
	for group := Refused; group >= Create; group-- { // what somebody has to look at comes first
		for _, c := range p.Changes {
			if c.Group == group {
				out.row(c)
			}
		}
	}
	for _, c := range p.Changes {
		if len(c.Steps) == 0 {
			continue
		}
		out.printf("\n<details><summary>SQL for %s</summary>\n\n```sql\n", c.Bucket)
		out.steps(c)
		out.printf("```\n\n</details>\n")
	}
	if len(p.Adopt) > 0 {
		out.printf("\nManaged from the next apply on: %s\n", strings.Join(p.Adopt, ", "))
	}
	return out.err
}

// row writes the line of a change.
func (p *painter) row(c *Change) {
	var what []string
	say := func(format string, args ...any) {
		what = append(what, markdownEscapes.Replace(fmt.Sprintf(format, args...)))
	}
	if c.Refused != "" {
		say("refused: %s", c.Refused)
	}
	for _, i := range c.Items {
		say("%s", i.Text)
	}
	if c.Drift != "" {
		say("drift: %s", c.Drift)
	}
	for _, note := range c.Notes {
		say("note: %s", note)
	}
	for _, g := range c.Guards {
		if g.Allowed {
			say("allowed: %s", g.Why)
			continue
		}
		say("needs `--allow %s`: %s", g.Consent, g.Why)
		for _, d := range g.Details {
			say("- %s", d)
		}
	}
	p.printf("| **%s**<br>%s | %s | %s |\n", c.Bucket, markdownEscapes.Replace(c.headline()), c.Group, strings.Join(what, "<br>"))
}
