package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/kaizengarden/moray/core/access"
	"github.com/kaizengarden/moray/core/config"
)

// listeners are what a server listens on.
type listeners struct {
	rpc     net.Listener
	socket  net.Listener // nil if there is none
	monitor net.Listener // nil if there is none
}

func (l *listeners) close() error {
	var err error
	for _, ln := range []net.Listener{l.rpc, l.socket, l.monitor} {
		if ln != nil {
			err = errors.Join(err, ln.Close())
		}
	}
	return err
}

// listen opens all that the configuration asks for.
func (s *Server) listen(ctx context.Context) (l listeners, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close())
			l = listeners{}
		}
	}()
	if l.rpc, err = s.open(ctx, s.options.RPC, s.config.Port, s.config.Access.TLS); err != nil {
		return l, err
	}
	if s.config.MonitorPort > 0 || s.options.Monitor != nil {
		l.monitor, err = s.open(ctx, s.options.Monitor, s.config.MonitorPort, s.config.Access.MonitorTLS)
		if err != nil {
			return l, err
		}
		l.monitor = &admitting{l.monitor, &s.watcher}
	}
	if path := s.config.Access.Socket; path != "" {
		l.socket, err = openSocket(ctx, path, os.FileMode(s.config.Access.SocketMode))
	}
	return l, err
}

// open returns given, or opens a port, encrypted if there is a TLS.
func (s *Server) open(ctx context.Context, given net.Listener, port int, t *config.TLS) (ln net.Listener, err error) {
	if ln = given; ln == nil {
		var lc net.ListenConfig
		if ln, err = lc.Listen(ctx, "tcp", net.JoinHostPort(s.config.BindIP, strconv.Itoa(port))); err != nil {
			return nil, fmt.Errorf("open port %d: %w", port, err)
		}
	}
	if t == nil {
		return ln, nil
	}
	files := &access.TLS{Certificate: t.Certificate, Key: t.Key, ClientCA: t.ClientCA, Optional: t.Optional}
	c, err := files.Config(s.log)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("encrypt port %d: %w", port, err), ln.Close())
	}
	return tls.NewListener(ln, c), nil
}

// openSocket listens on a Unix socket. One that a server has left behind is replaced; one that somebody listens on is an error.
func openSocket(ctx context.Context, path string, mode os.FileMode) (net.Listener, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "unix", path)
	if errors.Is(err, syscall.EADDRINUSE) && abandoned(ctx, path) {
		if err = os.Remove(path); err == nil {
			ln, err = lc.Listen(ctx, "unix", path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open socket: %w", err)
	}
	if err := os.Chmod(path, mode); err != nil {
		return nil, errors.Join(fmt.Errorf("permissions of the socket: %w", err), ln.Close())
	}
	return ln, nil
}

// abandoned reports whether path is a socket that nobody listens on.
func abandoned(ctx context.Context, path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != os.ModeSocket {
		return false
	}
	d := net.Dialer{Timeout: time.Second}
	nc, err := d.DialContext(ctx, "unix", path)
	if err == nil {
		nc.Close() //nolint:errcheck // because nothing was sent
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// admitting is a listener that accepts connections of a policy's networks only.
type admitting struct {
	net.Listener
	gate *access.Gate
}

func (l *admitting) Accept() (net.Conn, error) {
	for {
		nc, err := l.Listener.Accept()
		if err != nil || l.gate.Admits(nc.RemoteAddr()) {
			return nc, err
		}
		nc.Close() //nolint:errcheck // because nothing was sent
	}
}
