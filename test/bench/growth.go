package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	moray "github.com/kaizengarden/moray/core/client"
)

const (
	grownValue    = 250  // bytes of the objects that are counted
	bucketObjects = 1000 // in each bucket of those that are counted
	grownInFlight = 16
)

// grown is what an operation cost in buckets of some size, or in so many buckets.
type grown struct {
	Operation string
	X         int // objects, or buckets
	record
}

// growing measures how the cost grows.
type growing struct {
	*bed
	client   *moray.Client
	dir      string
	window   time.Duration
	most     int // buckets
	progress io.Writer

	byRows, byBuckets []grown
	bulk              []bulkResult
	footprint         footprint
}

// growth measures, prints the tables and writes the plot.
func growth(ctx context.Context, o *options, stdout, stderr io.Writer) error {
	var g *growing
	err := withDatabase(ctx, o.bed, stderr, func(ctx context.Context, b *bed, dir string) error {
		g = &growing{bed: b, dir: dir, window: o.window, most: o.buckets, progress: stderr}
		return g.run(ctx)
	})
	if err != nil {
		return err
	}
	if err := g.report(stdout); err != nil || o.out == "" {
		return err
	}
	return os.WriteFile(o.out, g.plot(), 0o644)
}

func (g *growing) run(ctx context.Context) (err error) {
	if err := g.measureStart(ctx); err != nil {
		return err
	}
	if g.server, err = startServer(ctx, g.config.program, "", g.dir, g.pg.DSN(role, database), g.config.connections); err != nil {
		return err
	}
	g.client = moray.New(moray.Config{Addresses: []string{g.server.address}, Connections: 4})
	defer func() {
		g.client.Close()
		err = errors.Join(err, g.server.stop())
	}()
	if g.footprint.idle, err = memoryOf(g.server.pid()); err != nil {
		return err
	}
	if err := g.setSync(ctx, "on"); err != nil {
		return err
	}
	if err := g.buckets(ctx); err != nil {
		return err
	}
	if err := g.measureLoaded(ctx); err != nil {
		return err
	}
	for n := 1000; n <= g.config.rows; n *= 10 {
		if err := g.rows(ctx, n); err != nil {
			return err
		}
	}
	return g.measureBulk(ctx)
}

// rows measures operations in a bucket of n objects.
func (g *growing) rows(ctx context.Context, n int) error {
	name := bucketName(n)
	fmt.Fprintf(g.progress, "%d objects in a bucket\n", n)
	if err := g.fillBucket(ctx, name, n); err != nil {
		return err
	}
	all, err := g.operations(ctx, n, 1, n, func(*rand.Rand) string { return name })
	g.byRows = append(g.byRows, all...)
	return err
}

// buckets measures operations in 1 to the most buckets.
func (g *growing) buckets(ctx context.Context) error {
	made := 0
	for n := 1; n <= g.most; n *= 10 {
		fmt.Fprintf(g.progress, "%d buckets\n", n)
		for ; made < n; made++ {
			if err := g.fillBucket(ctx, "bucket_"+strconv.Itoa(made), bucketObjects); err != nil {
				return err
			}
		}
		all, err := g.operations(ctx, n, n, bucketObjects, func(r *rand.Rand) string { return "bucket_" + strconv.Itoa(r.IntN(n)) })
		if err != nil {
			return err
		}
		g.byBuckets = append(g.byBuckets, all...)
	}
	return nil
}

// fillBucket makes a bucket of n objects. Indexes are built behind the rows, which is quicker.
func (g *growing) fillBucket(ctx context.Context, name string, n int) error {
	var config moray.BucketConfig
	config.Index = []byte(`{"name":{"type":"string"},"size":{"type":"number"},"active":{"type":"boolean"}}`)
	if err := g.client.CreateBucket(ctx, name, &config, nil); err != nil {
		return err
	}
	var indexes [][2]string
	if n > bucketObjects {
		rows, err := g.admin.Query(ctx, `SELECT indexname, indexdef FROM pg_indexes WHERE tablename = $1 AND indexname <> $1 || '_pkey'`, name)
		if err != nil {
			return err
		}
		indexes, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (i [2]string, err error) {
			err = row.Scan(&i[0], &i[1])
			return i, err
		})
		if err != nil {
			return err
		}
	}
	for _, i := range indexes {
		if _, err := g.admin.Exec(ctx, `DROP INDEX `+i[0]); err != nil {
			return err
		}
	}
	if err := g.copy(ctx, name, newObjects(0, n, grownValue)); err != nil {
		return err
	}
	for _, i := range indexes {
		if _, err := g.admin.Exec(ctx, i[1]); err != nil {
			return err
		}
	}
	_, err := g.admin.Exec(ctx, `VACUUM (ANALYZE) `+name)
	return err
}
