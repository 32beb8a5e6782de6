package object_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/object"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
)

// race is a test of clients that use few keys at the same time over few connections, while something happens to the database.
type race struct {
	servers     int  // each with a definition cache of its own
	connections int  // of each server
	taken       bool // some puts violate a unique index
	several     bool // some calls are batches, or reads of several keys
	many        bool // some calls are updates and deletions of many
	timeouts    bool // some calls have a timeout
	quiet       bool // nothing happens that clients may hear of
	crash       bool // PostgreSQL is the race's own

	// trouble is what happens, again and again until the clients are done.
	trouble func(t *testing.T, r *running)
	// seen tells what has not happened yet of what the race is about; "" if all of it has.
	seen func(r *running) string
	// lie is what the clients are told instead of the truth; see TestRacesAreChecked.
	lie func(perform func([]call) []answer) func([]call) []answer
}

const (
	racers   = 20
	raceKeys = 4
	laps     = 30 // calls of each client
	// After that they go on at leisure until what the race is about has happened, but not for longer.
	overtime = time.Minute
)

// running is a race under way.
type running struct {
	race
	db      *pgtest.DB
	cluster *pgtest.Cluster // if it is the race's own
	proxy   *pgtest.Proxy
	servers []*server
	super   *pgx.Conn
	history *history

	used     sync.Map // etags of values that were put
	called   chan struct{}
	finished chan struct{}

	executed, rounds atomic.Int64 // statements sent, and round trips
	states, faults   tally        // SQLSTATEs that PostgreSQL sent, and faults that the clients got
}

// tally counts by name. It is safe for concurrent use.
type tally struct {
	mu     sync.Mutex
	counts map[string]int
}

func (y *tally) add(name string) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.counts == nil {
		y.counts = map[string]int{}
	}
	y.counts[name]++
}

func (y *tally) String() string {
	y.mu.Lock()
	defer y.mu.Unlock()
	return strings.TrimPrefix(fmt.Sprint(y.counts), "map")
}

func (y *tally) of(name string) int {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.counts[name]
}

// run lets the clients race and checks what they saw.
func (r race) run(t *testing.T) *running {
	t.Helper()
	run := r.start(t)
	var clients sync.WaitGroup
	for id := range racers {
		clients.Go(func() {
			c := newRacer(run, id)
			for lap := 0; lap < laps**long || run.waits(); lap++ {
				c.call(c.draw())
				select {
				case run.called <- struct{}{}:
				default:
				}
			}
		})
	}
	go func() { // ends with the clients, which are waited for
		clients.Wait()
		close(run.finished)
	}()
	for r.trouble != nil && !run.over() {
		r.trouble(t, run)
	}
	<-run.finished
	run.proxy.SetRule(nil)
	c := newRacer(run, racers)
	for key := range raceKeys {
		c.call([]call{{key: key, verb: get}})
	}
	return run
}

func (r race) start(t *testing.T) *running {
	t.Helper()
	run := &running{
		race: r, history: &history{start: time.Now()},
		called: make(chan struct{}), finished: make(chan struct{}),
	}
	if r.crash {
		run.cluster = pgtest.NewCluster(t)
		run.db = run.cluster.New(t)
	} else {
		run.db = pgtest.New(t)
	}
	var err error
	if run.super, err = pgx.Connect(t.Context(), run.db.SuperURL()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { run.super.Close(context.Background()) })
	if r.several {
		run.exec(t, "ALTER DATABASE "+run.db.Name+" SET deadlock_timeout = '5ms'")
	}
	run.proxy = pgtest.NewProxy(t, run.db)
	for range max(r.servers, 1) {
		run.servers = append(run.servers, serverAt(t, run.db, run.proxy.URL(), max(r.connections, 2)))
	}
	run.servers[0].newBucket(t, "b n=number u=string!")
	run.servers[0].put("b", "holder", `{"u":"taken"}`)
	run.proxy.SetRule(run.watch)
	return run
}

