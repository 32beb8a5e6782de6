package manpage_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/kaizengarden/moray/cmd/moray/manpage"
)

// The texts have all that roff could take for its own: dots and quotes at the start of lines, backslashes, hyphens.
func tree() manpage.Tree {
	root := &cobra.Command{Use: "fish", Short: "Keeps fish", CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true}}
	run := func(*cobra.Command, []string) {}
	feed := &cobra.Command{
		Use: "feed [-n COUNT] NAME", Short: "Feed one", Run: run,
		Long:    "Feed the fish\n.name of a 'pike'.\n\nExit status: 0 C:\\food; 1 an error.",
		Example: "  fish feed -n 2 pike\n  .hidden feed",
	}
	feed.Flags().StringP("file", "f", "", "list of food in `path`")
	feed.Flags().Int("times", 3, "how often")
	feed.Flags().Bool("secret", false, "")
	feed.Flags().Lookup("secret").Hidden = true
	root.AddCommand(feed,
		&cobra.Command{Use: "count", Short: "count them", Run: run, DisableFlagParsing: true},
		&cobra.Command{Use: "dissect", Hidden: true, Run: run})
	return manpage.Tree{Root: root, Version: "1.2-rc1", Help: func(c *cobra.Command) string {
		if c.Name() != "count" {
			return ""
		}
		return `usage: count [-a] POND
count them

Ponds are counted one by one.

Options:
  -a         all
  -l LIMIT most of them
      --long WORD
             a text that is
             on two lines

Examples:
  count -a north
`
	}}
}

func TestPages(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := tree().WriteDir(filepath.Join(dir, "man1")); err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob(filepath.Join(dir, "man1", "*"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, path := range pages {
		names = append(names, filepath.Base(path))
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join("testdata", filepath.Base(path)))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s: want -, got +:\n%s", path, diff)
		}
	}
	if got := strings.Join(names, " "); got != "fish-count.1 fish-feed.1 fish.1" {
		t.Errorf("pages %s", got)
	}
}

func TestDirectoryThatCannotBe(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := tree().WriteDir(filepath.Join(file, "man1")); err == nil {
		t.Error("no error")
	}
}
