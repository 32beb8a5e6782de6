package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/kaizengarden/moray/core/client"
	"github.com/kaizengarden/moray/core/cluster/zktest"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/server/servertest"
)

// bed is a database behind two addresses, which stand for two servers, and a place in ZooKeeper that says which is the primary.
type bed struct {
	db   *pgtest.DB
	a, b *pgtest.Proxy
	zk   *zktest.Tree
}

func newBed(t *testing.T) *bed {
	t.Helper()
	db := pgtest.New(t)
	return &bed{db: db, a: pgtest.NewProxy(t, db), b: pgtest.NewProxy(t, db), zk: zktest.New(t)}
}

// patroni is the member of a configuration that follows a Patroni cluster through the given ZooKeeper servers.
func (b *bed) patroni(servers ...string) string {
	return fmt.Sprintf(`"patroni":{"url":"tcp://moray@/%s","pg":{"maxConnections":3,"targetClaimDelay":3000},"patroni":{"path":"%s","zk":{"connStr":"%s"}}}`,
		b.db.Name, b.zk.Root, strings.Join(servers, ","))
}

// leader writes what Patroni does when a member becomes the leader.
func (b *bed) leader(t *testing.T, name string, at *pgtest.Proxy, timeline int) {
	t.Helper()
	b.zk.Set(t, "members/"+name, fmt.Sprintf(`{"conn_url":"postgres://%s/postgres","role":"master","state":"running","timeline":%d}`, at.Address(), timeline))
	b.zk.Set(t, "sync", fmt.Sprintf(`{"leader":"%s","sync_standby":"other"}`, name))
	b.zk.Set(t, "leader", name)
}

func get(t *testing.T, s *servertest.Server, path string) (status int, body string) {
	t.Helper()
	resp, err := http.Get("http://" + s.Monitor + path)
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

func dial(t *testing.T, s *servertest.Server) *client.Client {
	t.Helper()
	c := client.New(client.Config{Addresses: []string{s.Addr}})
	t.Cleanup(c.Close)
	return c
}

// TestCluster starts a server without ZooKeeper and without PostgreSQL, lets both appear, and changes the primary.
func TestCluster(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	zk := zktest.NewProxy(t, b.zk, 0)
	zk.Down()
	b.a.Down()
	s := servertest.Start(t, "", servertest.Options{Database: b.patroni(zk.Address())})
	notReady := func(text string) {
		t.Helper()
		var status int
		var body string
		eventually(t, "it says that it is not ready: "+text, func() bool {
			status, body = get(t, s, "/readyz")
			return status == http.StatusServiceUnavailable && strings.Contains(body, text)
		})
	}
	notReady(`"cluster":{"ok":false,"message":"no primary is known: zookeeper://` + zk.Address() + b.zk.Root + `: no server answers: dial tcp`)
	zk.Up(t)
	notReady(`no member holds ` + b.zk.Path("leader"))
	b.leader(t, "n1", b.a, 1)
	notReady(`"postgresql":{"ok":false,"message":"connect to ` + b.a.Address())
	b.a.Up(t)
	eventually(t, "it is ready", func() bool { status, _ := get(t, s, "/readyz"); return status == http.StatusOK })

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c := dial(t, s)
	if err := c.CreateBucket(ctx, "b", &client.BucketConfig{}, nil); err != nil {
		t.Fatal(err)
	}
	put := func(key string) {
		t.Helper()
		if _, err := c.PutObject(ctx, "b", key, json.RawMessage(`{"n":1}`), nil); err != nil {
			t.Fatal(err)
		}
	}
	put("before")
	heard, ended := make(chan string, 10), make(chan error, 1)
	go func() { ended <- listen(ctx, c, heard) }()
	eventually(t, "a notification is heard", func() bool {
		b.db.Exec(t, "NOTIFY news, 'one'")
		return len(heard) > 0
	})

	b.leader(t, "n2", b.b, 2)
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "Postgres client failed: Connection terminated unexpectedly") {
		t.Errorf("the listen ended with %v", err)
	}
	put("after")
	eventually(t, "nothing is left at the old primary", func() bool { return b.a.Cut() == 0 })

	zk.Down() // the primary stays
	put("without ZooKeeper")
	if status, body := get(t, s, "/readyz"); status != http.StatusOK {
		t.Errorf("without ZooKeeper it is not ready: %s", body)
	}
	eventually(t, "the loss of ZooKeeper is told", func() bool {
		_, body := get(t, s, "/metrics")
		return strings.Contains(body, "moray_cluster_connected{") && sample(t, body, "moray_cluster_connected") == "0"
	})
	_, body := get(t, s, "/metrics")
	for name, want := range map[string]string{
		"moray_cluster_generation": "2", "moray_cluster_primary_changes_total": "2", "moray_cluster_states_ignored_total": "0",
		"moray_cluster_sync_standby": "1", "moray_cluster_primary": "1",
	} {
		if got := sample(t, body, name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	var shot struct {
		Types   []string
		Cluster map[string]struct {
			Kind, Primary, Standby string
			Generation             int
			Since                  time.Time
		}
	}
	_, body = get(t, s, "/kang/snapshot")
	if err := json.Unmarshal([]byte(body), &shot); err != nil {
		t.Fatal(err)
	}
	primary := shot.Cluster["primary"]
	if primary.Kind != "patroni" || primary.Primary != b.b.Address() || primary.Generation != 2 || primary.Standby != "other" || primary.Since.IsZero() {
		t.Errorf("kang shows %+v of types %q", primary, shot.Types)
	}
}

// listen passes on what is notified until the listen ends.
func listen(ctx context.Context, c *client.Client, heard chan<- string) error {
	for n, err := range c.Listen(ctx, "news", nil) {
		if err != nil {
			return err
		}
		heard <- n.Payload
	}
	return nil
}

// sample returns the value of a metric that has one series.
func sample(t *testing.T, body, name string) string {
	t.Helper()
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, name+"{") {
			return strings.TrimSpace(line[strings.LastIndexByte(line, ' '):])
		}
	}
	t.Errorf("there is no metric %s", name)
	return ""
}

