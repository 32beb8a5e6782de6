// Package browsertest looks at pages with Debian's chromium, in tests.
package browsertest

import (
	"bytes"
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Dump opens the page at url, lets its clock run for some seconds, and returns what it is then: HTML, as the browser has it. What the
// page writes to the console, and what the browser complains about there, fails the test.
func Dump(t testing.TB, url string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	profile := t.TempDir()
	// The sandbox does not work for root. /dev/shm is small in containers.
	cmd := exec.CommandContext(ctx, "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--no-first-run", "--disable-extensions", "--disable-background-networking", "--user-data-dir="+profile, "--virtual-time-budget=5000",
		"--enable-logging=stderr", "--dump-dom", url)
	cmd.Env = append(cmd.Environ(), "HOME="+profile)
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil {
		t.Fatalf("chromium: %v (scripts/install-deps installs it)\n%s", err, log.String())
	}
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, ":CONSOLE:") {
			t.Errorf("the console of the browser: %s", line)
		}
	}
	return out.String()
}
