package spelling_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/kaizengarden/moray/core/spelling"
)

func TestUnknown(t *testing.T) {
	t.Parallel()
	known := "index version pre post options"
	for word, want := range map[string]string{
		"indx":    "'indx', did you mean 'index'?",
		"Index":   "'Index', did you mean 'index'?",
		"verison": "'verison', did you mean 'version'?",
		"pst":     "'pst', did you mean 'post'?",
		"colour":  "'colour'",
		"":        "''",
		"p":       "'p'", // half of the word would be guessed
	} {
		if got := spelling.Unknown(word, slices.Values(strings.Fields(known))); got != want {
			t.Errorf("%q: %s, want %s", word, got, want)
		}
	}
}
