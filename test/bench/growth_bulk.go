package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	moray "github.com/kaizengarden/moray/core/client"
)

// bulkResult is one operation about many objects.
type bulkResult struct {
	name    string
	objects int
	record
	serverPeak, toolPeak int64 // bytes of memory, 0 for what took no part
}

// loadedObjects is how many objects are loaded and reindexed: enough for a rate.
const loadedObjects = 100_000

// measureBulk measures what goes over whole buckets.
func (g *growing) measureBulk(ctx context.Context) error {
	most, some := g.config.rows, min(loadedObjects, g.config.rows)
	dumped := filepath.Join(g.dir, "dump.ndjson")
	for _, m := range []struct {
		name    string
		objects int
		do      func() (toolPeak int64, err error)
	}{
		{"find of everything", most, func() (int64, error) { return 0, g.stream(ctx, bucketName(most), most) }},
		{"moray dump", most, func() (int64, error) { return g.tool(ctx, "dump", bucketName(most)) }},
		{"moray dump, one of the smaller", some, func() (int64, error) { return g.tool(ctx, "dump", bucketName(some), "-o", dumped) }},
		{"moray load", some, func() (int64, error) { return g.tool(ctx, "load", dumped) }},
		{"moray load, over what is there", some, func() (int64, error) { return g.tool(ctx, "load", dumped) }},
		{"reindexObjects, 1000 at a time", some, func() (int64, error) { return 0, g.reindex(ctx, "copied", some) }},
	} {
		fmt.Fprintf(g.progress, "%s, %d objects\n", m.name, m.objects)
		if err := resetPeak(g.server.pid()); err != nil {
			return err
		}
		before, err := g.usage()
		if err != nil {
			return err
		}
		b := bulkResult{name: m.name, objects: m.objects}
		if b.toolPeak, err = m.do(); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		after, err := g.usage()
		if err != nil {
			return err
		}
		b.Count, b.Seconds = m.objects, after.at.Sub(before.at).Seconds()
		b.Rate = float64(b.Count) / b.Seconds
		b.setUsage(after.sub(before))
		if b.serverPeak, err = peakOf(g.server.pid()); err != nil {
			return err
		}
		g.bulk = append(g.bulk, b)
		if m.name == "moray dump, one of the smaller" {
			if err := rename(dumped, bucketName(some), "copied"); err != nil {
				return err
			}
		}
	}
	return nil
}

// rename gives a dump another bucket.
func rename(file, from, to string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	old, recent := []byte(`{"bucket":"`+from+`"`), []byte(`{"bucket":"`+to+`"`)
	return os.WriteFile(file, bytes.ReplaceAll(text, old, recent), 0o600)
}

// stream finds all objects of a bucket.
func (g *growing) stream(ctx context.Context, bucket string, least int) error {
	n := 0
	o := moray.FindOptions{SelectOptions: moray.SelectOptions{NoLimit: true}, NoCount: true}
	for _, err := range g.client.FindObjects(ctx, bucket, "(size>=0)", &o) {
		if err != nil {
			return err
		}
		n++
	}
	if n < least {
		return fmt.Errorf("found %d objects of %d", n, least)
	}
	return nil
}

// tool runs the program as a client, and returns the most memory that it took.
func (g *growing) tool(ctx context.Context, args ...string) (peak int64, err error) {
	cmd := exec.CommandContext(ctx, g.config.program, args...)
	cmd.Env = append(os.Environ(), "MORAY_URL=tcp://"+g.server.address)
	var told bytes.Buffer
	cmd.Stderr = &told // standard output goes nowhere
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("%w\n%s", err, told.Bytes())
	}
	used, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0, errors.New("the system does not tell what a process used")
	}
	return used.Maxrss << 10, nil
}

// reindex gives a bucket one more index, and fills it.
func (g *growing) reindex(ctx context.Context, bucket string, objects int) error {
	config := moray.BucketConfig{
		Index:   []byte(`{"name":{"type":"string"},"size":{"type":"number"},"active":{"type":"boolean"},"owner":{"type":"uuid"}}`),
		Options: []byte(`{"version":1}`),
	}
	if err := g.client.UpdateBucket(ctx, bucket, &config, nil); err != nil {
		return err
	}
	for n, begin := 0, time.Now(); ; {
		done, err := g.client.ReindexObjects(ctx, bucket, 1000, &moray.ReindexOptions{NoCount: true})
		if err != nil {
			return err
		}
		if n += done.Processed; done.Processed == 0 {
			if n < objects {
				return fmt.Errorf("reindexed %d objects of %d in %v", n, objects, time.Since(begin))
			}
			return nil
		}
	}
}
