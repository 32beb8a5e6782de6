package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestGrowth measures growth once, for a moment, in small buckets.
func TestGrowth(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: it starts PostgreSQL and a server")
	}
	file := filepath.Join(t.TempDir(), "growth.svg")
	var out, progress bytes.Buffer
	args := []string{"-growth", "-window", "100ms", "-rows", "1000", "-buckets", "10", "-dir", "/dev/shm", "-out", file}
	if err := run(t.Context(), args, &out, &progress); err != nil {
		t.Fatalf("bench %s: %v\n%s", args, err, progress.String())
	}
	for _, want := range []string{
		"| 1000 | get |", "| 10 | put, new |", "| find of everything | 1000 |", "| moray dump | 1000 |", "| moray load | 1000 |",
		"| reindexObjects, 1000 at a time | 1000 |", "| memory with 10 buckets in use | ",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, out.String())
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if n := elements(t, text)["polyline"]; n != 2*len(acts) {
		t.Errorf("the plot has %d lines, want %d", n, 2*len(acts))
	}
}

// The plot has a line for each operation and a point for each measurement, within its bounds.
func TestPlot(t *testing.T) {
	t.Parallel()
	g := &growing{}
	for x := 1000; x <= 10_000_000; x *= 10 {
		for i, a := range acts {
			g.byRows = append(g.byRows, grown{a.name, x, record{Server: float64(i), Postgres: float64(10 * i)}})
		}
	}
	if n := elements(t, g.plot()); n["polyline"] != len(acts) || n["circle"] != len(g.byRows) {
		t.Errorf("got %v", n)
	}
	for n, want := range map[float64]float64{0: 1, 3: 5, 33: 50, 100: 100, 101: 200, 999: 1000} {
		if got := niceTop(n); got != want {
			t.Errorf("the top for %v is %v, want %v", n, got, want)
		}
	}
}

// elements counts the elements of an XML text, which has to be well formed.
func elements(t *testing.T, text []byte) map[string]int {
	t.Helper()
	n := map[string]int{}
	for d := xml.NewDecoder(bytes.NewReader(text)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return n
		}
		if err != nil {
			t.Fatalf("%v in:\n%s", err, text)
		}
		if e, ok := token.(xml.StartElement); ok {
			n[e.Name.Local]++
		}
	}
}
