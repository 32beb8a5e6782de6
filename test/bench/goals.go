package main

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
)

// goal is a ratio or a cost that the server shall reach. Goals were set from prototypes on two cores; each is a figure that does
// not depend on the speed of the machine more than it must.
type goal struct {
	id, text      string
	floor, target float64
	atMost        bool // less is better
	absolute      bool // depends on the speed of the machine
	value         func(results) sample
}

// The anchors that goals name.
var (
	a1  = anchor("get", 10, "").name
	a10 = anchor("get10", 4, "").name
	l1  = anchor("get", 1, "").name
)

func p1(sync string) string { return anchor("upsert", 10, sync).name }
func p4(sync string) string { return anchor("put4", 10, sync).name }

// goals are in the order of their numbers. Where a floor is zero there is none.
var goals = []goal{
	{id: "G1", text: "get, 64 in flight, to pgbench get", floor: 0.8, target: 1.3, value: rates("get/64x4", a1)},
	{id: "", text: "the same to pgbench with 10 gets a pipeline", target: 0.5, value: rates("get/64x4", a10)},
	{id: "G2", text: "server CPU a get, us", floor: 28, target: 15, atMost: true, absolute: true, value: figure("get/64x4", server)},
	{id: "", text: "the same to PostgreSQL's for pgbench get", target: 0.3, atMost: true, value: func(r results) sample {
		return r.ratio("get/64x4", server, a1, postgres)
	}},
	{id: "G3", text: "PostgreSQL's CPU a get, to pgbench get", floor: 1, target: 0.5, atMost: true, value: func(r results) sample {
		return r.ratio("get/64x4", postgres, a1, postgres)
	}},
	{id: "G4", text: "put, synchronous commit, to pgbench upsert", floor: 0.8, target: 2, value: rates("put/64x4/sync-on", p1("on"))},
	{id: "", text: "the same to pgbench put4", floor: 1.5, target: 3.5, value: rates("put/64x4/sync-on", p4("on"))},
	{id: "G5", text: "put, asynchronous commit, to pgbench upsert", floor: 0.7, target: 1.2, value: rates("put/64x4/sync-off", p1("off"))},
	{id: "G6", text: "server CPU a put, us, synchronous commit", floor: 60, target: 30, atMost: true, absolute: true, value: figure("put/64x4/sync-on", server)},
	{id: "", text: "the same, asynchronous commit", floor: 60, target: 30, atMost: true, absolute: true, value: figure("put/64x4/sync-off", server)},
	{id: "G7", text: "get alone, p50 to pgbench's mean", floor: 3, target: 2, atMost: true, value: func(r results) sample {
		return r.ratio("get/1x1", p50, l1, p50)
	}},
	{id: "G8", text: "find of one row without count, to get", floor: 0.7, target: 0.85, value: rates("find/64x4", "get/64x4")},
	{id: "", text: "the same with count", target: 0.65, value: rates("findcount/64x4", "get/64x4")},
	{id: "G9", text: "get, 512 in flight to 64", floor: 0.8, target: 1, value: rates("get/512x4", "get/64x4")},
	{id: "", text: "the same, 256 connections to 4", floor: 0.8, target: 1, value: rates("get/512x256", "get/512x4")},
	{id: "", text: "put, 512 in flight to 64, synchronous commit", floor: 0.8, target: 1, value: rates("put/512x4/sync-on", "put/64x4/sync-on")},
	{id: "", text: "the same, 256 connections to 4", floor: 0.8, target: 1, value: rates("put/512x256/sync-on", "put/512x4/sync-on")},
	{id: "G10", text: "70 % get and 30 % put, to their harmonic mean", floor: 0.8, target: 1, value: func(r results) sample {
		return r.each(func(x ...*record) float64 {
			return x[0].Rate * (readShare/x[1].Rate + (1-readShare)/x[2].Rate)
		}, "mixed/64x4/sync-on", "get/64x4", "put/64x4/sync-on")
	}},
	{id: "G11", text: "allocations a get", floor: 40, target: 15, atMost: true, value: figure("get/64x4", func(r *record) float64 { return r.Allocs })},
	{id: "", text: "bytes allocated a get beyond the value", floor: 6 << 10, target: 1 << 10, atMost: true, value: figure("get/64x4", func(r *record) float64 {
		return max(0, r.Bytes-smallValue)
	})},
	{id: "G12", text: "what a hook in Go adds to a put alone, p50, ms", target: 0.35, atMost: true, value: func(r results) sample {
		return r.each(func(x ...*record) float64 { return x[0].P50 - x[1].P50 }, "puthook/1x1/sync-off", "put/1x1/sync-off")
	}},
	{id: "", text: "puts a second through a hook in Go, 64 in flight", target: 5000, value: figure("puthook/64x4/sync-off", rate)},
}

func rates(name, to string) func(results) sample {
	return func(r results) sample { return r.ratio(name, rate, to, rate) }
}

func figure(name string, m metric) func(results) sample {
	return func(r results) sample { return r.of(name, m) }
}

// verdict says how a reached value stands to the goal.
func (g *goal) verdict(reached float64) string {
	fulfils := func(bound float64) bool {
		if g.atMost {
			return reached <= bound
		}
		return reached >= bound
	}
	switch {
	case reached == 0:
		return "not measured"
	case fulfils(g.target):
		return "met"
	case g.floor != 0 && fulfils(g.floor):
		return "above the floor"
	case g.floor != 0:
		return "BELOW THE FLOOR"
	}
	return "not met"
}

// writeGoals prints what was reached of the goals: the medians of the rounds.
func writeGoals(w io.Writer, records []record) error {
	r := group(records)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "goal\t\tfloor\ttarget\treached\t\t")
	for _, g := range goals {
		s := g.value(r)
		floor, reached := "", ""
		if g.floor != 0 {
			floor = fmt.Sprintf("%.4g", g.floor)
		}
		if s.median() != 0 {
			reached = fmt.Sprintf("%.2f\t± %.0f %%", s.median(), 100*s.spread())
		} else {
			reached = "\t"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%.4g\t%s\t%s\n", g.id, g.text, floor, g.target, reached, g.verdict(s.median()))
	}
	return t.Flush()
}

// slack is how far below its floor a figure may be before it is an alarm: a short run beside others is off by that much, a mistake
// that matters by more.
const slack = 2

// alarm returns an error that names the goals that were missed by far. Those that depend on the speed of the machine are not
// looked at.
func alarm(records []record) error {
	r := group(records)
	var missed []error
	for _, g := range goals {
		reached := g.value(r).median()
		far := reached*slack < g.floor
		if g.atMost {
			far = reached > g.floor*slack
		}
		if !g.absolute && g.floor != 0 && reached != 0 && far {
			missed = append(missed, fmt.Errorf("%s %s: %.2f, where the floor is %.4g", g.id, g.text, reached, g.floor))
		}
	}
	return errors.Join(missed...)
}
