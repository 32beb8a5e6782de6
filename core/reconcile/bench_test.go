package reconcile_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/reconcile"
)

// BenchmarkUnchanged is what a start costs with 1,000 buckets that are as they should be: reading the files, and one query.
func BenchmarkUnchanged(b *testing.B) {
	var text strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&text, "bucket%d version=3 name=string! size=number tags=[string] owner=string created=date\n", i)
	}
	bed := newBed(b)
	documents := brief(text.String())
	if _, err := bed.applier().Apply(context.Background(), bed.read(documents), nil); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		plan, err := (&reconcile.Planner{Store: bed.store}).Make(context.Background(), bed.read(documents))
		if err != nil || len(plan.Changes) > 0 {
			b.Fatal(plan, err)
		}
	}
}

// BenchmarkReindexer is how fast one server reindexes if nothing bounds it, with two indexes that are new.
func BenchmarkReindexer(b *testing.B) {
	const rows = 50_000
	for _, batch := range []int{100, 500} {
		b.Run(fmt.Sprint("batch=", batch), func(b *testing.B) {
			took := time.Duration(0)
			for range b.N {
				b.StopTimer()
				bed := newBed(b)
				bed.define("b version=1 s=string")
				bed.rows("b", rows)
				bed.define("b version=2 s=string n=number t=string reindex")
				r := bed.reindexer()
				b.StartTimer()
				begin := time.Now()
				if _, err := r.Finish(context.Background(), "b", bucket.Pace{Batch: batch}, true, func(bucket.Progress) {}); err != nil {
					b.Fatal(err)
				}
				took += time.Since(begin)
			}
			b.ReportMetric(float64(rows*b.N)/took.Seconds(), "rows/s")
		})
	}
}
