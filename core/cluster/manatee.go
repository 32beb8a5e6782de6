package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
)

// Manatee follows the state of a Manatee shard in ZooKeeper: the node state below Path, or, while there is none, the peers that
// stand for election below Path, of whom the first is the primary, as in the first version of Manatee.
type Manatee struct {
	ZooKeeper ZooKeeper
	Path      string // of the shard, such as /manatee/1.moray.example.com
	Log       *slog.Logger

	tracker
	doubts
}

var _ Resolver = (*Manatee)(nil)

// Watch implements Resolver.
func (m *Manatee) Watch(ctx context.Context, notify func(Topology)) error {
	m.start(manatee, "zookeeper://"+strings.Join(m.ZooKeeper.Servers, ",")+m.Path, m.Log, notify)
	return m.ZooKeeper.follow(ctx, &m.tracker, m.channel(), m.read)
}

func (m *Manatee) read(n *nodes) (finding, error) {
	path := m.Path + "/state"
	state, err := n.get(path)
	if err != nil {
		return finding{}, err
	}
	if !state.exists {
		return m.elected(n)
	}
	f, err := parseManatee(state.data)
	if err != nil {
		r := &refusal{path: path, version: state.stat.Mzxid, data: state.data, err: err, level: slog.LevelWarn}
		if errors.Is(err, errJSON) {
			r.level, r.message = fatal, "error JSON parsing zookeeper cluster state"
		}
		return finding{}, r
	}
	f.since = timeOf(state.stat.Mtime)
	return f, nil
}

// fatal is bunyan's highest level, at which the original logs a state that is not JSON.
const fatal = slog.LevelError + 4

// errJSON is in the chain of errors about texts that are not JSON.
var errJSON = errors.New("not valid JSON")

// parseManatee reads a cluster state. Only the primary has to be there and right; the standby is for operators to see.
func parseManatee(text []byte) (finding, error) {
	var state map[string]json.RawMessage
	if err := json.Unmarshal(text, &state); err != nil {
		var kind *json.UnmarshalTypeError
		if errors.As(err, &kind) {
			return finding{}, errors.New("the state is not an object")
		}
		return finding{}, fmt.Errorf("%w: %w", errJSON, err)
	}
	if absent(state["primary"]) {
		return finding{}, errors.New("the state names no primary")
	}
	var f finding
	var err error
	if f.primary, err = peer(state["primary"]); err != nil {
		return finding{}, fmt.Errorf("primary: %w", err)
	}
	if generation := state["generation"]; !absent(generation) {
		if f.generation, err = strconv.ParseUint(string(generation), 10, 53); err != nil { // what JavaScript can count
			return finding{}, errors.New("the generation should be a whole number, not negative")
		}
		f.counted = true
	}
	if !absent(state["sync"]) {
		f.standby, _ = peer(state["sync"]) // no reason not to follow the primary
	}
	f.frozen = !absent(state["freeze"]) && string(state["freeze"]) != "false"
	return f, nil
}

func absent(member json.RawMessage) bool {
	return len(member) == 0 || bytes.Equal(member, []byte("null"))
}

// peer returns the address of a peer. Its user and database mean nothing to clients.
func peer(text json.RawMessage) (string, error) {
	var p map[string]json.RawMessage
	var pgURL string
	if json.Unmarshal(text, &p) != nil {
		return "", errors.New("it is not an object")
	}
	if json.Unmarshal(p["pgUrl"], &pgURL) != nil || pgURL == "" {
		return "", errors.New("pgUrl should be a URL")
	}
	a, err := parseURL(pgURL, "tcp", "postgres", "postgresql")
	if err != nil {
		return "", fmt.Errorf("pgUrl: %w", err)
	}
	return a, nil
}

// elected returns the peer that stands first in the election. Elections have no generation.
func (m *Manatee) elected(n *nodes) (finding, error) {
	path := m.Path + "/election"
	election, err := n.list(path)
	if err != nil {
		return finding{}, err
	}
	first, ok := firstCandidate(election.children)
	if !ok {
		return finding{}, fmt.Errorf("%w: neither a node %s/state nor a peer below %s", errNothing, m.Path, path)
	}
	primary, err := parseCandidate(first)
	if err != nil {
		return finding{}, &refusal{path: path, version: election.stat.Pzxid, data: []byte(first), err: err, level: slog.LevelWarn}
	}
	return finding{primary: primary, since: timeOf(election.stat.Mtime)}, nil
}

// firstCandidate returns the name with the lowest sequence number. Other names are no candidates.
func firstCandidate(names []string) (first string, ok bool) {
	candidates := slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		_, ok := sequence(name)
		return !ok
	})
	if len(candidates) == 0 {
		return "", false
	}
	return slices.MinFunc(candidates, func(a, b string) int {
		x, _ := sequence(a)
		y, _ := sequence(b)
		return x - y
	}), true
}

// sequence returns the number that ZooKeeper put at the end of a name.
func sequence(name string) (int, bool) {
	dash := strings.LastIndexByte(name, '-')
	n, err := strconv.ParseUint(name[dash+1:], 10, 31)
	return int(n), err == nil && dash >= 0
}

// parseCandidate reads <ip>:<port of PostgreSQL>:<port for backups>-<sequence>, or <ip>-<sequence>.
func parseCandidate(name string) (string, error) {
	who, _, _ := strings.Cut(name, "-")
	parts := strings.Split(who, ":")
	port := ""
	if len(parts) > 1 {
		port = parts[1]
	}
	a, err := address(parts[0], port)
	if err != nil {
		return "", fmt.Errorf("candidate %q: %w", name, err)
	}
	return a, nil
}
