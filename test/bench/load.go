package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kaizengarden/moray/core/fast"
)

const (
	warmUp = 300 * time.Millisecond
	// patience bounds every wait for an answer.
	patience = 30 * time.Second
)

// The phases of a load.
const (
	warming int32 = iota
	measuring
	ending
)

// traffic is a closed loop of requests over several connections.
type traffic struct {
	operation operation
	rows      int
	inFlight  int
	conns     int
	from, to  int64 // the keys that each request takes one of, see chooser.fresh

	phase   atomic.Int32
	fresh   atomic.Int64
	clients []*client
}

// start connects.
func (t *traffic) start(ctx context.Context, addr string) error {
	t.fresh.Store(t.from)
	number := 0
	for i := range t.conns {
		var d net.Dialer
		nc, err := d.DialContext(ctx, "tcp", addr)
		if err != nil {
			return fmt.Errorf("connect to the server: %w", err)
		}
		c := &client{
			nc: nc, phase: &t.phase,
			chooser: chooser{
				operation: t.operation, rows: t.rows, random: rand.New(rand.NewPCG(1, uint64(i))), fresh: &t.fresh, last: t.to,
			},
			slots: make([]slot, t.inFlight/t.conns+min(1, max(0, t.inFlight%t.conns-i))),
		}
		for j := range c.slots {
			c.slots[j].number = number
			number++
		}
		t.clients = append(t.clients, c)
	}
	return nil
}

func (t *traffic) close() {
	for _, c := range t.clients {
		c.nc.Close() //nolint:errcheck // because all answers have come, or the load has failed
	}
}

// run keeps the requests in flight for the window, after the warm-up, and returns when all answers have come. mark is called at
// both ends of the window, which ends earlier if there is nothing more to ask for.
func (t *traffic) run(ctx context.Context, window time.Duration, mark func() error) error {
	clients, ctx := errgroup.WithContext(ctx)
	deadline := time.Now().Add(warmUp + window + patience)
	for _, c := range t.clients {
		clients.Go(func() error { return c.run(deadline) })
	}
	ended := make(chan error, 1)
	go func() { ended <- clients.Wait() }()

	err := t.mark(ctx, window, mark)
	t.phase.Store(ending)
	return errors.Join(<-ended, err)
}

// mark passes through the phases. It stops when ctx ends, which is also when a client failed or all have nothing more to ask for.
func (t *traffic) mark(ctx context.Context, window time.Duration, mark func() error) error {
	warm := time.NewTimer(warmUp)
	defer warm.Stop()
	select {
	case <-warm.C:
	case <-ctx.Done():
		return errors.New("the load ended before it was measured")
	}
	if err := mark(); err != nil {
		return err
	}
	t.phase.Store(measuring)
	full := time.NewTimer(window)
	defer full.Stop()
	select {
	case <-full.C:
	case <-ctx.Done():
	}
	t.phase.Store(ending)
	return mark()
}

// latencies returns how long the requests took that were answered within the window, sorted.
func (t *traffic) latencies() []time.Duration {
	var all []time.Duration
	for _, c := range t.clients {
		all = append(all, c.latencies...)
	}
	slices.Sort(all)
	return all
}

// client is one connection of a load. Like a client in Node it has one thread: it handles the answers that have come, and then
// sends what follows from them in one write.
type client struct {
	chooser
	nc    net.Conn
	phase *atomic.Int32
	slots []slot // the number of a slot is the id of its request
	busy  int    // slots with a request in flight

	out       []byte // frames to be sent before the next read
	payload   []byte
	latencies []time.Duration
}

// Read sends what is to be sent and then reads: the decoder calls it when it has nothing more to handle.
func (c *client) Read(p []byte) (int, error) {
	if len(c.out) > 0 {
		if _, err := c.nc.Write(c.out); err != nil {
			return 0, err
		}
		c.out = c.out[:0]
	}
	return c.nc.Read(p)
}

func (c *client) run(deadline time.Time) error {
	if err := c.nc.SetDeadline(deadline); err != nil {
		return err
	}
	for id := range c.slots {
		c.send(id)
	}
	d := fast.NewDecoder(c, maxAnswer)
	for m := (fast.Message{}); c.busy > 0; {
		if err := d.Decode(&m); err != nil {
			return fmt.Errorf("wait for an answer: %w", err)
		}
		s := &c.slots[m.ID]
		switch {
		case m.Status == fast.StatusError:
			return fmt.Errorf("the server answered with an error: %s", m.Payload)
		case m.Status == fast.StatusData:
			s.values++
			if err := c.note(s, &m); err != nil {
				return err
			}
			continue
		case s.values != 1:
			return fmt.Errorf("the server answered with %d values instead of one", s.values)
		}
		c.busy--
		if c.phase.Load() == measuring {
			c.latencies = append(c.latencies, time.Since(s.sent))
		}
		c.send(int(m.ID))
	}
	return nil
}

// maxAnswer bounds the payloads of answers, in bytes.
const maxAnswer = 1 << 20

// note passes the value of an answer to the operation, if it wants it.
func (c *client) note(s *slot, m *fast.Message) error {
	if c.answered == nil {
		return nil
	}
	e, err := m.Envelope()
	if err != nil {
		return err
	}
	for v := range e.D.Elements() {
		c.answered(s, v)
	}
	return nil
}

// send appends the next request of a slot to what is to be sent, unless the load ends.
func (c *client) send(id int) {
	if c.phase.Load() == ending {
		return
	}
	s := &c.slots[id]
	var more bool
	if c.payload, more = c.append(&c.chooser, s, c.payload[:0]); !more {
		return
	}
	m := fast.Message{Version: fast.V2, Status: fast.StatusData, ID: uint32(id), Payload: c.payload}
	c.out = m.AppendTo(c.out)
	c.busy++
	s.values, s.sent = 0, time.Now()
}
