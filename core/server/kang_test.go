package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kaizengarden/moray/core/client"
	"github.com/kaizengarden/moray/core/monitor/browsertest"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/server/servertest"
)

// snapshot is what a test looks at of a kang snapshot.
type snapshot struct {
	Types   []string
	Cluster map[string]struct{ Kind, Primary string }
	Pool    map[string]struct {
		State, Primary, Problem string
		Limit, Idle, Busy       int
	}
	Bucket map[string]struct {
		Indexes []struct {
			Name, Type         string
			Unique, Reindexing bool
		}
		Reindexing, Drift bool
		Rows              *int
		Managed           *struct{ Source string }
		Problem           string
	}
	Job map[string]struct {
		Kind, Bucket, By, Problem string
		Indexes                   []string
		Remaining                 *int
		AtLeast                   bool
	}
}

func kang(t *testing.T, s *servertest.Server) (shot snapshot) {
	t.Helper()
	_, body := get(t, s, "/kang/snapshot")
	if err := json.Unmarshal([]byte(body), &shot); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return shot
}

// The snapshot shows the pool, the buckets, and the reindexing of one of them; the buckets stay while the database is gone.
func TestKang(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	proxy := pgtest.NewProxy(t, db)
	s := servertest.Start(t, proxy.URL(), servertest.Options{Pool: `{"maxConnections":3,"targetClaimDelay":500}`})
	c := dial(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	put := func(text string) {
		t.Helper()
		var config client.BucketConfig
		if err := json.Unmarshal([]byte(text), &config); err != nil {
			t.Fatal(err)
		}
		if err := c.PutBucket(ctx, "fruit", &config, nil); err != nil {
			t.Fatal(err)
		}
	}
	put(`{"index":{"name":{"type":"string","unique":true}},"options":{"version":1}}`)
	for i := range 5 {
		if _, err := c.PutObject(ctx, "fruit", fmt.Sprint(i), json.RawMessage(fmt.Sprintf(`{"name":"n%d","size":%d}`, i, i)), nil); err != nil {
			t.Fatal(err)
		}
	}
	put(`{"index":{"name":{"type":"string","unique":true},"size":{"type":"number"}},"options":{"version":2}}`)

	eventually(t, "the reindexing is shown", func() bool { return kang(t, s).Job["reindex/fruit"].Kind == "reindex" })
	shot := kang(t, s)
	if want := []string{"fastconnection", "fastrequest", "cluster", "pool", "bucket", "job", "slowrequest"}; !cmp.Equal(want, shot.Types) {
		t.Errorf("types are %q, want %q", shot.Types, want)
	}
	if primary := shot.Cluster["primary"]; primary.Kind != "static" || primary.Primary != proxy.Address() {
		t.Errorf("the primary is %+v", primary)
	}
	for id, pool := range shot.Pool {
		if len(id) != 36 || pool.State != "running" || pool.Limit != 3 || pool.Idle+pool.Busy == 0 || pool.Primary != proxy.Address() {
			t.Errorf("the pool %s is %+v", id, pool)
		}
	}
	fruit := shot.Bucket["fruit"]
	if len(fruit.Indexes) != 2 || !fruit.Indexes[0].Unique || fruit.Indexes[0].Reindexing || fruit.Indexes[1].Type != "number" ||
		!fruit.Indexes[1].Reindexing || !fruit.Reindexing || fruit.Managed != nil || fruit.Drift || fruit.Problem != "" {
		t.Errorf("the bucket is %+v", fruit)
	}
	job := shot.Job["reindex/fruit"]
	if job.Bucket != "fruit" || job.By != "clients" || job.Remaining == nil || *job.Remaining != 5 || job.AtLeast || !cmp.Equal(job.Indexes, []string{"size"}) {
		t.Errorf("the job is %+v", job)
	}

	for range 2 {
		if _, err := c.ReindexObjects(ctx, "fruit", 100, nil); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the reindexing is done", func() bool {
		shot = kang(t, s)
		return len(shot.Job) == 0 && !shot.Bucket["fruit"].Reindexing
	})

	proxy.Down()
	eventually(t, "the loss of the database is shown", func() bool {
		shot = kang(t, s)
		return shot.Job["overview"].Problem != "" && len(shot.Bucket) == 1
	})
	eventually(t, "the pool says so", func() bool {
		status, body := get(t, s, "/readyz")
		return status == http.StatusServiceUnavailable && strings.Contains(body, `"pool":{"ok":false,"message":"requests are refused at once`)
	})
	proxy.Up(t)
	eventually(t, "all is well again", func() bool { return len(kang(t, s).Job) == 0 })
}

// The status page shows what the server tells of itself.
func TestStatusPage(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, pgtest.New(t).URL(), servertest.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	c := dial(t, s)
	err := c.CreateBucket(ctx, "fruit", &client.BucketConfig{Index: json.RawMessage(`{"name":{"type":"string","unique":true}}`)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	dom := browsertest.Dump(t, "http://"+s.Monitor+"/")
	for _, want := range []string{
		"✓ postgresql", "✓ pool", "<td>createBucket</td>", `<span class="good">running</span>`, ">fruit<", ">string, unique<",
		"<dt>follows</dt><dd>static</dd>", `<span class="good">ready</span>`,
	} {
		if !strings.Contains(dom, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if t.Failed() {
		t.Log(dom)
	}
}
