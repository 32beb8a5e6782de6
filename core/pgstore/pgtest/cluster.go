package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"

	"github.com/kaizengarden/moray/core/localpg"
	"github.com/kaizengarden/moray/core/pgstore"
)

// template is the database that the tests' databases are copies of.
const template = "moray_template"

// homes are the names of the clusters' directories.
const homes = "moray-pgtest-*"

// memoryDir is a file system in memory on every Linux. A database is hundreds of small files, so making one takes 20 ms there,
// and up to 400 ms on a slow disk.
const (
	memoryDir  = "/dev/shm"
	memoryRoom = 2 << 30 // bytes that must be free: a cluster takes about 100 MB, and packages are tested side by side
)

// parent returns the directory for the clusters' directories: memory if there is room, unless TMPDIR asks for something else.
func parent() string {
	var fs unix.Statfs_t
	if os.Getenv("TMPDIR") == "" && unix.Statfs(memoryDir, &fs) == nil && int64(fs.Bavail)*fs.Bsize >= memoryRoom {
		return memoryDir
	}
	return os.TempDir()
}

// settings keep a cluster small.
var settings = map[string]string{"shared_buffers": "32MB", "min_wal_size": "32MB", "max_wal_size": "64MB"}

// Cluster is a PostgreSQL server of its own, with the role moray. Start and Stop are for one goroutine at a time.
type Cluster struct {
	home   string
	server *localpg.Server
	cancel context.CancelFunc // makes Run return; nil while the server is down
	ended  chan error         // the result of Run
	made   atomic.Int64       // databases
}

// NewCluster starts a cluster of the test's own, which ends with the test. It takes about a second; a test that only needs
// tables, or a connection that breaks, uses [New].
func NewCluster(t testing.TB) *Cluster {
	t.Helper()
	c, err := openCluster(t.Context())
	if err != nil {
		t.Fatalf("start PostgreSQL for the test: %v", err)
	}
	t.Cleanup(func() {
		if err := c.close(); err != nil {
			t.Errorf("stop the test's PostgreSQL: %v", err)
		}
	})
	return c
}

// openCluster makes a cluster with the template database and starts it.
func openCluster(ctx context.Context) (*Cluster, error) {
	parent := parent()
	sweep(parent)
	home, err := os.MkdirTemp(parent, homes)
	if err != nil {
		return nil, err
	}
	c := &Cluster{home: home}
	err = os.Chmod(home, 0o755) // for the user that PostgreSQL runs as
	if err == nil {
		err = c.start()
	}
	if err == nil {
		err = pgstore.Init(ctx, pgstore.Bootstrap{URL: c.server.DSN(localpg.Superuser, "postgres"), Database: template})
	}
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

func (c *Cluster) start() error {
	ctx, cancel := context.WithCancel(context.Background())
	ready := make(chan *localpg.Server, 1)
	ended := make(chan error, 1)
	go func() { // Stop and close wait for ended
		config := localpg.Config{DataDir: c.home, Throwaway: true, Settings: settings}
		ended <- localpg.Run(ctx, config, func(ctx context.Context, s *localpg.Server) error {
			ready <- s
			<-ctx.Done()
			return nil
		})
	}()
	select {
	case c.server = <-ready:
		c.cancel, c.ended = cancel, ended
		return nil
	case err := <-ended:
		cancel()
		return err
	}
}

// close stops the server, if it runs, and removes its directory.
func (c *Cluster) close() error {
	var err error
	if c.cancel != nil {
		c.cancel()
		err = <-c.ended
		c.cancel = nil
	}
	return errors.Join(err, os.RemoveAll(c.home))
}

// Stop ends the server with a signal and waits until all of it is gone. SIGINT makes it end all sessions and shut down,
// SIGQUIT end at once, SIGKILL is a crash. The data stays for [Cluster.Start].
func (c *Cluster) Stop(t testing.TB, signal syscall.Signal) {
	t.Helper()
	if c.cancel == nil {
		t.Fatal("the test's PostgreSQL is stopped already")
	}
	if err := syscall.Kill(c.server.PID(), signal); err != nil {
		t.Fatalf("send %v to PostgreSQL: %v", signal, err)
	}
	<-c.ended // the error says that the server ended, which is what was asked for
	c.cancel()
	c.cancel = nil
}

// Start starts the server again after [Cluster.Stop]. URLs stay as they were.
func (c *Cluster) Start(t testing.TB) {
	t.Helper()
	if err := c.start(); err != nil {
		t.Fatalf("start PostgreSQL again: %v", err)
	}
}

// Configure changes a setting of the running server, and of its sessions, and waits until it is in force.
func (c *Cluster) Configure(t testing.TB, name, value string) {
	t.Helper()
	ctx := context.Background()
	for _, sql := range []string{"ALTER SYSTEM SET " + name + " = '" + value + "'", "SELECT pg_reload_conf()"} {
		if err := c.run(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		got := queryStrings(t, c.server.DSN(localpg.Superuser, "postgres"), "SHOW "+name)
		switch {
		case len(got) == 1 && got[0] == value:
			return
		case time.Now().After(deadline):
			t.Fatalf("%s is %v, and should have become %s", name, got, value)
		}
	}
}

// Server tells about the running server: its process, its log, its programs.
func (c *Cluster) Server() *localpg.Server { return c.server }

// run runs a statement as superuser.
func (c *Cluster) run(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, c.server.DSN(localpg.Superuser, "postgres"))
	if err != nil {
		return fmt.Errorf("connect to the tests' PostgreSQL: %w", err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql); err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	return nil
}

// sweep removes what killed test processes left: directories that nobody has locked for a while. (A directory is not locked
// before its first start and while its test has it stopped, both much shorter.)
func sweep(parent string) {
	left, err := filepath.Glob(filepath.Join(parent, homes))
	if err != nil {
		return
	}
	for _, home := range left {
		if info, err := os.Stat(home); err == nil && time.Since(info.ModTime()) > 10*time.Minute && !locked(home) {
			os.RemoveAll(home)
		}
	}
}

func locked(home string) bool {
	f, err := os.Open(filepath.Join(home, "lock"))
	if err != nil {
		return false
	}
	defer f.Close()
	return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil
}
