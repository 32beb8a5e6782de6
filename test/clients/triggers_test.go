package clients

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/server/servertest"
	"github.com/kaizengarden/moray/plugins/js/jstest"
)

// TestTriggers has owners of buckets create them with functions, see triggers.js: the trigger of Manta, and the examples of the
// specification.
func TestTriggers(t *testing.T) {
	t.Parallel()
	install(t)
	golden := filepath.Join("testdata", "triggers.txt")
	for _, release := range releases {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			server := servertest.Start(t, pgtest.New(t).URL(), servertest.Options{Hooks: jstest.Hooks})
			host, port, err := net.SplitHostPort(server.Addr)
			if err != nil {
				t.Fatal(err)
			}
			got, err := command(t, time.Minute, release, server.Addr, "node", "triggers.js", release, host, port).Output()
			if err != nil {
				t.Fatalf("node triggers.js: %v\n%s%s", err, got, stderrOf(err))
			}
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			wanted := strings.Split(string(want), "\n")
			for i, line := range strings.Split(string(got), "\n") {
				if i >= len(wanted) || line != wanted[i] {
					t.Errorf("line %d\n got  %s\n want %s", i+1, line, append(wanted, "")[min(i, len(wanted))])
				}
			}
			if n := strings.Count(string(got), "\n"); n != len(wanted)-1 {
				t.Errorf("%d lines, want %d", n, len(wanted)-1)
			}
		})
	}
}
