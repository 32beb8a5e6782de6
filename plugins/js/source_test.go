package js

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
)

// recordedSource is a line of testdata/sources.jsonl.
type recordedSource struct {
	Source  string
	Outcome string // function, value, error
	Text    string // of the function
	Again   bool   // the text gives a function too
}

func recordedSources(t testing.TB) []recordedSource {
	t.Helper()
	f, err := os.Open("testdata/sources.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []recordedSource
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var s recordedSource
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

// TestSources compares what becomes of texts with what another engine makes of them.
func TestSources(t *testing.T) {
	t.Parallel()
	w := newPlugin(1 << 30).watch
	for _, s := range recordedSources(t) {
		text, err := evaluate(ctx, w, s.Source)
		got := "function"
		switch {
		case errors.Is(err, errNotFunction):
			got = "value"
		case err != nil:
			got = "error"
		}
		want := s.Outcome
		switch {
		case strings.Contains(s.Source, "async function*"):
			want = "error" // the engine has no such functions
		case want == "function" && !s.Again:
			want = "error" // it would fail when it is loaded
		}
		if got != want || got == "function" && text != s.Text {
			t.Errorf("%q\n got  %s %q (%v)\n want %s %q", s.Source, got, text, err, want, s.Text)
		}
	}
}
