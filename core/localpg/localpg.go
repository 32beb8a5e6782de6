// Package localpg is the embedded default: a private PostgreSQL that moray creates, starts and stops itself. `moray dev`
// keeps its data with it, and tests run throw-away clusters on it.
//
// It finds PostgreSQL's programs or installs Debian's package, makes a cluster once, runs it on a Unix socket in a private
// directory, and takes it down again. It speaks no SQL: roles, databases and tables are the business of whoever connects.
// What it relies on are facts of PostgreSQL (the chapter "Server Setup and Operation" of its manual: postmaster.pid, the
// three shutdown signals, the refusal to run as root) and of Linux (/proc, flock, the parent-death signal).
//
// A home directory holds:
//
//	lock               locked while a moray uses the directory; its text is that moray's process id
//	postgresql/        the cluster, owned by the user that PostgreSQL runs as
//	postgresql.log     PostgreSQL's log, with the one before it in postgresql.log.1
//	run/               the socket, while the server runs
//	initdb-*/          a cluster that is being made; it is renamed to postgresql when it is complete
//
// Nothing that a killed moray leaves behind blocks the next one. The kernel tells the postmaster to shut down when moray
// dies, however it dies. The next start waits for that or makes it happen, and only then removes the files that would
// stop a new server. No process is signalled unless its program is postgres and its working directory is our cluster.
package localpg

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Superuser is the role that initdb makes. The socket's directory is open to its owner only, so nobody needs a password.
const Superuser = "postgres"

// Config says where a cluster lives and how it runs. Only DataDir is required.
type Config struct {
	// DataDir is the home directory; it is made if absent.
	DataDir string
	// Fallback is used by root only: where a parent of DataDir is not searchable for the user that PostgreSQL runs as, the
	// home is a directory in Fallback whose name stands for DataDir. Empty makes such a DataDir an error.
	Fallback string
	// BinDir holds the programs initdb and postgres. Empty means the environment variable MORAY_PG_BIN, then PATH, then
	// Debian's directories, the newest version first; of several the one that fits the existing data.
	BinDir string
	// Install allows to install Debian's package, as root, if the programs are missing.
	Install bool
	// Throwaway trades durability for speed: nothing is flushed to the disk, and the server is stopped without a checkpoint.
	// What was committed survives the death of every process, but not of the machine.
	Throwaway bool
	// Settings are parameters of PostgreSQL, added to ours and stronger than those.
	Settings map[string]string
	// Progress, if set, is given one line for the person who waits, whenever something out of the ordinary is done.
	Progress func(line string)
}

// Server is a running PostgreSQL. It is safe for concurrent use.
type Server struct {
	dataDir, socketDir, logFile, binDir string
	pid                                 int
}

// DSN returns a connection URL over the Unix socket. With the role [Superuser] the database "postgres" always exists.
func (s *Server) DSN(role, database string) string {
	host := strings.ReplaceAll(url.QueryEscape(s.socketDir), "+", "%20") // libpq takes a plus for a plus
	u := url.URL{Scheme: "postgres", User: url.User(role), Path: "/" + database, RawQuery: "host=" + host}
	return u.String()
}

// DataDir returns the cluster's directory, what PostgreSQL calls PGDATA.
func (s *Server) DataDir() string { return s.dataDir }

// SocketDir returns the directory of the Unix socket; the port is 5432.
func (s *Server) SocketDir() string { return s.socketDir }

// LogFile returns the path of PostgreSQL's log.
func (s *Server) LogFile() string { return s.logFile }

// BinDir returns the directory of PostgreSQL's programs.
func (s *Server) BinDir() string { return s.binDir }

// PID returns the process id of the postmaster.
func (s *Server) PID() int { return s.pid }

// errEnded is the cause of the end of serve's context when the postmaster ends by itself.
var errEnded = errors.New("the embedded PostgreSQL ended")

// Run makes sure that there is a cluster, starts it, calls serve once it accepts connections, and stops it when serve
// returns. When Run returns, the postmaster is gone and reaped and the home is free again; that holds also if serve panics.
//
// The context of serve ends with ctx, and when PostgreSQL ends by itself. In that case Run's error is that end, with the
// last lines of the log; otherwise it is the error of serve.
func Run(ctx context.Context, cfg Config, serve func(context.Context, *Server) error) (err error) {
	if cfg.Progress == nil {
		cfg.Progress = func(string) {}
	}
	c, err := open(ctx, cfg)
	if err != nil {
		return fmt.Errorf("embedded PostgreSQL: %w", err)
	}
	defer c.close()

	serveCtx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if err := c.start(ctx, func() { cancel(errEnded) }); err != nil {
		return fmt.Errorf("embedded PostgreSQL: %w", err)
	}
	defer func() {
		if ended := c.stop(); ended != nil {
			err = fmt.Errorf("embedded PostgreSQL: %w", ended)
		}
	}()
	return serve(serveCtx, &Server{
		dataDir:   c.dataDir,
		socketDir: c.socketDir,
		logFile:   c.log.path,
		binDir:    c.binDir,
		pid:       c.postmaster.cmd.Process.Pid,
	})
}

// cluster is a home that this process holds the lock of, and what is needed to run a server in it.
type cluster struct {
	cfg       Config
	binDir    string
	account   account
	home      string // resolved: no symbolic links
	lock      *os.File
	dataDir   string // resolved too
	socketDir string

	log        *logFile
	postmaster *child // set by start
}

// open chooses the programs, the user and the home, locks it, and makes the cluster if there is none.
func open(ctx context.Context, cfg Config) (*cluster, error) {
	dataDir, err := filepath.Abs(cfg.DataDir)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	cfg.DataDir = dataDir
	home, version, err := existing(cfg)
	if err != nil {
		return nil, err
	}
	binDir, err := find(ctx, cfg, version)
	if err != nil {
		return nil, err
	}
	account, err := accountFor(home)
	if err != nil {
		return nil, err
	}
	if home, err = reachable(cfg, account, home); err != nil {
		return nil, err
	}
	c := &cluster{cfg: cfg, binDir: binDir, account: account}
	if err := c.take(home); err != nil {
		return nil, err
	}
	if err := c.fill(ctx); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// close frees the home for the next moray. Closing the file is not enough: until it executes its program, a process that is
// being forked elsewhere in this one has a copy of the descriptor.
func (c *cluster) close() {
	_ = unix.Flock(int(c.lock.Fd()), unix.LOCK_UN) // cannot fail on a file that we have locked
	c.lock.Close()
}
