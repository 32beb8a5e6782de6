// Package servertest runs whole servers in tests, from the same composition root as the program.
package servertest

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/kaizengarden/moray/core/config"
	"github.com/kaizengarden/moray/core/fast"
	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/server"
)

// Server is a running server.
type Server struct {
	Addr    string // of the RPC listener
	Monitor string // of the monitor

	cancel context.CancelFunc
	ended  chan error
	log    lines
}

// Options change the configuration of a test's server.
type Options struct {
	// Pool and Fast are the texts of the configuration's objects pg and fast; empty stands for {}.
	Pool, Fast string
	// Hooks makes what runs the hooks of buckets; nil for a server without.
	Hooks func(server.HookSettings) (server.Hooks, error)
	// Database is the member of the configuration that names the database, such as "patroni":{…}; the url counts for nothing then.
	Database string
	// More is further members of the configuration, such as "access":{…}.
	More string
	// GraceMS is the grace period at the end, in milliseconds; 0 is the default.
	GraceMS int
}

// Start runs a server over the database at url until the test ends. It fails the test if the server does not end in order.
func Start(t testing.TB, url string, o Options) *Server {
	t.Helper()
	c, _, err := config.Parse("test", configFile(url, o))
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{ended: make(chan error, 1)}
	monitor, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ready := make(chan server.Addresses, 1)
	srv, err := server.New(c, server.Options{
		Log:     slog.New(slog.NewTextHandler(&s.log, nil)),
		Monitor: monitor,
		Hooks:   o.Hooks,
		Ready:   func(a server.Addresses) { ready <- a },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	go func() { s.ended <- srv.Run(ctx) }()
	t.Cleanup(func() {
		s.Stop(t)
		if t.Failed() {
			t.Logf("log of the server:\n%s", s.log.String())
		}
	})
	select {
	case a := <-ready:
		s.Addr, s.Monitor = a.RPC.String(), a.Monitor.String()
	case err := <-s.ended:
		s.ended <- err
		t.Fatalf("the server does not start: %v", err)
	}
	return s
}

func configFile(url string, o Options) []byte {
	object := func(text string) string {
		if text == "" {
			return "{}"
		}
		return text
	}
	grace := ""
	if o.GraceMS > 0 {
		grace = fmt.Sprintf(`"shutdown":{"grace":%d},`, o.GraceMS)
	}
	text := `{"bindip":"127.0.0.1","port":0,"monitorPort":0,"bunyan":{},"server_uuid":"test","datacenter":"test",` + grace +
		`"fast":` + object(o.Fast) + `,`
	if o.More != "" {
		text += o.More + ","
	}
	if o.Database != "" {
		return []byte(text + o.Database + "}")
	}
	text += `"standalone":{"pg":` + object(o.Pool) + `,"url":`
	return append(jsvalue.AppendString([]byte(text), url), "}}"...)
}

// Stop ends the server and waits for its end.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	s.cancel()
	select {
	case err := <-s.ended:
		if err != nil {
			t.Errorf("the server ended with: %v", err)
		}
		s.ended <- nil
	case <-time.After(time.Minute):
		t.Error("the server does not end")
	}
}

// Log returns what the server has logged.
func (s *Server) Log() string { return s.log.String() }

// Dial connects a client of the protocol, closed when the test ends.
func (s *Server) Dial(t testing.TB, v fast.Version) *fast.Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := fast.Dial(ctx, s.Addr, v)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// lines collects a log.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
