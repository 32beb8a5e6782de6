package cluster

import (
	"flag"
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
	l.end()
	l.history.wantLinear(t)
	v := b.verdict(t, l.ledger)
	t.Logf("%d acknowledged, %d unknown, %d refused; without service for %v, of which PostgreSQL's promotion took %v; %s",
		v.acked, v.unknown, v.refused, v.gap.Round(time.Millisecond), promotion.Round(time.Millisecond), v.reasons())
	v.wantNothingLost(t)
	if v.unknown > 2*writers {
		t.Errorf("%d unknown outcomes, more than requests were under way", v.unknown)
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
	if result, n := l.history.check(); result != porcupine.Illegal {
		t.Errorf("the history of %d operations counts as %s, although some of them got lost", n, result)
	}
	t.Logf("%d of %d acknowledged writes are missing", len(v.lost), v.acked)
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
			l.goOn(t, 500)
			own := f.do(t, b, l)
			l.goOn(t, 500)
			l.end()
			l.history.wantLinear(t)
			one := r.add(t, f.name, b.verdict(t, l.ledger), own)
			t.Logf("%+v", one)
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
			one := r.add(t, "Patroni: "+f.name, p.verdict(t, l.ledger), own)
			t.Logf("%+v", one)
		})
	}
	if err := r.write(*resultsDir, "patroni"); err != nil {
		t.Error(err)
	}
}
