package cluster_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/kaizengarden/moray/core/cluster"
	"github.com/kaizengarden/moray/core/cluster/zktest"
)

// manatee is a shard in a tree.
type manatee struct{ *zktest.Tree }

func newManatee(t *testing.T) manatee {
	t.Helper()
	return manatee{zktest.New(t)}
}

func (m manatee) follow(t *testing.T, servers ...string) *follower {
	t.Helper()
	if len(servers) == 0 {
		servers = m.Servers()
	}
	return follow(t, func(log *slog.Logger) cluster.Resolver {
		return &cluster.Manatee{ZooKeeper: cluster.ZooKeeper{Servers: servers}, Path: m.Root, Log: log}
	})
}

// state writes a state as Manatee writes it, with hosts as they are given.
func (m manatee) state(t *testing.T, generation int, primary, sync string, asyncs ...string) {
	t.Helper()
	var others []string
	for _, a := range asyncs {
		others = append(others, peer(a))
	}
	m.Set(t, "state", fmt.Sprintf(`{"generation":%d,"primary":%s,"sync":%s,"async":[%s],"deposed":[],"initWal":"0/16D65C8"}`,
		generation, peer(primary), peer(sync), strings.Join(others, ",")))
}

func peer(address string) string {
	if address == "" {
		return "null"
	}
	host, port, _ := strings.Cut(address, ":")
	return fmt.Sprintf(`{"id":"%s:%s:12345","zoneId":"0ac0b2c8-6a54-4dbe-8b0e-1d53a4bb4b0e","ip":"%s","pgUrl":"tcp://postgres@%s/postgres","backupUrl":"http://%s:12345"}`,
		host, port, host, address, host)
}

func TestManateeState(t *testing.T) {
	t.Parallel()
	m := newManatee(t)
	m.state(t, 1, "10.0.0.1:5432", "10.0.0.2:5432", "10.0.0.3:5432")
	f := m.follow(t)
	f.want(t, "10.0.0.1:5432", 1)
	s := f.Status()
	if s.Kind != "manatee" || s.Standby != "10.0.0.2:5432" || s.Frozen || s.Since.IsZero() || s.Connected == "" || s.Problem != "" || s.Changes != 1 {
		t.Errorf("status %+v", s)
	}

	m.state(t, 2, "10.0.0.2:5432", "10.0.0.3:5432")
	f.want(t, "10.0.0.2:5432", 2)
	if log := f.log.String(); !strings.Contains(log, `msg="Manatee primary has changed" component=ManateePrimaryResolver oldPrimary.name=primary oldPrimary.address=10.0.0.1 oldPrimary.port=5432`) {
		t.Errorf("log:\n%s", log)
	}
	if s := f.Status(); s.Changes != 2 {
		t.Errorf("%d changes, want 2", s.Changes)
	}
}

// A new generation with the same primary is a new standby.
func TestManateeSamePrimary(t *testing.T) {
	t.Parallel()
	m := newManatee(t)
	m.state(t, 1, "10.0.0.1:5432", "10.0.0.2:5432")
	f := m.follow(t)
	f.want(t, "10.0.0.1:5432", 1)
	since := f.Status().Since
	m.state(t, 2, "10.0.0.1:5432", "10.0.0.3:5432")
	f.want(t, "10.0.0.1:5432", 2)
	if s := f.Status(); s.Standby != "10.0.0.3:5432" || s.Changes != 1 || s.Since != since {
		t.Errorf("status %+v, want the new standby and the primary since %v", s, since)
	}
	// Only what operators see changes here.
	m.Set(t, "state", `{"generation":2,"primary":`+peer("10.0.0.1:5432")+`,"sync":null,"async":[],"oneNodeWriteMode":true,"freeze":{"date":"2026-01-01","reason":"x"}}`)
	f.await(t, "a frozen state without standby", func(s cluster.Status) bool { return s.Frozen && s.Standby == "" })
	f.none(t)
}

