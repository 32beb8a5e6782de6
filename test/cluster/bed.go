package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kaizengarden/moray/core/client"
	"github.com/kaizengarden/moray/core/cluster/zktest"
)

// bed is what faults happen to: replication by hand, whose state is written as Manatee writes it, and moray servers that follow it.
type bed struct {
	*replication
	primary *node
	zk      *zktest.Ensemble
	tree    *zktest.Tree
	proxies []*zktest.Proxy // between moray and each ZooKeeper server
	morays  []*moray

	generation int
}

// newBed starts everything.
func newBed(t testing.TB, standbys, zooKeepers, morays int) *bed {
	t.Helper()
	return newBedOn(t, newReplication(t, standbys, nil), zooKeepers, morays)
}

func newBedOn(t testing.TB, r *replication, zooKeepers, morays int) *bed {
	t.Helper()
	b := &bed{replication: r, zk: zktest.NewEnsemble(t, zooKeepers)}
	b.tree = b.zk.Tree(t)
	var addresses []string
	for i := range zooKeepers {
		p := zktest.NewProxy(t, b.tree, i)
		b.proxies = append(b.proxies, p)
		addresses = append(addresses, p.Address())
	}
	b.name(t, b.nodes[0])
	database := fmt.Sprintf(`"manatee":{"pg":{"user":"moray","connectTimeout":1000,"maxConnections":8},`+
		`"manatee":{"path":"%s","zk":{"connStr":"%s","opts":{"sessionTimeout":30000}}}}`, b.tree.Root, strings.Join(addresses, ","))
	for range morays {
		b.morays = append(b.morays, newMoray(t, database))
	}
	for _, m := range b.morays {
		m.awaitReady(t)
	}
	createBuckets(t, b.morays[0].address())
	return b
}

// createBuckets makes what the load writes to.
func createBuckets(t testing.TB, server string) {
	t.Helper()
	c := client.New(client.Config{Addresses: []string{server}, Connections: 1})
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, name := range []string{ledgerBucket, chainBucket, hotBucket} {
		if err := c.CreateBucket(ctx, name, &client.BucketConfig{}, nil); err != nil {
			t.Fatalf("make the bucket %s: %v", name, err)
		}
	}
}

// name makes a node the primary in the cluster's state.
func (b *bed) name(t testing.TB, primary *node) {
	t.Helper()
	b.primary = primary
	b.generation++
	b.tree.Set(t, "state", fmt.Sprintf(`{"generation":%d,"primary":{"id":"%[2]s","pgUrl":"tcp://postgres@%[2]s/postgres"},"sync":null,"async":[],`+
		`"deposed":[],"initWal":"0/0"}`, b.generation, primary.address()))
}

func (b *bed) addresses() []string {
	var all []string
	for _, m := range b.morays {
		all = append(all, m.address())
	}
	return all
}

// verdict reads what is stored on the primary and compares it with what clients were told.
func (b *bed) verdict(t testing.TB, l *ledger) verdict {
	t.Helper()
	return l.check(stored(t, b.primary))
}

// stored reads the ledger and the chains.
func stored(t testing.TB, n *node) (etags map[string]string, chains map[string]int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, n.url("moray"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	etags, chains = map[string]string{}, map[string]int{}
	rows, err := conn.Query(ctx, "SELECT _key, _etag::text FROM "+ledgerBucket)
	if err != nil {
		t.Fatal(err)
	}
	var key, text string
	if _, err := pgx.ForEachRow(rows, []any{&key, &text}, func() error { etags[key] = text; return nil }); err != nil {
		t.Fatal(err)
	}
	if rows, err = conn.Query(ctx, "SELECT _key, _value FROM "+chainBucket); err != nil {
		t.Fatal(err)
	}
	if _, err := pgx.ForEachRow(rows, []any{&key, &text}, func() error {
		var value struct{ N int }
		err := json.Unmarshal([]byte(text), &value)
		chains[key] = value.N
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return etags, chains
}

// timed returns how long something takes.
func timed(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}
