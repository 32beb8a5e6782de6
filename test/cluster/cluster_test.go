package cluster

import (
	"encoding/json"
	"flag"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

var (
	all        = flag.Bool("faults", false, "go through all faults")
	resultsDir = flag.String("results", "", "`directory` for what each fault cost")
)

const writers = 8

// TestFailover is the short form of the bed: the primary dies under load, its synchronous standby is promoted and named.
func TestFailover(t *testing.T) {
	b := newBed(t, 1, 1, 2)
	l := startLoad(t, b.addresses(), writers)
	l.goOn(t, 500)
	old, next := b.nodes[0], b.nodes[1]
	old.kill(t)
	promotion := timed(func() { next.promote(t) })
	b.name(t, next)
	l.goOn(t, 500)
	b.wantStatus(t, next, 2, "")
	l.end()
	l.history.wantLinear(t)
	v := b.verdict(t, l.ledger)
	t.Logf("%d acknowledged, %d unknown, %d refused; without service for %v, of which PostgreSQL's promotion took %v; %s",
		v.acked, v.unknown, v.refused, v.gap.Round(time.Millisecond), promotion.Round(time.Millisecond), v.reasons())
	v.wantNothingLost(t)
	if v.unknown > 2*writers {
		t.Errorf("%d unknown outcomes, more than requests were under way", v.unknown)
	}
	b.name(t, old) // which is dead
	b.wantStatus(t, old, 3, "failed to connect to")
}

// wantStatus compares what moray cluster status says, as JSON and as text. problem is the beginning of why there is no primary.
func (b *bed) wantStatus(t *testing.T, primary *node, generation int, problem string) {
	t.Helper()
	out, err := b.morays[0].status(t, "--json")
	var got struct {
		Kind, Primary, Error string
		Generation           int
		Writable             bool
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got.Kind != "manatee" || got.Primary != primary.address() || got.Generation != generation || got.Writable != (problem == "") ||
		!strings.HasPrefix(got.Error, problem) || (err == nil) != (problem == "") {
		t.Errorf("the status is %+v with %v", got, err)
	}
	writes := map[bool]string{true: "yes", false: "no"}[problem == ""]
	text, _ := b.morays[0].status(t)
	for _, pattern := range []string{`primary +` + primary.address(), fmt.Sprintf("generation +%d", generation), `since +\S+Z \(\d+s ago\)`, `takes writes +` + writes} {
		if !regexp.MustCompile(pattern).MatchString(text) {
			t.Errorf("%s is not in:\n%s", pattern, text)
		}
	}
}

// TestLedgerSeesLoss is the negative control: a standby that has not got everything is promoted, and the ledger has to tell.
func TestLedgerSeesLoss(t *testing.T) {
	b := newBed(t, 2, 1, 1)
	l := startLoad(t, b.addresses(), writers)
	l.goOn(t, 200)
	behind := b.nodes[2]
	behind.freezeReceiver(t)
	l.goOn(t, 500)
	b.nodes[0].kill(t)
	behind.killReceiver(t)
	behind.promote(t)
	b.name(t, behind)
	l.goOn(t, 100)
	l.end()
	v := b.verdict(t, l.ledger)
	if len(v.lost) == 0 {
		t.Errorf("of %d acknowledged writes none is missing, although the new primary cannot have all", v.acked)
	}
	t.Logf("%d of %d acknowledged writes are missing", len(v.lost), v.acked)
}

// TestHistorySeesLoss is the negative control of the histories: an acknowledged write that is not there when it is read next.
func TestHistorySeesLoss(t *testing.T) {
	a, b := "A", "B"
	for name, test := range map[string]struct {
		read hotAnswer
		want porcupine.CheckResult
	}{
		"Kept":     {hotAnswer{etag: b}, porcupine.Ok},
		"Lost":     {hotAnswer{etag: a}, porcupine.Illegal},
		"Gone":     {hotAnswer{}, porcupine.Illegal},
		"NotKnown": {hotAnswer{unknown: true}, porcupine.Ok},
	} {
		h := history{start: time.Now()}
		h.record(0, hotCall{verb: "put", etag: a}, time.Now(), hotAnswer{})
		h.record(0, hotCall{verb: "put", etag: b, demands: &a}, time.Now(), hotAnswer{})
		h.record(1, hotCall{verb: "put", etag: "C", demands: &a}, time.Now(), hotAnswer{conflict: true})
		h.record(1, hotCall{verb: "get"}, time.Now(), test.read)
		if got, _ := h.check(); got != test.want {
			t.Errorf("%s: the history counts as %s, want %s", name, got, test.want)
		}
	}
}

// TestFaults goes through all faults, if it is asked to: make cluster-test.
func TestFaults(t *testing.T) {
	if !*all {
		t.Log("short form: TestFailover; make cluster-test goes through all faults")
		return
	}
	var r report
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			b := newBed(t, 1, 3, 2)
			l := startLoad(t, b.addresses(), writers)
			l.goOn(t, 1000)
			own := f.do(t, b, l)
			l.goOn(t, 1000)
			l.end()
			l.history.wantLinear(t)
			v := b.verdict(t, l.ledger)
			t.Logf("%+v", r.add(t, f.name, v, own))
			if f.calm && v.unknown+v.refused > 0 {
				t.Errorf("clients got errors: %s", v.reasons())
			}
		})
	}
	if err := r.write(*resultsDir, "manatee"); err != nil {
		t.Error(err)
	}
}

// TestPatroni goes through the faults of a cluster under Patroni, if it is asked to: make cluster-test.
func TestPatroni(t *testing.T) {
	if !*all {
		t.Log("only with -faults: make cluster-test")
		return
	}
	var r report
	for _, f := range patroniFaults {
		t.Run(f.name, func(t *testing.T) {
			p := newPatroni(t)
			var servers []string
			for _, m := range p.morays {
				servers = append(servers, m.address())
			}
			l := startLoad(t, servers, writers)
			l.goOn(t, 500)
			own := f.do(t, p, l)
			l.goOn(t, 500)
			l.end()
			l.history.wantLinear(t)
			t.Logf("%+v", r.add(t, "Patroni: "+f.name, p.verdict(t, l.ledger), own))
		})
	}
	if err := r.write(*resultsDir, "patroni"); err != nil {
		t.Error(err)
	}
}
