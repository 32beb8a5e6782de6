package bunyan

import (
	"log/slog"
	"strings"
)

// Level is a level that may change while records are being written. The zero Level is info. It is safe for concurrent use.
type Level struct{ value slog.LevelVar }

var _ slog.Leveler = (*Level)(nil)

// Level implements [slog.Leveler].
func (l *Level) Level() slog.Level { return l.value.Level() }

// SetLevel changes the level.
func (l *Level) SetLevel(level slog.Level) { l.value.Set(level) }

// String returns the name of the level in lower case.
func (l *Level) String() string { return strings.ToLower(levelName(l.Level())) }

// Set changes the level to what a text stands for, see [ParseLevel].
func (l *Level) Set(text string) error {
	level, err := ParseLevel(text)
	if err == nil {
		l.SetLevel(level)
	}
	return err
}

// More lowers the level by one name, so that more is logged, at most to trace.
func (l *Level) More() { l.SetLevel(More(l.Level(), 1)) }

// Less raises the level by one name, at most to fatal.
func (l *Level) Less() { l.SetLevel(min(l.Level()+4, LevelFatal)) }
