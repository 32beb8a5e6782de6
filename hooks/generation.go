package hooks

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/kaizengarden/moray/hooks/internal/wire"
)

// generation is one process of a plugin, from its handshake to its end. A plugin has one at a time; another process is another
// generation, so nothing of an old one is mistaken for the new one's.
type generation struct {
	number  uint64
	process *process
	client  *plugin.Client
	conn    *grpc.ClientConn
	calls   wire.PluginClient
	started time.Time

	released chan struct{} // closed when nobody watches the process any longer
	program  os.FileInfo   // the file as it was
	attached bool          // somebody else started the process, to debug it

	version string
	hooks   map[string]*wire.Hook

	ctx    context.Context // ends when the process does
	cancel context.CancelCauseFunc

	mu   sync.Mutex
	idle []*session // kept for the next events
	open atomic.Int64
}

// The limits of what a plugin does outside of events.
const (
	describeTimeout = 5 * time.Second
	stopStep        = 2 * time.Second // for each of the ways to end a process
)

// launch starts the program and returns when it has said what hooks it has.
func (p *Plugin) launch(ctx context.Context, number uint64) (*generation, error) {
	if a := p.attachable(); a != nil {
		return p.attach(ctx, a, number)
	}
	path, err := lookUp(p.config.Command)
	if err != nil {
		return nil, err
	}
	if err := checkSum(path, p.config.SHA256); err != nil {
		return nil, err
	}
	g := &generation{number: number, started: time.Now()}
	if g.program, err = os.Stat(path); err != nil {
		return nil, err
	}
	g.process = newProcess(p.Name, p.lines)
	g.ctx, g.cancel = context.WithCancelCause(context.Background())
	logger := hclog.New(&hclog.LoggerOptions{Level: hclog.Debug, Output: &debugOutput{log: p.log}, JSONFormat: true})
	g.client = plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig: plugin.HandshakeConfig{
			MagicCookieKey: wire.CookieName, MagicCookieValue: wire.CookieValue, ProtocolVersion: wire.ProtocolVersion,
		},
		Plugins:          plugin.PluginSet{"hooks": &hostSide{}},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		SkipHostEnv:      true,
		StartTimeout:     p.settings.StartTimeout,
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: p.settings.dir},
		Logger:           logger,
		SyncStdout:       &output{lines: p.lines},
		SyncStderr:       &output{lines: p.lines},
		GRPCDialOptions:  p.dialOptions(),
		RunnerFunc: func(_ hclog.Logger, spec *exec.Cmd, _ string) (runner.Runner, error) {
			cmd := exec.Command(path, p.config.Args...)
			cmd.Env = append(p.environment(), spec.Env...)
			cmd.Dir = "/"
			g.process.cmd = cmd
			return g.process, nil
		},
	})
	if err := g.connect(ctx, p); err != nil {
		err = g.explain(p, err)
		g.stop(p)
		return nil, err
	}
	return g, nil
}

// connect waits for the handshake.
func (g *generation) connect(ctx context.Context, p *Plugin) error {
	stop := context.AfterFunc(ctx, func() { // go-plugin's start does not look at a context
		g.process.kill("the server stops")
	})
	defer stop()
	if _, err := g.client.Start(); err != nil {
		return err
	}
	if err := restrict(g.process.pid(), p.config.Limits); err != nil {
		return fmt.Errorf("limit the process: %w", err)
	}
	client, err := g.client.Client()
	if err != nil {
		return err
	}
	raw, err := client.Dispense("hooks")
	if err != nil {
		return err
	}
	g.conn = raw.(*grpc.ClientConn)
	return g.describe(ctx, p)
}

// describe asks what hooks there are.
func (g *generation) describe(ctx context.Context, p *Plugin) error {
	g.calls = wire.NewPluginClient(g.conn)
	limit, cancel := context.WithTimeout(ctx, describeTimeout)
	defer cancel()
	d, err := g.calls.Describe(limit, &wire.DescribeRequest{ServerVersion: p.settings.Version, LogLevel: lowestLevel(p.log)})
	if err != nil {
		return fmt.Errorf("ask for its hooks: %w", err)
	}
	g.version, g.hooks = d.GetVersion(), map[string]*wire.Hook{}
	for _, h := range d.GetHooks() {
		g.hooks[h.GetName()] = h
	}
	if len(g.hooks) == 0 {
		return errors.New("it has no hooks")
	}
	return nil
}

// explain makes of go-plugin's error what an operator can use.
func (g *generation) explain(p *Plugin, err error) error {
	if g.process.stdout == nil {
		return err
	}
	text, _, _ := strings.Cut(err.Error(), "\n")
	switch end := g.ending(exitNews); {
	case g.process.stdout.shookHands() && end != "":
		text += "; it ended: " + end
	case g.process.stdout.shookHands():
	case time.Since(g.started) >= p.settings.StartTimeout: // it was killed then
		text = fmt.Sprintf("no handshake within %v", p.settings.StartTimeout)
	case end != "":
		text = "it ended before the handshake: " + end
	}
	if said := g.process.stdout.said(); said != "" {
		text += fmt.Sprintf("; it printed %.300q", said)
	}
	return errors.New(text)
}

// hookNames returns what hooks there are, in order.
func (g *generation) hookNames() []string {
	var names []string
	for name := range g.hooks {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// healthy asks the process whether it is well.
func (g *generation) healthy(ctx context.Context) error {
	r, err := grpc_health_v1.NewHealthClient(g.conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: plugin.GRPCServiceName})
	if err != nil {
		return err
	}
	if r.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		return fmt.Errorf("it is %s", r.GetStatus())
	}
	return nil
}

// stop ends the process and everything around it, step by step, in bounded time: a request to end, a signal, one that cannot be
// ignored. It also cleans up after a process that ended by itself.
func (g *generation) stop(p *Plugin) {
	if g.attached {
		g.detach()
		return
	}
	g.cancel(errStopped)
	if g.process.stdout != nil {
		g.end()
	}
	if g.conn != nil {
		g.conn.Close()
	}
	// What go-plugin does now is to wait for its own goroutines.
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		g.client.Kill()
	}()
	select {
	case <-killed:
	case <-time.After(10 * time.Second):
		p.log.Error("go-plugin does not let go of a process that is gone", "pid", g.process.pid())
	}
}

var errStopped = errors.New("the plugin was stopped")

func (g *generation) end() {
	exited := func(limit time.Duration) bool {
		select {
		case <-g.process.ended:
			return true
		case <-time.After(limit):
			return false
		}
	}
	if exited(0) {
		return
	}
	if g.conn != nil {
		limit, cancel := context.WithTimeout(context.Background(), stopStep)
		err := g.conn.Invoke(limit, "/plugin.GRPCController/Shutdown", &emptypb.Empty{}, &emptypb.Empty{})
		cancel()
		// The connection may be gone before the answer is there.
		if !isUnimplemented(err) && exited(stopStep) {
			return
		}
	}
	g.process.signal(syscall.SIGTERM)
	if exited(stopStep) {
		return
	}
	g.process.kill("it did not end when it was asked to")
	<-g.process.ended
}

// hostSide is the server's half as go-plugin wants it: the connection is all that is needed.
type hostSide struct {
	plugin.NetRPCUnsupportedPlugin
}

// GRPCServer implements plugin.GRPCPlugin.
func (*hostSide) GRPCServer(*plugin.GRPCBroker, *grpc.Server) error {
	return errors.New("the server is the half of a host")
}

// GRPCClient implements plugin.GRPCPlugin.
func (*hostSide) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return conn, nil
}
