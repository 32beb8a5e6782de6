package main

import (
	"fmt"
	"io"
	"time"
)

// report prints what was measured as tables of Markdown.
func (g *growing) report(w io.Writer) error {
	p := &printer{w: w}
	for _, t := range []struct {
		x   string
		all []grown
	}{{"objects in the bucket", g.byRows}, {"buckets", g.byBuckets}} {
		p.printf("| %s | operation | operations/s | p50 ms | p99 ms | server µs | PostgreSQL µs | others %% |\n|--:|---|--:|--:|--:|--:|--:|--:|\n", t.x)
		for _, r := range t.all {
			p.printf("| %d | %s | %.0f | %.2f | %.2f | %.0f | %.0f | %.0f |\n", r.X, r.Operation, r.Rate, r.P50, r.P99, r.Server, r.Postgres, r.Others)
		}
		p.printf("\n")
	}
	p.printf("| whole buckets | objects | objects/s | server µs | PostgreSQL µs | server peak | tool peak | others %% |\n|---|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, b := range g.bulk {
		p.printf("| %s | %d | %.0f | %.1f | %.1f | %s | %s | %.0f |\n", b.name, b.objects, b.Rate, b.Server, b.Postgres, mib(b.serverPeak), mib(b.toolPeak), b.Others)
	}
	f := g.footprint
	p.printf("\n| footprint | |\n|---|--:|\n| program | %s |\n| from start to ready | %s |\n| memory, idle | %s |\n", mib(f.program), f.start.Round(time.Millisecond), mib(f.idle))
	p.printf("| memory with %d buckets in use | %s |\n| peak with 512 gets in flight over them | %s |\n", g.most, mib(f.after), mib(f.many))
	return p.err
}

func mib(bytes int64) string {
	if bytes == 0 {
		return ""
	}
	return fmt.Sprintf("%.0f MiB", float64(bytes)/(1<<20))
}

// printer keeps the first error.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}
