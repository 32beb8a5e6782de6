package main

import (
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	systemSlack = 50_000    // ns, what a process has that nobody gave another one
	serverSlack = 1_000_000 // ns
)

// relaxTimers lets the timers of the process be late by a millisecond. Go's runtime has a thread that sleeps for 20 µs at a time
// while there is work: to the microsecond, that thread alone is a tenth of a busy server's CPU time. A thread can change only
// its own timers, and hands its setting on to those that it starts and through execve, so the program is started again in its
// place. A slack that somebody chose stays, such as that of systemd's TimerSlackNSec.
func relaxTimers() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	slack, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil || slack != systemSlack || unix.Prctl(unix.PR_SET_TIMERSLACK, serverSlack, 0, 0, 0) != nil {
		return
	}
	if program, err := os.Executable(); err == nil {
		syscall.Exec(program, os.Args, os.Environ()) //nolint:errcheck // because without it the server is slower, and else the same
	}
}
