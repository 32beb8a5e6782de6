package main

import "slices"

// results are the records of a run by name, in the order of the rounds.
type results map[string][]record

func group(records []record) results {
	r := results{}
	for _, rec := range records {
		r[rec.Name] = append(r[rec.Name], rec)
	}
	return r
}

// metric is one figure of a record.
type metric func(*record) float64

func rate(r *record) float64     { return r.Rate }
func p50(r *record) float64      { return r.P50 }
func p99(r *record) float64      { return r.P99 }
func server(r *record) float64   { return r.Server }
func postgres(r *record) float64 { return r.Postgres }
func clients(r *record) float64  { return r.Client }
func others(r *record) float64   { return r.Others }

// sample is one figure over the rounds.
type sample []float64

// of returns a figure of each round, empty if the name was not measured.
func (r results) of(name string, m metric) sample {
	var s sample
	for i := range r[name] {
		s = append(s, m(&r[name][i]))
	}
	return s
}

// each combines figures of several measurements, within each round: f gets one of each name.
func (r results) each(f func(...*record) float64, names ...string) sample {
	var s sample
	if len(names) == 0 {
		return nil
	}
	for i := range r[names[0]] {
		records := make([]*record, 0, len(names))
		for _, name := range names {
			for j := range r[name] {
				if r[name][j].Round == r[names[0]][i].Round {
					records = append(records, &r[name][j])
					break
				}
			}
		}
		if len(records) == len(names) {
			s = append(s, f(records...))
		}
	}
	return s
}

// ratio returns a figure of one measurement as a part of a figure of another, within each round.
func (r results) ratio(name string, m metric, to string, toM metric) sample {
	return r.each(func(x ...*record) float64 { return m(x[0]) / toM(x[1]) }, name, to)
}

// median returns the middle; 0 for an empty sample.
func (s sample) median() float64 {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// spread returns half the distance between the extremes, as a part of the median.
func (s sample) spread() float64 {
	if len(s) == 0 || s.median() == 0 {
		return 0
	}
	return (slices.Max(s) - slices.Min(s)) / 2 / s.median()
}

// apart reports whether all of s are on one side of all of t.
func (s sample) apart(t sample) bool {
	return len(s) > 0 && len(t) > 0 && (slices.Max(s) < slices.Min(t) || slices.Min(s) > slices.Max(t))
}
