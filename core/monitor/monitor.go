// Package monitor is the HTTP server beside the RPC server: metrics, the kang snapshot of the original, health, and a status page.
//
//	GET /               a page for people, which shows what is at the other paths
//	GET /metrics        Prometheus text format 0.0.4
//	GET /kang/snapshot  what the RPC server is doing, for the kang tools
//	GET /kang/schema    {}
//	GET /healthz        200 while the process can answer
//	GET /loglevel       the level of the log; PUT changes it
//	GET /readyz         200 while every check succeeds, else 503; the answer says which check failed and why
//	GET /debug/pprof/   profiles of the process, if it was started so
//
// /metrics and /kang answer as the original does, other paths and other methods too. There is no TLS and no login, as in the
// original: the snapshot shows arguments of requests, so the port is for the operator's network only.
//
// The package counts nothing and knows nothing of connections or databases: metrics come from a registry, the rest from
// functions that are handed in.
package monitor

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/singleflight"

	"github.com/kaizengarden/moray/core/jsvalue"
)

const (
	maxHeaderBytes = 16 << 10
	maxBodyBytes   = 4 << 10 // no request has a use for a body
	stopTimeout    = 5 * time.Second
	profilePath    = "/debug/pprof/"
)

// Monitor is the HTTP server. Its fields are set before Run and not changed then.
type Monitor struct {
	Hostname     string
	PID          int
	Started      time.Time            // of the process
	Metrics      prometheus.Gatherer  // see [NewRegistry]
	Kang         func() Snapshot      // called at each request for the snapshot, by several goroutines at once
	Slow         func() []SlowRequest // likewise, the latest first; nil if nobody notes them
	Checks       []Check              // of readiness; without any the server is ready
	CheckTimeout time.Duration        // of each check; 0: 2 seconds
	Profiles     bool                 // serve /debug/pprof
	Log          *slog.Logger
	LogLevel     LogLevel // nil if it cannot be changed

	readiness singleflight.Group // probes that come together share one run of the checks
}

// Run answers requests on ln until ctx ends. Then it closes ln, lets requests in progress end, for some seconds at most, and
// returns nil. Another error means that ln failed.
func (m *Monitor) Run(ctx context.Context, ln net.Listener) error {
	server := &http.Server{
		Handler:           http.HandlerFunc(m.serve),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(m.Log.Handler(), slog.LevelWarn),
		// OPTIONS * is answered as everything else.
		DisableGeneralOptionsHandler: true,
	}
	if addr, ok := ln.Addr().(*net.TCPAddr); ok {
		m.Log.InfoContext(ctx, fmt.Sprintf("monitoring server started on port %d", addr.Port))
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	select {
	case err := <-served:
		server.Close()
		return fmt.Errorf("monitor: %w", err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := server.Shutdown(stop); err != nil {
		server.Close()
	}
	<-served
	return nil
}

func (m *Monitor) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Server", "Monitor")
	r.Body = http.MaxBytesReader(w, r.Body, maxBodyBytes)
	answer := m.route(r.URL.Path)
	switch {
	case answer == nil:
		refuse(w, http.StatusNotFound, "ResourceNotFound", r.URL.EscapedPath()+" does not exist")
	case r.Method != http.MethodGet && !(r.Method == http.MethodPut && r.URL.Path == levelPath):
		w.Header().Set("Allow", "GET")
		refuse(w, http.StatusMethodNotAllowed, "MethodNotAllowed", r.Method+" is not allowed")
	default:
		answer(w, r)
	}
}

// route returns what answers requests for path, or nil.
func (m *Monitor) route(path string) http.HandlerFunc {
	switch path {
	case levelPath:
		if m.LogLevel == nil {
			return nil
		}
		return m.serveLevel
	case "/metrics", "/metrics/":
		return m.serveMetrics
	case "/kang/snapshot":
		return m.serveSnapshot
	case "/kang/schema":
		return serveSchema
	case "/", "/status.css", "/status.js":
		return servePage
	case "/healthz":
		return serveHealth
	case "/readyz":
		return m.serveReadiness
	}
	if m.Profiles && strings.HasPrefix(path, profilePath) {
		return serveProfile
	}
	if strings.HasPrefix(path, "/kang/") {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }
	}
	return nil
}

// refuse answers with the error body of the original's HTTP library.
func refuse(w http.ResponseWriter, status int, code, message string) {
	body := jsvalue.AppendString([]byte(`{"code":`), code)
	body = jsvalue.AppendString(append(body, `,"message":`...), message)
	writeJSON(w, status, append(body, '}'))
}

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(body)
}

func serveHealth(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Write([]byte("ok"))
}
