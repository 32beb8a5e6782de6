package bunyan

import (
	"io"
	"log/slog"
)

// NewText returns a handler for people at a terminal: time, level, message and key=value pairs on one line. Of the options
// only Level and Source count.
func NewText(w io.Writer, o Options) slog.Handler {
	return slog.NewTextHandler(w, &slog.HandlerOptions{
		Level:     o.Level,
		AddSource: o.Source,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if level, ok := a.Value.Any().(slog.Level); ok && len(groups) == 0 && a.Key == slog.LevelKey {
				a.Value = slog.StringValue(levelName(level))
			}
			return a
		},
	})
}
