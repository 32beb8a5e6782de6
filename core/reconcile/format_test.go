package reconcile_test

import (
	"io/fs"
	"os"
	"testing"

	"github.com/kaizengarden/moray/core/reconcile"
)

func TestFormat(t *testing.T) {
	t.Parallel()
	golden(t, "format.txt", func(t *testing.T, input string) string {
		once, err := reconcile.Format("a.yaml", []byte(input))
		if err != nil {
			return err.Error()
		}
		twice, err := reconcile.Format("a.yaml", once)
		if err != nil {
			t.Errorf("format again: %v", err)
		}
		if string(twice) != string(once) {
			t.Errorf("formatted again it is\n%s", twice)
		}
		return string(once)
	})
}

// The samples are documents in the canonical form.
func TestSamples(t *testing.T) {
	t.Parallel()
	samples := os.DirFS("../../buckets.d")
	documents, err := reconcile.Read(samples)
	if err != nil {
		t.Fatal(err)
	}
	if len(documents) < 3 {
		t.Errorf("only %d samples", len(documents))
	}
	names, err := fs.Glob(samples, "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(samples, name)
		if err != nil {
			t.Fatal(err)
		}
		formatted, err := reconcile.Format(name, text)
		if err != nil || string(formatted) != string(text) {
			t.Errorf("%s is not in the canonical form: %v\n%s", name, err, formatted)
		}
	}
}
