package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/fault"
)

// The modes of a [Reconciler].
const (
	ModeOff   = "off"   // does nothing
	ModeCheck = "check" // says what differs
	ModeApply = "apply" // applies what needs no consent
)

// Reconciler keeps the buckets of a database in line with the files of a directory: when it starts, when a file changes, and when
// it is told to. Many servers may do so on one database. One that has to wait for another does so without harm, and so does one
// whose files are older: a bucket never goes back.
//
// It never does what has to be allowed, whoever allows it. Set the fields before Run.
type Reconciler struct {
	Directory string
	Mode      string
	Exit      bool // Run ends with an error if the files are wrong at the start, or define what cannot be applied
	Store     Store
	Triggers  bucket.Triggers
	Cache     *bucket.Cache
	By        string // who notes what it applies
	Log       *slog.Logger
	Metrics   *Metrics

	once   sync.Once
	wake   chan struct{} // that there is something to look at
	mu     sync.Mutex    // guards status
	status Status
	// What the last look logged, and what this one does; of the goroutine of Run.
	said, saying map[string]bool
}

// Status is how far a [Reconciler] is.
type Status struct {
	Directory, Mode, Revision string
	// Problem says what is wrong: with the files, or on the way to the database; empty if nothing is.
	Problem string
	// Pending are changes that wait for somebody, by bucket: why.
	Pending map[string]string
	// Drift says of managed buckets how a client changed them, by bucket.
	Drift   map[string]string
	Defined int       // definitions
	Done    time.Time // when all that it may do was last done
}

const (
	// firstPause is how long the reconciler waits after a first failure; further ones double it, up to lookPeriod.
	firstPause = 2 * time.Second
	// lookPeriod is how often it looks without a notice: original servers send none when they change a bucket.
	lookPeriod = time.Minute
)

// settled is how long the reconciler waits after a notice, for others that come with it.
const settled = 200 * time.Millisecond

func (r *Reconciler) init() {
	r.once.Do(func() {
		r.wake = make(chan struct{}, 1)
		r.status = Status{Directory: r.Directory, Mode: r.Mode}
	})
}

// Notice tells the reconciler to look again: at its files and at the buckets. It does not wait.
func (r *Reconciler) Notice() {
	r.init()
	select {
	case r.wake <- struct{}{}:
	default: // it was told already
	}
}

// Status returns how far it is.
func (r *Reconciler) Status() Status {
	r.init()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status
}

// Run reconciles until ctx ends; then it returns nil. With Exit it may end with an error at the start.
func (r *Reconciler) Run(ctx context.Context) error {
	r.init()
	if r.Mode == ModeOff {
		<-ctx.Done()
		return nil
	}
	var watching sync.WaitGroup
	defer watching.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watching.Go(func() { watch(ctx, r.Directory, r.Log, r.Notice) })

	pause := firstPause
	for started := false; ; {
		err := r.reconcile(ctx)
		if ctx.Err() != nil {
			return nil
		}
		again := lookPeriod
		switch {
		case err != nil && !lasting(err): // the database is not there: that says nothing about the files
			again, pause = pause, min(2*pause, lookPeriod)
		case err != nil && r.Exit && !started:
			return err
		default:
			started, pause = true, firstPause
		}
		if !r.sleep(ctx, again) {
			return nil
		}
	}
}

// sleep waits for a notice, and for so long at most. It reports false when ctx ends.
func (r *Reconciler) sleep(ctx context.Context, at time.Duration) bool {
	timer := time.NewTimer(at)
	defer timer.Stop()
	for wake := r.wake; ; wake = nil {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		case <-wake:
			timer.Reset(settled)
		}
	}
}

// errPending says that the files define what is not applied without somebody's doing.
var errPending = errors.New("definitions wait for somebody: see moray buckets plan")

// lasting reports whether an error stays until somebody changes something.
func lasting(err error) bool {
	if errors.As(err, new(*InvalidError)) || errors.Is(err, errPending) || errors.Is(err, errUnreadable) {
		return true
	}
	f := fault.From(err)
	return f != nil && (refusal(f) || f.Name == fault.UniqueAttribute || f.Name == fault.InvalidIndexType)
}

// outcome names how a look ended.
func outcome(err error) string {
	switch {
	case err == nil:
		return "done"
	case errors.Is(err, errPending):
		return "pending"
	case errors.As(err, new(*InvalidError)), errors.Is(err, errUnreadable):
		return "invalid"
	}
	return "failed"
}

// errUnreadable says that the files could not be read.
var errUnreadable = errors.New("the definitions cannot be read")

