package hooks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/url"
	"os"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/kaizengarden/moray/hooks/internal/wire"
)

// attachPace is how often a plugin looks whether a process is there to be attached to, or gone.
const attachPace = 500 * time.Millisecond

// attachedLimit is how long a hook may take in a process that somebody debugs.
const attachedLimit = time.Hour

// attachable returns what the file of a process says that can be attached to, or nil.
func (p *Plugin) attachable() *wire.Attach {
	if p.config.Attach == "" {
		return nil
	}
	text, err := os.ReadFile(p.config.Attach)
	if err != nil {
		return nil
	}
	var a wire.Attach
	if err := json.Unmarshal(text, &a); err != nil || !alive(a.PID) {
		return nil
	}
	return &a
}

func alive(pid int) bool { return pid > 0 && !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

// attach makes a generation of a process that runs already.
func (p *Plugin) attach(ctx context.Context, a *wire.Attach, number uint64) (*generation, error) {
	g := &generation{number: number, started: time.Now(), attached: true}
	g.ctx, g.cancel = context.WithCancelCause(context.Background())
	g.process = newProcess(p.Name, p.lines)
	g.process.number = a.PID
	var err error
	g.conn, err = grpc.NewClient((&url.URL{Scheme: "unix", Path: a.Address}).String(), append(p.dialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		return nil, err
	}
	if err := g.describe(ctx, p); err != nil {
		return nil, errors.Join(fmt.Errorf("attach to the process %d: %w", a.PID, err), g.conn.Close())
	}
	p.log.Warn("attached to a process for debugging: its hooks have no time limit", "pid", a.PID)
	return g, nil
}

// detach ends what holds the server to an attached process. The process goes on.
func (g *generation) detach() {
	g.cancel(errStopped)
	g.process.finish()
	g.conn.Close()
}

// watchAttached returns when the process is gone.
func (p *Plugin) watchAttached(ctx context.Context, g *generation) error {
	t := time.NewTicker(attachPace)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return errStopped
		case <-p.suspect: // somebody holds it
			p.set(func() { p.doubted = false })
		case <-t.C:
			if a := p.attachable(); a == nil || a.PID != g.process.pid() {
				return errors.New("the process that was attached is gone")
			}
		}
	}
}

func (p *Plugin) dialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(p.settings.messageBytes()), grpc.MaxCallSendMsgSize(math.MaxInt32)),
		grpc.WithInitialWindowSize(wire.WindowBytes), grpc.WithInitialConnWindowSize(wire.WindowBytes),
		grpc.WithIdleTimeout(0), grpc.WithDisableRetry(),
	}
}

// unlimited returns bindings without time limits.
func unlimited(bindings []*wire.Binding) []*wire.Binding {
	all := make([]*wire.Binding, len(bindings))
	for i, b := range bindings {
		all[i] = &wire.Binding{Hook: b.Hook, Config: b.Config, Id: b.Id, Definition: b.Definition}
	}
	return all
}

// changed reports whether the file of the program is another than the one that was started.
func (g *generation) changed() bool {
	now, err := os.Stat(g.process.cmd.Path)
	return err == nil && (!os.SameFile(now, g.program) || !now.ModTime().Equal(g.program.ModTime()) || now.Size() != g.program.Size())
}
