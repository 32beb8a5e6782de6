package tools

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/kaizengarden/moray/core/bunyan"
	"github.com/kaizengarden/moray/core/fast"
	"github.com/kaizengarden/moray/core/jsvalue"
)

const (
	connectTimeout = 2 * time.Second
	// retryPause is how long morayping -F waits between its attempts.
	retryPause = time.Second
)

// timeouts are those of the requests that have one.
var timeouts = map[string]time.Duration{"ping": time.Second, "version": 20 * time.Second}

// connection is the connection of a call.
type connection struct {
	client        *fast.Client
	local, remote string
	tool          string
	log           *logger
	done          []finished // requests
}

// finished is a request that has ended well.
type finished struct {
	method  string
	seconds float64
}

// connect connects to the first server that can be reached.
func (c *call) connect() error {
	t, err := chooseTarget(c.opts)
	if err != nil {
		return err
	}
	c.log.Debug("init", "domain", t.label())
	c.conn, err = c.dial(t)
	return err
}

func (c *call) dial(t *target) (*connection, error) {
	network, addresses, err := "unix", []string{t.socket}, error(nil)
	if t.socket == "" {
		network = "tcp"
		addresses, err = t.addresses(c.ctx)
	}
	d := &net.Dialer{
		Timeout:         connectTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second},
	}
	dial := d.DialContext
	if t.tls {
		config, err := clientTLS(t.host)
		if err != nil {
			return nil, err
		}
		dial = (&tls.Dialer{NetDialer: d, Config: config}).DialContext
	}
	for _, address := range addresses {
		var nc net.Conn
		if nc, err = dial(c.ctx, network, address); err == nil {
			k := &connection{
				local: nc.LocalAddr().String(), remote: nc.RemoteAddr().String(), tool: c.Name, log: c.log,
				client: fast.NewClient(nc, fast.V2),
			}
			k.log.Info("new connection", "component", "FastClient", "local", k.local, "remote", k.remote)
			return k, nil
		}
		c.log.Warn("failed to connect", "address", address, "err", err)
	}
	c.log.Debug("no server can be reached", "err", err)
	return nil, fmt.Errorf("moray client %q: failed to establish connection", t.label())
}

