// Package spelling finds the word that was probably meant by one that nobody knows.
package spelling

import (
	"fmt"
	"iter"
	"slices"
	"strings"
)

// Nearest returns the known word that word is probably meant to be, or "" if none is near.
func Nearest(word string, known iter.Seq[string]) string {
	best, distance := "", 3 // more than two slips of the finger make another word
	for _, candidate := range slices.Sorted(known) {
		d := slips(strings.ToLower(word), strings.ToLower(candidate))
		if d < distance && 2*d < len(candidate) {
			best, distance = candidate, d
		}
	}
	return best
}

// Unknown quotes word, with the known word that was probably meant.
func Unknown(word string, known iter.Seq[string]) string {
	if best := Nearest(word, known); best != "" {
		return fmt.Sprintf("'%s', did you mean '%s'?", word, best)
	}
	return fmt.Sprintf("'%s'", word)
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
