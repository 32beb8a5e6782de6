package cluster

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

// result is what a fault cost.
type result struct {
	Fault   string `json:"fault"`
	Acked   int    `json:"acked"`
	Lost    int    `json:"lost"`
	Wrong   int    `json:"violations"` // writes that were done twice, or although they were refused
	Unknown int    `json:"unknown"`
	Refused int    `json:"refused"`
	Gap     int64  `json:"gap_ms"` // the longest time between two acknowledgements
	Own     int64  `json:"own_ms"` // what PostgreSQL, its manager or the fault itself took of that
	Reasons string `json:"reasons"`
}

// report collects results. It is safe for concurrent use.
type report struct {
	mu      sync.Mutex // guards results
	results []result
}

// add judges a fault: nothing may be lost. own is how long nobody could have served.
func (r *report) add(t testing.TB, name string, v verdict, own time.Duration) result {
	t.Helper()
	v.wantNothingLost(t)
	one := result{
		Fault: name, Acked: v.acked, Lost: len(v.lost), Wrong: len(v.violations), Unknown: v.unknown, Refused: v.refused,
		Gap: v.gap.Milliseconds(), Own: own.Milliseconds(), Reasons: v.reasons(),
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.results = append(r.results, one)
	return one
}

// write writes a table and JSON lines to dir, if one is named.
func (r *report) write(dir, name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if dir == "" {
		return nil
	}
	text, err := os.Create(filepath.Join(dir, name+".txt"))
	if err != nil {
		return err
	}
	defer text.Close()
	if err := r.print(text); err != nil {
		return err
	}
	lines, err := os.Create(filepath.Join(dir, name+".jsonl"))
	if err != nil {
		return err
	}
	defer lines.Close()
	encoder := json.NewEncoder(lines)
	for _, one := range r.results {
		if err := encoder.Encode(one); err != nil {
			return err
		}
	}
	return nil
}

// print writes a table. The caller holds the lock.
func (r *report) print(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "fault\tacked\tlost\twrong\tunknown\trefused\tgap ms\tof which not moray's\tmoray's ms\t")
	for _, one := range r.results {
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t\n", one.Fault, one.Acked, one.Lost, one.Wrong, one.Unknown, one.Refused,
			one.Gap, one.Own, max(0, one.Gap-one.Own))
	}
	return table.Flush()
}
