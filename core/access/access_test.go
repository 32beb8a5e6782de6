package access_test

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/kaizengarden/moray/core/access"
)

// from is a connection of which only the other end's address is known.
type from struct {
	net.Conn
	address net.Addr
}

func (f from) RemoteAddr() net.Addr { return f.address }

func tcp(ip string) from {
	return from{address: net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(ip), 1234))}
}

func prefix(texts ...string) (all []netip.Prefix) {
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

func TestAdmits(t *testing.T) {
	t.Parallel()
	p := &access.Policy{Networks: prefix("10.0.0.0/8", "fd00::/8")}
	for ip, want := range map[string]bool{"10.1.2.3": true, "::ffff:10.1.2.3": true, "11.0.0.1": false, "fd00::1": true, "::1": false} {
		if got := p.Admits(tcp(ip).address); got != want {
			t.Errorf("%s is admitted: %t, want %t", ip, got, want)
		}
	}
	if !p.Admits(&net.UnixAddr{Name: "/x", Net: "unix"}) {
		t.Error("a Unix socket has permissions of its own")
	}
	for _, p := range []*access.Policy{nil, {}} {
		if !p.Admits(tcp("1.2.3.4").address) {
			t.Error("without networks everybody is admitted")
		}
	}
}

func gate(p *access.Policy) *access.Gate {
	var g access.Gate
	g.Set(p)
	return &g
}

func TestPermits(t *testing.T) {
	t.Parallel()
	p := &access.Policy{Roles: []access.Role{
		{Name: "app", Networks: prefix("10.0.0.0/8"), Permit: []access.Verb{access.Read, access.Write}, Buckets: []string{"app_*", "shared"}},
		{Name: "reader", Permit: []access.Verb{access.Read}, Networks: prefix("10.0.0.0/8", "10.9.0.0/16")},
		{Name: "operator", Networks: prefix("192.168.0.1/32"), Permit: []access.Verb{access.Read, access.Write, access.Admin, access.RunSQL}},
	}}
	if err := p.Check(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		ip     string
		verb   access.Verb
		bucket string
		want   string
	}{
		{"10.0.0.1", access.Write, "app_users", ""},
		{"10.0.0.1", access.Write, "shared", ""},
		{"10.0.0.1", access.Read, "other", ""},
		{"10.0.0.1", access.Read, "", ""},
		{"10.0.0.1", access.None, "other", ""},
		{"10.0.0.1", access.Write, "other", "10.0.0.1:1234 (app,reader) has no write access to bucket other"},
		{"10.0.0.1", access.Admin, "app_users", "10.0.0.1:1234 (app,reader) has no admin access to bucket app_users"},
		{"10.0.0.1", access.RunSQL, "", "10.0.0.1:1234 (app,reader) has no sql access"},
		{"192.168.0.1", access.Admin, "x", ""},
		{"192.168.0.1", access.RunSQL, "", ""},
		{"127.0.0.1", access.Read, "x", "127.0.0.1:1234 has no role: read access to bucket x denied"},
		{"127.0.0.1", access.None, "", ""},
	} {
		err := gate(p).Identify(tcp(c.ip)).Permits(c.verb, c.bucket)
		got := ""
		if err != nil {
			got = err.Error()
			if !errors.Is(err, access.ErrDenied) {
				t.Errorf("%v is no refusal", err)
			}
		}
		if got != c.want {
			t.Errorf("%s may %q %s: %q, want %q", c.ip, c.verb, c.bucket, got, c.want)
		}
	}
	var nobody *access.Client
	if err := nobody.Permits(access.Admin, "x"); err != nil {
		t.Errorf("without a policy: %v", err)
	}
	if mode, err := nobody.SQL(); mode != access.SQLOn || err != nil {
		t.Errorf("sql without a policy: %s, %v", mode, err)
	}
	for mode, want := range map[access.SQLMode]string{access.SQLReadOnly: "", access.SQLOff: "sql is switched off at this server"} {
		got, err := gate(&access.Policy{SQL: mode}).Identify(tcp("1.2.3.4")).SQL()
		if got != mode || (err == nil) != (want == "") || err != nil && err.Error() != want {
			t.Errorf("mode %s: %s, %v", mode, got, err)
		}
	}
	bad := &access.Policy{Roles: []access.Role{{Name: "r", Buckets: []string{"[x"}}}}
	if err := bad.Check(); err == nil {
		t.Error("a bad pattern is accepted")
	}
}

// TestPolicyChanges replaces the policy while a client is connected.
func TestPolicyChanges(t *testing.T) {
	t.Parallel()
	g := gate(nil)
	c := g.Identify(tcp("10.0.0.1"))
	allowed := func(want string) {
		t.Helper()
		got := ""
		if err := c.Permits(access.Write, "b"); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	allowed("")
	reader := access.Role{Name: "reader", Permit: []access.Verb{access.Read}}
	g.Set(&access.Policy{Roles: []access.Role{reader}})
	allowed("10.0.0.1:1234 (reader) has no write access to bucket b")
	g.Set(&access.Policy{Networks: prefix("192.168.0.0/16")})
	allowed("10.0.0.1:1234 is in none of the networks that may connect")
	if g.Admits(tcp("10.0.0.1").address) {
		t.Error("it could connect again")
	}
	g.Set(nil)
	allowed("")
}
