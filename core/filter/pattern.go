package filter

import "strings"

// Pattern is text with gaps between its parts. It fits a text that has all parts in this order with no line break in the gaps
// between them. If Initial is not empty the text must begin with it, and if Final is not empty the text must end with it. So
// the original's regular expressions had it.
type Pattern struct {
	Initial string
	Any     []string
	Final   string
}

// state is a place in a text where a gap begins, and the end of its line, up to which the gap can reach.
type state struct{ at, end int }

// fits reports whether p fits text. The parts matched so far can end at several places. Of those in one line the first is as
// good as all, so there is one state a line, and each part moves every state on or ends it. That takes time in proportion to
// the text for each line break in the parts, and to the text once for all other parts together.
func (p *Pattern) fits(text string) bool {
	var buf [4]state
	states := buf[:0]
	if p.Initial != "" {
		if !strings.HasPrefix(text, p.Initial) {
			return false
		}
		states = append(states, stateAt(text, len(p.Initial)))
	} else {
		states = appendLines(states, text)
	}
	for _, part := range p.Any {
		states = advance(states, text, part)
	}
	if p.Final == "" {
		return len(states) > 0
	}
	if !strings.HasSuffix(text, p.Final) {
		return false
	}
	start := len(text) - len(p.Final)
	for _, s := range states {
		if s.at <= start && start <= s.end {
			return true
		}
	}
	return false
}

func stateAt(text string, at int) state { return state{at, at + lineEnd(text[at:])} }

// appendLines appends a state for the start of each line: from there a gap reaches every place in the text.
func appendLines(states []state, text string) []state {
	for at := 0; ; {
		s := stateAt(text, at)
		states = append(states, s)
		if s.end == len(text) {
			return states
		}
		at = s.end + breakLen(text[s.end:])
	}
}

// advance moves the states, in place, behind the next part.
func advance(states []state, text, part string) []state {
	first := lineEnd(part)
	kept := states[:0]
	for _, s := range states {
		if first == len(part) {
			if i := strings.Index(text[s.at:s.end], part); i >= 0 {
				kept = append(kept, state{s.at + i + len(part), s.end})
			}
			continue
		}
		// The first line break of the part must be the end of the line.
		if start := s.end - first; start >= s.at && strings.HasPrefix(text[start:], part) {
			kept = append(kept, stateAt(text, start+len(part)))
		}
	}
	return kept
}

// lineEnd returns the position of the first line break in text, or its length.
func lineEnd(text string) int {
	for i := range len(text) {
		if breakLen(text[i:]) > 0 {
			return i
		}
	}
	return len(text)
}

// breakLen returns the length of the line break at the start of text, or 0. JavaScript knows four.
func breakLen(text string) int {
	switch text[0] {
	case '\n', '\r':
		return 1
	case "\u2028"[0]:
		if strings.HasPrefix(text, "\u2028") || strings.HasPrefix(text, "\u2029") {
			return 3
		}
	}
	return 0
}

// lineBreaks counts the line breaks in text.
func lineBreaks(text string) int {
	count := 0
	for end := lineEnd(text); end < len(text); end = lineEnd(text) {
		count++
		text = text[end+breakLen(text[end:]):]
	}
	return count
}
