package cluster_test

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/kaizengarden/moray/core/cluster"
	"github.com/kaizengarden/moray/core/cluster/zktest"
)

// patroni is a cluster in a tree.
type patroni struct{ *zktest.Tree }

func newPatroni(t *testing.T) patroni {
	t.Helper()
	return patroni{zktest.New(t)}
}

func (p patroni) follow(t *testing.T) *follower {
	t.Helper()
	return follow(t, func(log *slog.Logger) cluster.Resolver {
		return &cluster.Patroni{ZooKeeper: cluster.ZooKeeper{Servers: p.Servers()}, Path: p.Root, Log: log}
	})
}

// member writes the record of a member as Patroni writes it.
func (p patroni) member(t *testing.T, name, address, role string, timeline int) {
	t.Helper()
	p.Set(t, "members/"+name, fmt.Sprintf(`{"conn_url":"postgres://%s/postgres","api_url":"http://%s/patroni","state":"running","role":"%s",`+
		`"version":"3.0.2","xlog_location":67108944,"timeline":%d}`, address, address, role, timeline))
}

// cluster writes what a healthy cluster of three has.
func (p patroni) cluster(t *testing.T) {
	t.Helper()
	p.member(t, "n1", "10.0.0.1:5432", "master", 1)
	p.member(t, "n2", "10.0.0.2:5432", "replica", 1)
	p.member(t, "n3", "db3.example.com:5432", "replica", 1)
	p.Set(t, "sync", `{"leader":"n1","sync_standby":"n2"}`)
	p.Set(t, "leader", "n1")
}

func TestPatroni(t *testing.T) {
	t.Parallel()
	p := newPatroni(t)
	f := p.follow(t)
	f.await(t, "the lack of a leader is told", func(s cluster.Status) bool { return strings.Contains(s.Problem, "no member holds") })
	p.cluster(t)
	f.want(t, "10.0.0.1:5432", 1)
	if s := f.Status(); s.Kind != "patroni" || s.Standby != "n2" || s.Problem != "" || s.Since.IsZero() {
		t.Errorf("status %+v", s)
	}
	p.Delete(t, "leader") // the lock ran out: nobody else is the primary yet
	f.await(t, "the lack of a leader is told", func(s cluster.Status) bool { return strings.Contains(s.Problem, "no member holds") })
	f.none(t)
	p.Set(t, "leader", "n3")
	f.want(t, "db3.example.com:5432", 1)
	if s := f.Status(); s.Standby != "" {
		t.Errorf("the standby of another leader counts: %q", s.Standby)
	}
	p.member(t, "n3", "db3.example.com:5432", "primary", 2) // as version 4 says it, before history follows
	f.want(t, "db3.example.com:5432", 2)
	p.Set(t, "history", `[[1,67108944,"no recovery target specified","2026-11-22T07:09:10.828316+00:00","n3"]]`)
	p.Set(t, "sync", `{"leader":"n3","sync_standby":"n1"}`)
	f.await(t, "the new standby", func(s cluster.Status) bool { return s.Standby == "n1" })
	f.none(t)
}

// The leader key may come before the record of its member.
func TestPatroniMemberLate(t *testing.T) {
	t.Parallel()
	p := newPatroni(t)
	p.cluster(t)
	f := p.follow(t)
	f.want(t, "10.0.0.1:5432", 1)
	p.Delete(t, "members/n2")
	p.Set(t, "leader", "n2")
	f.await(t, "the missing record is told", func(s cluster.Status) bool { return strings.Contains(s.Problem, `there is no `+p.Path("members/n2")) })
	f.none(t)
	p.member(t, "n2", "10.0.0.22:5432", "promoted", 1)
	f.want(t, "10.0.0.22:5432", 1)
}

