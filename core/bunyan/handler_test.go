package bunyan_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/slogtest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kaizengarden/moray/core/bunyan"
	"github.com/kaizengarden/moray/core/jsvalue"
)

// noon is the time of every record of the tests.
var noon = time.Date(2026, 11, 22, 6, 56, 42, 769e6, time.UTC)

// atNoon sets the time of each record.
type atNoon struct{ slog.Handler }

func (h atNoon) Handle(ctx context.Context, r slog.Record) error {
	r.Time = noon.In(time.FixedZone("", 3600))
	return h.Handler.Handle(ctx, r)
}

func (h atNoon) WithAttrs(a []slog.Attr) slog.Handler { return atNoon{h.Handler.WithAttrs(a)} }
func (h atNoon) WithGroup(name string) slog.Handler   { return atNoon{h.Handler.WithGroup(name)} }

func newLogger(w io.Writer) *slog.Logger {
	return slog.New(atNoon{bunyan.NewHandler(bunyan.Lines(w),
		bunyan.Options{Name: "moray", Hostname: "vm", PID: 77, Level: bunyan.LevelTrace})})
}

// The calls that a JavaScript program made to get testdata/records.jsonl, in Go.
func TestRecordsOfBunyan(t *testing.T) {
	t.Parallel()
	want, err := os.ReadFile("testdata/records.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	var got bytes.Buffer
	log := newLogger(&got)
	fast := log.With("component", "fast")

	log.Info("Moray listening on port 2020",
		slog.Group("address", "address", "0.0.0.0", "family", "IPv4", "port", 2020))
	fast.Info("registered RPC method", "rpcmethod", "ping")
	fast.Info("connection received", "connId", 1, "client", "127.0.0.1:36690")
	fast.Log(ctx, bunyan.LevelTrace, "t")
	fast.Debug("d")
	fast.Warn("w")
	fast.Log(ctx, bunyan.LevelFatal, "f")
	fast.Error("socket error", "connId", 1)
	log.Info("", "a", 1)
	fast.With("route", "putObject").With("req_id", "b7e3a9a0-0000-4000-8000-000000000001").Info("every kind of value",
		"n", nil, "b", true, "f", 1.5, "big", 1e21, "s", "\x01\t\n \"q\" \\ <&> \u2028 é 😀", "list", []any{1, "x"})

	gotLines, wantLines := strings.Split(got.String(), "\n"), strings.Split(string(want), "\n")
	if diff := cmp.Diff(wantLines, gotLines); diff != "" {
		t.Errorf("records differ from bunyan's (-want +got):\n%s", diff)
	}
}

type broken struct{}

func (broken) MarshalJSON() ([]byte, error) { return nil, errors.New("no") }

type panics struct{}

func (panics) Error() string { panic("oh") }

func TestValues(t *testing.T) {
	t.Parallel()
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("refused")}
	for _, c := range []struct {
		value any
		want  string
	}{
		{errors.New("boom"), `{"message":"boom","name":"Error"}`},
		{fmt.Errorf("connect: %w", refused), `{"message":"connect: dial tcp: refused","name":"OpError"}`},
		{panics{}, `"!PANIC: oh"`},
		{broken{}, `"!ERROR: json: error calling MarshalJSON for type bunyan_test.broken: no"`},
		{make(chan int), `"!ERROR: json: unsupported type: chan int"`},
		{1500 * time.Microsecond, "1.5"},
		{noon, `"2026-11-22T06:56:42.769Z"`},
		{uint64(math.MaxUint64), "18446744073709551615"},
		{math.NaN(), "null"},
		{math.Inf(-1), "null"},
		{math.Copysign(0, -1), "0"},
		{"bad\xffutf-8", `"bad` + "\ufffd" + `utf-8"`},
		{jsvalue.Value("{ \"b\" : [1,\n2] }"), `{"b":[1,2]}`},
		{jsvalue.Value(`"\ud800"`), "\"\ufffd\""},
		{jsvalue.Value(nil), "null"},
		{json.RawMessage("[1,\n2]"), "[1,2]"},
		{map[string]int{"a": 1}, `{"a":1}`},
		{slog.GroupValue(slog.Int("a", 1), slog.Group("b"), slog.Group("", slog.Int("c", 2))), `{"a":1,"c":2}`},
	} {
		var b bytes.Buffer
		newLogger(&b).Info("m", "x", c.value)
		want := `{"name":"moray","hostname":"vm","pid":77,"level":30,"x":` + c.want +
			`,"msg":"m","time":"2026-11-22T06:56:42.769Z","v":0}` + "\n"
		if got := b.String(); got != want {
			t.Errorf("%v:\n got %s\nwant %s", c.value, got, want)
		}
		if !json.Valid(b.Bytes()) {
			t.Errorf("%v: not JSON: %s", c.value, b.String())
		}
	}
}

