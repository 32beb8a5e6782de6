//go:build !race

// Under the race detector pools forget what they hold.

package rpc_test

import (
	"fmt"
	"runtime"
	"testing"
)

// TestCost holds what requests may allocate on their way from the frame to the answer: it is what the cost of a request depends
// on that does not depend on the machine. The bounds leave room for what goroutines and pools do at times of their own.
func TestCost(t *testing.T) {
	for method, bound := range map[string]struct{ allocations, bytes float64 }{
		"getObject":   {14, 1800},
		"putObject":   {25, 2700},
		"delObject":   {18, 1200},
		"findObjects": {42, 5000},
	} {
		c := newTraffic(t, method)
		c.run(2000) // fills pools and caches
		const n = 5000
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		c.run(n)
		runtime.ReadMemStats(&after)
		allocations := float64(after.Mallocs-before.Mallocs) / n
		bytes := float64(after.TotalAlloc-before.TotalAlloc) / n
		if text := fmt.Sprintf("%s: %.1f allocations, %.0f bytes", method, allocations, bytes); allocations > bound.allocations || bytes > bound.bytes {
			t.Errorf("%s, more than %v", text, bound)
		} else {
			t.Log(text)
		}
	}
}
