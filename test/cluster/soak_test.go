package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kaizengarden/moray/core/client"
)

var (
	soakTime = flag.Duration("soak", 8*time.Second, "how long the soak takes")
	soakSeed = flag.Uint64("seed", 1, "seed of the soak: which faults, in which order")
)

// soakFaults are those after which a bed is as it was, so that they can come in any order.
var soakFaults = []fault{
	{name: "one backend killed", do: killBackend},
	{name: "all backends terminated", do: terminateBackends},
	{name: "PostgreSQL restarted", do: restart(syscall.SIGINT)},
	{name: "PostgreSQL's power cut", do: restart(syscall.SIGKILL)},
	{name: "read-only for a second", do: readOnly},
	{name: "PostgreSQL frozen for 2 s", do: frozen},
	{name: "ZooKeeper sessions expired", do: func(t testing.TB, b *bed, _ *load) time.Duration {
		for _, p := range b.proxies {
			if p.HasSession() {
				p.Expire(t)
			}
		}
		return 0
	}},
	{name: "ZooKeeper's leader killed", do: func(t testing.TB, b *bed, _ *load) time.Duration {
		leader := b.zk.Leader(t)
		b.zk.Kill(t, leader)
		b.zk.Start(t, leader)
		b.zk.Await(t)
		return 0
	}},
	{name: "torn states", do: func(t testing.TB, b *bed, l *load) time.Duration {
		tornStates(t, b, l)
		b.name(t, b.primary)
		return 0
	}},
	{name: "plugin killed", do: killPlugins},
	{name: "failover", do: func(t testing.TB, b *bed, l *load) time.Duration {
		defer b.rejoin(t)
		return failover(t, b, l)
	}},
	{name: "moray restarted", do: func(t testing.TB, b *bed, _ *load) time.Duration {
		b.morays[1].terminate(t)
		b.morays[1].start(t)
		b.morays[1].awaitReady(t)
		return 0
	}},
	{name: "moray killed", do: func(t testing.TB, b *bed, _ *load) time.Duration {
		b.morays[1].kill(t)
		b.morays[1].start(t)
		b.morays[1].awaitReady(t)
		return 0
	}},
}

// killPlugins ends the processes that run hooks.
func killPlugins(_ testing.TB, b *bed, _ *load) time.Duration {
	for _, m := range b.morays {
		signalAll(family(m.server.cmd.Process.Pid)[1:], syscall.SIGKILL)
	}
	return 0
}

// TestSoak mixes everything: writers with a ledger, all kinds of requests, hooks, definitions applied from files, and faults. In the
// end nothing may be lost, and nothing left over. make soak takes longer than the short form.
func TestSoak(t *testing.T) {
	t.Logf("seed %d, for %v", *soakSeed, *soakTime)
	b := newBed(t, 1, 3, 2)
	random := rand.New(rand.NewPCG(*soakSeed, 1))
	ctx, stop := context.WithCancel(context.Background())
	defer stop()

	b.warmUp(ctx)
	before := b.holdings(t)
	l := startLoad(t, b.addresses(), writers)
	counts := map[string]int{}
	var mu sync.Mutex // guards counts
	var others sync.WaitGroup
	for i := range 4 {
		others.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				own := map[string]int{}
				everything(ctx, b, i, own)
				mu.Lock()
				for name, count := range own {
					counts[name] += count
				}
				mu.Unlock()
			}
		})
	}
	others.Go(func() {
		for version := 1; ctx.Err() == nil; version++ {
			if apply(t, b, version) {
				mu.Lock()
				counts["apply"]++
				mu.Unlock()
			}
			pause(ctx)
		}
	})
	half := 0 // what the server that lives all along holds at half time
	for end := time.Now().Add(*soakTime); time.Now().Before(end); {
		l.goOn(t, 100)
		f := soakFaults[random.IntN(len(soakFaults))]
		f.do(t, b, l)
		if half == 0 && time.Until(end) < *soakTime/2 {
			half = b.morays[0].memory(t)
		}
		t.Logf("%s; the server that lives all along holds %d MB", f.name, b.morays[0].memory(t)>>20)
	}
	l.goOn(t, 100)
	stop()
	others.Wait()
	l.end()
	v := b.verdict(t, l.ledger)
	v.wantNothingLost(t)
	l.history.wantLinear(t)
	t.Logf("%d acknowledged, %d unknown, %d refused; longest without service %v; other requests %v", v.acked, v.unknown, v.refused, v.gap.Round(time.Millisecond), counts)
	if counts["apply"] == 0 {
		t.Error("no definition has been applied")
	}
	for method, count := range counts {
		if count == 0 {
			t.Errorf("no %s has succeeded", method)
		}
	}
	b.wantNothingLeft(t, before)
	if grown := b.morays[0].memory(t); grown > half+half/2+spareMemory {
		t.Errorf("the server that lives all along holds %d MB, and held %d MB at half time", grown>>20, half>>20)
	}
}