func (r *running) exec(t *testing.T, sql string) {
	t.Helper()
	if _, err := r.super.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// over reports whether the clients are done.
func (r *running) over() bool {
	select {
	case <-r.finished:
		return true
	default:
		return false
	}
}

// waits reports, after a while, whether something has not happened yet that the race is about.
func (r *running) waits() bool {
	if r.race.seen == nil || r.race.seen(r) == "" || time.Since(r.history.start) > overtime {
		return false
	}
	time.Sleep(5 * time.Millisecond)
	return true
}

// progress waits until about n more calls have been answered.
func (r *running) progress(n int) {
	for range n {
		select {
		case <-r.called:
		case <-r.finished:
			return
		}
	}
}

// watch counts what goes to PostgreSQL and comes back.
func (r *running) watch(_ context.Context, m pgtest.Message) pgtest.Action {
	switch {
	case m.FromClient && m.Type == 'E': // Execute
		r.executed.Add(1)
	case m.FromClient && m.Type == 'S': // Sync
		r.rounds.Add(1)
	case !m.FromClient && m.Type == 'E': // ErrorResponse
		if _, code, ok := strings.Cut(string(m.Body), "\x00C"); ok {
			r.states.add(code[:5])
		}
	}
	return pgtest.Pass
}

// racer is a client in a race.
type racer struct {
	*running
	id      int
	perform func([]call) []answer
	random  *rand.Rand
	known   [raceKeys]string // the etags that the client saw last
}

func newRacer(r *running, id int) *racer {
	c := &racer{running: r, id: id, random: rand.New(rand.NewPCG(rand.Uint64(), 0))}
	caller := &object.Caller{Client: uint64(id), Bucket: "b"}
	if r.timeouts && id%2 == 1 {
		caller.Timeout = time.Duration(id) * time.Millisecond
	}
	ctx := object.WithCaller(ctx, caller)
	server := r.servers[id%len(r.servers)]
	c.perform = func(calls []call) []answer {
		answers, err := server.perform(ctx, "b", calls)
		if f := fault.From(err); f != nil {
			r.faults.add(string(f.Name))
		}
		return answers
	}
	if r.lie != nil {
		c.perform = r.lie(c.perform)
	}
	return c
}

// draw returns what the client does next.
func (c *racer) draw() []call {
	one := call{key: c.random.IntN(raceKeys)}
	known := c.known[one.key]
	switch n := c.random.IntN(100); {
	case n < 25:
		one.verb = get
	case n < 45:
		one.verb = put
	case n < 70:
		one.verb, one.expects = put, known
		if known == "" {
			one.expects = absent
		}
	case n < 75:
		one.verb, one.expects = put, absent
	case n < 82:
		one.verb = del
	case n < 87:
		one.verb, one.expects = del, known
	case c.several && n < 94:
		return c.drawSeveral()
	case c.many && n < 94:
		one.verb = update
	case c.many && n < 97:
		one.verb = deleteMany
	default:
		one.verb = get
	}
	c.fill(&one)
	return []call{one}
}

// drawSeveral returns a batch, whose keys are in any order, or a read of several keys.
func (c *racer) drawSeveral() []call {
	calls := make([]call, 2+c.random.IntN(2))
	reads := c.random.IntN(3) == 0
	for i, key := range c.random.Perm(raceKeys)[:len(calls)] {
		calls[i] = call{key: key, verb: put}
		switch {
		case reads:
			calls[i].verb = get
		case c.random.IntN(6) == 0:
			calls[i].verb = del
		case c.random.IntN(4) == 0:
			calls[i].expects = c.known[key]
		}
		c.fill(&calls[i])
	}
	return calls
}

// fill gives a call a value with an etag of its own.
func (c *racer) fill(one *call) {
	if one.verb != put && one.verb != update {
		return
	}
	for {
		member := ""
		if c.taken && c.random.IntN(5) == 0 {
			member = `,"u":"taken"`
		}
		one.value = fmt.Sprintf(`{"n":%d%s}`, c.random.IntN(1<<40), member)
		one.etag = etag(one.value)
		if _, used := c.used.LoadOrStore(one.etag, true); !used {
			return
		}
	}
}

// call makes calls and learns from the answers.
func (c *racer) call(calls []call) {
	for i, a := range c.history.record(c.id, calls, c.perform) {
		switch a.outcome {
		case done, conflict, missing:
			c.known[calls[i].key] = a.etag
		}
	}
}

// races have a name each for what happens in them.
var races = map[string]race{
	"Groups": {connections: 1, quiet: true, seen: func(r *running) string {
		if executed, rounds := r.executed.Load(), r.rounds.Load(); executed < 2*rounds {
			return fmt.Sprintf("%d statements in %d round trips are hardly shared", executed, rounds)
		}
		return r.needs(fault.EtagConflict, fault.ObjectNotFound)
	}},
	"TwoServers": {servers: 2, many: true, quiet: true, seen: func(r *running) string { return r.needs(fault.EtagConflict) }},
	"LockedRows": {trouble: lockRow, quiet: true, seen: func(r *running) string { return r.needs("55P03") }},
	"Timeouts":   {timeouts: true, trouble: lockRow, seen: func(r *running) string { return r.needs(fault.QueryTimeout) }},
	"UniqueViolations": {connections: 1, taken: true, seen: func(r *running) string {
		return r.needs("23505", fault.UniqueAttribute)
	}},
	"Deadlocks": {several: true, connections: 8, seen: func(r *running) string {
		return r.needs("40P01", fault.PostgreSQL)
	}},
	"KilledBackends": {several: true, trouble: func(t *testing.T, r *running) {
		r.progress(racers)
		r.db.Terminate(t)
	}, seen: func(r *running) string { return r.needs("57P01", "unknown") }},
	"LostAnswers": {several: true, trouble: func(_ *testing.T, r *running) {
		r.proxy.SetRule(r.cut)
		r.progress(racers)
	}, seen: func(r *running) string { return r.needs("unknown") }},
	"Crashes": {crash: true, trouble: func(t *testing.T, r *running) {
		r.progress(racers * laps / 3)
		r.cluster.Stop(t, syscall.SIGKILL)
		r.cluster.Start(t)
	}, seen: func(r *running) string { return r.needs("unknown") }},
	"Redefinitions": {servers: 2, several: true, trouble: redefine, seen: func(r *running) string {
		if n := r.faults.of("redefined"); n < 2 {
			return fmt.Sprintf("%d redefinitions", n)
		}
		return ""
	}},
	"Everything": {
		servers: 2, connections: 3, taken: true, several: true, timeouts: true,
		trouble: func(t *testing.T, r *running) {
			switch rand.IntN(4) {
			case 0:
				lockRow(t, r)
			case 1:
				redefine(t, r)
			case 2:
				r.db.Terminate(t)
			case 3:
				r.proxy.SetRule(r.cut)
			}
			r.progress(racers)
			r.proxy.SetRule(r.watch)
		},
	},
}

// needs tells which faults, SQLSTATEs or outcomes the race has not had.
func (r *running) needs(names ...any) string {
	var without []string
	for _, name := range names {
		name := fmt.Sprint(name)
		if name == "unknown" && r.history.count(unknown) == 0 || name != "unknown" && r.states.of(name) == 0 && r.faults.of(name) == 0 {
			without = append(without, name)
		}
	}
	if without == nil {
		return ""
	}
	return fmt.Sprintf("there was no %v, only %v and %v", without, &r.states, &r.faults)
}

// lockRow holds a row for longer than statements that share a round trip wait for it.
func lockRow(t *testing.T, r *running) {
	t.Helper()
	r.exec(t, fmt.Sprintf("BEGIN; SELECT FROM b WHERE _key = 'k%d' FOR UPDATE", rand.IntN(raceKeys)))
	select {
	case <-time.After(40 * time.Millisecond):
	case <-r.finished:
	}
	r.exec(t, "ROLLBACK")
	r.progress(racers / 4)
}

// cut breaks connections now and then, before PostgreSQL gets a statement, or before its answer arrives.
func (r *running) cut(ctx context.Context, m pgtest.Message) pgtest.Action {
	switch action := r.watch(ctx, m); {
	case rand.IntN(100) > 0:
		return action
	case m.FromClient && m.Type == 'S', !m.FromClient && (m.Type == 'C' || m.Type == 'Z'): // CommandComplete, ReadyForQuery
		return []pgtest.Action{pgtest.Cut, pgtest.PassAndCut}[rand.IntN(2)]
	}
	return pgtest.Pass
}

// redefine adds an index to the bucket, or drops it, through one of its servers.
func redefine(t *testing.T, r *running) {
	t.Helper()
	words := "b n=number u=string!"
	if r.faults.of("redefined")%2 == 0 {
		words += " more=number"
	}
	name, config := definition(t, words)
	err := r.servers[rand.IntN(len(r.servers))].buckets.Update(ctx, name, config, false)
	switch f := fault.From(err); {
	case err == nil:
		r.faults.add("redefined")
	case f == nil:
		t.Errorf("update %s: %v", words, err)
	default:
		r.faults.add("redefine: " + f.Error())
	}
}

// Whatever happens to the database, each key behaves as if its operations happened one after the other.
func TestRaces(t *testing.T) {
	t.Parallel()
	for name, r := range races {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run := r.run(t)
			t.Logf("%d operations: %d done, %d unknown; faults %v; SQLSTATEs %v", len(run.history.all), run.history.count(done), run.history.count(unknown), &run.faults, &run.states)
			if !run.history.linearizable(t, apart) {
				t.Error("no order of the operations explains all answers")
			}
			others := maps.Clone(run.faults.counts)
			delete(others, string(fault.EtagConflict))
			delete(others, string(fault.ObjectNotFound))
			if r.quiet && len(others) > 0 {
				t.Errorf("clients heard of %v", others)
			}
			if r.seen != nil {
				if missing := r.seen(run); missing != "" {
					t.Error(missing)
				}
			}
		})
	}
}

