package sdk

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/kaizengarden/moray/hooks/internal/wire"
)

// The levels of the server's log that slog has no constant for.
const (
	LevelTrace = slog.LevelDebug - 4
	LevelFatal = slog.LevelError + 4
)

// Log returns a log for what belongs to no event. It goes to the log of the server, with the name of the plugin.
func Log() *slog.Logger { return stderrLog }

var stderrLog = slog.New(newStderrHandler(os.Stderr))

// newStderrHandler writes what go-plugin's hosts read from the stderr of a plugin.
func newStderrHandler(w io.Writer) slog.Handler {
	names := map[string]string{slog.TimeKey: "@timestamp", slog.LevelKey: "@level", slog.MessageKey: "@message"}
	return slog.NewJSONHandler(w, &slog.HandlerOptions{
		Level: LevelTrace,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if name := names[a.Key]; name != "" && len(groups) == 0 {
				a.Key = name
			}
			if a.Key == "@level" {
				if level, ok := a.Value.Any().(slog.Level); ok {
					a.Value = slog.StringValue(levelName(level))
				}
			}
			return a
		},
	})
}

var levelNames = map[wire.LogLine_Level]string{
	wire.LogLine_TRACE: "trace", wire.LogLine_DEBUG: "debug", wire.LogLine_INFO: "info",
	wire.LogLine_WARN: "warn", wire.LogLine_ERROR: "error", wire.LogLine_FATAL: "fatal",
}

func levelName(l slog.Level) string { return levelNames[wireLevel(l)] }

// wireLevel returns the highest level of the protocol that is not above l.
func wireLevel(l slog.Level) wire.LogLine_Level {
	switch {
	case l >= LevelFatal:
		return wire.LogLine_FATAL
	case l >= slog.LevelError:
		return wire.LogLine_ERROR
	case l >= slog.LevelWarn:
		return wire.LogLine_WARN
	case l >= slog.LevelInfo:
		return wire.LogLine_INFO
	case l >= slog.LevelDebug:
		return wire.LogLine_DEBUG
	}
	return wire.LogLine_TRACE
}

// eventLog is the log of an event: its lines go through the session as long as the event lasts, then to stderr.
type eventLog struct {
	session *session
	event   uint64              // its number in the session
	late    func() slog.Handler // for what is logged after the event

	fields *fieldWriter
	json   slog.Handler // writes the attributes to fields; nil for one without attributes of its own
}

// fieldWriter takes what the JSON handler prints, one record at a time.
type fieldWriter struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// fieldsHead is how the JSON handler begins a record without time and message.
const fieldsHead = `{"level":"INFO","msg":""`

func newEventLog(s *session, bucket, hook, requestID string) *slog.Logger {
	return slog.New(&eventLog{
		session: s, event: s.number, fields: &fieldWriter{},
		late: func() slog.Handler {
			return stderrLog.Handler().WithAttrs([]slog.Attr{
				slog.String("hook", hook), slog.String("bucket", bucket), slog.String("req_id", requestID),
			})
		},
	})
}

// Enabled implements slog.Handler.
func (l *eventLog) Enabled(_ context.Context, level slog.Level) bool {
	return wireLevel(level) >= l.session.service.logLevel()
}

// handler returns what prints the attributes. Most events log nothing, so it is made when it is needed.
func (l *eventLog) handler() slog.Handler {
	if l.json != nil {
		return l.json
	}
	return slog.NewJSONHandler(&l.fields.text, nil)
}

// Handle implements slog.Handler.
func (l *eventLog) Handle(ctx context.Context, r slog.Record) error {
	plain := slog.NewRecord(time.Time{}, slog.LevelInfo, "", 0)
	r.Attrs(func(a slog.Attr) bool {
		plain.AddAttrs(a)
		return true
	})
	l.fields.mu.Lock()
	l.fields.text.Reset()
	err := l.handler().Handle(ctx, plain)
	text := bytes.TrimPrefix(bytes.Clone(bytes.TrimSpace(l.fields.text.Bytes())), []byte(fieldsHead))
	l.fields.mu.Unlock()
	if err != nil {
		return err
	}
	line := &wire.LogLine{Level: wireLevel(r.Level), Message: r.Message}
	if len(text) > 1 { // more than the closing brace
		text[0] = '{' // in place of the comma
		line.Fields = text
	}
	if l.session.log(l.event, line) {
		return nil
	}
	return l.late().Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (l *eventLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *l
	with.json = l.handler().WithAttrs(attrs)
	with.late = func() slog.Handler { return l.late().WithAttrs(attrs) }
	return &with
}

// WithGroup implements slog.Handler.
func (l *eventLog) WithGroup(name string) slog.Handler {
	with := *l
	with.json = l.handler().WithGroup(name)
	with.late = func() slog.Handler { return l.late().WithGroup(name) }
	return &with
}
