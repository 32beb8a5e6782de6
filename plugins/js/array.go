package js

import (
	"strings"

	"github.com/dop251/goja"
)

// parseArray makes an array of PostgreSQL's text for one. ok is false for a text that it does not have for arrays.
func parseArray(e *engine, text string, convert converter) (v goja.Value, ok bool) {
	if strings.HasPrefix(text, "[") { // the bounds of one that does not begin at 1
		_, text, _ = strings.Cut(text, "=")
	}
	p := arrayParser{engine: e, text: text, convert: convert}
	v, ok = p.array(0)
	return v, ok && p.at == len(text)
}

type arrayParser struct {
	engine  *engine
	text    string
	at      int
	convert converter
}

// maxDimensions is how many dimensions an array of PostgreSQL can have.
const maxDimensions = 6

func (p *arrayParser) array(depth int) (goja.Value, bool) {
	if depth == maxDimensions || !p.take('{') {
		return nil, false
	}
	elements := []any{}
	if p.take('}') {
		return p.engine.vm.NewArray(), true
	}
	for {
		element, ok := p.element(depth)
		if !ok {
			return nil, false
		}
		elements = append(elements, element)
		if p.take('}') {
			return p.engine.vm.NewArray(elements...), true
		}
		if !p.take(',') {
			return nil, false
		}
	}
}

func (p *arrayParser) element(depth int) (goja.Value, bool) {
	if strings.HasPrefix(p.text[p.at:], "{") {
		return p.array(depth + 1)
	}
	if p.take('"') {
		text, ok := p.quoted()
		return p.convert(p.engine, text), ok
	}
	start := p.at
	end := strings.IndexAny(p.text[p.at:], ",}")
	if end <= 0 {
		return nil, false
	}
	p.at += end
	if text := p.text[start:p.at]; text != "NULL" {
		return p.convert(p.engine, text), true
	}
	return goja.Null(), true
}

// quoted reads on after a quote up to the next one.
func (p *arrayParser) quoted() (string, bool) {
	var b strings.Builder
	for ; p.at < len(p.text); p.at++ {
		switch c := p.text[p.at]; {
		case c == '"':
			p.at++
			return b.String(), true
		case c == '\\' && p.at+1 < len(p.text):
			p.at++
			b.WriteByte(p.text[p.at])
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}

func (p *arrayParser) take(c byte) bool {
	if p.at < len(p.text) && p.text[p.at] == c {
		p.at++
		return true
	}
	return false
}
