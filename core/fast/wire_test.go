package fast_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/kaizengarden/moray/core/fast"
	"github.com/kaizengarden/moray/core/fast/fasttest"
	"github.com/kaizengarden/moray/core/jsvalue"
)

// sleepy stands for the recorded calls of sql that slept: it lasts until the client's side of the connection ends.
func sleepy(_ context.Context, w fast.Sender, r *fast.Request) error {
	<-r.Gone()
	return w.Send(jsvalue.Value(`{"pg_sleep":"","five":5}`))
}

// The recorded conversations. Where the original's process ended, this connection ends, or goes on if the original answered
// before it died.
func TestWireGolden(t *testing.T) {
	t.Parallel()
	for _, c := range golden[struct {
		N               int
		Label           string
		Sent, Received  []hexBytes
		Closed, Crashed bool
	}](t, "wire.jsonl") {
		t.Run(fmt.Sprintf("%d %s", c.N, c.Label), func(t *testing.T) {
			t.Parallel()
			addr := fasttest.Serve(t, &fast.Server{Handler: handlers{"ping": ping, "sql": sleepy}})
			fasttest.Dial(t, addr) // the recorded connection has the number 3
			fasttest.Dial(t, addr)
			p := fasttest.Dial(t, addr)
			closed := c.Closed && !(c.Crashed && len(c.Received) > 0)
			if c.N == 844 {
				// Recorded as a duplicate: the second request was sent before the first was answered.
				c.Received, closed = append(c.Received, c.Received[0]), false
				p.Write(c.Sent[0])
				expectRecorded(t, p, c.Received[:1])
				c.Sent, c.Received = c.Sent[1:], c.Received[1:]
			}
			for _, piece := range c.Sent {
				p.Write(piece)
			}
			if strings.HasSuffix(c.Label, "FIN") || strings.HasPrefix(c.Label, "half-close") {
				p.CloseWrite()
			}
			expectRecorded(t, p, c.Received)
			if closed {
				p.Gone()
				p = fasttest.Dial(t, addr)
			}
			p.Request(fast.V2, 99, "ping", `[]`)
			p.Expect(fast.V2, fast.StatusEnd, 99, `[]`)
		})
	}
}

var uts = regexp.MustCompile(`"uts":\d+`)

// expectRecorded expects frames that equal the recorded ones but for the time, and the order of answers.
func expectRecorded(t *testing.T, p *fasttest.Peer, frames []hexBytes) {
	t.Helper()
	want := map[string]int{}
	for _, frame := range frames {
		want[fmt.Sprintf("% x %s", frame[:7], uts.ReplaceAll(frame[15:], nil))]++
	}
	for range frames {
		m := p.Next()
		got := fmt.Sprintf("% x %s", m.AppendTo(nil)[:7], uts.ReplaceAll(m.Payload, nil))
		if want[got]--; want[got] < 0 {
			t.Fatalf("got %s, want one of %v", got, want)
		}
	}
}

// Frames that break the protocol end their connection, and no other.
func TestBrokenFrames(t *testing.T) {
	t.Parallel()
	addr := fasttest.Serve(t, &fast.Server{Limits: fast.Limits{FrameBytes: 1 << 20}, Handler: handlers{"ping": ping}})
	bystander := fasttest.Dial(t, addr)
	for i, c := range brokenFrames {
		p := fasttest.Dial(t, addr)
		p.Write(c.frame)
		p.Gone()
		bystander.Request(fast.V2, uint32(i), "ping", `[]`)
		bystander.Expect(fast.V2, fast.StatusEnd, uint32(i), `[]`)
	}
}

