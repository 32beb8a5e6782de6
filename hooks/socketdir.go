package hooks

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// makeSocketDir makes a directory that only this user can enter, for the sockets of one server, and removes those of servers that are
// gone: a server that was killed could not do it. A server holds a lock in its directory, so nothing of a living one is removed.
func makeSocketDir(base string) (dir string, release func(), err error) {
	if base == "" {
		base = filepath.Join(os.TempDir(), "moray-"+strconv.Itoa(os.Getuid()))
	}
	if err := os.MkdirAll(base, 0o700); err != nil {
		return "", nil, err
	}
	if err := private(base); err != nil {
		return "", nil, err
	}
	entries, err := os.ReadDir(base)
	if err != nil {
		return "", nil, err
	}
	for _, e := range entries {
		if old := filepath.Join(base, e.Name()); e.IsDir() {
			if lock, err := takeLock(old); err == nil {
				os.RemoveAll(old) //nolint:errcheck // because the next server tries again
				lock.Close()
			}
		}
	}
	for {
		// The name is short because the path of a socket can have about 100 bytes.
		if dir, err = os.MkdirTemp(base, "p"); err != nil {
			return "", nil, err
		}
		lock, err := takeLock(dir)
		if errors.Is(err, errLocked) || errors.Is(err, os.ErrNotExist) {
			continue // another server took it for a left-over
		}
		if err != nil {
			return "", nil, err
		}
		if _, err := os.Stat(lock.Name()); err != nil {
			lock.Close()
			continue
		}
		return dir, func() {
			os.RemoveAll(dir) //nolint:errcheck // because the next server tries again
			lock.Close()
		}, nil
	}
}

// private reports an error if others could put something into the directory.
func private(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || !ok || int(owner.Uid) != os.Getuid() || info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s must be a directory of this user that nobody else can enter (mode 0700)", dir)
	}
	return nil
}

var errLocked = errors.New("another server uses it")

// takeLock locks a directory for the life of this process.
func takeLock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(errLocked, f.Close())
	}
	return f, nil
}
