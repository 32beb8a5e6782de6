package sdk_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/kaizengarden/moray/hooks/hooktest"
	"github.com/kaizengarden/moray/hooks/sdk"
)

// inHook runs fn as a hook whose SQL is answered by reply.
func inHook(t *testing.T, reply func(hooktest.Statement) hooktest.Reply, fn func(tx *sdk.Tx) error) hooktest.Result {
	t.Helper()
	p := hooktest.Start(t, one("h", func(_ context.Context, e *sdk.Event) error { return fn(e.Tx) }))
	return p.Fire(hooktest.Event{Bindings: pre("h"), SQL: reply})
}

func TestArguments(t *testing.T) {
	t.Parallel()
	type name string
	null, text := (*string)(nil), "text"
	at := time.Date(2026, 11, 25, 1, 2, 3, 4000, time.FixedZone("", 3600))
	for _, c := range []struct {
		arg  any
		want string
	}{
		{nil, hooktest.Null},
		{null, hooktest.Null},
		{&text, "text"},
		{"", ""},
		{name("a"), "a"},
		{true, "true"},
		{int8(-5), "-5"},
		{uint64(math.MaxUint64), "18446744073709551615"},
		{1.5, "1.5"},
		{float32(0.1), "0.1"},
		{math.Inf(-1), "-Inf"},
		{[]byte("\x00é"), `\x00c3a9`},
		{[]byte(nil), hooktest.Null},
		{[]byte{}, `\x`},
		{json.RawMessage(`{"a":1}`), `{"a":1}`},
		{at, "2026-11-25T01:02:03.000004+01:00"},
		{netip.MustParseAddr("::1"), "::1"},
		{[]string{"a", `b"\`, "", "NULL"}, `{"a","b\"\\","","NULL"}`},
		{[]any{nil, 1, "x", []int{1, 2}}, `{NULL,"1","x",{"1","2"}}`},
		{[]int{}, `{}`},
		{[]int(nil), hooktest.Null},
		{map[string]any{"a": "<"}, `{"a":"<"}`},
		{struct{ A int }{1}, `{"A":1}`},
	} {
		want := hooktest.Step{SQL: "SELECT $1", Args: []string{c.want}}
		r := inHook(t, hooktest.Expect(t, want), func(tx *sdk.Tx) error {
			_, err := tx.Exec("SELECT $1", c.arg)
			return err
		})
		if r.Err != nil {
			t.Errorf("%v: %v", c.arg, r.Err)
		}
	}
	r := inHook(t, nil, func(tx *sdk.Tx) error {
		_, err := tx.Exec("SELECT $1", func() {})
		return err
	})
	if want := "argument $1: json: unsupported type: func()"; fmt.Sprint(r.Err) != want {
		t.Errorf("got %v, want %s", r.Err, want)
	}
}

func TestScan(t *testing.T) {
	t.Parallel()
	const (
		boolean, bytea, int8, text, js, float8, numeric, date, timestamptz, textArray = 16, 17, 20, 25, 114, 701, 1700, 1082, 1184, 1009
	)
	s := func(s string) *string { return &s }
	for _, c := range []struct {
		oid  uint32
		cell string
		want any
	}{
		{text, "é", "é"},
		{text, hooktest.Null, (*string)(nil)},
		{text, "x", s("x")},
		{int8, "-7", int64(-7)},
		{int8, "7", uint16(7)},
		{float8, "1.5", 1.5},
		{boolean, "t", true},
		{boolean, "f", false},
		{bytea, `\x00ff`, []byte{0, 255}},
		{text, `raw`, []byte("raw")},
		{js, `{"a":[1]}`, json.RawMessage(`{"a":[1]}`)},
		{js, `{"a":[1]}`, map[string][]int{"a": {1}}},
		{js, `[1,2]`, []int{1, 2}},
		{textArray, `{a,"b \"c\\",NULL,"NULL"}`, []*string{s("a"), s(`b "c\`), nil, s("NULL")}},
		{1007, `{1,2}`, []int{1, 2}},
		{1007, `{}`, []int{}},
		{timestamptz, "2026-11-25 01:02:03.000004+00", time.Date(2026, 11, 25, 1, 2, 3, 4000, time.UTC)},
		{date, "2026-11-25", time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)},
		{869, "10.0.0.1", netip.MustParseAddr("10.0.0.1")},
		{text, "x", sql.NullString{String: "x", Valid: true}},
		{text, hooktest.Null, sql.NullString{}},
		{numeric, "1.50", "1.50"},
	} {
		got := reflect.New(reflect.TypeOf(c.want))
		r := inHook(t, single(c.oid, c.cell), func(tx *sdk.Tx) error { return tx.QueryRow("SELECT").Scan(got.Interface()) })
		if r.Err != nil {
			t.Errorf("%q: %v", c.cell, r.Err)
			continue
		}
		if at, ok := c.want.(time.Time); ok && at.Equal(*got.Interface().(*time.Time)) {
			continue
		}
		if !reflect.DeepEqual(got.Elem().Interface(), c.want) {
			t.Errorf("%q of type %d is %#v, want %#v", c.cell, c.oid, got.Elem().Interface(), c.want)
		}
	}
	for _, c := range []struct {
		oid  uint32
		cell string
		want any
	}{
		{boolean, "t", true},
		{int8, "7", int64(7)},
		{float8, "1.5", 1.5},
		{bytea, `\x61`, []byte("a")},
		{js, `[1]`, []any{1.0}},
		{numeric, "1.50", "1.50"},
		{text, hooktest.Null, nil},
	} {
		var got any
		r := inHook(t, single(c.oid, c.cell), func(tx *sdk.Tx) error { return tx.QueryRow("SELECT").Scan(&got) })
		if r.Err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q of type %d is %#v (%v), want %#v", c.cell, c.oid, got, r.Err, c.want)
		}
	}
	for _, c := range []struct {
		cell string
		to   any
		want string
	}{
		{hooktest.Null, new(string), "column c: NULL needs a pointer, an any or a sql.Scanner"},
		{"x", new(int), `column c: strconv.ParseInt: parsing "x": invalid syntax`},
		{"300", new(int8t), `column c: strconv.ParseInt: parsing "300": value out of range`},
		{"{{1}}", new([]int), `column c: not an array of one dimension`},
		{"x", 5, `column c: int is no pointer`},
		{"infinity", new(time.Time), `column c: "infinity" is no time that Go can represent`},
	} {
		r := inHook(t, single(text, c.cell), func(tx *sdk.Tx) error { return tx.QueryRow("SELECT").Scan(c.to) })
		if fmt.Sprint(r.Err) != c.want {
			t.Errorf("%q into %T: %v, want %s", c.cell, c.to, r.Err, c.want)
		}
	}
}