// TestManatee runs with a configuration of the original's. Its state may name hosts, and even the server itself.
func TestManatee(t *testing.T) {
	b := newBed(t)
	t.Setenv("MORAY_DB_NAME", b.db.Name)
	s := servertest.Start(t, "", servertest.Options{Database: fmt.Sprintf(`"manatee":{"pg":{"user":"moray","connectTimeout":4000,"maxConnections":2},
		"manatee":{"path":"%s","zk":{"connStr":"%s","opts":{"sessionTimeout":60000,"spinDelay":1000,"retries":2}}}}`,
		b.zk.Root, strings.Join(b.zk.Servers(), ","))})
	state := func(generation int, address string) {
		t.Helper()
		b.zk.Set(t, "state", fmt.Sprintf(`{"generation":%d,"primary":{"pgUrl":"tcp://postgres@%s/postgres"},"sync":null,"async":[]}`, generation, address))
	}
	_, port, _ := strings.Cut(b.a.Address(), ":")
	state(1, "localhost:"+port)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c := dial(t, s)
	ping := func() {
		t.Helper()
		if err := c.Ping(ctx, &client.PingOptions{Deep: true}); err != nil {
			t.Fatal(err)
		}
	}
	ping()
	state(2, s.Addr) // which speaks another protocol
	eventually(t, "it says that the primary is none", func() bool {
		_, body := get(t, s, "/readyz")
		return strings.Contains(body, "connect to "+s.Addr)
	})
	b.zk.Set(t, "state", "{")
	state(3, b.b.Address())
	ping()
	if b.b.Cut() == 0 {
		t.Error("nothing is connected to the primary")
	}
}

// TestSeveralServers finds the primary among servers that are written down.
func TestSeveralServers(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := servertest.Start(t, "", servertest.Options{Database: fmt.Sprintf(`"standalone":{"pg":{"maxConnections":2,"targetClaimDelay":3000},"url":"tcp://moray@%s,%s/%s"}`,
		b.a.Address(), b.b.Address(), b.db.Name)})
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c := dial(t, s)
	for _, down := range []*pgtest.Proxy{b.a, b.b, b.a} {
		down.Down()
		if err := c.Ping(ctx, &client.PingOptions{Deep: true}); err != nil {
			t.Fatal(err)
		}
		down.Up(t)
	}
}