// So do well-formed frames whose payload is not what their status asks for, without an answer.
func TestBrokenPayloads(t *testing.T) {
	t.Parallel()
	addr := fasttest.Serve(t, &fast.Server{Handler: handlers{"ping": ping}})
	bystander := fasttest.Dial(t, addr)
	payloads := map[fast.Status][]string{
		fast.StatusData: {
			``, ` `, `{`, `{"d":[]}x`, "\ufeff" + `{"d":[]}`, `{'d':[]}`, "{\"d\":[\"\xff\"]}", `{"d":[` + strings.Repeat("[", jsvalue.MaxDepth) + strings.Repeat("]", jsvalue.MaxDepth) + `]}`,
			`null`, `"x"`, `5`, `true`, `[]`, `{}`, `{"m":{"name":"ping"}}`, `{"m":{"name":"ping"},"d":null}`, `{"m":{"name":"ping"},"d":{}}`, `{"m":{"name":"ping"},"d":"x"}`,
		},
		fast.StatusEnd: {``, `null`, `{}`, `{"d":{}}`, `{"m":{"name":"ping"},"d":[]}`},
		fast.StatusError: {
			``, `null`, `{}`, `{"d":null}`, `{"d":[]}`, `{"d":{}}`, `{"d":{"name":"a"}}`, `{"d":{"message":"b"}}`, `{"d":{"name":1,"message":"b"}}`, `{"d":{"name":"a","message":null}}`,
		},
	}
	for status, all := range payloads {
		for i, payload := range all {
			for _, v := range []fast.Version{fast.V1, fast.V2} {
				p := fasttest.Dial(t, addr)
				p.Write(withPayload(v, status, 1, payload))
				p.Gone()
			}
			bystander.Request(fast.V2, uint32(i), "ping", `[]`)
			bystander.Expect(fast.V2, fast.StatusEnd, uint32(i), `[]`)
		}
	}
}

// What stands behind a frame that ends the connection is never looked at, whether or not a request is pending.
func TestDroppedConnectionDiscards(t *testing.T) {
	t.Parallel()
	for name, offence := range map[string][]byte{
		"END":         withPayload(fast.V2, fast.StatusEnd, 7, `{"d":[]}`),
		"duplicate":   fasttest.Request(fast.V2, 1, "count", `[]`),
		"bad CRC":     edited(func(f []byte) { f[8] ^= 1 }),
		"bad version": edited(func(f []byte) { f[0] = 3 }),
	} {
		for _, pending := range []bool{true, false} {
			if name == "duplicate" && !pending {
				continue
			}
			t.Run(fmt.Sprintf("%s, pending %v", name, pending), func(t *testing.T) {
				t.Parallel()
				var counted atomic.Int32
				dropped := make(chan struct{})
				addr, stop := fasttest.Start(t, &fast.Server{Handler: handlers{
					"wait": func(_ context.Context, w fast.Sender, r *fast.Request) error {
						<-r.Gone()
						close(dropped)
						return w.Send(jsvalue.Value(`{}`))
					},
					"count": func(context.Context, fast.Sender, *fast.Request) error {
						counted.Add(1)
						return nil
					},
				}})
				p := fasttest.Dial(t, addr)
				var stream []byte
				if pending {
					stream = fasttest.Request(fast.V2, 1, "wait", `[]`)
				}
				stream = append(stream, offence...)
				for id := range uint32(50) {
					stream = append(stream, fasttest.Request(fast.V2, 100+id, "count", `[]`)...)
				}
				p.Write(stream)
				p.Gone()
				if pending {
					<-dropped
				}
				if err := stop(); err != nil {
					t.Error(err)
				}
				if n := counted.Load(); n != 0 {
					t.Errorf("%d requests behind the offence ran", n)
				}
			})
		}
	}
}

// A request without a method is answered, and echoed; the connection goes on.
func TestNotWellFormed(t *testing.T) {
	t.Parallel()
	p := fasttest.Dial(t, fasttest.Serve(t, &fast.Server{Handler: handlers{"ping": ping}}))
	for i, c := range []struct{ payload, echoed string }{
		{`{"d":[]}`, `{"d":[]}`},
		{`{"m":null,"d":[ 1.0 ]}`, `{"m":null,"d":[1]}`},
		{`{"m":{},"d":[]}`, `{"m":{},"d":[]}`},
		{`{"m":{"name":""},"d":[]}`, `{"m":{"name":""},"d":[]}`},
		{`{"m":{"name":5},"d":[]}`, `{"m":{"name":5},"d":[]}`},
		{`{"m":{"name":["ping"]},"d":[]}`, `{"m":{"name":["ping"]},"d":[]}`},
		{`{"m":"ping","d":[{"x":1}]}`, `{"m":"ping","d":[{"x":1}]}`},
		{`{"m":true,"d":[]}`, `{"m":true,"d":[]}`},
	} {
		id, v := uint32(i), fast.Version(1+i%2)
		p.Write(withPayload(v, fast.StatusData, id, c.payload))
		m := p.Next()
		want := fmt.Sprintf(`{"m":{,"name":null},"d":{"name":"FastError","message":"RPC request is not well-formed","context":{},`+
			`"info":{"fastReason":"bad_data","rpcMsgid":%d,"rpcMessage":{"status":1,"msgid":%[1]d,"data":%s,"version":%d,"connId":1}}}}`, id, c.echoed, v)
		if got := uts.ReplaceAllString(string(m.Payload), ""); got != want || m.Status != fast.StatusError || m.ID != id || m.Version != v {
			t.Errorf("%s:\ngot  %s\nwant %s", c.payload, got, want)
		}
	}
	p.Request(fast.V2, 1, "ping", `[]`)
	p.Expect(fast.V2, fast.StatusEnd, 1, `[]`)
}

