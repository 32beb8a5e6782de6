package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// Static is a cluster whose servers are written down. One alone is the primary, whatever it says of itself. Of several it is the one
// that can be written to, and of several of those the one on the highest timeline: the others were primaries before it.
type Static struct {
	Servers []string // host:port, at least one
	// Probe looks at a server, within a time that it bounds itself. It is called for several at once.
	Probe func(ctx context.Context, server string) (Probed, error)
	// Period is how often the servers are looked at; 5 s if it is 0. Without a primary, and after a doubt, it is once a second at
	// least.
	Period time.Duration
	Log    *slog.Logger

	tracker
	doubts
}

// Probed is what a server says of itself.
type Probed struct {
	Writable bool
	Timeline uint64 // 0: it does not tell
}

var _ Resolver = (*Static)(nil)

// urgentPeriod is the pause between looks at the servers while none can be written to.
const urgentPeriod = 250 * time.Millisecond

// Watch implements Resolver.
func (s *Static) Watch(ctx context.Context, notify func(Topology)) error {
	s.start(static, strings.Join(s.Servers, ","), s.Log, notify)
	if len(s.Servers) == 1 {
		s.learn(finding{primary: s.Servers[0], since: time.Now()}, nil)
		<-ctx.Done()
		return nil
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-s.channel():
		}
		f, err := s.choose(ctx)
		if ctx.Err() != nil {
			return nil
		}
		s.learn(f, err)
		if err != nil {
			timer.Reset(urgentPeriod)
			continue
		}
		timer.Reset(orDefault(s.Period, 5*time.Second))
	}
}

// choose looks at all servers.
func (s *Static) choose(ctx context.Context) (finding, error) {
	probed := make([]Probed, len(s.Servers))
	errs := make([]error, len(s.Servers))
	var all sync.WaitGroup
	for i, server := range s.Servers {
		all.Go(func() { probed[i], errs[i] = s.Probe(ctx, server) })
	}
	all.Wait()
	now := s.Status().Topology
	best := -1
	for i, p := range probed {
		if errs[i] != nil {
			continue
		}
		errs[i] = errors.New("it is read-only")
		if p.Writable && (best < 0 || p.Timeline > probed[best].Timeline || p.Timeline == probed[best].Timeline && s.Servers[i] == now.Primary) {
			best = i
		}
	}
	if best < 0 {
		return finding{}, fmt.Errorf("none of the servers can be written to: %w", s.describe(errs))
	}
	return finding{primary: s.Servers[best], generation: probed[best].Timeline, counted: probed[best].Timeline > 0, since: time.Now()}, nil
}

func (s *Static) describe(errs []error) error {
	for i, server := range s.Servers {
		errs[i] = fmt.Errorf("%s: %w", server, errs[i])
	}
	return listed(errs)
}

// listed is several errors in one line.
type listed []error

func (l listed) Error() string {
	var texts []string
	for _, err := range l {
		texts = append(texts, err.Error())
	}
	return strings.Join(texts, "; ")
}

func (l listed) Unwrap() []error { return l }

// doubts takes hints that the primary does not behave like one, at most one a second.
type doubts struct {
	once  sync.Once
	mu    sync.Mutex // guards last
	last  time.Time
	hints chan struct{}
}

func (d *doubts) channel() chan struct{} {
	d.once.Do(func() { d.hints = make(chan struct{}, 1) })
	return d.hints
}

// Doubt implements Resolver.
func (d *doubts) Doubt() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now := time.Now(); now.Sub(d.last) >= doubtPeriod {
		d.last = now
		select {
		case d.channel() <- struct{}{}:
		default:
		}
	}
}
