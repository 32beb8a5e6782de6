package config

import (
	"fmt"
	"iter"
	"slices"
	"strings"
)

// unknown quotes name, with the known name that was probably meant.
func unknown(name string, known iter.Seq[string]) string {
	best, distance := "", 3 // more than two slips of the finger make another word
	for _, candidate := range slices.Sorted(known) {
		d := slips(strings.ToLower(name), strings.ToLower(candidate))
		if d < distance && 2*d < len(candidate) {
			best, distance = candidate, d
		}
	}
	if best == "" {
		return fmt.Sprintf("'%s'", name)
	}
	return fmt.Sprintf("'%s', did you mean '%s'?", name, best)
}

// slips returns how many bytes have to be inserted, removed or replaced to make b from a (the Levenshtein distance).
func slips(a, b string) int {
	row := make([]int, len(b)+1) // row[j]: from what was seen of a to b[:j]
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