// Old clients ask to abort a request with an ERROR. It is ignored, and the request with its id goes on.
func TestAbortIgnored(t *testing.T) {
	t.Parallel()
	var log records
	release := make(chan struct{})
	s := &fast.Server{Log: log.logger(), Handler: handlers{
		"hang": func(context.Context, fast.Sender, *fast.Request) error {
			<-release
			return nil
		},
	}}
	p := fasttest.Dial(t, fasttest.Serve(t, s))
	p.Request(fast.V2, 4, "hang", `[]`)
	for _, id := range []uint32{4, 5, 4} {
		p.Write(withPayload(fast.V2, fast.StatusError, id, `{"d":{"name":"AbortError","message":""}}`))
	}
	log.await(`level=WARN msg="ignoring request to abort RPC \(not supported\)".* msgid=4`)
	close(release)
	p.Expect(fast.V2, fast.StatusEnd, 4, `[]`)
	p.Request(fast.V2, 4, "hang", `[]`) // behind the aborts: they have been read when this is answered
	p.Expect(fast.V2, fast.StatusEnd, 4, `[]`)
	if got := s.Snapshot().Stats; got.AbortsIgnored != 3 || got.RequestsStarted != 2 {
		t.Errorf("got %+v, want 3 aborts and 2 requests", got)
	}
}

// An id can be used again once its request has ended, and not before.
func TestReuseOfID(t *testing.T) {
	t.Parallel()
	p := fasttest.Dial(t, fasttest.Serve(t, &fast.Server{Handler: handlers{"ping": ping, "wait": wait}}))
	for range 100 {
		p.Request(fast.V2, 3, "ping", `[]`)
		p.Expect(fast.V2, fast.StatusEnd, 3, `[]`)
	}
	p.Request(fast.V2, 3, "wait", `[]`)
	p.Request(fast.V2, 3, "ping", `[]`)
	p.Gone()
}

// However the bytes of three requests are cut, the answers are the same.
func TestSplitAtEveryByte(t *testing.T) {
	t.Parallel()
	addr := fasttest.Serve(t, &fast.Server{Handler: handlers{"echo": echo}})
	var stream []byte
	for id := range uint32(3) {
		stream = append(stream, fasttest.Request(fast.V2, id, "echo", `[{"é":1}]`)...)
	}
	expect := func(p *fasttest.Peer) {
		t.Helper()
		ends := 0
		for range 6 {
			m := p.Next()
			if want := `"d":[{"é":1}]}`; m.Status == fast.StatusData && !strings.HasSuffix(string(m.Payload), want) {
				t.Fatalf("got %s, want %s", m.Payload, want)
			}
			if m.Status == fast.StatusEnd {
				ends++
			}
		}
		if ends != 3 {
			t.Fatalf("got %d answers, want 3", ends)
		}
	}
	p := fasttest.Dial(t, addr)
	for cut := 1; cut < len(stream); cut++ {
		p.Write(stream[:cut])
		p.Write(stream[cut:])
		expect(p)
	}
	for _, b := range stream {
		p.Write([]byte{b})
	}
	expect(p)
}

