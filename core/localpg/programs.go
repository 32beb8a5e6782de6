package localpg

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

// find returns the directory of PostgreSQL's programs, of the given major version if that is not 0. It installs them if there
// are none and the configuration allows it.
func find(ctx context.Context, cfg Config, version int) (string, error) {
	dir := cmp.Or(cfg.BinDir, os.Getenv("MORAY_PG_BIN"))
	if dir != "" {
		if !hasPrograms(dir) {
			return "", fmt.Errorf("there are no programs initdb and postgres in %s", dir)
		}
		return choose(ctx, []string{dir}, version)
	}
	dirs := candidates()
	if len(dirs) == 0 {
		if err := install(ctx, cfg, version); err != nil {
			return "", err
		}
		if dirs = candidates(); len(dirs) == 0 {
			return "", fmt.Errorf("the package was installed, but there are still no programs initdb and postgres in %s", debianDirs)
		}
	}
	return choose(ctx, dirs, version)
}

// choose returns the first of dirs whose programs have the wanted major version; 0 wants any.
func choose(ctx context.Context, dirs []string, want int) (string, error) {
	var have []int
	for _, dir := range dirs {
		version, err := versionOf(ctx, dir)
		if err != nil {
			return "", err
		}
		if want == 0 || version == want {
			return dir, nil
		}
		have = append(have, version)
	}
	return "", fmt.Errorf("the data was made by PostgreSQL %d, but the programs in %s are of version %v: "+
		"install PostgreSQL %d, or move the data away and start with an empty directory", want, dirs, have, want)
}

// debianDirs is where Debian's packages put the programs, which are not in PATH.
const debianDirs = "/usr/lib/postgresql/*/bin"

// candidates returns the directories that have PostgreSQL's programs: the one in PATH, then Debian's, newest first.
func candidates() []string {
	var dirs []string
	if path, err := exec.LookPath("postgres"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil { // a link stands alone, the file among all its tools
			dirs = append(dirs, filepath.Dir(path))
		}
	}
	debian, err := filepath.Glob(debianDirs)
	if err != nil {
		return nil
	}
	slices.SortFunc(debian, func(a, b string) int { return cmp.Compare(debianVersion(b), debianVersion(a)) })
	return slices.DeleteFunc(append(dirs, debian...), func(dir string) bool { return !hasPrograms(dir) })
}

// debianVersion returns the number in a path like /usr/lib/postgresql/15/bin; versions before 10, like 9.6, count as 0.
func debianVersion(dir string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
	return n
}

func hasPrograms(dir string) bool {
	for _, name := range []string{"initdb", "postgres"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.IsDir() {
			return false
		}
	}
	return true
}

var versionPattern = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

func versionOf(ctx context.Context, dir string) (int, error) {
	output, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "-V").CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("ask PostgreSQL for its version: %w\n%s", err, tail(output))
	}
	match := versionPattern.FindSubmatch(output)
	if match == nil {
		return 0, fmt.Errorf("ask PostgreSQL for its version: unexpected answer %q", output)
	}
	return strconv.Atoi(string(match[1]))
}
