package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
)

// ZooKeeper says where an ensemble is.
type ZooKeeper struct {
	Servers []string // host:port
	// SessionTimeout is asked for when a session begins; 30 s if it is 0, and never more than 10 s: nothing depends on the session
	// but how soon a silent server is noticed, which takes two thirds of it.
	SessionTimeout time.Duration
	// RetryDelay is the longest pause after all servers refused a connection; 1 s if it is 0.
	RetryDelay time.Duration
}

const (
	maxSession = 10 * time.Second
	// readRetry is the pause after a node could not be read, for a reason other than a lost connection. The original's.
	readRetry = 5 * time.Second
	// pollPeriod is how often nodes are compared with what was read of them: a backstop, should a watch get lost.
	pollPeriod = 30 * time.Second
	// doubtPeriod is how soon a primary that is doubted is looked up again.
	doubtPeriod = time.Second
)

// nodes reads nodes of ZooKeeper and notices when what was read changes. It lives as long as a session does.
type nodes struct {
	conn   *zk.Conn
	cached map[string]*node // by path; children under path + "/"

	mu    sync.Mutex      // guards stale
	stale map[string]bool // paths that have changed since they were read
	news  chan struct{}   // something has changed; capacity 1
}

// node is what was read of a node.
type node struct {
	exists   bool
	data     []byte
	children []string
	stat     zk.Stat
}

// follower follows a state in ZooKeeper.
type follower struct {
	ZooKeeper
	*tracker
	dialer *dialer
	doubt  <-chan struct{}
	// read is called whenever a node that it read has changed.
	read   func(*nodes) (finding, error)
	ending sync.WaitGroup // sessions that are over
}

// follow calls read and passes on what it finds until ctx ends.
func (z ZooKeeper) follow(ctx context.Context, t *tracker, doubt <-chan struct{}, read func(*nodes) (finding, error)) error {
	f := &follower{
		ZooKeeper: z, tracker: t, doubt: doubt, read: read,
		dialer: &dialer{servers: shuffled(z.Servers), longest: orDefault(z.RetryDelay, time.Second), failure: t.unreachable},
	}
	defer f.ending.Wait()
	for ctx.Err() == nil {
		if err := f.session(ctx); err != nil {
			return err
		}
	}
	return nil
}

// session is one session with ZooKeeper. The library could keep it over lost connections, with its watches. But nothing depends on
// it, a new one is there sooner, and everything is read again in it, after a sync: a server that lags behind may answer with the past.
func (f *follower) session(ctx context.Context) error {
	session, over := context.WithCancel(ctx)
	n := &nodes{cached: map[string]*node{}, stale: map[string]bool{}, news: make(chan struct{}, 1)}
	hosts := &hosts{dialer: f.dialer, ctx: session}
	conn, events, err := zk.Connect(f.Servers, min(orDefault(f.SessionTimeout, 30*time.Second), maxSession),
		zk.WithDialer(hosts.dial), zk.WithHostProvider(hosts), zk.WithMaxBufferSize(maxPacket),
		zk.WithLogger(quiet{f.log}), zk.WithLogInfo(false), zk.WithEventCallback(func(e zk.Event) {
			switch {
			case session.Err() != nil: // the end is no news
			case e.Type != zk.EventSession:
				n.changed(e.Path)
			case e.State == zk.StateHasSession:
				f.connected(e.Server)
			case e.State == zk.StateDisconnected && hosts.lost():
				f.connected("")
				over()
			}
		}))
	if err != nil {
		over()
		return fmt.Errorf("ZooKeeper at %s: %w", strings.Join(f.Servers, ","), err)
	}
	n.conn = conn
	f.ending.Go(func() { // reads do not take a context: they end with the connection
		<-session.Done()
		conn.Close()
		hosts.close()
		for range events { // until the library's goroutines have ended
		}
	})
	defer over()
	for session.Err() == nil {
		found, err := f.read(n.current())
		if session.Err() != nil || lost(err) {
			return nil
		}
		f.dialer.succeeded()
		f.learn(found, err)
		pause := pollPeriod
		if err != nil && !errors.Is(err, errNothing) && !isRefusal(err) {
			pause = readRetry
		}
		n.await(session, pause, f.doubt)
	}
	return nil
}

