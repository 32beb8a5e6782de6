package bunyan

import (
	"context"
	"io"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/kaizengarden/moray/core/jsvalue"
)

// Options say who logs, and how much.
type Options struct {
	Name     string       // of the program
	Hostname string       // "" stands for the host's name
	PID      int          // 0 stands for the process's id
	Level    slog.Leveler // lowest level that is printed, read at each record; nil stands for info
	Source   bool         // print the place in the source as src
}

// Sink takes finished records.
type Sink interface {
	// WriteRecord takes one record as JSON text that ends in a newline. The text is valid until WriteRecord returns.
	// It is called by several goroutines at once.
	WriteRecord(level slog.Level, at time.Time, line []byte) error
}

// Lines returns a sink that writes each record to w by one call of Write. The calls do not overlap.
func Lines(w io.Writer) Sink { return &lines{w: w} }

type lines struct {
	mu sync.Mutex // held while w is written
	w  io.Writer
}

func (l *lines) WriteRecord(_ slog.Level, _ time.Time, line []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := l.w.Write(line)
	return err
}

// Handler is a [slog.Handler] that prints bunyan records.
type Handler struct {
	sink    Sink
	options Options
	// head is the start of each record: the opening brace, name, hostname, pid and what was bound outside of groups.
	head []byte
	// nested are the members that were bound inside of groups, with the opening of their groups but not the closing: they
	// follow the level, because more members of the same groups may follow.
	nested []byte
	open   int      // how many groups are open in nested
	groups []string // the groups inside those that have no member yet; one that never gets one is not printed
}

var _ slog.Handler = (*Handler)(nil)

// NewHandler returns a handler that gives its records to sink.
func NewHandler(sink Sink, o Options) *Handler {
	if o.Hostname == "" {
		o.Hostname, _ = os.Hostname() // a record without it is better than none
	}
	if o.PID == 0 {
		o.PID = os.Getpid()
	}
	head := appendString([]byte(`{"name":`), o.Name)
	head = appendString(append(head, `,"hostname":`...), o.Hostname)
	head = strconv.AppendInt(append(head, `,"pid":`...), int64(o.PID), 10)
	return &Handler{sink: sink, options: o, head: head}
}

// Enabled implements [slog.Handler].
func (h *Handler) Enabled(_ context.Context, level slog.Level) bool {
	lowest := slog.LevelInfo
	if h.options.Level != nil {
		lowest = h.options.Level.Level()
	}
	return level >= lowest
}

// WithAttrs implements [slog.Handler].
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	if h.open == 0 && len(h.groups) == 0 {
		c.head = appendAttrs(slices.Clip(h.head), attrs)
		return &c
	}
	nested, opened := h.appendGroups(slices.Clip(h.nested), func(dst []byte) []byte { return appendAttrs(dst, attrs) })
	if opened {
		c.nested, c.open, c.groups = nested, h.open+len(h.groups), nil
	}
	return &c
}

// WithGroup implements [slog.Handler].
func (h *Handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	c := *h
	c.groups = append(slices.Clip(h.groups), name)
	return &c
}

// appendGroups opens the groups that have no member yet and appends members to the innermost. If there turn out to be
// none, dst is returned as it was, and false.
func (h *Handler) appendGroups(dst []byte, members func([]byte) []byte) ([]byte, bool) {
	before := len(dst)
	for _, name := range h.groups {
		dst = append(appendKey(dst, name), '{')
	}
	start := len(dst)
	if dst = members(dst); len(dst) == start {
		return dst[:before], false
	}
	return dst, true
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 1024); return &b }}

// Handle implements [slog.Handler].
func (h *Handler) Handle(_ context.Context, r slog.Record) error {
	buffer := buffers.Get().(*[]byte)
	line := h.appendRecord((*buffer)[:0], r)
	err := h.sink.WriteRecord(r.Level, r.Time, line)
	if *buffer = line; cap(line) <= 64<<10 { // one huge record must not stay in memory for ever
		buffers.Put(buffer)
	}
	return err
}

func (h *Handler) appendRecord(dst []byte, r slog.Record) []byte {
	dst = append(dst, h.head...)
	dst = strconv.AppendInt(append(dst, `,"level":`...), int64(number(r.Level)), 10)
	dst = append(dst, h.nested...)
	dst, opened := h.appendGroups(dst, func(dst []byte) []byte {
		r.Attrs(func(a slog.Attr) bool {
			dst = appendAttr(dst, a)
			return true
		})
		return dst
	})
	closing := h.open
	if opened {
		closing += len(h.groups)
	}
	for range closing {
		dst = append(dst, '}')
	}
	dst = appendString(append(dst, `,"msg":`...), r.Message)
	if !r.Time.IsZero() {
		dst = appendTime(append(dst, `,"time":`...), r.Time)
	}
	if h.options.Source && r.PC != 0 {
		dst = appendSource(append(dst, `,"src":`...), r.PC)
	}
	return append(dst, `,"v":0}`+"\n"...)
}

func appendSource(dst []byte, pc uintptr) []byte {
	frame, _ := runtime.CallersFrames([]uintptr{pc}).Next()
	dst = appendString(append(dst, `{"file":`...), frame.File)
	dst = strconv.AppendInt(append(dst, `,"line":`...), int64(frame.Line), 10)
	dst = appendString(append(dst, `,"func":`...), frame.Function)
	return append(dst, '}')
}

// javaScriptTime is how JavaScript prints a Date in JSON, in UTC.
const javaScriptTime = "2006-01-02T15:04:05.000Z"

func appendTime(dst []byte, t time.Time) []byte {
	dst = t.UTC().AppendFormat(append(dst, '"'), javaScriptTime)
	return append(dst, '"')
}

// appendString appends s as a JSON string. Bytes that are not UTF-8 become U+FFFD.
func appendString(dst []byte, s string) []byte { return jsvalue.AppendString(dst, validUTF8(s)) }
