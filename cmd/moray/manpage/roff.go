package manpage

import (
	"fmt"
	"io"
	"strings"
)

// page writes roff with the macros of man(7). Errors of its writer, a buffer, are not looked at.
type page struct{ io.Writer }

func (p page) line(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

func (p page) heading(text string) { p.line(`.SH "%s"`, escape(strings.ToUpper(text))) }

// item writes a term, in roff, and what there is to say of it.
func (p page) item(term, text string) { p.line(".TP\n%s\n%s", term, text) }

func (p page) synopsis(usage string) {
	command, rest, _ := strings.Cut(usage, " [")
	if rest != "" {
		rest = " [" + rest
	}
	p.line(".SH SYNOPSIS\n%s%s", bold(command), escape(rest))
}

// body writes text as it stands in help: paragraphs; headings, which end in a colon and are followed by indented lines; examples; and
// lists, whose items are "  TERM  text" with further lines indented deeper.
func (p page) body(text string) {
	lines := strings.Split(strings.Trim(text, "\n"), "\n")
	var examples, listed, paragraph bool
	for i, line := range lines {
		indented := strings.HasPrefix(line, "  ")
		switch {
		case strings.HasSuffix(line, ":") && !indented && i+1 < len(lines) && strings.HasPrefix(lines[i+1], "  "):
			p.heading(strings.TrimSuffix(line, ":"))
			examples, paragraph = line == "Examples:", true
			if examples {
				p.line(".nf")
			}
		case strings.TrimSpace(line) == "":
			paragraph = false
		case examples:
			p.line("%s", escape(strings.TrimPrefix(line, "  ")))
		case indented && (!listed || indent(line) < deep):
			term, rest, _ := strings.Cut(strings.TrimSpace(line), "  ")
			if rest == "" && indent(line) < deep {
				term, rest = short(term)
			}
			p.line(".TP\n%s", bold(term))
			if rest = strings.TrimSpace(rest); rest != "" {
				p.line("%s", escape(rest))
			}
			listed = true
		default:
			if !indented && !paragraph {
				p.line(".PP")
				paragraph = true
			}
			p.line("%s", escape(strings.TrimSpace(line)))
		}
	}
	if examples {
		p.line(".fi")
	}
}

// deep is how far the second lines of a list's items are indented at least.
const deep = 8

func indent(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

// short divides an item whose term leaves one blank only before its text: "-o OFFSET how many". A term alone stays whole.
func short(item string) (term, text string) {
	words := strings.SplitN(item, " ", 3)
	if len(words) == 3 && len(words[0]) == 2 && words[1] == strings.ToUpper(words[1]) {
		return words[0] + " " + words[1], words[2]
	}
	return item, ""
}

func bold(text string) string { return `\fB` + escape(text) + `\fR` }

func italic(text string) string { return `\fI` + escape(text) + `\fR` }

// escape makes text stand for itself in roff, and its hyphens such as can be typed.
func escape(text string) string {
	text = strings.NewReplacer(`\`, `\e`, `-`, `\-`, `"`, `\(dq`, `'`, `\(aq`, "`", "\\(ga", `^`, `\(ha`, `~`, `\(ti`).Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