func TestGroups(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		log  func(*slog.Logger)
		want string // between pid and msg
	}{
		{func(l *slog.Logger) { l.WithGroup("g").Info("m") }, `"level":30`},
		{func(l *slog.Logger) { l.WithGroup("").Info("m", "a", 1) }, `"level":30,"a":1`},
		{func(l *slog.Logger) { l.WithGroup("g").Info("m", "a", 1) }, `"level":30,"g":{"a":1}`},
		{func(l *slog.Logger) { l.With("c", 0).WithGroup("g").With("a", 1).Info("m") }, `"c":0,"level":30,"g":{"a":1}`},
		{func(l *slog.Logger) { l.WithGroup("g").With("a", 1).WithGroup("h").Info("m", "b", 2) }, `"level":30,"g":{"a":1,"h":{"b":2}}`},
		{func(l *slog.Logger) { l.WithGroup("g").With("a", 1).WithGroup("h").Info("m") }, `"level":30,"g":{"a":1}`},
		{func(l *slog.Logger) { l.WithGroup("g").WithGroup("h").With("a", 1, "b", 2).Info("m", "c", 3) }, `"level":30,"g":{"h":{"a":1,"b":2,"c":3}}`},
		{func(l *slog.Logger) { l.WithGroup("g").With(slog.Group("empty")).Info("m", slog.Group("e")) }, `"level":30`},
		{func(l *slog.Logger) {
			a := l.WithGroup("g").With("a", 1)
			a.With("x", 1)
			a.With("y", 2).Info("m")
		}, `"level":30,"g":{"a":1,"y":2}`},
	} {
		var b bytes.Buffer
		c.log(newLogger(&b))
		want := `{"name":"moray","hostname":"vm","pid":77,` + c.want + `,"msg":"m","time":"2026-11-22T06:56:42.769Z","v":0}` + "\n"
		if got := b.String(); got != want {
			t.Errorf("got  %swant %s", got, want)
		}
	}
}

func TestSource(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	slog.New(bunyan.NewHandler(bunyan.Lines(&b), bunyan.Options{Source: true})).Info("m")
	_, file, line, _ := runtime.Caller(0)
	var got struct {
		Hostname string
		PID      int
		Src      struct {
			File, Func string
			Line       int
		}
	}
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatalf("%s: %v", b.String(), err)
	}
	if got.Src.File != file || got.Src.Line != line-1 || !strings.HasSuffix(got.Src.Func, ".TestSource") {
		t.Errorf("src = %+v, want %s:%d in TestSource", got.Src, file, line-1)
	}
	if host, _ := os.Hostname(); got.Hostname != host || got.PID != os.Getpid() {
		t.Errorf("hostname, pid = %q, %d, want %q, %d", got.Hostname, got.PID, host, os.Getpid())
	}
}

func TestLevelCanChange(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	var level slog.LevelVar
	log := slog.New(bunyan.NewHandler(bunyan.Lines(&b), bunyan.Options{Level: &level}))
	log.Debug("first")
	level.Set(slog.LevelDebug)
	log.Debug("second")
	if got := b.String(); strings.Contains(got, "first") || !strings.Contains(got, "second") {
		t.Errorf("got %q, want the second record only", got)
	}
}

func TestSlog(t *testing.T) {
	t.Parallel()
	var b *bytes.Buffer
	slogtest.Run(t, func(*testing.T) slog.Handler {
		b = new(bytes.Buffer)
		return bunyan.NewHandler(bunyan.Lines(b), bunyan.Options{})
	}, func(t *testing.T) map[string]any {
		var record map[string]any
		if err := json.Unmarshal(b.Bytes(), &record); err != nil {
			t.Fatalf("%s: %v", b.String(), err)
		}
		return record
	})
}

// oneWrite fails the test if a call of Write is not exactly one record, or if two overlap (under the race detector).
type oneWrite struct {
	t     *testing.T
	count int
}

func (w *oneWrite) Write(p []byte) (int, error) {
	w.count++
	if !json.Valid(p) || bytes.Count(p, []byte("\n")) != 1 || p[len(p)-1] != '\n' {
		w.t.Errorf("one write is %q, want one record", p)
	}
	return len(p), nil
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	w := &oneWrite{t: t}
	log := newLogger(w)
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			log := log.With("g", g)
			for i := range 200 {
				log.Info("m", "i", i, "text", strings.Repeat("x", i))
			}
		})
	}
	all.Wait()
	if w.count != 1600 {
		t.Errorf("%d writes, want 1600", w.count)
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	log := slog.New(atNoon{bunyan.NewText(&b, bunyan.Options{Level: bunyan.LevelTrace})})
	log.Log(t.Context(), bunyan.LevelTrace, "in detail", "a", 1, slog.Group("g", "level", slog.LevelWarn))
	log.Log(t.Context(), bunyan.LevelFatal, "the end")
	log.Log(t.Context(), slog.Level(-20), "not printed")
	want := "time=2026-11-22T07:56:42.769+01:00 level=TRACE msg=\"in detail\" a=1 g.level=WARN\n" +
		"time=2026-11-22T07:56:42.769+01:00 level=FATAL msg=\"the end\"\n"
	if got := b.String(); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func FuzzRecord(f *testing.F) {
	f.Add("message", "key", "value", "group")
	f.Add("\xff\x00\"", "}", "{", "msg")
	f.Fuzz(func(t *testing.T, message, key, value, group string) {
		var b bytes.Buffer
		newLogger(&b).With(key, value).WithGroup(group).With(key, []string{value}).
			Info(message, key, errors.New(value), slog.Group(group, key, value))
		if !json.Valid(b.Bytes()) || strings.Count(b.String(), "\n") != 1 {
			t.Errorf("%q, %q, %q, %q: not one line of JSON: %q", message, key, value, group, b.String())
		}
	})
}

func BenchmarkRecord(b *testing.B) {
	log := slog.New(bunyan.NewHandler(bunyan.Lines(io.Discard), bunyan.Options{Name: "moray", Hostname: "vm"})).
		With("component", "fast", "connId", 17)
	b.ReportAllocs()
	for b.Loop() {
		log.LogAttrs(b.Context(), slog.LevelInfo, "putObject: done", slog.String("req_id", "b7e3a9a0-0000-4000-8000-000000000001"),
			slog.Int("msgid", 12), slog.Duration("latency", 1234567), slog.String("route", "putObject"))
	}
}
