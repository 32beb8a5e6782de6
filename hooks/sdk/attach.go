package sdk

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/kaizengarden/moray/hooks/internal/wire"
)

// serveAttached runs a plugin that nobody started but its author, until a signal ends it. The file says where it is.
func serveAttached(p Plugin, file string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "moray-plugin-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ln, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		return err
	}
	text, err := json.Marshal(wire.Attach{Address: ln.Addr().String(), PID: os.Getpid()})
	if err != nil {
		return err
	}
	// The server must not see half of a file.
	if err := os.WriteFile(file+".new", text, 0o600); err != nil {
		return err
	}
	if err := os.Rename(file+".new", file); err != nil {
		return err
	}
	defer os.Remove(file)
	fmt.Fprintf(os.Stderr, "waiting for moray dev, which finds this process through %s; Ctrl-C ends it\n", file)
	served := make(chan error, 1)
	go func() { served <- ServeOn(ln, p) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
		return nil
	}
}