// The check finds what it is there for: each of these lies is one that a server could tell.
func TestRacesAreChecked(t *testing.T) {
	t.Parallel()
	type performer = func([]call) []answer
	for name, lie := range map[string]func(performer) performer{
		"StaleReads": func(perform performer) performer {
			var cached [raceKeys][]answer // as the original's cache of objects, which no write renewed
			return func(calls []call) []answer {
				if calls[0].verb != get {
					return perform(calls)
				}
				key := calls[0].key
				if cached[key] == nil || rand.IntN(3) == 0 {
					cached[key] = perform(calls)
				}
				return cached[key]
			}
		},
		"LostUpdates": func(perform performer) performer {
			return func(calls []call) []answer { // preconditions are not looked at
				careless := calls[0]
				careless.expects = ""
				return perform([]call{careless})
			}
		},
		"PhantomSuccess": func(perform performer) performer {
			return func(calls []call) []answer { // some puts are not made
				if c := calls[0]; c.verb == put && c.expects == "" && rand.IntN(3) == 0 {
					return []answer{{done, c.etag}}
				}
				return perform(calls)
			}
		},
		"PhantomFailure": func(perform performer) performer {
			return func(calls []call) []answer { // some puts are made that are said to have failed
				answers := perform(calls)
				if calls[0].verb == put && rand.IntN(3) == 0 {
					answers[0] = answer{outcome: refused}
				}
				return answers
			}
		},
		"WrongEtag": func(perform performer) performer {
			last := ""
			return func(calls []call) []answer { // conflicts tell the etag of another moment
				answers := perform(calls)
				if answers[0].outcome == conflict {
					last, answers[0].etag = answers[0].etag, last
				}
				return answers
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := race{lie: lie}
			if run := r.run(t); run.history.linearizable(t, apart) {
				t.Error("nobody notices")
			}
		})
	}
}

