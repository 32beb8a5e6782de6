package config

import (
	"fmt"
	"maps"
	"net/netip"
	"path"
	"path/filepath"
	"slices"
)

// Access says who may connect and what they may do.
type Access struct {
	TLS             *TLS   // of the RPC listener; nil: not encrypted
	MonitorTLS      *TLS   // of the monitor
	Socket          string // path of a Unix socket to listen on besides, or empty
	SocketMode      uint32
	Networks        []netip.Prefix // empty: everywhere
	MonitorNetworks []netip.Prefix
	SQL             string // on, read-only or off
	Audit           bool
	Roles           []Role // in the order of their names
}

// TLS names the files of a listener that encrypts.
type TLS struct {
	Certificate, Key string
	ClientCA         string // empty: clients show no certificates
	Optional         bool   // clients may go without
}

// Role is what some clients may do.
type Role struct {
	Name     string
	Networks []netip.Prefix
	Subjects []string
	Permit   []string
	Buckets  []string
}

func newTLS(s section) *TLS {
	if s == nil {
		return nil
	}
	return &TLS{
		Certificate: s.text("certificate"), Key: s.text("key"), ClientCA: s.text("clientCA"),
		Optional: s.text("clientAuth") == "optional",
	}
}

// newAccess reads what the schema has accepted; the error is about what no schema can tell.
func newAccess(root section) (a Access, err error) {
	s := root.section("access")
	a = Access{
		TLS: newTLS(root.section("tls")), MonitorTLS: newTLS(root.section("monitorTLS")),
		Socket: root.section("socket").text("path"), SQL: s.text("sql"), Audit: s["audit"] == true,
	}
	if socket := root.section("socket"); socket != nil {
		var mode uint32
		if _, err := fmt.Sscanf(socket.text("mode"), "%o", &mode); err != nil || !filepath.IsAbs(a.Socket) {
			return a, fmt.Errorf("config.socket: path should be absolute, mode octal as in 0660")
		}
		a.SocketMode = mode
	}
	if a.Networks, err = prefixes("config.access.networks", s.texts("networks")); err != nil {
		return a, err
	}
	if a.MonitorNetworks, err = prefixes("config.access.monitorNetworks", s.texts("monitorNetworks")); err != nil {
		return a, err
	}
	roles := s.section("roles")
	for _, name := range slices.Sorted(maps.Keys(roles)) {
		o := roles.section(name)
		r := Role{Name: name, Subjects: o.texts("subjects"), Permit: o.texts("permit"), Buckets: o.texts("buckets")}
		if r.Networks, err = prefixes("config.access.roles."+name+".networks", o.texts("networks")); err != nil {
			return a, err
		}
		for _, pattern := range r.Buckets {
			if _, err := path.Match(pattern, ""); err != nil {
				return a, fmt.Errorf("config.access.roles.%s.buckets: %q is no pattern", name, pattern)
			}
		}
		if len(r.Subjects) > 0 && (a.TLS == nil || a.TLS.ClientCA == "") {
			return a, fmt.Errorf("config.access.roles.%s.subjects needs config.tls.clientCA", name)
		}
		a.Roles = append(a.Roles, r)
	}
	return a, nil
}

// prefixes reads networks; an address alone is a network of one.
func prefixes(where string, texts []string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if ip, failed := netip.ParseAddr(text); failed == nil {
			p, err = netip.PrefixFrom(ip, ip.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %q is no network: expected 10.0.0.0/8 or an address", where, text)
		}
		all = append(all, p.Masked())
	}
	return all, nil
}
