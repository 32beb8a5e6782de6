package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/kaizengarden/moray/core/jsvalue"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/reconcile"
)

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// running is a reconciler that runs, and its directory.
type running struct {
	*reconcile.Reconciler
	t     *testing.T
	bed   *bed
	ended chan error
	stop  context.CancelFunc

	metrics *prometheus.Registry
}

// start runs a reconciler of a directory with a file a.yaml of brief documents, until the test ends.
func (b *bed) start(t *testing.T, text string, change func(*reconcile.Reconciler)) *running {
	t.Helper()
	metrics := prometheus.NewRegistry()
	r := &running{t: t, bed: b, ended: make(chan error, 1), metrics: metrics, Reconciler: &reconcile.Reconciler{
		Directory: t.TempDir(), Mode: reconcile.ModeApply, Store: b.store, Cache: b.buckets.Cache, By: "a test",
		Log: slog.New(slog.DiscardHandler), Metrics: reconcile.NewMetrics(metrics),
	}}
	if change != nil {
		change(r.Reconciler)
	}
	r.write("a.yaml", brief(text))
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	go func() { r.ended <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-r.ended
	})
	return r
}

// write replaces a file at once.
func (r *running) write(name, text string) {
	r.t.Helper()
	path := filepath.Join(r.Directory, name)
	if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		r.t.Fatal(err)
	}
}

// inLine waits until all is done that the files say.
func (r *running) inLine(what string) {
	r.t.Helper()
	defer func() {
		if r.t.Failed() {
			r.t.Logf("the status is %+v", r.Status())
		}
	}()
	eventually(r.t, what, func() bool {
		documents, err := reconcile.ReadDir(r.Directory)
		return err == nil && strings.HasPrefix(r.bed.plan(documents), "No changes") && r.Status().Impaired() == "" && !r.Status().Done.IsZero()
	})
}

// impaired waits until the status says something.
func (r *running) impaired(text string) {
	r.t.Helper()
	eventually(r.t, fmt.Sprintf("the status says %q", text), func() bool { return strings.Contains(r.Status().Impaired(), text) })
}

// metric returns the values of a gauge by bucket.
func (r *running) metric(name string) string {
	r.t.Helper()
	families, err := r.metrics.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	var values []string
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name {
				values = append(values, fmt.Sprintf("%s=%v", label(m), m.GetGauge().GetValue()))
			}
		}
	}
	return strings.Join(values, " ")
}

func label(m *dto.Metric) string {
	for _, l := range m.GetLabel() {
		return l.GetValue()
	}
	return ""
}

// end returns the error with which Run ends by itself.
func (r *running) end() error {
	r.t.Helper()
	select {
	case err := <-r.ended:
		r.ended <- err
		return err
	case <-time.After(time.Minute):
		r.t.Fatal("the reconciler does not end")
		return nil
	}
}

// What the files say is applied at the start, and when they change.
func TestReconciler(t *testing.T) {
	t.Parallel()
	r := newBed(t).start(t, "users version=1 login=string", nil)
	r.inLine("the bucket is made")
	r.write("a.yaml", brief("users version=2 login=string email=string"))
	r.inLine("the bucket is changed")
	r.write("b.yaml", brief("others x=number"))
	r.inLine("the other bucket is made")
	if err := os.Remove(filepath.Join(r.Directory, "b.yaml")); err != nil {
		t.Fatal(err)
	}
	r.write("a.yaml", "users: [broken")
	r.impaired("definitions are not applied: " + filepath.Join(r.Directory, "a.yaml") + ":1:1: not YAML")
	if got := r.bed.db.Strings(t, "SELECT name FROM buckets_config ORDER BY 1"); strings.Join(got, " ") != "others users" {
		t.Errorf("buckets are %s", got)
	}
	r.write("a.yaml", brief("users version=2 login=string email=string\nmore x=number"))
	r.inLine("all is well again")
	if got := r.bed.db.Strings(t, "SELECT applied_by, source FROM _moray.managed WHERE bucket = 'more'")[0]; got != "a test|a.yaml" {
		t.Errorf("the record is %s", got)
	}
}

