// Package access says who may connect to the server and what they may do: networks, and roles that are bound to networks and to
// client certificates. It knows verbs and names of buckets, and nothing of methods or of SQL.
//
// Without a policy everybody may do everything, as in the original.
package access

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path"
	"slices"
	"strings"
	"sync/atomic"
)

// Verb is a kind of thing that a client does.
type Verb string

// The verbs.
const (
	None   Verb = ""      // needs no permission
	Read   Verb = "read"  // objects, definitions of buckets, notifications
	Write  Verb = "write" // objects
	Admin  Verb = "admin" // buckets
	RunSQL Verb = "sql"   // text of SQL
)

// SQLMode says what the method sql may do, whoever asks.
type SQLMode string

// The modes.
const (
	SQLOn       SQLMode = "on"
	SQLReadOnly SQLMode = "read-only" // one statement, which cannot change anything
	SQLOff      SQLMode = "off"
)

// Role is what some clients may do.
type Role struct {
	Name string
	// Networks and Subjects are whom the role is for: those that come from one of the networks, if there are any, and show a
	// certificate with one of the subjects, if there are any. "*" is every certificate that was verified.
	Networks []netip.Prefix
	Subjects []string
	Permit   []Verb
	Buckets  []string // patterns as those of path.Match; empty for all
}

// Policy is what the operator has configured. It is safe for concurrent use. A nil Policy permits everything.
type Policy struct {
	Networks []netip.Prefix // from where connections are accepted; empty for everywhere
	Roles    []Role         // empty: everybody may do everything
	SQL      SQLMode
}

// Check returns an error that names what is wrong with the policy.
func (p *Policy) Check() error {
	for _, r := range p.Roles {
		for _, pattern := range r.Buckets {
			if _, err := path.Match(pattern, ""); err != nil {
				return fmt.Errorf("role %s: bucket pattern %q: %w", r.Name, pattern, err)
			}
		}
	}
	return nil
}

// Admits reports whether connections from an address are accepted. Those over a Unix socket always are: its permissions decide.
func (p *Policy) Admits(remote net.Addr) bool {
	if p == nil || len(p.Networks) == 0 {
		return true
	}
	ip, ok := addressOf(remote)
	return !ok || contains(p.Networks, ip)
}

// Gate applies a policy that may be replaced at any time. The zero Gate permits everything. It is safe for concurrent use.
type Gate struct{ policy atomic.Pointer[Policy] }

// Set replaces the policy, which is not changed afterwards; nil permits everything. Connections that are open stay, and their
// requests are judged by the new one.
func (g *Gate) Set(p *Policy) { g.policy.Store(p) }

// Admits reports whether connections from an address are accepted.
func (g *Gate) Admits(remote net.Addr) bool { return g.policy.Load().Admits(remote) }

// Identify says who is at the other end of a connection. Of one that is encrypted the handshake must be done.
func (g *Gate) Identify(nc net.Conn) *Client {
	c := &Client{gate: g, address: nc.RemoteAddr(), subjects: subjectsOf(nc)}
	c.Name = c.address.String()
	if len(c.subjects) > 0 {
		c.Name = c.subjects[0]
	}
	return c
}

// addressOf returns the IP address of a TCP client.
func addressOf(a net.Addr) (ip netip.Addr, ok bool) {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}, false
	}
	return tcp.AddrPort().Addr().Unmap(), true
}

func contains(networks []netip.Prefix, ip netip.Addr) bool {
	return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(ip) })
}

// Client is who is at the other end of a connection, and what they may do. It is safe for concurrent use.
type Client struct {
	Name string // the subject of the certificate, or the address

	gate     *Gate
	address  net.Addr
	subjects []string
	cached   atomic.Pointer[standing]
}

// standing is what a client is under a policy.
type standing struct {
	policy   *Policy
	admitted bool
	roles    []*Role
}