// warmUp makes the servers hold what they hold at most: connections to PostgreSQL, and what is made once.
func (b *bed) warmUp(ctx context.Context) {
	var all sync.WaitGroup
	for i := range 2 * writers {
		all.Go(func() { everything(ctx, b, i, map[string]int{}) })
	}
	all.Wait()
}

// everything makes a request of each kind, and counts those that succeed.
func everything(ctx context.Context, b *bed, i int, counts map[string]int) {
	c := client.New(client.Config{Addresses: rotated(b.addresses(), i), Connections: 1, DialTimeout: time.Second})
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTime)
	defer cancel()
	count := func(name string, err error) {
		counts[name] += 0 // it has been tried
		if err == nil {
			counts[name]++
		}
	}
	bucket, temporary := fmt.Sprintf("soak%d", i), fmt.Sprintf("temporary%d", i)
	index := json.RawMessage(`{"n":{"type":"number"},"t":{"type":"string"}}`)
	count("putBucket", c.PutBucket(ctx, bucket, &client.BucketConfig{Index: index, Options: json.RawMessage(`{"version":1}`)}, nil))
	hooked := &client.BucketConfig{Index: index, Options: json.RawMessage(`{"version":2}`), Pre: []json.RawMessage{
		json.RawMessage(`"function (req, cb) { req.value.t = 'hooked'; cb(); }"`),
	}}
	count("putBucket", c.PutBucket(ctx, bucket+"hooked", hooked, nil))
	count("createBucket", c.CreateBucket(ctx, temporary, &client.BucketConfig{}, nil))
	count("updateBucket", c.UpdateBucket(ctx, temporary, &client.BucketConfig{Index: index}, nil))
	_, err := c.PutObject(ctx, bucket, "a", json.RawMessage(`{"n":1,"t":"x"}`), nil)
	count("put", err)
	_, err = c.PutObject(ctx, bucket+"hooked", "a", json.RawMessage(`{"n":1}`), nil)
	count("hook", err)
	_, err = c.GetObject(ctx, bucket, "a", nil)
	count("get", err)
	_, err = c.Batch(ctx, []client.BatchRequest{
		{Bucket: bucket, Key: "b", Value: json.RawMessage(`{"n":2}`)}, {Operation: "delete", Bucket: bucket, Key: "b"},
	}, nil)
	count("batch", err)
	found := error(nil)
	for _, err := range c.FindObjects(ctx, bucket, "(n>=0)", nil) {
		found = err
	}
	count("find", found)
	_, err = c.UpdateObjects(ctx, bucket, json.RawMessage(`{"t":"y"}`), "(n>=0)", nil)
	count("update", err)
	_, err = c.ReindexObjects(ctx, bucket, 10, nil)
	count("reindex", err)
	for _, err := range c.SQL(ctx, "SELECT 1 AS one", nil, nil) {
		count("sql", err)
	}
	count("listen", hear(ctx, c, bucket))
	_, err = c.FindSQL(ctx, bucket, "(n>=0)", nil)
	count("findSQL", err)
	count("delete", c.DelObject(ctx, bucket, "a", nil))
	_, err = c.DeleteMany(ctx, bucket, "(n>=5)", nil)
	count("deleteMany", err)
	_, err = c.GetBucket(ctx, temporary, nil)
	count("getBucket", err)
	count("delBucket", c.DelBucket(ctx, temporary, nil))
	_, err = c.ListBuckets(ctx, nil)
	count("listBuckets", err)
	count("ping", c.Ping(ctx, &client.PingOptions{Deep: true}))
	_, err = c.Version(ctx, nil)
	count("version", err)
}

