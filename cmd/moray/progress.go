package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/kaizengarden/moray/core/bucket"
)

// progress tells somebody who waits how far something is: on a terminal in one line that changes, else in a line every now and
// then. It is safe for concurrent use.
type progress struct {
	w        io.Writer
	terminal bool
	now      func() time.Time

	mu      sync.Mutex // guards all below
	what    string
	begin   time.Time // of what
	from    int64     // Done at the beginning
	last    time.Time // when something was last written
	written bool      // the line on the terminal is not empty
}

// linePeriod is how often a line is written where there is no terminal, redrawPeriod how often the line on one changes.
const (
	linePeriod   = 10 * time.Second
	redrawPeriod = 100 * time.Millisecond
)

func newProgress(w io.Writer) *progress {
	return &progress{w: w, terminal: onTerminal(w), now: time.Now}
}

// show tells how far a bucket is.
func (p *progress) show(name string, at bucket.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if what := name + ": " + at.What; what != p.what {
		p.what, p.begin, p.from, p.last = what, now, at.Done, time.Time{}
	}
	period := linePeriod
	if p.terminal {
		period = redrawPeriod
	}
	if now.Sub(p.last) < period && (at.Total == 0 || at.Done < at.Total) {
		return
	}
	p.last = now
	line := p.line(at, now)
	if !p.terminal {
		fmt.Fprintln(p.w, line)
		return
	}
	fmt.Fprintf(p.w, "\r\x1b[K%s", line)
	p.written = true
}

// clear removes the line, before something else is written.
func (p *progress) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.written {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.written = false
	}
	p.what = ""
}

// line words how far it is: a bar, the share, the rate, the time left.
func (p *progress) line(at bucket.Progress, now time.Time) string {
	var parts []string
	if at.Total > 0 {
		share := min(float64(at.Done)/float64(at.Total), 1)
		if p.terminal {
			const width = 30
			full := int(share * width)
			parts = append(parts, "["+strings.Repeat("#", full)+strings.Repeat(".", width-full)+"]")
		}
		parts = append(parts, fmt.Sprintf("%3.0f %%", share*100))
	}
	amount := fmt.Sprintf("%d", at.Done)
	if at.Total > 0 {
		amount += fmt.Sprintf(" of %d", at.Total)
	}
	parts = append(parts, amount+" "+at.Unit)
	if elapsed := now.Sub(p.begin).Seconds(); elapsed > 0 && at.Done > p.from {
		rate := float64(at.Done-p.from) / elapsed
		parts = append(parts, fmt.Sprintf("%.0f/s", rate))
		if left := at.Total - at.Done; left > 0 {
			parts = append(parts, (time.Duration(float64(left)/rate)*time.Second).String()+" left")
		}
	}
	return fmt.Sprintf("%s  %s", p.what, strings.Join(parts, "  "))
}
