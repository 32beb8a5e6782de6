package bulk

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"math"
	"os"
	"sync"
	"time"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/client"
	"github.com/kaizengarden/moray/core/jsvalue"
)

// Load stores what a dump holds.
type Load struct {
	Client *client.Client
	In     *Input
	// Resume goes on where an interrupted load has come to. Without it there must not have been one.
	Resume bool
	// State is the file that keeps how far the load is; "" for the one beside the input. A pipe has none.
	State string
	// Concurrency is how many objects are under way at once.
	Concurrency int
	// Rate bounds the objects a second; 0 is no bound.
	Rate int
	// Patience is how long to wait for a server that does not answer.
	Patience time.Duration
	// KeepExisting leaves objects as they are whose keys are there.
	KeepExisting bool
	// KeepDefinition leaves buckets as they are that are there with another definition.
	KeepDefinition bool
	// NewEtags leaves objects with the etags that the server gives them, which are checksums of their values.
	NewEtags bool
	// SkipErrors goes on after lines that cannot be loaded.
	SkipErrors bool
	Reports

	ledger  *ledger
	bucket  string    // of the lines that are read
	objects int64     // lines of objects of it
	began   time.Time // to be compared with the share of the input that was read
	stop    chan struct{}
	once    sync.Once // closes stop
	err     error     // the first; written before stop is closed
	outage  sync.Mutex
	told    time.Time // when somebody was told of an outage; outage guards it
}

// Result is what a load has done.
type Result struct {
	Objects  int64 `json:"objects"`  // lines
	Existing int64 `json:"existing"` // of them: left as they were
	Etags    int64 `json:"etags"`    // got the etag of the line, which is not their checksum
	Changed  int64 `json:"changed"`  // were stored otherwise, by hooks
	Failed   int64 `json:"failed"`
	// Resumable says that a load with Resume goes on where this one has ended.
	Resumable bool `json:"-"`
}

// LineError is what was wrong with a line.
type LineError struct {
	Line        int64
	Bucket, Key string // "" if there is none
	Err         error
}

// Error names the line, the bucket and the key.
func (e *LineError) Error() string {
	text := fmt.Sprintf("line %d", e.Line)
	if e.Bucket != "" {
		text += ", bucket " + e.Bucket
	}
	if e.Key != "" {
		text += ", key " + e.Key
	}
	return text + ": " + e.Err.Error()
}

// Unwrap returns what was wrong.
func (e *LineError) Unwrap() error { return e.Err }

// ErrPart is the error of a dump that was loaded and does not have its end.
var ErrPart = errors.New("the dump ends in the middle of a bucket")

// Run loads the input. Lines with the same key are stored in their order, others in any. After an error, all lines before it were
// stored or are under way, and what was stored is known to the next Run with Resume; it may store the lines again that were
// under way, which changes nothing but their mtime.
func (l *Load) Run(ctx context.Context) (*Result, error) {
	at, err := l.begin(ctx)
	if err != nil {
		return nil, err
	}
	l.ledger = newLedger(*at)
	l.bucket, l.objects, l.stop = at.Bucket, at.Objects, make(chan struct{})
	saved := make(chan struct{})
	go func() {
		defer close(saved)
		l.save()
	}()
	jobs, workers := l.workers(ctx)
	err = l.read(ctx, jobs)
	for _, c := range jobs {
		close(c)
	}
	workers.Wait() // also after an error: what stands before the line is stored
	l.fail(err)    // without an error it only ends save
	<-saved
	end := l.ledger.checkpoint()
	err = l.finish(&end)
	end.Result.Resumable = err != nil && l.State != "" && end.Line > 0
	return &end.Result, err
}

// begin finds out where to begin.
func (l *Load) begin(ctx context.Context) (*checkpoint, error) {
	fresh := &checkpoint{First: l.In.first}
	if l.In.file == nil {
		if l.Resume {
			return nil, errors.New("only the load of a file can be resumed")
		}
		return fresh, nil
	}
	if l.State == "" {
		l.State = l.In.statePath()
	}
	at, err := readCheckpoint(l.State)
	switch {
	case err != nil:
		return nil, err
	case at != nil && !l.Resume:
		return nil, fmt.Errorf("a load of %s was interrupted at line %d: --resume goes on, removing %s begins anew", l.In.name, at.Line+1, l.State)
	case at == nil && l.Resume:
		l.notice("%s is not there: beginning with the first line", l.State)
		return fresh, nil
	case at == nil:
		return fresh, nil
	}
	if err := l.In.skip(at); err != nil {
		return nil, err
	}
	if at.Bucket != "" {
		return at, l.expect(ctx, at.Bucket)
	}
	return at, nil
}

