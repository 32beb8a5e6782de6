// Package documents runs the commands of the documents, README.md and docs/, as their readers do. See CONTRIBUTING.md for the marks
// that tell how.
package documents

import (
	"fmt"
	"regexp"
	"strings"
)

// block is a fenced block of a document that plays a part in its run.
type block struct {
	line   int // of its first line of text
	text   string
	kind   kind
	name   string // of the file, for kind file
	until  string // what has to be printed before the next block is run, for kind beside
	output string // what it prints, with … for any text; "" is anything
}

type kind int

const (
	command kind = iota // is run, and succeeds
	fails               // is run, and a command in it fails
	beside              // is run beside the following ones, until the end of the document
	file                // is the content of a file
	skipped             // is not run
)

var (
	fence = regexp.MustCompile("^( *)(```+)(.*)$")
	mark  = regexp.MustCompile(`^ *<!-- (.*) -->$`)
	until = regexp.MustCompile(`^run: beside, until "(.+)"$`)
)

// read finds the blocks of a document: those of commands, with the marks before them and the output behind them, and files.
func read(document string) ([]block, error) {
	var blocks []block
	lines := strings.Split(document, "\n")
	marked := ""
	for i := 0; i < len(lines); i++ {
		opening := fence.FindStringSubmatch(lines[i])
		if opening == nil {
			if m := mark.FindStringSubmatch(lines[i]); m != nil && (strings.HasPrefix(m[1], "run:") || strings.HasPrefix(m[1], "not run:")) {
				marked = m[1]
			} else if marked != "" && strings.TrimSpace(lines[i]) != "" {
				return nil, fmt.Errorf("line %d: the mark %q stands before no block", i+1, marked)
			}
			continue
		}
		b := block{line: i + 2}
		var text strings.Builder
		for i++; ; i++ {
			if i == len(lines) {
				return nil, fmt.Errorf("line %d: the block has no end", b.line-1)
			}
			if strings.TrimSpace(lines[i]) == opening[2] {
				break
			}
			text.WriteString(strings.TrimPrefix(lines[i], opening[1]) + "\n")
		}
		b.text = text.String()
		var err error
		if blocks, err = take(blocks, b, strings.TrimSpace(opening[3]), marked); err != nil {
			return nil, fmt.Errorf("line %d: %w", b.line-1, err)
		}
		marked = ""
	}
	return blocks, nil
}

// take appends a block if it plays a part. The info stands behind its fence.
func take(blocks []block, b block, info, mark string) ([]block, error) {
	_, name, isFile := strings.Cut(info, "file=")
	switch {
	case info == "output":
		if len(blocks) == 0 || blocks[len(blocks)-1].output != "" || blocks[len(blocks)-1].kind > fails {
			return nil, fmt.Errorf("the output stands behind no commands")
		}
		blocks[len(blocks)-1].output = b.text
		return blocks, nil
	case isFile:
		b.kind, b.name = file, name
		return append(blocks, b), nil
	case info == "sh" || info == "bash" || info == "shell":
		reason, not := strings.CutPrefix(mark, "not run: ")
		beginning := until.FindStringSubmatch(mark)
		switch {
		case mark == "":
			b.kind = command
		case mark == "run: fails":
			b.kind = fails
		case beginning != nil:
			b.kind, b.until = beside, beginning[1]
		case not && len(reason) > 10:
			b.kind = skipped
		default:
			return nil, fmt.Errorf("%q is no mark, or gives no reason", mark)
		}
		return append(blocks, b), nil
	case mark != "":
		return nil, fmt.Errorf("the mark %q stands before no commands", mark)
	}
	return blocks, nil
}

// marker stands in the output of a script before that of the block whose line follows.
const marker = "@@ block at line "

// script is what runs the blocks one after the other, in one shell. What runs beside them is left, in its process group.
func script(blocks []block) string {
	var s strings.Builder
	s.WriteString(`set -eEo pipefail
logs=$PWD
await() {
	until grep -qF "$2" "$1"; do
		kill -0 $! 2>/dev/null || { cat "$1"; echo "it ended without printing: $2"; exit 1; }
		sleep 0.05
	done
}
`)
	for _, b := range blocks {
		fmt.Fprintf(&s, "echo '%s%d'\n", marker, b.line)
		switch b.kind {
		case command:
			s.WriteString(b.text)
		case fails:
			s.WriteString("failures=0; set +e; trap 'failures=$((failures+1))' ERR\n" + b.text +
				"trap - ERR; set -e; [ $failures -gt 0 ] || { echo 'nothing failed'; exit 1; }\n")
		case beside:
			// A shell has what it runs in the background ignore SIGINT.
			fmt.Fprintf(&s, "log=$logs/beside-%d.log; : >$log\nenv --default-signal=INT bash -c %s >$log 2>&1 </dev/null &\nawait $log %s\n",
				b.line, quote(b.text), quote(b.until))
		case file:
			fmt.Fprintf(&s, "cat >%s <<'END OF FILE'\n%sEND OF FILE\n", quote(b.name), b.text)
		case skipped:
		}
	}
	return s.String()
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// outputs are what the blocks printed, by their lines.
func outputs(printed string) map[int]string {
	by := map[int]string{}
	for _, part := range strings.Split("\n"+printed, "\n"+marker)[1:] {
		line, text, _ := strings.Cut(part, "\n")
		n := 0
		fmt.Sscan(line, &n)
		by[n] = text
	}
	return by
}

// shows tells whether a block printed what the document says.
func shows(printed, says string) bool {
	parts := strings.Split(strings.TrimSpace(says), "…")
	for i, part := range parts {
		parts[i] = regexp.QuoteMeta(part)
	}
	return regexp.MustCompile(`(?s)\A` + strings.Join(parts, ".*?") + `\z`).MatchString(strings.TrimSpace(printed))
}
