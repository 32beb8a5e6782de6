package localpg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// unfinished begins the name of a directory in which a cluster is being made.
const unfinished = "initdb-"

// fill makes the cluster if the home has none. It is made in a directory of its own and renamed when it is complete: so a
// cluster under its final name is a whole one, and what a killed initdb left is known by its name and removed.
func (c *cluster) fill(ctx context.Context) error {
	if err := c.removeUnfinished(); err != nil {
		return fmt.Errorf("remove an unfinished cluster: %w", err)
	}
	_, err := os.Stat(filepath.Join(c.dataDir, "PG_VERSION"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return c.create(ctx)
	case err != nil:
		return fmt.Errorf("look for the cluster: %w", err)
	}
	if c.dataDir, err = filepath.EvalSymlinks(c.dataDir); err != nil { // it may have been moved to another disk
		return fmt.Errorf("look for the cluster: %w", err)
	}
	if err := c.account.ownTree(c.dataDir); err != nil {
		return fmt.Errorf("give the cluster to user %s: %w", c.account.name, err)
	}
	return os.Chmod(c.dataDir, 0o700) // PostgreSQL refuses a directory that others can read
}

func (c *cluster) removeUnfinished() error {
	entries, err := os.ReadDir(c.home)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), unfinished) {
			continue
		}
		dir := filepath.Join(c.home, entry.Name())
		c.cfg.Progress("removing the unfinished cluster " + dir)
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	return nil
}

// create makes a cluster: C locale, UTF-8, no password needed.
func (c *cluster) create(ctx context.Context) error {
	c.cfg.Progress("making a database cluster in " + c.dataDir)
	dir, err := os.MkdirTemp(c.home, unfinished)
	if err != nil {
		return fmt.Errorf("make the cluster's directory: %w", err)
	}
	err = c.initdb(ctx, dir)
	if err == nil {
		err = os.Rename(dir, c.dataDir)
	}
	if err == nil && !c.cfg.Throwaway {
		err = syncDir(c.home)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("make the cluster: %w", err), os.RemoveAll(dir))
	}
	return nil
}

func (c *cluster) initdb(ctx context.Context, dir string) error {
	if err := c.account.own(dir); err != nil {
		return err
	}
	args := []string{"-D", dir, "-U", Superuser, "-A", "trust", "-E", "UTF8", "--no-locale", "--no-instructions"}
	if c.cfg.Throwaway {
		args = append(args, "--no-sync")
	}
	var output bytes.Buffer
	cmd := c.command("initdb", args...)
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL // the half-made cluster is of no use
	p, err := spawn(cmd, nil)
	if err != nil {
		return err
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		// The whole group, because initdb's own child, a postgres, would still write.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-p.done
		return ctx.Err()
	}
	if p.err != nil {
		return fmt.Errorf("initdb: %w\n%s", p.err, tail(output.Bytes()))
	}
	return nil
}

// command returns a command that runs a program of PostgreSQL as the account, in a session of its own: a Ctrl-C in moray's
// terminal does not reach it. Its environment is empty but for what it needs, because variables like PGDATA or LC_ALL
// change what the programs do.
func (c *cluster) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(c.binDir, program), args...)
	cmd.Dir = c.home
	cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=" + c.home, "LC_ALL=C", "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: c.account.credential}
	cmd.WaitDelay = orphanDelay
	return cmd
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
