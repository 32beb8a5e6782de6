package sdk

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/kaizengarden/moray/hooks/internal/wire"
)

// handshake is the stdout on which the server expects the handshake, and nothing else. Whatever a plugin prints before, also from C
// or a child process, goes to stderr, which is logged.
var handshake = reserveStdout()

func reserveStdout() *os.File {
	if os.Getenv(wire.CookieName) != wire.CookieValue {
		return os.Stdout
	}
	fd, err := unix.FcntlInt(uintptr(syscall.Stdout), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return os.Stdout
	}
	if err := unix.Dup2(syscall.Stderr, syscall.Stdout); err != nil {
		unix.Close(fd)
		return os.Stdout
	}
	return os.NewFile(uintptr(fd), "/dev/stdout")
}
