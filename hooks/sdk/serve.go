package sdk

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/kaizengarden/moray/hooks/internal/wire"
)

// Serve runs the plugin until the server ends it. It is all that the function main of a plugin does, but for reading arguments.
//
// To debug a plugin, start it by hand, or in a debugger, with MORAY_PLUGIN_ATTACH set to the file attach/NAME.json in the data
// directory of a moray dev that runs the plugin NAME: the server then uses this process, without time limits, as long as it runs.
func Serve(p Plugin) {
	if file := os.Getenv(wire.AttachVariable); file != "" && os.Getenv(wire.CookieName) == "" {
		if err := serveAttached(p, file); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if os.Getenv(wire.CookieName) != wire.CookieValue {
		fmt.Fprintf(os.Stderr, "%s is a plugin of moray: the server starts it, when its configuration names it in \"plugins\".\n"+
			"To see whether it works: moray plugin verify %s\n", os.Args[0], strings.Join(os.Args, " "))
		os.Exit(2)
	}
	s := newService(p)
	go endWithParent(os.Getppid())
	// Service managers send their signals to all processes at once. The server still needs the plugin for its last requests, and
	// ends it afterwards.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGTERM)
	os.Stdout = handshake
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: plugin.HandshakeConfig{
			MagicCookieKey: wire.CookieName, MagicCookieValue: wire.CookieValue, ProtocolVersion: wire.ProtocolVersion,
		},
		Plugins:    plugin.PluginSet{"hooks": &served{service: s}},
		GRPCServer: newServer,
	})
	s.handlers.close()
}

// ServeOn runs the plugin on a listener until it is closed, without a handshake: a server has to be told where it is. It is for
// tests.
func ServeOn(ln net.Listener, p Plugin) error {
	s := newService(p)
	server := newServer(nil)
	wire.RegisterPluginServer(server, s)
	healthy := health.NewServer()
	healthy.SetServingStatus(plugin.GRPCServiceName, grpc_health_v1.HealthCheckResponse_SERVING)
	grpc_health_v1.RegisterHealthServer(server, healthy)
	defer s.handlers.close()
	err := server.Serve(ln)
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// newServer makes a gRPC server. A message has no bound here: it comes from moray, which bounds what its clients send.
func newServer(o []grpc.ServerOption) *grpc.Server {
	return grpc.NewServer(append(o,
		grpc.MaxRecvMsgSize(math.MaxInt32), grpc.MaxSendMsgSize(math.MaxInt32),
		grpc.InitialWindowSize(wire.WindowBytes), grpc.InitialConnWindowSize(wire.WindowBytes),
	)...)
}

// served is the plugin as go-plugin wants it.
type served struct {
	plugin.NetRPCUnsupportedPlugin
	service *service
}

var _ plugin.GRPCPlugin = (*served)(nil)

// GRPCServer implements plugin.GRPCPlugin.
func (s *served) GRPCServer(_ *plugin.GRPCBroker, server *grpc.Server) error {
	wire.RegisterPluginServer(server, s.service)
	return nil
}

// GRPCClient implements plugin.GRPCPlugin.
func (s *served) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, errors.New("the sdk is the half of a plugin")
}

// endWithParent ends the process when its parent is gone. Linux does that by itself.
func endWithParent(parent int) {
	for os.Getppid() == parent {
		time.Sleep(time.Second)
	}
	os.Exit(1)
}
