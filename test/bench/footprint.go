package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// footprint is what a server takes.
type footprint struct {
	program           int64         // bytes of the file
	start             time.Duration // from its start until it is ready; the median
	idle, many, after int64         // bytes of memory: after the start, the peak with 512 gets in flight, with all buckets in use
}

const starts = 5

// measureStart starts servers.
func (g *growing) measureStart(ctx context.Context) error {
	info, err := os.Stat(g.config.program)
	if err != nil {
		return err
	}
	g.footprint.program = info.Size()
	var took []time.Duration
	for range starts {
		begin := time.Now()
		s, err := startServer(ctx, g.config.program, "", g.dir, g.pg.DSN(role, database), g.config.connections)
		if err != nil {
			return err
		}
		took = append(took, time.Since(begin))
		if err := s.stop(); err != nil {
			return err
		}
	}
	slices.Sort(took)
	g.footprint.start = took[starts/2]
	return nil
}

// measureLoaded takes the server's memory under load.
func (g *growing) measureLoaded(ctx context.Context) (err error) {
	if g.footprint.after, err = memoryOf(g.server.pid()); err != nil {
		return err
	}
	if err := resetPeak(g.server.pid()); err != nil {
		return err
	}
	_, err = g.work(ctx, 512, 0, func(r *rand.Rand) error {
		_, err := g.client.GetObject(ctx, "bucket_"+strconv.Itoa(r.IntN(g.most)), key(r.IntN(bucketObjects)), nil)
		return err
	})
	if err != nil {
		return err
	}
	g.footprint.many, err = peakOf(g.server.pid())
	return err
}

// memoryOf returns the memory that a process has, peakOf the most that it had since resetPeak.
func memoryOf(pid int) (int64, error) { return statusOf(pid, "VmRSS:") }
func peakOf(pid int) (int64, error)   { return statusOf(pid, "VmHWM:") }

func resetPeak(pid int) error {
	return os.WriteFile(filepath.Join("/proc", strconv.Itoa(pid), "clear_refs"), []byte("5"), 0)
}

// statusOf reads a line of /proc/PID/status, which counts in KiB.
func statusOf(pid int, name string) (int64, error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0, err
	}
	_, rest, _ := bytes.Cut(text, []byte(name))
	var n int64
	if _, err := fmt.Sscan(string(rest), &n); err != nil {
		return 0, fmt.Errorf("%s in /proc: %w", name, err)
	}
	return n << 10, nil
}
