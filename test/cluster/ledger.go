package cluster

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// fate is what a client knows of a write.
type fate int

const (
	acknowledged fate = iota // it was told so
	unknown                  // it was told that nobody knows, or nothing
	refused                  // it was told that nothing was done
)

// ledger records what clients were told. It is safe for concurrent use.
type ledger struct {
	mu         sync.Mutex // guards all below
	writes     map[string]write
	chains     map[string]*chain
	errors     map[string]int // by text
	count      [3]int         // by fate
	violations []string
	last       time.Time // of the last acknowledgement
	gap        time.Duration
}

// write is one write of a key that nobody writes again.
type write struct {
	fate fate
	etag string
}

// chain is an object that one client writes again and again, each time only if it is as the client left it. So a write that was
// done twice, or that comes back after it was overtaken, or that got lost, makes a later one fail.
type chain struct {
	n    int    // the value that is known to be stored
	etag string // of it
	next int    // the value of a write whose fate is not known; 0 for none
	late int    // the value of one that was not there when it was looked for, and may still come: its server may be at work
}

func newLedger() *ledger {
	return &ledger{writes: map[string]write{}, chains: map[string]*chain{}, errors: map[string]int{}}
}

// note records the outcome of a write; reason is the error, if there was one.
func (l *ledger) note(key, etag string, f fate, reason error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writes[key] = write{f, etag}
	l.tally(f, reason)
}

// tally counts. The caller holds the lock.
func (l *ledger) tally(f fate, reason error) {
	l.count[f]++
	if f != acknowledged {
		l.errors[reason.Error()]++
		return
	}
	now := time.Now()
	if gap := now.Sub(l.last); !l.last.IsZero() && gap > l.gap {
		l.gap = gap
	}
	l.last = now
}

func (l *ledger) acknowledged() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count[acknowledged]
}

// longest returns the longest time so far between two acknowledgements.
func (l *ledger) longest() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gap
}

func (l *ledger) violation(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.violations = append(l.violations, fmt.Sprintf(format, args...))
}

// verdict is what became of the writes.
type verdict struct {
	acked, unknown, refused int
	lost                    []string // acknowledged, and not there or not as written
	violations              []string // refused, and there; or out of order
	gap                     time.Duration
	errors                  map[string]int
}

// check compares the record with what is stored: the etags by key, and the value of each chain.
func (l *ledger) check(stored map[string]string, chains map[string]int) verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := verdict{
		acked: l.count[acknowledged], unknown: l.count[unknown], refused: l.count[refused],
		gap: l.gap, errors: l.errors, violations: l.violations,
	}
	for key, w := range l.writes {
		etag, there := stored[key]
		switch {
		case w.fate == acknowledged && (!there || etag != w.etag):
			v.lost = append(v.lost, key)
		case w.fate == refused && there:
			v.violations = append(v.violations, key+" was refused, and is stored")
		}
	}
	for key := range stored {
		if _, written := l.writes[key]; !written {
			v.violations = append(v.violations, key+" is stored, and nobody wrote it")
		}
	}
	for name, c := range l.chains {
		if n := chains[name]; n != c.n && (c.next == 0 || n != c.next) {
			v.lost = append(v.lost, fmt.Sprintf("%s is at %d, and was acknowledged at %d", name, n, c.n))
		}
	}
	slices.Sort(v.lost)
	return v
}

// wantNothingLost fails the test unless all is well.
func (v *verdict) wantNothingLost(t testing.TB) {
	t.Helper()
	if len(v.lost) > 0 {
		t.Errorf("%d acknowledged writes are lost, the first %q", len(v.lost), v.lost[:min(5, len(v.lost))])
	}
	if len(v.violations) > 0 {
		t.Errorf("%d violations, the first %q", len(v.violations), v.violations[:min(5, len(v.violations))])
	}
	if v.acked == 0 {
		t.Error("nothing was acknowledged")
	}
}

// reasons lists the errors that clients got, the most frequent first.
func (v *verdict) reasons() string {
	names := slices.SortedFunc(maps.Keys(v.errors), func(a, b string) int { return v.errors[b] - v.errors[a] })
	var all []string
	for _, name := range names {
		all = append(all, fmt.Sprintf("%d× %s", v.errors[name], name))
	}
	return strings.Join(all, "; ")
}