func TestPatroniBadStates(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, node, data, problem string }{
		{"LeaderEmpty", "leader", "", "should be the name of a member"},
		{"LeaderPath", "leader", "../../etc", "should be the name of a member"},
		{"LeaderDots", "leader", "..", "should be the name of a member"},
		{"LeaderBinary", "leader", "\x00", "should be the name of a member"},
		{"LeaderLong", "leader", strings.Repeat("n", 256), "should be the name of a member"},
		{"RecordNotJSON", "members/n1", "{", "should be a JSON object"},
		{"RecordArray", "members/n1", "[]", "should be a JSON object"},
		{"NoURL", "members/n1", `{"role":"master"}`, "conn_url should be a URL"},
		{"URLScheme", "members/n1", `{"conn_url":"tcp://10.0.0.2/x"}`, "the scheme should be postgres"},
		{"HostList", "members/n1", `{"conn_url":"postgres://10.0.0.2,10.0.0.3/x"}`, "the host should be"},
		{"LowerHistory", "history", `[]`, "generation 1 is lower than 3"},
		{"HistoryNotJSON", "history", `x`, "generation 1 is lower than 3"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := newPatroni(t)
			p.member(t, "n1", "10.0.0.1:5432", "replica", 3)
			p.member(t, "n2", "10.0.0.2:5432", "replica", 3)
			p.Set(t, "history", `[[1,1,"","",""],[2,2,"","",""]]`)
			p.Set(t, "leader", "n1")
			f := p.follow(t)
			f.want(t, "10.0.0.1:5432", 3)
			p.Set(t, test.node, test.data)
			f.ignored(t, 1, test.problem)
			f.none(t)
			p.Set(t, "history", `[[1,1,"","",""],[2,2,"","",""],[3,3,"","",""],"x",[],[-1],[99999999999999]]`)
			p.Set(t, "leader", "n2")
			f.await(t, "the good state", func(s cluster.Status) bool {
				return s.Topology == cluster.Topology{Primary: "10.0.0.2:5432", Generation: 4} && s.Problem == ""
			})
		})
	}
}

// TestPatroniRecorded replays what ZooKeeper held during failovers of a real cluster.
func TestPatroniRecorded(t *testing.T) {
	t.Parallel()
	const n1, n2, n3 = "127.0.0.1:26431", "127.0.0.1:26432", "127.0.0.1:26433"
	tests := []struct {
		name     string
		leader   string // at the start
		timeline int
		want     []cluster.Topology
	}{
		{"kill-pg", "n2", 1, []cluster.Topology{{Primary: n2, Generation: 1}, {Primary: n1, Generation: 1}, {Primary: n1, Generation: 2}}},
		{"kill-node", "n1", 2, []cluster.Topology{{Primary: n1, Generation: 2}, {Primary: n3, Generation: 2}, {Primary: n3, Generation: 3}}},
		{"term", "n3", 3, []cluster.Topology{{Primary: n3, Generation: 3}, {Primary: n2, Generation: 3}, {Primary: n2, Generation: 4}}},
		{"kill-patroni", "n2", 4, []cluster.Topology{{Primary: n2, Generation: 4}, {Primary: n1, Generation: 4}, {Primary: n1, Generation: 5}}},
		{"stop-node", "n1", 5, []cluster.Topology{{Primary: n1, Generation: 5}, {Primary: n3, Generation: 5}, {Primary: n3, Generation: 6}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			recording, err := os.ReadFile("testdata/patroni/" + test.name + ".txt")
			if err != nil {
				t.Fatal(err)
			}
			p := newPatroni(t)
			for i, address := range []string{n1, n2, n3} {
				p.member(t, fmt.Sprintf("n%d", i+1), address, "replica", test.timeline)
			}
			var history []string
			for timeline := 1; timeline < test.timeline; timeline++ {
				history = append(history, fmt.Sprintf(`[%d,1,"","",""]`, timeline))
			}
			p.Set(t, "history", "["+strings.Join(history, ",")+"]")
			p.Set(t, "sync", "{}")
			p.Set(t, "status", "{}")
			p.Set(t, "leader", test.leader)
			f := p.follow(t)
			f.want(t, test.want[0].Primary, test.want[0].Generation)
			for line := range strings.Lines(string(recording)) {
				p.replay(t, line)
				if strings.Contains(line, "/leader") && strings.Contains(line, " set ") {
					f.want(t, test.want[1].Primary, test.want[1].Generation)
				}
			}
			f.want(t, test.want[2].Primary, test.want[2].Generation)
			f.await(t, "the standby is known", func(s cluster.Status) bool { return s.Standby != "" })
			f.none(t)
		})
	}
}

// replay does what a line of a recording says: seconds, event, path, version, owner, data.
func (p patroni) replay(t *testing.T, line string) {
	t.Helper()
	fields := strings.SplitN(strings.TrimSpace(line), " ", 3)
	if fields[0] == "#" {
		return
	}
	path, rest, _ := strings.Cut(fields[2], " ")
	name, ok := strings.CutPrefix(path, "/service/moray/")
	if !ok {
		t.Fatalf("line of a recording: %q", line)
	}
	switch fields[1] {
	case "GONE":
		p.Delete(t, name)
	case "set":
		p.Set(t, name, strings.SplitN(rest, " ", 3)[2])
	default:
		t.Fatalf("event of a recording: %q", line)
	}
}