func isRefusal(err error) bool {
	var r *refusal
	return errors.As(err, &r)
}

// lost reports whether a read failed because the session is over.
func lost(err error) bool {
	return errors.Is(err, zk.ErrConnectionClosed) || errors.Is(err, zk.ErrSessionExpired) || errors.Is(err, zk.ErrNoServer) ||
		errors.Is(err, zk.ErrSessionMoved) || errors.Is(err, zk.ErrClosing)
}

// changed notes that a node has changed since it was read.
func (n *nodes) changed(path string) {
	n.mu.Lock()
	n.stale[path] = true
	n.mu.Unlock()
	select {
	case n.news <- struct{}{}:
	default:
	}
}

// current forgets what is known to have changed.
func (n *nodes) current() *nodes {
	n.mu.Lock()
	defer n.mu.Unlock()
	for path := range n.stale {
		delete(n.cached, path)
		delete(n.cached, path+"/")
	}
	clear(n.stale)
	return n
}

// await returns when it is time to read again.
func (n *nodes) await(ctx context.Context, pause time.Duration, doubt <-chan struct{}) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-n.news:
	case <-timer.C:
		n.compare()
	case <-doubt:
		n.compare()
	}
}

// compare looks whether nodes have changed without a watch telling so.
func (n *nodes) compare() {
	for key, have := range n.cached {
		path := strings.TrimSuffix(key, "/")
		exists, stat, err := n.conn.Exists(path)
		if err != nil {
			return
		}
		if exists != have.exists || exists && (stat.Mzxid != have.stat.Mzxid || stat.Pzxid != have.stat.Pzxid && key != path) {
			n.changed(path)
		}
	}
}

// get returns a node, which may not exist, with its data.
func (n *nodes) get(path string) (*node, error) {
	return n.read(path, path, func(into *node) error {
		data, stat, _, err := n.conn.GetW(path)
		if err == nil {
			into.data, into.stat = data, *stat
		}
		return err
	})
}

// list returns a node, which may not exist, with the names of its children.
func (n *nodes) list(path string) (*node, error) {
	return n.read(path+"/", path, func(into *node) error {
		children, stat, _, err := n.conn.ChildrenW(path)
		if err == nil {
			into.children, into.stat = children, *stat
		}
		return err
	})
}

func (n *nodes) read(key, path string, from func(*node) error) (*node, error) {
	if have := n.cached[key]; have != nil {
		return have, nil
	}
	if len(n.cached) == 0 { // the first of a session
		if _, err := n.conn.Sync(path); err != nil && !errors.Is(err, zk.ErrNoNode) {
			return nil, fmt.Errorf("sync with ZooKeeper: %w", err)
		}
	}
	for {
		into := &node{exists: true}
		err := from(into)
		if errors.Is(err, zk.ErrNoNode) {
			// A node that is not there is watched by asking whether it is.
			into = &node{}
			if into.exists, _, _, err = n.conn.ExistsW(path); err == nil && into.exists {
				continue
			}
		}
		if err != nil {
			return nil, fmt.Errorf("read %s in ZooKeeper: %w", path, err)
		}
		n.cached[key] = into
		return into, nil
	}
}

func shuffled(servers []string) []string {
	all := append([]string(nil), servers...)
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

// quiet takes what the library says to the log, at a level at which nobody has to read it: what matters is in the events.
type quiet struct{ log *slog.Logger }

func (q quiet) Printf(format string, args ...any) { q.log.Debug(fmt.Sprintf(format, args...)) }

// timeOf returns a time that ZooKeeper notes, in milliseconds.
func timeOf(millis int64) time.Time { return time.UnixMilli(millis).UTC() }
