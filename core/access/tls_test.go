package access_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kaizengarden/moray/core/access"
	"github.com/kaizengarden/moray/core/access/accesstest"
)

// serve answers each connection with the names of its client, and returns the address.
func serve(t *testing.T, files *access.TLS, log *slog.Logger) string {
	t.Helper()
	config, err := files.Config(log)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	policy := &access.Policy{Roles: []access.Role{{Name: "app", Subjects: []string{"app"}}, {Name: "any", Subjects: []string{"*"}}}}
	var served sync.WaitGroup
	served.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			if nc.(*tls.Conn).Handshake() == nil {
				who := gate(policy).Identify(nc)
				name := who.Name
				if name == nc.RemoteAddr().String() {
					name = "ADDRESS"
				}
				nc.Write([]byte(name + " " + who.RoleNames() + "\n"))
			}
			nc.Close()
		}
	})
	t.Cleanup(func() { ln.Close(); served.Wait() })
	return ln.Addr().String()
}

// ask returns what the server answers, and the name in its certificate.
func ask(t *testing.T, addr string, c *tls.Config) (answer, server string) {
	t.Helper()
	nc, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", addr, c)
	if err != nil {
		return "no connection", ""
	}
	defer nc.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(nc); err != nil {
		return "refused", ""
	}
	return strings.TrimSpace(b.String()), nc.ConnectionState().PeerCertificates[0].Subject.CommonName
}

func TestTLS(t *testing.T) {
	t.Parallel()
	ca, foreign := accesstest.New(t), accesstest.New(t)
	certificate, key := ca.Issue("server", "first")
	stranger := foreign.Client("app")
	stranger.RootCAs = ca.Pool
	for _, c := range []struct {
		name   string
		files  access.TLS
		client *tls.Config
		want   string
	}{
		{"no certificates asked for", access.TLS{}, ca.Client(""), "ADDRESS"},
		{"the server is unknown", access.TLS{}, foreign.Client(""), "no connection"},
		{"certificate", access.TLS{ClientCA: ca.File}, ca.Client("app"), "app app,any"},
		{"another's certificate", access.TLS{ClientCA: ca.File}, ca.Client("b"), "b any"},
		{"no certificate", access.TLS{ClientCA: ca.File}, ca.Client(""), "refused"},
		{"no certificate, optional", access.TLS{ClientCA: ca.File, Optional: true}, ca.Client(""), "ADDRESS"},
		{"a stranger's certificate, optional", access.TLS{ClientCA: ca.File, Optional: true}, stranger, "refused"},
	} {
		c.files.Certificate, c.files.Key = certificate, key
		if got, _ := ask(t, serve(t, &c.files, slog.New(slog.DiscardHandler)), c.client); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// Certificates that change are used without a restart; ones that are broken are not, and the log says so.
func TestTLSReload(t *testing.T) {
	t.Parallel()
	ca := accesstest.New(t)
	certificate, key := ca.Issue("server", "first")
	var log syncBuffer
	addr := serve(t, &access.TLS{Certificate: certificate, Key: key}, slog.New(slog.NewTextHandler(&log, nil)))
	await := func(what string, holds func() bool) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		for !holds() {
			select {
			case <-ctx.Done():
				t.Fatalf("waited in vain until %s; log: %s", what, log.String())
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	server := func() string { _, name := ask(t, addr, ca.Client("")); return name }
	if got := server(); got != "first" {
		t.Fatalf("the server is %q", got)
	}
	ca.Issue("server", "second")
	await("the new certificate is used", func() bool { return server() == "second" })
	if err := os.WriteFile(certificate, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	await("the log tells of the broken one", func() bool {
		if got := server(); got != "second" {
			t.Fatalf("the server is %q", got)
		}
		return strings.Contains(log.String(), "cannot be used")
	})
	ca.Issue("server", "third")
	await("the next one is used", func() bool { return server() == "third" })
}

func TestTLSFiles(t *testing.T) {
	t.Parallel()
	ca := accesstest.New(t)
	certificate, key := ca.Issue("server", "x")
	_, other := ca.Issue("other", "y")
	for _, files := range []access.TLS{
		{Certificate: "/nowhere", Key: key},
		{Certificate: certificate, Key: "/nowhere"},
		{Certificate: certificate, Key: other},
		{Certificate: certificate, Key: key, ClientCA: "/nowhere"},
		{Certificate: certificate, Key: key, ClientCA: key},
	} {
		if _, err := files.Config(slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%+v is accepted", files)
		}
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
