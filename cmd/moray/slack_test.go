package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// printSlack is a command of scripts that prints how late the timers of a server's process may be, in ns, and its arguments.
func printSlack() {
	relaxTimers()
	slack, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	fmt.Println(slack, err, os.Args[1:], os.Getenv("LEFT"))
}