// Through the link that Kubernetes swaps, and in directories below.
func TestReconcilerConfigMap(t *testing.T) {
	t.Parallel()
	r := newBed(t).start(t, "plain x=number", nil)
	r.inLine("the bucket is made")
	revision := func(name, text string) {
		t.Helper()
		dir := filepath.Join(r.Directory, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "users.yaml"), []byte(brief(text)), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(name, filepath.Join(r.Directory, "..tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(r.Directory, "..tmp"), filepath.Join(r.Directory, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	revision("..r1", "users version=1 a=string")
	if err := os.Symlink("..data/users.yaml", filepath.Join(r.Directory, "users.yaml")); err != nil {
		t.Fatal(err)
	}
	r.inLine("the first revision is applied")
	revision("..r2", "users version=2 a=string b=string")
	r.inLine("the second revision is applied")
	if got := r.bed.db.Strings(t, "SELECT options FROM buckets_config WHERE name = 'users'")[0]; got != `{"version":2}` {
		t.Errorf("options %s", got)
	}
	if err := os.MkdirAll(filepath.Join(r.Directory, "deeper", "still"), 0o755); err != nil {
		t.Fatal(err)
	}
	r.write("deeper/still/c.yaml", brief("deep x=number"))
	eventually(t, "the bucket of a new directory is made", func() bool {
		return len(r.bed.db.Strings(t, "SELECT name FROM buckets_config WHERE name = 'deep'")) == 1
	})
}

// A directory that is a link, as git-sync keeps it.
func TestReconcilerLink(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	point := func(name, text string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(parent, name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(parent, name, "a.yaml"), []byte(brief(text)), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(name, filepath.Join(parent, "new")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(parent, "new"), filepath.Join(parent, "current")); err != nil {
			t.Fatal(err)
		}
	}
	point("r1", "users version=1 a=string")
	r := newBed(t).start(t, "users version=1 a=string", func(r *reconcile.Reconciler) { r.Directory = filepath.Join(parent, "current") })
	r.inLine("the first revision is applied")
	point("r2", "users version=2 a=string b=string")
	r.inLine("the second revision is applied")
}

// Nothing is lost by a server: what loses something, whoever allows it, is left to somebody.
func TestReconcilerHarmless(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.apply(b.applier().Planner, brief("users version=1 login=string\nold version=5\nflip a=string\ngone version=1 delete"))
	b.apply(b.applier().Planner, brief("flip a=string b=string"))
	b.put("users", "k", `{"login":"x"}`)
	before := b.state()
	r := b.start(t, "users version=2 allow=drop-index=login\nold version=4\nflip a=string", nil)
	r.impaired("users: filters that use the index login are refused afterwards: only moray buckets apply does it, with --allow drop-index=users.login")
	r.impaired("old: version 4 is older than the live version 5")
	r.impaired("flip: another definition was applied in its place since")
	if after := b.state(); after != before {
		t.Errorf("a server changed the database from\n%s to\n%s", before, after)
	}
	if got := r.metric("moray_bucket_pending"); got != "flip=1 old=1 users=1" {
		t.Errorf("the metric says %s", got)
	}
	documents, err := reconcile.ReadDir(r.Directory)
	if err != nil {
		t.Fatal(err)
	}
	a := b.applier()
	a.Only = []string{"users"}
	if _, err := a.Apply(t.Context(), documents, nil); err != nil {
		t.Fatal(err)
	}
	r.Notice()
	eventually(t, "somebody has done it", func() bool { return len(r.Status().Pending) == 2 })
}

// A server that only checks says what differs and does nothing.
func TestReconcilerCheck(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	r := b.start(t, "users version=1 login=string", func(r *reconcile.Reconciler) { r.Mode = reconcile.ModeCheck })
	r.impaired("users: differs: index login (string)")
	if got := b.db.Strings(t, "SELECT name FROM buckets_config"); len(got) > 0 {
		t.Errorf("buckets were made: %s", got)
	}
}

// What a client changes is seen.
func TestReconcilerDrift(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	r := b.start(t, "users version=1 login=string", nil)
	r.inLine("the bucket is made")
	if err := b.buckets.Update(t.Context(), "users", jsvalue.Value(`{"index":{"login":{"type":"string"}},"options":{"version":7}}`), false); err != nil {
		t.Fatal(err)
	}
	r.Notice()
	r.impaired("users: a client changed the bucket since a.yaml was applied on")
	if got := r.metric("moray_bucket_drift"); got != "users=1" {
		t.Errorf("the metric says %s", got)
	}
	r.write("a.yaml", brief("users version=8 login=string"))
	r.inLine("the file is newer")
}

// With Exit a server does not start with files that it cannot apply, and never ends later.
func TestReconcilerExit(t *testing.T) {
	t.Parallel()
	exit := func(r *reconcile.Reconciler) { r.Exit = true }
	t.Run("broken", func(t *testing.T) {
		t.Parallel()
		b := newBed(t)
		err := b.start(t, "users x=strnig", exit).end()
		if invalid := (*reconcile.InvalidError)(nil); !errors.As(err, &invalid) {
			t.Errorf("it ends with %v", err)
		}
	})
	t.Run("no directory", func(t *testing.T) {
		t.Parallel()
		b := newBed(t)
		r := b.start(t, "", func(r *reconcile.Reconciler) { exit(r); r.Mode = reconcile.ModeOff })
		r.stop()
		if err := r.end(); err != nil {
			t.Errorf("a reconciler that is off ends with %v", err)
		}
		gone := &reconcile.Reconciler{Directory: filepath.Join(t.TempDir(), "gone"), Mode: reconcile.ModeApply, Exit: true, Store: b.store, Log: slog.New(slog.DiscardHandler)}
		if err := gone.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "no such file or directory") {
			t.Errorf("it ends with %v", err)
		}
	})
	t.Run("destructive", func(t *testing.T) {
		t.Parallel()
		b := newBed(t)
		b.apply(b.applier().Planner, brief("users version=1 login=string"))
		if err := b.start(t, "users version=2", exit).end(); err == nil || !strings.Contains(err.Error(), "wait for somebody") {
			t.Errorf("it ends with %v", err)
		}
	})
	t.Run("older", func(t *testing.T) {
		t.Parallel()
		b := newBed(t)
		b.apply(b.applier().Planner, brief("users version=2 login=string"))
		r := b.start(t, "users version=1\nnew version=1", exit)
		r.impaired("older than the live version")
		r.write("a.yaml", "- broken")
		r.impaired("should be an object")
		r.stop()
		if err := r.end(); err != nil {
			t.Errorf("it ends with %v", err)
		}
	})
	t.Run("no database", func(t *testing.T) {
		t.Parallel()
		db := pgtest.New(t)
		proxy := pgtest.NewProxy(t, db)
		proxy.Down()
		b := bedAt(t, db, proxy.URL())
		r := b.start(t, "users version=1", exit)
		r.impaired("ECONNREFUSED")
		proxy.Up(t)
		r.bed = bedAt(t, db, db.URL())
		r.inLine("the database is there")
	})
}

// Who has to wait for another one applies when that has ended, and does no harm meanwhile.
func TestReconcilerWaits(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	other := bedAt(t, b.db, b.db.URL())
	release := make(chan struct{})
	held := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- other.store.Exclusively(context.Background(), -1, func(func() error) error {
			close(held)
			<-release
			return nil
		})
	}()
	<-held
	r := b.start(t, "users version=1 login=string", nil)
	eventually(t, "the reconciler waits", func() bool {
		return b.db.Strings(t, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'SELECT pg_try_advisory_lock%' AND state = 'idle'`)[0] == "2"
	})
	if got := b.db.Strings(t, "SELECT count(*) FROM buckets_config")[0]; got != "0" {
		t.Errorf("%s buckets were made", got)
	}
	close(release)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	r.inLine("it is the reconciler's turn")
}

// BenchmarkStart is what a start with 1,000 definitions costs that are applied already.
func BenchmarkStart(b *testing.B) {
	bed := newBed(b)
	dir := b.TempDir()
	var text strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&text, "bucket_%d version=1", i)
		for j := range 12 {
			fmt.Fprintf(&text, " index_%d=string", j)
		}
		text.WriteByte('\n')
	}
	if err := os.WriteFile(filepath.Join(dir, "a.yaml"), []byte(brief(text.String())), 0o644); err != nil {
		b.Fatal(err)
	}
	documents, err := reconcile.ReadDir(dir)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := bed.applier().Apply(b.Context(), documents, nil); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		documents, err := reconcile.ReadDir(dir)
		if err != nil {
			b.Fatal(err)
		}
		plan, err := bed.applier().Make(b.Context(), documents)
		if err != nil || plan.Verdict() != reconcile.InLine || len(plan.Unchanged) != 1000 {
			b.Fatalf("%+v, %v", plan, err)
		}
	}
}