// clientTLS is how the tools encrypt: with the system's authorities or those of a file, and with a certificate of their own if
// there is one.
func clientTLS(host string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
	if file := env("MORAY_TLS_CA"); file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("MORAY_TLS_CA: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("MORAY_TLS_CA: %s holds no certificate", file)
		}
	}
	if certificate := env("MORAY_TLS_CERT"); certificate != "" {
		pair, err := tls.LoadX509KeyPair(certificate, env("MORAY_TLS_KEY"))
		if err != nil {
			return nil, fmt.Errorf("MORAY_TLS_CERT and MORAY_TLS_KEY: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// awaitConnection connects, however long it takes until there is a server.
func (c *call) awaitConnection() error {
	t, err := chooseTarget(c.opts)
	if err != nil {
		return err
	}
	for {
		if c.conn, err = c.dial(t); err == nil {
			return nil
		}
		select {
		case <-time.After(retryPause):
		case <-c.ctx.Done():
			return err
		}
	}
}

func (k *connection) close() {
	k.client.Close()
	k.log.Info("closed", "component", "FastClient", "remote", k.remote)
}

// call makes a request and passes the values of the answer to each. The error says what the original's tools say.
func (k *connection) call(ctx context.Context, method string, args *arguments, each func(jsvalue.Value) error) error {
	limit := timeouts[method]
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	k.log.Debug("rpc "+method+": entered", "rpcargs", string(args.array()))
	start := time.Now()
	var own error // of each
	err := k.client.Call(ctx, method, args.array(), func(v jsvalue.Value) error {
		if each != nil {
			own = each(v)
		}
		return own
	})
	switch answer := (*fast.Error)(nil); {
	case err == nil:
		k.done = append(k.done, finished{method, time.Since(start).Seconds()})
		k.log.Debug("rpc " + method + ": done")
		return nil
	case own != nil:
		return own
	case errors.As(err, &answer):
		return k.failed("server error: "+answer.Message, err)
	case errors.Is(err, context.DeadlineExceeded):
		return k.failed(fmt.Sprintf("timed out after %d milliseconds", limit.Milliseconds()), err)
	}
	text := err.Error()
	if errors.Is(err, io.ErrUnexpectedEOF) {
		text, _, _ = strings.Cut(text, ":")
	}
	return k.failed(text, err)
}

func (k *connection) failed(reason string, cause error) error {
	return &requestError{fmt.Sprintf("moray client (%q to %q): request failed: %s", k.local, k.remote, reason), cause}
}

// requestError says in the original's words why a request failed.
type requestError struct {
	text  string
	cause error
}

func (e *requestError) Error() string { return e.text }
func (e *requestError) Unwrap() error { return e.cause }

// answered reports whether the server answered with an error of the name.
func answered(err error, name string) bool {
	var e *fast.Error
	return errors.As(err, &e) && e.Name == name
}

// latencyBounds are the upper bounds of the histogram of latencies, as the server has them.
var latencyBounds = func() (bounds []string) {
	for _, decade := range []float64{0.0001, 0.001, 0.01, 0.1, 1, 10} {
		for _, n := range []float64{2, 4, 6, 8, 10} {
			bounds = append(bounds, strconv.FormatFloat(decade*n, 'g', 6, 64))
		}
	}
	return bounds
}()

// printMetrics prints the metrics of the client as the original's tools do, its order of labels included.
func (k *connection) printMetrics(w io.Writer) {
	fmt.Fprintln(w, "[artedi metrics]")
	var methods []string
	byMethod := map[string][]float64{}
	for _, d := range k.done {
		if byMethod[d.method] == nil {
			methods = append(methods, d.method)
		}
		byMethod[d.method] = append(byMethod[d.method], d.seconds)
	}
	const counter, histogram = "fast_client_requests_completed", "fast_client_request_time_seconds"
	fmt.Fprintf(w, "# HELP %s count of fast client requests completed\n# TYPE %s counter\n", counter, counter)
	for _, m := range methods {
		fmt.Fprintf(w, "%s{rpcMethod=%q,cmdName=%q} %d\n", counter, m, k.tool, len(byMethod[m]))
	}
	fmt.Fprintf(w, "# HELP %s end-to-end fast client request duration\n# TYPE %s histogram\n", histogram, histogram)
	for _, m := range methods {
		labels := fmt.Sprintf("rpcMethod=%q,cmdName=%q,buckets_version=\"1\"", m, k.tool)
		sum := 0.0
		for _, s := range byMethod[m] {
			sum += s
		}
		for _, bound := range latencyBounds {
			most, _ := strconv.ParseFloat(bound, 64)
			n := 0
			for _, s := range byMethod[m] {
				if s <= most {
					n++
				}
			}
			fmt.Fprintf(w, "%s{%s,le=%q} %d\n", histogram, labels, bound, n)
		}
		fmt.Fprintf(w, "%s{le=\"+Inf\",%s} %d\n", histogram, labels, len(byMethod[m]))
		fmt.Fprintf(w, "%s_count{%s} %d\n%s_sum{%s} %g\n", histogram, labels, len(byMethod[m]), histogram, labels, sum)
	}
	fmt.Fprintln(w)
}

// logger is the log of the client, on stderr.
type logger struct{ *slog.Logger }

func newLogger(tool string, verbose int, w io.Writer) (*logger, error) {
	level := bunyan.LevelFatal
	if text := env("LOG_LEVEL"); text != "" {
		var err error
		if level, err = bunyan.ParseLevel(text); err != nil {
			return nil, fmt.Errorf("LOG_LEVEL: %w", err)
		}
	}
	level = bunyan.More(level, verbose)
	handler := bunyan.NewHandler(bunyan.Lines(w), bunyan.Options{Name: tool, Level: level})
	return &logger{slog.New(handler).With("component", "MorayClient")}, nil
}
