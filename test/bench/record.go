package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"
)

// record is one measurement of one round. CPU times are in microseconds an operation.
type record struct {
	Name   string `json:"name"`
	Anchor string `json:"anchor,omitempty"` // the name of the measurement to compare with
	Round  int    `json:"round"`

	Count   int     `json:"count"` // operations; objects for batch
	Seconds float64 `json:"seconds"`
	Rate    float64 `json:"rate"`             // operations a second
	P50     float64 `json:"p50_ms"`           // of requests; the mean for pgbench, which knows no other
	P99     float64 `json:"p99_ms,omitempty"` // not for pgbench

	Server   float64 `json:"server_us,omitempty"` // not for pgbench
	Postgres float64 `json:"postgres_us"`
	Client   float64 `json:"client_us"` // pgbench, or what makes the load
	// Allocs and Bytes are the server's allocations an operation, 0 if it does not tell.
	Allocs float64 `json:"allocs,omitempty"`
	Bytes  float64 `json:"bytes,omitempty"`
	// Others is what neither of the three used of the machine, in percent of all cores: the noise.
	Others float64   `json:"others_percent"`
	Time   time.Time `json:"time"`
}

// setUsage fills in what was used for the Count operations within the record's time.
func (r *record) setUsage(used usage) {
	each := func(d time.Duration) float64 {
		return float64(d) / float64(time.Microsecond) / float64(max(r.Count, 1))
	}
	r.Server, r.Postgres, r.Client = each(used.server), each(used.postgres), each(used.client)
	capacity := r.Seconds * float64(time.Second) * float64(runtime.NumCPU())
	r.Others = max(0, 100*float64(used.busy-used.server-used.postgres-used.client)/capacity)
}

// sink keeps records as they come: as JSON lines, and in Go's benchmark format.
type sink struct{ lines, benchmarks *os.File }

// openSink makes the file, and its neighbour with the extension .txt. With no file nothing is kept.
func openSink(file string) (*sink, error) {
	if file == "" {
		return &sink{}, nil
	}
	lines, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	benchmarks, err := os.Create(strings.TrimSuffix(file, ".json") + ".txt")
	if err != nil {
		return nil, errors.Join(err, lines.Close())
	}
	s := &sink{lines, benchmarks}
	if _, err := fmt.Fprintf(benchmarks, "goos: %s\ngoarch: %s\npkg: github.com/kaizengarden/moray/test/bench\n", runtime.GOOS, runtime.GOARCH); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *sink) add(r record) error {
	if s.lines == nil {
		return nil
	}
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if _, err := s.lines.Write(append(line, '\n')); err != nil {
		return err
	}
	return r.writeBenchmark(s.benchmarks)
}

// writeBenchmark writes the line that a benchmark of Go's testing package would print.
func (r *record) writeBenchmark(w io.Writer) error {
	name := strings.ToUpper(r.Name[:1]) + r.Name[1:]
	_, err := fmt.Fprintf(w, "Benchmark%s-%d\t%d\t%.0f ns/op\t%.3f p50-ms\t%.3f p99-ms\t%.2f server-us/op\t%.2f postgres-us/op\t%.2f client-us/op\t%.1f others-%%\n",
		name, runtime.NumCPU(), r.Count, 1e9/r.Rate, r.P50, r.P99, r.Server, r.Postgres, r.Client, r.Others)
	return err
}

func (s *sink) close() error {
	if s.lines == nil {
		return nil
	}
	return errors.Join(s.lines.Close(), s.benchmarks.Close())
}

// readRecords reads the JSON lines of a run.
func readRecords(file string) ([]record, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all, err := parseRecords(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return all, nil
}

func parseRecords(r io.Reader) (all []record, err error) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		var r record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("line %d: %w", len(all)+1, err)
		}
		if r.Name == "" {
			return nil, fmt.Errorf("line %d is not a measurement", len(all)+1)
		}
		all = append(all, r)
	}
	return all, lines.Err()
}
