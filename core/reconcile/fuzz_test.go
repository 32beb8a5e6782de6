package reconcile_test

import (
	"os"
	"strings"
	"testing"

	"github.com/kaizengarden/moray/core/reconcile"
)

// FuzzRead reads any text. What it takes for documents is printed, read and formatted again without a change of meaning.
func FuzzRead(f *testing.F) {
	for _, file := range []string{"problems.txt", "format.txt"} {
		text, err := os.ReadFile("testdata/" + file)
		if err != nil {
			f.Fatal(err)
		}
		for block := range strings.SplitSeq(string(text), "\n=== ") {
			_, input, _ := strings.Cut(block, "\n")
			input, _, _ = strings.Cut(input, "----\n")
			f.Add([]byte(input))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		documents, problems := reconcile.ReadFile("a.yaml", text)
		for _, p := range problems {
			if p.Text == "" || p.Line < 1 || p.Column < 1 {
				t.Errorf("a problem without text or place: %+v", p)
			}
		}
		for _, d := range documents {
			printed, err := d.YAML()
			if err != nil {
				t.Fatal(err)
			}
			again, problems := reconcile.ReadFile("b.yaml", printed)
			if problems != nil || len(again) != 1 || again[0].Hash() != d.Hash() {
				t.Fatalf("%s\nis printed as\n%s\n%v", d.Text, printed, problems)
			}
		}
		formatted, err := reconcile.Format("a.yaml", text)
		if err != nil {
			return // it has problems, or comments at places where they would be lost
		}
		twice, err := reconcile.Format("a.yaml", formatted)
		if err != nil || string(twice) != string(formatted) {
			t.Errorf("formatted\n%s\nand again\n%s\n%v", formatted, twice, err)
		}
	})
}