type int8t int8

func single(oid uint32, cell string) func(hooktest.Statement) hooktest.Reply {
	return func(hooktest.Statement) hooktest.Reply {
		return hooktest.Reply{Columns: []sdk.Column{{Name: "c", Type: oid}}, Rows: [][]string{{cell}}}
	}
}

// TestRows shows the ways to read rows, and to leave them.
func TestRows(t *testing.T) {
	t.Parallel()
	reply := func(s hooktest.Statement) hooktest.Reply {
		switch s.SQL {
		case "SELECT":
			return hooktest.Reply{
				Columns: []sdk.Column{{Name: "a", Type: 25}, {Name: "b", Type: 23}}, Rows: [][]string{{"x", "1"}, {"", hooktest.Null}}, Command: "SELECT",
			}
		case "EMPTY":
			return hooktest.Reply{Columns: []sdk.Column{{Name: "a", Type: 25}}, Command: "SELECT"}
		case "LATE":
			return hooktest.Reply{
				Columns: []sdk.Column{{Name: "a", Type: 25}}, Rows: [][]string{{"x"}}, Err: &sdk.StatementError{Code: "22012", Message: "division by zero"},
			}
		}
		return hooktest.Reply{Command: "INSERT", Count: 5}
	}
	r := inHook(t, reply, func(tx *sdk.Tx) error {
		rows, err := tx.Query("SELECT")
		if err != nil {
			return err
		}
		if got := fmt.Sprint(rows.Columns()); got != "[{a 25} {b 23}]" {
			t.Errorf("columns before the first row: %s", got)
		}
		var all []string
		for rows.Next() {
			all = append(all, fmt.Sprintf("%q %v", rows.Cells(), rows.Cells()[1] == nil))
		}
		if got := strings.Join(all, ","); got != `["x" "1"] false,["" ""] true` || rows.Err() != nil {
			t.Errorf("rows %s, %v", got, rows.Err())
		}
		if rows.Command() != "SELECT" || rows.Count() != 2 {
			t.Errorf("ended with %s %d", rows.Command(), rows.Count())
		}

		rows, err = tx.Query("SELECT")
		if err != nil {
			return err
		}
		if _, err := tx.Query("SELECT"); err == nil || !strings.Contains(err.Error(), "not read to their end") {
			t.Errorf("a statement while rows are open: %v", err)
		}
		if err := rows.Close(); err != nil || rows.Next() {
			t.Errorf("closed rows: %v", err)
		}

		if rows, err = tx.Query("EMPTY"); err != nil || len(rows.Columns()) != 1 || rows.Next() {
			t.Errorf("no rows: %v, %v", rows, err)
		}
		if err := tx.QueryRow("EMPTY").Scan(new(string)); !errors.Is(err, sdk.ErrNoRows) {
			t.Errorf("a row of none: %v", err)
		}
		if n, err := tx.Exec("INSERT"); n != 5 || err != nil {
			t.Errorf("exec: %d, %v", n, err)
		}
		var refused *sdk.StatementError
		if err := tx.QueryRow("LATE").Scan(new(string)); !errors.As(err, &refused) || refused.Code != "22012" {
			t.Errorf("an error after the rows: %v", err)
		}
		_, err = tx.Query("SELECT") // and is left open
		return err
	})
	if r.Err != nil {
		t.Error(r.Err)
	}
}

