// Package cluster finds out which PostgreSQL server of a cluster is the primary, and notices when that changes. There are three
// sources, one [Resolver] each:
//
//	Static   the servers are known; of several the one that can be written to is the primary
//	Manatee  the cluster state that Manatee's peers keep in ZooKeeper
//	Patroni  the leader key and the member records that Patroni keeps in ZooKeeper
//
// What the source says counts, never who accepts connections: after a failure two servers may take themselves for the primary for
// as long as nobody stops one of them. A source that is gone, or that says something that makes no sense, changes nothing: the last
// primary stays. A state of a lower generation than one seen before is one of the past, and is refused.
//
// The package speaks no PostgreSQL: [Static] is handed a function that looks at a server.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Topology says which server is the primary.
type Topology struct {
	// Primary is the address of the server, host:port. The host is a name, an address, or the directory of a UNIX socket. It is
	// empty before anything is known.
	Primary string `json:"primary"`
	// Generation grows with each change of the primary that the source counts: Manatee's generation, or PostgreSQL's timeline.
	Generation uint64 `json:"generation"`
}

// Resolver follows the primary. Its methods may be called by several goroutines at once, Watch once.
type Resolver interface {
	// Watch calls notify with each new topology, in order and from one goroutine, until ctx ends; then it returns nil, after
	// everything that it started has ended. A source that is absent is waited for. notify must not block for long.
	Watch(ctx context.Context, notify func(Topology)) error
	// Doubt is a hint that the primary does not behave like one: look again soon.
	Doubt()
	// Status returns what is known now.
	Status() Status
}

// Status is what a resolver knows, for operators.
type Status struct {
	Kind string `json:"kind"` // static, manatee or patroni
	Topology
	Since   time.Time `json:"since,omitzero"` // when the cluster chose this primary, by the clock of the source
	Standby string    `json:"standby"`        // the synchronous standby, host:port or its name; "" if there is none or it is not told
	Frozen  bool      `json:"frozen"`         // an operator has told the cluster not to change anything

	Source    string `json:"source"`    // where the state comes from
	Connected string `json:"connected"` // the server of the source that answers now; "" if none does

	Problem string `json:"problem"` // why what the source says is not followed, or why it says nothing; "" if all is well
	Changes uint64 `json:"changes"` // how often the primary has changed, its first choice included
	Ignored uint64 `json:"ignored"` // states that were refused
}

// maxHost is the longest host name of the DNS.
const maxHost = 253

var errHost = errors.New("the host should be a name or an address")

// parseURL returns the address in the URL of a PostgreSQL server, host:port. The texts come from others, so everything that is not
// plainly a host is refused: the driver takes lists of hosts, directories, and parameters.
func parseURL(text string, schemes ...string) (string, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return "", errors.New("it is not a URL") // url's error has the text in it, and the text may have a password
	case !slices.Contains(schemes, u.Scheme):
		return "", fmt.Errorf("the scheme should be %s", strings.Join(schemes, " or "))
	}
	return address(u.Hostname(), u.Port())
}

// address joins a host and a port, which may be missing, after it has checked both.
func address(host, port string) (string, error) {
	if host == "" || len(host) > maxHost || strings.ContainsFunc(host, notInHost) || strings.HasPrefix(host, ":") && net.ParseIP(host) == nil {
		return "", errHost
	}
	if strings.Contains(host, ":") && net.ParseIP(host) == nil {
		return "", errHost
	}
	if port == "" {
		port = "5432"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", errors.New("the port should be a number from 1 to 65535")
	}
	return net.JoinHostPort(host, port), nil
}

func notInHost(r rune) bool {
	letter := 'a' <= r|0x20 && r|0x20 <= 'z'
	return !letter && !strings.ContainsRune("0123456789.-_:", r)
}
