package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// bouncer is a PgBouncer in front of the test bed's PostgreSQL: what a well-known proxy costs that forwards the same statements.
type bouncer struct {
	cmd       *exec.Cmd
	ended     chan error
	socketDir string
}

// bouncerPort names the socket; nothing listens on TCP.
const bouncerPort = "6432"

// startBouncer starts PgBouncer, or returns nil if it is not installed.
func startBouncer(ctx context.Context, dir, socketDir string) (*bouncer, error) {
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/pgbouncer"); err != nil {
			return nil, nil
		}
	}
	b := &bouncer{ended: make(chan error, 1), socketDir: filepath.Join(dir, "bouncer")}
	// It refuses to run as root, and PostgreSQL's socket is for one user.
	info, err := os.Stat(socketDir)
	if err != nil {
		return nil, err
	}
	owner := info.Sys().(*syscall.Stat_t)
	file := filepath.Join(b.socketDir, "pgbouncer.ini")
	err = errors.Join(os.Mkdir(b.socketDir, 0o755), os.WriteFile(file, []byte(b.configuration(socketDir)), 0o644),
		os.Chown(b.socketDir, int(owner.Uid), int(owner.Gid)))
	if err != nil {
		return nil, err
	}
	b.cmd = exec.Command(program, "-q", file)
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() == 0 {
		b.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}
	}
	if err := b.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start PgBouncer: %w", err)
	}
	go func() { b.ended <- b.cmd.Wait() }() // stop waits for it
	if err := b.awaitReady(ctx); err != nil {
		return nil, errors.Join(err, b.stop())
	}
	return b, nil
}

func (b *bouncer) configuration(socketDir string) string {
	return `[databases]
` + database + ` = host=` + socketDir + ` dbname=` + database + ` user=` + role + `
[pgbouncer]
listen_addr =
listen_port = ` + bouncerPort + `
unix_socket_dir = ` + b.socketDir + `
auth_type = any
pool_mode = session
default_pool_size = 64
ignore_startup_parameters = extra_float_digits
logfile = ` + filepath.Join(b.socketDir, "log") + `
`
}

func (b *bouncer) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTime, errors.New("PgBouncer is not ready in time"))
	defer cancel()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		var d net.Dialer
		if nc, err := d.DialContext(ctx, "unix", filepath.Join(b.socketDir, ".s.PGSQL."+bouncerPort)); err == nil {
			return nc.Close()
		}
		select {
		case err := <-b.ended:
			b.ended <- err
			return fmt.Errorf("PgBouncer ended instead of starting: %w", err)
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-again.C:
		}
	}
}

// stop ends it. Without clients nothing is lost.
func (b *bouncer) stop() error {
	b.cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // because Wait tells that it has ended
	kill := time.AfterFunc(stopTime, func() { b.cmd.Process.Kill() })
	defer kill.Stop()
	if err := <-b.ended; err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			return fmt.Errorf("PgBouncer: %w", err)
		}
	}
	return nil
}
