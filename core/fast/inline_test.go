package fast_test

import (
	"context"
	"net"
	"strings"
	"testing"

	"github.com/kaizengarden/moray/core/fast"
	"github.com/kaizengarden/moray/core/fast/fasttest"
	"github.com/kaizengarden/moray/core/strand"
)

// parking is a server whose method park lasts until somebody resumes it, and sends its arguments then.
func parking(t *testing.T, limits fast.Limits) (addr string, parked chan *strand.Strand) {
	parked = make(chan *strand.Strand, 100)
	return fasttest.Serve(t, &fast.Server{
		Limits: limits,
		Inline: func(*fast.Request) bool { return true },
		Handler: handlers{
			"ping": ping,
			"echo": echo,
			"park": func(ctx context.Context, w fast.Sender, r *fast.Request) error {
				parked <- r.Strand()
				r.Strand().Park()
				return echo(ctx, w, r)
			},
		},
	}), parked
}

// A request that has parked keeps nobody from reading on, and whoever resumes it sends what it answers.
func TestInline(t *testing.T) {
	t.Parallel()
	addr, parked := parking(t, fast.Limits{})
	p := fasttest.Dial(t, addr)
	p.Request(fast.V2, 1, "park", `[{"a":1}]`)
	p.Request(fast.V2, 2, "park", `[{"a":2}]`)
	first, second := <-parked, <-parked
	p.Request(fast.V2, 3, "echo", `[{"a":3}]`)
	p.Expect(fast.V2, fast.StatusData, 3, `[{"a":3}]`)
	p.Expect(fast.V2, fast.StatusEnd, 3, `[]`)
	for id, s := range map[uint32]*strand.Strand{1: first, 2: second} {
		out := s.Resume()
		if out == nil {
			t.Fatalf("request %d leaves nothing to be sent", id)
		}
		out.Flush()
		p.Expect(fast.V2, fast.StatusData, id, map[uint32]string{1: `[{"a":1}]`, 2: `[{"a":2}]`}[id])
		p.Expect(fast.V2, fast.StatusEnd, id, `[]`)
	}
}

// An answer does not wait for the rest of a request that comes after.
func TestInlineAnswersBeforeItReads(t *testing.T) {
	t.Parallel()
	addr, _ := parking(t, fast.Limits{})
	p := fasttest.Dial(t, addr)
	next := fasttest.Request(fast.V2, 2, "ping", `[]`)
	for cut := range next {
		p.Write(append(fasttest.Request(fast.V2, 1, "ping", `[]`), next[:cut]...))
		p.Expect(fast.V2, fast.StatusEnd, 1, `[]`)
		p.Write(next[cut:])
		p.Expect(fast.V2, fast.StatusEnd, 2, `[]`)
	}
}

// An answer leaves in a while, even if whoever has run the request has other things to do before it flushes.
func TestInlineUnflushed(t *testing.T) {
	t.Parallel()
	addr, parked := parking(t, fast.Limits{})
	p := fasttest.Dial(t, addr)
	p.Request(fast.V2, 1, "park", `[]`)
	(<-parked).Resume()
	p.Expect(fast.V2, fast.StatusEnd, 1, `[]`)
}

// Who resumes a request whose client does not read is not kept.
func TestInlineSlowClient(t *testing.T) {
	t.Parallel()
	addr, parked := parking(t, fast.Limits{UnsentBytes: 1000})
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	p := fasttest.New(t, nc)
	big := `{"a":"` + strings.Repeat("x", 60<<10) + `"}`
	const requests, values = 20, 16 // more than the buffers of a socket take
	args := "[" + strings.Repeat(big+",", values-1) + big + "]"
	for id := range uint32(requests) {
		p.Request(fast.V2, id, "park", args)
	}
	var all []*strand.Strand
	for range requests { // before any is resumed: the server does not read on while answers wait
		all = append(all, <-parked)
	}
	for _, s := range all {
		if out := s.Resume(); out != nil {
			out.Flush()
		}
	}
	got := map[uint32]int{}
	for ended := 0; ended < requests; {
		m := p.Next()
		switch m.Status {
		case fast.StatusEnd:
			ended++
		case fast.StatusData:
			e, err := m.Envelope()
			if err != nil {
				t.Fatal(err)
			}
			for v := range e.D.Elements() {
				if got[m.ID]++; string(v) != big {
					t.Fatalf("request %d: another value came", m.ID)
				}
			}
		default:
			t.Fatalf("%v", m.Status)
		}
	}
	for id := range uint32(requests) {
		if got[id] != values {
			t.Errorf("request %d: %d values, want %d", id, got[id], values)
		}
	}
}