// standing returns what the client is now. It is nil if everybody may do everything.
func (c *Client) standing() *standing {
	if c == nil {
		return nil
	}
	p := c.gate.policy.Load()
	if p == nil {
		return nil
	}
	s := c.cached.Load()
	if s == nil || s.policy != p {
		s = &standing{policy: p, admitted: p.Admits(c.address), roles: p.rolesOf(c)}
		c.cached.Store(s)
	}
	return s
}

func (p *Policy) rolesOf(c *Client) (roles []*Role) {
	ip, tcp := addressOf(c.address)
	for i := range p.Roles {
		r := &p.Roles[i]
		if len(r.Networks) > 0 && !(tcp && contains(r.Networks, ip)) {
			continue
		}
		if len(r.Subjects) > 0 && !slices.ContainsFunc(r.Subjects, func(s string) bool {
			return s == "*" && len(c.subjects) > 0 || slices.Contains(c.subjects, s)
		}) {
			continue
		}
		roles = append(roles, r)
	}
	return roles
}

// subjectsOf returns the names in the client's certificate, if it has shown one: the common name, and the alternative names.
func subjectsOf(nc net.Conn) []string {
	encrypted, ok := nc.(*tls.Conn)
	if !ok {
		return nil
	}
	state := encrypted.ConnectionState()
	if len(state.VerifiedChains) == 0 {
		return nil
	}
	return namesOf(state.PeerCertificates[0])
}

func namesOf(c *x509.Certificate) []string {
	var names []string
	if c.Subject.CommonName != "" {
		names = append(names, c.Subject.CommonName)
	}
	names = append(append(names, c.DNSNames...), c.EmailAddresses...)
	for _, u := range c.URIs {
		names = append(names, u.String())
	}
	if names == nil {
		names = []string{c.Subject.String()}
	}
	return names
}

// ErrDenied is in the chain of every refusal.
var ErrDenied = errors.New("access denied")

// deniedError is a refusal. Its text is for the client.
type deniedError string

func (e deniedError) Error() string { return string(e) }
func (e deniedError) Unwrap() error { return ErrDenied }

// Permits returns an error unless the client may do something to a bucket; the name is empty for what concerns none or all.
func (c *Client) Permits(v Verb, bucket string) error {
	s := c.standing()
	switch {
	case s == nil || v == None:
		return nil
	case !s.admitted: // it was when it connected
		return deniedError(c.Name + " is in none of the networks that may connect")
	case len(s.policy.Roles) == 0:
		return nil
	}
	for _, r := range s.roles {
		if slices.Contains(r.Permit, v) && r.covers(bucket) {
			return nil
		}
	}
	to := ""
	if bucket != "" {
		to = " to bucket " + bucket
	}
	if len(s.roles) == 0 {
		return deniedError(fmt.Sprintf("%s has no role: %s access%s denied", c.Name, v, to))
	}
	return deniedError(fmt.Sprintf("%s (%s) has no %s access%s", c.Name, s.roleNames(), v, to))
}

// covers reports whether the role is about a bucket. What concerns all buckets is only covered by a role without patterns.
func (r *Role) covers(bucket string) bool {
	if len(r.Buckets) == 0 {
		return true
	}
	return bucket != "" && slices.ContainsFunc(r.Buckets, func(pattern string) bool {
		ok, err := path.Match(pattern, bucket)
		return err == nil && ok
	})
}

// SQL returns what the client may do with SQL.
func (c *Client) SQL() (SQLMode, error) {
	mode := SQLOn
	if s := c.standing(); s != nil && s.policy.SQL != "" {
		mode = s.policy.SQL
	}
	if mode == SQLOff {
		return mode, deniedError("sql is switched off at this server")
	}
	return mode, c.Permits(RunSQL, "")
}

// RoleNames returns the names of the client's roles, separated by commas.
func (c *Client) RoleNames() string { return c.standing().roleNames() }

func (s *standing) roleNames() string {
	if s == nil {
		return ""
	}
	names := make([]string, len(s.roles))
	for i, r := range s.roles {
		names[i] = r.Name
	}
	return strings.Join(names, ",")
}