func TestManateeHostNames(t *testing.T) {
	t.Parallel()
	m := newManatee(t)
	m.state(t, 1, "db-1.example.com:5433", "")
	f := m.follow(t)
	f.want(t, "db-1.example.com:5433", 1)
	m.Set(t, "state", `{"generation":2,"primary":{"pgUrl":"tcp://postgres@[fd00::1]/postgres"}}`)
	f.want(t, "[fd00::1]:5432", 2)
}

func TestManateeNothingYet(t *testing.T) {
	t.Parallel()
	m := newManatee(t)
	f := m.follow(t)
	f.await(t, "the lack of a state is told", func(s cluster.Status) bool {
		return s.Problem != "" && s.Topology == cluster.Topology{} && s.Ignored == 0
	})
	m.state(t, 7, "10.0.0.1:5432", "")
	f.want(t, "10.0.0.1:5432", 7)
}

// The election counts while there is no state.
func TestManateeElection(t *testing.T) {
	t.Parallel()
	m := newManatee(t)
	f := m.follow(t)
	f.await(t, "the lack of a state is told", func(s cluster.Status) bool { return s.Problem != "" })

	m.Set(t, "election/10.0.0.9:5439:12345-0000000012", `{}`)
	f.want(t, "10.0.0.9:5439", 0)
	m.Set(t, "election/10.0.0.8-0000000003", `{}`) // the oldest form of a name
	f.want(t, "10.0.0.8:5432", 0)
	m.Set(t, "election/10.0.0.7:5437:12345-0000000100", `{}`)
	m.Set(t, "election/lock", `{}`) // not a candidate
	m.Delete(t, "election/10.0.0.8-0000000003")
	f.want(t, "10.0.0.9:5439", 0)

	m.state(t, 3, "10.0.0.1:5432", "")
	f.want(t, "10.0.0.1:5432", 3)
	m.Delete(t, "election/10.0.0.9:5439:12345-0000000012")
	m.Delete(t, "state")
	f.want(t, "10.0.0.7:5437", 3)
	m.state(t, 4, "10.0.0.1:5432", "")
	f.want(t, "10.0.0.1:5432", 4)
}

func TestManateeBadCandidate(t *testing.T) {
	t.Parallel()
	m := newManatee(t)
	m.Set(t, "election/10.0.0.9:5439:12345-0000000012", `{}`)
	f := m.follow(t)
	f.want(t, "10.0.0.9:5439", 0)
	m.Set(t, "election/10.0.0.8,10.0.0.9:1:2-0000000001", `{}`)
	f.ignored(t, 1, "the host should be a name or an address")
	f.none(t)
}

