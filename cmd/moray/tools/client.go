package tools

import (
	"context"
	"crypto/tls"
	"net"

	"github.com/kaizengarden/moray/core/client"
)

// Place is where servers are, as the options of the tools name it; what is empty comes from MORAY_SERVICE and MORAY_URL.
type Place struct {
	Host, Port, Service string
}

// Client returns a client of the servers with so many connections. It does not connect yet.
func (p Place) Client(ctx context.Context, connections int) (*client.Client, error) {
	o := &options{}
	for _, given := range []option{{'h', p.Host}, {'p', p.Port}, {'S', p.Service}} {
		if given.value != "" {
			o.given = append(o.given, given)
		}
	}
	t, err := chooseTarget(o)
	if err != nil {
		return nil, err
	}
	c := client.Config{Connections: connections, Addresses: []string{t.socket}}
	d := &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true}}
	if t.socket != "" {
		c.Dial = func(ctx context.Context, path string) (net.Conn, error) { return d.DialContext(ctx, "unix", path) }
		return client.New(c), nil
	}
	if c.Addresses, err = t.addresses(ctx); err != nil {
		return nil, err
	}
	if t.tls {
		config, err := clientTLS(t.host)
		if err != nil {
			return nil, err
		}
		encrypted := &tls.Dialer{NetDialer: d, Config: config}
		c.Dial = func(ctx context.Context, address string) (net.Conn, error) {
			return encrypted.DialContext(ctx, "tcp", address)
		}
	}
	return client.New(c), nil
}
