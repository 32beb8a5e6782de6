package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// writeTable prints the medians of all rounds, in the order of the steps.
func writeTable(w io.Writer, records []record, steps []step) error {
	r := group(records)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\toperations/s\t/ anchor\tp50 ms\tp99 ms\tserver us\tpostgres us\tclient us\tothers %\t")
	for _, s := range steps {
		of := func(m metric) float64 { return r.of(s.name, m).median() }
		ratio, tail, cost := "", "", ""
		if s.anchor != "" {
			ratio = fmt.Sprintf("%.2f", r.ratio(s.name, rate, s.anchor, rate).median())
		}
		if s.script == "" {
			tail = fmt.Sprintf("%.2f", of(p99))
		}
		if s.script == "" || s.proxied {
			cost = fmt.Sprintf("%.1f", of(server))
		}
		fmt.Fprintf(t, "%s\t%.0f\t%s\t%.3f\t%s\t%s\t%.1f\t%.1f\t%.0f\t\n",
			s.name, of(rate), ratio, of(p50), tail, cost, of(postgres), of(clients), of(others))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprint(w, "NxM: N requests in flight over M connections. Medians; ratios were taken within rounds. CPU times are an operation's.\n"+
		"pgbench tells the mean for p50. server us of pgbouncer is its own.\n\n")
	return err
}

// compared are the figures that are worth a comparison between runs.
var compared = []struct {
	name   string
	metric metric
}{
	{"server us", server}, {"postgres us", postgres}, {"p50 ms", p50}, {"p99 ms", p99},
}

// writeComparison prints the medians of two runs side by side, for what both have measured. A change is shown where the rounds of
// the two runs do not overlap.
func writeComparison(w io.Writer, old, recent []record) error {
	before, after := group(old), group(recent)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "measurement\tfigure\told\t\tnew\t\tchange")
	row := func(name, figure string, a, b sample) {
		change := "~"
		if a.apart(b) && a.median() != 0 {
			change = fmt.Sprintf("%+.1f %%", 100*(b.median()/a.median()-1))
		}
		fmt.Fprintf(t, "%s\t%s\t%.4g\t± %.0f %%\t%.4g\t± %.0f %%\t%s\n", name, figure,
			a.median(), 100*a.spread(), b.median(), 100*b.spread(), change)
	}
	seen := map[string]bool{}
	for _, rec := range old {
		if seen[rec.Name] || after[rec.Name] == nil {
			continue
		}
		seen[rec.Name] = true
		if rec.Anchor != "" {
			row(rec.Name, "/ anchor", before.ratio(rec.Name, rate, rec.Anchor, rate), after.ratio(rec.Name, rate, rec.Anchor, rate))
		}
		row(rec.Name, "per second", before.of(rec.Name, rate), after.of(rec.Name, rate))
		for _, c := range compared {
			if a, b := before.of(rec.Name, c.metric), after.of(rec.Name, c.metric); a.median() > 0 {
				row(rec.Name, c.name, a, b)
			}
		}
	}
	if len(seen) == 0 {
		return fmt.Errorf("the two runs have no measurement in common")
	}
	return t.Flush()
}
