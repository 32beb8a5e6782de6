package main

import (
	"log/slog"
	"net"
	"os"
)

// notify tells systemd what has become of the server, whose unit has Type=notify: READY=1 or STOPPING=1. Without systemd, which names
// a socket in the environment, it does nothing. See sd_notify(3).
func notify(log *slog.Logger, state string) {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"}) // a leading @ stands for an abstract name
	if err == nil {
		defer conn.Close()
		_, err = conn.Write([]byte(state))
	}
	if err != nil {
		log.Warn("systemd cannot be told", "state", state, "err", err)
	}
}
