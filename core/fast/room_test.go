package fast_test

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kaizengarden/moray/core/fast"
	"github.com/kaizengarden/moray/core/fast/fasttest"
)

// Large payloads of all connections share a room. Who finds none waits, those with small payloads do not.
func TestLargeBytes(t *testing.T) {
	t.Parallel()
	var release chan struct{}
	s := &fast.Server{Limits: fast.Limits{FrameBytes: 200 << 10, LargeBytes: 300 << 10}, Handler: handlers{
		"ping": ping,
		"hang": func(context.Context, fast.Sender, *fast.Request) error {
			<-release
			return nil
		},
	}}
	inBubble(t, s, func(t *testing.T, p *pipes) {
		release = make(chan struct{})
		large := fasttest.Request(fast.V2, 1, "hang", `["`+strings.Repeat("x", 190<<10)+`"]`)
		first, second, other := p.dial(), p.dial(), p.dial()
		defer first.Close()
		defer second.Close()
		defer other.Close()
		write(t, first, large)
		taken := make(chan int)
		go func() { n, _ := second.Write(large); taken <- n }()
		synctest.Wait()
		write(t, other, fasttest.Request(fast.V2, 1, "ping", `[]`))
		readSome(t, other)
		select {
		case <-taken:
			t.Error("two large payloads were taken, and there is room for one")
		default:
		}
		release <- struct{}{}
		readSome(t, first)
		if n := <-taken; n != len(large) {
			t.Errorf("of the second payload %d of %d bytes were taken", n, len(large))
		}
		release <- struct{}{}
		readSome(t, second)
	})
}

// A large payload that does not arrive does not keep its room for ever. A small one may take its time.
func TestLargePayloadIsLate(t *testing.T) {
	t.Parallel()
	inBubble(t, &fast.Server{Handler: handlers{"ping": ping}}, func(t *testing.T, p *pipes) {
		large := fasttest.Request(fast.V2, 1, "ping", `["`+strings.Repeat("x", 100<<10)+`"]`)
		small := fasttest.Request(fast.V2, 1, "ping", `["`+strings.Repeat("x", 50<<10)+`"]`)
		slow, stuck := p.dial(), p.dial()
		defer slow.Close()
		defer stuck.Close()
		start := time.Now()
		write(t, slow, small[:20<<10])
		write(t, stuck, large[:20<<10])
		if _, err := stuck.Read(make([]byte, 1)); err != io.EOF || time.Since(start) != time.Minute {
			t.Errorf("got error %v after %v, want the end of the connection after a minute", err, time.Since(start))
		}
		write(t, slow, small[20<<10:])
		readSome(t, slow)
		write(t, slow, large)
		readSome(t, slow)
		time.Sleep(time.Hour) // a connection may be idle after a large payload
		write(t, slow, small)
		readSome(t, slow)
	})
}

// A server that stops does not wait for those who wait for room.
func TestStopWithoutRoom(t *testing.T) {
	t.Parallel()
	started := make(chan struct{})
	s := &fast.Server{Limits: fast.Limits{FrameBytes: 100 << 10, LargeBytes: 100 << 10}, Handler: handlers{
		"wait": func(_ context.Context, _ fast.Sender, r *fast.Request) error {
			close(started)
			<-r.Gone()
			return nil
		},
	}}
	addr, stop := fasttest.Start(t, s)
	large := fasttest.Request(fast.V2, 1, "wait", `["`+strings.Repeat("x", 90<<10)+`"]`)
	first, second := fasttest.Dial(t, addr), fasttest.Dial(t, addr)
	first.Write(large)
	<-started
	second.Write(large)
	second.Conn.(*net.TCPConn).CloseWrite()
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func write(t *testing.T, nc net.Conn, p []byte) {
	t.Helper()
	if _, err := nc.Write(p); err != nil {
		t.Fatal(err)
	}
}

func readSome(t *testing.T, nc net.Conn) {
	t.Helper()
	if _, err := nc.Read(make([]byte, 1<<10)); err != nil {
		t.Fatal(err)
	}
}
