package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kaizengarden/moray/core/client"
)

const (
	ledgerBucket = "ledger"
	chainBucket  = "chain"
	hotBucket    = "hot"
)

// load is clients at work.
type load struct {
	*ledger
	history history
	stop    context.CancelFunc
	writers sync.WaitGroup
}

// startLoad makes writers write through the servers until the load is stopped.
func startLoad(t testing.TB, servers []string, writers int) *load {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	l := &load{ledger: newLedger(), stop: stop, history: history{start: time.Now()}}
	t.Cleanup(l.end)
	for w := range writers {
		c := client.New(client.Config{Addresses: rotated(servers, w), Connections: 1, DialTimeout: time.Second})
		name := fmt.Sprintf("chain-%d", w)
		l.chains[name] = &chain{}
		l.writers.Go(func() {
			defer c.Close()
			for n := 1; ctx.Err() == nil; n++ {
				l.put(ctx, c, fmt.Sprintf("w%d-%d", w, n))
				l.extend(ctx, c, name)
			}
		})
		if w%2 == 0 {
			hot := client.New(client.Config{Addresses: rotated(servers, w/2), Connections: 1, DialTimeout: time.Second})
			l.writers.Go(func() {
				defer hot.Close()
				l.history.race(ctx, hot, w)
			})
		}
	}
	return l
}

func rotated(servers []string, by int) []string {
	by %= len(servers)
	return append(append([]string(nil), servers[by:]...), servers[:by]...)
}

// end stops the writers and waits for them.
func (l *load) end() {
	l.stop()
	l.writers.Wait()
}

// goOn waits until more is acknowledged.
func (l *load) goOn(t testing.TB, more int) {
	t.Helper()
	before := l.acknowledged()
	eventually(t, "writes are acknowledged again", func() bool { return l.acknowledged() >= before+more })
}

// requestTime bounds a request. A client that gives up does not know what became of it.
const requestTime = 30 * time.Second

// fateOf tells what an error says of a write.
func fateOf(err error) fate {
	var answer *client.Error
	switch {
	case err == nil:
		return acknowledged
	case errors.As(err, &answer) && !strings.Contains(string(answer.Context), `"unknown"`), errors.Is(err, syscall.ECONNREFUSED):
		return refused
	}
	return unknown
}

// put writes a key of its own.
func (l *load) put(ctx context.Context, c *client.Client, key string) {
	request, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTime)
	defer cancel()
	etag, err := c.PutObject(request, ledgerBucket, key, fmt.Appendf(nil, `{"k":%q}`, key), nil)
	f := fateOf(err)
	l.note(key, etag, f, err)
	if f != acknowledged {
		pause(ctx)
	}
}

// pause keeps a client from asking again at once.
func pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(20 * time.Millisecond):
	}
}

// extend writes the next value of a chain, if it is as it was left.
func (l *load) extend(ctx context.Context, c *client.Client, name string) {
	request, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTime)
	defer cancel()
	l.mu.Lock()
	chain := l.chains[name]
	n, etag, open := chain.n, chain.etag, chain.next
	l.mu.Unlock()
	if open != 0 {
		l.settle(request, c, name)
		return
	}
	precondition := client.IfAbsent
	if etag != "" {
		precondition = client.IfEtag(etag)
	}
	now, err := c.PutObject(request, chainBucket, name, fmt.Appendf(nil, `{"n":%d}`, n+1), &client.WriteOptions{Etag: precondition})
	f := fateOf(err)
	l.mu.Lock()
	l.tally(f, err)
	switch {
	case f == acknowledged:
		chain.n, chain.etag, chain.late = n+1, now, 0
	case f == unknown:
		chain.next = n + 1
	case !strings.HasPrefix(err.Error(), "EtagConflictError"):
	case chain.late != 0:
		chain.next, chain.late = chain.late, 0
	default:
		l.violations = append(l.violations, fmt.Sprintf("%s: the write of %d was refused, and nobody else writes: %v", name, n+1, err))
	}
	l.mu.Unlock()
	if f != acknowledged {
		pause(ctx)
	}
}

// settle reads a chain whose last write has an unknown fate.
func (l *load) settle(ctx context.Context, c *client.Client, name string) {
	o, err := c.GetObject(ctx, chainBucket, name, nil)
	n, etag := 0, ""
	var answer *client.Error
	switch {
	case errors.As(err, &answer) && answer.Name == "ObjectNotFoundError":
	case err != nil:
		pause(ctx)
		return
	default:
		var value struct{ N int }
		if err := json.Unmarshal(o.Value, &value); err != nil {
			l.violation("%s: %v", name, err)
			return
		}
		n, etag = value.N, o.Etag
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	chain := l.chains[name]
	if n != chain.n && n != chain.next {
		l.violations = append(l.violations, fmt.Sprintf("%s is at %d, and should be at %d or %d", name, n, chain.n, chain.next))
	}
	if n == chain.n {
		chain.late = chain.next
	}
	chain.n, chain.etag, chain.next = n, etag, 0
}
