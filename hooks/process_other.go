//go:build !linux

package hooks

import (
	"errors"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// sysProcAttr puts a plugin into a process group of its own. Plugins built with the SDK notice themselves that the server is gone.
func sysProcAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// restrict sets the limits of a process that was just started.
func restrict(_ int, l Limits) error {
	if l.OpenFiles != 0 || l.AddressSpace != 0 {
		return errors.New("limits of open files and address space need Linux")
	}
	return nil
}

// residentBytes returns how much memory a process has in use.
func residentBytes(pid int) (uint64, error) {
	out, err := exec.Command("ps", "-o", "rss=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return 0, err
	}
	kib, err := strconv.ParseUint(strings.TrimSpace(string(out)), 10, 64)
	return kib << 10, err
}
