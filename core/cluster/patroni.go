package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
)

// Patroni follows a cluster of Patroni's in ZooKeeper. The node leader below Path names the member that holds the leader lock, the
// members' records say where they are, and history counts the timelines.
//
// A promotion takes some time after the lock has changed hands, and history follows at its end. So the new leader is announced with
// the old generation first: it is not written to before it lets itself be, and the old one not any more.
type Patroni struct {
	ZooKeeper ZooKeeper
	Path      string // of the cluster: namespace and scope, such as /service/moray
	Log       *slog.Logger

	tracker
	doubts
}

var _ Resolver = (*Patroni)(nil)

// Watch implements Resolver.
func (p *Patroni) Watch(ctx context.Context, notify func(Topology)) error {
	p.start(patroni, "zookeeper://"+strings.Join(p.ZooKeeper.Servers, ",")+p.Path, p.Log, notify)
	return p.ZooKeeper.follow(ctx, &p.tracker, p.channel(), p.read)
}

func (p *Patroni) read(n *nodes) (finding, error) {
	leader, err := n.get(p.Path + "/leader")
	switch {
	case err != nil:
		return finding{}, err
	case !leader.exists:
		return finding{}, fmt.Errorf("%w: no member holds %s/leader", errNothing, p.Path)
	}
	name := string(leader.data)
	if !validMember(name) {
		return finding{}, &refusal{
			path: p.Path + "/leader", version: leader.stat.Mzxid, data: leader.data, level: slog.LevelWarn,
			err: errors.New("it should be the name of a member"),
		}
	}
	f := finding{since: timeOf(leader.stat.Ctime), counted: true}
	if f.primary, f.generation, err = p.member(n, name); err != nil {
		return finding{}, err
	}
	history, err := n.get(p.Path + "/history")
	if err != nil {
		return finding{}, err
	}
	f.generation = max(f.generation, timelineAfter(history.data))
	sync, err := n.get(p.Path + "/sync")
	if err != nil {
		return finding{}, err
	}
	f.standby = standbyOf(sync.data, name)
	return f, nil
}

// validMember refuses names that are no part of a path.
func validMember(name string) bool {
	return name != "" && len(name) <= 255 && name != "." && name != ".." &&
		!strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == '/' || r == 0x7f || r == 0xfffd })
}

// member returns where a member is, and the timeline that it writes if it is the primary already.
func (p *Patroni) member(n *nodes, name string) (primary string, timeline uint64, err error) {
	path := p.Path + "/members/" + name
	record, err := n.get(path)
	switch {
	case err != nil:
		return "", 0, err
	case !record.exists:
		return "", 0, fmt.Errorf("%w: %s/leader is %q, and there is no %s", errNothing, p.Path, name, path)
	}
	if primary, timeline, err = parseMember(record.data); err != nil {
		err = &refusal{path: path, version: record.stat.Mzxid, data: record.data, err: err, level: slog.LevelWarn}
	}
	return primary, timeline, err
}

// parseMember reads a member's record.
func parseMember(text []byte) (primary string, timeline uint64, err error) {
	var record map[string]json.RawMessage
	if err := json.Unmarshal(text, &record); err != nil {
		return "", 0, fmt.Errorf("the record of a member should be a JSON object: %w", err)
	}
	var connURL, role string
	if json.Unmarshal(record["conn_url"], &connURL) != nil || connURL == "" {
		return "", 0, errors.New("conn_url should be a URL")
	}
	if primary, err = parseURL(connURL, "postgres", "postgresql"); err != nil {
		return "", 0, fmt.Errorf("conn_url: %w", err)
	}
	json.Unmarshal(record["role"], &role) //nolint:errcheck // because a role of another type is none
	if role == "master" || role == "primary" {
		timeline = parseTimeline(record["timeline"])
	}
	return primary, timeline, nil
}

// timelineAfter returns the timeline that follows the last of a history, [[timeline, position, reason, …], …]. Without one it is
// the first, and so it is with one that makes no sense: the member's record counts as well, and nothing lowers the generation.
func timelineAfter(history []byte) uint64 {
	var entries, entry []json.RawMessage
	json.Unmarshal(history, &entries) //nolint:errcheck // because what makes no sense counts for nothing
	var last uint64
	for _, text := range entries {
		if json.Unmarshal(text, &entry) == nil && len(entry) > 0 {
			last = max(last, parseTimeline(entry[0]))
		}
	}
	return last + 1
}

// parseTimeline reads a timeline, a number of 32 bits. 0 is none: another source of the generation counts then.
func parseTimeline(text json.RawMessage) uint64 {
	timeline, err := strconv.ParseUint(string(text), 10, 32)
	if err != nil {
		return 0
	}
	return timeline
}

// standbyOf returns the names of the synchronous standbys, if the record is the leader's.
func standbyOf(text []byte, leader string) string {
	var sync struct {
		Leader  string `json:"leader"`
		Standby string `json:"sync_standby"`
	}
	if json.Unmarshal(text, &sync) != nil || sync.Leader != leader {
		return ""
	}
	return sync.Standby
}
