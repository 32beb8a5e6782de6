package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"
)

// finding is what a source says now.
type finding struct {
	primary    string
	generation uint64
	counted    bool // the source has said the generation
	since      time.Time
	standby    string
	frozen     bool
}

// refusal is why a state is not followed: it makes no sense, or it is one of the past.
type refusal struct {
	path    string
	version int64 // of the node, so that each state counts once
	data    []byte
	err     error
	level   slog.Level
	message string // of the log; empty for the usual one
}

func (r *refusal) Error() string { return r.path + ": " + r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// errNothing is in the chain of errors that say that the source has no state yet.
var errNothing = errors.New("there is no state")

// tracker is what the resolvers have in common: the rule that the generation never falls, what is known, and the log of it.
type tracker struct {
	kind   string
	log    *slog.Logger
	notify func(Topology)

	mu      sync.Mutex // guards what follows
	status  Status
	refused refusal // the last one
}

// The kinds of resolvers.
const (
	static  = "static"
	manatee = "manatee"
	patroni = "patroni"
)

// title is how the log names a resolver; the first is the original's.
var title = map[string]string{manatee: "Manatee", patroni: "Patroni", static: "Static"}

func (t *tracker) start(kind, source string, log *slog.Logger, notify func(Topology)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	t.kind, t.notify, t.log = kind, notify, log.With("component", title[kind]+"PrimaryResolver")
	t.status.Kind, t.status.Source = kind, source
}

// Status implements Resolver.
func (t *tracker) Status() Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.status
}

// learn takes in what the source says: a finding, or why there is none.
func (t *tracker) learn(f finding, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil && f.counted && f.generation < t.status.Topology.Generation {
		err = &refusal{
			path: t.status.Source, version: int64(f.generation), level: slog.LevelWarn,
			err: fmt.Errorf("generation %d is lower than %d, which was seen before: a state of the past, or a cluster that was set up anew: "+
				"then restart moray", f.generation, t.status.Topology.Generation),
		}
	}
	if err != nil {
		t.refuse(err)
		return
	}
	t.refused = refusal{}
	t.problem("")
	t.status.Standby, t.status.Frozen = f.standby, f.frozen
	next := Topology{f.primary, max(f.generation, t.status.Topology.Generation)}
	was := t.status.Topology
	if next == was {
		return
	}
	t.status.Topology = next
	if next.Primary != was.Primary {
		t.status.Since = f.since
		t.status.Changes++
		t.log.Info(title[t.kind]+" primary has changed", "oldPrimary", backend(was.Primary), "newPrimary", backend(next.Primary),
			"generation", next.Generation)
	}
	t.notify(next) // under the lock: the order of the calls is that of the changes
}

// refuse notes and logs why the source is not followed. The caller holds the lock.
func (t *tracker) refuse(err error) {
	var r *refusal
	if !errors.As(err, &r) {
		t.problem(err.Error())
		return
	}
	if r.path == t.refused.path && r.version == t.refused.version && r.Error() == t.refused.Error() {
		return
	}
	t.refused = *r
	t.status.Ignored++
	t.status.Problem = r.Error()
	message := r.message
	if message == "" {
		message = "cluster state is not followed"
	}
	t.log.Log(context.Background(), r.level, message, "err", r.err, "zkpath", r.path, "data", excerpt(r.data), "primary", t.status.Topology.Primary)
}

// unreachable notes that no server of the source answers, and why the last that was tried does not.
func (t *tracker) unreachable(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.status.Connected == "" {
		t.status.Problem = "no server answers: " + err.Error()
	}
}

// problem notes what keeps the source from being followed, or that nothing does. The caller holds the lock.
func (t *tracker) problem(text string) {
	if text == t.status.Problem {
		return
	}
	if t.status.Problem = text; text != "" {
		t.log.Warn("no cluster state", "err", text, "primary", t.status.Topology.Primary)
	}
}

// connected notes which server of the source answers; "" for none.
func (t *tracker) connected(server string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if server == t.status.Connected {
		return
	}
	t.status.Connected = server
	if server == "" {
		t.log.Warn("connection to the cluster state lost; the last primary stays in use", "primary", t.status.Topology.Primary)
		return
	}
	t.log.Info("connected to the cluster state", "server", server)
}

// excerpt bounds what a log quotes.
func excerpt(data []byte) string {
	const most = 500
	if len(data) > most {
		return fmt.Sprintf("%q and %d bytes more", data[:most], len(data)-most)
	}
	return string(data)
}

// backend is a primary as the original logs it.
func backend(address string) slog.Value {
	if address == "" {
		return slog.AnyValue(nil)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	return slog.GroupValue(slog.String("name", "primary"), slog.String("address", host), slog.String("port", port), slog.String("key", address))
}