// Batches are done as a whole or not at all, and reads of several keys see all of a batch or nothing of it.
func TestBatchesAreAtomic(t *testing.T) {
	t.Parallel()
	t.Run("Atomic", func(t *testing.T) {
		t.Parallel()
		if !raceBatches(t, (*server).perform) {
			t.Error("no order of the operations explains all answers")
		}
	})
	t.Run("OneByOne", func(t *testing.T) { // the check finds batches that are not
		t.Parallel()
		oneByOne := func(s *server, ctx context.Context, bucket string, calls []call) (all []answer, err error) {
			for _, c := range calls {
				answers, oneErr := s.perform(ctx, bucket, []call{c})
				all, err = append(all, answers...), errors.Join(err, oneErr)
			}
			return all, err
		}
		if raceBatches(t, oneByOne) {
			t.Error("nobody notices")
		}
	})
}

func raceBatches(t *testing.T, perform func(*server, context.Context, string, []call) ([]answer, error)) bool {
	t.Helper()
	s := newServer(t)
	for round := range 6 * *long {
		bucket := fmt.Sprint("b", round)
		s.newBucket(t, bucket+" n=number")
		run := &running{history: &history{start: time.Now()}}
		var clients sync.WaitGroup
		for id := range 5 {
			clients.Go(func() {
				c := &racer{running: run, random: rand.New(rand.NewPCG(rand.Uint64(), 0))}
				for range 12 {
					run.history.record(id, c.drawAll(), func(calls []call) []answer {
						answers, _ := perform(s, ctx, bucket, calls) // the error is in the answers
						return answers
					})
				}
			})
		}
		clients.Wait()
		if !run.history.linearizable(t, together) {
			return false
		}
	}
	return true
}

// drawAll returns a batch of puts, or a read, of several keys in their order, so that there are no deadlocks.
func (c *racer) drawAll() []call {
	keys := c.random.Perm(raceKeys)[:3]
	slices.Sort(keys)
	calls := make([]call, len(keys))
	for i, key := range keys {
		calls[i] = call{key: key, verb: put}
	}
	if c.random.IntN(3) == 0 {
		for i := range calls {
			calls[i].verb = get
		}
	}
	for i := range calls {
		c.fill(&calls[i])
	}
	return calls
}
