package hooks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"time"
)

// State is what a plugin is doing.
type State string

// The states of a plugin.
const (
	Starting State = "starting"
	Running  State = "running"
	Waiting  State = "waiting"  // for the next start, after it ended or did not start
	Crashing State = "crashing" // it ended so often that the next start is far away
	Stopped  State = "stopped"
)

// Plugin is a registered plugin: the supervisor of its processes.
type Plugin struct {
	Name     string
	config   PluginConfig
	settings *settings
	log      *slog.Logger
	lines    *lines
	slots    chan struct{} // one for each event under way
	metrics  *pluginMetrics
	suspect  chan struct{} // asks for a look at its health

	mu       sync.Mutex
	changed  chan struct{} // closed at each change of what follows
	state    State
	current  *generation // while it is running
	doubted  bool        // current may be stuck: it gets no event before it has answered a health check
	known    *generation // the last one that ran: what it said about its hooks
	next     time.Time   // when it is started again
	last     error       // why it is not running
	restarts uint64
	tried    bool // to start it, at least once
}

// How a plugin that ends is started again: at once the first time, then with pauses that double. One that ended often in short
// time is crashing: events do not wait for it.
const (
	firstPause  = 100 * time.Millisecond
	crashesMax  = 5
	stableAfter = 30 * time.Second
)

// run keeps the plugin running until ctx ends.
func (p *Plugin) run(ctx context.Context) {
	failures := 0
	for number := uint64(1); ; number++ {
		p.set(func() { p.state = Starting })
		g, err := p.launch(ctx, number)
		if ctx.Err() != nil {
			if g != nil {
				g.stop(p)
			}
			break
		}
		if err == nil {
			p.log.Info("plugin started", "pid", g.process.pid(), "version", g.version, "hooks", g.hookNames(), "generation", number)
			p.set(func() { p.state, p.current, p.known, p.doubted, p.last, p.tried = Running, g, g, false, nil, true })
			err = p.watch(ctx, g)
			p.set(func() { p.state, p.current, p.last, p.next = Waiting, nil, err, time.Time{} })
			g.stop(p)
			if time.Since(g.started) >= stableAfter {
				failures = 0
			}
		}
		if ctx.Err() != nil {
			break
		}
		if errors.Is(err, errReplace) || g != nil && g.attached {
			continue // somebody who works on the plugin wants it so
		}
		failures++
		pause := pauseAfter(failures, p.settings.LongestPause)
		p.log.Error("plugin is not running", "err", err, "failures", failures, "pause", pause)
		p.set(func() {
			p.state, p.last, p.next, p.tried = Waiting, err, time.Now().Add(pause), true
			if failures >= crashesMax {
				p.state = Crashing
			}
			p.restarts++
		})
		p.metrics.restarts.Inc()
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
	}
	p.set(func() { p.state, p.current, p.last = Stopped, nil, errStopped })
}

// pauseAfter returns how long to wait after so many failures in a row, with some chance so that plugins do not keep step.
func pauseAfter(failures int, longest time.Duration) time.Duration {
	pause := firstPause << min(failures-1, 20)
	pause = min(pause, longest)
	return pause*9/10 + rand.N(pause/5)
}

// watch returns when the process has ended or must not go on, with the reason.
func (p *Plugin) watch(ctx context.Context, g *generation) error {
	if g.attached {
		return p.watchAttached(ctx, g)
	}
	g.released = make(chan struct{})
	var development <-chan time.Time
	if p.config.Attach != "" || p.config.Reload {
		ticker := time.NewTicker(attachPace)
		defer ticker.Stop()
		development = ticker.C
	}
	health := time.NewTicker(p.settings.HealthInterval)
	defer health.Stop()
	var memory sync.WaitGroup
	defer func() {
		close(g.released)
		memory.Wait()
	}()
	if p.config.Limits.Memory > 0 {
		memory.Go(func() { g.watchMemory(p.config.Limits.Memory) })
	}
	for {
		select {
		case <-ctx.Done():
			return errStopped
		case <-g.process.ended:
			return errors.New(g.process.end())
		case <-development:
			if p.attachable() != nil || p.config.Reload && g.changed() {
				return errReplace
			}
		case <-health.C:
			p.examine(ctx, g)
		case <-p.suspect:
			p.examine(ctx, g)
		}
	}
}

