package main

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kaizengarden/moray/core/jsvalue"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestRun measures each script and each operation once, for a moment, on a small database: every script must do what it says, and
// every answer must be the expected one. Then the run is compared with itself.
func TestRun(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: it starts PostgreSQL and a server")
	}
	const only = `/64x4(/sync-on)?$|(get10|put4|upsert)/c\d+(/sync-on)?$`
	file := filepath.Join(t.TempDir(), "run.json")
	var out, progress bytes.Buffer
	// In memory, because other tests may keep the disk busy for longer than a measurement takes.
	args := []string{"-rounds", "1", "-window", "300ms", "-rows", "2000", "-dir", "/dev/shm", "-only", only, "-out", file}
	if err := run(t.Context(), args, &out, &progress); err != nil {
		t.Fatalf("bench %s: %v\n%s", args, err, progress.String())
	}
	records, err := readRecords(file)
	if err != nil {
		t.Fatal(err)
	}
	measured := group(records)
	for _, s := range selectSteps(plan(false), regexp.MustCompile(only)) {
		r := measured[s.name]
		switch {
		case len(r) != 1:
			t.Errorf("%s: %d records, want 1", s.name, len(r))
		case r[0].Rate <= 0 || r[0].Count <= 0 || r[0].P50 <= 0 || r[0].Seconds <= 0:
			t.Errorf("%s: rate, count, p50 and seconds must be positive: %+v", s.name, r[0])
		}
	}
	for _, want := range []string{"get/64x4", "/ anchor", "G1 ", "G11"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, out.String())
		}
	}

	out.Reset()
	if err := run(t.Context(), []string{"-compare", file, file}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); !strings.Contains(text, "get/64x4") || strings.Contains(text, "%\t+") {
		t.Errorf("comparison of a run with itself:\n%s", text)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"-only", "("}, {"-rounds", "0"}, {"-pool", "0"}, {"-rows", "10"}, {"-window", "0s"}, {"file"}, {"-compare", "one"}, {"-nonsense"},
	} {
		if o, err := parse(args, io.Discard); err == nil {
			t.Errorf("parse(%q) = %+v, want an error", args, o)
		}
	}
	o, err := parse([]string{"-quick", "-rounds", "2"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if o.rounds != 2 || o.window != time.Second || o.bed.rows != 50_000 {
		t.Errorf("parse(-quick -rounds 2): rounds %d, window %v, rows %d; want 2, 1s, 50000", o.rounds, o.window, o.bed.rows)
	}
}

// TestPlan holds the plans together: names are unique, every load has an operation, its anchor is measured before it in the same
// round, and every name that a goal needs is measured.
func TestPlan(t *testing.T) {
	t.Parallel()
	for _, quick := range []bool{true, false} {
		seen := map[string]bool{}
		for _, s := range plan(quick) {
			if seen[s.name] {
				t.Errorf("quick %v: %s is measured twice", quick, s.name)
			}
			seen[s.name] = true
			if _, ok := operations[s.operation]; s.script == "" && !ok {
				t.Errorf("quick %v: %s: no operation %q", quick, s.name, s.operation)
			}
			if s.anchor != "" && !seen[s.anchor] {
				t.Errorf("quick %v: %s: its anchor %s was not measured before", quick, s.name, s.anchor)
			}
		}
	}
	// With a record of everything, every goal has a value.
	var records []record
	for _, s := range plan(false) {
		r := record{Name: s.name, Round: 1, Rate: 1, P50: 1, Server: 1, Postgres: 1, Allocs: 1, Bytes: 501}
		if s.operation == "puthook" {
			r.P50 = 2 // its goal is a difference
		}
		records = append(records, r)
	}
	for _, g := range goals {
		if got := g.value(group(records)).median(); got != 1 {
			t.Errorf("%s %s: with all figures 1 the goal's is %v, want 1", g.id, g.text, got)
		}
	}
}

func TestSelectSteps(t *testing.T) {
	t.Parallel()
	var names []string
	for _, s := range selectSteps(plan(false), regexp.MustCompile(`^put/64x4/sync-on`)) {
		names = append(names, s.name)
	}
	if got, want := strings.Join(names, " "), "pgbench-upsert/c10/sync-on put/64x4/sync-on"; got != want {
		t.Errorf("steps that match put/64x4/sync-on: %s, want %s", got, want)
	}
}

// TestValue checks that values have the promised size, are what a client would print, and that their indexed members are those
// that the scripts of pgbench and the rows of the tables have.
func TestValue(t *testing.T) {
	t.Parallel()
	for _, size := range []int{250, smallValue, largeValue} {
		for _, i := range []int{0, 1, 199_999, 999_999_999} {
			text := appendValue(nil, i, 1_000_000, size)
			if len(text) != size {
				t.Errorf("value of object %d: %d bytes, want %d", i, len(text), size)
			}
			v, err := jsvalue.Parse(text)
			if err != nil {
				t.Fatalf("value of object %d: %v: %s", i, err, text)
			}
			if printed := jsvalue.AppendPrinted(nil, v); !bytes.Equal(printed, text) {
				t.Errorf("value of object %d is not as clients print it:\n got %s\nwant %s", i, text, printed)
			}
			rows := newObjects(i, i+1, size)
			rows.Next()
			columns, err := rows.Values()
			if err != nil {
				t.Fatal(err)
			}
			if name, number := v.Member("name").Text(), v.Member("size").Float(); name != columns[4] || number != float64(columns[5].(int)) ||
				v.Member("active").IsTrue() != columns[6] {
				t.Errorf("object %d: columns %v, value %s", i, columns[4:], text)
			}
		}
	}
}

func TestParseStat(t *testing.T) {
	t.Parallel()
	const line = "4711 (a) b (c) S 17 4711 4711 0 -1 4194560 1 2 3 4 100 20 3 4 20 0 1 0 100 1000 10 1 1 1\n"
	got, err := parseStat([]byte(line))
	if err != nil {
		t.Fatal(err)
	}
	if want := (stat{parent: 17, own: 1200 * time.Millisecond, reaped: 70 * time.Millisecond}); got != want {
		t.Errorf("parseStat(%q) = %+v, want %+v", line, got, want)
	}
	if s, err := parseStat([]byte("4711 (a) S 17")); err == nil {
		t.Errorf("parseStat of a short line = %+v, want an error", s)
	}
	busy, err := parseBusy([]byte("cpu  1 2 3 1000 2000 4 5 6 7 8\ncpu0 9 9 9 9 9 9 9 9 9 9\n"))
	if want := 210 * time.Millisecond; busy != want || err != nil {
		t.Errorf("parseBusy = %v, %v, want %v", busy, err, want)
	}
	if busy, err := parseBusy([]byte("cpu0 1 2 3 4 5 6 7 8")); err == nil {
		t.Errorf("parseBusy of another line = %v, want an error", busy)
	}
}

// TestFamilyTime looks at the process that is everybody's ancestor.
func TestFamilyTime(t *testing.T) {
	t.Parallel()
	own, err := readStat(1)
	if err != nil {
		t.Fatal(err)
	}
	family, err := familyTime(1)
	if err != nil {
		t.Fatal(err)
	}
	if family < own.own {
		t.Errorf("process 1 and its children used %v, it alone %v", family, own.own)
	}
}

func TestParsePgbench(t *testing.T) {
	t.Parallel()
	const output = `pgbench (15.18 (Debian 15.18-0+deb12u1))
transaction type: script.sql
number of transactions actually processed: 1234
number of failed transactions: 0 (0.000%)
latency average = 0.250 ms
initial connection time = 3.110 ms
tps = 4000.500000 (without initial connection time)
`
	got, err := parsePgbench(output)
	if want := (pgbenchResult{transactions: 1234, rate: 4000.5, latency: 250 * time.Microsecond}); err != nil || got != want {
		t.Errorf("parsePgbench = %+v, %v, want %+v", got, err, want)
	}
	for _, bad := range []string{
		"", strings.Replace(output, "1234", "0", 1), strings.Replace(output, "failed transactions: 0", "failed transactions: 1", 1),
	} {
		if r, err := parsePgbench(bad); err == nil {
			t.Errorf("parsePgbench(%q) = %+v, want an error", bad, r)
		}
	}
}

func TestParseHeap(t *testing.T) {
	t.Parallel()
	const text = "# HELP go_memstats_mallocs_total x\ngo_memstats_mallocs_total{pid=\"1\",zonename=\"a b\"} 12\ngo_memstats_alloc_bytes_total 1.5e+06\n"
	got, err := parseHeap(strings.NewReader(text))
	if want := (heap{mallocs: 12, bytes: 1.5e6}); got != want || err != nil {
		t.Errorf("parseHeap = %+v, %v, want %+v", got, err, want)
	}
	if got, err := parseHeap(strings.NewReader("other 1\n")); got != (heap{}) || err != nil {
		t.Errorf("parseHeap without the counters = %+v, %v, want zeros", got, err)
	}
}

func TestResults(t *testing.T) {
	t.Parallel()
	r := group([]record{
		{Name: "a", Round: 1, Rate: 10},
		{Name: "b", Round: 1, Rate: 20},
		{Name: "a", Round: 2, Rate: 30},
		{Name: "b", Round: 2, Rate: 20},
		{Name: "a", Round: 3, Rate: 90},
	})
	if got := r.of("a", rate); got.median() != 30 || math.Abs(got.spread()-4./3) > 1e-9 {
		t.Errorf("a: median %v, spread %v; want 30, 1.33", got.median(), got.spread())
	}
	// The third round of b is missing, so there are two ratios: 0.5 and 1.5.
	if got := r.ratio("a", rate, "b", rate); len(got) != 2 || got.median() != 1 {
		t.Errorf("a to b: %v, want [0.5 1.5]", got)
	}
	if got := r.ratio("a", rate, "c", rate); got.median() != 0 || got.spread() != 0 {
		t.Errorf("a to what was not measured: %v, want nothing", got)
	}
	for _, c := range []struct {
		s, t sample
		want bool
	}{{sample{1, 2}, sample{3, 4}, true}, {sample{3, 4}, sample{1, 2}, true}, {sample{1, 3}, sample{2, 4}, false}, {nil, sample{1}, false}} {
		if got := c.s.apart(c.t); got != c.want {
			t.Errorf("%v apart from %v: %v, want %v", c.s, c.t, got, c.want)
		}
	}
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	more, less := goal{floor: 0.8, target: 1.3}, goal{floor: 28, target: 15, atMost: true}
	noFloor := goal{target: 0.5}
	for _, c := range []struct {
		goal    goal
		reached float64
		want    string
	}{
		{more, 1.3, "met"},
		{more, 1, "above the floor"},
		{more, 0.7, "BELOW THE FLOOR"},
		{more, 0, "not measured"},
		{less, 15, "met"},
		{less, 20, "above the floor"},
		{less, 30, "BELOW THE FLOOR"},
		{noFloor, 0.4, "not met"},
	} {
		if got := c.goal.verdict(c.reached); got != c.want {
			t.Errorf("floor %v, target %v, at most %v, reached %v: %s, want %s", c.goal.floor, c.goal.target, c.goal.atMost, c.reached, got, c.want)
		}
	}
}

func TestAlarm(t *testing.T) {
	t.Parallel()
	run := func(get, one float64) []record {
		return []record{
			{Name: a1, Round: 1, Rate: 1000, Postgres: 50},
			{Name: "get/64x4", Round: 1, Rate: get, Postgres: 40, Server: 1e6},
			{Name: l1, Round: 1, P50: 1},
			{Name: "get/1x1", Round: 1, P50: one},
		}
	}
	for _, c := range []struct {
		get, one float64
		want     string
	}{
		{1300, 2, ""},
		{500, 5, ""}, // below the floor, but not by far
		{300, 5, "G1 "},
		{1300, 7, "G7 "},
	} {
		err := alarm(run(c.get, c.one))
		if got := fmt.Sprint(err); (err == nil) != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%v gets a second, %v alone: %v, want %q", c.get, c.one, err, c.want)
		}
	}
}

