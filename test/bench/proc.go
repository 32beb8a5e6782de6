package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// tick is the unit of the times in /proc: USER_HZ is 100 on every Linux.
const tick = 10 * time.Millisecond

// usage is CPU time that was used up to a moment.
type usage struct {
	server   time.Duration // the moray process
	postgres time.Duration // the postmaster and all its children, also those that ended
	client   time.Duration // this process and its children that ended: pgbench
	busy     time.Duration // the whole machine, over all cores
	at       time.Time
}

// sub returns what was used since then. at is the moment of the end.
func (u usage) sub(then usage) usage {
	return usage{u.server - then.server, u.postgres - then.postgres, u.client - then.client, u.busy - then.busy, u.at}
}

func readUsage(server, postmaster int) (u usage, err error) {
	u.at = time.Now()
	stat, err := readStat(server)
	if err != nil {
		return u, fmt.Errorf("CPU time of the server: %w", err)
	}
	u.server = stat.own
	if u.postgres, err = familyTime(postmaster); err != nil {
		return u, fmt.Errorf("CPU time of PostgreSQL: %w", err)
	}
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var r syscall.Rusage
		if err := syscall.Getrusage(who, &r); err != nil {
			return u, fmt.Errorf("CPU time of the client: %w", err)
		}
		u.client += time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return u, err
	}
	u.busy, err = parseBusy(text)
	return u, err
}

// stat is what one process used.
type stat struct {
	parent int
	own    time.Duration
	reaped time.Duration // its children that ended and were waited for
}

func readStat(pid int) (stat, error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return stat{}, err
	}
	return parseStat(text)
}

// parseStat reads /proc/PID/stat. The second field is the name in parentheses, which may hold anything.
func parseStat(text []byte) (stat, error) {
	_, rest, found := cutLast(text, ')')
	fields := bytes.Fields(rest)
	if !found || len(fields) < 15 {
		return stat{}, fmt.Errorf("not a process's stat: %q", text)
	}
	var numbers [5]int64 // ppid, utime, stime, cutime, cstime: fields 4 and 14 to 17 of proc(5)
	for i, at := range []int{1, 11, 12, 13, 14} {
		n, err := strconv.ParseInt(string(fields[at]), 10, 64)
		if err != nil {
			return stat{}, fmt.Errorf("not a process's stat: %w", err)
		}
		numbers[i] = n
	}
	return stat{
		parent: int(numbers[0]),
		own:    time.Duration(numbers[1]+numbers[2]) * tick,
		reaped: time.Duration(numbers[3]+numbers[4]) * tick,
	}, nil
}

func cutLast(text []byte, sep byte) (before, after []byte, found bool) {
	if i := bytes.LastIndexByte(text, sep); i >= 0 {
		return text[:i], text[i+1:], true
	}
	return text, nil, false
}

// familyTime returns what a process and all its children used. A child that ends meanwhile moves from one account to another,
// so both are read again until nothing has moved.
func familyTime(parent int) (time.Duration, error) {
	for {
		before, err := readStat(parent)
		if err != nil {
			return 0, err
		}
		children, err := childrenTime(parent)
		if err != nil {
			return 0, err
		}
		after, err := readStat(parent)
		if err != nil {
			return 0, err
		}
		if before.reaped == after.reaped {
			return after.own + after.reaped + children, nil
		}
	}
}

func childrenTime(parent int) (sum time.Duration, err error) {
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	for _, path := range all {
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // it has ended
		}
		if err != nil {
			return 0, err
		}
		s, err := parseStat(text)
		if err != nil {
			return 0, err
		}
		if s.parent == parent {
			sum += s.own
		}
	}
	return sum, nil
}

// parseBusy reads the first line of /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal. (Guest time is part of
// user time.)
func parseBusy(text []byte) (time.Duration, error) {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	fields := bytes.Fields(line)
	if len(fields) < 9 || string(fields[0]) != "cpu" {
		return 0, fmt.Errorf("not the machine's stat: %q", line)
	}
	var sum time.Duration
	for i, field := range fields[1:9] {
		n, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("not the machine's stat: %w", err)
		}
		if i != 3 && i != 4 { // idle and iowait
			sum += time.Duration(n) * tick
		}
	}
	return sum, nil
}
