package hooks_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/hooks"
)

// benchValue is an object of 500 bytes.
var benchValue = jsvalue.Value(fmt.Sprintf(`{"s":"1","n":5,"text":"%0470d"}`, 1))

// BenchmarkFire measures the way to a plugin and back, without a database. What a put pays is a little more: its statements cannot
// share round trips.
func BenchmarkFire(b *testing.B) {
	m, err := hooks.New(hooks.Config{Plugins: []hooks.PluginConfig{program("p", "act")}})
	if err != nil {
		b.Fatal(err)
	}
	defer running(b, m)()
	for _, c := range []struct {
		name, config string
		value        jsvalue.Value
		hooks        int
	}{
		{"accept", `{}`, benchValue, 1},
		{"change", `{"do":"member","with":"n","n":7}`, benchValue, 1},
		{"four", `{}`, benchValue, 4},
		{"64KiB", `{}`, jsvalue.Value(fmt.Sprintf(`{"text":"%065500d"}`, 1)), 1},
	} {
		definition := &bucket.Bucket{Name: "b", Generation: uint32(len(c.name))}
		for range c.hooks {
			definition.Pre = append(definition.Pre, bucket.Trigger{Plugin: "p", Hook: "pure", Config: jsvalue.Value(c.config), Timeout: time.Minute})
		}
		for _, clients := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/clients=%d", c.name, clients), func(b *testing.B) {
				b.ReportAllocs()
				took := make([][]time.Duration, clients)
				var all sync.WaitGroup
				for i := range clients {
					all.Go(func() {
						for range b.N / clients {
							began := time.Now()
							if err := m.Fire(context.Background(), nil, &object.Event{Bucket: definition, Key: "k", Value: c.value}); err != nil {
								b.Error(err)
								return
							}
							took[i] = append(took[i], time.Since(began))
						}
					})
				}
				all.Wait()
				every := slices.Concat(took...)
				if len(every) == 0 {
					return
				}
				slices.Sort(every)
				b.ReportMetric(float64(every[len(every)/2].Microseconds()), "p50-µs")
				b.ReportMetric(float64(len(every))/b.Elapsed().Seconds(), "calls/s")
			})
		}
	}
}

// BenchmarkPut measures puts through a hook with everything: server, database, plugin. The plain ones are to compare with.
func BenchmarkPut(b *testing.B) {
	bed := newBed(b, program("p", "act"))
	bed.mustCreate("plain", "[]", "[]")
	bed.mustCreate("pre", list(binding("act", `{"do":"member","with":"n","n":7}`, "")), "[]")
	bed.mustCreate("post", "[]", list(binding("act", `{}`, "")))
	for _, bucket := range []string{"plain", "pre", "post"} {
		for _, clients := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/clients=%d", bucket, clients), func(b *testing.B) {
				b.ReportAllocs()
				var all sync.WaitGroup
				for i := range clients {
					all.Go(func() {
						for range b.N / clients {
							if got := bed.put(bucket, fmt.Sprint(i), string(benchValue)); got != "ok" {
								b.Error(got)
								return
							}
						}
					})
				}
				all.Wait()
			})
		}
	}
}
