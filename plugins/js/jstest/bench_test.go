package jstest_test

import (
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkPut is a put with and without a trigger, by one client and by 64, into one bucket and into several.
func BenchmarkPut(b *testing.B) {
	bed := newBed(b)
	const buckets = 8
	for i := range buckets {
		bed.create(fmt.Sprint("trigger", i), `function (req, cb) { req.value.two = 2; cb(); }`, time.Minute)
	}
	if err := bed.client.Call(bed.ctx(), "createBucket", []byte(`["plain0",{},{}]`), nil); err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name, bucket     string
		clients, buckets int
	}{
		{"Plain", "plain", 1, 1},
		{"Trigger", "trigger", 1, 1},
		{"Plain64", "plain", 64, 1},
		{"Trigger64", "trigger", 64, 1},
		{"TriggerOf8", "trigger", 64, buckets},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetParallelism((c.clients + 1) / 2)
			var n atomic.Int64
			put := func() error {
				i := n.Add(1)
				_, err := bed.client.PutObject(b.Context(), fmt.Sprint(c.bucket, i%int64(c.buckets)), fmt.Sprint("k", i%10_000), json.RawMessage(`{"one":1}`), nil)
				return err
			}
			if c.clients == 1 {
				for b.Loop() {
					if err := put(); err != nil {
						b.Fatal(err)
					}
				}
			} else {
				b.RunParallel(func(p *testing.PB) {
					for p.Next() {
						if err := put(); err != nil {
							b.Error(err)
						}
					}
				})
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "puts/s")
		})
	}
}
