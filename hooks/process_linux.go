package hooks

import (
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// sysProcAttr puts a plugin into a process group of its own, and has the kernel kill it when the server is gone.
func sysProcAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// restrict sets the limits of a process that was just started.
func restrict(pid int, l Limits) error {
	for _, r := range []struct {
		resource int
		value    uint64
	}{{unix.RLIMIT_NOFILE, l.OpenFiles}, {unix.RLIMIT_AS, l.AddressSpace}, {unix.RLIMIT_CORE, 0}} {
		if r.value == 0 && r.resource != unix.RLIMIT_CORE {
			continue
		}
		if err := unix.Prlimit(pid, r.resource, &unix.Rlimit{Cur: r.value, Max: r.value}, nil); err != nil {
			return os.NewSyscallError("prlimit", err)
		}
	}
	// When memory runs out the kernel should take a plugin, not the server or the database.
	return os.WriteFile("/proc/"+strconv.Itoa(pid)+"/oom_score_adj", []byte("500"), 0)
}

// residentBytes returns how much memory a process has in use.
func residentBytes(pid int) (uint64, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0, nil // it is ending
	}
	pages, err := strconv.ParseUint(fields[1], 10, 64)
	return pages * uint64(os.Getpagesize()), err
}
