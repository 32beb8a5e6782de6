package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/kaizengarden/moray/cmd/moray/top"
)

// topOptions are the options of moray top.
type topOptions struct {
	once          bool
	output        string
	interval      time.Duration
	ca, cert, key string
}

func topCommand() *cobra.Command {
	var o topOptions
	cmd := &cobra.Command{
		Use:   "top [URL]",
		Short: "Show live what a server is doing",
		Long: `Show what the server whose monitor is at URL is doing, every two seconds: requests and latencies by method, the pool of
connections, requests in flight with their age, plugins, reindexing, and what is wrong. It reads /kang/snapshot, /metrics and /readyz.

Without URL it is that of the environment variable MORAY_MONITOR, or else http://127.0.0.1:3020.

With --once it looks twice, prints once what happened in between, and ends; so it does with -o json, and where it does not write to a
terminal. Latencies are in seconds in JSON.`,
		Example: "  moray top\n  moray top http://moray1:3020\n  moray top --once --interval 10s moray1:3020\n  moray top -o json | jq .pool",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			address := os.Getenv("MORAY_MONITOR")
			if len(args) > 0 {
				address = args[0]
			}
			return o.run(cmd.Context(), address, cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.once, "once", false, "print one report and end")
	flags.StringVarP(&o.output, "output", "o", "text", "`format`: text or json")
	flags.DurationVar(&o.interval, "interval", 2*time.Second, "time between two looks")
	flags.StringVar(&o.ca, "ca", "", "`file` with the certificates of authorities to trust, instead of the system's")
	flags.StringVar(&o.cert, "cert", "", "`file` with the client's certificate")
	flags.StringVar(&o.key, "key", "", "`file` with its key")
	return cmd
}

func (o *topOptions) run(ctx context.Context, address string, in io.Reader, out io.Writer) error {
	if o.output != "text" && o.output != "json" {
		return fmt.Errorf("-o %s: the format is text or json", o.output)
	}
	if o.interval < 100*time.Millisecond || o.interval > time.Hour {
		return fmt.Errorf("--interval %v: from 100ms to 1h", o.interval)
	}
	if address == "" {
		address = "http://127.0.0.1:3020"
	}
	base, err := top.ParseBase(address)
	if err != nil {
		return err
	}
	client, err := o.client()
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	watch := &top.Watch{Client: &top.Client{Base: base, HTTP: client}}
	if !o.once && o.output == "text" && isTerminal(out) {
		return top.Show(ctx, watch, o.interval, in, out)
	}
	return o.report(ctx, watch, out)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// report looks twice.
func (o *topOptions) report(ctx context.Context, watch *top.Watch, out io.Writer) error {
	if _, err := watch.Next(ctx); err != nil {
		return err
	}
	select {
	case <-time.After(o.interval):
	case <-ctx.Done():
		return ctx.Err()
	}
	report, err := watch.Next(ctx)
	if err != nil {
		return err
	}
	if o.output == "json" {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(report)
	}
	return report.WriteText(out, 0)
}

// client returns what asks the monitor.
func (o *topOptions) client() (*http.Client, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.ca != "" {
		text, err := os.ReadFile(o.ca)
		if err != nil {
			return nil, fmt.Errorf("--ca: %w", err)
		}
		if c.RootCAs = x509.NewCertPool(); !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("--ca: %s holds no certificate", o.ca)
		}
	}
	if (o.cert == "") != (o.key == "") {
		return nil, errors.New("--cert and --key go together")
	}
	if o.cert != "" {
		pair, err := tls.LoadX509KeyPair(o.cert, o.key)
		if err != nil {
			return nil, fmt.Errorf("--cert, --key: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: c, Proxy: http.ProxyFromEnvironment}}, nil
}
