// Package bunyan writes log records as the original Moray wrote them: one JSON object a line, in the layout of the bunyan
// library, version 0. Existing collectors and the bunyan command read them.
//
//	{"name":"moray","hostname":"vm","pid":77,"component":"fast","level":30,"connId":1,"msg":"connection received","time":"2026-11-22T06:56:42.769Z","v":0}
//
// The members stand in the order in which bunyan prints them: name, hostname, pid, the attributes bound to the logger, the
// level, the attributes of the record, msg, time, src if asked for, and v. An attribute that has the name of one of these
// stands beside it, and readers take the later one; bunyan lets it replace the other.
//
// [Handler] is a [log/slog] handler; what it has printed goes to a [Sink], which is a stream ([Lines]) or a syslog server
// ([Syslog]). [NewText] is the form for a terminal. The package decides nothing about where a process logs to.
package bunyan

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"
)

// The levels of bunyan that slog has no constant for.
const (
	LevelTrace = slog.LevelDebug - 4
	LevelFatal = slog.LevelError + 4
)

// levels are the named levels, lowest first.
var levels = [...]struct {
	name  string
	level slog.Level
}{
	{"trace", LevelTrace},
	{"debug", slog.LevelDebug},
	{"info", slog.LevelInfo},
	{"warn", slog.LevelWarn},
	{"error", slog.LevelError},
	{"fatal", LevelFatal},
}

// ParseLevel returns the level that text stands for: a name (trace, debug, info, warn, error or fatal, in any case) or a
// number of bunyan (10 is trace, 60 is fatal).
func ParseLevel(text string) (slog.Level, error) {
	for _, l := range levels {
		if strings.EqualFold(l.name, text) {
			return l.level, nil
		}
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("unknown level name: %q", text)
	}
	return fromNumber(int(n)), nil
}

// More returns the level that is the given number of named levels below level, but never below [LevelTrace]. That is what
// repeating -v on a command line asks for.
func More(level slog.Level, steps int) slog.Level {
	return max(level-slog.Level(4*steps), min(level, LevelTrace))
}

// number returns what bunyan prints for a level. Ten of bunyan are four of slog, and info is 30 there and 0 here.
func number(level slog.Level) int { return 30 + int(level)*5/2 }

// fromNumber returns the lowest level whose number is at least n.
func fromNumber(n int) slog.Level {
	level := slog.Level((n - 30) * 2 / 5)
	for number(level) < n {
		level++
	}
	return level
}

// levelName returns the name of the highest named level that is not above level, in capitals.
func levelName(level slog.Level) string {
	name := levels[0].name
	for _, l := range levels {
		if level >= l.level {
			name = l.name
		}
	}
	return strings.ToUpper(name)
}
