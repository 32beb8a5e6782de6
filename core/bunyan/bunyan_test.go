package bunyan_test

import (
	"log/slog"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/kaizengarden/moray/core/bunyan"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParseLevel(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]slog.Level{
		"trace": bunyan.LevelTrace, "debug": slog.LevelDebug, "info": slog.LevelInfo,
		"warn": slog.LevelWarn, "error": slog.LevelError, "fatal": bunyan.LevelFatal,
		"INFO": slog.LevelInfo, "Fatal": bunyan.LevelFatal,
		"10": bunyan.LevelTrace, "20": slog.LevelDebug, "30": slog.LevelInfo,
		"40": slog.LevelWarn, "50": slog.LevelError, "60": bunyan.LevelFatal,
		"21": slog.LevelDebug + 1, "35": slog.LevelInfo + 2, "0": slog.Level(-12), "100": slog.Level(28),
	} {
		if got, err := bunyan.ParseLevel(text); err != nil || got != want {
			t.Errorf("ParseLevel(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "x", "information", "-1", "1.5", "99999", " info"} {
		want := `unknown level name: "` + text + `"`
		if got, err := bunyan.ParseLevel(text); err == nil || err.Error() != want {
			t.Errorf("ParseLevel(%q) = %d, %v, want error %s", text, got, err, want)
		}
	}
}

func TestMore(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		level slog.Level
		steps int
		want  slog.Level
	}{
		{slog.LevelInfo, 0, slog.LevelInfo},
		{slog.LevelInfo, 1, slog.LevelDebug},
		{slog.LevelInfo, 2, bunyan.LevelTrace},
		{slog.LevelInfo, 9, bunyan.LevelTrace},
		{bunyan.LevelFatal, 1, slog.LevelError},
		{slog.Level(-12), 1, slog.Level(-12)},
	} {
		if got := bunyan.More(c.level, c.steps); got != c.want {
			t.Errorf("More(%d, %d) = %d, want %d", c.level, c.steps, got, c.want)
		}
	}
}

func FuzzParseLevel(f *testing.F) {
	f.Add("info")
	f.Add("25")
	f.Fuzz(func(t *testing.T, text string) {
		level, err := bunyan.ParseLevel(text)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "unknown level name: ") {
				t.Errorf("ParseLevel(%q): error %v", text, err)
			}
			return
		}
		if level < -12 || level > 26204 {
			t.Errorf("ParseLevel(%q) = %d, outside of the numbers 0 to 65535", text, level)
		}
	})
}
