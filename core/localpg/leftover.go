package localpg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// pollInterval is how often we look whether processes that are not our children have ended.
const pollInterval = 10 * time.Millisecond

// clear ends what an earlier run left in the cluster and removes its pid file. PostgreSQL removes a stale pid file
// itself only if no process has the id in it; a process of somebody else, or a zombie, would keep it from starting. After
// clear the file cannot belong to a living server: we hold the lock and no process works in the cluster's directory.
func (c *cluster) clear(ctx context.Context) error {
	if len(c.processes()) > 0 {
		c.cfg.Progress("stopping the PostgreSQL that an earlier moray left in " + c.dataDir)
		if err := c.endProcesses(ctx); err != nil {
			return err
		}
	}
	if err := os.Remove(filepath.Join(c.dataDir, "postmaster.pid")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove a stale pid file: %w", err)
	}
	return nil
}

// endProcesses ends the processes that work in the cluster and are not our children, and returns when none is left. A
// postmaster is asked first. The others follow their postmaster, so they are given time.
func (c *cluster) endProcesses(ctx context.Context) error {
	postmaster := c.postmasterID()
	steps := []step{{wait: orphanDelay}}
	if slices.Contains(c.processes(), postmaster) {
		steps = slices.Clone(c.stopSteps())
	}
	for _, s := range append(steps, step{syscall.SIGKILL, 5 * time.Second}) {
		for _, pid := range c.processes() {
			if pid == postmaster || s.signal == syscall.SIGKILL {
				_ = syscall.Kill(pid, s.signal) // an error means that it is gone: the next look tells
			}
		}
		if gone, err := c.awaitGone(ctx, s.wait); gone || err != nil {
			return err
		}
	}
	return fmt.Errorf("the processes %v in %s do not end", c.processes(), c.dataDir)
}

// awaitGone waits until no process works in the cluster, at most for the given time.
func (c *cluster) awaitGone(ctx context.Context, atMost time.Duration) (bool, error) {
	timeout := time.After(atMost)
	for len(c.processes()) > 0 {
		select {
		case <-time.After(pollInterval):
		case <-timeout:
			return false, nil
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	return true, nil
}

// postmasterID returns the process id in the cluster's pid file, or 0. It says nothing about that process.
func (c *cluster) postmasterID() int {
	lines := pidFile(c.dataDir)
	if len(lines) == 0 {
		return 0
	}
	pid, _ := strconv.Atoi(lines[0]) // 0 if it is not a number
	return pid
}

// processes returns the ids of the living processes that work in the cluster: their program is postgres and their
// working directory is the cluster's, which is where PostgreSQL's processes stay. A zombie has no working directory any more,
// and that of another user's process cannot be read: neither counts. One that has a directory but no program any more is
// ending, and still attached to the shared memory, with which no new server would start: it counts.
func (c *cluster) processes() []int {
	links, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil {
		return nil
	}
	var pids []int
	for _, link := range links {
		if dir, err := os.Readlink(link); err != nil || dir != c.dataDir {
			continue
		}
		process := filepath.Dir(link)
		program, err := os.Readlink(filepath.Join(process, "exe"))
		ending := errors.Is(err, fs.ErrNotExist)
		if !ending && strings.TrimSuffix(filepath.Base(program), " (deleted)") != "postgres" {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(process)); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
