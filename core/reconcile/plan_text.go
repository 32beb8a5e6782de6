package reconcile

import (
	"fmt"
	"io"
	"strings"
)

// Style says how a plan is printed for people.
type Style struct {
	Color   bool
	Verbose bool // also the statements that concern our own records
}

// painter prints with or without colors.
type painter struct {
	w   io.Writer
	err error
	Style
}

func (p *painter) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

// The colors of a terminal.
const (
	red    = "31"
	green  = "32"
	yellow = "33"
	bold   = "1"
	faint  = "2"
)

func (p *painter) paint(color, text string) string {
	if !p.Color || text == "" {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

var groupColors = map[Group]string{
	Create: green, Additive: green, Online: yellow, Reindexing: yellow, Destructive: red, Refused: red + ";" + bold,
}

// Print writes the plan for people.
func (p *Plan) Print(w io.Writer, style Style) error {
	out := &painter{w: w, Style: style}
	out.printf("%s\n", out.paint(bold, p.summary()))
	for group := Create; group <= Refused; group++ {
		first := true
		for _, c := range p.Changes {
			if c.Group != group {
				continue
			}
			if first {
				out.printf("\n%s\n", out.paint(groupColors[group], group.String()))
			}
			first = false
			out.change(c)
		}
	}
	if len(p.Adopt) > 0 {
		out.printf("\nAs their documents say, and managed from the next apply on: %s\n", strings.Join(p.Adopt, ", "))
	}
	return out.err
}

// summary says in one line what the plan comes to.
func (p *Plan) summary() string {
	where := ""
	if p.Directory != "" {
		where = " for " + p.Directory
	}
	if p.Revision != "" {
		where += " at " + p.Revision
	}
	unchanged := fmt.Sprintf("%d unchanged", len(p.Unchanged))
	if p.Unmanaged > 0 {
		unchanged += fmt.Sprintf(", %d not managed", p.Unmanaged)
	}
	if len(p.Changes) == 0 {
		return fmt.Sprintf("No changes%s: %s.", where, unchanged)
	}
	counts := p.Count()
	var parts []string
	for group := Create; group <= Refused; group++ {
		if counts[group] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[group], group))
		}
	}
	return fmt.Sprintf("Plan%s: %s; %s.", where, strings.Join(parts, ", "), unchanged)
}

// change prints one change.
func (p *painter) change(c *Change) {
	p.printf("  %s  %s\n", p.paint(bold, c.Bucket), p.paint(faint, c.headline()))
	if c.Refused != "" {
		p.printf("    %s %s\n", p.paint(red, "refused:"), c.Refused)
	}
	for _, i := range c.Items {
		sign := map[Group]string{Create: "+", Destructive: "!"}[i.Group]
		if sign == "" {
			sign = "~"
		}
		p.printf("    %s %s\n", p.paint(groupColors[i.Group], sign), i.Text)
	}
	if c.Drift != "" {
		p.printf("    %s %s\n", p.paint(yellow, "drift:"), c.Drift)
	}
	for _, note := range c.Notes {
		p.printf("    %s %s\n", p.paint(yellow, "note:"), note)
	}
	for _, g := range c.Guards {
		if g.Allowed {
			p.printf("    %s %s\n", p.paint(yellow, "allowed:"), g.Why)
		} else {
			p.printf("    %s %s; allow it with --allow %s\n", p.paint(red, "needs consent:"), g.Why, g.Consent)
		}
		for _, d := range g.Details {
			p.printf("      %s\n", d)
		}
	}
	p.steps(c)
}

// headline says what a change is about: where it stands, versions, size.
func (c *Change) headline() string {
	var parts []string
	if c.Source != "" {
		parts = append(parts, c.Source)
	}
	switch {
	case c.From != nil && c.To != nil && *c.From != *c.To:
		parts = append(parts, fmt.Sprintf("version %s -> %s", number(*c.From), number(*c.To)))
	case c.To != nil && *c.To != 0:
		parts = append(parts, "version "+number(*c.To))
	}
	if c.Rows > 0 {
		parts = append(parts, c.rows(), amount(c.Bytes))
	}
	return strings.Join(parts, ", ")
}

func (c *Change) rows() string {
	about := ""
	if c.About {
		about = "about "
	}
	if c.Rows == 1 {
		return about + "1 row"
	}
	return about + thousands(c.Rows) + " rows"
}

// thousands groups the digits of a number.
func thousands(n int64) string {
	digits := fmt.Sprint(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// amount prints a number of bytes.
func amount(n int64) string {
	size, unit := float64(n), "B"
	for _, next := range []string{"kB", "MB", "GB", "TB"} {
		if size < 1000 {
			break
		}
		size, unit = size/1000, next
	}
	if unit == "B" {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", size, unit)
}

// steps prints the statements of a change.
func (p *painter) steps(c *Change) {
	hidden := 0
	transaction := -1
	for _, s := range c.Steps {
		if s.Bookkeeping && !p.Verbose {
			hidden++
			continue
		}
		if s.Transaction != transaction {
			transaction = s.Transaction
			if s.Transaction == 0 {
				p.printf("    %s\n", p.paint(faint, "-- on its own"))
			} else {
				p.printf("    %s\n", p.paint(faint, fmt.Sprintf("-- transaction %d", s.Transaction)))
			}
		}
		p.printf("      %s;\n", strings.ReplaceAll(s.SQL, "\n", "\n      "))
		if note := c.cost(s); note != "" {
			p.printf("      %s\n", p.paint(faint, "-- "+note))
		}
	}
	if hidden > 0 {
		p.printf("    %s\n", p.paint(faint, fmt.Sprintf("-- and %d more for our own records (--verbose)", hidden)))
	}
}

// waits says who waits for a lock.
var waits = map[string]string{
	"ACCESS EXCLUSIVE":       "readers and writers wait for a moment",
	"SHARE ROW EXCLUSIVE":    "writers wait until the transaction ends",
	"SHARE":                  "writers wait until it is built",
	"SHARE UPDATE EXCLUSIVE": "readers and writers go on",
}

// cost says what a statement means to others.
func (c *Change) cost(s Step) string {
	var parts []string
	switch {
	case s.Lock != "" && s.Table != "":
		parts = append(parts, fmt.Sprintf("%s on %s: %s", s.Lock, s.Table, waits[s.Lock]))
	case s.Lock != "":
		parts = append(parts, fmt.Sprintf("%s: %s", s.Lock, waits[s.Lock]))
	}
	if s.AllRows {
		parts = append(parts, "works through "+c.rows())
	}
	return strings.Join(parts, "; ")
}
