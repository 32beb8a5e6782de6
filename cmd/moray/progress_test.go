package main

import (
	"strings"
	"testing"
	"time"

	"github.com/kaizengarden/moray/core/bucket"
)

func TestProgress(t *testing.T) {
	t.Parallel()
	for _, terminal := range []bool{false, true} {
		var out strings.Builder
		now := time.Unix(0, 0)
		p := &progress{w: &out, terminal: terminal, now: func() time.Time { return now }}
		for done := int64(0); done <= 1000; done += 100 {
			p.show("users", bucket.Progress{What: "index a, scanning", Done: done, Total: 1000, Unit: "rows"})
			now = now.Add(2 * time.Second)
		}
		p.clear()
		p.show("users", bucket.Progress{What: "converting", Done: 5, Unit: "rows"})
		want := `users: index a, scanning    0 %  0 of 1000 rows
users: index a, scanning   50 %  500 of 1000 rows  50/s  10s left
users: index a, scanning  100 %  1000 of 1000 rows  50/s
users: converting  5 rows
`
		got := out.String()
		if terminal {
			got = strings.Join(strings.Split(got, "\r\x1b[K")[5:9], "\n")
			want = `users: index a, scanning  [############..................]   40 %  400 of 1000 rows  50/s  12s left
users: index a, scanning  [###############...............]   50 %  500 of 1000 rows  50/s  10s left
users: index a, scanning  [##################............]   60 %  600 of 1000 rows  50/s  8s left
users: index a, scanning  [#####################.........]   70 %  700 of 1000 rows  50/s  6s left`
			if !strings.HasSuffix(out.String(), "\r\x1b[K\r\x1b[Kusers: converting  5 rows") {
				t.Errorf("the line is not cleared: %q", out.String())
			}
		}
		if got != want {
			t.Errorf("terminal %t:\n%s\nwant\n%s", terminal, got, want)
		}
	}
}
