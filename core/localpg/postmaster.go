package localpg

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The three shutdowns of PostgreSQL are signals. Fast (SIGINT) ends the sessions and writes a checkpoint, which may take a
// while on a slow disk. Immediate (SIGQUIT) just ends; the postmaster kills what has not ended after 5 seconds.
var (
	durableStop   = []step{{syscall.SIGINT, 30 * time.Second}, {syscall.SIGQUIT, 8 * time.Second}}
	throwawayStop = []step{{syscall.SIGQUIT, 8 * time.Second}}
)

// readyInterval is how often postmaster.pid is looked at while the server starts, which takes about 60 ms.
const readyInterval = 5 * time.Millisecond

// logLimit is the size in bytes at which the log starts anew.
const logLimit = 8 << 20

func (c *cluster) stopSteps() []step {
	if c.cfg.Throwaway {
		return throwawayStop
	}
	return durableStop
}

// start clears away what an earlier run left and starts the server. It returns when the server accepts connections, or with an
// error when nothing of it is left. From then on exited is called when the postmaster ends.
func (c *cluster) start(ctx context.Context, exited func()) (err error) {
	if err := c.clear(ctx); err != nil {
		return err
	}
	if err := c.clearSocketDir(); err != nil {
		return err
	}
	if c.log, err = openLog(filepath.Join(c.home, "postgresql.log"), logLimit); err != nil {
		return fmt.Errorf("open PostgreSQL's log: %w", err)
	}
	cmd := c.command("postgres", c.arguments()...)
	cmd.Stdout, cmd.Stderr = c.log, c.log
	cmd.SysProcAttr.Pdeathsig = c.stopSteps()[0].signal
	if c.postmaster, err = spawn(cmd, exited); err != nil {
		c.log.Close()
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	if err := c.awaitReady(ctx); err != nil {
		return cmp.Or(c.stop(), err)
	}
	return nil
}

// arguments returns the arguments of the postmaster. All settings are given here and none is written to a file, so that
// they are the same for a cluster that an older moray made, and the cluster can be moved.
func (c *cluster) arguments() []string {
	settings := map[string]string{
		"listen_addresses":        "",
		"port":                    "5432",
		"unix_socket_directories": `"` + strings.ReplaceAll(c.socketDir, `"`, `""`) + `"`,
		"cluster_name":            "moray", // in the titles of the processes
		"max_connections":         "100",
		"shared_buffers":          "128MB",
		"timezone":                "UTC",
		"log_timezone":            "UTC",
		"log_checkpoints":         "off",
		"logging_collector":       "off", // the log comes to us over standard error
	}
	if c.cfg.Throwaway {
		settings["fsync"] = "off"
	}
	maps.Copy(settings, c.cfg.Settings)
	args := []string{"-D", c.dataDir}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "-c", name+"="+settings[name])
	}
	return args
}

// awaitReady waits until the postmaster says in its pid file that it accepts connections. A server that recovers may take
// as long as it needs.
func (c *cluster) awaitReady(ctx context.Context) error {
	ticker := time.NewTicker(readyInterval)
	defer ticker.Stop()
	for ctx.Err() == nil {
		if c.ready() {
			return nil
		}
		select {
		case <-c.postmaster.done:
			return errEnded // stop, which comes next, tells how
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
	return ctx.Err()
}

// ready reads the state in the pid file: line 1 is the process id, line 8 the state, "ready" padded with blanks. That is how
// pg_ctl does it (LOCK_FILE_LINE_PM_STATUS in PostgreSQL's pidfile.h).
func (c *cluster) ready() bool {
	lines := pidFile(c.dataDir)
	return len(lines) >= 8 && lines[0] == strconv.Itoa(c.postmaster.cmd.Process.Pid) && strings.TrimSpace(lines[7]) == "ready"
}

// pidFile returns the lines of the cluster's postmaster.pid, none if it cannot be read.
func pidFile(dataDir string) []string {
	text, err := os.ReadFile(filepath.Join(dataDir, "postmaster.pid"))
	if err != nil {
		return nil
	}
	return strings.Split(string(text), "\n")
}

// stop ends the server and waits until nothing of it is left. The error says that it had ended before, or cannot be ended.
func (c *cluster) stop() error {
	var ended error
	select {
	case <-c.postmaster.done:
		ended = fmt.Errorf("the server ended by itself (%v); the last lines of %s:\n%s", c.postmaster.err, c.log.path, c.log.last())
	default:
		c.postmaster.end(c.stopSteps())
	}
	// Processes without their postmaster end by themselves within moments, but until then they use the cluster's files.
	left := c.endProcesses(context.Background())
	c.log.Close()
	os.RemoveAll(c.socketDir)
	return cmp.Or(ended, left)
}
