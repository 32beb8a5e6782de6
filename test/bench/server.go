package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/kaizengarden/moray/core/jsvalue"
)

var silent = slog.New(slog.DiscardHandler)

// build builds one of the project's programs into dir.
func build(ctx context.Context, dir, name string) (program string, err error) {
	program = filepath.Join(dir, name)
	output, err := exec.CommandContext(ctx, "go", "build", "-o", program, "github.com/kaizengarden/moray/cmd/"+name).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", name, err, output)
	}
	return program, nil
}

// process is a server that runs as a process of its own, so that its CPU time is told apart.
type process struct {
	cmd     *exec.Cmd
	log     *os.File
	ended   chan error
	address string // of the RPC port
	monitor string
}

const (
	startTime = 30 * time.Second
	stopTime  = 15 * time.Second
)

// startServer starts a server over the database at url and waits until it is ready. plugin is the program of the plugin example,
// "" for a server without.
func startServer(ctx context.Context, program, plugin, dir, url string, connections int) (*process, error) {
	addresses, err := freeAddresses(ctx)
	if err != nil {
		return nil, err
	}
	p := &process{ended: make(chan error, 1), address: addresses[0], monitor: addresses[1]}
	file := filepath.Join(dir, "moray.json")
	if err := os.WriteFile(file, p.configuration(url, plugin, connections), 0o600); err != nil {
		return nil, err
	}
	if p.log, err = os.Create(filepath.Join(dir, "moray.log")); err != nil {
		return nil, err
	}
	p.cmd = exec.Command(program, "serve", "-f", file)
	p.cmd.Stderr = p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start the server: %w", err), p.log.Close())
	}
	go func() { p.ended <- p.cmd.Wait() }() // stop waits for it
	if err := p.awaitReady(ctx); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

func (p *process) configuration(url, plugin string, connections int) []byte {
	port := func(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }
	text := `{"bindip":"127.0.0.1","port":` + port(p.address) + `,"monitorPort":` + port(p.monitor) +
		`,"bunyan":{},"server_uuid":"bench","datacenter":"bench","standalone":{"pg":{"maxConnections":` + itoa(connections) + `},"url":`
	conf := append(jsvalue.AppendString([]byte(text), url), '}')
	if plugin == "" {
		return append(conf, '}')
	}
	conf = append(conf, `,"plugins":{"example":{"command":`...)
	return append(jsvalue.AppendString(conf, plugin), "}}}"...)
}

// freeAddresses returns two loopback addresses that nobody listens on.
func freeAddresses(ctx context.Context) (addresses [2]string, err error) {
	for i := range addresses {
		var lc net.ListenConfig
		ln, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return addresses, err
		}
		defer ln.Close()
		addresses[i] = ln.Addr().String()
	}
	return addresses, nil
}

// awaitReady waits until the server says that it reaches its database.
func (p *process) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTime, errors.New("the server is not ready in time"))
	defer cancel()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		if status, err := p.ask(ctx, "/readyz", io.Discard); err == nil && status == http.StatusOK {
			return nil
		}
		select {
		case err := <-p.ended:
			p.ended <- err
			return errors.New("the server ended instead of starting")
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-again.C:
		}
	}
}

// ask makes a request to the monitor.
func (p *process) ask(ctx context.Context, path string, body io.Writer) (status int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.monitor+path, nil)
	if err != nil {
		return 0, err
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, err = io.Copy(body, response.Body)
	return response.StatusCode, err
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// stop ends the server in order. The error says what went wrong with it, with the end of its log.
func (p *process) stop() error {
	defer p.log.Close()
	// An error means that it has ended, which Wait tells.
	p.cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // because of that
	kill := time.AfterFunc(stopTime, func() { p.cmd.Process.Kill() })
	defer kill.Stop()
	if err := <-p.ended; err != nil {
		return fmt.Errorf("the server: %w; the end of its log:\n%s", err, p.lastLines())
	}
	return nil
}

func (p *process) lastLines() []byte {
	const enough = 2000
	text, err := os.ReadFile(p.log.Name())
	if err != nil {
		return []byte(err.Error())
	}
	return text[max(0, len(text)-enough):]
}

// heap counts what the server allocated since it started.
type heap struct{ mallocs, bytes float64 }

// heap reads the figures from the server's metrics. They are zero if it does not tell.
func (p *process) heap(ctx context.Context) (heap, error) {
	var body bytes.Buffer
	status, err := p.ask(ctx, "/metrics", &body)
	if err != nil {
		return heap{}, fmt.Errorf("ask the server for its metrics: %w", err)
	}
	if status != http.StatusOK {
		return heap{}, fmt.Errorf("ask the server for its metrics: status %d", status)
	}
	return parseHeap(&body)
}

// parseHeap reads the counters of the client library's Go collector from metrics in text form.
func parseHeap(r io.Reader) (h heap, err error) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if i := strings.IndexByte(name, '{'); i >= 0 {
			name, value = name[:i], lines.Text()[strings.LastIndexByte(lines.Text(), ' ')+1:]
		}
		var to *float64
		switch name {
		case "go_memstats_mallocs_total":
			to = &h.mallocs
		case "go_memstats_alloc_bytes_total":
			to = &h.bytes
		default:
			continue
		}
		if *to, err = strconv.ParseFloat(value, 64); err != nil {
			return heap{}, err
		}
	}
	return h, lines.Err()
}
