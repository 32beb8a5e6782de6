package tools

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

const (
	defaultHost = "127.0.0.1"
	defaultPort = 2020
)

// target is where the servers are.
type target struct {
	service string // find them by SRV records; otherwise by host and port
	host    string
	port    int
	domain  string // where the name servers to ask are found; "" for the system's
	tls     bool   // encrypted
	socket  string // path of a Unix socket, instead of all that
}

// label names the target in messages.
func (t *target) label() string {
	switch {
	case t.socket != "":
		return t.socket
	case t.service != "":
		return t.service
	}
	return t.host + ":" + strconv.Itoa(t.port)
}

// chooseTarget follows the rules of the original, in their order.
func chooseTarget(o *options) (*target, error) {
	t := &target{domain: env("MORAY_BOOTSTRAP_DOMAIN")}
	if domain, given := o.value('b'); given {
		t.domain = domain
	}
	service, hasService := o.value('S')
	host, hasHost := o.value('h')
	portText, hasPort := o.value('p')
	if hasPort {
		var ok bool
		if t.port, ok = parsePort(portText); !ok {
			return nil, &usageError{"-p/--port: expected valid TCP port"}
		}
	}
	if !hasService && !hasHost && !hasPort {
		service = env("MORAY_SERVICE")
	}
	switch {
	case hasService && (hasHost || hasPort):
		return nil, &usageError{"-S/--service cannot be combined with -h/--host or -p/--port"}
	case service != "":
		if _, err := netip.ParseAddr(service); err == nil {
			return nil, &usageError{"cannot use an IP address with -S/--service/MORAY_SERVICE"}
		}
		t.service = service
		return t, nil
	case hasHost && hasPort:
		t.host = host
		return t, nil
	}
	return t.fromURL(host, hasHost, hasPort)
}

// fromURL fills in what the options left out.
func (t *target) fromURL(host string, hasHost, hasPort bool) (*target, error) {
	urlHost, urlPort := defaultHost, defaultPort
	if text := env("MORAY_URL"); text != "" {
		u, err := url.Parse(text)
		if err == nil && u.Scheme == "unix" && u.Path != "" && !hasHost && !hasPort {
			t.socket = u.Path
			return t, nil
		}
		if err != nil || u.Host == "" {
			return nil, &usageError{fmt.Sprintf("MORAY_URL: expected tcp://HOST[:PORT], tls://HOST[:PORT] or unix:///PATH, found %q", text)}
		}
		t.tls = u.Scheme == "tls"
		urlHost = u.Hostname()
		if p := u.Port(); p != "" {
			var ok bool
			if urlPort, ok = parsePort(p); !ok {
				return nil, &usageError{"port in MORAY_URL is not a valid TCP port"}
			}
		}
	}
	if t.host = host; !hasHost {
		t.host = urlHost
	}
	if !hasPort {
		t.port = urlPort
	}
	return t, nil
}

func parsePort(text string) (port int, ok bool) {
	port, err := strconv.Atoi(text)
	return port, err == nil && port >= 0 && port <= 65535
}

// addresses returns the servers' addresses, host:port with an IP address for the host.
func (t *target) addresses(ctx context.Context) ([]string, error) {
	resolver, err := t.resolver(ctx)
	if err != nil {
		return nil, err
	}
	if t.service == "" {
		return hosts(ctx, resolver, t.host, t.port)
	}
	_, records, err := resolver.LookupSRV(ctx, "moray", "tcp", t.service)
	if err != nil || len(records) == 0 {
		return hosts(ctx, resolver, t.service, defaultPort)
	}
	var all []string
	for _, r := range records {
		addresses, failed := hosts(ctx, resolver, strings.TrimSuffix(r.Target, "."), int(r.Port))
		all = append(all, addresses...)
		err = errors.Join(err, failed)
	}
	if len(all) == 0 {
		return nil, err
	}
	return all, nil
}

// resolver returns the system's resolver, or one that asks the name servers found under the bootstrap domain.
func (t *target) resolver(ctx context.Context) (*net.Resolver, error) {
	if t.domain == "" {
		return net.DefaultResolver, nil
	}
	servers, err := hosts(ctx, net.DefaultResolver, t.domain, 53)
	if err != nil {
		return nil, err
	}
	next := 0
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		server := servers[next%len(servers)]
		next++
		var d net.Dialer
		return d.DialContext(ctx, network, server)
	}}, nil
}

// hosts returns the addresses of a host, which may be an IP address already.
func hosts(ctx context.Context, r *net.Resolver, host string, port int) ([]string, error) {
	found, err := r.LookupHost(ctx, strings.Trim(host, "[]"))
	if err != nil {
		return nil, err
	}
	for i, address := range found {
		found[i] = net.JoinHostPort(address, strconv.Itoa(port))
	}
	return found, nil
}