// TestAfterEvent keeps what belongs to an event from reaching the next one of the same session.
func TestAfterEvent(t *testing.T) {
	t.Parallel()
	var first *sdk.Event
	p := hooktest.Start(t, one("h", func(_ context.Context, e *sdk.Event) error {
		if first == nil {
			first = e
			return nil
		}
		if _, err := first.Tx.Exec("SELECT 1"); err == nil || err.Error() != "the event is over, and its transaction with it" {
			t.Errorf("the transaction of the event before: %v", err)
		}
		first.Log.Info("late")
		e.Log.Info("in time")
		_, err := e.Tx.Exec("SELECT 2")
		return err
	}))
	sql := hooktest.Expect(t, hooktest.Step{SQL: "SELECT 2"})
	for range 2 {
		r := p.Fire(hooktest.Event{Bindings: pre("h"), SQL: sql})
		if r.Err != nil {
			t.Error(r.Err)
		}
		for _, l := range r.Log {
			if l.Message == "late" {
				t.Error("a line of the event before is logged as one of this event")
			}
		}
	}
}

func TestLog(t *testing.T) {
	t.Parallel()
	p := hooktest.Start(t, one("h", func(ctx context.Context, e *sdk.Event) error {
		e.Log.Info("plain")
		e.Log.Warn("fields", "level", 3, "msg", "<m>", "err", errors.New("e"))
		e.Log.With("a", 1).WithGroup("g").With("b", 2).Error("nested", "c", true)
		e.Log.Log(ctx, sdk.LevelTrace, "low")
		e.Log.Log(ctx, sdk.LevelFatal, "high", slog.Group("g", "x", 1.5))
		return nil
	}))
	r := p.Fire(hooktest.Event{Bindings: pre("h")})
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	want := []hooktest.Line{
		{Level: slog.LevelInfo, Message: "plain", Fields: ""},
		{Level: slog.LevelWarn, Message: "fields", Fields: `{"level":3,"msg":"<m>","err":"e"}`},
		{Level: slog.LevelError, Message: "nested", Fields: `{"a":1,"g":{"b":2,"c":true}}`},
		{Level: sdk.LevelTrace, Message: "low", Fields: ""},
		{Level: sdk.LevelFatal, Message: "high", Fields: `{"g":{"x":1.5}}`},
	}
	if !reflect.DeepEqual(r.Log, want) {
		t.Errorf("got  %v\nwant %v", r.Log, want)
	}
}
