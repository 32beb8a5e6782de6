package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"

	"github.com/kaizengarden/moray/core/client"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
)

// configured runs moray serve with a configuration whose last members are given. write replaces those.
func configured(t *testing.T, db *pgtest.DB, more string) (cmd *exec.Cmd, out *output, write func(more string)) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.json")
	write = func(more string) {
		t.Helper()
		text := fmt.Sprintf(`{"bindip":"127.0.0.1","port":0,"monitorPort":0,"server_uuid":"t","datacenter":"t",
"standalone":{"pg":{},"url":%q},%s}`, db.URL(), more)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(more)
	cmd, out = serveFile(t, file)
	return cmd, out, write
}

// TestReload: what can change without a restart does, the rest is named, and a file that is wrong changes nothing.
func TestReload(t *testing.T) {
	t.Parallel()
	cmd, out, write := configured(t, pgtest.New(t), `"bunyan":{}`)
	eventually(t, "the server runs", func() bool { return out.has("Moray listening on port ") })
	port := regexp.MustCompile(`Moray listening on port (\d+)`).FindStringSubmatch(out.String())[1]
	c := client.New(client.Config{Addresses: []string{"127.0.0.1:" + port}})
	defer c.Close()
	makeBucket := func(name string) string {
		if err := c.CreateBucket(t.Context(), name, &client.BucketConfig{}, nil); err != nil {
			return err.Error()
		}
		return ""
	}
	signal := func(s syscall.Signal, want string) {
		t.Helper()
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the log says "+want, func() bool { return out.has(want) })
	}
	if err := makeBucket("a"); err != "" {
		t.Fatal(err)
	}

	write(`"bunyan":{"level":"debug"},"access":{"roles":{"r":{"permit":["read"]}}},"fast":{"maxFrameBytes":1000000}`)
	signal(syscall.SIGHUP, "reload: changes that need a restart: config.fast.maxFrameBytes")
	eventually(t, "the file was read", func() bool { return out.has("reload: the configuration was read again") })
	if err := makeBucket("b"); err == "" {
		t.Error("the new role does not count")
	}
	eventually(t, "the new level counts", func() bool { return out.has(`"msg":"request done"`) })

	write(`"bunyan":{"level":"loud"}`)
	signal(syscall.SIGHUP, "nothing of it was taken over")
	if err := makeBucket("b"); err == "" {
		t.Error("a file that is wrong counts")
	}
	write(`"bunyan":{"level":"warn"}`)
	signal(syscall.SIGHUP, "")
	eventually(t, "the roles are gone", func() bool { return makeBucket("b") == "" })

	signal(syscall.SIGUSR1, "log level is info now")
	signal(syscall.SIGUSR1, "log level is debug now")
	signal(syscall.SIGUSR2, "log level is info now")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the server ends with %v", err)
	}
}