var errUnheard = errors.New("nothing is heard")

// hear listens until something is notified.
func hear(ctx context.Context, c *client.Client, channel string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var notify sync.WaitGroup
	defer notify.Wait()
	defer cancel()
	notify.Go(func() {
		for ctx.Err() == nil {
			_ = c.Notify(ctx, channel, "x", nil) // it is said again
			pause(ctx)
		}
	})
	for _, err := range c.Listen(ctx, channel, nil) {
		return err
	}
	return errUnheard
}

// apply brings a bucket in line with a file whose version grows, and reports whether it could. While PostgreSQL is away it cannot.
func apply(t testing.TB, b *bed, version int) bool {
	binary, err := morayBinary()
	if err != nil {
		t.Error(err)
		return false
	}
	dir := filepath.Join(b.morays[0].dir, "buckets.d")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Error(err)
		return false
	}
	text := fmt.Sprintf("apiVersion: moray/v1\nkind: Bucket\nmetadata:\n  name: applied\nspec:\n  version: %d\n  index:\n    n: {type: number}\n", version)
	if err := os.WriteFile(filepath.Join(dir, "applied.yaml"), []byte(text), 0o644); err != nil {
		t.Error(err)
		return false
	}
	cmd := exec.Command(binary, "buckets", "apply", "-f", b.morays[0].config, "-d", dir)
	cmd.Env = append(minimalEnv(dir), "MORAY_DB_NAME=moray")
	return cmd.Run() == nil // if not, the next one does the rest
}

// holdings is what the servers and PostgreSQL hold.
type holdings map[string]int

func (b *bed) holdings(t testing.TB) holdings {
	t.Helper()
	h := holdings{}
	for i, m := range b.morays {
		pid := m.server.cmd.Process.Pid
		files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		if err != nil {
			t.Fatal(err)
		}
		var goroutines int
		for line := range strings.Lines(metrics(t, m)) {
			if value, ok := strings.CutPrefix(line, "go_goroutines "); ok {
				fmt.Sscan(value, &goroutines)
			}
		}
		h[fmt.Sprintf("files of moray %d", i)] = len(files)
		h[fmt.Sprintf("goroutines of moray %d", i)] = goroutines
		h[fmt.Sprintf("processes of moray %d", i)] = len(family(pid))
	}
	var connections int
	fmt.Sscan(b.primary.query(t, "SELECT count(*) FROM pg_stat_activity WHERE usename = 'moray'"), &connections)
	h["connections to PostgreSQL"] = connections
	return h
}

// spareMemory is what a server may hold more than half as much again: garbage that is not collected yet.
const spareMemory = 32 << 20

// slack is what may be more than before: a connection that is being made again, a probe under way.
const slack = 8

// wantNothingLeft waits until no more is held than before.
func (b *bed) wantNothingLeft(t testing.TB, before holdings) {
	t.Helper()
	var after holdings
	left := func() (what string) {
		after = b.holdings(t)
		for name, n := range after {
			allowed := before[name] + slack
			if strings.HasPrefix(name, "processes") {
				allowed = before[name]
			}
			if n > allowed {
				return fmt.Sprintf("%d %s, %d before", n, name, before[name])
			}
		}
		return ""
	}
	for deadline := time.Now().Add(30 * time.Second); left() != ""; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("something is left over: %s", left())
			for _, m := range b.morays {
				m.server.signal(syscall.SIGQUIT) // it says what its goroutines do
				m.server.await(t, "moray")
				t.Logf("%s", tail(m.log()))
			}
			break
		}
	}
	t.Logf("held before %v, after %v", before, after)
}