func TestComparison(t *testing.T) {
	t.Parallel()
	of := func(rates ...float64) (all []record) {
		for i, r := range rates {
			all = append(all, record{Name: "get/64x4", Round: i + 1, Rate: r, Server: 20, Postgres: 30, P50: 1})
		}
		return all
	}
	for _, c := range []struct {
		recent []record
		want   string
	}{{of(200, 210), "+95.2 %"}, {of(100, 120), "~"}} {
		var out bytes.Buffer
		if err := writeComparison(&out, of(100, 110), c.recent); err != nil {
			t.Fatal(err)
		}
		line := out.String()[strings.Index(out.String(), "per second"):]
		if line, _, _ = strings.Cut(line, "\n"); !strings.HasSuffix(strings.TrimSpace(line), c.want) {
			t.Errorf("change shown as %q, want %q", line, c.want)
		}
	}
	if err := writeComparison(io.Discard, of(1), nil); err == nil {
		t.Error("runs without a common measurement: no error")
	}
}

func FuzzParseRecords(f *testing.F) {
	f.Add([]byte(`{"name":"get/64x4","round":1,"count":1,"rate":2.5}` + "\n"))
	f.Add([]byte("{}\n"))
	f.Add([]byte("\n\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		all, err := parseRecords(bytes.NewReader(text))
		if err != nil {
			return
		}
		for _, r := range all {
			if r.Name == "" {
				t.Errorf("%q: a record without a name", text)
			}
		}
	})
}
