package localpg_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kaizengarden/moray/core/localpg"
)

func TestFirstAndLaterStart(t *testing.T) {
	t.Parallel()
	home := filepath.Join(newDir(t), "a", "home")
	var progress []string
	cfg := localpg.Config{DataDir: home, Progress: func(line string) { progress = append(progress, line) }}

	run(t, cfg, func(s *localpg.Server) {
		query(t, s, "CREATE TABLE t AS SELECT 1 AS a")
		got := query(t, s, "SELECT pg_encoding_to_char(encoding), datcollate, datctype, usename, usesuper FROM pg_database, pg_user WHERE datname = 'template1'")
		if want := "UTF8|C|C|postgres|t"; got != want {
			t.Errorf("encoding, locale and user %s, want %s", got, want)
		}
		for name, want := range map[string]string{
			"listen_addresses": "", "unix_socket_directories": s.SocketDir(), "data_directory": s.DataDir(), "TimeZone": "UTC",
			"fsync": "on", "max_connections": "100",
		} {
			if got := strings.Trim(query(t, s, "SHOW "+name), `"`); got != want {
				t.Errorf("setting %s is %q, want %q", name, got, want)
			}
		}
		if sid, err := unix.Getsid(s.PID()); err != nil || sid != s.PID() {
			t.Errorf("session of the postmaster %d, error %v; want %d, its own: a Ctrl-C would reach it", sid, err, s.PID())
		}
		if info, err := os.Stat(s.SocketDir()); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("mode of the socket's directory %v, error %v, want 0700", info.Mode(), err)
		}
		if got, want := ownerOf(t, s.SocketDir()), ownerOf(t, s.DataDir()); got != want {
			t.Errorf("the socket's directory belongs to user %d, the data to %d", got, want)
		}
	})
	if want := "making a database cluster in " + filepath.Join(home, "postgresql"); len(progress) != 1 || progress[0] != want {
		t.Errorf("progress %q, want only %q", progress, want)
	}
	for _, name := range []string{"postgresql/postmaster.pid", "run"} {
		if exists(filepath.Join(home, name)) {
			t.Errorf("%s is left after the end", name)
		}
	}

	progress = nil
	run(t, cfg, func(s *localpg.Server) {
		wantRow(t, s)
		text, err := os.ReadFile(s.LogFile())
		if err != nil || !strings.Contains(string(text), "database system was shut down at") || strings.Contains(string(text), "not properly shut down") {
			t.Errorf("the first end was not clean; error %v, log:\n%s", err, text)
		}
	})
	if len(progress) != 0 {
		t.Errorf("progress of the second start %q, want none", progress)
	}
}

func TestThrowaway(t *testing.T) {
	t.Parallel()
	home := newDir(t)
	cfg := localpg.Config{DataDir: home, Throwaway: true, Settings: map[string]string{"max_connections": "7"}}
	run(t, cfg, func(s *localpg.Server) {
		query(t, s, "CREATE TABLE t AS SELECT 1 AS a")
		for name, want := range map[string]string{"fsync": "off", "synchronous_commit": "on", "max_connections": "7"} {
			if got := query(t, s, "SHOW "+name); got != want {
				t.Errorf("setting %s is %q, want %q", name, got, want)
			}
		}
	})
	run(t, cfg, func(s *localpg.Server) { wantRow(t, s) })
}

func TestServe(t *testing.T) {
	t.Parallel()
	home := preparedHome(t)
	cfg := localpg.Config{DataDir: home}
	failure := errors.New("serve failed")
	var pid int

	err := localpg.Run(t.Context(), cfg, func(_ context.Context, s *localpg.Server) error {
		pid = s.PID()
		return failure
	})
	if err != failure {
		t.Errorf("error %v, want that of serve", err)
	}
	wantGone(t, pid)

	func() {
		defer func() {
			if got := recover(); got != failure {
				t.Errorf("recovered %v, want what serve panicked with", got)
			}
		}()
		localpg.Run(t.Context(), cfg, func(_ context.Context, s *localpg.Server) error {
			pid = s.PID()
			panic(failure)
		})
	}()
	wantGone(t, pid)

	ctx, cancel := context.WithCancel(t.Context())
	err = localpg.Run(ctx, cfg, func(ctx context.Context, s *localpg.Server) error {
		cancel()
		<-ctx.Done()
		return ctx.Err()
	})
	if err != context.Canceled {
		t.Errorf("error %v, want that of serve, %v", err, context.Canceled)
	}
	run(t, cfg, func(s *localpg.Server) { wantRow(t, s) })
}

// wantGone checks that a child has been reaped, too: there is no process with its id, not even a zombie.
func wantGone(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, 0); err != syscall.ESRCH {
		t.Errorf("postmaster %d after Run: error %v, want %v", pid, err, syscall.ESRCH)
	}
}

func TestPostmasterDies(t *testing.T) {
	t.Parallel()
	cfg := localpg.Config{DataDir: preparedHome(t)}
	err := localpg.Run(t.Context(), cfg, func(ctx context.Context, s *localpg.Server) error {
		if err := syscall.Kill(s.PID(), syscall.SIGKILL); err != nil {
			return err
		}
		<-ctx.Done()
		if cause := context.Cause(ctx); cause == nil || errors.Is(cause, context.Canceled) {
			t.Errorf("cause of the end of serve's context %v, want the end of PostgreSQL", cause)
		}
		return ctx.Err()
	})
	if err == nil || !strings.Contains(err.Error(), "signal: killed") || !strings.Contains(err.Error(), "ready to accept connections") {
		t.Errorf("error %v, want the signal and the last lines of the log", err)
	}
	run(t, cfg, func(s *localpg.Server) { wantRow(t, s) })
}

func TestStartFails(t *testing.T) {
	t.Parallel()
	home := preparedHome(t)
	err := localpg.Run(t.Context(), localpg.Config{DataDir: home, Settings: map[string]string{"shared_buffers": "many"}},
		func(context.Context, *localpg.Server) error {
			t.Error("serve is called without a server")
			return nil
		})
	if err == nil || !strings.Contains(err.Error(), `invalid value for parameter "shared_buffers": "many"`) {
		t.Errorf("error %v, want PostgreSQL's", err)
	}
	run(t, localpg.Config{DataDir: home}, func(s *localpg.Server) { wantRow(t, s) })
}

func TestInterrupted(t *testing.T) {
	t.Parallel()
	for _, moment := range []string{"making a database cluster", "stopping the PostgreSQL"} {
		t.Run(moment, func(t *testing.T) {
			t.Parallel()
			home := newDir(t)
			if moment == "stopping the PostgreSQL" {
				home = preparedHome(t)
				startByHand(t, home)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			cfg := localpg.Config{DataDir: home, Progress: func(line string) {
				if strings.HasPrefix(line, moment) {
					cancel()
				}
			}}
			err := localpg.Run(ctx, cfg, func(context.Context, *localpg.Server) error {
				t.Error("serve is called after the end of the context")
				return nil
			})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("error %v, want %v", err, context.Canceled)
			}
			if left, _ := filepath.Glob(filepath.Join(home, "initdb-*")); len(left) != 0 {
				t.Errorf("%q are left", left)
			}
			run(t, localpg.Config{DataDir: home}, func(*localpg.Server) {})
		})
	}
}