// Twenty requests and the end of the stream in one segment: the original answered two of them.
func TestHalfClose(t *testing.T) {
	t.Parallel()
	var log records
	addr := fasttest.Serve(t, &fast.Server{Log: log.logger(), Handler: handlers{"ping": ping, "sleepy": sleepy}})
	p := fasttest.Dial(t, addr)
	var stream []byte
	for id := range uint32(20) {
		stream = append(stream, fasttest.Request(fast.V2, id, "ping", `[{}]`)...)
	}
	stream = append(stream, fasttest.Request(fast.V1, 20, "sleepy", `[{}]`)...)
	p.Write(stream)
	p.CloseWrite()
	answered := map[uint32]bool{}
	for len(answered) < 21 {
		if m := p.Next(); m.Status == fast.StatusEnd {
			answered[m.ID] = true
		}
	}
	p.Ended()

	idle := fasttest.Dial(t, addr)
	idle.CloseWrite()
	idle.Ended()
	log.await(`(?s)msg="connection received".*msg="removing drained connection".* connId=1 `)
}

// A reset, with part of a frame sent and a request pending, is the end of that connection only.
func TestReset(t *testing.T) {
	t.Parallel()
	var log records
	running := make(chan struct{})
	addr := fasttest.Serve(t, &fast.Server{Log: log.logger(), Handler: handlers{
		"ping": ping,
		"wait": func(_ context.Context, w fast.Sender, r *fast.Request) error {
			running <- struct{}{}
			<-r.Gone()
			for w.Send(jsvalue.Value(`{}`)) == nil { // fails once the connection is dropped
			}
			return fast.ErrGone
		},
	}})
	p := fasttest.Dial(t, addr)
	p.Request(fast.V2, 8, "wait", `[]`)
	<-running
	p.Write([]byte("\x02\x01\x01"))
	if err := p.Conn.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	p.Conn.Close()
	log.await(`level=WARN msg="socket error".* connId=1 .*reset`)
	log.await(`level=INFO msg="disconnecting request".* connId=1 .*msgid=8`)
	q := fasttest.Dial(t, addr)
	q.Request(fast.V2, 1, "ping", `[]`)
	q.Expect(fast.V2, fast.StatusEnd, 1, `[]`)
	if strings.Contains(log.String(), "request failed") {
		t.Errorf("a lost answer is logged as a failure:\n%s", log.String())
	}
}

// Any frame cut short by the end of the stream ends the connection without an answer to it.
func TestCutShort(t *testing.T) {
	t.Parallel()
	addr := fasttest.Serve(t, &fast.Server{Handler: handlers{"ping": ping}})
	frame := fasttest.Request(fast.V2, 1, "ping", `[{}]`)
	for cut := range frame {
		p := fasttest.Dial(t, addr)
		p.Write(frame[:cut])
		p.CloseWrite()
		p.Gone()
	}
}

// FuzzServer sends any bytes to a server. Whatever it answers is a stream of messages, and it serves others afterwards.
func FuzzServer(f *testing.F) {
	for _, c := range golden[struct{ Sent []hexBytes }](f, "wire.jsonl") {
		f.Add(bytes.Join(toBytes(c.Sent), nil))
	}
	f.Add(binary.BigEndian.AppendUint32(nil, 0x02010100))
	addr := fasttest.Serve(f, &fast.Server{Handler: handlers{"ping": echo, "sql": sleepy}})
	f.Fuzz(func(t *testing.T, stream []byte) {
		p := fasttest.Dial(t, addr)
		p.Conn.Write(stream) // the server may have ended the connection before all was sent
		p.Conn.(*net.TCPConn).CloseWrite()
		d := fast.NewDecoder(p.Conn, 1<<30)
		for {
			var m fast.Message
			err := d.Decode(&m)
			if broken, ok := err.(*fast.ProtocolError); ok {
				t.Fatalf("%x is answered with a broken message: %v", stream, broken)
			}
			if err != nil {
				break
			}
			if _, err := m.Envelope(); err != nil {
				t.Fatalf("%x is answered with %q: %v", stream, m.Payload, err)
			}
		}
		q := fasttest.Dial(t, addr)
		q.Request(fast.V2, 1, "ping", `[]`)
		q.Expect(fast.V2, fast.StatusEnd, 1, `[]`)
		io.Copy(io.Discard, p.Conn)
		q.Conn.Close()
	})
}