// save writes the state once a second.
func (l *Load) save() {
	if l.State == "" {
		<-l.stop
		return
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			c := l.ledger.checkpoint()
			if err := c.write(l.State); err != nil {
				l.fail(fmt.Errorf("keep how far the load is: %w", err))
			}
		case <-l.stop:
			return
		}
	}
}

// finish keeps the state of a load that is to be resumed, and removes that of one that has ended.
func (l *Load) finish(end *checkpoint) error {
	if l.State == "" {
		return l.err
	}
	if l.err == nil || end.Line == 0 {
		if err := os.Remove(l.State); !errors.Is(err, fs.ErrNotExist) {
			return errors.Join(l.err, err)
		}
		return l.err
	}
	if err := end.write(l.State); err != nil {
		return errors.Join(l.err, fmt.Errorf("keep how far the load is: %w", err))
	}
	return l.err
}

// fail ends the load with an error, or nil, if it has not ended yet.
func (l *Load) fail(err error) {
	l.once.Do(func() {
		l.err = err
		close(l.stop)
		l.ledger.wake()
	})
}

func (l *Load) stopped() bool {
	select {
	case <-l.stop:
		return true
	default:
		return false
	}
}

// read reads lines and hands out their objects.
func (l *Load) read(ctx context.Context, jobs []chan job) error {
	seed, pace := maphash.MakeSeed(), newPace(l.Rate)
	l.began = time.Now()
	for {
		text, err := l.In.next()
		if errors.Is(err, io.EOF) {
			l.ledger.drain(l.stopped)
			if l.bucket != "" {
				return fmt.Errorf("%w: after %d objects of %s", ErrPart, l.objects, l.bucket)
			}
			return nil
		}
		if err != nil {
			return &LineError{Line: l.In.line + 1, Err: err}
		}
		line, err := parseLine(text)
		o, isObject := line.(object)
		if err == nil && !isObject {
			if err = l.turn(ctx, line); err != nil {
				return &LineError{Line: l.In.line, Err: err}
			}
			continue
		}
		if err == nil {
			err = l.check(&o)
		}
		l.objects++ // a line that cannot be read was one, too
		l.ledger.begin(l.behind())
		if err != nil {
			if err = l.bad(l.In.line, l.bucket, o.key, final(err)); err != nil {
				return err
			}
			l.ledger.end(l.In.line, nil)
			continue
		}
		if err := pace.wait(ctx); err != nil {
			return err
		}
		select {
		case jobs[maphash.String(seed, o.key)%uint64(len(jobs))] <- job{l.In.line, l.bucket, o}:
		case <-l.stop:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
		if l.objects%progress == 0 {
			l.report()
		}
	}
}

// check refuses what the server would refuse, or cut its connection for.
func (l *Load) check(o *object) error {
	switch {
	case l.bucket == "":
		return errors.New("an object before the line of a bucket")
	case o.value.Kind() != jsvalue.KindObject:
		return errors.New(`the "value" is missing or not an object`)
	}
	return nil
}

// behind is the place behind the line that was read last.
func (l *Load) behind() checkpoint {
	return checkpoint{Line: l.In.line, Offset: l.In.offset, Bucket: l.bucket, Objects: l.objects}
}

// turn goes from a bucket to the next.
func (l *Load) turn(ctx context.Context, line any) error {
	l.ledger.drain(l.stopped)
	if l.stopped() {
		return nil
	}
	switch line := line.(type) {
	case opening:
		if l.bucket != "" {
			return fmt.Errorf("%w: after %d objects of %s comes %s", ErrPart, l.objects, l.bucket, line.bucket)
		}
		if err := l.define(ctx, line); err != nil {
			return fmt.Errorf("bucket %s: %w", line.bucket, err)
		}
		l.bucket, l.objects = line.bucket, 0
	case closing:
		if line.bucket != l.bucket || line.objects != l.objects {
			return fmt.Errorf("lines are missing: this is the end of %d objects of %s, and there were %d of %s", line.objects, line.bucket, l.objects, orNone(l.bucket))
		}
		l.report()
		l.bucket, l.objects = "", 0
	}
	l.ledger.pass(l.behind())
	return nil
}

func orNone(bucket string) string {
	if bucket == "" {
		return "no bucket"
	}
	return bucket
}

func (l *Load) report() {
	if l.Progress == nil {
		return
	}
	done := l.ledger.result().Objects
	at := bucket.Progress{What: "loading", Done: done, Unit: "objects"}
	if share := l.In.share(); share > 0 {
		at.Total = max(roughly(float64(done)/share), done+1) // who waits should not read that it is done
	}
	l.Progress(l.bucket, at)
}

// roughly keeps two digits of an estimate.
func roughly(n float64) int64 {
	unit := math.Pow10(max(int(math.Log10(max(n, 1)))-1, 0))
	return int64(math.Ceil(n/unit) * unit)
}
