package rpc

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/kaizengarden/moray/core/fast"
	"github.com/kaizengarden/moray/core/fault"
	"github.com/kaizengarden/moray/core/object"
)

// Journal notes requests when they are done: each one in the access log, if the log's level lets it through, the slow ones in the
// log and in memory, and in the audit log those that change buckets, or anything. It is safe for concurrent use. A nil Journal notes nothing.
type Journal struct {
	Log   *slog.Logger
	Audit *slog.Logger // gets a record for each change of a bucket and each sql, if the settings say so
	// Tracer may be nil.
	Tracer Tracer

	settings atomic.Pointer[JournalSettings]

	mu   sync.Mutex // guards slow
	slow []Done     // a ring, oldest at next
	next int
}

// JournalSettings may change at any time.
type JournalSettings struct {
	Access slog.Level    // of the access log's records
	Slow   time.Duration // requests that take as long are slow; 0: none is
	Audit  bool
}

// Set changes the settings, which are none before.
func (j *Journal) Set(s JournalSettings) { j.settings.Store(&s) }

func (j *Journal) audits() bool {
	if j == nil {
		return false
	}
	s := j.settings.Load()
	return s != nil && s.Audit
}

// Done is a request that has ended.
type Done struct {
	Method  string
	Request string // its id: the client's, or one of our own
	Client  string // address
	Conn    uint64 // number of the client's connection
	Message uint32 // number of the request on the connection
	Bucket  string // "" if it names none
	Began   time.Time
	Took    time.Duration
	Err     error // what the client was told; nil for success
	Trail   object.Trail
}

// keptSlow is how many slow requests are kept, and maxKeptText how much of the SQL of each, in bytes.
const (
	keptSlow    = 100
	maxKeptText = 2 << 10
)

// Slow returns the slow requests that were noted last, the last one first.
func (j *Journal) Slow() []Done {
	j.mu.Lock()
	defer j.mu.Unlock()
	all := append(slices.Clone(j.slow[j.next:]), j.slow[:j.next]...)
	slices.Reverse(all)
	return all
}

// Tracer is told of requests in all detail.
type Tracer interface {
	// Traces reports whether the single steps of a request are to be kept.
	Traces(requestID string) bool
	// Record gets the requests for which Traces said so, when they are done.
	Record(*Done)
}

// begin prepares the trail of a request whose options are known. With traces each request has an id.
func (j *Journal) begin(c *call) {
	if j == nil || j.Tracer == nil {
		return
	}
	if c.options.requestID == "" {
		c.options.requestID = uuid.NewString()
	}
	c.trail.Detailed = j.Tracer.Traces(c.options.requestID)
}

// done notes a request. Those that last until the client ends them are not slow.
func (j *Journal) done(c *call, err error) {
	if j == nil {
		return
	}
	s := j.settings.Load()
	if s == nil {
		return
	}
	took := time.Since(c.request.Received())
	access := j.Log.Enabled(context.Background(), s.Access)
	slow := s.Slow > 0 && took >= s.Slow && c.request.Method != "listen"
	if !access && !slow && !c.trail.Detailed {
		return
	}
	d := Done{
		Method: c.request.Method, Request: c.options.requestID, Client: c.request.RemoteAddr(), Conn: c.request.Conn(),
		Message: c.request.ID, Bucket: c.caller.Bucket, Began: c.request.Received(), Took: took, Err: reply(err), Trail: c.trail,
	}
	if d.Request == "" {
		d.Request = uuid.NewString()
	}
	if slow {
		j.Log.Warn("slow request", append(d.attrs(), d.phases()...)...)
		j.keep(d)
	} else if access {
		j.Log.Log(context.Background(), s.Access, "request done", d.attrs()...)
	}
	if d.Trail.Detailed {
		j.Tracer.Record(&d)
	}
}

func (j *Journal) keep(d Done) {
	d.Trail.Steps = nil
	d.Trail.Slowest.Text = cut(d.Trail.Slowest.Text)
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.slow) < keptSlow {
		j.slow = append(j.slow, d)
		return
	}
	j.slow[j.next] = d
	j.next = (j.next + 1) % keptSlow
}

// attrs are the attributes of a record in the log. Spec: the names are those of the original's other records.
func (d *Done) attrs() []any {
	attrs := []any{"component", "fast", "req_id", d.Request, "route", d.Method, "client", d.Client, "connId", d.Conn, "msgid", d.Message}
	if d.Bucket != "" {
		attrs = append(attrs, "bucket", d.Bucket)
	}
	attrs = append(attrs, "latency", millis(d.Took))
	if d.Err != nil {
		attrs = append(attrs, "err", d.Err)
	}
	return attrs
}

// phases are the attributes that say what the time was spent on, in milliseconds. The rest is our own, or was spent on sending to the
// client.
func (d *Done) phases() []any {
	var attrs []any
	for p := range object.Phases {
		attrs = append(attrs, p.String(), millis(d.Trail.Spent[p]))
	}
	attrs = append(attrs, "statements", d.Trail.Statements)
	if d.Trail.Statements > 0 {
		attrs = append(attrs, "slowest", millis(d.Trail.Slowest.Took), "statement", cut(d.Trail.Slowest.Text))
	}
	return attrs
}

func cut(text string) string { return text[:min(len(text), maxKeptText)] }

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// ErrorName returns the name of the error that the client was told; "" for success.
func (d *Done) ErrorName() string {
	if answer := (*fast.Error)(nil); errors.As(d.Err, &answer) {
		return answer.Name
	}
	if d.Err != nil {
		return string(fault.Internal)
	}
	return ""
}
