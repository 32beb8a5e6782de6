package localpg

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

func dataDirOf(home string) string { return filepath.Join(home, "postgresql") }

// fallbackOf returns the home that stands in for DataDir, or "" if there is none. Two different data directories have two
// different ones.
func fallbackOf(cfg Config) string {
	if cfg.Fallback == "" || os.Geteuid() != 0 {
		return ""
	}
	name := filepath.Base(filepath.Dir(cfg.DataDir)) + "-" + filepath.Base(cfg.DataDir)
	return filepath.Join(cfg.Fallback, name+"-"+digest(cfg.DataDir))
}

func digest(path string) string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte(path)))[:8]
}

// existing returns the home that has a cluster already and the major version of that cluster, or "" and 0.
func existing(cfg Config) (home string, version int, err error) {
	for _, home := range []string{cfg.DataDir, fallbackOf(cfg)} {
		if home == "" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dataDirOf(home), "PG_VERSION"))
		switch {
		case errors.Is(err, fs.ErrPermission):
			return "", 0, fmt.Errorf("the cluster in %s belongs to another user: start moray as that user or as root: %w", home, err)
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return "", 0, fmt.Errorf("version of the cluster: %w", err)
		}
		version, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			return "", 0, fmt.Errorf("version of the cluster in %s: %w", home, err)
		}
		return home, version, nil
	}
	return "", 0, nil
}

// Running returns the server that another process runs on the data directory of a configuration, of which only DataDir and
// Fallback count.
func Running(cfg Config) (*Server, error) {
	dataDir, err := filepath.Abs(cfg.DataDir)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	cfg.DataDir = dataDir
	home, _, err := existing(cfg)
	if err != nil {
		return nil, err
	}
	if home == "" {
		return nil, fmt.Errorf("there is no database in %s", cfg.DataDir)
	}
	if home, err = filepath.EvalSymlinks(home); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	s := &Server{dataDir: dataDirOf(home), socketDir: socketDirOf(home)}
	if _, err := os.Stat(filepath.Join(s.socketDir, ".s.PGSQL.5432")); err != nil {
		return nil, fmt.Errorf("no server runs on the database in %s: %w", cfg.DataDir, err)
	}
	return s, nil
}

// reachable returns the home to use: have, which has a cluster, or else DataDir or its fallback, the first whose parents
// the account can search.
func reachable(cfg Config, a account, have string) (string, error) {
	homes := []string{have}
	if have == "" {
		homes = []string{cfg.DataDir, fallbackOf(cfg)}
	}
	for _, home := range homes {
		if home == "" {
			continue
		}
		ok, err := a.canSearch(nearest(home))
		if err != nil {
			return "", fmt.Errorf("try whether user %s can reach %s: %w", a.name, home, err)
		}
		if ok {
			if home != cfg.DataDir {
				cfg.Progress(fmt.Sprintf("the data is in %s, because user %s, which PostgreSQL runs as, could not reach %s", home, a.name, cfg.DataDir))
			}
			return home, nil
		}
	}
	return "", fmt.Errorf("PostgreSQL runs as user %s, which cannot reach %s: make its parent directories searchable or choose another data directory",
		a.name, homes[0])
}

// nearest returns path or, if it does not exist, the nearest parent that does.
func nearest(path string) string {
	for {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			return path
		}
		path = filepath.Dir(path)
	}
}

// makeDirs makes path and its missing parents searchable for everybody, whatever the umask says.
func makeDirs(path string) error {
	if nearest(path) == path {
		return nil
	}
	if err := makeDirs(filepath.Dir(path)); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return os.Chmod(path, 0o755)
}

// take makes the home and locks it. The lock is the kernel's: it ends with this process.
func (c *cluster) take(home string) error {
	if err := makeDirs(home); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	home, err := filepath.EvalSymlinks(home)
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(home, "lock"), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o644)
	if err != nil {
		return fmt.Errorf("lock the data directory: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer lock.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return fmt.Errorf("lock the data directory %s: %w", home, err)
		}
		pid, _ := io.ReadAll(io.LimitReader(lock, 20)) // for the message only
		return fmt.Errorf("another moray (process %s) uses the data directory %s", strings.TrimSpace(string(pid)), home)
	}
	if err := errors.Join(lock.Truncate(0), writePID(lock)); err != nil {
		lock.Close()
		return fmt.Errorf("lock the data directory: %w", err)
	}
	c.home, c.lock, c.dataDir, c.socketDir = home, lock, dataDirOf(home), socketDirOf(home)
	return nil
}

func writePID(w io.Writer) error {
	_, err := fmt.Fprintln(w, os.Getpid())
	return err
}

// socketDirOf returns the directory for the socket: in the home, unless the socket's path would be longer than the kernel
// allows (107 bytes), or has a comma, which separates hosts in a connection URL.
func socketDirOf(home string) string {
	dir := filepath.Join(home, "run")
	if len(dir)+len("/.s.PGSQL.5432") > 107 || strings.Contains(dir, ",") {
		return "/tmp/moray-" + digest(home)
	}
	return dir
}

// clearSocketDir makes the socket's directory anew. A socket's lock file from an earlier run may name a process that lives
// but is not ours, and PostgreSQL would refuse to start. Mkdir is the check that nobody else put something there.
func (c *cluster) clearSocketDir() error {
	if err := os.RemoveAll(c.socketDir); err != nil {
		return fmt.Errorf("clear the socket's directory: %w", err)
	}
	if err := os.Mkdir(c.socketDir, 0o700); err != nil {
		return fmt.Errorf("make the socket's directory: %w", err)
	}
	return c.account.own(c.socketDir)
}