// errReplace says that another process is to be used instead.
var errReplace = errors.New("it is replaced")

// memoryInterval is how often the memory of a plugin is looked at.
const memoryInterval = 100 * time.Millisecond

// watchMemory kills a process that uses too much, and returns when it has ended or is not wanted any more. It does not wait for health
// checks: a process that eats memory may have no time for them.
func (g *generation) watchMemory(limit uint64) {
	t := time.NewTicker(memoryInterval)
	defer t.Stop()
	for {
		select {
		case <-g.process.ended:
			return
		case <-g.released:
			return
		case <-t.C:
		}
		if n, err := residentBytes(g.process.pid()); err == nil && n > limit {
			g.process.kill(fmt.Sprintf("killed, because it used %d MiB of memory, and may use %d", n>>20, limit>>20))
		}
	}
}

// examine kills a process that does not say that it is well.
func (p *Plugin) examine(ctx context.Context, g *generation) {
	limit, cancel := context.WithTimeout(ctx, p.settings.HealthTimeout)
	defer cancel()
	err := g.healthy(limit)
	if ctx.Err() != nil {
		return
	}
	if err == nil {
		p.mu.Lock()
		doubted := p.doubted
		p.mu.Unlock()
		if doubted {
			p.set(func() { p.doubted = false })
		}
		return
	}
	select {
	case <-g.process.ended: // that is why
		return
	default:
	}
	g.process.kill(fmt.Sprintf("killed, because it did not answer a health check: %v", err))
	<-g.process.ended
}

// suspected asks for a look at the health of a process that did not do what it should.
func (p *Plugin) suspected(g *generation) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current != g {
		return
	}
	p.doubted = true
	select {
	case p.suspect <- struct{}{}:
	default:
	}
}

// set changes the state, and wakes who waits for a change.
func (p *Plugin) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	close(p.changed)
	p.changed = make(chan struct{})
}

// running returns the generation that runs. It waits for one that is about to run before the deadline.
func (p *Plugin) running(ctx context.Context, deadline time.Time) (*generation, error) {
	var timer *time.Timer
	for {
		p.mu.Lock()
		g, changed, doubted := p.current, p.changed, p.doubted
		err := p.downUntil(deadline)
		p.mu.Unlock()
		switch {
		case g != nil && !doubted:
			return g, nil
		case err != nil:
			return nil, err
		}
		if timer == nil {
			timer = time.NewTimer(time.Until(deadline))
			defer timer.Stop()
		}
		select {
		case <-changed:
		case <-timer.C:
			if g != nil {
				return nil, errors.New("its process does not answer a health check")
			}
			return nil, errors.New("it is being started")
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// downUntil says why there is no point in waiting for the plugin, or nil.
func (p *Plugin) downUntil(deadline time.Time) error {
	switch {
	case p.state == Crashing, p.state == Stopped, p.state == Waiting && !p.next.IsZero() && p.next.After(deadline):
		return fmt.Errorf("it is not running: %w", p.last)
	}
	return nil
}

// environment returns the variables that the plugin gets: a path for finding programs, what the operator allows, nothing else of the
// server's.
func (p *Plugin) environment() []string {
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"}
	if n := p.config.Limits.Memory; n > 0 {
		env = append(env, fmt.Sprintf("GOMEMLIMIT=%d", n/10*9))
	}
	for _, name := range p.config.PassEnv {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	for name, value := range p.config.Env {
		env = append(env, name+"="+value)
	}
	return env
}