// reconcile looks once. Its error has been said.
func (r *Reconciler) reconcile(ctx context.Context) error {
	r.said, r.saying = r.saying, map[string]bool{}
	revision := Revision(r.Directory)
	documents, err := ReadDir(r.Directory)
	if err != nil && !errors.As(err, new(*InvalidError)) {
		err = fmt.Errorf("%w: %w", errUnreadable, err)
	}
	var plan *Plan
	var skipped []*Change
	if err == nil {
		plan, skipped, err = r.bringInLine(ctx, documents, revision)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	err = r.conclude(ctx, documents, plan, skipped, err)
	r.update(func(s *Status) {
		s.Revision, s.Problem = revision, ""
		if err != nil && !errors.Is(err, errPending) {
			s.Problem = err.Error()
		}
	})
	r.Metrics.outcome(r.Status(), outcome(err))
	return err
}

// bringInLine makes a plan, and applies what it may of it. Without changes it is one query.
func (r *Reconciler) bringInLine(ctx context.Context, documents []*Document, revision string) (*Plan, []*Change, error) {
	a := &Applier{
		Planner: &Planner{
			Store: r.Store, Triggers: r.Triggers, Rows: surveyedRows, Directory: r.Directory, Revision: revision, By: r.By,
		},
		Cache: r.Cache, Wait: -1, Partly: true, Harmless: true,
		Applied: func(c *Change, took time.Duration) {
			r.Log.InfoContext(ctx, "definition applied", "bucket", c.Bucket, "source", c.Source, "took", took)
			r.Metrics.applied()
		},
	}
	plan, err := a.Make(ctx, documents)
	if err != nil {
		return nil, nil, err
	}
	var skipped []*Change
	for _, c := range plan.Changes {
		if a.skips(c) || r.Mode == ModeCheck {
			skipped = append(skipped, c)
		}
	}
	if r.Mode == ModeCheck || len(skipped) == len(plan.Changes) && len(plan.quiet) == 0 {
		return plan, skipped, nil
	}
	result, err := a.Apply(ctx, documents, nil)
	if result == nil {
		return plan, skipped, err
	}
	return result.Plan, result.Skipped, err
}

// surveyedRows is how many objects of a bucket a server looks at for what does not fit a new definition.
const surveyedRows = 100_000

// conclude notes what a look came to. The error is errPending if only somebody can do the rest.
func (r *Reconciler) conclude(ctx context.Context, documents []*Document, plan *Plan, skipped []*Change, err error) error {
	if err != nil {
		r.say(ctx, slog.LevelError, "definitions are not applied", "err", err.Error())
		return err
	}
	pending := map[string]string{}
	for _, c := range skipped {
		pending[c.Bucket] = c.reason()
		r.say(ctx, slog.LevelWarn, "definition not applied", "bucket", c.Bucket, "source", c.Source, "reason", c.reason())
		if !c.Stale && !c.Superseded && c.Blocked() {
			err = errPending
		}
	}
	r.update(func(s *Status) {
		s.Pending, s.Drift, s.Defined, s.Done = pending, plan.drifts, len(documents), time.Now()
	})
	for name, how := range plan.drifts {
		r.say(ctx, slog.LevelWarn, "bucket differs from its definition", "bucket", name, "how", how)
	}
	return err
}

// reason says why a server leaves a change to somebody.
func (c *Change) reason() string {
	switch {
	case c.Refused != "":
		return c.Refused
	case c.Superseded:
		return "another definition was applied in its place since"
	}
	for _, g := range c.Guards {
		return g.Why + ": only moray buckets apply does it, with --allow " + g.Consent.String()
	}
	var texts []string
	for _, i := range c.Items {
		texts = append(texts, i.Text)
	}
	return "differs: " + strings.Join(texts, "; ")
}

// say logs something that the last look did not.
func (r *Reconciler) say(ctx context.Context, level slog.Level, message string, args ...any) {
	key := fmt.Sprint(append([]any{message}, args...)...)
	if !r.said[key] && !r.saying[key] {
		r.Log.Log(ctx, level, message, args...)
	}
	r.saying[key] = true
}

func (r *Reconciler) update(change func(*Status)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.status)
}

// Impaired says for people what is wrong, or waits for them; it is empty if nothing is.
func (s Status) Impaired() string {
	var parts []string
	if s.Problem != "" {
		parts = append(parts, "definitions are not applied: "+s.Problem)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Pending)) {
		parts = append(parts, name+": "+s.Pending[name])
	}
	for _, name := range slices.Sorted(maps.Keys(s.Drift)) {
		parts = append(parts, name+": "+s.Drift[name])
	}
	return strings.Join(parts, "; ")
}
