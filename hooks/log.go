package hooks

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/hooks/internal/wire"
)

// How much a plugin may log: so many lines a second, after so many at once.
const (
	linesPerSecond = 100
	linesAtOnce    = 500
)

// lines is the log of one plugin: what it prints, and what its hooks log. It is safe for concurrent use.
type lines struct {
	log *slog.Logger // of the server, with the name of the plugin

	mu      sync.Mutex
	credit  float64 // lines that may be logged now
	at      time.Time
	dropped int
}

func newLines(log *slog.Logger) *lines { return &lines{log: log, credit: linesAtOnce, at: time.Now()} }

// admit reports whether one line more may be logged, and tells how many were not.
func (l *lines) admit() bool {
	l.mu.Lock()
	now := time.Now()
	l.credit = min(linesAtOnce, l.credit+now.Sub(l.at).Seconds()*linesPerSecond)
	l.at = now
	if l.credit < 1 {
		l.dropped++
		l.mu.Unlock()
		return false
	}
	l.credit--
	dropped := l.dropped
	l.dropped = 0
	l.mu.Unlock()
	if dropped > 0 {
		l.log.Warn("the plugin logs too much", "dropped", dropped)
	}
	return true
}

// put logs one line.
func (l *lines) put(level slog.Level, message string, attrs ...slog.Attr) {
	if ctx := context.Background(); l.log.Enabled(ctx, level) && l.admit() {
		l.log.LogAttrs(ctx, level, message, attrs...)
	}
}

// copy logs what a plugin prints until the end.
func (l *lines) copy(f *os.File) {
	r := newLineReader(f)
	for trace := false; ; {
		line, err := r.next()
		if err != nil {
			return
		}
		// What the runtime of Go prints of a panic, to its end.
		trace = trace || strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ")
		if trace {
			l.put(slog.LevelError, line)
			continue
		}
		l.text(line)
	}
}

// text logs a line that a plugin printed: one of hclog in JSON form as it is meant, anything else as it is.
func (l *lines) text(line string) {
	v, err := jsvalue.Parse([]byte(line))
	if err != nil || v.Kind() != jsvalue.KindObject {
		l.put(slog.LevelInfo, line)
		return
	}
	level, message := slog.LevelInfo, v.Member("@message")
	if message.Kind() != jsvalue.KindString {
		l.put(level, line)
		return
	}
	var attrs []slog.Attr
	for name, m := range v.Members() {
		switch name {
		case "@level":
			if m.Kind() == jsvalue.KindString {
				level = levelNamed(m.Text())
			}
		case "@message", "@timestamp", "@module":
		default:
			attrs = append(attrs, attr(name, m))
		}
	}
	l.put(level, message.Text(), attrs...)
}

func levelNamed(name string) slog.Level {
	if n, ok := wire.LogLine_Level_value[strings.ToUpper(name)]; ok {
		return levelOf(wire.LogLine_Level(n))
	}
	return slog.LevelInfo
}

// levelOf returns the level of slog for one of the protocol, which has the numbers of bunyan.
func levelOf(l wire.LogLine_Level) slog.Level {
	if l == wire.LogLine_LEVEL_UNSPECIFIED {
		return slog.LevelInfo
	}
	return slog.Level((int(l) - int(wire.LogLine_INFO)) * 2 / 5)
}

// lowestLevel returns the lowest level that the server logs, so that plugins need not send what is below.
func lowestLevel(log *slog.Logger) wire.LogLine_Level {
	for _, l := range []wire.LogLine_Level{wire.LogLine_TRACE, wire.LogLine_DEBUG, wire.LogLine_INFO, wire.LogLine_WARN, wire.LogLine_ERROR} {
		if log.Enabled(context.Background(), levelOf(l)) {
			return l
		}
	}
	return wire.LogLine_FATAL
}

// attr is a member of a line as an attribute.
func attr(name string, v jsvalue.Value) slog.Attr {
	switch v.Kind() {
	case jsvalue.KindString:
		return slog.String(name, v.Text())
	case jsvalue.KindBool:
		return slog.Bool(name, v.IsTrue())
	case jsvalue.KindNumber:
		if n, err := strconv.ParseInt(string(v), 10, 64); err == nil {
			return slog.Int64(name, n)
		}
		return slog.Float64(name, v.Float())
	}
	return slog.Any(name, json.RawMessage(jsvalue.Sanitize(jsvalue.AppendPrinted(nil, v))))
}

// fields returns the attributes of a line of a hook.
func fields(m *wire.LogLine) ([]slog.Attr, error) {
	if len(m.GetFields()) == 0 {
		return nil, nil
	}
	v, err := jsvalue.Parse(m.GetFields())
	if err != nil {
		return nil, err
	}
	if v.Kind() != jsvalue.KindObject {
		return nil, fmt.Errorf("%.40s is no object", v)
	}
	var attrs []slog.Attr
	for name, member := range v.Members() {
		attrs = append(attrs, attr(name, member))
	}
	return attrs, nil
}

// output is a writer whose lines go to the log: what a plugin prints after the handshake.
type output struct {
	lines *lines
	rest  []byte
}

// Write implements io.Writer.
func (o *output) Write(b []byte) (int, error) {
	o.rest = append(o.rest, b...)
	for {
		line, rest, ok := strings.Cut(string(o.rest), "\n")
		if !ok {
			break
		}
		o.lines.text(line)
		o.rest = []byte(rest)
	}
	if len(o.rest) > maxLine {
		o.lines.text(string(o.rest))
		o.rest = nil
	}
	return len(b), nil
}

// debugOutput logs what go-plugin says of itself, which only its friends understand.
type debugOutput struct{ log *slog.Logger }

// Write implements io.Writer. hclog writes one line at a time.
func (d *debugOutput) Write(b []byte) (int, error) {
	if v, err := jsvalue.Parse([]byte(strings.TrimSpace(string(b)))); err == nil && v.Kind() == jsvalue.KindObject {
		if m := v.Member("@message"); m.Kind() == jsvalue.KindString {
			d.log.Debug("go-plugin: "+m.Text(), "detail", json.RawMessage(jsvalue.Sanitize(v)))
		}
	}
	return len(b), nil
}