// Whatever the state says, the last good primary stays, and the next good state counts.
func TestManateeBadStates(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, state, problem string }{
		{"NotJSON", `{"primary":`, "not valid JSON"},
		{"Empty", ``, "not valid JSON"},
		{"Binary", "\x00\xff\xfe", "not valid JSON"},
		{"Null", `null`, "names no primary"},
		{"Array", `[1]`, "not an object"},
		{"String", `"tcp://10.0.0.2:5432"`, "not an object"},
		{"EmptyObject", `{}`, "names no primary"},
		{"NoPrimary", `{"generation":9,"primary":null,"sync":` + peer("10.0.0.2:5432") + `,"async":[]}`, "names no primary"},
		{"PrimaryString", `{"generation":9,"primary":"10.0.0.2"}`, "primary: it is not an object"},
		{"NoURL", `{"generation":9,"primary":{"ip":"10.0.0.2"}}`, "pgUrl should be a URL"},
		{"URLNumber", `{"generation":9,"primary":{"pgUrl":5432}}`, "pgUrl should be a URL"},
		{"Scheme", `{"generation":9,"primary":{"pgUrl":"http://10.0.0.2:5432/"}}`, "the scheme should be tcp"},
		{"NoHost", `{"generation":9,"primary":{"pgUrl":"tcp:///postgres"}}`, "the host should be"},
		{"HostList", `{"generation":9,"primary":{"pgUrl":"tcp://postgres@10.0.0.2,10.0.0.3/postgres"}}`, "the host should be"},
		{"Socket", `{"generation":9,"primary":{"pgUrl":"tcp://%2ftmp%2fx:5432/postgres"}}`, "it is not a URL"},
		{"Injection", `{"generation":9,"primary":{"pgUrl":"tcp://10.0.0.2%20sslmode=disable/postgres"}}`, "it is not a URL"},
		{"Port", `{"generation":9,"primary":{"pgUrl":"tcp://postgres@10.0.0.2:70000/postgres"}}`, "the port should be"},
		{"PortZero", `{"generation":9,"primary":{"pgUrl":"tcp://postgres@10.0.0.2:0/postgres"}}`, "the port should be"},
		{"NegativeGeneration", `{"generation":-1,"primary":` + peer("10.0.0.2:5432") + `}`, "the generation should be"},
		{"HugeGeneration", `{"generation":99999999999999999999,"primary":` + peer("10.0.0.2:5432") + `}`, "the generation should be"},
		{"FractionalGeneration", `{"generation":1.5,"primary":` + peer("10.0.0.2:5432") + `}`, "the generation should be"},
		{"TextGeneration", `{"generation":"9","primary":` + peer("10.0.0.2:5432") + `}`, "the generation should be"},
		{"LowerGeneration", `{"generation":4,"primary":` + peer("10.0.0.2:5432") + `}`, "generation 4 is lower than 5"},
		{"GenerationZero", `{"generation":0,"primary":` + peer("10.0.0.2:5432") + `}`, "generation 0 is lower than 5"},
		{"Deep", strings.Repeat("[", 100000), "not valid JSON"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m := newManatee(t)
			m.state(t, 5, "10.0.0.1:5432", "")
			f := m.follow(t)
			f.want(t, "10.0.0.1:5432", 5)
			m.Set(t, "state", test.state)
			f.ignored(t, 1, test.problem)
			f.none(t)
			if strings.Contains(test.problem, "JSON") && !strings.Contains(f.log.String(), "error JSON parsing zookeeper cluster state") {
				t.Errorf("log:\n%s", f.log.String())
			}
			m.state(t, 6, "10.0.0.3:5432", "")
			f.want(t, "10.0.0.3:5432", 6)
			if s := f.Status(); s.Problem != "" {
				t.Errorf("the problem is still %q", s.Problem)
			}
		})
	}
}

// The first state may be bad as well.
func TestManateeBadFromTheStart(t *testing.T) {
	t.Parallel()
	m := newManatee(t)
	m.Set(t, "state", "{")
	f := m.follow(t)
	f.ignored(t, 1, "not valid JSON")
	m.state(t, 1, "10.0.0.1:5432", "")
	f.want(t, "10.0.0.1:5432", 1)
}

// States without a generation, or with a standby that makes no sense, are good enough.
func TestManateeLenient(t *testing.T) {
	t.Parallel()
	m := newManatee(t)
	m.state(t, 5, "10.0.0.1:5432", "")
	f := m.follow(t)
	f.want(t, "10.0.0.1:5432", 5)
	m.Set(t, "state", `{"primary":{"pgUrl":"tcp://10.0.0.2:5432"},"sync":"x","async":7}`)
	f.want(t, "10.0.0.2:5432", 5)
	m.state(t, 6, "10.0.0.2:5432", "10.0.0.2:5432")
	f.want(t, "10.0.0.2:5432", 6)
}

func TestManateeForbidden(t *testing.T) {
	t.Parallel()
	m := newManatee(t)
	m.state(t, 1, "10.0.0.1:5432", "")
	f := m.follow(t)
	f.want(t, "10.0.0.1:5432", 1)
	m.Forbid(t, "state", true)
	m.state(t, 2, "10.0.0.2:5432", "") // of which a watch tells only who may read it
	f.Doubt()
	f.await(t, "the lack of permission is told", func(s cluster.Status) bool { return strings.Contains(s.Problem, "not authenticated") })
	f.none(t)
	m.Forbid(t, "state", false)
	f.want(t, "10.0.0.2:5432", 2)
}
